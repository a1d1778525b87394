//! Every server-side SQL statement of Tidings, for SQLite and PostgreSQL, behind narrow traits: [`Store`] for the log
//! and what belongs to it, [`DeliveryStore`] for subscriptions, [`CatalogStore`] for the catalog, [`LeaseStore`] for who owns what, [`OutboxSource`] for a
//! producer's outbox.
//!
//! Invariant: this crate decides nothing. What an append writes is decided by the closure that its caller hands in;
//! what happens to an intent or a refused row is decided by the engine.

use async_trait::async_trait;
use tidings_event::log::{AppendKeys, AppendPlan, AppendView};
use tidings_event::{
    EventId, EventType, LogId, PartitionId, Position, Recorded, Revision, Sequence, SourceKind, TenantId, TenantNo,
    Text, Timestamp,
};

/// What a caller can act on when the storage fails.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The database cannot be reached, is locked for too long, or is full. The same call may succeed later.
    #[error("the storage is not available: {reason}")]
    Unavailable {
        /// What a person should read; never an answer to a caller from outside.
        reason: String,
        /// Whether a write may have committed all the same (the connection was lost during commit).
        ambiguous: bool,
    },
    /// The database holds something that this version cannot work with (schema too new, corrupt file, wrong encoding).
    #[error("the storage cannot be used: {0}")]
    Unusable(String),
    /// The database lacks what a server makes when it starts (steps of the schema, partitions), and whoever opened it asked
    /// that nothing be made.
    #[error("the storage is behind: {0}")]
    Behind(String),
    /// Tenants do not live in the partition in which they were looked for: they moved. Nothing was written.
    #[error("{0}")]
    Moved(Elsewhere),
    /// A statement failed in a way that should be impossible.
    #[error("the storage failed: {0}")]
    Broken(String),
}

impl Error {
    /// Not available now, and certainly nothing was written.
    pub(crate) fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable { reason: reason.into(), ambiguous: false }
    }
}

/// Partitions that a log can have at most.
pub const PARTITIONS_MAX: u32 = 1_024;

/// The answer of a store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Which database is underneath.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// One file, one writer.
    Sqlite,
    /// A PostgreSQL server.
    Postgres,
}

/// The log that a store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogInfo {
    /// This life of the log.
    pub id: LogId,
    /// How many partitions it has, numbered from 0.
    pub partitions: u32,
}

/// Connections of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnectionCounts {
    /// Open and free.
    pub idle: usize,
    /// In use.
    pub used: usize,
    /// Callers that wait for one.
    pub waiting: usize,
}

impl std::ops::Add for ConnectionCounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { idle: self.idle + other.idle, used: self.used + other.used, waiting: self.waiting + other.waiting }
    }
}

/// How safe an acknowledged write is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durability {
    /// The settings in force, by the database's own names, like `synchronous=FULL` or `fsync=on`.
    pub settings: Vec<(String, String)>,
    /// What is weaker than it should be, in words; empty when an acknowledged write survives a power cut.
    pub warnings: Vec<String>,
}

/// A tenant as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantRow {
    /// Its name.
    pub id: TenantId,
    /// Its short name.
    pub no: TenantNo,
    /// Where it lives, until it moves.
    pub partition: PartitionId,
    /// Its last sequence.
    pub head: Sequence,
    /// Sequences at or below were erased by retention; zero if none were.
    pub floor: Sequence,
    /// When it was first seen.
    pub created_at: Timestamp,
    /// It is on its way into another database: just now nothing is taken in for it. Reads go on.
    pub is_moving: bool,
}

/// Where a partition ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// Its last position.
    pub position: Position,
    /// How often its subscriptions were changed.
    pub revision: Revision,
    /// How often a tenant moved away from it or to it.
    pub moves: u64,
}

/// How one of a log's databases stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardState {
    /// Its number; 0 is home.
    pub no: ShardNo,
    /// Its name; `home` is home's.
    pub name: String,
    /// How many partitions it has.
    pub partitions: u32,
    /// Whether tenants that are seen for the first time may be placed there.
    pub takes_tenants: bool,
    /// Why it does not commit writes just now; nothing where it does.
    pub problem: Option<String>,
}

/// A piece of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TailSlice {
    /// Rows in order of position, contiguous after the position that was asked for.
    pub events: Vec<Recorded>,
    /// The partition's revision, read no earlier than the rows: it covers every change of subscriptions that was made
    /// before the last of them was written.
    pub revision: Revision,
}

/// A piece of a tenant's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedSlice {
    /// Events in order of sequence, contiguous after the sequence that was asked for.
    pub events: Vec<Recorded>,
    /// The tenant's last sequence at the time of reading.
    pub head: Sequence,
    /// Sequences at or below were erased.
    pub floor: Sequence,
}

/// How much one read may return: whichever bound is met first, but at least one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimit {
    /// Events.
    pub events: usize,
    /// Bytes of `data`; of sources, where entries of the catalog are read.
    pub bytes: usize,
}

