//! The log in one SQLite file: one writer on a thread of its own, readers beside it.
//!
//! Several processes may open the same file: an append reads the heads inside its own `BEGIN IMMEDIATE`, so that it is
//! right whoever else writes. They only wait for each other.

mod append;
mod asides;
mod attempts;
mod catalog;
mod commit_route;
mod connection;
mod dead;
mod delivery;
mod endpoints;
mod entries;
mod inline;
mod keys;
mod leases;
mod marks;
mod moves;
mod observed;
#[cfg(test)]
mod plans;
mod quotas;
mod read;
mod readers;
mod replays;
mod routers;
mod search;
mod tenants;
#[cfg(test)]
mod tests;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tidings_event::log::AppendKeys;
use tidings_event::{EventId, PartitionId, Position, Recorded, Sequence, TenantId, TenantNo, Text, Timestamp};

use crate::names::Names;
use crate::{
    Appended, Backend, Decide, Durability, Error, FeedSlice, Head, KeyRow, LogInfo, MoveOutcome, ReadLimit, Result,
    Search, Store, TailSlice, TenantRow,
};
pub use inline::{InMemory, StoreClock};

use connection::Opening;
use inline::Inline;
use readers::Readers;
use writer::Writer;

/// How hard SQLite makes sure of a commit before it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Synchronous {
    /// Every commit is synced to the disk: it survives a power cut.
    #[default]
    Full,
    /// Commits are synced at checkpoints only: the last ones may be lost in a power cut, never in a crash.
    Normal,
}

/// How to open an SQLite file.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// Partitions of a log that is created now; an existing one keeps its own. 1 to [`crate::PARTITIONS_MAX`].
    pub partitions: u32,
    /// How hard to make sure of commits.
    pub synchronous: Synchronous,
    /// Connections for reading.
    pub readers: usize,
    /// Writes that may wait for the writer; beyond it they are refused as [`Error::Unavailable`].
    pub queue: usize,
    /// How long to wait for another process that writes, or for a free reader, before giving up.
    pub patience: Duration,
    /// Make nothing: refuse a file that holds no log, or one of an older version.
    pub existing: bool,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            partitions: 1,
            synchronous: Synchronous::Full,
            readers: 8,
            queue: 256,
            patience: Duration::from_secs(5),
            existing: false,
        }
    }
}

/// The log in one SQLite file.
pub struct SqliteStore {
    writer: Writer,
    readers: Readers,
    names: Arc<Names>,
    log: LogInfo,
}

impl SqliteStore {
    /// Opens the file, creates what is missing and brings the schema up to date, if the options do not forbid it.
    pub async fn open(path: &Path, options: SqliteOptions) -> Result<Self> {
        check_partitions(options.partitions)?;
        let opening = Opening {
            path: PathBuf::from(path),
            synchronous: options.synchronous,
            patience: options.patience,
            existing: options.existing,
        };
        let prepared = opening.clone();
        let partitions = options.partitions;
        let prepare = move || if prepared.existing { prepared.look() } else { prepared.create(partitions) };
        let (connection, log) = tokio::task::spawn_blocking(prepare)
            .await
            .map_err(|_| Error::Broken("opening the file did not finish".to_owned()))??;
        let writer = Writer::start(opening.clone(), connection, options.queue)?;
        let readers = Readers::new(opening, options.readers.max(1));
        Ok(Self { writer, readers, names: Arc::default(), log })
    }

    /// A log in memory, for simulations: each call does its work before it is first awaited, on the caller's thread, and
    /// takes the time from the caller's clock. Several simulated nodes may share it, as they would share a server.
    pub fn in_memory(options: InMemory) -> Result<Self> {
        check_partitions(options.partitions)?;
        let (inline, log) = Inline::create(options)?;
        let inline = Arc::new(inline);
        let (writer, readers) = (Writer::Inline(Arc::clone(&inline)), Readers::Inline(inline));
        Ok(Self { writer, readers, names: Arc::default(), log })
    }

    /// Looks at the tables of a log in memory; nothing of one in a file.
    pub fn inspect<T>(&self, look: impl FnOnce(&rusqlite::Connection) -> T) -> Option<T> {
        let Writer::Inline(inline) = &self.writer else { return None };
        inline.run(|connection| Ok(look(connection))).ok()
    }
}

fn check_partitions(partitions: u32) -> Result<()> {
    if partitions == 0 || partitions > crate::PARTITIONS_MAX {
        return Err(Error::Unusable(format!("a log has 1 to {} partitions", crate::PARTITIONS_MAX)));
    }
    Ok(())
}

#[async_trait]
impl Store for SqliteStore {
    fn backend(&self) -> Backend {
        Backend::Sqlite
    }

    fn log(&self) -> LogInfo {
        self.log
    }

    async fn durability(&self) -> Result<Durability> {
        self.writer.call(|connection, _| connection::durability(connection)).await
    }

