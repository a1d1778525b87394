//! What a call answers when it cannot do what was asked: a problem document (RFC 9457) and the headers that go with it.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use tidings_engine::AppendError;
use tidings_event::{ErrorCode, Problem, Rejection, Violation};

use crate::auth::Denied;
use crate::limits::RETRY_AFTER_SECONDS;
use crate::members::refusal;

/// A failed call.
///
/// What the caller may know is in the problem; what only the operator may know is the cause, which is logged once
/// where the answer leaves the server.
#[derive(Debug)]
pub(crate) struct Failure {
    problem: Box<Problem>,
    /// Members of the problem beside the standard ones: their names, and their values as JSON.
    members: Vec<(&'static str, Vec<u8>)>,
    cause: Option<Cause>,
    denied: Option<Box<Denied>>,
    /// Headers beside those that follow from the code.
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// What an operator should read about a failure; carried to the log in the response's extensions.
#[derive(Debug, Clone)]
pub(crate) struct Cause(pub(crate) String);

impl Failure {
    pub(crate) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Problem::new(code, detail).into()
    }

    pub(crate) fn with_errors(mut self, errors: Vec<Violation>) -> Self {
        self.problem.errors = errors;
        self
    }

    /// Adds a member with a string value to the problem.
    pub(crate) fn with_member(self, name: &'static str, value: &str) -> Self {
        let mut json = Vec::with_capacity(value.len() + 2);
        crate::json::write_string(value, &mut json);
        self.with_json(name, json)
    }

    /// Adds a member whose value is written already.
    pub(crate) fn with_json(mut self, name: &'static str, json: Vec<u8>) -> Self {
        self.members.push((name, json));
        self
    }

    /// Keeps what the log should say. It never reaches the caller.
    pub(crate) fn caused_by(mut self, cause: impl std::fmt::Display) -> Self {
        self.cause = Some(Cause(cause.to_string()));
        self
    }

    /// Adds headers to the answer.
    pub(crate) fn with_headers(mut self, headers: Vec<(HeaderName, HeaderValue)>) -> Self {
        self.headers.extend(headers);
        self
    }

    /// Says after how many seconds the same may succeed, in place of what all such failures say.
    pub(crate) fn retry_after(self, seconds: u64) -> Self {
        self.with_headers(vec![(RETRY_AFTER, HeaderValue::from(seconds))])
    }

    /// Has the engine told that a caller was refused.
    pub(crate) fn denied(mut self, denied: Denied) -> Self {
        self.denied = Some(Box::new(denied));
        self
    }

    pub(crate) fn internal(cause: impl std::fmt::Display) -> Self {
        Self::new(ErrorCode::Internal, "The server could not complete the request; its log says why.").caused_by(cause)
    }

    pub(crate) fn overloaded(what: &str) -> Self {
        Self::new(ErrorCode::Overloaded, format!("The server is at its limit of {what}."))
    }

    pub(crate) fn code(&self) -> ErrorCode {
        self.problem.code
    }

    /// Logs the cause of a failure that no response carries out.
    pub(crate) fn log(&self, what: &str) {
        let cause = self.cause.as_ref().map(|cause| cause.0.as_str());
        tracing::warn!(code = self.problem.code.as_str(), cause, "{what}");
    }

    /// The problem document.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let mut json = self.problem.to_json();
        for (name, value) in &self.members {
            // The document is an object that is never empty, so a member can be put before its closing brace.
            json.pop();
            json.extend_from_slice(b",\"");
            json.extend_from_slice(name.as_bytes());
            json.extend_from_slice(b"\":");
            json.extend_from_slice(value);
            json.push(b'}');
        }
        json
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self { problem: Box::new(problem), members: Vec::new(), cause: None, denied: None, headers: Vec::new() }
    }
}

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Self {
        Problem::from(rejection).into()
    }
}

/// What a caller reads about a failure below; what the operator reads is the error itself.
pub(crate) fn below(code: ErrorCode, error: &dyn std::error::Error) -> Failure {
    let detail = match code {
        ErrorCode::StorageUnavailable => {
            "The storage is not available. A write may have happened all the same; repeat it with the same ids."
        }
        ErrorCode::SourceUnavailable => "The source's database is not available, or has no outbox.",
        ErrorCode::SourceNotFound => "There is no source with this name in the configuration.",
        ErrorCode::IntentConflict => "The source key is taken by an intent or event with other content.",
        ErrorCode::Overloaded => "The server is at its limit of events that wait to be written; nothing was written.",
        ErrorCode::Unavailable => "The server is shutting down.",
        ErrorCode::LogRewound => "The position lies beyond the end of the log, or is of another log.",
        _ => return Failure::internal(error),
    };
    Failure::new(code, detail).caused_by(error)
}

impl From<tidings_engine::Error> for Failure {
    fn from(error: tidings_engine::Error) -> Self {
        match error {
            tidings_engine::Error::Refused(error) => error.into(),
            error => below(error.code(), &error),
        }
    }
}

impl From<tidings_engine::StoreError> for Failure {
    fn from(error: tidings_engine::StoreError) -> Self {
        tidings_engine::Error::from(error).into()
    }
}

/// Of an append of one event. What an append of several answers depends on where they stand in the request.
impl From<AppendError> for Failure {
    fn from(error: AppendError) -> Self {
        let code = error.code();
        match error {
            AppendError::Conflict { .. } => Self::new(code, "The id is taken by an event with other content."),
            AppendError::Rejected { violations }
            | AppendError::Quarantined { violations }
            | AppendError::NotOwned { violations } => {
                refusal(code, violations.into_iter().flat_map(|(_, violations)| violations).collect())
            }
            AppendError::Overloaded | AppendError::ShuttingDown | AppendError::Store(_) => below(code, &error),
        }
    }
}

impl From<tidings_engine::FeedError> for Failure {
    fn from(error: tidings_engine::FeedError) -> Self {
        below(error.code(), &error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let code = self.code();
        let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, self.to_json()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(Problem::CONTENT_TYPE));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tidings\""));
        }
        for (name, value) in self.headers {
            headers.insert(name, value);
        }
        if let Some(cause) = self.cause {
            response.extensions_mut().insert(cause);
        }
        if let Some(denied) = self.denied {
            response.extensions_mut().insert(*denied);
        }
        response
    }
}
