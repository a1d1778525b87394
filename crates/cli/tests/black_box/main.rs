//! The binary from outside: real processes, real sockets, real files.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it must be")]

mod config;
mod demo;
mod doctor;
mod emit;
mod guide;
mod help;
mod manage;
mod outbox;
mod serve;
mod support;
mod tail;
