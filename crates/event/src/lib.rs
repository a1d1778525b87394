//! What travels through Tidings: the event envelope and its validation, ids, wire formats, cursors,
//! digests and error codes.
//!
//! Invariant: this crate knows no IO. It reads no clock and rolls no dice unless a [`Mint`] is handed to it.
#![deny(missing_docs)]

pub mod cloudevents;
mod code;
mod cursor;
pub mod delivery;
mod digest;
mod envelope;
mod ids;
pub mod json;
pub mod limits;
pub mod log;
mod mint;
mod parse;
mod problem;
mod render;
pub mod signature;
mod time;
mod violation;

pub use code::ErrorCode;
pub use cursor::{Cursor, CursorError, CursorKey, CursorSealer, FilterHash, TenantHash};
pub use digest::{canonical_form, digest, hash_content, hash_data};
pub use envelope::{Context, ContextKind, Data, Entity, Event, Metadata, Recorded, Source, SourceKind};
pub use ids::{
    Digest, EndpointId, EndpointNo, Epoch, EventId, EventType, LaneNo, LogId, PartitionId, Position, ReplayNo,
    Revision, Salt, Sequence, TenantId, TenantNo, Text, TextError, Version,
};
pub use mint::{Mint, SystemMint};
pub use parse::{Batch, parse_batch, parse_event, parse_own_event};
pub use problem::{ERROR_PAGES, Problem};
pub use time::{Timestamp, TimestampError};
pub use violation::{Rejection, VIOLATION_CODES, Violation, code as violation_code};
