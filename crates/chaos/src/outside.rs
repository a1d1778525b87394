//! Somebody outside who listens to the broker with a plain client, and what the broker's streams hold in the end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use async_nats::Client;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::check::Log;
use crate::history::History;

const SUBJECTS: &str = "tidings.events.>";
/// How long the publishers may take to bring every stream to its log's end.
const CATCH_UP: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(500);

/// Hears everything that is published while it is connected.
pub(crate) struct Outsider {
    url: String,
    history: Arc<History>,
    heard: Mutex<Heard>,
}

#[derive(Default)]
pub(crate) struct Heard {
    /// The id that each tenant's sequence had.
    events: HashMap<(String, u64), String>,
    pub(crate) messages: u64,
}

impl Outsider {
    pub(crate) fn new(url: String, history: Arc<History>) -> Arc<Self> {
        Arc::new(Self { url, history, heard: Mutex::default() })
    }

    pub(crate) fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens until it is told to end; whenever the broker is away, it waits.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let listen = async {
            loop {
                let _ = self.listen().await;
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = listen => {}
        }
    }

    async fn listen(&self) -> anyhow::Result<()> {
        let client = async_nats::connect(&self.url).await?;
        let mut messages = client.subscribe(SUBJECTS).await?;
        while let Some(message) = messages.next().await {
            if !message.payload.is_empty() {
                self.take(message.subject.as_str(), &message.payload);
            }
        }
        Ok(())
    }

    fn take(&self, subject: &str, payload: &[u8]) {
        let event: Value = serde_json::from_slice(payload).unwrap_or_default();
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        let (tenant, id, sequence) = (text("tenant"), text("id"), event["sequence"].as_u64().unwrap_or_default());
        if sequence == 0 || !subject.ends_with(&format!(".{tenant}.{}", text("type"))) {
            self.history.broken(format!("on {subject} came {event}"));
        }
        let mut heard = self.heard();
        heard.messages += 1;
        let before = heard.events.insert((tenant.clone(), sequence), id.clone());
        drop(heard);
        if let Some(before) = before
            && before != id
        {
            self.history.broken(format!("{sequence} of {tenant} was {before} and then {id} on the bus"));
        }
    }

    /// Whether all that was heard is in the log.
    pub(crate) fn reconcile(&self, log: &Log) {
        for ((tenant, sequence), id) in &self.heard().events {
            let Some(events) = log.get(tenant) else { continue };
            let at = usize::try_from(*sequence).ok().and_then(|sequence| events.get(sequence.checked_sub(1)?));
            if at.is_none_or(|(of, _)| of != id) {
                self.history.broken(format!("the bus carried {id} of {tenant} as {sequence}; the log has {at:?}"));
            }
        }
    }

    /// Waits until each stream ends where its partition does: `ends` has the last position of each.
    pub(crate) async fn caught_up(&self, ends: &[(i32, i64)]) {
        let until = self.history.now() + CATCH_UP;
        loop {
            let behind = match self.behind(ends).await {
                Ok(behind) if behind.is_empty() => return,
                Ok(behind) => behind,
                Err(error) => vec![format!("{error:#}")],
            };
            if self.history.now() > until {
                return self.history.broken(format!("streams do not end where their partitions do: {behind:?}"));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn behind(&self, ends: &[(i32, i64)]) -> anyhow::Result<Vec<String>> {
        let client = tokio::time::timeout(Duration::from_secs(5), async_nats::connect(&self.url)).await??;
        let mut behind = Vec::new();
        for (partition, end) in ends.iter().filter(|(_, end)| *end > 0) {
            let at = stream_end(&client, *partition).await.with_context(|| format!("stream of {partition}"))?;
            if at != *end {
                behind.push(format!("partition {partition} ends at {end}, its stream at {at}"));
            }
        }
        Ok(behind)
    }
}

/// The position of the last message of a partition's stream; zero where it holds none.
async fn stream_end(client: &Client, partition: i32) -> anyhow::Result<i64> {
    let name = format!("TIDINGS-EVENTS-{partition}");
    let info = ask(client, format!("$JS.API.STREAM.INFO.{name}"), json!({})).await?;
    let state = &info["state"];
    if state["messages"].as_u64().context("no such stream")? == 0 {
        return Ok(0);
    }
    let jetstream = async_nats::jetstream::new(client.clone());
    let stream = jetstream.get_stream(&name).await?;
    let message = stream.get_raw_message(state["last_seq"].as_u64().unwrap_or_default()).await?;
    let position = message.headers.get("Tidings-Position").context("a message without a position")?;
    Ok(position.as_str().parse()?)
}

async fn ask(client: &Client, subject: String, body: Value) -> anyhow::Result<Value> {
    let asked = client.request(subject, serde_json::to_vec(&body)?.into());
    let answer = tokio::time::timeout(Duration::from_secs(5), asked).await??;
    Ok(serde_json::from_slice(&answer.payload)?)
}
