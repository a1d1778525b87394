//! Every decision of Tidings: what an append writes, where a tenant lives, whether an event matches a pattern, what
//! becomes of an intent, when to look again.
//!
//! Invariant: nothing here is asynchronous, knows SQL or HTTP, reads a clock or rolls dice. Time and facts come in
//! as arguments, decisions go out as values, and whoever asked carries them out.
#![deny(missing_docs)]

pub mod append;
pub mod books;
pub mod deliver;
pub mod index;
mod json;
pub mod lease;
pub mod limits;
pub mod pace;
pub mod pattern;
pub mod place;
pub mod quota;
pub mod reconcile;
pub mod trace;
