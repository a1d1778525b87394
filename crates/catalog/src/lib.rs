//! The published language of a product: which types of events there are, who owns them, what their data looks like,
//! how it may change, and what is generated from that.
//!
//! Invariant: nothing here does IO, reads a clock or rolls dice. Files come in as texts with their paths, moments as
//! arguments; reports and texts go out as values.
#![deny(missing_docs)]

pub mod check;
pub mod compat;
pub mod convert;
pub mod definition;
pub mod diff;
mod document;
pub mod entry;
pub mod examine;
pub mod folder;
pub mod generate;
pub mod governance;
pub mod infer;
pub mod judge;
pub mod limits;
pub mod lineage;
pub mod mint;
pub mod names;
pub mod ownership;
pub mod pointer;
pub mod reach;
pub mod report;
mod rules;
pub mod schema;
pub mod site;
pub mod source;
#[cfg(test)]
mod testing;
mod transitions;
