//! Chaos: several nodes, PostgreSQL and NATS as real processes, every connection between them behind a proxy that can
//! break it, producers and consumers of all kinds, a seeded schedule of faults, and a checker that reconciles every
//! event that was accepted with every consumer.
//!
//! Invariant: development only, and it knows the product from outside alone: its HTTP API, its deliveries, its tables.
//! It links no crate that decides anything, so that it cannot inherit a mistake.
//!
//! What is not made here: a jump of the wall clock, which would need the processes' own system calls to be changed (the
//! simulation has that), and a disk that is slow by itself: a database whose processes stand still and go on in turns
//! takes its place.

mod api;
mod audit;
mod books;
mod changes;
mod check;
mod cluster;
mod direct;
mod disk;
mod faults;
mod handover;
mod history;
mod inject;
mod ledger;
mod nats;
mod node;
mod outside;
mod owners;
mod producers;
mod proxy;
mod readers;
mod receiver;
mod repeats;
mod report;
mod run;
mod schedule;
mod settings;
mod watch;

pub use report::{Handover, Report, Verdict};
pub use run::{Options, run};
