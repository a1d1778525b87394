//! What the crate promises, tested through its public face.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may fail where it stands, and says why it is skipped"
)]

mod cloudevents;
mod cursor;
mod digest;
mod given;
mod problem;
mod rejections;
mod round_trips;
mod scanner;
mod schema;
mod writing;
