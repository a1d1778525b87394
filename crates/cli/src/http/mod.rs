//! The HTTP client of the commands: requests, problems, retries, event streams.

mod client;
mod error;
pub(crate) mod feed;
pub(crate) mod outward;
pub(crate) mod retry;
pub(crate) mod sse;

pub(crate) use client::{Api, segment};
pub(crate) use error::{Error, Problem, Violation};
