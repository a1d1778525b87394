//! The databases of one log, and where each tenant lives.
//!
//! What home says of a tenant's place is where to begin. A database in which the tenant does not live says by the tenant's
//! row to which partition it went, or from which it is awaited, so that who follows finds it, however stale the place was
//! that it was looked for in. A read is good only if its database says afterwards that the tenant lives there.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures_util::future::try_join_all;
use parking_lot::RwLock;
use tidings_event::{PartitionId, TenantId, TenantNo};

use super::shard::Shard;
use crate::postgres::PostgresStore;
use crate::postgres::moves::stand::{Passage, Standing};
use crate::{Elsewhere, Error, Result, ShardNo, TenantRow};

/// Tenants whose partition is remembered; beyond it all are forgotten and asked for again.
const PLACES_MAX: usize = 200_000;
/// How often a tenant is looked for that is never where it was said to be.
const LOOKS_MAX: usize = 4;

/// All databases of a log.
pub(super) struct Databases {
    pub(super) home: Arc<PostgresStore>,
    /// By their numbers, from 1.
    pub(super) shards: Vec<Arc<Shard>>,
    /// The database of each partition.
    pub(super) of: Vec<ShardNo>,
    pub(super) places: RwLock<HashMap<TenantNo, PartitionId>>,
}

/// Where a tenant was found.
pub(super) enum Whereabouts {
    /// No database knows it, or none beside home.
    Nowhere,
    /// It lives in the partition of its row.
    Lives(Standing),
    /// It is held in the database that it leaves, and has not arrived in the other one.
    Held(Standing, Passage),
}

/// A read that may have to be made again.
pub(super) struct Look {
    tenant: TenantNo,
    looks: usize,
    /// Whether what is read is good whatever the database says afterwards.
    certain: bool,
    /// Whether what is left behind by a tenant that is held may be read.
    of_held: bool,
}

impl Databases {
    /// One of the databases.
    pub(super) async fn at(&self, no: ShardNo) -> Result<Arc<PostgresStore>> {
        if no == ShardNo(0) {
            return Ok(self.home.clone());
        }
        match self.shards.iter().find(|shard| shard.no == no) {
            Some(shard) => shard.store().await,
            None => Err(Error::Unusable(format!("this node does not know shard {no} of the log"))),
        }
    }

    pub(super) fn shard_of_partition(&self, partition: PartitionId) -> Result<ShardNo> {
        self.of.get(partition.get() as usize).copied().ok_or_else(|| unknown(partition))
    }

    /// The database of a partition.
    pub(super) async fn of(&self, partition: PartitionId) -> Result<Arc<PostgresStore>> {
        self.at(self.shard_of_partition(partition)?).await
    }

    pub(super) fn remember(&self, no: TenantNo, partition: PartitionId) {
        if self.places.read().get(&no) == Some(&partition) {
            return;
        }
        let mut places = self.places.write();
        if places.len() >= PLACES_MAX {
            places.clear();
        }
        places.insert(no, partition);
    }

    /// Rows as the databases in which their tenants live have them, in order; those that are missing there are made.
    pub(super) async fn whole(&self, rows: Vec<TenantRow>) -> Result<Vec<TenantRow>> {
        let mut parts: HashMap<ShardNo, Vec<usize>> = HashMap::new();
        for (at, row) in rows.iter().enumerate() {
            let shard = self.shard_of_partition(row.partition)?;
            if shard != ShardNo(0) {
                parts.entry(shard).or_default().push(at);
            }
        }
        let rows = &rows;
        let read = parts.into_iter().map(async |(shard, indexes)| {
            let store = self.at(shard).await?;
            let wanted: Vec<TenantRow> = indexes.iter().filter_map(|at| rows.get(*at).cloned()).collect();
            let names: Vec<&TenantId> = wanted.iter().map(|row| &row.id).collect();
            let mut found = store.tenants_named(&names).await?;
            if found.len() < wanted.len() {
                found = store.adopt(&wanted).await?;
            }
            for row in found.iter_mut().filter(|row| !store.has(row.partition)) {
                *row = self.found(row).await?;
            }
            Ok::<_, Error>(found)
        });
        let own: HashMap<TenantNo, TenantRow> =
            try_join_all(read).await?.into_iter().flatten().map(|row| (row.no, row)).collect();
        let whole = |row: &TenantRow| {
            let row = own.get(&row.no).unwrap_or(row).clone();
            if !row.is_moving {
                self.remember(row.no, row.partition);
            }
            row
        };
        Ok(rows.iter().map(whole).collect())
    }

