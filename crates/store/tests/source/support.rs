//! One outbox in each database, and a producer that writes into it.

use std::sync::Arc;

use rusqlite::Connection;
use tidings_event::EventId;
use tidings_store::{OutboxSource, install_outbox, open_source};
use tidings_testkit::{Database, Postgres};
use tokio_postgres::Client;

pub(crate) struct Setup {
    pub(crate) url: String,
    pub(crate) source: Arc<dyn OutboxSource>,
    database: Option<Database>,
    directory: Option<tempfile::TempDir>,
}

/// A connection of the producer's own.
pub(crate) enum Producer {
    Sqlite(Connection),
    Postgres(Client),
}

impl Setup {
    /// A database with nothing in it.
    pub(crate) fn empty_sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("shop.db");
        Connection::open(&path).unwrap().execute_batch("pragma journal_mode = wal").unwrap();
        let url = format!("sqlite://{}", path.display());
        let source = open_source(&url).unwrap();
        Self { url, source, database: None, directory: Some(directory) }
    }

    /// A database with nothing in it.
    pub(crate) async fn empty_postgres() -> Self {
        let database = Postgres::shared().database().await;
        let url = database.url();
        let source = open_source(&url).unwrap();
        Self { url, source, database: Some(database), directory: None }
    }

    /// Installs the outbox.
    pub(crate) async fn installed(self) -> Self {
        install_outbox(&self.url).await.unwrap();
        self
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.database.is_some()
    }

    /// The outbox's table.
    pub(crate) fn table(&self) -> &'static str {
        if self.is_postgres() { "tidings.outbox" } else { "tidings_outbox" }
    }

    pub(crate) async fn producer(&self) -> Producer {
        match (&self.database, &self.directory) {
            (Some(database), _) => Producer::Postgres(database.connect().await),
            (None, Some(directory)) => {
                let connection = Connection::open(directory.path().join("shop.db")).unwrap();
                connection.busy_timeout(std::time::Duration::from_secs(20)).unwrap();
                Producer::Sqlite(connection)
            }
            (None, None) => unreachable!("a setup has a database or a directory"),
        }
    }

    /// Inserts confirmed rows as a producer in any language would.
    pub(crate) async fn insert(&self, producer: &Producer, keys: &[&str]) {
        for key in keys {
            let event = format!(r#"{{"id":"{key}"}}"#);
            producer
                .run(&format!("insert into {} (source_key, event) values ('{key}', '{event}')", self.table()))
                .await;
        }
    }

    /// The keys of what waits, from a floor.
    pub(crate) async fn waiting(&self, floor: i64) -> Vec<String> {
        let rows = self.source.read(floor, 1_000, usize::MAX >> 1).await.unwrap();
        rows.into_iter().map(|row| row.source_key).collect()
    }

    /// The ids of what waits.
    pub(crate) async fn ids(&self) -> Vec<i64> {
        self.source.read(0, 1_000, usize::MAX >> 1).await.unwrap().into_iter().map(|row| row.id).collect()
    }

    /// SQL for a moment so many seconds ago, by the database's clock.
    pub(crate) fn ago(&self, seconds: u32) -> String {
        if self.is_postgres() {
            format!("now() - interval '{seconds} seconds'")
        } else {
            format!("strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-{seconds} seconds')")
        }
    }
}

impl Producer {
    pub(crate) async fn try_run(&self, sql: &str) -> Result<(), String> {
        match self {
            Self::Sqlite(connection) => connection.execute_batch(sql).map_err(|error| error.to_string()),
            Self::Postgres(client) => client.batch_execute(sql).await.map_err(|error| format!("{error:?}")),
        }
    }

    pub(crate) async fn run(&self, sql: &str) {
        self.try_run(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

pub(crate) fn key(text: &str) -> EventId {
    EventId::parse(text).unwrap()
}

/// Runs each promise on both databases.
macro_rules! on_both {
    ($($promise:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test] async fn $promise() {
                super::$promise($crate::support::Setup::empty_sqlite().installed().await).await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test] async fn $promise() {
                super::$promise($crate::support::Setup::empty_postgres().await.installed().await).await;
            })+
        }
    };
}

pub(crate) use on_both;
