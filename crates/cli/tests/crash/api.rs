//! A plain HTTP client of the server under test.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::HeaderMap;
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// The admin key of every server here.
pub(crate) const KEY: &str = "crash-test-admin-key-0123456789abcdef";
/// Longer than any answer takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two tries of a request that the server could not take.
const RETRY: Duration = Duration::from_millis(20);

/// What a request was answered with.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Asserts that the answer says: not now, the storage is away, come back then.
    pub(crate) fn assert_unavailable(&self) {
        assert_eq!(self.status, StatusCode::SERVICE_UNAVAILABLE, "{}", self.text());
        let after = self.headers.get("retry-after").expect("a 503 says when to come back").to_str().unwrap();
        let seconds: u64 = after.parse().expect("Retry-After is a number of seconds");
        assert!((1..=60).contains(&seconds), "Retry-After: {seconds}");
        assert_eq!(self.json()["code"], "storage_unavailable", "{}", self.text());
    }
}

/// One event of a tenant's feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) sequence: u64,
    pub(crate) id: String,
}

/// Speaks to one server, across its restarts.
#[derive(Clone)]
pub(crate) struct Api {
    client: Client<HttpConnector, Full<Bytes>>,
    base: String,
}

impl Api {
    pub(crate) fn new(port: u16) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { client, base: format!("http://127.0.0.1:{port}") }
    }

    /// Sends a request; an error when no answer came.
    pub(crate) async fn send(&self, method: Method, path: &str, body: &[u8]) -> Result<Answer, String> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {KEY}"))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::copy_from_slice(body)))
            .unwrap();
        let exchange = async {
            let answer = self.client.request(request).await.map_err(|error| error.to_string())?;
            let (parts, body) = answer.into_parts();
            let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
            Ok(Answer { status: parts.status, headers: parts.headers, body })
        };
        tokio::time::timeout(PATIENCE, exchange).await.map_err(|_| "no answer in time".to_owned())?
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer, String> {
        self.send(Method::GET, path, b"").await
    }

    pub(crate) async fn emit(&self, events: &[Value]) -> Result<Answer, String> {
        self.send(Method::POST, "/v1/events", &serde_json::to_vec(events).unwrap()).await
    }

    /// Emits events, again and again with the same ids, until they are taken. Returns how many tries that took.
    ///
    /// # Panics
    /// When the events are refused for good, or when five minutes were not enough.
    pub(crate) async fn emit_until_taken(&self, events: &[Value]) -> u32 {
        let deadline = Instant::now() + Duration::from_secs(300);
        for tries in 1.. {
            match self.emit(events).await {
                Ok(answer) if answer.status == StatusCode::CREATED => return tries,
                Ok(answer) if !answer.status.is_server_error() => panic!("{}: {}", answer.status, answer.text()),
                Ok(_) | Err(_) => {}
            }
            assert!(Instant::now() < deadline, "the server has not taken an event for five minutes");
            tokio::time::sleep(RETRY).await;
        }
        unreachable!("the loop ends by returning")
    }

    /// Whether the server says that it is ready.
    pub(crate) async fn is_ready(&self) -> bool {
        self.get("/readyz").await.is_ok_and(|answer| answer.status == StatusCode::OK)
    }

    /// One page of a tenant's feed.
    async fn page(&self, tenant: &str, query: &str) -> Value {
        let answer = self.get(&format!("/v1/tenants/{tenant}/feed?{query}")).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        answer.json()
    }

    /// A tenant's feed from its start, at least until it has `least` events, which it waits for.
    pub(crate) async fn feed_of_at_least(&self, tenant: &str, least: usize) -> Vec<Seen> {
        let mut seen = Vec::new();
        let mut from = "from=start".to_owned();
        loop {
            let wait = if seen.len() < least { 20 } else { 0 };
            let page = self.page(tenant, &format!("{from}&limit=1000&wait={wait}")).await;
            for event in page["events"].as_array().unwrap() {
                seen.push(Seen {
                    sequence: event["sequence"].as_u64().unwrap(),
                    id: event["id"].as_str().unwrap().to_owned(),
                });
            }
            if page["up_to_date"].as_bool().unwrap() && seen.len() >= least {
                return seen;
            }
            from = format!("cursor={}", page["cursor"].as_str().unwrap());
        }
    }

    /// A tenant's whole feed.
    pub(crate) async fn feed(&self, tenant: &str) -> Vec<Seen> {
        self.feed_of_at_least(tenant, 0).await
    }

    /// The whole feeds of some tenants.
    pub(crate) async fn feeds(&self, tenants: &[&'static str]) -> BTreeMap<&'static str, Vec<Seen>> {
        let mut feeds = BTreeMap::new();
        for tenant in tenants {
            feeds.insert(*tenant, self.feed(tenant).await);
        }
        feeds
    }
}

/// An event as a producer sends it.
pub(crate) fn event(tenant: &str, id: &str, producer: &str, data: &Value) -> Value {
    serde_json::json!({
        "id": id,
        "type": "shop.order.placed",
        "tenant": tenant,
        "source": { "type": "service", "id": producer },
        "entity": { "type": "order", "id": id },
        "data": data,
    })
}
