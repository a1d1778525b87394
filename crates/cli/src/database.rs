//! What a command must know of a database before any server knows it.

use std::path::PathBuf;

/// Which database a URL names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A file.
    Sqlite(PathBuf),
    /// A server.
    Postgres,
}

impl Target {
    /// Reads a URL: `postgres://…`, `sqlite:path`, `sqlite:///path`, or a path.
    pub(crate) fn parse(url: &str) -> Self {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Self::Postgres;
        }
        let path = url.strip_prefix("sqlite:").unwrap_or(url);
        Self::Sqlite(PathBuf::from(path.strip_prefix("//").unwrap_or(path)))
    }

    /// Whether it is a file that does not exist. Opening it would make it.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Sqlite(path) if !path.exists())
    }
}
