//! The bus: what nodes tell each other beside the log, so that nobody has to poll for it, and what outside consumers
//! may subscribe to. One narrow trait, [`Bus`]; [`nats`] is the implementation.
//!
//! Invariant: everything here may be lost, repeated, reordered, purged or rewound, and nothing is lost by it. The log
//! is the truth; whoever finds a hole on the bus reads it from the log.

use async_trait::async_trait;
use bytes::Bytes;
use tidings_event::{Digest, PartitionId, Position, Recorded, Revision};
use tokio::sync::broadcast;

mod message;
pub mod nats;
mod poke;
mod subject;

pub use message::SealKey;
pub use subject::{
    PREFIX_CHARS_MAX, Prefix, PrefixError, SUBJECT_BYTES_MAX, event_subject, stream_name, tenant_of_token, tenant_token,
};

/// A hint to other nodes that there is something to look at.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Poke {
    /// A partition's log reaches as far as this position, or further.
    Partition(PartitionId, Position),
    /// The subscriptions of a partition were changed.
    Subscriptions(PartitionId),
    /// There may be something in the outbox of the source with this name.
    Source(String),
    /// The catalog changed.
    Catalog,
    /// A key was revoked, or is new.
    Keys,
    /// Leases were given back: whoever waits for one may claim it.
    Leases,
}

/// Where a partition's stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamEnd {
    /// The broker's own number of its last message; proved by the next one that is published.
    pub message: u64,
    /// The position of its first message; none where that is not an event of this log.
    pub first: Option<Position>,
    /// What its last message is.
    pub last: Last,
}

/// The last message of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// There is none: the stream is new, or was emptied.
    None,
    /// An event of this log. Whether the log still says so is the caller's to check: the stream knows nothing of a log
    /// that was put back to an earlier state.
    Event {
        /// Its position.
        position: Position,
        /// Its digest.
        digest: Digest,
    },
    /// Something else: an event of another log, or nothing of ours at all.
    Foreign,
}

/// An event to be published.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The event.
    pub recorded: &'a Recorded,
    /// Its native JSON.
    pub json: &'a Bytes,
}

/// Events of one partition that were heard together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heard {
    /// The events, in the order in which they came.
    pub events: Vec<Recorded>,
    /// Covers every change of subscriptions that was made before the last of them was appended.
    pub revision: Revision,
}

/// How the bus stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BusHealth {
    /// Whether there is a connection right now.
    pub connected: bool,
    /// Settings in force, by the broker's own names, like `version=2.10.1` or `replicas=1`.
    pub settings: Vec<(String, String)>,
    /// What is weaker than it should be, in words.
    pub warnings: Vec<String>,
}

/// Why the bus did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// The broker cannot be reached, does not answer in time, or refuses. Nothing depends on it.
    #[error("the bus is not available: {0}")]
    Unavailable(String),
    /// The stream does not end where the publisher thought: somebody else published, or it was deleted or rewound. Ask
    /// for its end and go on from there.
    #[error("the stream is not where it was")]
    Moved,
}

/// The answer of the bus.
pub type Result<T, E = BusError> = std::result::Result<T, E>;

/// What nodes of one log tell each other. Made for one log: what is of another is never handed out. Nothing here waits
/// without a bound, whatever the broker does.
#[async_trait]
pub trait Bus: std::fmt::Debug + Send + Sync + 'static {
    /// Whether there is a connection right now. Cheap.
    fn is_connected(&self) -> bool;

    /// Tells all other nodes. Never waits; what cannot be told at once is dropped.
    fn poke(&self, pokes: &[Poke]);

    /// What other nodes tell. A receiver that lags loses the oldest.
    fn pokes(&self) -> broadcast::Receiver<Poke>;

    /// Where a partition's stream ends. Makes the stream where there is none.
    async fn end(&self, partition: PartitionId) -> Result<StreamEnd>;

    /// Writes events of one partition, in order of position, behind the message with number `behind`, with the revision of
    /// the partition's subscriptions under which the last of them was appended, or a later one; returns the number
    /// of the last one. Where the stream ends elsewhere, at most those are written that follow its end all the same. On any
    /// error it is not known how much was written.
    async fn publish(
        &self,
        partition: PartitionId,
        behind: u64,
        revision: Revision,
        events: &[Entry<'_>],
    ) -> Result<u64>;

    /// Empties a partition's stream, so that it can begin anew; returns the number of the last message it ever had.
    async fn clear(&self, partition: PartitionId) -> Result<u64>;

    /// Hears what is published of a partition from now on.
    async fn follow(&self, partition: PartitionId) -> Result<Box<dyn Follow>>;

    /// How the bus stands.
    async fn health(&self) -> BusHealth;

    /// Sends what is still to be sent and closes the connection.
    async fn close(&self);
}

/// One hearer of one partition.
#[async_trait]
pub trait Follow: Send {
    /// What comes next, at least one event: it may repeat, skip or go back. Waits while the bus is away. Safe to drop.
    async fn next(&mut self) -> Result<Heard>;
}
