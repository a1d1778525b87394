//! The published language of a product: which types of events there are, who owns them, what their data looks like,
//! how it may change, and what is generated from that.
//!
//! Invariant: nothing here does IO, reads a clock or rolls dice. Files come in as texts with their paths, moments as
//! arguments; reports and texts go out as values.
#![deny(missing_docs)]

pub mod definition;
mod document;
pub mod entry;
pub mod judge;
pub mod limits;
pub mod lineage;
pub mod ownership;
pub mod pointer;
pub mod report;
mod rules;
pub mod schema;
pub mod source;
#[cfg(test)]
mod testing;
mod transitions;
