//! One attempt to deliver one event.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::RETRY_AFTER;
use http::{HeaderName, HeaderValue};
use tidings_core::deliver::{Answer, Send, retry_after};
use tidings_event::delivery::{ANSWER_BYTES_KEPT, AttemptResult, Failure};
use tidings_event::{LogId, PartitionId, Sequence, TenantNo, Timestamp};
use tidings_store::ReadLimit;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Means;
use super::read::is_system;
use super::run::Done;
use super::traced::{Named, Traced};
use crate::FeedEvent;
use crate::append::now;
use crate::egress::{Reply, SendError};
use crate::endpoints::Sender;
use crate::places::Place;

/// One event of the log, however large.
const ONE: ReadLimit = ReadLimit { events: 1, bytes: 1 };

/// What a lane holds of an event: the event, or nothing where it is large and is read again when it is sent.
pub(super) type Payload = Option<Arc<FeedEvent>>;

/// Which log the sequences of a delivery belong to.
const TIDINGS_LOG: HeaderName = HeaderName::from_static("tidings-log");

fn log_header(log: LogId) -> HeaderValue {
    HeaderValue::try_from(log.to_string()).expect("a ULID is visible ASCII")
}

/// All that an attempt needs.
pub(super) struct Attempt {
    pub(super) means: Arc<Means>,
    pub(super) partition: PartitionId,
    pub(super) sender: Arc<Sender>,
    pub(super) send: Send<Payload>,
    /// The router's time when it began.
    pub(super) began: Timestamp,
}

/// Makes an attempt in a task of its own; how it ended comes over the channel, whatever happens.
pub(super) fn start(attempt: Attempt, results: mpsc::Sender<Done>) {
    tokio::spawn(async move {
        let Send { lane, sequence, attempt: number, .. } = attempt.send;
        let endpoint = attempt.sender.id.clone();
        let made = AssertUnwindSafe(attempt.make()).catch_unwind();
        let made = tokio::select! {
            biased;
            // Its router is gone: what is sent late would arrive between what the next one sends.
            () = results.closed() => return,
            made = made => made,
        };
        let done = made.unwrap_or_else(|_| {
            tracing::error!(%endpoint, %sequence, attempt = number, "an attempt panicked");
            Done::Unsent { lane, sequence, attempt: number, gone: false }
        });
        // Waits for room only behind those of lanes that were removed; fails only where nobody waits any more.
        let _nobody = results.send(done).await;
    });
}

impl Attempt {
    async fn make(self) -> Done {
        let Send { lane, sequence, attempt, previous, tenant, .. } = self.send;
        let event = match self.send.payload.flatten() {
            Some(event) => event,
            None => match read_one(&self.means, self.partition, tenant, sequence).await {
                Ok(Some(event)) => event,
                Ok(None) => return Done::Unsent { lane, sequence, attempt, gone: true },
                Err(error) => {
                    let endpoint = &self.sender.id;
                    tracing::debug!(%endpoint, %sequence, %error, "an event cannot be read to be sent again");
                    return Done::Unsent { lane, sequence, attempt, gone: false };
                }
            },
        };
        let event = match self.sender.pins.is_empty() {
            true => event,
            false => {
                let catalog = self.means.catalog.catalog();
                self.sender.pins.convert(&self.means.pool, &catalog, &event).await
            }
        };
        // Receivers compare the signature's time with their own clock: it is the wall's.
        let mut call = self.sender.call(&event, sequence, previous, attempt, now());
        call.headers.insert(TIDINGS_LOG, log_header(self.means.store.log().id));
        let system = is_system(&event);
        let recorded_at = event.recorded.recorded_at;
        let span = Traced::begin(&self.means.tracer, &self.sender, &event, lane, attempt);
        let name = Named::of(&event);
        if let Some(span) = &span {
            span.mark(&mut call);
        }
        drop(event);
        let clock = Instant::now();
        let reply = self.means.egress.post(call).await;
        let duration = clock.elapsed();
        let answer = match reply {
            Ok(reply) => answer(&reply, self.began, duration),
            Err(SendError { failure, message }) => failed(failure, &message, self.began, duration),
        };
        if let Some(span) = span {
            span.end(&answer);
        }
        if let Some(name) = name {
            name.tell(&self.sender, attempt, &answer);
        }
        Done::Sent { lane, sequence, attempt, system, recorded_at, answer }
    }
}

fn answer(reply: &Reply, began: Timestamp, duration: Duration) -> Answer {
    let asked = reply.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    Answer {
        began,
        duration,
        result: AttemptResult::Status(reply.status.as_u16()),
        retry_after: asked.and_then(|value| retry_after(value, now())),
        body: kept(&reply.body),
    }
}

/// An attempt that had no whole answer; what is known of it stands in for the answer's body.
pub(super) fn failed(failure: Failure, message: &str, began: Timestamp, duration: Duration) -> Answer {
    let body = kept(message.as_bytes());
    Answer { began, duration, result: AttemptResult::Failed(failure), retry_after: None, body }
}

/// The first bytes of an answer, copied: a slice would keep all of it in memory.
fn kept(body: &[u8]) -> Bytes {
    if body.is_empty() { Bytes::new() } else { Bytes::copy_from_slice(&body[..body.len().min(ANSWER_BYTES_KEPT)]) }
}

/// An event by its sequence, from memory or from the log; none where it was erased.
async fn read_one(
    means: &Means,
    partition: PartitionId,
    no: TenantNo,
    sequence: Sequence,
) -> tidings_store::Result<Option<Arc<FeedEvent>>> {
    let Some(after) = sequence.get().checked_sub(1).map(Sequence) else { return Ok(None) };
    if let Some(event) = means.tail.read(Place { no, partition }, after, 1).pop() {
        return Ok(Some(event));
    }
    let slice = means.store.feed(no, after, ONE).await?;
    let event = slice.events.into_iter().find(|event| event.sequence == sequence);
    if event.is_none() && sequence > slice.floor {
        // Neither there nor erased: the log is behind, or broken; a person has to look at it.
        let reason = format!("sequence {sequence} of tenant {no} is missing");
        return Err(tidings_store::Error::Broken(reason));
    }
    Ok(event.map(|event| Arc::new(FeedEvent::new(event))))
}