    async fn probe_write(&self) -> Result<()> {
        self.writer.call(|connection, _| tenants::probe_write(connection)).await
    }

    async fn place(&self, tenants: &[(TenantId, PartitionId)]) -> Result<Vec<TenantRow>> {
        if let Some((name, partition)) = tenants.iter().find(|(_, partition)| partition.get() >= self.log.partitions) {
            return Err(Error::Broken(format!("tenant {name} cannot live in partition {partition}: there is none")));
        }
        let wanted: Arc<[(TenantId, PartitionId)]> = tenants.into();
        let asked = Arc::clone(&wanted);
        // Mostly all are known, and a look must not wait for the writer.
        let known = self.readers.call(move |connection| tenants::all_known(connection, &asked)).await?;
        let rows = match known {
            Some(rows) => rows,
            None => self.writer.call(move |connection, _| tenants::place(connection, &wanted)).await?,
        };
        rows.iter().for_each(|row| self.names.put(row.no, &row.id));
        Ok(rows)
    }

    async fn tenant(&self, tenant: &TenantId) -> Result<Option<TenantRow>> {
        let tenant = tenant.clone();
        let row = self.readers.call(move |connection| tenants::by_name(connection, &tenant)).await?;
        row.iter().for_each(|row| self.names.put(row.no, &row.id));
        Ok(row)
    }

    async fn tenants(&self, after: Option<&TenantId>, limit: usize) -> Result<Vec<TenantRow>> {
        let after = after.cloned();
        self.readers.call(move |connection| tenants::list(connection, after.as_ref(), limit)).await
    }

    async fn append(&self, partition: PartitionId, keys: AppendKeys, decide: Decide) -> Result<Appended> {
        let names = Arc::clone(&self.names);
        self.writer
            .call(move |connection, caller| append::append(connection, &names, partition, keys, decide, caller))
            .await
    }

    async fn tail(&self, partition: PartitionId, after: Position, limit: ReadLimit) -> Result<TailSlice> {
        let names = Arc::clone(&self.names);
        self.readers.call(move |connection| read::tail(connection, &names, partition, after, limit)).await
    }

    async fn heads(&self) -> Result<Vec<Head>> {
        self.readers.call(read::heads).await
    }

    async fn move_tenant(&self, tenant: TenantNo, to: PartitionId) -> Result<MoveOutcome> {
        self.writer.call(move |connection, _| moves::run(connection, tenant, to)).await
    }

    async fn feed(&self, tenant: TenantNo, after: Sequence, limit: ReadLimit) -> Result<FeedSlice> {
        let names = Arc::clone(&self.names);
        self.readers.call(move |connection| read::feed(connection, &names, tenant, after, limit)).await
    }

    async fn sequence_before(&self, tenant: TenantNo, moment: Timestamp) -> Result<Sequence> {
        self.readers.call(move |connection| read::sequence_before(connection, tenant, moment)).await
    }

    async fn event(&self, tenant: TenantNo, id: &EventId) -> Result<Option<Recorded>> {
        let (names, id) = (Arc::clone(&self.names), id.clone());
        self.readers.call(move |connection| read::event(connection, &names, tenant, &id)).await
    }

    async fn search(&self, tenant: TenantNo, search: &Search) -> Result<Vec<Recorded>> {
        let (names, search) = (Arc::clone(&self.names), search.clone());
        self.readers.call(move |connection| search::search(connection, &names, tenant, &search)).await
    }

    async fn caused_by(&self, tenant: TenantNo, causes: &[Text], limit: usize) -> Result<Vec<Recorded>> {
        let (names, causes) = (Arc::clone(&self.names), causes.to_vec());
        self.readers.call(move |connection| search::caused_by(connection, &names, tenant, &causes, limit)).await
    }

    async fn insert_key(&self, key: &KeyRow) -> Result<()> {
        let key = key.clone();
        self.writer.call(move |connection, _| keys::insert(connection, &key)).await
    }

    async fn key_by_hash(&self, hash: &[u8; 32]) -> Result<Option<KeyRow>> {
        let hash = *hash;
        self.readers.call(move |connection| keys::by_hash(connection, &hash)).await
    }

    async fn keys(&self, after: Option<&str>, limit: usize) -> Result<Vec<KeyRow>> {
        let after = after.map(str::to_owned);
        self.readers.call(move |connection| keys::list(connection, after.as_deref(), limit)).await
    }

    async fn revoke_key(&self, id: &str, at: Timestamp) -> Result<Option<KeyRow>> {
        let id = id.to_owned();
        self.writer.call(move |connection, _| keys::revoke(connection, &id, at)).await
    }

    async fn close(&self) {
        // Readers first: the last connection that closes folds the write-ahead log into the file.
        self.readers.close().await;
        self.writer.close().await;
    }
}
