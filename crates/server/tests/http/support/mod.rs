//! A server of a test's own, and a client that checks what every answer must hold.

mod client;
mod document;
mod faulty;
mod receiver;
mod sse;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tidings_engine::{Engine, NamedSource, Options};
use tidings_event::CursorKey;
use tidings_server::{ServerOptions, serve};
use tidings_store::sharded::ShardOptions;
use tidings_store::source::sqlite::SqliteSource;
use tidings_store::{Store, StoreOptions, open_sharded, open_store};
use tidings_testkit::{Database, Postgres};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) use client::{Answer, Client};
pub(crate) use document::{Document, Operation};
pub(crate) use faulty::{FaultyStore, SECRET};
pub(crate) use receiver::{Received, Receiver};
pub(crate) use sse::{Sse, SseEvent};

/// Longer than anything here takes; a test that waits for it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The operator's key of every test server.
pub(crate) const ADMIN_KEY: &str = "an-admin-key-of-the-tests-32-characters";
/// What all test servers share, so that a cursor of one can be shown to another.
pub(crate) const MASTER_KEY: [u8; 32] = [7; 32];

/// A running server over a log of its own.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) engine: Engine,
    pub(crate) platform: Arc<SqliteSource>,
    _directory: TempDir,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<std::io::Result<()>>>,
    _database: Option<Database>,
}

impl Server {
    /// Over SQLite.
    pub(crate) async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = sqlite(&directory).await;
        Self::over(store, directory, None).await
    }

    /// Over SQLite, on a node without the role `api`.
    pub(crate) async fn start_without_api() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = sqlite(&directory).await;
        let mut options = reaching_loopback();
        options.node.roles.api = false;
        Self::with(store, directory, None, options).await
    }

    /// Over PostgreSQL.
    pub(crate) async fn start_on_postgres() -> Self {
        let database = Postgres::shared().database().await;
        let store = open_store(&database.url(), StoreOptions::default()).await.unwrap();
        Self::over(store, tempfile::tempdir().unwrap(), Some(database)).await
    }

    /// Over two PostgreSQL databases, with partitions 0 and 1 at home, and no router.
    pub(crate) async fn start_sharded_without_routers() -> (Self, Database) {
        let server = Postgres::shared();
        let (home, other) = (server.database().await, server.database().await);
        let partitions = (2..4).collect();
        let shard = ShardOptions { name: "b".to_owned(), url: other.url(), partitions, takes_tenants: true };
        let mut stores = StoreOptions::default();
        stores.postgres.partitions = 2;
        let store = open_sharded(&home.url(), &[shard], stores).await.unwrap();
        let mut options = reaching_loopback();
        options.node.roles.router = false;
        (Self::with(store, tempfile::tempdir().unwrap(), Some(home), options).await, other)
    }

    /// Over a store that fails on demand.
    pub(crate) async fn start_faulty() -> (Self, Arc<FaultyStore>) {
        let directory = tempfile::tempdir().unwrap();
        let store = FaultyStore::over(sqlite(&directory).await);
        (Self::over(store.clone(), directory, None).await, store)
    }

    async fn over(store: Arc<dyn Store>, directory: TempDir, database: Option<Database>) -> Self {
        Self::with(store, directory, database, reaching_loopback()).await
    }

    async fn with(store: Arc<dyn Store>, directory: TempDir, database: Option<Database>, options: Options) -> Self {
        let platform = SqliteSource::open(&directory.path().join("outbox.db"));
        platform.install().await.unwrap();
        let platform = Arc::new(platform);
        let source = NamedSource { name: "platform".to_owned(), source: platform.clone(), service: None };
        let engine = Engine::start(store, vec![source], options).await.unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let options = ServerOptions {
            admin_keys: vec![Sha256::digest("another").into(), Sha256::digest(ADMIN_KEY).into()],
            cursor_key: CursorKey::derive(&MASTER_KEY),
        };
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move { _ = stopped.await };
        let serving = tokio::spawn(serve(listener, engine.clone(), options, shutdown));
        let (stop, serving) = (Some(stop), Some(serving));
        Self { address, engine, platform, _directory: directory, stop, serving, _database: database }
    }

    /// A client without a key.
    pub(crate) fn anyone(&self) -> Client {
        Client::new(self.address, None)
    }

    /// The operator.
    pub(crate) fn admin(&self) -> Client {
        Client::new(self.address, Some(ADMIN_KEY))
    }

    /// A client with this key.
    pub(crate) fn holder(&self, key: &str) -> Client {
        Client::new(self.address, Some(key))
    }

    /// A client with a new key.
    pub(crate) async fn role(&self, role: &str, tenants: &[&str]) -> Client {
        self.key(&json!({"role": role, "tenants": tenants})).await
    }

    /// A client with a new key of a service, for all tenants.
    pub(crate) async fn service(&self, service: &str) -> Client {
        self.key(&json!({"role": "producer", "service": service})).await
    }

    /// A client with this key.
    pub(crate) async fn key(&self, key: &Value) -> Client {
        let answer = self.admin().post("/v1/keys").json(key).send().await;
        self.holder(answer.expect(201).json()["key"].as_str().unwrap())
    }

    /// Puts a definition and returns what was answered.
    pub(crate) async fn define(&self, definition: &Value) -> Value {
        self.admin().put(&path_of(definition)).json(definition).send().await.success().json()
    }

    /// Sets a policy.
    pub(crate) async fn policy(&self, policy: &Value) {
        let path = format!("/v1/catalog/policies/{}", policy["name"].as_str().unwrap());
        self.admin().put(&path).json(policy).send().await.success();
    }

    /// Emits one event and returns its sequence.
    pub(crate) async fn emit(&self, event: &Value) -> u64 {
        let answer = self.admin().post("/v1/events").json(event).send().await;
        answer.expect(201).json()["results"][0]["sequence"].as_u64().unwrap()
    }

    /// Makes an endpoint and returns what was answered.
    pub(crate) async fn endpoint(&self, tenant: &str, body: &Value) -> Value {
        let path = format!("/v1/tenants/{tenant}/endpoints");
        self.admin().post(&path).json(body).send().await.expect(201).json()
    }

    /// Waits until an event of this type is in a tenant's log for the `count`th time, and returns it.
    pub(crate) async fn await_event(&self, tenant: &str, event_type: &str, count: usize) -> Value {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        while found.len() < count {
            let path = format!("/v1/tenants/{tenant}/feed?from=start&wait=20");
            let path = if cursor.is_empty() { path } else { format!("/v1/tenants/{tenant}/feed?wait=20") };
            let mut request = self.admin().get(&path).query("types", event_type);
            if !cursor.is_empty() {
                request = request.query("cursor", &cursor);
            }
            let page = request.send().await.expect(200).json();
            let events = page["events"].as_array().unwrap();
            assert!(!events.is_empty() || page["up_to_date"] == false, "no {event_type} came");
            found.extend(events.iter().cloned());
            cursor = page["cursor"].as_str().unwrap().to_owned();
        }
        found.swap_remove(count - 1)
    }

    /// Begins the shutdown without waiting for it.
    pub(crate) fn begin_shutdown(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Waits until the server has let go of everything.
    pub(crate) async fn finish(&mut self) {
        let serving = self.serving.take().unwrap();
        tokio::time::timeout(PATIENCE, serving).await.unwrap().unwrap().unwrap();
    }
}

