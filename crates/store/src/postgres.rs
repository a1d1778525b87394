//! The log in a PostgreSQL database, version 15 or later, in the schema `tidings`.
//!
//! Any number of servers may use one database: the lock on a partition's head row is the sequencer.

pub(crate) mod address;
mod append;
mod asides;
mod attempts;
mod catalog;
mod commit_route;
mod dead;
mod delivery;
mod endpoints;
mod entries;
mod failure;
mod flight;
mod keys;
mod leases;
mod marks;
pub(crate) mod moves;
mod observed;
#[cfg(test)]
mod plans;
mod pool;
mod pooled;
mod quotas;
mod read;
mod replays;
mod routers;
mod search;
pub(crate) mod setup;
pub(crate) mod shards;
mod tenants;
#[cfg(test)]
mod tests;
mod within;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tidings_event::log::AppendKeys;
use tidings_event::{EventId, PartitionId, Position, Recorded, Sequence, TenantId, TenantNo, Text, Timestamp};

use crate::names::Names;
use crate::{
    Append, Appended, Backend, Decide, Durability, Error, FeedSlice, Head, KeyRow, LogInfo, MoveOutcome, ReadLimit,
    Result, Search, Store, TailSlice, TenantRow,
};
use address::Address;
use pool::Connections;

/// How to use a PostgreSQL database.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Partitions of a log that is created now; an existing one keeps its own. 1 to [`crate::PARTITIONS_MAX`].
    pub partitions: u32,
    /// Connections at most. A quarter of them, at least one, is kept for writes.
    pub connections: usize,
    /// How long to wait for a free connection before giving up.
    pub patience: Duration,
    /// Make nothing: refuse a database that holds no log, or one of an older version.
    pub existing: bool,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self { partitions: 16, connections: 16, patience: Duration::from_secs(5), existing: false }
    }
}

/// The log in a PostgreSQL database.
pub struct PostgresStore {
    connections: Arc<Connections>,
    names: Arc<Names>,
    log: LogInfo,
    /// The partitions that it holds, rising.
    partitions: Vec<PartitionId>,
    /// The log has other databases too.
    is_part: bool,
}

impl PostgresStore {
    /// Connects, creates what is missing in the schema `tidings`, and brings it up to date, if the options do not forbid it.
    pub async fn connect(url: &str, options: PostgresOptions) -> Result<Self> {
        if options.partitions == 0 || options.partitions > crate::PARTITIONS_MAX {
            return Err(Error::Unusable(format!("a log has 1 to {} partitions", crate::PARTITIONS_MAX)));
        }
        let mut store = Self::open(url, &options, &setup::Part::Home { partitions: options.partitions }).await?;
        match shards::names(store.connections.reader().await?).await? {
            names if names.is_empty() => {
                store.is_part = false;
                Ok(store)
            }
            names => Err(Error::Unusable(format!(
                "its log has shards that the configuration does not name: {}",
                names.join(", ")
            ))),
        }
    }

    /// Appends that go into a transaction here, and those to partitions of the log's other databases.
    fn split(&self, appends: Vec<Append>) -> (Vec<Append>, Vec<Append>) {
        appends.into_iter().partition(|append| !self.is_part || self.partitions.contains(&append.partition))
    }

    /// Opens one of a log's databases.
    pub(crate) async fn open(url: &str, options: &PostgresOptions, part: &setup::Part) -> Result<Self> {
        let address = Address::parse(url).map_err(|reason| Error::Unusable(format!("the URL is wrong: {reason}")))?;
        let (log, partitions) = match options.existing {
            true => setup::look(&address, part).await?,
            false => setup::prepare(&address, part).await?,
        };
        let connections = Arc::new(Connections::new(&address, options.connections, options.patience)?);
        let number = |id: i32| u32::try_from(id).map(PartitionId).map_err(|_| crate::row::corrupt("partition"));
        let partitions = partitions.into_iter().map(number).collect::<Result<_>>()?;
        Ok(Self { connections, names: Arc::default(), log, partitions, is_part: true })
    }
}

