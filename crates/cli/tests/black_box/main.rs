//! The binary from outside: real processes, real sockets, real files.

mod config;
mod demo;
mod doctor;
mod emit;
mod help;
mod manage;
mod outbox;
mod serve;
mod support;
mod tail;