/// Which way to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Oldest first.
    Forward,
    /// Newest first.
    Backward,
}

/// Which event types are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypeFilter {
    /// Exactly this one.
    Exact(EventType),
    /// All that begin with this text, like `sales.`.
    Prefix(String),
}

/// What a search can ask of the columns; all that is given must hold. The rest of a pattern is matched by the caller.
#[derive(Debug, Clone, Default)]
pub struct ColumnFilter {
    /// Any of these types; all types when empty. At most 100.
    pub types: Vec<TypeFilter>,
    /// The entity's type, and its id.
    pub entity_kind: Option<Text>,
    /// The entity's id.
    pub entity_id: Option<Text>,
    /// The source's kind.
    pub source_kind: Option<SourceKind>,
    /// The source's id.
    pub source_id: Option<Text>,
    /// The actor.
    pub actor: Option<Text>,
    /// The project.
    pub project: Option<Text>,
    /// The correlation id (an event that names none carries its own id).
    pub correlation_id: Option<Text>,
    /// The causation id.
    pub causation_id: Option<Text>,
    /// The context's kind.
    pub context_kind: Option<tidings_event::ContextKind>,
    /// The context's id.
    pub context_id: Option<Text>,
}

/// A bounded read of one tenant's events.
#[derive(Debug, Clone)]
pub struct Search {
    /// What the columns must hold.
    pub columns: ColumnFilter,
    /// Only sequences above this one.
    pub after: Sequence,
    /// Only sequences below this one.
    pub before: Sequence,
    /// Which way.
    pub direction: Direction,
    /// How much.
    pub limit: ReadLimit,
}

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Everything.
    Admin,
    /// Emit events and intents.
    Producer,
    /// Read one tenant's feed and events, manage its subscriptions.
    Consumer,
    /// Read everything of its tenants, and proofs; change nothing.
    Auditor,
}

impl Role {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Admin, Self::Producer, Self::Consumer, Self::Auditor];

    /// Its name, as it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
            Self::Auditor => "auditor",
        }
    }

    /// The role with this name, if there is one.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|role| role.as_str() == name)
    }
}

/// An API key as it is stored: never the key itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// Its id, public.
    pub id: String,
    /// SHA-256 of the key.
    pub hash: [u8; 32],
    /// What it may do.
    pub role: Role,
    /// For which tenants; all when empty.
    pub tenants: Vec<TenantId>,
    /// Which types a producer owns, by prefix like `sales.`; all when empty.
    pub type_prefixes: Vec<String>,
    /// Which service holds it, if it is one's: the id of the sources in whose name a producer emits.
    pub service: Option<Text>,
    /// What a person wrote about it.
    pub description: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when it is refused, if ever.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
}

/// Turns what the store holds into what it shall write. Called once, inside the append's transaction.
pub type Decide = Box<dyn FnOnce(AppendView) -> AppendPlan + Send>;

/// The log and what belongs to it. Each method is one whole business step, atomic by itself.
#[async_trait]
pub trait Store: DeliveryStore + CatalogStore + LeaseStore + QuotaStore {
    /// Which database is underneath.
    fn backend(&self) -> Backend;

    /// The log this store holds, fixed while the store is open.
    fn log(&self) -> LogInfo;

    /// How the connections to the database stand; nothing where there are none, as with a file.
    fn connections(&self) -> Option<ConnectionCounts> {
        None
    }

    /// Asks the database how durable its acknowledged writes are. Also serves as a check that it can be reached.
    async fn durability(&self) -> Result<Durability>;

    /// Proves that a write commits: what `/readyz` asks.
    async fn probe_write(&self) -> Result<()>;

    /// Records where tenants live, each in the partition given, unless it has a place already; then that one stays.
    async fn place(&self, tenants: &[(TenantId, PartitionId)]) -> Result<Vec<TenantRow>>;

    /// One tenant, if it was ever placed.
    async fn tenant(&self, tenant: &TenantId) -> Result<Option<TenantRow>>;

    /// Tenants by name, after the given one; at most `limit`.
    async fn tenants(&self, after: Option<&TenantId>, limit: usize) -> Result<Vec<TenantRow>>;

    /// The one way into the log. In one transaction: locks the partition's head row, reads what `keys` asks for,
    /// lets `decide` plan, writes the plan's rows, advances the heads, commits. Returns the plan once it is durable.
    /// On an error nothing was written, unless the error says that it is ambiguous.
    async fn append(&self, partition: PartitionId, keys: AppendKeys, decide: Decide) -> Result<Appended>;

    /// Rows of a partition after a position, contiguous, oldest first.
    async fn tail(&self, partition: PartitionId, after: Position, limit: ReadLimit) -> Result<TailSlice>;

    /// Every partition's head, in order of partition. Asked for many times a second: one statement.
    async fn heads(&self) -> Result<Vec<Head>>;

    /// The heads of one database's partitions, each with its partition.
    async fn heads_of(&self, _shard: ShardNo) -> Result<Vec<(PartitionId, Head)>> {
        Ok((0..).map(PartitionId).zip(self.heads().await?).collect())
    }

