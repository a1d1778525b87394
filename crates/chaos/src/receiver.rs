//! A receiver of webhooks that verifies every signature and remembers what came and when.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tidings_event::signature::Verifier;
use tokio::net::TcpListener;

use crate::history::{History, millis};
use crate::proxy::Proxy;
use crate::settings::{Manner, Ordering, Plan};

/// One delivery that was answered with 2xx.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delivery {
    pub(crate) sequence: u64,
    /// When it was answered.
    pub(crate) at: Duration,
}

#[derive(Default)]
pub(crate) struct Record {
    /// In the order in which they were answered, repeats among them.
    pub(crate) accepted: Vec<Delivery>,
    /// When each sequence was accepted last.
    last: HashMap<u64, Duration>,
    newest: HashMap<String, u64>,
    failed_once: HashSet<u64>,
    /// Different events among those that must come.
    pub(crate) musts: u64,
    pub(crate) requests: u64,
    pub(crate) repeats: u64,
    pub(crate) out_of_order: u64,
}

impl Record {
    pub(crate) fn has(&self, sequence: u64) -> bool {
        self.last.contains_key(&sequence)
    }
}

/// A receiver behind a proxy of its own.
pub(crate) struct Receiver {
    pub(crate) name: String,
    pub(crate) plan: Plan,
    /// Between all nodes and this receiver.
    pub(crate) proxy: Proxy,
    /// The endpoint's id, once it is made.
    pub(crate) id: OnceLock<String>,
    verifier: OnceLock<Verifier>,
    record: Mutex<Record>,
    history: Arc<History>,
}

impl Receiver {
    pub(crate) async fn start(no: usize, plan: Plan, history: Arc<History>) -> anyhow::Result<Arc<Self>> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address: SocketAddr = listener.local_addr()?;
        let name = format!("{no}:{}/{}", plan.tenant, plan.ordering.as_str());
        let receiver = Arc::new(Self {
            name,
            plan,
            proxy: Proxy::to(address).await,
            id: OnceLock::new(),
            verifier: OnceLock::new(),
            record: Mutex::default(),
            history,
        });
        let shared = Arc::clone(&receiver);
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let receiver = Arc::clone(&shared);
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let receiver = Arc::clone(&receiver);
                        async move { Ok::<_, Infallible>(receiver.answer(request).await) }
                    });
                    // Nodes are killed: their connections break.
                    let http = hyper::server::conn::http1::Builder::new();
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(receiver)
    }

    /// The endpoint that is to be made for it.
    pub(crate) fn endpoint(&self) -> Value {
        json!({
            "url": format!("http://127.0.0.1:{}/hook", self.proxy.port()),
            "types": self.plan.wants.types(),
            "ordering": self.plan.ordering.as_str(),
            "timeout_ms": 3_000,
            // Long enough that nothing is given up while a fault lasts, short enough that a run ends.
            "retry_schedule_s": [0, 1, 1, 1, 2, 2, 3, 3, 5, 5, 5, 10, 10, 10, 15, 15, 20, 30, 60, 120],
            "description": self.name,
        })
    }

    /// The endpoint was made: its id, and the key that deliveries must be signed with.
    pub(crate) fn made(&self, id: &str, secret: &str) -> anyhow::Result<()> {
        let verifier = Verifier::new([secret]).map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let _ = self.id.set(id.to_owned());
        let _ = self.verifier.set(verifier);
        Ok(())
    }

    pub(crate) fn id(&self) -> &str {
        self.id.get().map_or("", String::as_str)
    }

    pub(crate) fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let Ok(body) = body.collect().await else { return status(StatusCode::BAD_REQUEST) };
        let body = body.to_bytes();
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed());
        let (id, sent) = (header("webhook-id"), header("webhook-timestamp"));
        // What a network held back may come late; how old it may be is the receiver's own affair.
        let sent_at = sent.parse().unwrap_or(now);
        self.record().requests += 1;
        let verified = self.verifier.get().map(|verifier| {
            verifier.verify(id, sent, header("webhook-signature"), &body, sent_at).map_err(|error| error.to_string())
        });
        match verified {
            None => return status(StatusCode::SERVICE_UNAVAILABLE),
            Some(Err(error)) => {
                self.history.broken(format!("{}: a delivery that does not verify: {error}", self.name));
                return status(StatusCode::UNAUTHORIZED);
            }
            Some(Ok(_)) => {}
        }
        let Ok(event) = serde_json::from_slice::<Value>(&body) else {
            self.history.broken(format!("{}: a body that is no JSON", self.name));
            return status(StatusCode::BAD_REQUEST);
        };
        let sequence = event["sequence"].as_u64().unwrap_or_default();
        match self.plan.manner {
            Manner::Healthy => {}
            Manner::Slow(time) => tokio::time::sleep(time).await,
            Manner::Flaky => {
                if sequence.is_multiple_of(10) && self.record().failed_once.insert(sequence) {
                    return status(StatusCode::INTERNAL_SERVER_ERROR);
                }
            }
        }
        self.accept(&event, sequence);
        status(StatusCode::OK)
    }

    /// Writes down what came, and whether it may have come.
    fn accept(&self, event: &Value, sequence: u64) {
        let at = self.history.now();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (tenant, event_type, entity) = (text(&event["tenant"]), text(&event["type"]), text(&event["entity"]["id"]));
        if tenant != self.plan.tenant || event["data"]["tenant"] != self.plan.tenant {
            self.history.broken(format!("{}: got an event of {tenant}: {event}", self.name));
        }
        if !self.plan.wants.may(&event_type) {
            self.history.broken(format!("{}: got an event that it does not want: {event}", self.name));
        }
        let mut record = self.record();
        record.accepted.push(Delivery { sequence, at });
        let before = record.last.insert(sequence, at);
        match before {
            Some(_) => record.repeats += 1,
            None => record.musts += u64::from(self.plan.wants.must(&event_type)),
        }
        let key = match self.plan.ordering {
            Ordering::None => None,
            Ordering::Entity => Some(entity),
            Ordering::Strict => Some(String::new()),
        };
        let mut overtaken = None;
        if let (None, Some(key)) = (before, key) {
            let newest = record.newest.entry(key).or_default();
            if *newest > sequence {
                overtaken = Some(*newest);
            }
            *newest = sequence.max(*newest);
        }
        record.out_of_order += u64::from(overtaken.is_some());
        drop(record);
        let note = json!({ "to": self.name, "sequence": sequence, "before_ms": before.map(millis) });
        self.history.note("delivery", note);
        if let Some(newest) = overtaken {
            self.history.broken(format!("{}: {sequence} came for the first time after {newest}", self.name));
        }
        if let Some(before) = before
            && !self.history.disturbed(before, at)
        {
            self.history.broken(format!("{}: {sequence} came twice without a fault between", self.name));
        }
    }
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
