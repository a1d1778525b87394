//! What the router and its lanes promise, tested without a network, a database or a clock.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::manual_is_multiple_of, reason = "tests")]

mod failing;
mod model;
mod promises;
mod scene;
mod store;
mod world;
