//! A receiver of webhooks that verifies every signature and remembers what came.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tidings_event::signature::Verifier;
use tokio::net::TcpListener;

/// How a receiver behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Manner {
    /// Answers at once.
    Healthy,
    /// Answers after a while.
    Slow(Duration),
    /// Answers 500 to one event in ten, the first time.
    Flaky,
}

/// One delivery that was answered with 2xx.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) sequence: u64,
    pub(crate) entity: String,
    /// When its request came.
    pub(crate) came: Instant,
}

#[derive(Default)]
struct Record {
    accepted: Vec<Delivery>,
    /// Requests, whatever they were answered with.
    requests: u64,
    refused: Vec<String>,
    failed_once: HashSet<u64>,
}

/// A receiver behind a port of its own.
pub(crate) struct Receiver {
    pub(crate) name: &'static str,
    port: u16,
    manner: Arc<Mutex<Manner>>,
    record: Arc<Mutex<Record>>,
    verifier: Arc<Mutex<Option<Arc<Verifier>>>>,
}

impl Receiver {
    /// A receiver that nobody hears yet: connections to its port are refused.
    pub(crate) fn new(name: &'static str, manner: Manner) -> Self {
        let port = (0..100)
            .map(|_| rand::random_range(12_000..20_000))
            .find(|port| StdListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
            .expect("one of a hundred ports is free");
        let (manner, record) = (Arc::new(Mutex::new(manner)), Arc::default());
        Self { name, port, manner, record, verifier: Arc::default() }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    /// The key that deliveries must be signed with.
    pub(crate) fn expect(&self, secret: &str) {
        *self.verifier.lock().unwrap() = Some(Arc::new(Verifier::new([secret]).unwrap()));
    }

    pub(crate) fn behave(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    /// Begins to listen.
    pub(crate) async fn open(&self) {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))).await.unwrap();
        let (manner, record, verifier) = (self.manner.clone(), self.record.clone(), self.verifier.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (manner, record, verifier) = (manner.clone(), record.clone(), verifier.clone());
                tokio::spawn(async move {
                    let service =
                        service_fn(move |request| answer(request, manner.clone(), record.clone(), verifier.clone()));
                    // The server under test is killed: its connections break.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
    }

    pub(crate) fn accepted(&self) -> Vec<Delivery> {
        self.record.lock().unwrap().accepted.clone()
    }

    pub(crate) fn requests(&self) -> u64 {
        self.record.lock().unwrap().requests
    }

    /// How many different events were accepted.
    pub(crate) fn distinct(&self) -> usize {
        let record = self.record.lock().unwrap();
        record.accepted.iter().map(|delivery| delivery.sequence).collect::<HashSet<_>>().len()
    }

    /// Asserts that nothing came that was not signed as it should be.
    pub(crate) fn assert_all_signed(&self) {
        let record = self.record.lock().unwrap();
        assert!(record.refused.is_empty(), "{}: {:?}", self.name, record.refused);
    }

    /// Asserts that events of one entity came in order, repeats left out.
    pub(crate) fn assert_entity_order(&self) {
        let mut newest: HashMap<String, u64> = HashMap::new();
        let mut seen = HashSet::new();
        for delivery in self.accepted() {
            if seen.insert(delivery.sequence) {
                let newest = newest.entry(delivery.entity.clone()).or_default();
                assert!(*newest < delivery.sequence, "{}: {} came after {newest}", self.name, delivery.sequence);
                *newest = delivery.sequence;
            }
        }
    }

    /// Asserts that all came in order, repeats left out.
    pub(crate) fn assert_order(&self) {
        let mut seen = HashSet::new();
        let first: Vec<u64> =
            self.accepted().iter().map(|delivery| delivery.sequence).filter(|s| seen.insert(*s)).collect();
        assert!(first.is_sorted(), "{}: out of order", self.name);
    }

    /// How often an event was accepted again. Each repeat needs a kill between the two.
    pub(crate) fn repeats(&self, kills: &[Instant]) -> u64 {
        let mut last: BTreeMap<u64, Instant> = BTreeMap::new();
        let mut repeats = 0;
        for delivery in self.accepted() {
            if let Some(before) = last.insert(delivery.sequence, delivery.came) {
                repeats += 1;
                let killed = kills.iter().any(|kill| before <= *kill && *kill <= delivery.came);
                assert!(killed, "{}: {} came twice without a crash between", self.name, delivery.sequence);
            }
        }
        repeats
    }
}

async fn answer(
    request: Request<Incoming>,
    manner: Arc<Mutex<Manner>>,
    record: Arc<Mutex<Record>>,
    verifier: Arc<Mutex<Option<Arc<Verifier>>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let came = Instant::now();
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return Ok(status(StatusCode::BAD_REQUEST)) };
    let body = body.to_bytes();
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    record.lock().unwrap().requests += 1;
    let verifier = verifier.lock().unwrap().clone().expect("the key is known before anything is sent");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let verified =
        verifier.verify(header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"), &body, now);
    if let Err(error) = verified {
        record.lock().unwrap().refused.push(error.to_string());
        return Ok(status(StatusCode::UNAUTHORIZED));
    }
    let event: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let sequence = event["sequence"].as_u64().unwrap();
    assert_eq!(header("tidings-sequence"), sequence.to_string());
    let now_manner = *manner.lock().unwrap();
    match now_manner {
        Manner::Healthy => {}
        Manner::Slow(time) => tokio::time::sleep(time).await,
        Manner::Flaky => {
            if sequence.is_multiple_of(10) && record.lock().unwrap().failed_once.insert(sequence) {
                return Ok(status(StatusCode::INTERNAL_SERVER_ERROR));
            }
        }
    }
    let entity = event["entity"]["id"].as_str().unwrap().to_owned();
    record.lock().unwrap().accepted.push(Delivery { sequence, entity, came });
    Ok(status(StatusCode::OK))
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
