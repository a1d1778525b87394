//! Somebody outside who listens to the broker with a plain client, and what the broker's streams hold in the end.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use async_nats::Client;
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::check::Log;
use crate::history::History;

const SUBJECTS: &str = "tidings.events.>";
/// How long the publishers may take to bring every stream to its log's end.
const CATCH_UP: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(500);
/// Messages of a stream that are asked for at once.
const READ_AHEAD: usize = 32;

/// One event as the log has it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) tenant: String,
    pub(crate) sequence: u64,
    pub(crate) id: String,
}

/// By partition and position.
pub(crate) type Places = HashMap<(i32, u64), Place>;

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
    /// Messages that the streams held in the end.
    pub(crate) held: u64,
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
            // What Tidings tells itself is in the log under tenants that are nobody's.
            if tenant.starts_with('$') {
                continue;
            }
            let events = log.get(tenant).map(Vec::as_slice).unwrap_or_default();
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

    /// Reads every stream whole: its messages are the log from some position on to the end, one by one. Asked when
    /// nobody publishes any more.
    pub(crate) async fn hold(&self, places: &Places) {
        let mut ends: BTreeMap<i32, u64> = BTreeMap::new();
        for (partition, position) in places.keys() {
            let end = ends.entry(*partition).or_default();
            *end = (*end).max(*position);
        }
        for (partition, end) in ends {
            match self.read(partition).await {
                Ok(messages) => {
                    let wrong = against_stream(partition, end, &messages, places);
                    wrong.into_iter().for_each(|text| self.history.broken(text));
                    self.heard().held += messages.len() as u64;
                }
                Err(error) => self.history.broken(format!("the stream of {partition} cannot be read: {error:#}")),
            }
        }
    }

    /// All messages of a partition's stream: the position that each tells, and the event that it carries.
    async fn read(&self, partition: i32) -> anyhow::Result<Vec<(u64, Place)>> {
        let client = tokio::time::timeout(Duration::from_secs(5), async_nats::connect(&self.url)).await??;
        let name = format!("TIDINGS-EVENTS-{partition}");
        let state = ask(&client, format!("$JS.API.STREAM.INFO.{name}"), json!({})).await?["state"].take();
        let (first, last) = (state["first_seq"].as_u64().context("no such stream")?, state["last_seq"].as_u64());
        let stream = async_nats::jetstream::new(client).get_stream(&name).await?;
        let messages = futures_util::stream::iter(first.max(1)..=last.unwrap_or_default()).map(async |number| {
            let message = stream.get_raw_message(number).await.with_context(|| format!("message {number}"))?;
            let position = message.headers.get("Tidings-Position").context("a message without a position")?;
            let event: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
            let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
            let sequence = event["sequence"].as_u64().unwrap_or_default();
            anyhow::Ok((position.as_str().parse()?, Place { tenant: text("tenant"), sequence, id: text("id") }))
        });
        messages.buffered(READ_AHEAD).try_collect().await
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

/// What is wrong with a partition's stream whose messages are told in order: each follows the one before, the last one
/// stands where the log ends, and each is what the log has there.
fn against_stream(partition: i32, end: u64, messages: &[(u64, Place)], places: &Places) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut before: Option<u64> = None;
    for (position, place) in messages {
        if let Some(before) = before.filter(|before| before + 1 != *position) {
            wrong.push(format!("the stream of {partition} has {position} after {before}"));
        }
        before = Some(*position);
        let log = places.get(&(partition, *position));
        if log != Some(place) {
            wrong.push(format!("the stream of {partition} has {place:?} at {position}, the log {log:?}"));
        }
    }
    if before != Some(end) {
        wrong.push(format!("partition {partition} ends at {end}, its stream at {before:?}"));
    }
    wrong
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

#[cfg(test)]
mod tests {
    use super::*;

    fn place(sequence: u64) -> Place {
        Place { tenant: "acme".to_owned(), sequence, id: format!("shop-{sequence}") }
    }

    #[test]
    fn a_stream_is_the_log_from_some_position_to_its_end() {
        let places: Places = (1..=4).map(|position| ((0, position), place(position))).collect();
        let judged = |messages: &[(u64, u64)]| {
            let messages: Vec<_> = messages.iter().map(|(position, of)| (*position, place(*of))).collect();
            against_stream(0, 4, &messages, &places)
        };
        assert_eq!(judged(&[(3, 3), (4, 4)]), Vec::<String>::new());
        for (messages, expect) in [
            (&[(2, 2), (4, 4)][..], "has 4 after 2"),
            (&[(3, 3), (3, 3), (4, 4)], "has 3 after 3"),
            (&[(3, 2), (4, 4)], "at 3, the log"),
            (&[(2, 2), (3, 3)], "ends at 4"),
            (&[], "ends at 4"),
        ] {
            let wrong = judged(messages);
            assert!(wrong.iter().any(|text| text.contains(expect)), "{messages:?}: {wrong:?}");
        }
    }
}
