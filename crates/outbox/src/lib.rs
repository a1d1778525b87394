//! What producers and consumers of Tidings link.
//!
//! A **producer** writes an event into the outbox of its own database, in the transaction that changes its data:
//! both are committed, or neither. Tidings reads the outbox and puts each event into the log exactly once.
//!
//! A **consumer** that must have each effect exactly once remembers, in the transaction of the effect, up to which
//! sequence it has come: the inbox. See [`inbox`].
//!
//! | your transaction | module | feature |
//! | --- | --- | --- |
//! | `rusqlite::Transaction` | [`rusqlite`] | `rusqlite` |
//! | `tokio_postgres::Transaction` | [`tokio_postgres`] | `tokio-postgres` |
//! | `sqlx::Transaction<Postgres>` | [`sqlx`] | `sqlx` |
//!
//! The tables are a public contract with a version ([`sql`]); any language may `INSERT` into them.
//!
//! Invariant: this crate knows no server, and no connection but the caller's.
#![deny(missing_docs)]

mod content;
mod error;
pub mod inbox;
mod intent;
#[cfg(feature = "rusqlite")]
pub mod rusqlite;
pub mod sql;
#[cfg(feature = "sqlx")]
pub mod sqlx;
#[cfg(feature = "tokio-postgres")]
pub mod tokio_postgres;
#[cfg(feature = "waker")]
mod waker;

pub use content::same_content;
pub use error::Error;
pub use intent::{IntentOutcome, Probe};
pub use tidings_event as event;
#[cfg(feature = "waker")]
pub use waker::Waker;
