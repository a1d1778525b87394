//! Receivers of webhooks, right and wrong, behind ports of their own.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tidings_event::signature::Verifier;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

/// A request, as it came.
#[derive(Debug, Clone)]
pub(crate) struct Came {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Came {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Verifies it as a consumer should.
    pub(crate) fn verify(&self, key: &str) -> bool {
        let (id, timestamp) = (self.header("webhook-id"), self.header("webhook-timestamp"));
        Verifier::new([key])
            .unwrap()
            .verify(id, timestamp, self.header("webhook-signature"), &self.body, now_s())
            .is_ok()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub(crate) fn now_s() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// What a receiver does with a request: a status, and a body.
type Consumer = dyn Fn(&Came) -> (u16, String) + Send + Sync;

/// A receiver that remembers what came.
pub(crate) struct Receiver {
    address: SocketAddr,
    came: Arc<Mutex<Vec<Came>>>,
    task: AbortHandle,
}

impl Receiver {
    /// A receiver that answers as the consumer says. A GET gets the number of requests answered 2xx with a body `new`.
    pub(crate) async fn new(consumer: impl Fn(&Came) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (came, effects) = (Arc::<Mutex<Vec<Came>>>::default(), Arc::<Mutex<usize>>::default());
        let consumer: Arc<Consumer> = Arc::new(consumer);
        let shared = (came.clone(), effects, consumer);
        let task = tokio::spawn(serve(listener, shared)).abort_handle();
        Self { address, came, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub(crate) fn came(&self) -> Vec<Came> {
        self.came.lock().unwrap().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Shared = (Arc<Mutex<Vec<Came>>>, Arc<Mutex<usize>>, Arc<Consumer>);

async fn serve(listener: TcpListener, shared: Shared) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = shared.clone();
        let service = service_fn(move |request| answer(shared.clone(), request));
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        // The command under test may go away in the middle.
        connections.spawn(async move { drop(connection.await) });
    }
}

async fn answer(
    (came, effects, consumer): Shared,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let is_get = request.method() == http::Method::GET;
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let (status, text) = if is_get {
        (200, effects.lock().unwrap().to_string())
    } else {
        let request = Came { headers: head.headers, body };
        let (status, text) = consumer(&request);
        came.lock().unwrap().push(request);
        *effects.lock().unwrap() += usize::from(text == "new");
        (status, text)
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    if (300..400).contains(&status) {
        response.headers_mut().insert("location", "/elsewhere".parse().unwrap());
    }
    Ok(response)
}

/// Remembers ids. Says `new` the first time.
#[derive(Default)]
pub(crate) struct Seen(Mutex<HashMap<String, ()>>);

impl Seen {
    pub(crate) fn note(&self, id: &str) -> &'static str {
        if self.0.lock().unwrap().insert(id.to_owned(), ()).is_none() { "new" } else { "seen" }
    }
}
