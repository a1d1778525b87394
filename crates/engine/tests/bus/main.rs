//! What the bus promises, over a real broker, on SQLite and PostgreSQL.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test may panic, which clippy does not see where macros make it; what its modules share is its own affair"
)]

mod broken;
mod hints;
mod nodes;
#[path = "../deliver/receiver.rs"]
#[allow(dead_code, reason = "these tests use a part of it")]
mod receiver;
mod streams;
#[path = "../support/mod.rs"]
mod support;
mod world;
