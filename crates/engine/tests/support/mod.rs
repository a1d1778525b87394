//! What the engine's tests share: a log of their own on either database, events, and a store that fails on demand.
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test binary uses a part of this"
)]

mod faulty;
mod nothing;

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tidings_engine::endpoints::Who;
use tidings_engine::{Emitter, Engine, FeedReader, FeedStart, NamedSource, Options, ReadLimit, Role, Selection};
use tidings_event::{
    Data, Event, EventId, EventType, Metadata, Mint, Sequence, Source, SourceKind, SystemMint, TenantId, Text, Version,
};
use tidings_store::{Store, StoreOptions, install_outbox, open_source, open_store};
use tidings_testkit::{Database, Postgres};

pub use faulty::{Failure, FaultyStore};

/// Longer than anything here takes; a test that waits for it has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// One page of a feed.
pub const PAGE: ReadLimit = ReadLimit { events: 100, bytes: 1 << 20 };

/// A log, and what keeps its database alive.
pub struct Log {
    url: String,
    outbox: String,
    _directory: TempDir,
    _database: Option<Database>,
}

impl Log {
    pub fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| format!("sqlite://{}", directory.path().join(name).display());
        Self { url: path("tidings.db"), outbox: path("outbox.db"), _directory: directory, _database: None }
    }

    pub async fn postgres() -> Self {
        Self::postgres_on(&Postgres::shared()).await
    }

    pub async fn postgres_on(server: &Arc<Postgres>) -> Self {
        let database = server.database().await;
        let directory = tempfile::tempdir().unwrap();
        let url = database.url();
        Self { outbox: url.clone(), url, _directory: directory, _database: Some(database) }
    }

    /// The log as it is now, for itself: what an asynchronous replica may be left with. Only of SQLite.
    pub fn copy(&self) -> Self {
        let copy = Self::sqlite();
        let path = |url: &str| url.strip_prefix("sqlite://").unwrap().to_owned();
        let database = rusqlite::Connection::open(path(&self.url)).unwrap();
        database.busy_timeout(PATIENCE).unwrap();
        database.execute("VACUUM INTO ?1", [path(&copy.url)]).unwrap();
        copy
    }

    /// Where the log's database is.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub async fn store(&self) -> Arc<dyn Store> {
        open_store(&self.url, StoreOptions::default()).await.unwrap()
    }

    pub async fn engine(&self) -> Engine {
        self.engine_with(Options::default()).await
    }

    pub async fn engine_with(&self, options: Options) -> Engine {
        self.engine_over(self.store().await, options).await
    }

    pub async fn engine_over(&self, store: Arc<dyn Store>, options: Options) -> Engine {
        Engine::start(store, vec![no_source()], options).await.unwrap()
    }

    /// An engine with an outbox of its own.
    pub async fn engine_with_outbox(&self) -> Engine {
        install_outbox(&self.outbox).await.unwrap();
        let platform =
            NamedSource { name: "platform".to_owned(), source: open_source(&self.outbox).unwrap(), service: None };
        Engine::start(self.store().await, vec![platform], Options::default()).await.unwrap()
    }

    /// An engine over a store that fails on demand.
    pub async fn faulty(&self, options: Options) -> (Engine, Arc<FaultyStore>) {
        let store = FaultyStore::over(self.store().await);
        (self.engine_over(store.clone(), options).await, store)
    }
}

/// An outbox in which nothing ever is.
pub fn no_source() -> NamedSource {
    NamedSource { name: "platform".to_owned(), source: Arc::new(nothing::Nothing), service: None }
}

/// The holder of an admin's key.
pub fn administrator() -> Who {
    Who { key: "admin".to_owned(), role: Role::Admin }
}

/// The same, as one who emits.
pub fn admin() -> Emitter {
    Emitter::Key { who: administrator(), service: None }
}

pub fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

pub fn event(tenant_name: &str, data: &str) -> Event {
    typed(tenant_name, "sales.lead.created", data)
}

pub fn typed(tenant_name: &str, event_type: &str, data: &str) -> Event {
    let mut mint = SystemMint::default();
    let id = EventId::parse(ulid::Ulid::generate().to_string()).unwrap();
    Event {
        event_type: EventType::parse(event_type).unwrap(),
        version: Version::first(),
        timestamp: mint.now(),
        tenant: tenant(tenant_name),
        project: None,
        source: Source { kind: SourceKind::Service, id: Text::parse("sales").unwrap() },
        entity: None,
        actor: None,
        data: Data::trusted(data.to_owned()),
        metadata: Metadata {
            correlation_id: Text::parse(id.as_str()).unwrap(),
            causation_id: None,
            context: None,
            traceparent: None,
        },
        id,
    }
}

pub fn numbered(tenant_name: &str, count: usize) -> Vec<Event> {
    (0..count).map(|number| event(tenant_name, &format!("{{\"number\":{number}}}"))).collect()
}

pub async fn reader(engine: &Engine, tenant_name: &str, start: FeedStart) -> FeedReader {
    engine.feed(&tenant(tenant_name), start, Arc::new(Selection::all())).await.unwrap()
}

/// Reads until so many events have come; returns their sequences.
pub async fn read(reader: &mut FeedReader, count: usize) -> Vec<u64> {
    let mut sequences = Vec::new();
    while sequences.len() < count {
        let page = reader.next(PAGE, PATIENCE).await.unwrap();
        assert!(!page.ended, "the feed ended after {sequences:?}");
        assert!(!page.events.is_empty() || !page.up_to_date, "nothing came after {sequences:?}");
        sequences.extend(page.events.iter().map(|event| event.recorded.sequence.get()));
    }
    sequences
}

pub fn sequences(range: std::ops::RangeInclusive<u64>) -> Vec<u64> {
    range.collect()
}

pub fn after(sequence: u64) -> FeedStart {
    FeedStart::After(Sequence(sequence))
}

/// Runs an async test body on both databases, as two tests.
#[macro_export]
macro_rules! on_both {
    ($($(#[$meta:meta])* async fn $name:ident($log:ident: Log) $body:block)+) => {
        mod sqlite {
            #[allow(unused_imports)]
            use super::*;
            $($(#[$meta])* #[tokio::test(flavor = "multi_thread")]
            async fn $name() { let $log = Log::sqlite(); super::bodies::$name($log).await; })+
        }
        mod postgres {
            #[allow(unused_imports)]
            use super::*;
            $($(#[$meta])* #[tokio::test(flavor = "multi_thread")]
            async fn $name() { let $log = Log::postgres().await; super::bodies::$name($log).await; })+
        }
        mod bodies {
            #[allow(unused_imports)]
            use super::*;
            $(pub(super) async fn $name($log: Log) $body)+
        }
    };
}