    /// The row of a tenant that does not live where it was looked for.
    async fn found(&self, row: &TenantRow) -> Result<TenantRow> {
        match self.locate(row.no, row.partition).await? {
            Whereabouts::Nowhere => Err(missing()),
            Whereabouts::Lives(stands) => Ok(stands.row),
            Whereabouts::Held(stands, passage) => {
                Ok(TenantRow { partition: passage.from, is_moving: true, ..stands.row })
            }
        }
    }

    /// Looks for a tenant, beginning in the database of a partition, and on from there.
    pub(super) async fn locate(&self, tenant: TenantNo, first: PartitionId) -> Result<Whereabouts> {
        for _ in 0..LOOKS_MAX {
            let mut at = self.shard_of_partition(first)?;
            let mut seen = BTreeSet::new();
            while seen.insert(at) {
                let store = self.at(at).await?;
                let Some(stands) = store.standing(tenant).await? else { return Ok(Whereabouts::Nowhere) };
                if store.has(stands.row.partition) {
                    return Ok(Whereabouts::Lives(stands));
                }
                if let Some(passage) = stands.leaving.clone().filter(|passage| !passage.arrived) {
                    let target = self.of(passage.to).await?.standing(tenant).await?;
                    let coming = target.and_then(|target| target.arriving);
                    if !coming.is_some_and(|coming| coming.token == passage.token && coming.arrived) {
                        return Ok(Whereabouts::Held(stands, passage));
                    }
                }
                at = self.shard_of_partition(stands.row.partition)?;
            }
            // Between two looks it went on.
        }
        Err(moving())
    }

    /// A read of a tenant's log. What is held is read where it is held: it does not change there.
    pub(super) fn look(&self, tenant: TenantNo) -> Look {
        Look { tenant, looks: 0, certain: false, of_held: true }
    }

    /// A read of what its deliveries remember, which may be taken away where the tenant is held.
    pub(super) fn look_at_delivery(&self, tenant: TenantNo) -> Look {
        Look { of_held: false, ..self.look(tenant) }
    }

    /// The database to read from next.
    pub(super) async fn next(&self, look: &mut Look) -> Result<Arc<PostgresStore>> {
        look.looks += 1;
        if look.looks > LOOKS_MAX {
            return Err(moving());
        }
        let known = self.places.read().get(&look.tenant).copied();
        if let Some(partition) = known {
            return self.of(partition).await;
        }
        let Some(partition) = self.home.partition_of(look.tenant).await? else {
            look.certain = true;
            return Ok(self.home.clone());
        };
        match self.locate(look.tenant, partition).await? {
            Whereabouts::Nowhere => {
                look.certain = true;
                self.of(partition).await
            }
            Whereabouts::Lives(stands) => {
                self.remember(look.tenant, stands.row.partition);
                self.of(stands.row.partition).await
            }
            Whereabouts::Held(..) if !look.of_held => Err(moving()),
            Whereabouts::Held(_, passage) => {
                look.certain = true;
                self.of(passage.from).await
            }
        }
    }

    /// Whether what was read just now is of where the tenant lives. Where not it is to be read again.
    pub(super) async fn holds(&self, look: &Look, store: &PostgresStore) -> Result<bool> {
        if look.certain || store.lives(look.tenant).await? {
            return Ok(true);
        }
        self.places.write().remove(&look.tenant);
        Ok(false)
    }
}

/// Reads of a tenant where it lives.
macro_rules! where_it_lives {
    ($databases:expr, $look:expr, |$store:ident| $read:expr) => {{
        let databases = &$databases;
        let mut look = $look;
        loop {
            let $store = databases.next(&mut look).await?;
            let found = $read.await;
            if databases.holds(&look, &$store).await? {
                break found;
            }
        }
    }};
}
pub(super) use where_it_lives;

/// A tenant that is on its way from one database into another.
pub(super) fn moving() -> Error {
    Error::unavailable("the tenant is being moved into another database")
}

/// What is not where it was looked for went along with its tenant.
pub(super) fn went_along() -> Error {
    Error::Moved(Elsewhere(Vec::new()))
}

fn missing() -> Error {
    Error::Broken("a tenant that moved is missing in the database that it moved to".to_owned())
}

fn unknown(partition: PartitionId) -> Error {
    Error::unavailable(format!("this node's configuration does not name partition {partition}: a shard was added"))
}
