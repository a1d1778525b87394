//! What travels through Tidings: the event envelope and its validation, ids, wire formats, cursors,
//! digests and error codes.
//!
//! Invariant: this crate knows no IO. It reads no clock and rolls no dice unless a [`Mint`] is handed to it.
#![deny(missing_docs)]

mod code;
mod envelope;
mod ids;
pub mod limits;
pub mod log;
mod mint;
mod time;

pub use code::ErrorCode;
pub use envelope::{Context, ContextKind, Data, Entity, Event, Metadata, Recorded, Source, SourceKind};
pub use ids::{
    Digest, EventId, EventType, LogId, PartitionId, Position, Salt, Sequence, TenantId, TenantNo, Text, Version,
};
pub use mint::{Mint, SystemMint};
pub use time::Timestamp;
