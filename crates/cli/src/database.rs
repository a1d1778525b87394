//! What a command must know of a database before any server knows it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tidings_store::{ProbeAnswer, RowProbe, SourceError};

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

/// Whether the database that a URL names can be reached and holds a log. Makes nothing.
pub(crate) async fn has_log(url: &str) -> Result<bool, SourceError> {
    if let Target::Sqlite(path) = Target::parse(url) {
        return Ok(path.exists());
    }
    // Every log has a first partition; without a log there is no such table.
    let key = BTreeMap::from([("id".to_owned(), serde_json::Value::from(0))]);
    let first = RowProbe { table: "tidings.partitions".to_owned(), key, revision: None };
    let answer = tidings_store::open_source(url)?.probe_row(&first).await?;
    Ok(answer == ProbeAnswer::Exists)
}