    /// How each of its databases stands; nothing of a store that has only one.
    async fn shard_states(&self) -> Vec<ShardState> {
        Vec::new()
    }

    /// Events of the system that tell of changes made in one database and are not yet in the log of their tenant, which
    /// lives in another: those after a number, native JSON with their numbers, which rise. Only a store of several
    /// databases has any.
    async fn untold(&self, _shard: ShardNo, _after: i64, _limit: usize) -> Result<Vec<(i64, String)>> {
        Ok(Vec::new())
    }

    /// Takes those away that are in the log by now.
    async fn told(&self, _shard: ShardNo, _nos: &[i64]) -> Result<()> {
        Ok(())
    }

    /// Moves a tenant to another partition: what is appended to it from then on goes there, under the sequences that
    /// follow; what is in the log stays where it is. What its deliveries must remember goes along, and the routers of both
    /// partitions are fenced. Who still looks for it where it was is answered [`Error::Moved`].
    ///
    /// Within a database it is one transaction. Where the partition lies in another one, its events are brought over first,
    /// while all goes on; a call does as much as takes a moment. For the last step, in which its delivery state is brought
    /// over and all is proved to be the same, nothing is taken in for it. What broke off is gone on with by the next call.
    async fn move_tenant(&self, tenant: TenantNo, to: PartitionId) -> Result<MoveOutcome>;

    /// Tenants whose move out of one of the databases stands still since some seconds, and where they move: to be moved
    /// there again by whoever is told, which is one at a time. Only a store of several databases has any.
    async fn stalled_moves(&self, _shard: ShardNo) -> Result<Vec<(TenantNo, TenantId, PartitionId)>> {
        Ok(Vec::new())
    }

    /// A tenant's events after a sequence.
    async fn feed(&self, tenant: TenantNo, after: Sequence, limit: ReadLimit) -> Result<FeedSlice>;

    /// The last sequence that was recorded before a moment; zero when there is none.
    async fn sequence_before(&self, tenant: TenantNo, moment: Timestamp) -> Result<Sequence>;

    /// One event by its id.
    async fn event(&self, tenant: TenantNo, id: &EventId) -> Result<Option<Recorded>>;

    /// Events whose columns hold what the search asks for, in order of sequence.
    async fn search(&self, tenant: TenantNo, search: &Search) -> Result<Vec<Recorded>>;

    /// Events that name any of these ids as their cause, by sequence; at most `limit`.
    async fn caused_by(&self, tenant: TenantNo, causes: &[Text], limit: usize) -> Result<Vec<Recorded>>;

    /// Stores a new key.
    async fn insert_key(&self, key: &KeyRow) -> Result<()>;

    /// The key with this hash, revoked and expired ones too.
    async fn key_by_hash(&self, hash: &[u8; 32]) -> Result<Option<KeyRow>>;

    /// Keys by id, after the given one; at most `limit`.
    async fn keys(&self, after: Option<&str>, limit: usize) -> Result<Vec<KeyRow>>;

    /// Marks a key as revoked; the row as it is then, or nothing when there is no such key.
    async fn revoke_key(&self, id: &str, at: Timestamp) -> Result<Option<KeyRow>>;

    /// Finishes what was begun and closes the connections.
    async fn close(&self);
}

mod catalog;
mod delivery;
mod encoding;
mod entries;
mod lease;
mod migrations;
mod moves;
mod names;
mod open;
mod plan;
pub mod postgres;
mod quota;
mod renew;
mod row;
#[cfg(test)]
mod sample;
mod search;
pub mod sharded;
pub mod source;
pub mod sqlite;

pub use catalog::{
    Aside, AsideQuery, CatalogOutcome, CatalogRevision, CatalogSlice, CatalogStore, EntryChange, EntryKey, EntryRow,
    HistoryPlace, HistoryQuery, HistorySlice, MarkQuery, MarkRow, ObservedRow,
};
pub use delivery::{
    Append, Appended, AttemptFilter, AttemptQuery, DeadFate, DeadLetter, DeadQuery, DecideEndpoint, DeliveryState,
    DeliveryStore, EndpointChanged, EndpointPlan, EndpointRow, EndpointStatus, EndpointView, ReplayRow, ReplayState,
    RouteOutcome, RouterState, RoutingChanges, SelectionRow,
};
pub use lease::{Beat, Boot, Claim, LeaseRole, LeaseRow, LeaseStore, Member, Serves, ShardNo, Slot};
pub use moves::{Elsewhere, MoveOutcome};
pub use open::{StoreOptions, open_sharded, open_store};
pub use quota::{QuotaOutcome, QuotaRevision, QuotaRow, QuotaSlice, QuotaStore};
pub use renew::{Renewed, copy_sqlite, holds_log, renew_log, sqlite_log, sqlite_size};
pub use source::{
    Intent, IntentAnswer, OutboxRow, OutboxSource, OutboxStatus, ProbeAnswer, Refused, RowProbe, SourceError,
    install_outbox, open_source,
};
