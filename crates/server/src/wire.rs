//! The shapes of requests and answers, as `/openapi.json` describes them.
//!
//! Events and pages of events are written by hand where they are hot; tests hold what is written to these shapes.

mod admin;
mod event;
mod log;
mod outbox;
mod problem;

use serde_json::value::RawValue;

pub use admin::{Alive, CreatedKey, Durability, Key, KeyList, NewKey, Readiness, Role, Tenant, TenantList};
pub use event::{CloudEvent, Context, Entity, Event, EventMetadata, Events, RecordedEvent, RecordedMetadata, Source};
pub use log::{EventList, FeedPage, Receipt, Receipts, Trace, TraceNode};
pub use outbox::{
    HttpProbe, IntentState, NewIntent, Outbox, OutboxSource, OutboxSourceList, Probe, RefusalReason, RefusedRow,
    RefusedRowList, Retry, RowProbe,
};
pub use problem::{Problem, Violation};

/// A JSON object that is passed on byte for byte.
pub type Json = Box<RawValue>;
