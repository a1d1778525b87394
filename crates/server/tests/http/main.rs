//! The HTTP API from outside: a real server on a free port over a real store. Every answer that any test gets is held
//! to the OpenAPI document.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::needless_pass_by_value, reason = "so that tests can write documents where they use them")]

mod access;
mod admin;
mod against_log;
mod bounds;
mod catalog;
mod contract;
mod dead_letters;
mod delivery;
mod emit;
mod endpoints;
mod failures;
mod feed;
mod intents;
mod judged;
mod lanes;
mod limits;
mod moves;
mod nodes;
mod outbox;
mod quarantine;
mod replays;
mod search;
mod stream;
mod support;
