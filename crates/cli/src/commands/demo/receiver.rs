//! The demo's receiver of webhooks: a consumer as anyone would write one, on a bad day. It verifies every signature,
//! fails at random, and goes down for a while in the middle of what it does.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tidings_event::signature::{ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, Verifier};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use super::tally::Arrival;
use crate::failure::Failure;

/// One request in so many is answered 500, whatever it brings.
const FAILS_IN: u32 = 12;
/// The largest body that is read: an event's data at most, and its envelope.
const BODY_BYTES_MAX: usize = 512 * 1024;

/// One request to the receiver, and what it answered.
#[derive(Debug, Clone)]
pub(super) struct Visit {
    /// The event, if it was signed as it should be and is one of the shop's.
    pub(super) event: Option<Arrival>,
    pub(super) status: StatusCode,
    /// When, in microseconds since 1970.
    pub(super) at_us: i64,
}

/// What the requests' tasks share.
struct Shared {
    /// What each tenant's deliveries are verified with.
    keys: Mutex<HashMap<String, Verifier>>,
    visits: mpsc::Sender<Visit>,
}

/// A receiver behind a port of its own, open or closed.
pub(super) struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Takes connections; with it they end.
    open: Option<JoinHandle<()>>,
}

impl Receiver {
    /// Opens a receiver on a free port. It tells of each request.
    pub(super) async fn open(visits: mpsc::Sender<Visit>) -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { keys: Mutex::default(), visits });
        let open = Some(tokio::spawn(serve(listener, shared.clone())));
        Ok(Self { address, shared, open })
    }

    /// Where a tenant's events are to be sent.
    pub(super) fn url(&self, tenant: &str) -> String {
        format!("http://{}/{tenant}", self.address)
    }

    /// The secret that a tenant's deliveries are signed with.
    pub(super) fn trust(&self, tenant: &str, secret: &str) -> Result<(), Failure> {
        let verifier = Verifier::new([secret]);
        let verifier = verifier.map_err(|error| Failure::failed(format!("the endpoint's secret {error}")))?;
        self.shared.keys.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant.to_owned(), verifier);
        Ok(())
    }

    /// Goes down: the port is closed, and every connection breaks wherever it was.
    pub(super) async fn go_down(&mut self) {
        if let Some(open) = self.open.take() {
            open.abort();
            // The port is free once the task has gone.
            let _ = open.await;
        }
    }

    /// Comes back on the same port.
    pub(super) async fn come_back(&mut self) -> Result<(), Failure> {
        let listener = TcpListener::bind(self.address).await;
        let listener = listener
            .map_err(|error| Failure::failed(format!("the receiver cannot come back at {}: {error}", self.address)))?;
        self.open = Some(tokio::spawn(serve(listener, self.shared.clone())));
        Ok(())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(open) = &self.open {
            open.abort();
        }
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let shared = shared.clone();
                let service = service_fn(move |request| {
                    let shared = shared.clone();
                    async move { Ok::<_, Infallible>(answer(&shared, request).await) }
                });
                let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                connections.spawn(async move { drop(connection.await) });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn answer(shared: &Shared, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
    let now = jiff::Timestamp::now();
    let tenant = head.uri.path().trim_start_matches('/');
    let (event, status) = match body {
        Ok(body) => judge(shared, tenant, &head.headers, &body.to_bytes(), now.as_second()),
        Err(_) => (None, StatusCode::PAYLOAD_TOO_LARGE),
    };
    // After the demo's reckoning nobody counts any more.
    let _ = shared.visits.send(Visit { event, status, at_us: now.as_microsecond() }).await;
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

/// The signature first; only then is anything made of the body.
fn judge(
    shared: &Shared,
    tenant: &str,
    headers: &HeaderMap,
    body: &Bytes,
    now_s: i64,
) -> (Option<Arrival>, StatusCode) {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (id, timestamp, signature) = (header(ID_HEADER), header(TIMESTAMP_HEADER), header(SIGNATURE_HEADER));
    let keys = shared.keys.lock().unwrap_or_else(PoisonError::into_inner);
    let is_ours = keys.get(tenant).is_some_and(|key| key.verify(id, timestamp, signature, body, now_s).is_ok());
    drop(keys);
    if !is_ours {
        return (None, StatusCode::UNAUTHORIZED);
    }
    let Ok(event) = serde_json::from_slice::<Arrival>(body) else {
        // Signed, but no event of the shop: someone tries things out.
        return (None, StatusCode::NO_CONTENT);
    };
    let fails = rand::random::<u32>().is_multiple_of(FAILS_IN);
    let status = if fails { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::NO_CONTENT };
    (Some(event), status)
}
