//! Why something that was asked of an endpoint is not done.

use tidings_event::{ErrorCode, Sequence, Violation};

use crate::error::store_code;

/// Why something that was asked of an endpoint is not done.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EndpointError {
    /// The tenant has no endpoint of this id.
    #[error("there is no such endpoint")]
    NotFound,
    /// What was asked for breaks rules.
    #[error("{}", detail(.0))]
    Invalid(Vec<Violation>),
    /// There are as many as there may be.
    #[error("there are {max} of these, which is as many as there may be")]
    LimitReached {
        /// How many there may be.
        max: u64,
    },
    /// It cannot be done as things stand; the text says why, as a sentence.
    #[error("{0}")]
    Busy(String),
    /// The endpoint did not answer its challenge.
    #[error("{reason}")]
    Challenge {
        /// What came instead, as a sentence.
        reason: String,
    },
    /// The tenant has no event of this id.
    #[error("there is no such event")]
    EventNotFound,
    /// The tenant has no dead letter of this id.
    #[error("there is no such dead letter")]
    DeadLetterNotFound,
    /// The endpoint has no replay of this id.
    #[error("there is no such replay")]
    ReplayNotFound,
    /// Retention erased what was asked for.
    #[error("events before sequence {oldest} were erased")]
    Expired {
        /// The oldest sequence that can still be had.
        oldest: Sequence,
    },
    /// A cursor was not given out by the list that it is handed to.
    #[error("the cursor was not made for this list")]
    Cursor,
    /// The storage failed. Whether a change was made is not known where its error says so.
    #[error(transparent)]
    Store(#[from] tidings_store::Error),
    /// The engine takes nothing in any more.
    #[error("the engine is shutting down")]
    ShuttingDown,
}

impl EndpointError {
    /// The code that a caller from outside is answered with.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound => ErrorCode::EndpointNotFound,
            Self::Invalid(_) => ErrorCode::EndpointInvalid,
            Self::LimitReached { .. } => ErrorCode::EndpointLimit,
            Self::Busy(_) => ErrorCode::EndpointBusy,
            Self::Challenge { .. } => ErrorCode::ChallengeFailed,
            Self::EventNotFound => ErrorCode::EventNotFound,
            Self::DeadLetterNotFound => ErrorCode::DeadLetterNotFound,
            Self::ReplayNotFound => ErrorCode::ReplayNotFound,
            Self::Expired { .. } => ErrorCode::RangeExpired,
            Self::Cursor => ErrorCode::CursorInvalid,
            Self::Store(error) => store_code(error),
            Self::ShuttingDown => ErrorCode::Unavailable,
        }
    }

    /// A row that holds what nobody can have written.
    pub(crate) fn unreadable(reason: String) -> Self {
        Self::Store(tidings_store::Error::Broken(reason))
    }
}

/// The first violation in words, and how many more there are.
fn detail(violations: &[Violation]) -> String {
    let Some(first) = violations.first() else { return "something is not valid".to_owned() };
    let mut detail = format!("{}: {}", first.path, first.message);
    if violations.len() > 1 {
        detail.push_str(&format!(" (and {} more)", violations.len() - 1));
    }
    detail
}
