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
/// How long an append waits for a tenant that is on its way into another database.
const MOVING_MAX: Duration = Duration::from_secs(5);
/// How soon it is asked for again.
const MOVING_AGAIN: Duration = Duration::from_millis(20);

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

    /// The tenant's place; a tenant that is seen for the first time gets one. One that is on its way into another database
    /// is waited for, for a while.
    pub(crate) async fn of(&self, tenant: &TenantId) -> Result<Place> {
        if let Some(place) = self.cache.get(tenant) {
            return Ok(place);
        }
        let places = self.of_all(std::slice::from_ref(tenant)).await?;
        Ok(*places.first().expect("as many places are returned as tenants were asked for"))
    }

    /// The places of these tenants, in order; those that have none get one, all in one step.
    pub(crate) async fn of_all(&self, tenants: &[TenantId]) -> Result<Vec<Place>> {
        let until = Instant::now() + MOVING_MAX;
        loop {
            let found = self.ask(tenants).await?;
            let settled: Vec<Place> = found.iter().copied().flatten().collect();
            if settled.len() == tenants.len() {
                return Ok(settled);
            }
            if Instant::now() >= until {
                return Err(moving());
            }
            tokio::time::sleep(MOVING_AGAIN).await;
        }
    }

    /// The same without waiting; nothing for a tenant that is on its way.
    async fn ask(&self, tenants: &[TenantId]) -> Result<Vec<Option<Place>>> {
        let mut found: Vec<Option<Option<Place>>> =
            tenants.iter().map(|tenant| self.cache.get(tenant).map(Some)).collect();
        let missing: Vec<(TenantId, PartitionId)> = tenants
            .iter()
            .zip(&found)
            .filter(|(_, place)| place.is_none())
            .map(|(tenant, _)| (tenant.clone(), partition_of(tenant, self.store.log().partitions)))
            .collect();
        if !missing.is_empty() {
            let asked_at = self.forgotten.load(Ordering::Acquire);
            for row in self.store.place(&missing).await? {
                let place = (!row.is_moving).then(|| Place::from(&row));
                for (slot, _) in found.iter_mut().zip(tenants).filter(|(_, tenant)| **tenant == row.id) {
                    *slot = Some(place);
                }
                if let Some(place) = place {
                    self.remember(&row.id, place, asked_at);
                }
            }
        }
        found
            .into_iter()
            .map(|place| place.ok_or_else(|| Error::Broken("a placed tenant has no row".to_owned())))
            .collect()
    }

    /// The same, each for itself: a database that does not answer in time holds up none but its own tenants, and nobody
    /// waits for a tenant that is on its way.
    pub(crate) async fn of_each(&self, tenants: &[TenantId], until: Instant) -> Vec<Result<Place>> {
        let late = || Error::Unavailable { reason: "a tenant's place cannot be told".to_owned(), ambiguous: true };
        let together = timeout_at(until, self.ask(tenants)).await.unwrap_or_else(|_| Err(late()));
        let error = match together {
            Ok(places) => return places.into_iter().map(|place| place.ok_or_else(moving)).collect(),
            Err(error) => error,
        };
        if self.store.shards() < 2 {
            return tenants.iter().map(|tenant| self.cache.get(tenant).ok_or_else(|| error.clone())).collect();
        }
        // Room beyond the deadline for those whose database answers at once.
        let until = until.max(Instant::now() + EACH_MIN);
        let one = async |tenant: &TenantId| {
            let asked = timeout_at(until, self.ask(std::slice::from_ref(tenant))).await.unwrap_or_else(|_| Err(late()));
            asked?.into_iter().next().flatten().ok_or_else(moving)
        };
        join_all(tenants.iter().map(one)).await
    }

    /// Where the tenant lives that was not found where it was looked for; waits for one that is on its way.
    pub(crate) async fn anew(&self, tenant: &TenantId) -> Result<Place> {
        self.cache.invalidate(tenant);
        self.of(tenant).await
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
        if !row.is_moving {
            self.remember(&row.id, place, asked_at);
        }
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

/// What an append to a tenant that is on its way is answered with once it has waited long enough: nothing was written.
fn moving() -> Error {
    let reason = "the tenant is being moved into another database; send again".to_owned();
    Error::Unavailable { reason, ambiguous: false }
}
