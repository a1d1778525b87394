//! Readers of feeds, live or page by page, that go on by cursor at any node.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::{Buf as _, Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::{Method, StatusCode};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::history::History;
use crate::producers::whole;
use crate::settings::of_producer;

/// Longer than the time between two heartbeats of a stream.
const SILENCE: Duration = Duration::from_secs(20);
/// How long a reader stays with one node, at most.
const STAY_S: std::ops::Range<u64> = 3..30;

/// How a reader reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Server-sent events, everything.
    Live,
    /// Page by page with `wait`, one type alone.
    Carts,
}

/// One reader and what it has read.
pub(crate) struct Reader {
    pub(crate) tenant: &'static str,
    pub(crate) mode: Mode,
    api: Api,
    ports: Vec<u16>,
    history: Arc<History>,
    read: Mutex<Read>,
}

#[derive(Default)]
pub(crate) struct Read {
    cursor: Option<String>,
    /// Sequence and id of each event, in the order of reading.
    pub(crate) events: Vec<(u64, String)>,
    /// Connections and requests that were made.
    pub(crate) connections: u64,
}

impl Reader {
    pub(crate) fn new(tenant: &'static str, mode: Mode, api: Api, ports: Vec<u16>, history: Arc<History>) -> Arc<Self> {
        Arc::new(Self { tenant, mode, api, ports, history, read: Mutex::default() })
    }

    pub(crate) fn read(&self) -> MutexGuard<'_, Read> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads until it is told to end.
    pub(crate) async fn run(self: Arc<Self>, seed: u64, stop: CancellationToken) {
        let mut dice = StdRng::seed_from_u64(seed);
        while !stop.is_cancelled() {
            let port = self.ports[dice.random_range(0..self.ports.len())];
            let stay = Duration::from_secs(dice.random_range(STAY_S));
            self.read().connections += 1;
            let reading = async {
                match self.mode {
                    Mode::Live => self.stream(port).await,
                    Mode::Carts => self.page(port).await,
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(stay) => {}
                ended = reading => {
                    if ended.is_err() {
                        tokio::time::sleep(Duration::from_millis(dice.random_range(50..500))).await;
                    }
                }
            }
        }
    }

    /// Reads a stream until it breaks.
    async fn stream(&self, port: u16) -> anyhow::Result<()> {
        let cursor = self.read().cursor.clone();
        let mut headers = vec![("accept", "text/event-stream")];
        if let Some(cursor) = &cursor {
            headers.push(("last-event-id", cursor));
        }
        let path = format!("/v1/tenants/{}/feed?from=start", self.tenant);
        let opening = self.api.open(port, Method::GET, &path, &headers, Bytes::new());
        let answer = tokio::time::timeout(SILENCE, opening).await.context("no answer in time")??;
        let status = answer.status();
        let mut body = answer.into_body();
        if status != StatusCode::OK {
            let text = tokio::time::timeout(SILENCE, body.collect()).await??.to_bytes();
            return self.refused(status, &String::from_utf8_lossy(&text));
        }
        let mut buffer = BytesMut::new();
        loop {
            let frame = tokio::time::timeout(SILENCE, body.frame()).await.context("silence")?;
            let Some(frame) = frame else { return Ok(()) };
            if let Ok(bytes) = frame?.into_data() {
                buffer.extend_from_slice(&bytes);
            }
            while let Some(end) = buffer.windows(2).position(|pair| pair == b"\n\n") {
                let message = buffer.split_to(end);
                buffer.advance(2);
                self.message(&String::from_utf8_lossy(&message))?;
            }
        }
    }

    /// Takes one message of a stream.
    fn message(&self, message: &str) -> anyhow::Result<()> {
        let field = |name: &str| {
            let of =
                |line: &'_ str| line.strip_prefix(name)?.strip_prefix(':').map(|rest| rest.trim_start().to_owned());
            message.lines().find_map(of)
        };
        let kind = field("event").unwrap_or_default();
        if kind == "problem" {
            let problem = field("data").unwrap_or_default();
            let status = serde_json::from_str::<Value>(&problem).ok().and_then(|problem| problem["status"].as_u64());
            let status = status.and_then(|status| StatusCode::from_u16(u16::try_from(status).ok()?).ok());
            return self.refused(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &problem);
        }
        if kind == "event" {
            let event: Value = serde_json::from_str(&field("data").unwrap_or_default())?;
            self.take(&event);
        }
        if let Some(cursor) = field("id") {
            self.read().cursor = Some(cursor);
        }
        Ok(())
    }

    /// Reads pages until one fails.
    async fn page(&self, port: u16) -> anyhow::Result<()> {
        loop {
            let from = self.read().cursor.clone().map_or("from=start".to_owned(), |cursor| format!("cursor={cursor}"));
            let path = format!("/v1/tenants/{}/feed?{from}&types=shop.cart.*&limit=200&wait=5", self.tenant);
            let answer = self.api.send(port, Method::GET, &path, None, SILENCE).await?;
            if answer.status != StatusCode::OK {
                return self.refused(answer.status, &answer.text());
            }
            let page = answer.json()?;
            for event in page["events"].as_array().into_iter().flatten() {
                self.take(event);
            }
            self.read().cursor = page["cursor"].as_str().map(str::to_owned);
        }
    }

    /// An answer that is not the feed: some may come while faults last, others never.
    fn refused(&self, status: StatusCode, text: &str) -> anyhow::Result<()> {
        // A tenant that has no event yet is not known.
        let unknown = status == StatusCode::NOT_FOUND && self.read().events.is_empty();
        if !status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS && !unknown {
            self.history.broken(format!("a reader of {} was refused: {status} {text}", self.tenant));
        }
        bail!("{status}")
    }

    fn take(&self, event: &Value) {
        let sequence = event["sequence"].as_u64().unwrap_or_default();
        let id = event["id"].as_str().unwrap_or_default().to_owned();
        let of_producer = event["type"].as_str().is_some_and(of_producer);
        if event["tenant"] != self.tenant {
            self.history.broken(format!("a reader of {} got {event}", self.tenant));
        }
        if of_producer && let Err(error) = whole(event) {
            self.history.broken(format!("a reader of {}: {error:#}", self.tenant));
        }
        let mut read = self.read();
        let last = read.events.last().map_or(0, |(sequence, _)| *sequence);
        read.events.push((sequence, id));
        drop(read);
        let follows = match self.mode {
            Mode::Live => sequence == last + 1,
            Mode::Carts => sequence > last,
        };
        if !follows {
            self.history.broken(format!("a reader of {} got {sequence} after {last}", self.tenant));
        }
        self.history.note("read", json!({ "tenant": self.tenant, "sequence": sequence }));
    }
}
