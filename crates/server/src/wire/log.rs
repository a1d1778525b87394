//! What the log answers: receipts, pages, traces.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::RecordedEvent;

/// What became of the events that were sent.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Receipts {
    /// One for each event, in the order they were sent.
    pub results: Vec<Receipt>,
}

/// Where an event stands in the log.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The event's id.
    #[schema(example = "01JD8Q4M6T1V9S0Z3N7R5K2W4X")]
    pub id: String,
    /// Its tenant.
    #[schema(example = "acme")]
    pub tenant: String,
    /// Its number in its tenant; for a duplicate the one it got at first.
    #[schema(minimum = 1, example = 7)]
    pub sequence: u64,
    /// Whether the same event was in the log before.
    pub duplicate: bool,
}

/// A page of a tenant's feed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FeedPage {
    /// Events in order of sequence. With `format=cloudevents` they are structured CloudEvents.
    pub events: Vec<RecordedEvent>,
    /// Where to go on reading. Always given, also with an empty page.
    pub cursor: String,
    /// Whether the reader had seen all there was when the page was made.
    pub up_to_date: bool,
}

/// A page of events.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EventList {
    /// The events. With `format=cloudevents` they are structured CloudEvents.
    pub data: Vec<RecordedEvent>,
    /// Where the list goes on; `null` at its end.
    #[schema(required)]
    pub cursor: Option<String>,
}

/// An event in the tree of causes and effects.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceNode {
    /// How many causes stand above the event: 0 where its cause is unknown, or it has none.
    #[schema(example = 0)]
    pub depth: u32,
    /// The event. It was caused by the last event before it whose depth is one less.
    pub event: RecordedEvent,
}

/// The trees of causes and effects that an event belongs to, in depth-first order.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Trace {
    /// The id of the event that was asked for.
    pub event_id: String,
    /// The events, each after its cause.
    pub nodes: Vec<TraceNode>,
    /// Whether there are more events than one answer holds.
    pub truncated: bool,
}
