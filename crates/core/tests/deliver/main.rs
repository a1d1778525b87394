//! What the router and its lanes promise, tested without a network, a database or a clock.
#![allow(unreachable_pub, clippy::unwrap_used, reason = "tests")]

mod cost;
mod model;
mod promises;
mod store;
mod world;
