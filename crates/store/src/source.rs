//! A producer's outbox, wherever it lives. Its table is the public contract of `tidings-outbox`.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tidings_event::{EventId, Timestamp};

use crate::open::{Target, target};

pub mod postgres;
pub mod sqlite;

use postgres::PostgresSource;
use sqlite::SqliteSource;

/// The source that a URL names, in the forms of [`open_store`](crate::open_store). Nothing is connected yet: a source
/// whose database is down, or has no outbox, says so when it is used, and works as soon as it can. Fails only when
/// the URL makes no sense.
pub fn open_source(url: &str) -> Result<Arc<dyn OutboxSource>, SourceError> {
    Ok(match read_url(url)? {
        Target::Sqlite(path) => Arc::new(SqliteSource::open(&path)),
        Target::Postgres(url) => Arc::new(PostgresSource::connect(&url)?),
    })
}

/// Makes the outbox in the database that a URL names, or brings it up to date. An SQLite file is created where there
/// is none. Nothing changes where all is there already.
pub async fn install_outbox(url: &str) -> Result<(), SourceError> {
    match read_url(url)? {
        Target::Sqlite(path) => SqliteSource::open(&path).install().await,
        Target::Postgres(url) => PostgresSource::connect(&url)?.install().await,
    }
}

fn read_url(url: &str) -> Result<Target, SourceError> {
    target(url).map_err(|error| SourceError::Broken(error.to_string()))
}

/// What a caller can act on when a source fails.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The producer's database cannot be reached or is locked for too long; the same call may succeed later.
    #[error("the source is not available: {0}")]
    Unavailable(String),
    /// There is no outbox there; `tidings outbox install` makes one.
    #[error("the source has no outbox of a version this server knows: {0}")]
    NotInstalled(String),
    /// A statement failed in a way that should be impossible.
    #[error("the source failed: {0}")]
    Broken(String),
}

/// A confirmed row that waits to be materialized.
#[derive(Debug, Clone)]
pub struct OutboxRow {
    /// The row's identity; rises in order of insertion.
    pub id: i64,
    /// The event's id.
    pub source_key: String,
    /// The envelope, as JSON text.
    pub event: Vec<u8>,
    /// When the row was inserted.
    pub created_at: Timestamp,
}

/// A row that the log refused.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The row.
    pub row: OutboxRow,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it was refused: a problem document as JSON text.
    pub error: String,
}

/// An intent: written before the change it speaks of.
#[derive(Debug, Clone)]
pub struct Intent {
    /// The row's identity.
    pub id: i64,
    /// The event's id.
    pub source_key: String,
    /// The envelope, as JSON text.
    pub event: Vec<u8>,
    /// The reconciler's probe, as JSON text.
    pub probe: Vec<u8>,
    /// When the row was inserted.
    pub created_at: Timestamp,
    /// How often the reconciler could not tell.
    pub attempts: u32,
}

/// What became of a confirm or discard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntentAnswer {
    /// It was an intent and is now what was asked for.
    Done,
    /// It was confirmed before.
    AlreadyConfirmed,
    /// There is no row with this source key (never written, discarded, or already in the log).
    Absent,
}

/// A question to a database: is there such a row?
#[derive(Debug, Clone, PartialEq)]
pub struct RowProbe {
    /// The table, with its schema where it has one: `orders` or `shop.orders`.
    pub table: String,
    /// Columns and the values they must have; never empty. Values are JSON strings, numbers or booleans.
    pub key: BTreeMap<String, serde_json::Value>,
    /// A column that must hold at least this number, where the change is a new revision of a row.
    pub revision: Option<(String, i64)>,
}

/// A database's answer to a row probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeAnswer {
    /// There is such a row.
    Exists,
    /// There is none.
    Missing,
    /// The question makes no sense there (no such table or column, wrong type, no right to read), and why.
    CannotTell(String),
}

/// How an outbox stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxStatus {
    /// The installed version of the contract.
    pub version: u32,
    /// Confirmed rows that wait to be materialized.
    pub pending: u64,
    /// When the oldest of them was inserted.
    pub oldest_pending: Option<Timestamp>,
    /// Open intents.
    pub intents: u64,
    /// Refused rows.
    pub refused: u64,
}

/// A producer's outbox, as the pump, the reconciler and the operator need it.
#[async_trait]
pub trait OutboxSource: Send + Sync + 'static {
    /// Confirmed rows that were not refused and whose id is at least `floor`, in order of id; at most `limit` rows
    /// and about `bytes` bytes. Sees only what is committed.
    async fn read(&self, floor: i64, limit: usize, bytes: usize) -> Result<Vec<OutboxRow>, SourceError>;

    /// How many confirmed rows that were not refused have an id below this one.
    async fn waiting_before(&self, id: i64) -> Result<u64, SourceError>;

    /// Deletes rows that are in the log.
    async fn delete(&self, ids: &[i64]) -> Result<(), SourceError>;

    /// Sets rows aside with the reason why the log refused them, and counts the attempt.
    async fn refuse(&self, refused: &[(i64, String)]) -> Result<(), SourceError>;

    /// A cheap check whether anything may have been committed since the last call; `true` when it cannot tell.
    async fn changed(&self) -> Result<bool, SourceError>;

    /// Waits for a hint that something was committed (`LISTEN`); never returns where there are no hints.
    async fn hint(&self);

    /// Refused rows in order of id, after the given one.
    async fn refused(&self, after: i64, limit: usize) -> Result<Vec<Refused>, SourceError>;

    /// Puts a refused row back among the waiting, optionally with a mended envelope. `false` when it is not there.
    async fn retry(&self, id: i64, event: Option<&[u8]>) -> Result<bool, SourceError>;

    /// Deletes a refused row for good. `false` when it is not there.
    async fn discard_refused(&self, id: i64) -> Result<bool, SourceError>;

    /// Writes an intent. Writing the same source key with the same envelope again changes nothing; `false` when the
    /// key is taken by another envelope.
    async fn append_intent(&self, key: &EventId, event: &[u8], probe: Option<&[u8]>) -> Result<bool, SourceError>;

    /// The row with this source key, whether an intent or confirmed.
    async fn row(&self, key: &EventId) -> Result<Option<OutboxRow>, SourceError>;

    /// Confirms an intent.
    async fn confirm_intent(&self, key: &EventId) -> Result<IntentAnswer, SourceError>;

    /// Discards an intent.
    async fn discard_intent(&self, key: &EventId) -> Result<IntentAnswer, SourceError>;

    /// Intents after the given id that are older than their own `stale_after_s` (in the probe; `default_stale_s`
    /// where it names none), by the source's own clock, in order of id.
    async fn stale_intents(&self, after: i64, default_stale_s: u32, limit: usize) -> Result<Vec<Intent>, SourceError>;

    /// Counts a probe that could not tell. Returns the row's attempts after counting.
    async fn count_unresolved(&self, id: i64, reason: &str) -> Result<u32, SourceError>;

    /// Answers a row probe from this database.
    async fn probe_row(&self, probe: &RowProbe) -> Result<ProbeAnswer, SourceError>;

    /// How the outbox stands.
    async fn status(&self) -> Result<OutboxStatus, SourceError>;

    /// The source's clock, to compare with the server's.
    async fn clock(&self) -> Result<Timestamp, SourceError>;
}
