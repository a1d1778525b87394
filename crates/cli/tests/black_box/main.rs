//! The binary from outside: real processes, real sockets, real files.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it must be")]

mod backup;
mod bus;
mod catalog;
mod config;
mod demo;
mod deploy;
mod doctor;
mod emit;
mod endpoints;
mod guide;
mod help;
mod listen;
mod logs;
mod manage;
mod measures;
mod outbox;
mod receiver;
mod serve;
mod support;
mod tail;
mod top;
mod traces;
mod verify_consumer;
