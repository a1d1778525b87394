//! Where a store of a test lives.

use std::path::PathBuf;
use std::sync::Arc;

use tidings_store::sqlite::SqliteOptions;
use tidings_store::{Store, StoreOptions, open_store};

/// Partitions of every log that these tests create.
pub const PARTITIONS: u32 = 4;

/// A database of a test's own.
pub enum Home {
    Sqlite(tempfile::TempDir),
}

impl Home {
    pub fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().expect("a directory"))
    }

    fn file(&self) -> PathBuf {
        match self {
            Self::Sqlite(directory) => directory.path().join("tidings.db"),
        }
    }

    pub async fn try_open(&self) -> tidings_store::Result<Arc<dyn Store>> {
        let options = StoreOptions { sqlite: SqliteOptions { partitions: PARTITIONS, ..SqliteOptions::default() } };
        match self {
            Self::Sqlite(_) => open_store(&format!("sqlite://{}", self.file().display()), options).await,
        }
    }

    pub async fn open(&self) -> Arc<dyn Store> {
        self.try_open().await.expect("the store opens")
    }

    /// Runs SQL on a connection of its own, with the tables' names unqualified; the error's text where it fails.
    pub async fn raw(&self, sql: &str) -> Result<(), String> {
        match self {
            Self::Sqlite(_) => {
                let connection = rusqlite::Connection::open(self.file()).map_err(|error| error.to_string())?;
                connection.busy_timeout(std::time::Duration::from_secs(5)).map_err(|error| error.to_string())?;
                connection.execute_batch(sql).map_err(|error| error.to_string())
            }
        }
    }
}
