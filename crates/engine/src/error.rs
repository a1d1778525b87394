//! What a caller can act on, and the public code of each.

use tidings_event::{ErrorCode, Sequence, Violation};
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
    /// Events break the catalog's rules, and nothing of their tenants was written.
    #[error("{}", detail("break rules of the catalog", violations))]
    Rejected {
        /// The broken rules of each such event by its position in the call, rising.
        violations: Vec<(usize, Vec<Violation>)>,
    },
    /// Events break the catalog's rules and are kept aside; nothing of their tenants was written.
    #[error("{}", detail("break rules of the catalog and are kept aside", violations))]
    Quarantined {
        /// The broken rules of each such event by its position in the call, rising.
        violations: Vec<(usize, Vec<Violation>)>,
    },
    /// Events were emitted on behalf of others; nothing was written.
    #[error("{}", detail("were emitted on behalf of others", violations))]
    NotOwned {
        /// Why, for each such event by its position in the call, rising.
        violations: Vec<(usize, Vec<Violation>)>,
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
            Self::Rejected { .. } => ErrorCode::EventRejected,
            Self::Quarantined { .. } => ErrorCode::EventQuarantined,
            Self::NotOwned { .. } => ErrorCode::Forbidden,
            Self::Overloaded => ErrorCode::Overloaded,
            Self::ShuttingDown => ErrorCode::Unavailable,
            Self::Store(error) => store_code(error),
        }
    }
}

/// How many events of a call are stopped for such a reason, and the first broken rule in words.
fn detail(what: &str, violations: &[(usize, Vec<Violation>)]) -> String {
    let first = violations.iter().flat_map(|(_, violations)| violations).next();
    let first = first.map_or_else(String::new, |first| format!(": {}: {}", first.path, first.message));
    format!("{} of the events {what}{first}", violations.len())
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
    /// The intent's event would not be taken.
    #[error(transparent)]
    Refused(AppendError),
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
            Self::Refused(error) => error.code(),
            Self::ShuttingDown => ErrorCode::Unavailable,
        }
    }
}

pub(crate) fn store_code(error: &tidings_store::Error) -> ErrorCode {
    match error {
        // A tenant that moved is found in its new place when the call is made again.
        tidings_store::Error::Unavailable { .. } | tidings_store::Error::Moved(_) => ErrorCode::StorageUnavailable,
        tidings_store::Error::Unusable(_) | tidings_store::Error::Behind(_) | tidings_store::Error::Broken(_) => {
            ErrorCode::Internal
        }
    }
}