#[async_trait]
impl Store for PostgresStore {
    fn backend(&self) -> Backend {
        Backend::Postgres
    }

    fn log(&self) -> LogInfo {
        self.log
    }

    fn connections(&self) -> Option<crate::ConnectionCounts> {
        Some(self.connections.counts())
    }

    async fn durability(&self) -> Result<Durability> {
        setup::durability(self.connections.reader().await?).await
    }

    async fn probe_write(&self) -> Result<()> {
        tenants::probe_write(self.connections.writer().await?).await
    }

    async fn place(&self, tenants: &[(TenantId, PartitionId)]) -> Result<Vec<TenantRow>> {
        if let Some((name, partition)) = tenants.iter().find(|(_, at)| !self.partitions.contains(at)) {
            return Err(Error::Broken(format!("tenant {name} cannot live in partition {partition}: there is none")));
        }
        let rows = tenants::place(self.connections.writer().await?, tenants).await?;
        rows.iter().for_each(|row| self.names.put(row.no, &row.id));
        Ok(rows)
    }

    async fn tenant(&self, tenant: &TenantId) -> Result<Option<TenantRow>> {
        let row = tenants::by_name(self.connections.reader().await?, tenant).await?;
        row.iter().for_each(|row| self.names.put(row.no, &row.id));
        Ok(row)
    }

    async fn tenants(&self, after: Option<&TenantId>, limit: usize) -> Result<Vec<TenantRow>> {
        tenants::list(self.connections.reader().await?, after, limit).await
    }

    async fn append(&self, partition: PartitionId, keys: AppendKeys, decide: Decide) -> Result<Appended> {
        append::append(Arc::clone(&self.connections), Arc::clone(&self.names), partition, keys, decide).await
    }

    async fn tail(&self, partition: PartitionId, after: Position, limit: ReadLimit) -> Result<TailSlice> {
        read::tail(self.connections.reader().await?, &self.names, partition, after, limit).await
    }

    async fn heads(&self) -> Result<Vec<Head>> {
        read::heads(self.connections.reader().await?).await
    }

    async fn move_tenant(&self, tenant: TenantNo, to: PartitionId) -> Result<MoveOutcome> {
        self.move_within(tenant, to).await
    }

    async fn feed(&self, tenant: TenantNo, after: Sequence, limit: ReadLimit) -> Result<FeedSlice> {
        read::feed(self.connections.reader().await?, &self.names, tenant, after, limit).await
    }

    async fn sequence_before(&self, tenant: TenantNo, moment: Timestamp) -> Result<Sequence> {
        read::sequence_before(self.connections.reader().await?, tenant, moment).await
    }

    async fn event(&self, tenant: TenantNo, id: &EventId) -> Result<Option<Recorded>> {
        read::event(self.connections.reader().await?, &self.names, tenant, id).await
    }

    async fn search(&self, tenant: TenantNo, search: &Search) -> Result<Vec<Recorded>> {
        search::search(self.connections.reader().await?, &self.names, tenant, search).await
    }

    async fn caused_by(&self, tenant: TenantNo, causes: &[Text], limit: usize) -> Result<Vec<Recorded>> {
        search::caused_by(self.connections.reader().await?, &self.names, tenant, causes, limit).await
    }

    async fn insert_key(&self, key: &KeyRow) -> Result<()> {
        keys::insert(self.connections.writer().await?, key).await
    }

    async fn key_by_hash(&self, hash: &[u8; 32]) -> Result<Option<KeyRow>> {
        keys::by_hash(self.connections.reader().await?, hash).await
    }

    async fn keys(&self, after: Option<&str>, limit: usize) -> Result<Vec<KeyRow>> {
        keys::list(self.connections.reader().await?, after, limit).await
    }

    async fn revoke_key(&self, id: &str, at: Timestamp) -> Result<Option<KeyRow>> {
        keys::revoke(self.connections.writer().await?, id, at).await
    }

    async fn close(&self) {
        self.connections.close().await;
    }
}
