//! The binary from outside: real processes, real sockets, real files.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it must be")]

mod catalog;
mod config;
mod demo;
mod doctor;
mod emit;
mod endpoints;
mod guide;
mod help;
mod listen;
mod manage;
mod outbox;
mod receiver;
mod serve;
mod support;
mod tail;
mod verify_consumer;
