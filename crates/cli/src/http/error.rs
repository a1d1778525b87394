//! What can go wrong between a command and a server.

use std::fmt::{self, Write as _};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidings_event::ErrorCode;

use crate::failure::Exit;
use crate::term::tame;

/// Why a request has no good answer.
#[derive(Debug)]
pub(crate) enum Error {
    /// No answer came: refused, timed out, cut off.
    Unreachable {
        /// The server.
        url: String,
        /// Why.
        cause: String,
    },
    /// The server answered with a problem.
    Problem {
        /// What it says.
        problem: Box<Problem>,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// Something answered, but not Tidings.
    Foreign {
        /// Its status.
        status: u16,
        /// The first line of what it says.
        text: String,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// The request cannot be made at all.
    Request(String),
}

/// A problem document (RFC 9457). Its code is kept as text, so that codes of newer servers can be read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Problem {
    #[serde(default)]
    pub(crate) title: String,
    pub(crate) status: u16,
    #[serde(default)]
    pub(crate) detail: String,
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) errors: Vec<Violation>,
}

/// One thing that is wrong with what was sent, and where.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Violation {
    #[serde(default)]
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) message: String,
}

impl Error {
    /// Whether the same request may succeed later.
    pub(crate) fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Problem { problem, .. } => match ErrorCode::parse(&problem.code) {
                Some(code) => code.is_retryable(),
                None => is_retryable_status(problem.status),
            },
            Self::Foreign { status, .. } => is_retryable_status(*status),
            Self::Request(_) => false,
        }
    }

    /// How long the server asks to wait.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Problem { retry_after, .. } | Self::Foreign { retry_after, .. } => *retry_after,
            Self::Unreachable { .. } | Self::Request(_) => None,
        }
    }

    /// The problem's code, if the server named one.
    pub(crate) fn code(&self) -> Option<&str> {
        match self {
            Self::Problem { problem, .. } => Some(&problem.code),
            _ => None,
        }
    }

    /// The problem, if the server gave one.
    pub(crate) fn into_problem(self) -> Option<Box<Problem>> {
        match self {
            Self::Problem { problem, .. } => Some(problem),
            _ => None,
        }
    }

    /// The exit code of a command that ends with it.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Unreachable { .. } => Exit::Unreachable,
            Self::Request(_) => Exit::Usage,
            _ if self.is_retryable() => Exit::Unreachable,
            _ => Exit::Refused,
        }
    }

    /// One line, for a log of many.
    pub(crate) fn brief(&self) -> String {
        match self {
            Self::Problem { problem, .. } => match problem.errors.first() {
                Some(first) => format!("{}: {} {}", problem.code, first.path, tame(&first.message)),
                None => format!("{}: {}", problem.code, tame(&problem.detail)),
            },
            other => other.to_string().lines().next().unwrap_or_default().to_owned(),
        }
    }
}

fn is_retryable_status(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { url, cause } => {
                write!(
                    f,
                    "the server at {url} cannot be reached: {cause}\nIs it running (tidings serve)? TIDINGS_URL says where it is."
                )
            }
            Self::Problem { problem, .. } => f.write_str(&problem.render()),
            Self::Foreign { status, text, .. } => write!(f, "status {status} and no problem document: {text}"),
            Self::Request(reason) => f.write_str(reason),
        }
    }
}

impl Problem {
    /// Title, detail, and each error with its place.
    fn render(&self) -> String {
        let mut text = format!("{} ({}, {})", tame(&self.title), self.code, self.status);
        if !self.detail.is_empty() && self.detail != self.title {
            write!(text, "\n  {}", tame(&self.detail)).expect("a String takes every write");
        }
        for error in &self.errors {
            let place = if error.path.is_empty() { "the whole" } else { &error.path };
            write!(text, "\n  at {}: {} ({})", tame(place), tame(&error.message), tame(&error.code))
                .expect("a String takes every write");
        }
        let is_forbidden = self.errors.iter().any(|error| error.code == "url_forbidden");
        if let Some(hint) = if is_forbidden { Some(URL_HINT) } else { hint(&self.code) } {
            write!(text, "\n  {hint}").expect("a String takes every write");
        }
        text
    }
}

/// What opens the server's way out.
const URL_HINT: &str =
    "Where the server sends to is its operator's choice: TIDINGS_ALLOW_HTTP, TIDINGS_ALLOW_CIDRS, TIDINGS_ALLOW_PORTS.";

/// What to do about it, where that is not plain from the problem itself.
fn hint(code: &str) -> Option<&'static str> {
    match code {
        "unauthenticated" => Some("TIDINGS_KEY holds the key; the server's own is in admin.key in its data directory."),
        "forbidden" => Some("`tidings keys list` (with an admin key) shows what each key may do."),
        "cursor_expired" => Some("Begin again with --from start: what lay between was erased by retention."),
        "log_rewound" => Some("The log was restored or replaced: begin again with --from start."),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_shown_with_every_error_and_its_place() {
        let json = r#"{"type":"https://tidings.dev/errors/event_invalid","title":"The event is not valid","status":422,
            "detail":"2 rules are broken.","code":"event_invalid","errors":[
            {"path":"/type","code":"type_malformed","message":"must be dotted"},{"path":"","code":"x","message":"whole"}]}"#;
        let problem: Problem = serde_json::from_str(json).unwrap();
        let error = Error::Problem { problem: Box::new(problem), retry_after: None };
        assert_eq!(
            error.to_string(),
            "The event is not valid (event_invalid, 422)\n  2 rules are broken.\n  at /type: must be dotted (type_malformed)\n  at the whole: whole (x)"
        );
        assert!(!error.is_retryable());
        assert_eq!(error.exit(), Exit::Refused);
    }

    #[test]
    fn a_code_of_a_newer_server_is_judged_by_its_status() {
        let problem =
            |status| Problem { title: "t".into(), status, detail: String::new(), code: "new".into(), errors: vec![] };
        let error = |status| Error::Problem { problem: Box::new(problem(status)), retry_after: None };
        assert!(error(503).is_retryable());
        assert!(!error(409).is_retryable());
    }

    #[test]
    fn what_the_server_says_cannot_steer_the_terminal() {
        let problem =
            Problem { title: "t\x1b[2J".into(), status: 400, detail: "d\x07".into(), code: "c".into(), errors: vec![] };
        assert!(!problem.render().contains(['\x1b', '\x07']));
    }
}
