//! Where tenants live: asked of the store once, then remembered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use moka::sync::Cache;
use tidings_core::place::partition_of;
use tidings_event::{PartitionId, TenantId, TenantNo};
use tidings_store::{Error, Result, Store, TenantRow};
use tokio::time::{Instant, timeout_at};

/// How long asking for each tenant by itself may take, at least, where one of several databases does not answer.
const EACH_MIN: Duration = Duration::from_secs(1);

/// A tenant's short name, which never changes, and its partition, which does when it moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) no: TenantNo,
    pub(crate) partition: PartitionId,
}

impl From<&TenantRow> for Place {
    fn from(row: &TenantRow) -> Self {
        Self { no: row.no, partition: row.partition }
    }
}

/// The places of tenants, in a bounded cache over the store.
pub(crate) struct Places {
    store: Arc<dyn Store>,
    cache: Cache<TenantId, Place>,
    /// Counts how often all was forgotten: what was asked for before is not remembered after.
    forgotten: AtomicU64,
}

impl Places {
    pub(crate) fn new(store: Arc<dyn Store>, places_max: u64) -> Self {
        Self { store, cache: Cache::new(places_max), forgotten: AtomicU64::new(0) }
    }

    /// The tenant's place; a tenant that is seen for the first time gets one.
    pub(crate) async fn of(&self, tenant: &TenantId) -> Result<Place> {
        if let Some(place) = self.cache.get(tenant) {
            return Ok(place);
        }
        let places = self.of_all(std::slice::from_ref(tenant)).await?;
        Ok(*places.first().expect("as many places are returned as tenants were asked for"))
    }

    /// The places of these tenants, in order; those that have none get one, all in one step.
    pub(crate) async fn of_all(&self, tenants: &[TenantId]) -> Result<Vec<Place>> {
        let mut found: Vec<Option<Place>> = tenants.iter().map(|tenant| self.cache.get(tenant)).collect();
        let missing: Vec<(TenantId, PartitionId)> = tenants
            .iter()
            .zip(&found)
            .filter(|(_, place)| place.is_none())
            .map(|(tenant, _)| (tenant.clone(), partition_of(tenant, self.store.log().partitions)))
            .collect();
        if !missing.is_empty() {
            let asked_at = self.forgotten.load(Ordering::Acquire);
            for row in self.store.place(&missing).await? {
                let place = Place::from(&row);
                for (slot, _) in found.iter_mut().zip(tenants).filter(|(_, tenant)| **tenant == row.id) {
                    *slot = Some(place);
                }
                self.remember(&row.id, place, asked_at);
            }
        }
        found
            .into_iter()
            .map(|place| place.ok_or_else(|| Error::Broken("a placed tenant has no row".to_owned())))
            .collect()
    }

    /// The same, each for itself: a database that does not answer in time holds up none but its own tenants.
    pub(crate) async fn of_each(&self, tenants: &[TenantId], until: Instant) -> Vec<Result<Place>> {
        let late = || Error::Unavailable { reason: "a tenant's place cannot be told".to_owned(), ambiguous: true };
        let together = timeout_at(until, self.of_all(tenants)).await.unwrap_or_else(|_| Err(late()));
        let error = match together {
            Ok(places) => return places.into_iter().map(Ok).collect(),
            Err(error) => error,
        };
        if self.store.shards() < 2 {
            return tenants.iter().map(|tenant| self.cache.get(tenant).ok_or_else(|| error.clone())).collect();
        }
        // Room beyond the deadline for those whose database answers at once.
        let until = until.max(Instant::now() + EACH_MIN);
        let places = join_all(tenants.iter().map(|tenant| timeout_at(until, self.of(tenant)))).await;
        places.into_iter().map(|place| place.unwrap_or_else(|_| Err(late()))).collect()
    }

    /// The tenant's place, if it was ever given one.
    pub(crate) async fn find(&self, tenant: &TenantId) -> Result<Option<Place>> {
        if let Some(place) = self.cache.get(tenant) {
            return Ok(Some(place));
        }
        self.look(tenant).await
    }

    /// The same, asked of the store.
    pub(crate) async fn look(&self, tenant: &TenantId) -> Result<Option<Place>> {
        let asked_at = self.forgotten.load(Ordering::Acquire);
        let Some(row) = self.store.tenant(tenant).await? else { return Ok(None) };
        let place = Place::from(&row);
        self.remember(&row.id, place, asked_at);
        Ok(Some(place))
    }

    /// Forgets all places: some tenant moved.
    pub(crate) fn forget(&self) {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        self.cache.invalidate_all();
    }

    fn remember(&self, tenant: &TenantId, place: Place, asked_at: u64) {
        self.cache.insert(tenant.clone(), place);
        if self.forgotten.load(Ordering::Acquire) != asked_at {
            self.cache.invalidate(tenant);
        }
    }
}
