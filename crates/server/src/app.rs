//! What every operation has at hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use metrics_exporter_prometheus::PrometheusHandle;
use tidings_catalog::entry::Key;
use tidings_engine::Engine;
use tidings_event::CursorKey;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::admission::{Admission, Bounds};
use crate::selections::Selections;
use crate::telemetry::{Requests, install_metrics};

/// What a server is given beside its engine.
#[derive(Clone)]
pub struct ServerOptions {
    /// SHA-256 hashes of admin keys that are accepted beside the keys in the store.
    pub admin_keys: Vec<[u8; 32]>,
    /// Seals and opens cursors. All nodes of one installation share it.
    pub cursor_key: CursorKey,
}

/// The revision with which each entry of the catalog came; another one for each state of it.
type Revisions = Arc<BTreeMap<Key, u64>>;

/// Shared by all requests.
pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) admin_keys: Vec<[u8; 32]>,
    pub(crate) cursor_key: CursorKey,
    pub(crate) admission: Admission,
    pub(crate) selections: Selections,
    pub(crate) requests: Requests,
    pub(crate) metrics: &'static PrometheusHandle,
    pub(crate) openapi: Bytes,
    /// The AsyncAPI document of the catalog, and of which state of it.
    pub(crate) asyncapi: Arc<Mutex<Option<(Revisions, Bytes)>>>,
    /// Cancelled when the shutdown begins: streams end, waiting readers are answered.
    pub(crate) closing: CancellationToken,
}

pub(crate) type App = Arc<Shared>;

pub(crate) fn assemble(engine: Engine, options: ServerOptions, bounds: Bounds, openapi: Bytes) -> App {
    Arc::new(Shared {
        engine,
        admin_keys: options.admin_keys,
        cursor_key: options.cursor_key,
        admission: Admission::new(bounds),
        selections: Selections::default(),
        requests: Requests::default(),
        metrics: install_metrics(),
        openapi,
        asyncapi: Arc::default(),
        closing: CancellationToken::new(),
    })
}
