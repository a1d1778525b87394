//! NATS: streams of JetStream for events, plain messages for pokes.
//!
//! Works with nats-server 2.9 and newer. One connection a node, which comes back by itself for as long as the bus lives;
//! while it is away every call fails at once or within a bound. Nodes hear each other's events as plain subscribers of
//! the subjects that the streams record: that is the shortest way, and what a subscriber misses it reads from the log
//! anyway.

mod servers;
mod stream;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectOptions, Event, Subscriber};
use async_trait::async_trait;
use futures_util::{FutureExt, StreamExt};
use parking_lot::Mutex;
use tidings_event::{LogId, PartitionId, Revision};
use tokio::sync::{broadcast, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::subject::{partition_subjects, poke_subject};
use crate::{Bus, BusError, BusHealth, Entry, Follow, Heard, Poke, Prefix, Result, SealKey, StreamEnd, message, poke};

pub use servers::{Servers, ServersError};

/// How long one call of the broker may take.
const CALL_MAX: Duration = Duration::from_secs(3);
/// How long it may take to hand a message to the connection.
const HAND_OVER_MAX: Duration = Duration::from_millis(500);
/// How long closing may take.
const CLOSE_MAX: Duration = Duration::from_secs(2);
/// How long one attempt to connect may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// The longest pause between two attempts to connect.
const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(4);
/// How often a silent connection is asked whether it is alive.
const PING_EVERY: Duration = Duration::from_secs(5);
/// Messages of pokes that wait to be sent.
const POKES_OUT_MAX: usize = 64;
/// Pokes that wait for each of those who hear them.
const POKES_IN_MAX: usize = 1_024;
/// Messages that wait for one subscriber; further ones are dropped, and read from the log.
const HEARD_MAX: usize = 2_048;
/// Commands that wait for the connection.
const COMMANDS_MAX: usize = 1_024;
/// Events that are handed out together.
const TOGETHER_MAX: usize = 256;

/// How the broker is reached, and what is kept there.
#[derive(Debug, Clone)]
pub struct NatsOptions {
    /// The servers, and who we are to them.
    pub servers: Servers,
    /// A file with credentials (a JWT and its seed, as `nsc` writes them) or with the seed of an nkey.
    pub credentials: Option<PathBuf>,
    /// A file with the certificates of authorities that are trusted instead of the system's.
    pub authorities: Option<PathBuf>,
    /// What all subjects begin with.
    pub prefix: Prefix,
    /// How old messages of a stream become.
    pub age_max: Duration,
    /// How many bytes each partition's stream holds; beyond them the oldest messages go.
    pub stream_bytes_max: u64,
    /// On how many servers of a cluster each stream is kept.
    pub replicas: usize,
    /// The name of the connection, for the broker's operators.
    pub name: String,
}

/// Why a bus cannot even be made. What the network does is none of it.
#[derive(Debug, thiserror::Error)]
pub enum NatsError {
    /// The file with credentials cannot be read or makes no sense.
    #[error("the file with the credentials for NATS cannot be used: {0}")]
    Credentials(std::io::Error),
    /// The options make no sense together.
    #[error("NATS cannot be used: {0}")]
    Options(String),
}

/// The bus over NATS, for one log.
pub struct NatsBus {
    client: Client,
    jetstream: Context,
    options: NatsOptions,
    log: LogId,
    key: SealKey,
    outgoing: mpsc::Sender<String>,
    incoming: broadcast::Sender<Poke>,
    /// Ends the tasks.
    ending: CancellationToken,
}

impl NatsBus {
    /// Makes the bus of a log. Returns at once; the connection is made in the background, now or whenever it can be.
    pub async fn connect(options: NatsOptions, log: LogId, key: SealKey) -> Result<Arc<Self>, NatsError> {
        let client = connect(&options).await?;
        let mut jetstream = jetstream::new(client.clone());
        jetstream.set_timeout(CALL_MAX);
        let (outgoing, waiting) = mpsc::channel(POKES_OUT_MAX);
        let (incoming, _) = broadcast::channel(POKES_IN_MAX);
        let ending = CancellationToken::new();
        let subject = poke_subject(&options.prefix, log);
        let sending = send_pokes(client.clone(), subject.clone(), waiting);
        let hearing = hear_pokes(client.clone(), subject, incoming.clone());
        for task in [sending.boxed(), hearing.boxed()] {
            let ending = ending.clone();
            tokio::spawn(async move {
                let _ended = ending.run_until_cancelled(task).await;
            });
        }
        Ok(Arc::new(Self { client, jetstream, options, log, key, outgoing, incoming, ending }))
    }

    /// What can be said without asking: fails at once while there is no connection.
    fn check_connected(&self) -> Result<()> {
        if self.is_connected() { Ok(()) } else { Err(BusError::Unavailable("there is no connection".to_owned())) }
    }
}

impl std::fmt::Debug for NatsBus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NatsBus")
            .field("servers", &self.options.servers)
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}

