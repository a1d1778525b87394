//! What a caller can act on, and the public code of each.

use tidings_event::{ErrorCode, Sequence};
use tidings_store::SourceError;

/// Why events were not appended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// The ids of these events (by index in the call) are taken by other content. Nothing of their tenants was
    /// written.
    #[error("{} of the events have an id that is taken by other content", indexes.len())]
    Conflict {
        /// Positions in the call, rising.
        indexes: Vec<usize>,
    },
    /// The queue is full; nothing was written.
    #[error("the queue of appends is full")]
    Overloaded,
    /// The engine takes nothing in any more; nothing was written.
    #[error("the engine is shutting down")]
    ShuttingDown,
    /// The storage failed. Sending the same events with the same ids again is safe, whatever happened.
    #[error(transparent)]
    Store(#[from] tidings_store::Error),
}

impl AppendError {
    /// The code that a caller from outside is answered with.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Conflict { .. } => ErrorCode::EventIdConflict,
            Self::Overloaded => ErrorCode::Overloaded,
            Self::ShuttingDown => ErrorCode::Unavailable,
            Self::Store(error) => store_code(error),
        }
    }
}

/// Why a feed cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FeedError {
    /// Retention erased what the position points at.
    #[error("events before sequence {oldest} were erased")]
    Expired {
        /// The oldest sequence that can still be read.
        oldest: Sequence,
    },
    /// The position lies beyond the end of the log: it is of another life of the log.
    #[error("the position is beyond the end of the log")]
    Rewound,
    /// The storage failed; the reader stays where it was and can be asked again.
    #[error(transparent)]
    Store(#[from] tidings_store::Error),
}

impl FeedError {
    /// The code that a caller from outside is answered with.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Expired { .. } => ErrorCode::CursorExpired,
            Self::Rewound => ErrorCode::LogRewound,
            Self::Store(error) => store_code(error),
        }
    }
}

/// Why anything else failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The storage failed.
    #[error(transparent)]
    Store(#[from] tidings_store::Error),
    /// A source failed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// There is no source of this name in the configuration.
    #[error("there is no source of this name")]
    SourceNotFound,
    /// The source key is taken by another intent, or by an event with other content.
    #[error("the source key is taken by other content")]
    IntentConflict,
    /// The engine takes nothing in any more.
    #[error("the engine is shutting down")]
    ShuttingDown,
}

impl Error {
    /// The code that a caller from outside is answered with.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Store(error) => store_code(error),
            Self::Source(SourceError::Unavailable(_) | SourceError::NotInstalled(_)) => ErrorCode::SourceUnavailable,
            Self::Source(SourceError::Broken(_)) => ErrorCode::Internal,
            Self::SourceNotFound => ErrorCode::SourceNotFound,
            Self::IntentConflict => ErrorCode::IntentConflict,
            Self::ShuttingDown => ErrorCode::Unavailable,
        }
    }
}

pub(crate) fn store_code(error: &tidings_store::Error) -> ErrorCode {
    match error {
        tidings_store::Error::Unavailable { .. } => ErrorCode::StorageUnavailable,
        tidings_store::Error::Unusable(_) | tidings_store::Error::Broken(_) => ErrorCode::Internal,
    }
}
