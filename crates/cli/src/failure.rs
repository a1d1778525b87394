//! How a command fails: an exit code for scripts, a text for people.

use std::fmt;
use std::process::ExitCode;

use crate::http::Problem;

/// What the exit code of a command says. Documented in `tidings --help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All was done.
    Done = 0,
    /// It failed, or a check did.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// The server or database could not be reached, or answered that it is not available.
    Unreachable = 3,
    /// The server refused the request; the problem is on standard error.
    Refused = 4,
    /// A part was done and a part was refused.
    Partial = 5,
    /// Ended by Ctrl-C or SIGTERM before it was done.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command ends early.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// What standard error says; nothing where all has been said.
    pub(crate) text: String,
    /// The server's problem document, if it refused.
    pub(crate) problem: Option<Box<Problem>>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self { exit, text: text.into(), problem: None }
    }

    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self::new(Exit::Failed, text)
    }

    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::new(Exit::Usage, text)
    }

    /// What standard error says: a sentence for people, a JSON object for machines.
    pub(crate) fn render(&self, json: bool) -> Option<String> {
        if self.text.is_empty() {
            return None;
        }
        if !json {
            return Some(format!("error: {}", self.text));
        }
        let error = serde_json::json!({"exit": self.exit as u8, "message": self.text, "problem": self.problem});
        Some(serde_json::json!({ "error": error }).to_string())
    }

    /// Ends with a code and without further words.
    pub(crate) fn silent(exit: Exit) -> Self {
        Self::new(exit, "")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            // Whoever reads our output has had enough (`| head`): not a failure.
            std::io::ErrorKind::BrokenPipe => Self::silent(Exit::Done),
            _ => Self::failed(error.to_string()),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
            Some(std::io::ErrorKind::BrokenPipe) => Self::silent(Exit::Done),
            _ => Self::failed(format!("{error:#}")),
        }
    }
}

impl From<crate::http::Error> for Failure {
    fn from(error: crate::http::Error) -> Self {
        let (exit, text) = (error.exit(), error.to_string());
        Self { exit, text, problem: error.into_problem() }
    }
}
