//! The words in which the store and the append decision speak to each other.
//!
//! An append is one transaction: the store locks the partition's head, reads an [`AppendView`], the decision turns
//! it into an [`AppendPlan`], and the store writes the plan. The store decides nothing; the decision reads nothing.

use std::collections::HashMap;

use crate::{Event, EventId, PartitionId, Position, Recorded, Sequence, TenantNo, Timestamp};

/// What an append must know before it can be decided.
#[derive(Debug, Clone, Default)]
pub struct AppendKeys {
    /// The tenants whose heads are needed, each once.
    pub tenants: Vec<TenantNo>,
    /// The ids that may be present already, each once.
    pub ids: Vec<(TenantNo, EventId)>,
}

/// What the store holds, read after the partition's head row was locked.
#[derive(Debug, Clone)]
pub struct AppendView {
    /// The partition.
    pub partition: PartitionId,
    /// The partition's last position.
    pub position: Position,
    /// When the row at that position was recorded; the next must not be earlier.
    pub recorded_at: Timestamp,
    /// Each wanted tenant's last sequence.
    pub sequences: HashMap<TenantNo, Sequence>,
    /// The wanted ids that are present, with what is recorded under them.
    pub existing: HashMap<(TenantNo, EventId), Existing>,
}

/// An event that the log holds already.
#[derive(Debug, Clone)]
pub struct Existing {
    /// Its sequence.
    pub sequence: Sequence,
    /// The event; compared with what is sent again.
    pub event: Event,
}

/// What the transaction writes, and what each caller is told once it has committed.
#[derive(Debug, Clone, Default)]
pub struct AppendPlan {
    /// New rows in order of position, without a gap after the view's position.
    pub rows: Vec<Recorded>,
    /// One verdict for each request, in order.
    pub verdicts: Vec<Verdict>,
}

/// What became of one request: all of its events, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every event is in the log; one receipt for each, in order.
    Appended(Vec<Receipt>),
    /// Nothing of the request was written: events whose ids are taken by other content, by index.
    Conflict(Vec<usize>),
}

/// Where an event stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Its sequence: for a duplicate, the first one.
    pub sequence: Sequence,
    /// Whether it was there before.
    pub duplicate: bool,
}
