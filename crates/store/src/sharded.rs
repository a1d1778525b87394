//! One log in several PostgreSQL databases.
//!
//! *Home* (shard 0) holds what there is one of: keys, the catalog, what was observed, quotas, the places of all tenants,
//! and the log of `$system`. Each database, home included, holds its own partitions with all that belongs to them. Numbers
//! of partitions are the log's: every partition is in one database.
//!
//! - A tenant's number is given out by home when it is placed. Its row in the database of its partition is made right
//!   after; where that fails, whoever asks for the tenant next makes it.
//! - Numbers of endpoints and replays carry the database that made them in their upper bits.
//! - A change and the event of `$system` that tells of it cannot be one transaction when they are in two databases. The
//!   event is kept with the change (`untold`), and the engine brings it into the log, at least once by its id.
//! - A database that is down takes its own tenants down, and nobody else. Without home no tenant can be placed and no key
//!   be looked up.

mod catalog;
mod delivery;
mod leases;
mod moves;
mod places;
mod shard;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{join_all, try_join_all};
use parking_lot::RwLock;
use tidings_event::log::AppendKeys;
use tidings_event::{EventId, PartitionId, Position, Recorded, Sequence, TenantId, TenantNo, Text, Timestamp};

use crate::postgres::setup::Part;
use crate::postgres::{PostgresOptions, PostgresStore};
use crate::{
    Appended, Backend, Decide, Durability, Error, FeedSlice, Head, KeyRow, LogInfo, MoveOutcome, PARTITIONS_MAX,
    ReadLimit, Result, Search, ShardNo, ShardState, Store, TailSlice, TenantRow,
};
use moves::Mover;
use places::{Databases, where_it_lives};
use shard::Shard;
use tokio::time::timeout;

/// How long one of the databases may take to tell how it stands.
const LOOK_MAX: Duration = Duration::from_millis(1_500);
/// A move on which nobody worked for so many microseconds stands still: longer than one call takes.
const STALLED_AFTER_US: i64 = 10_000_000;
/// Databases that a log can have beside its home.
pub const SHARDS_MAX: usize = 64;

/// A database of the log, beside its home.
#[derive(Debug, Clone)]
pub struct ShardOptions {
    /// Its name; it never changes.
    pub name: String,
    /// Where it is: `postgres://…`.
    pub url: String,
    /// Its partitions. May grow, never shrink.
    pub partitions: BTreeSet<u32>,
    /// Whether tenants that are seen for the first time may be placed there.
    pub takes_tenants: bool,
}

/// The log in several databases.
pub struct ShardedStore {
    all: Arc<Databases>,
    /// Where tenants that are seen for the first time may be placed.
    open: Vec<PartitionId>,
    log: LogInfo,
}

impl ShardedStore {
    /// Opens all of a log's databases and creates what is missing. Refuses what does not belong together. A database that
    /// was there before and does not answer is opened when it does; home must answer.
    pub async fn connect(home: &str, shards: &[ShardOptions], options: PostgresOptions) -> Result<Self> {
        check(shards)?;
        let part = Part::Home { partitions: options.partitions.clamp(1, PARTITIONS_MAX) };
        let home = Arc::new(PostgresStore::open(home, &options, &part).await?);
        let own = home.partitions().to_vec();
        gapless(&own, shards)?;
        let wanted: Vec<(String, BTreeSet<u32>)> =
            shards.iter().map(|shard| (shard.name.clone(), shard.partitions.clone())).collect();
        let known = home.register(&wanted, options.existing).await?;

        let count = own.len() + shards.iter().map(|shard| shard.partitions.len()).sum::<usize>();
        let mut of = vec![ShardNo(0); count];
        let mut open = own;
        let mut all = Vec::with_capacity(known.len());
        for registered in known {
            let given = shards.iter().find(|shard| shard.name == registered.name);
            let given = given.ok_or_else(|| Error::Broken("a shard was registered by nobody".to_owned()))?;
            for partition in &given.partitions {
                if let Some(slot) = of.get_mut(*partition as usize) {
                    *slot = ShardNo(registered.no);
                }
            }
            if given.takes_tenants {
                open.extend(given.partitions.iter().map(|partition| PartitionId(*partition)));
            }
            all.push(Arc::new(Shard::new(home.clone(), registered, given, options.clone())));
        }
        open.sort_unstable();
        // One that cannot be used ends the start; one that does not answer may answer later.
        for opened in join_all(all.iter().map(|shard| shard.opened_within(shard::OPEN_MAX))).await {
            match opened {
                Err(error @ (Error::Unusable(_) | Error::Broken(_))) => return Err(error),
                Err(error) => tracing::warn!(%error, "one of the log's databases does not answer; its tenants wait"),
                Ok(_) => {}
            }
        }
        let partitions = u32::try_from(count).map_err(|_| Error::Unusable("too many partitions".to_owned()))?;
        let log = LogInfo { id: home.log().id, partitions };
        let all = Arc::new(Databases { home, shards: all, of, places: RwLock::default() });
        Ok(Self { all, open, log })
    }

