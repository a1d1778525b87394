//! What tests need around the code under test: an ephemeral PostgreSQL and NATS, free ports, and child processes that never
//! outlive their test.
//!
//! Invariant: development only. No crate of the product depends on it, except as a dev-dependency. Everything here
//! panics with a clear text when it cannot do what a test asked for.

mod database;
mod nats;
mod output;
mod pgbouncer;
mod port;
mod postgres;
mod process;

pub use database::Database;
pub use nats::Nats;
pub use output::Output;
pub use pgbouncer::Pgbouncer;
pub use port::free_port;
pub use postgres::{Postgres, PostgresOptions};
pub use process::Process;

/// Names the administrator's URL of a PostgreSQL that runs already, so that each test process need not start one.
///
/// `with-postgres COMMAND…` starts a server, sets this variable for the command, and ends the server with it.
pub const POSTGRES_URL_VARIABLE: &str = "TIDINGS_TEST_POSTGRES";

/// Names the program of a NATS server that tests run, instead of those that are installed.
pub const NATS_SERVER_VARIABLE: &str = "TIDINGS_TEST_NATS";
