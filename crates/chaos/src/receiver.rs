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
use crate::producers::whole;
use crate::proxy::Proxy;
use crate::repeats::Repeat;
use crate::settings::{Manner, Ordering, Plan, of_producer};

#[derive(Default)]
pub(crate) struct Record {
    /// When each delivery was answered with 2xx, repeats among them.
    pub(crate) accepted: Vec<Duration>,
    /// By sequence.
    taken: HashMap<u64, Taken>,
    newest: HashMap<String, u64>,
    failed_once: HashSet<u64>,
    /// Different events among those that must come.
    pub(crate) musts: u64,
    pub(crate) requests: u64,
    pub(crate) repeats: Vec<Repeat>,
    pub(crate) out_of_order: u64,
}

/// One event that was accepted, once or again.
struct Taken {
    id: String,
    first: Duration,
    last: Duration,
    /// When the database was first seen to call it settled.
    settled: Option<Duration>,
}

impl Record {
    pub(crate) fn has(&self, sequence: u64) -> bool {
        self.taken.contains_key(&sequence)
    }

    /// The database calls an event settled, or did before.
    pub(crate) fn settled(&mut self, sequence: u64, at: Duration) {
        if let Some(taken) = self.taken.get_mut(&sequence) {
            taken.settled.get_or_insert(at);
        }
    }

    /// Sequence and id of all that was accepted, in no order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = (u64, &str)> {
        self.taken.iter().map(|(sequence, taken)| (*sequence, taken.id.as_str()))
    }

    /// Takes one delivery, and tells what is wrong with it in words, and when it was taken the time before.
    pub(crate) fn take(&mut self, plan: &Plan, event: &Value, at: Duration) -> (Vec<String>, Option<Duration>) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (id, event_type, entity) = (text(&event["id"]), text(&event["type"]), text(&event["entity"]["id"]));
        let sequence = event["sequence"].as_u64().unwrap_or_default();
        let mut wrong = Vec::new();
        if event["tenant"] != plan.tenant {
            wrong.push(format!("got an event of {}: {event}", event["tenant"]));
        }
        if !plan.wants.may(&event_type) {
            wrong.push(format!("got an event that it does not want: {event}"));
        }
        if of_producer(&event_type)
            && let Err(error) = whole(event)
        {
            wrong.push(format!("{sequence}: {error:#}"));
        }
        self.accepted.push(at);
        if let Some(taken) = self.taken.get_mut(&sequence) {
            if taken.id != id {
                wrong.push(format!("{sequence} came as {} and again as {id}", taken.id));
            }
            let before = std::mem::replace(&mut taken.last, at);
            self.repeats.push(Repeat { sequence, first: taken.first, before, at, settled: taken.settled });
            return (wrong, Some(before));
        }
        self.taken.insert(sequence, Taken { id, first: at, last: at, settled: None });
        self.musts += u64::from(plan.wants.must(&event_type));
        let key = match plan.ordering {
            Ordering::None => return (wrong, None),
            Ordering::Entity => entity,
            Ordering::Strict => String::new(),
        };
        let newest = self.newest.entry(key).or_default();
        if *newest > sequence {
            wrong.push(format!("{sequence} came for the first time after {newest}"));
            self.out_of_order += 1;
        }
        *newest = sequence.max(*newest);
        (wrong, None)
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
        self.accept(&event, id, sequence);
        status(StatusCode::OK)
    }

    /// Writes down what came, and whether it may have come. `id` is what a receiver knows repeats by.
    fn accept(&self, event: &Value, id: &str, sequence: u64) {
        let (mut wrong, before) = self.record().take(&self.plan, event, self.history.now());
        if event["id"] != id {
            wrong.push(format!("{} came with the id {id}", event["id"]));
        }
        let note = json!({ "to": self.name, "sequence": sequence, "id": id, "before_ms": before.map(millis) });
        self.history.note("delivery", note);
        for text in wrong {
            self.history.broken(format!("{}: {text}", self.name));
        }
    }
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Wants;

    const PLAN: Plan = Plan { tenant: "acme", ordering: Ordering::Entity, manner: Manner::Healthy, wants: Wants::All };

    fn event(id: &str, sequence: u64) -> Value {
        let n = crate::producers::number(id);
        json!({
            "id": id, "sequence": sequence, "tenant": "acme", "type": crate::producers::type_of(id),
            "entity": { "type": "order", "id": format!("o{}", n % 23) },
            "data": { "id": id, "n": n, "tenant": "acme" },
        })
    }

    fn wrong(deliveries: &[Value]) -> Vec<String> {
        let mut record = Record::default();
        let taken = deliveries.iter().map(|event| record.take(&PLAN, event, Duration::ZERO).0);
        taken.collect::<Vec<_>>().concat()
    }

    #[test]
    fn what_comes_is_what_its_producer_made_and_stays_so() {
        assert_eq!(wrong(&[event("shop-1", 57), event("shop-1", 57), event("shop-2", 58)]), Vec::<String>::new());
        assert_eq!(wrong(&[event("shop-1", 57), event("shop-2", 57)]), ["57 came as shop-1 and again as shop-2"]);
        let with = |path: &str, value: Value| {
            let mut event = event("shop-1", 57);
            *event.pointer_mut(path).unwrap() = value;
            event
        };
        for (bad, expect) in [
            (with("/data/n", json!(2)), "carries the data of"),
            (with("/data/id", json!("books-1")), "carries the data of"),
            (with("/data/tenant", json!("globex")), "carries data of"),
            (with("/entity/id", json!("o2")), "is of the entity"),
            (with("/type", json!("shop.cart.closed")), "has the type"),
            (with("/type", json!("tidings.other")), "does not want"),
            (with("/tenant", json!("globex")), "got an event of"),
        ] {
            let found = wrong(std::slice::from_ref(&bad));
            assert!(found.iter().any(|text| text.contains(expect)), "{bad}: {found:?}");
        }
        let late = wrong(&[event("shop-24", 58), event("shop-1", 57)]);
        assert_eq!(late, ["57 came for the first time after 58"]);
    }
}
