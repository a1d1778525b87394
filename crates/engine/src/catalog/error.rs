//! Why something that was asked of the catalog is not done.

use tidings_event::{ErrorCode, Violation};

use crate::AppendError;
use crate::error::store_code;

/// Why something that was asked of the catalog is not done.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CatalogError {
    /// The tenant has no event in quarantine with this number.
    #[error("there is no such event in quarantine")]
    QuarantinedNotFound,
    /// A service tried to change what it does not own.
    #[error("{}", .0.first().map_or("the key may not change this", |first| first.message.as_str()))]
    NotOwned(Vec<Violation>),
    /// Others changed the catalog again and again while this change was checked.
    #[error("others are changing the catalog")]
    Busy,
    /// The catalog holds as much as it may.
    #[error("the catalog may hold {max} {what}")]
    Full {
        /// Of what, like `types`.
        what: &'static str,
        /// How many it may hold.
        max: usize,
    },
    /// One change is too large.
    #[error("one change may have {max} {what}")]
    TooLarge {
        /// Of what it has too many, like `entries`.
        what: &'static str,
        /// How many it may have.
        max: usize,
    },
    /// A name or a reason holds a control character, which no entry has and not every database can keep.
    #[error("names and reasons must not hold control characters")]
    ControlCharacter,
    /// A cursor was not given out by the list that it is handed to.
    #[error("the cursor was not made for this list")]
    Cursor,
    /// An event could not be appended.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The storage failed. Whether a change was made is not known where its error says so.
    #[error(transparent)]
    Store(#[from] tidings_store::Error),
    /// The engine takes nothing in any more.
    #[error("the engine is shutting down")]
    ShuttingDown,
}

impl CatalogError {
    /// The code that a caller from outside is answered with.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::QuarantinedNotFound => ErrorCode::QuarantinedNotFound,
            Self::NotOwned(_) => ErrorCode::Forbidden,
            Self::Busy => ErrorCode::CatalogBusy,
            Self::Full { .. } => ErrorCode::CatalogFull,
            Self::TooLarge { .. } => ErrorCode::BodyTooLarge,
            Self::ControlCharacter => ErrorCode::DefinitionInvalid,
            Self::Cursor => ErrorCode::CursorInvalid,
            Self::Append(error) => error.code(),
            Self::Store(error) => store_code(error),
            Self::ShuttingDown => ErrorCode::Unavailable,
        }
    }
}
