//! From a URL to the store it names.

use std::path::PathBuf;
use std::sync::Arc;

use crate::postgres::{PostgresOptions, PostgresStore};
use crate::sharded::{ShardOptions, ShardedStore};
use crate::sqlite::{SqliteOptions, SqliteStore};
use crate::{Error, Result, Store};

/// How to open a store, for each database.
#[derive(Debug, Clone, Default)]
pub struct StoreOptions {
    /// Where it is an SQLite file.
    pub sqlite: SqliteOptions,
    /// Where it is a PostgreSQL database.
    pub postgres: PostgresOptions,
}

impl StoreOptions {
    /// The same, for looking at what is there: nothing is made, and a log that lacks what a server of this version makes is
    /// refused as [`Error::Behind`].
    #[must_use]
    pub fn existing(mut self) -> Self {
        self.sqlite.existing = true;
        self.postgres.existing = true;
        self
    }
}

/// Opens the store that a URL names, and creates what is missing: `sqlite:///absolute/path.db`, `sqlite:relative.db`,
/// a plain path, `postgres://…` or `postgresql://…`.
pub async fn open_store(url: &str, options: StoreOptions) -> Result<Arc<dyn Store>> {
    match target(url)? {
        Target::Sqlite(path) => Ok(Arc::new(SqliteStore::open(&path, options.sqlite).await?)),
        Target::Postgres(url) => Ok(Arc::new(PostgresStore::connect(&url, options.postgres).await?)),
    }
}

/// Opens the store whose home a URL names and whose other databases are these; without any, as [`open_store`] does.
pub async fn open_sharded(url: &str, shards: &[ShardOptions], options: StoreOptions) -> Result<Arc<dyn Store>> {
    if shards.is_empty() {
        return open_store(url, options).await;
    }
    match target(url)? {
        Target::Postgres(url) => Ok(Arc::new(ShardedStore::connect(&url, shards, options.postgres).await?)),
        Target::Sqlite(_) => {
            Err(Error::Unusable("shards are databases of PostgreSQL, and so must the home be".to_owned()))
        }
    }
}

/// What a URL names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A file.
    Sqlite(PathBuf),
    /// A server; the URL as it was given.
    Postgres(String),
}

/// Reads a database URL.
pub(crate) fn target(url: &str) -> Result<Target> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok(Target::Postgres(url.to_owned()));
    }
    let path = match url.strip_prefix("sqlite:") {
        // Two slashes introduce an authority, which a file has not: what follows them is the path.
        Some(rest) => rest.strip_prefix("//").unwrap_or(rest),
        None if url.contains("://") => {
            let scheme = url.split(':').next().unwrap_or_default();
            return Err(Error::Unusable(format!(
                "'{scheme}' is not a database that Tidings knows: sqlite or postgres"
            )));
        }
        None => url,
    };
    if path.is_empty() || path.starts_with(":memory:") {
        return Err(Error::Unusable("the URL names no file".to_owned()));
    }
    Ok(Target::Sqlite(PathBuf::from(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_url_names_its_database() {
        let file = |path: &str| Some(Target::Sqlite(PathBuf::from(path)));
        for (url, expect) in [
            ("sqlite:///var/lib/tidings.db", file("/var/lib/tidings.db")),
            ("sqlite://tidings.db", file("tidings.db")),
            ("sqlite:tidings.db", file("tidings.db")),
            ("sqlite:/var/tidings.db", file("/var/tidings.db")),
            ("/var/tidings.db", file("/var/tidings.db")),
            ("data/tidings.db", file("data/tidings.db")),
            ("postgres://u@h/d", Some(Target::Postgres("postgres://u@h/d".into()))),
            ("postgresql://u@h/d?sslmode=require", Some(Target::Postgres("postgresql://u@h/d?sslmode=require".into()))),
            ("mysql://h/d", None),
            ("sqlite::memory:", None),
            ("sqlite:", None),
            ("", None),
        ] {
            assert_eq!(target(url).ok(), expect, "{url}");
        }
    }
}
