//! A producer with a database of its own, and its outbox as the engine sees it, watched.
#![allow(dead_code, unused_imports, unreachable_pub, clippy::unwrap_used, reason = "each test binary uses a part")]

mod watched;

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tidings_engine::{
    EgressOptions, Engine, FeedReader, NamedSource, Options, PumpOptions, ReadLimit, ReconcileOptions,
};
use tidings_outbox::sql;
use tidings_store::{Store, install_outbox, open_source};
use tidings_testkit::{Database, Postgres};

use crate::support::{Log, PAGE, PATIENCE};

pub use watched::Watched;

/// A producer's database beside a log, both of the same kind.
pub struct Shop {
    pub log: Log,
    pub url: String,
    directory: TempDir,
    database: Option<Database>,
}

impl Shop {
    pub async fn sqlite() -> Self {
        let shop = Self::sqlite_without_outbox();
        shop.install().await;
        shop
    }

    pub async fn postgres() -> Self {
        let shop = Self::postgres_on(&Postgres::shared()).await;
        shop.install().await;
        shop
    }

    pub fn sqlite_without_outbox() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", directory.path().join("shop.db").display());
        Self { log: Log::sqlite(), url, directory, database: None }
    }

    /// Its log is in SQLite, so that only the producer goes down with the server.
    pub async fn postgres_on(server: &Arc<Postgres>) -> Self {
        let database = server.database().await;
        Self {
            log: Log::sqlite(),
            url: database.url(),
            directory: tempfile::tempdir().unwrap(),
            database: Some(database),
        }
    }

    pub async fn with_log_in_postgres(self) -> Self {
        Self { log: Log::postgres().await, ..self }
    }

    pub async fn install(&self) {
        install_outbox(&self.url).await.unwrap();
    }

    pub fn source(&self) -> Arc<Watched> {
        Watched::over(open_source(&self.url).unwrap())
    }

    pub async fn writer(&self) -> Writer {
        match &self.database {
            Some(database) => Writer::Postgres(database.connect().await),
            None => {
                let connection = rusqlite::Connection::open(self.directory.path().join("shop.db")).unwrap();
                connection.busy_timeout(PATIENCE).unwrap();
                Writer::Sqlite(connection)
            }
        }
    }

    /// An engine whose only outbox is the shop's.
    pub async fn engine(&self, source: &Arc<Watched>) -> Engine {
        self.engine_over(self.log.store().await, source, quick()).await
    }

    /// An engine whose only outbox is the shop's and belongs to a service.
    pub async fn engine_of(&self, service: &str, source: &Arc<Watched>) -> Engine {
        let service = Some(tidings_event::Text::parse(service).unwrap());
        let platform = NamedSource { name: "platform".to_owned(), source: source.clone(), service };
        Engine::start(self.log.store().await, vec![platform], quick()).await.unwrap()
    }

    pub async fn engine_over(&self, store: Arc<dyn Store>, source: &Arc<Watched>, options: Options) -> Engine {
        let platform = NamedSource { name: "platform".to_owned(), source: source.clone(), service: None };
        Engine::start(store, vec![platform], options).await.unwrap()
    }
}

/// Small batches and short waits; probes may go to this machine.
pub fn quick() -> Options {
    Options {
        pump: PumpOptions { batch_rows: 20, sweep: Duration::from_millis(50), ..PumpOptions::default() },
        reconcile: ReconcileOptions {
            interval: Duration::from_millis(5),
            batch_rows: 3,
            ..ReconcileOptions::default()
        },
        egress: EgressOptions {
            allow_cidrs: vec!["127.0.0.0/8".parse().unwrap()],
            allow_http: true,
            ..EgressOptions::default()
        },
        ..Options::default()
    }
}

/// A producer's connection.
pub enum Writer {
    Sqlite(rusqlite::Connection),
    Postgres(tokio_postgres::Client),
}

impl Writer {
    pub async fn execute(&self, statement: &str) {
        match self {
            Self::Sqlite(connection) => connection.execute_batch(statement).unwrap(),
            Self::Postgres(client) => client.batch_execute(statement).await.unwrap(),
        }
    }

    pub async fn begin(&self) {
        let immediately = matches!(self, Self::Sqlite(_));
        self.execute(if immediately { "begin immediate" } else { "begin" }).await;
    }

    pub async fn commit(&self) {
        self.execute("commit").await;
    }

    pub async fn roll_back(&self) {
        self.execute("rollback").await;
    }

    /// Writes a row of the outbox, by the statement that the contract names.
    pub async fn emit_raw(&self, key: &str, event: &str) {
        match self {
            Self::Sqlite(connection) => {
                connection.prepare_cached(sql::sqlite::APPEND).unwrap().execute((key, event)).unwrap();
            }
            Self::Postgres(client) => {
                client.execute(sql::postgres::APPEND, &[&key, &event]).await.unwrap();
            }
        }
    }

    /// Emits a valid event that carries this number.
    pub async fn emit(&self, number: i64) {
        self.emit_raw(&format!("key_{number}"), &envelope("acme", number)).await;
    }

    /// Writes an intent that has been there for long.
    pub async fn old_intent(&self, number: i64, probe: &str) {
        let (table, event) = (self.table(), envelope("acme", number));
        self.execute(&format!(
            "insert into {table} (source_key, state, event, probe, created_at) \
             values ('key_{number}', 'intent', '{event}', '{probe}', '2020-01-01T00:00:00.000Z')"
        ))
        .await;
    }

    fn table(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "tidings_outbox",
            Self::Postgres(_) => "tidings.outbox",
        }
    }
}

pub fn envelope(tenant: &str, number: i64) -> String {
    format!(
        r#"{{"type":"sales.lead.created","tenant":"{tenant}","source":{{"type":"service","id":"sales"}},"data":{{"number":{number}}}}}"#
    )
}

/// The numbers that exactly the next so many events of a feed carry.
pub async fn numbers(reader: &mut FeedReader, count: usize) -> Vec<i64> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        let limit = ReadLimit { events: count - numbers.len(), ..PAGE };
        let page = reader.next(limit, PATIENCE).await.unwrap();
        assert!(!page.ended, "the feed ended after {numbers:?}");
        assert!(!page.events.is_empty() || !page.up_to_date, "nothing came after {numbers:?}");
        for event in &page.events {
            let data: serde_json::Value = serde_json::from_slice(event.recorded.event.data.as_bytes()).unwrap();
            numbers.push(data["number"].as_i64().unwrap());
        }
    }
    numbers
}

/// Asserts that a feed has nothing more.
pub async fn nothing_more(reader: &mut FeedReader) {
    let page = reader.next(PAGE, Duration::ZERO).await.unwrap();
    assert!(page.events.is_empty() && page.up_to_date, "{} more events", page.events.len());
}

/// Runs an async test body with a shop on both databases, as two tests.
#[macro_export]
macro_rules! in_both_shops {
    ($(async fn $name:ident($shop:ident: Shop) $body:block)+) => {
        mod sqlite {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() { super::bodies::$name(Shop::sqlite().await).await; })+
        }
        mod postgres {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() { super::bodies::$name(Shop::postgres().await.with_log_in_postgres().await).await; })+
        }
        mod bodies {
            use super::*;
            $(pub(super) async fn $name($shop: Shop) $body)+
        }
    };
}
