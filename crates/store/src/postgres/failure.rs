//! What PostgreSQL's errors mean to a caller.

use deadpool_postgres::PoolError;
use tokio_postgres::error::Severity;

use super::address::describe;
use crate::Error;

impl From<tokio_postgres::Error> for Error {
    /// What an error means outside of a commit, where nothing was written.
    fn from(error: tokio_postgres::Error) -> Self {
        let reason = describe(&error);
        let Some(code) = error.code() else {
            // Not the server's word: the connection was lost, or never came about. A value that does not decode is
            // the exception.
            return if error.is_closed() || is_io(&error) { Self::unavailable(reason) } else { Self::Broken(reason) };
        };
        match code.code() {
            // Read-only: a replica, or a server that is being moved. A later connection may reach the primary.
            "25006" => Self::unavailable(format!("the database takes no writes: {reason}")),
            // Waited too long for a lock; a deadlock; a serialization failure.
            "55P03" | "40P01" | "40001" => Self::unavailable(reason),
            "28000" | "28P01" | "3D000" | "42501" => Self::Unusable(reason),
            "XX001" | "XX002" => Self::Unusable(reason),
            // Connection, resources (no room, too many connections), operator (shutdown, timeouts), system.
            other => match &other[..2] {
                "08" | "53" | "57" | "58" => Self::unavailable(reason),
                _ => Self::Broken(reason),
            },
        }
    }
}

/// What an error of the flight that carries the commit means: unless the server said in so many words that the
/// statement failed and it goes on, nobody knows whether it committed.
pub(super) fn of_commit(error: tokio_postgres::Error) -> Error {
    let refused = error.as_db_error().is_some_and(|db| matches!(db.parsed_severity(), Some(Severity::Error)));
    if refused {
        return error.into();
    }
    Error::Unavailable { reason: describe(&error), ambiguous: true }
}

pub(super) fn of_pool(error: PoolError) -> Error {
    use deadpool_postgres::{HookError, TimeoutType};
    match error {
        PoolError::Timeout(TimeoutType::Wait) => Error::unavailable("all connections are busy"),
        PoolError::Timeout(_) => Error::unavailable("the database does not answer"),
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => error.into(),
        PoolError::Closed => closed(),
        PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => Error::Broken(error.to_string()),
    }
}

pub(super) fn closed() -> Error {
    Error::unavailable("the store is closed")
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    use std::error::Error as _;
    // A connect timeout, a TLS handshake and a refused connection have other causes than a conversion has.
    let conversion = error.source().is_some_and(|source| source.is::<tokio_postgres::types::WrongType>())
        || error.to_string().contains("deserializing")
        || error.to_string().contains("serializing");
    !conversion
}