/// Options with which webhooks may go to receivers of the tests.
fn reaching_loopback() -> Options {
    let mut options = Options::default();
    options.egress.allow_http = true;
    options.egress.allow_cidrs = vec!["127.0.0.0/8".parse().unwrap()];
    options
}

async fn sqlite(directory: &TempDir) -> Arc<dyn Store> {
    let url = format!("sqlite://{}", directory.path().join("tidings.db").display());
    open_store(&url, StoreOptions::default()).await.unwrap()
}

/// A URL at which nobody listens.
pub(crate) fn nobody() -> String {
    format!("http://127.0.0.1:{}/", tidings_testkit::free_port())
}

/// Where a definition is.
pub(crate) fn path_of(definition: &Value) -> String {
    let text = |member: &str| definition[member].as_str().unwrap().to_owned();
    format!("/v1/event-types/{}/versions/{}", text("name"), text("version"))
}

/// A definition of a type of the service `sales` whose data must have a number `amount`.
pub(crate) fn definition(name: &str) -> Value {
    json!({
        "name": name, "version": "1", "owner": "sales", "description": "Something happened.",
        "schema": {"type": "object", "required": ["amount"], "properties": {"amount": {"type": "number"}}},
        "examples": [{"name": "usual", "data": {"amount": 12}}],
    })
}

/// An event of a tenant.
pub(crate) fn event(tenant: &str, data: Value) -> Value {
    typed(tenant, "sales.lead.created", data)
}

/// An event of a type.
pub(crate) fn typed(tenant: &str, event_type: &str, data: Value) -> Value {
    json!({"type": event_type, "tenant": tenant, "source": {"type": "service", "id": "sales"}, "data": data})
}

/// An event with members beside the required ones.
pub(crate) fn with(mut event: Value, members: Value) -> Value {
    for (name, value) in members.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}
