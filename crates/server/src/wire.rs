//! The shapes of requests and answers, as `/openapi.json` describes them.
//!
//! Events and pages of events are written by hand where they are hot; tests hold what is written to these shapes.

mod admin;
mod catalog;
mod dead_letter;
mod definition;
mod delivery;
mod endpoint;
mod event;
mod lane;
mod limits;
mod log;
mod node;
mod outbox;
mod problem;
mod quarantine;
mod replay;

use serde_json::value::RawValue;

pub use admin::{
    Alive, BusReadiness, CreatedKey, Durability, Key, KeyList, Move, NewKey, NewMove, Readiness, Role, ShardReadiness,
    Tenant, TenantList,
};
pub use catalog::{
    Blinded, CatalogChange, CatalogChanged, CatalogEntry, CatalogEntryList, CatalogReport, CatalogRevision,
    CatalogRevisionList, CheckedEntry, DefinitionInLog, EntryName, Finding, InvalidSample, Lineage, LineageList,
    LogCheck, LogReport, Override, Publisher, SentDefinition, SentPolicy, SentSet, SentSource, Subscriber, Trial,
};
pub use dead_letter::{Count, DeadLetter, DeadLetterFilter, DeadLetterList};
pub use definition::{
    Classification, ConversionTest, Definition, Downcast, EntityRule, EventType, EventTypeList, EventTypeVersion,
    Example, Lifecycle, Policy, PolicyList, ReferenceSet, ReferenceSetList, ReferenceSetSummary, Rule, Transitions,
    Upcast,
};
pub use delivery::{Attempt, AttemptList, EndpointStats, Exchange, Explanation, FailedFilter, Latency, StatsWindow};
pub use endpoint::{
    CloudEventsMode, CreatedEndpoint, Endpoint, EndpointChanges, EndpointFormat, EndpointList, NewEndpoint,
    NewRotation, Ordering, RotatedSecret, Secret, SecretList, Signature, TestSample, WantedStatus,
};
pub use event::{CloudEvent, Context, Entity, Event, EventMetadata, Events, RecordedEvent, RecordedMetadata, Source};
pub use lane::{Lane, LaneList};
pub use limits::{Limits, LimitsInForce, TenantLimits};
pub use log::{EventList, FeedPage, Receipt, Receipts, Trace, TraceNode};
pub use node::{Node, NodeLease, NodeList};
pub use outbox::{
    HttpProbe, IntentState, NewIntent, Outbox, OutboxSource, OutboxSourceList, Probe, RefusalReason, RefusedRow,
    RefusedRowList, Retry, RowProbe,
};
pub use problem::{Problem, Violation};
pub use quarantine::{
    Discarded, MarkedEvent, MarkedEventList, QuarantineFilter, QuarantineRedrive, Quarantined, QuarantinedList,
    Redriven,
};
pub use replay::{Backtest, BacktestQuery, Moment, NewReplay, Replay, ReplayList, ReplayStarted};

/// A JSON object that is passed on byte for byte.
pub type Json = Box<RawValue>;
