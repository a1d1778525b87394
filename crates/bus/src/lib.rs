//! The bus: what nodes tell each other beside the log, so that nobody has to poll for it. One narrow trait, [`Bus`].
//!
//! Invariant: everything here may be lost, repeated, reordered, purged or rewound, and nothing is lost by it. The log
//! is the truth; whoever finds a hole on the bus reads it from the log.

use async_trait::async_trait;
use tidings_event::{PartitionId, Position, Recorded};
use tokio::sync::broadcast;

/// A hint to other nodes that there is something to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Poke {
    /// A partition's log or its subscriptions moved; it is at this position or beyond.
    Partition(PartitionId, Position),
    /// There may be something in the outbox of the source with this name.
    Source(String),
    /// The catalog changed.
    Catalog,
    /// Keys changed.
    Keys,
    /// Leases were given back: whoever waits for one may claim it.
    Leases,
}

/// Where a partition's stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamEnd {
    /// The last position of this log in it; zero where it holds none.
    pub position: Position,
    /// The broker's own number of its last message; proved by the next one that is published.
    pub message: u64,
}

/// How the bus stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BusHealth {
    /// Whether there is a connection right now.
    pub connected: bool,
    /// Settings in force, by the broker's own names, like `version=2.10.1` or `sync_interval=2m`.
    pub settings: Vec<(String, String)>,
    /// What is weaker than it should be, in words.
    pub warnings: Vec<String>,
}

/// Why the bus did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// The broker cannot be reached or does not answer in time. Nothing depends on it.
    #[error("the bus is not available: {0}")]
    Unavailable(String),
    /// The stream does not end where the publisher thought: somebody else published, or it was purged or rewound. Ask
    /// for its end and go on from there.
    #[error("the stream is not where it was")]
    Moved,
}

/// The answer of the bus.
pub type Result<T, E = BusError> = std::result::Result<T, E>;

/// What nodes of one log tell each other. Made for one log: messages of another are never handed out.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Tells all other nodes. Never waits; what cannot be told at once is dropped.
    fn poke(&self, poke: Poke);

    /// What other nodes tell. A receiver that lags loses the oldest.
    fn pokes(&self) -> broadcast::Receiver<Poke>;

    /// Where a partition's stream ends.
    async fn end(&self, partition: PartitionId) -> Result<StreamEnd>;

    /// Writes events of one partition, in order of position, behind `end`; returns where the stream ends then. Where the
    /// stream ends elsewhere, nothing or a first part is written and the answer is [`BusError::Moved`].
    async fn publish(&self, partition: PartitionId, end: StreamEnd, events: &[Recorded]) -> Result<StreamEnd>;

    /// Begins to read a partition's stream near a position; what comes first may lie before or after it.
    async fn follow(&self, partition: PartitionId, after: Position) -> Result<Box<dyn Follow>>;

    /// How the bus stands.
    async fn health(&self) -> BusHealth;

    /// Sends what is still to be sent and closes the connection.
    async fn close(&self);
}

/// One reader of one partition's stream.
#[async_trait]
pub trait Follow: Send {
    /// What comes next, at least one event, in the order of the stream: it may repeat, skip or go back. Safe to drop.
    async fn next(&mut self) -> Result<Vec<Recorded>>;
}
