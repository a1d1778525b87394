//! The words in which the store and the append decision speak to each other.
//!
//! An append is one transaction: the store locks the partition's head, reads an [`AppendView`], the decision turns
//! it into an [`AppendPlan`], and the store writes the plan. The store decides nothing; the decision reads nothing.

use std::collections::HashMap;

use std::sync::Arc;

use crate::{
    Entity, Event, EventId, EventType, PartitionId, Position, Recorded, Sequence, TenantNo, Timestamp, Violation,
};

/// What an append must know before it can be decided.
#[derive(Debug, Clone, Default)]
pub struct AppendKeys {
    /// The tenants whose heads are needed, each once.
    pub tenants: Vec<TenantNo>,
    /// The ids that may be present already, each once.
    pub ids: Vec<(TenantNo, EventId)>,
    /// The entities whose newest event of some types is needed, each once.
    pub entities: Vec<EntityKey>,
}

/// An entity, and the types of its events that are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EntityKey {
    /// Whose it is.
    pub tenant: TenantNo,
    /// Which.
    pub entity: Entity,
    /// The types, 1 to 20, each once.
    pub types: Arc<[EventType]>,
}

/// How many of an entity's events are looked through, newest first, for one of the types that are asked for.
pub const ENTITY_LOOK_BACK: usize = 256;

/// What the log holds of an entity.
#[derive(Debug, Clone)]
pub enum Newest {
    /// Its newest event of the types.
    Event(Box<Event>),
    /// It has none of the types.
    None,
    /// None of its newest [`ENTITY_LOOK_BACK`] events is of the types; older ones were not looked at.
    Unknown,
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
    /// Where each wanted entity stands; one that is missing has no events of the types.
    pub newest: HashMap<EntityKey, Newest>,
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
    /// Rows that break a rule and are written all the same, in order of `rows`.
    pub marks: Vec<Mark>,
}

/// That a row breaks rules of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The row's place in the plan.
    pub row: usize,
    /// The broken rules; at least one.
    pub violations: Arc<[Violation]>,
}

/// What became of one request: all of its events, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every event is in the log; one receipt for each, in order.
    Appended(Vec<Receipt>),
    /// Nothing of the request was written: events whose ids are taken by other content, by index.
    Conflict(Vec<usize>),
    /// Nothing of the request was written: events that must not follow what their entities' last events said, by index.
    Refused(Vec<(usize, Vec<Violation>)>),
}

/// Where an event stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Its sequence: for a duplicate, the first one.
    pub sequence: Sequence,
    /// Whether it was there before.
    pub duplicate: bool,
}
