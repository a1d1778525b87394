//! What producers and consumers of Tidings link.
//!
//! A **producer** writes an event into the outbox of its own database, in the transaction that changes its data:
//! both are committed, or neither. Tidings reads the outbox and puts each event into the log exactly once.
//!
//! A **consumer** that must have each effect exactly once remembers, in the transaction of the effect, up to which
//! sequence it has come: the inbox. See [`inbox`]. That a webhook is Tidings' own is seen by its signature: see
//! [`verify`].
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

/// Whether a webhook is Tidings' own: its signature, and the moment at which it was made.
///
/// ```
/// use tidings_outbox::verify::{VerifyError, Verifier};
///
/// // What the endpoint was given when it was made: `whsec_…`, or `whpk_…` where it is signed with Ed25519.
/// let verifier = Verifier::new(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])?;
///
/// // The headers webhook-id, webhook-timestamp and webhook-signature, the body's bytes as they came, and the clock.
/// let (id, timestamp) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330");
/// let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
/// let now_s = 1_614_265_400;
/// assert_eq!(verifier.verify(id, timestamp, signature, br#"{"test": 2432232314}"#, now_s), Ok(()));
/// assert_eq!(verifier.verify(id, timestamp, signature, br#"{"test": 2432232315}"#, now_s), Err(VerifyError::Mismatch));
/// # Ok::<(), tidings_outbox::verify::SecretError>(())
/// ```
pub mod verify {
    pub use tidings_event::signature::{
        ID_HEADER, SIGNATURE_HEADER, SecretError, TIMESTAMP_HEADER, TOLERANCE_S, Verifier, VerifyError,
    };
}

pub use content::same_content;
pub use error::Error;
pub use intent::{IntentOutcome, Probe};
pub use tidings_event as event;
#[cfg(feature = "waker")]
pub use waker::Waker;