impl Drop for NatsBus {
    fn drop(&mut self) {
        self.ending.cancel();
    }
}

#[async_trait]
impl Bus for NatsBus {
    fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    fn poke(&self, pokes: &[Poke]) {
        let _full = self.outgoing.try_send(poke::write(pokes));
    }

    fn pokes(&self) -> broadcast::Receiver<Poke> {
        self.incoming.subscribe()
    }

    async fn end(&self, partition: PartitionId) -> Result<StreamEnd> {
        self.check_connected()?;
        bounded(self.find_end(partition)).await
    }

    async fn publish(
        &self,
        partition: PartitionId,
        behind: u64,
        revision: Revision,
        events: &[Entry<'_>],
    ) -> Result<u64> {
        self.check_connected()?;
        self.write(partition, behind, revision, events).await
    }

    async fn clear(&self, partition: PartitionId) -> Result<u64> {
        self.check_connected()?;
        bounded(self.purge(partition)).await
    }

    async fn follow(&self, partition: PartitionId) -> Result<Box<dyn Follow>> {
        let subject = partition_subjects(&self.options.prefix, partition);
        let subscriber = subscribe(&self.client, subject).await?;
        Ok(Box::new(Following { subscriber, partition, log: self.log, key: self.key.clone() }))
    }

    async fn health(&self) -> BusHealth {
        if !self.is_connected() {
            let warnings =
                vec!["there is no connection to NATS: nodes poll the log, and nothing is published".to_owned()];
            return BusHealth { connected: false, settings: Vec::new(), warnings };
        }
        self.report().await
    }

    async fn close(&self) {
        self.ending.cancel();
        let orderly = async {
            let _sent = self.client.flush().await;
            let _closed = self.client.drain().await;
        };
        let _late = timeout(CLOSE_MAX, orderly).await;
    }
}

async fn connect(options: &NatsOptions) -> Result<Client, NatsError> {
    let mut connect = ConnectOptions::new()
        .name(&options.name)
        // Nobody needs to be told what it said itself.
        .no_echo()
        .retry_on_initial_connect()
        .max_reconnects(None)
        .connection_timeout(CONNECT_MAX)
        .request_timeout(Some(CALL_MAX))
        .ping_interval(PING_EVERY)
        .subscription_capacity(HEARD_MAX)
        .client_capacity(COMMANDS_MAX)
        .reconnect_delay_callback(|attempts| {
            let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX).min(10);
            if attempts <= 1 {
                Duration::ZERO
            } else {
                (Duration::from_millis(25) * 2_u32.pow(doublings)).min(RECONNECT_PAUSE_MAX)
            }
        })
        .event_callback(tell());
    connect = options.servers.sign_in(connect);
    if let Some(path) = &options.credentials {
        let text = tokio::fs::read_to_string(path).await.map_err(NatsError::Credentials)?;
        connect = servers::credentials(connect, &text).map_err(NatsError::Credentials)?;
    }
    if let Some(path) = &options.authorities {
        connect = connect.add_root_certificates(path.clone());
    }
    // Nothing is connected yet, so what fails here are the options.
    connect.connect(options.servers.addresses()).await.map_err(|error| NatsError::Options(error.to_string()))
}

