//! A log, a broker, nodes over both, and what an outside consumer sees.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::stream::Stream;
use tidings_bus::nats::{NatsBus, NatsOptions, Servers};
use tidings_bus::{Bus, Prefix, SealKey, stream_name};
use tidings_core::pace::Bounds;
use tidings_engine::{EgressOptions, Engine, Options};
use tidings_event::{Digest, LogId, PartitionId, Position};
use tidings_store::{ReadLimit, Store};
use tidings_testkit::Nats;
use tokio::time::timeout;

use crate::support::{Log, PATIENCE, tenant};

/// So slow that nothing comes of it within a test.
pub const NEVER: Bounds =
    Bounds { busy: Duration::from_secs(3_600), linger: Duration::ZERO, idle: Duration::from_secs(3_600) };
/// How often that is looked for which nobody signals.
const LOOK: Duration = Duration::from_millis(10);
const ALL: ReadLimit = ReadLimit { events: 100_000, bytes: 1 << 30 };

pub fn prefix() -> Prefix {
    Prefix::parse("tidings").unwrap()
}

pub async fn nats_bus(nats: &Nats, log: LogId) -> Arc<NatsBus> {
    let options = NatsOptions {
        servers: Servers::parse(&nats.url()).unwrap(),
        credentials: None,
        authorities: None,
        prefix: prefix(),
        age_max: Duration::from_secs(3_600),
        stream_bytes_max: 64 << 20,
        replicas: 1,
        name: "test".to_owned(),
    };
    NatsBus::connect(options, log, SealKey::derive(&[0; 32])).await.unwrap()
}

/// Options of a node that hears of others' events by the bus alone, never by polling.
pub fn hearing() -> Options {
    let mut options = Options::default();
    options.tail.poll = Some(NEVER);
    options
}

/// Requests may go to receivers of this machine.
pub fn reaching(mut options: Options) -> Options {
    let allow_cidrs = vec!["127.0.0.0/8".parse().unwrap()];
    options.egress = EgressOptions { allow_cidrs, allow_http: true, ..EgressOptions::default() };
    options
}

/// A node with a connection of its own.
pub async fn node(log: &Log, nats: &Nats, options: Options) -> Engine {
    let store = log.store().await;
    let bus = nats_bus(nats, store.log().id).await;
    node_over(log, store, bus, options).await
}

pub async fn node_over(log: &Log, store: Arc<dyn Store>, bus: Arc<dyn Bus>, options: Options) -> Engine {
    log.engine_over(store, Options { bus: Some(bus), ..options }).await
}

/// Waits until something holds that nobody signals.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let looking = async {
        while !holds().await {
            tokio::time::sleep(LOOK).await;
        }
    };
    assert!(timeout(PATIENCE, looking).await.is_ok(), "waited in vain until {what}");
}

pub async fn connected(bus: &dyn Bus) {
    until("there is a connection", async || bus.is_connected()).await;
}

pub async fn partition_of(engine: &Engine, name: &str) -> PartitionId {
    let mut found = None;
    until("the tenant has a place", async || {
        found = engine.tenant(&tenant(name)).await.unwrap().map(|row| row.partition);
        found.is_some()
    })
    .await;
    found.unwrap()
}

pub async fn client(nats: &Nats) -> async_nats::Client {
    async_nats::connect(nats.url()).await.unwrap()
}

pub async fn stream(nats: &Nats, partition: PartitionId) -> Option<Stream> {
    let jetstream = async_nats::jetstream::new(async_nats::connect(nats.url()).await.ok()?);
    jetstream.get_stream(stream_name(&prefix(), partition)).await.ok()
}

/// One message of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub log: String,
    pub position: u64,
    pub digest: String,
    pub body: String,
}

/// All that a partition's stream holds, in its order.
pub async fn told(nats: &Nats, partition: PartitionId) -> Vec<Told> {
    let Some(stream) = stream(nats, partition).await else { return Vec::new() };
    let state = stream.cached_info().state.clone();
    let mut messages = Vec::new();
    if state.messages == 0 {
        return messages;
    }
    for number in state.first_sequence..=state.last_sequence {
        let Ok(message) = stream.get_raw_message(number).await else { continue };
        let header = |name: &str| message.headers.get(name).map_or_else(String::new, |value| value.as_str().to_owned());
        messages.push(Told {
            log: header("Nats-Msg-Id").split(':').next().unwrap_or_default().to_owned(),
            position: header("Tidings-Position").parse().unwrap_or(0),
            digest: header("Tidings-Digest"),
            body: String::from_utf8(message.payload.to_vec()).unwrap(),
        });
    }
    messages
}

/// What the log holds of a partition after a position, as a stream should tell it.
pub async fn logged(store: &dyn Store, partition: PartitionId, after: u64) -> Vec<Told> {
    let mut told = Vec::new();
    let mut position = Position(after);
    loop {
        let slice = store.tail(partition, position, ALL).await.unwrap();
        let Some(last) = slice.events.last() else { return told };
        position = last.position;
        told.extend(slice.events.iter().map(|event| Told {
            log: store.log().id.to_string(),
            position: event.position.get(),
            digest: Digest::to_string(&event.digest),
            body: String::from_utf8(event.to_json()).unwrap(),
        }));
    }
}

/// Waits until a stream says, from some position on, just what the log says.
pub async fn until_told(nats: &Nats, store: &dyn Store, partition: PartitionId, after: u64) {
    let expected = logged(store, partition, after).await;
    let mut last = Vec::new();
    let looking = async {
        while last != expected {
            tokio::time::sleep(LOOK).await;
            last = told(nats, partition).await;
        }
    };
    if timeout(PATIENCE, looking).await.is_err() {
        let first = last.iter().zip(&expected).position(|(told, logged)| told != logged);
        let at = first.unwrap_or(last.len().min(expected.len()));
        panic!(
            "the stream has {} messages and the log {}; they first differ where the stream says {:?} and the log {:?}",
            last.len(),
            expected.len(),
            last.get(at),
            expected.get(at)
        );
    }
}
