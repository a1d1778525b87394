//! Something that webhooks are delivered to: it answers as it is told and hands over what it got.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio::task::JoinHandle;

use super::PATIENCE;

/// Requests that wait to be looked at; further ones wait for their answer.
const WAITING_MAX: usize = 10_000;

pub(crate) struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    got: AsyncMutex<mpsc::Receiver<Received>>,
    serving: JoinHandle<()>,
}

struct Shared {
    status: Mutex<u16>,
    got: mpsc::Sender<Received>,
}

/// One request.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no header {name}: {self:?}")).to_str().unwrap()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Receiver {
    /// Answers with status 200 and the body that it got.
    pub(crate) async fn start() -> Self {
        let (sender, got) = mpsc::channel(WAITING_MAX);
        let shared = Arc::new(Shared { status: Mutex::new(200), got: sender });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = axum::Router::new().fallback(take).with_state(shared.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        Self { address, shared, got: AsyncMutex::new(got), serving }
    }

    /// Where it takes webhooks.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/webhooks", self.address)
    }

    /// What it answers from now on.
    pub(crate) fn answer(&self, status: u16) {
        *self.shared.status.lock().unwrap() = status;
    }

    /// The next request, once it is here.
    pub(crate) async fn next(&self) -> Received {
        let mut got = self.got.lock().await;
        tokio::time::timeout(PATIENCE, got.recv()).await.expect("a request in time").expect("the receiver runs")
    }

    /// How many requests came that nobody looked at.
    pub(crate) async fn waiting(&self) -> usize {
        self.got.lock().await.len()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn take(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let status = *shared.status.lock().unwrap();
    // A test that is over listens no more.
    let _ = shared.got.send(Received { headers, body: body.clone() }).await;
    (StatusCode::from_u16(status).unwrap(), body).into_response()
}