/// Logs what the connection goes through, each thing once.
fn tell() -> impl Fn(Event) -> std::future::Ready<()> + Send + Sync + 'static {
    let last: Mutex<Option<String>> = Mutex::new(None);
    move |event| {
        let mut last = last.lock();
        match event {
            Event::Connected => {
                tracing::info!("connected to NATS");
                *last = None;
            }
            Event::Disconnected => tracing::warn!("the connection to NATS is lost; nodes poll until it is back"),
            Event::SlowConsumer(_) => {
                tracing::debug!(
                    "messages of NATS came faster than they were taken; what was dropped is read from the log"
                );
            }
            Event::ServerError(_) | Event::ClientError(_) => {
                let text = event.to_string();
                if last.as_ref() != Some(&text) {
                    tracing::warn!(problem = text, "NATS is not available; trying again");
                    *last = Some(text);
                }
            }
            Event::LameDuckMode | Event::Draining | Event::Closed => tracing::debug!(%event, "NATS"),
        }
        std::future::ready(())
    }
}

async fn send_pokes(client: Client, subject: String, mut waiting: mpsc::Receiver<String>) {
    while let Some(text) = waiting.recv().await {
        // A hint that comes late is worth nothing, so none waits for the connection.
        if client.connection_state() == State::Connected {
            let _lost = timeout(HAND_OVER_MAX, client.publish(subject.clone(), text.into())).await;
        }
    }
}

async fn hear_pokes(client: Client, subject: String, incoming: broadcast::Sender<Poke>) {
    loop {
        let Ok(mut subscriber) = subscribe(&client, subject.clone()).await else {
            tokio::time::sleep(RECONNECT_PAUSE_MAX).await;
            continue;
        };
        while let Some(message) = subscriber.next().await {
            for poke in poke::read(&message.payload) {
                let _nobody_hears = incoming.send(poke);
            }
        }
        tokio::time::sleep(RECONNECT_PAUSE_MAX).await;
    }
}

async fn subscribe(client: &Client, subject: String) -> Result<Subscriber> {
    // While there is no connection the wish waits in the queue of commands; only a full queue makes it wait here.
    match timeout(HAND_OVER_MAX, client.subscribe(subject)).await {
        Ok(Ok(subscriber)) => Ok(subscriber),
        Ok(Err(error)) => Err(unavailable(error)),
        Err(_) => Err(late()),
    }
}

/// One subscriber of a partition's events.
struct Following {
    subscriber: Subscriber,
    partition: PartitionId,
    log: LogId,
    key: SealKey,
}

#[async_trait]
impl Follow for Following {
    async fn next(&mut self) -> Result<Heard> {
        let gone = || BusError::Unavailable("the subscription has ended".to_owned());
        loop {
            let mut heard = Heard::default();
            let mut next = Some(self.subscriber.next().await.ok_or_else(gone)?);
            while let Some(message) = next {
                let headers = message.headers.unwrap_or_default();
                let read = message::read(&self.key, self.log, self.partition, &headers, &message.payload);
                if let Some((recorded, revision)) = read {
                    heard.events.push(recorded);
                    heard.revision = heard.revision.max(revision);
                }
                if heard.events.len() == TOGETHER_MAX {
                    break;
                }
                next = self.subscriber.next().now_or_never().flatten();
            }
            if !heard.events.is_empty() {
                return Ok(heard);
            }
            // A flood of what is not ours shall not keep others from running.
            tokio::task::yield_now().await;
        }
    }
}

async fn bounded<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(CALL_MAX, call).await.unwrap_or_else(|_| Err(late()))
}

fn late() -> BusError {
    BusError::Unavailable("no answer in time".to_owned())
}

/// An error with what caused it, as one line.
fn unavailable(error: impl std::error::Error) -> BusError {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    BusError::Unavailable(text)
}
