//! Several nodes in one thread, over simulated time, storage, network and peers, told by a seed and judged by a checker.
//!
//! What runs is real: the engine with all its tasks, the decisions, and every SQL statement of the SQLite store. What is
//! simulated is all that lies around it: the clocks, the dice, the way to the database and its failures, producers'
//! databases, endpoints, the bus, and the moment at which a node is killed. Two runs of one seed write the same trace, byte
//! for byte; so a seed that fails is a bug that can be looked at as often as needed.
//!
//! Each node has a runtime of its own with paused time, and all are let run in turns for a few milliseconds. A node that
//! is killed loses its runtime, and with it every task wherever it stands; one that is paused is not let run.
//!
//! Development only: no crate of the product depends on this one.

#![allow(unreachable_pub, reason = "modules share what is public here; the crate shows what is exported below")]

mod bus;
mod check;
mod clients;
mod dice;
mod ledger;
mod node;
mod outbox;
mod place;
mod plan;
mod receivers;
mod report;
mod run;
mod sabotage;
mod store;
mod universe;

pub use report::{Outcome, Report};
pub use run::{simulate, simulate_without};
pub use sabotage::Sabotage;