    /// Where a tenant is placed that is seen for the first time: where the caller wants it if new tenants are taken
    /// there, else in one of the partitions that take some; the system's own at home.
    fn choose(&self, tenant: &TenantId, wanted: PartitionId) -> PartitionId {
        let among = |partitions: &[PartitionId]| {
            let at = wanted.get() as usize % partitions.len().max(1);
            partitions.get(at).copied().unwrap_or(wanted)
        };
        if *tenant == TenantId::system() {
            return among(self.all.home.partitions());
        }
        if self.open.contains(&wanted) { wanted } else { among(&self.open) }
    }
}

/// What one of the databases says of itself, unless it takes too long.
async fn in_time<T>(look: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(LOOK_MAX, look).await.unwrap_or_else(|_| Err(Error::unavailable("it does not answer")))
}

/// What can be said of shards by themselves.
fn check(shards: &[ShardOptions]) -> Result<()> {
    if shards.len() > SHARDS_MAX {
        return Err(Error::Unusable(format!("a log has at most {SHARDS_MAX} shards")));
    }
    let (mut names, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for shard in shards {
        let name = &shard.name;
        if name.is_empty() || name == shard::HOME || !names.insert(name) {
            return Err(Error::Unusable(format!("'{name}' is not a shard's name: it is empty, home's, or another's")));
        }
        if shard.partitions.is_empty() {
            return Err(Error::Unusable(format!("shard '{name}' has no partitions")));
        }
        if let Some(twice) = shard.partitions.iter().find(|partition| !taken.insert(**partition)) {
            return Err(Error::Unusable(format!("partition {twice} of shard '{name}' is another's too")));
        }
    }
    Ok(())
}

/// All partitions together count from 0 without a gap, each in one database.
fn gapless(home: &[PartitionId], shards: &[ShardOptions]) -> Result<()> {
    let mut all: Vec<u32> = home.iter().map(|partition| partition.get()).collect();
    all.extend(shards.iter().flat_map(|shard| &shard.partitions));
    all.sort_unstable();
    match all.iter().zip(0..).find(|(partition, expected)| **partition != *expected) {
        Some((partition, expected)) if *partition < expected => {
            Err(Error::Unusable(format!("partition {partition} is home's and a shard's")))
        }
        Some((_, expected)) => Err(Error::Unusable(format!(
            "partition {expected} is in no database: home has {}, and the shards' ranges must follow without a gap",
            home.len()
        ))),
        None if all.len() > PARTITIONS_MAX as usize => {
            Err(Error::Unusable(format!("a log has at most {PARTITIONS_MAX} partitions")))
        }
        None => Ok(()),
    }
}

#[async_trait]
impl Store for ShardedStore {
    fn backend(&self) -> Backend {
        Backend::Postgres
    }

    fn log(&self) -> LogInfo {
        self.log
    }

    fn connections(&self) -> Option<crate::ConnectionCounts> {
        let others = self.all.shards.iter().filter_map(|shard| shard.connections());
        others.chain(self.all.home.connections()).reduce(|all, one| all + one)
    }

    async fn durability(&self) -> Result<Durability> {
        let mut durability = self.all.home.durability().await?;
        let others = self.all.shards.iter().map(async |shard| {
            let look = async { shard.store().await?.durability().await };
            // Anybody may read a warning; why it is not known stands in the shard's state, for operators.
            let unknown = || vec!["how safe its acknowledgements are is not known now".to_owned()];
            let warnings = in_time(look).await.map_or_else(|_| unknown(), |found| found.warnings);
            warnings.into_iter().map(|warning| format!("shard '{}': {warning}", shard.name)).collect::<Vec<_>>()
        });
        durability.warnings.extend(join_all(others).await.into_iter().flatten());
        Ok(durability)
    }

    async fn probe_write(&self) -> Result<()> {
        self.all.home.probe_write().await
    }

    async fn place(&self, tenants: &[(TenantId, PartitionId)]) -> Result<Vec<TenantRow>> {
        if let Some((name, partition)) = tenants.iter().find(|(_, partition)| partition.get() >= self.log.partitions) {
            return Err(Error::Broken(format!("tenant {name} cannot live in partition {partition}: there is none")));
        }
        let chosen: Vec<(TenantId, PartitionId)> =
            tenants.iter().map(|(name, wanted)| (name.clone(), self.choose(name, *wanted))).collect();
        let rows = self.all.home.place_anywhere(&chosen).await?;
        self.all.whole(rows).await
    }

    async fn tenant(&self, tenant: &TenantId) -> Result<Option<TenantRow>> {
        let Some(row) = self.all.home.tenant(tenant).await? else { return Ok(None) };
        Ok(self.all.whole(vec![row]).await?.pop())
    }

    async fn tenants(&self, after: Option<&TenantId>, limit: usize) -> Result<Vec<TenantRow>> {
        let rows = self.all.home.tenants(after, limit).await?;
        self.all.whole(rows).await
    }

    async fn append(&self, partition: PartitionId, keys: AppendKeys, decide: Decide) -> Result<Appended> {
        self.all.of(partition).await?.append(partition, keys, decide).await
    }

    async fn tail(&self, partition: PartitionId, after: Position, limit: ReadLimit) -> Result<TailSlice> {
        self.all.of(partition).await?.tail(partition, after, limit).await
    }

    async fn heads(&self) -> Result<Vec<Head>> {
        let mut heads = vec![Head::default(); self.all.of.len()];
        let all =
            try_join_all((0..=self.all.shards.len()).map(|at| self.heads_of(ShardNo(u16::try_from(at).unwrap_or(0)))));
        for (partition, head) in all.await?.into_iter().flatten() {
            if let Some(slot) = heads.get_mut(partition.get() as usize) {
                *slot = head;
            }
        }
        Ok(heads)
    }

    async fn heads_of(&self, shard: ShardNo) -> Result<Vec<(PartitionId, Head)>> {
        self.all.at(shard).await?.own_heads().await
    }

    async fn shard_states(&self) -> Vec<ShardState> {
        let home = async {
            let no = ShardNo(0);
            (no, shard::HOME.to_owned(), in_time(self.all.home.probe_write()).await.err())
        };
        let others = join_all(self.all.shards.iter().map(async |shard| {
            let probe = async { shard.store().await?.probe_write().await };
            (shard.no, shard.name.clone(), in_time(probe).await.err())
        }));
        let (home, others) = futures_util::join!(home, others);
        let state = |(no, name, error): (ShardNo, String, Option<Error>)| {
            let partitions: Vec<PartitionId> =
                (0..).map(PartitionId).zip(&self.all.of).filter(|(_, of)| **of == no).map(|(id, _)| id).collect();
            ShardState {
                no,
                name,
                partitions: u32::try_from(partitions.len()).unwrap_or(u32::MAX),
                takes_tenants: partitions.iter().any(|partition| self.open.contains(partition)),
                problem: error.map(|error| error.to_string()),
            }
        };
        std::iter::once(home).chain(others).map(state).collect()
    }

    async fn untold(&self, shard: ShardNo, after: i64, limit: usize) -> Result<Vec<(i64, String)>> {
        self.all.at(shard).await?.own_untold(after, limit).await
    }

    async fn told(&self, shard: ShardNo, nos: &[i64]) -> Result<()> {
        self.all.at(shard).await?.own_told(nos).await
    }

    async fn move_tenant(&self, tenant: TenantNo, to: PartitionId) -> Result<MoveOutcome> {
        // In a task of its own: a caller that goes away must not leave the tenant held.
        let task = tokio::spawn(Mover::new(self.all.clone(), tenant).run(to));
        task.await.unwrap_or_else(|_| Err(Error::Broken("a move did not finish".to_owned())))
    }

    async fn stalled_moves(&self, shard: ShardNo) -> Result<Vec<(TenantNo, TenantId, PartitionId)>> {
        self.all.at(shard).await?.stalled(STALLED_AFTER_US).await
    }

    async fn feed(&self, tenant: TenantNo, after: Sequence, limit: ReadLimit) -> Result<FeedSlice> {
        where_it_lives!(self.all, self.all.look(tenant), |store| store.feed(tenant, after, limit))
    }

    async fn sequence_before(&self, tenant: TenantNo, moment: Timestamp) -> Result<Sequence> {
        where_it_lives!(self.all, self.all.look(tenant), |store| store.sequence_before(tenant, moment))
    }

    async fn event(&self, tenant: TenantNo, id: &EventId) -> Result<Option<Recorded>> {
        where_it_lives!(self.all, self.all.look(tenant), |store| store.event(tenant, id))
    }

    async fn search(&self, tenant: TenantNo, search: &Search) -> Result<Vec<Recorded>> {
        where_it_lives!(self.all, self.all.look(tenant), |store| store.search(tenant, search))
    }

    async fn caused_by(&self, tenant: TenantNo, causes: &[Text], limit: usize) -> Result<Vec<Recorded>> {
        where_it_lives!(self.all, self.all.look(tenant), |store| store.caused_by(tenant, causes, limit))
    }

    async fn insert_key(&self, key: &KeyRow) -> Result<()> {
        self.all.home.insert_key(key).await
    }

    async fn key_by_hash(&self, hash: &[u8; 32]) -> Result<Option<KeyRow>> {
        self.all.home.key_by_hash(hash).await
    }

    async fn keys(&self, after: Option<&str>, limit: usize) -> Result<Vec<KeyRow>> {
        self.all.home.keys(after, limit).await
    }

    async fn revoke_key(&self, id: &str, at: Timestamp) -> Result<Option<KeyRow>> {
        self.all.home.revoke_key(id, at).await
    }

    async fn close(&self) {
        self.all.home.close().await;
        join_all(self.all.shards.iter().map(|shard| shard.close())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(name: &str, partitions: impl IntoIterator<Item = u32>) -> ShardOptions {
        let partitions = partitions.into_iter().collect();
        ShardOptions { name: name.to_owned(), url: String::new(), partitions, takes_tenants: true }
    }

    #[test]
    fn shards_that_do_not_belong_together_are_refused() {
        let home: Vec<PartitionId> = (0..4).map(PartitionId).collect();
        for (shards, expect) in [
            (vec![shard("b", 4..8)], None),
            (vec![shard("b", [4, 6]), shard("c", [5])], None),
            (vec![shard("b", 4..6), shard("b", 6..8)], Some("'b' is not a shard's name")),
            (vec![shard("home", 4..8)], Some("'home' is not")),
            (vec![shard("", 4..8)], Some("'' is not")),
            (vec![shard("b", [])], Some("has no partitions")),
            (vec![shard("b", 4..8), shard("c", 7..9)], Some("partition 7 of shard 'c' is another's too")),
            (vec![shard("b", 3..8)], Some("partition 3 is home's and a shard's")),
            (vec![shard("b", 5..8)], Some("partition 4 is in no database")),
            (vec![shard("b", 4..2_000)], Some("at most 1024 partitions")),
        ] {
            let found = check(&shards).and_then(|()| gapless(&home, &shards)).err().map(|error| error.to_string());
            match (&found, expect) {
                (None, None) => {}
                (Some(found), Some(expect)) => assert!(found.contains(expect), "{found}"),
                _ => panic!("{found:?}, not {expect:?}"),
            }
        }
    }
}
