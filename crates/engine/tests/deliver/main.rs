//! What deliveries promise, on SQLite and PostgreSQL, against receivers that answer over HTTP.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test may panic, which clippy does not see where macros make it; what its modules share is its own affair"
)]

mod basics;
mod bench;
mod changes;
mod crashes;
mod failures;
mod memory;
mod moves;
mod nodes;
mod receiver;
mod rewinds;
#[path = "../support/mod.rs"]
mod support;
mod versions;
