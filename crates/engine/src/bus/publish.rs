//! A partition's publisher: writes the log to the partition's stream, in order, each event behind the one before.
//!
//! Which node publishes is a matter of leases, and only of economy: every message names the one that must be the last
//! when it arrives, so two publishers cannot interleave. Where the stream ends is asked of the stream; the checkpoint of
//! the lease counts only where there is nothing in it. A stream that says what the log does not say is emptied and begun
//! anew.

use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, gauge, histogram};
use tidings_bus::{BusError, Entry, Last, StreamEnd};
use tidings_core::pace::{Bounds, Pace};
use tidings_event::{Digest, PartitionId, Position};
use tidings_store::{Claim, LeaseRole, ReadLimit, Slot};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::Means;
use crate::append::count;
use crate::lease::Held;
use crate::metrics::{self as names, Shown};
use crate::pause::sleep_unless;
use crate::ring::FeedEvent;
use crate::tail::head;
use crate::tail::{Mark, Stretch};
use crate::watch;

/// Events, and about so many bytes, that are written together; as many are under way at once.
const TOGETHER: ReadLimit = ReadLimit { events: 512, bytes: 1024 * 1024 };
/// How often the position is kept with the lease.
const KEEP_EVERY: Duration = Duration::from_secs(5);
/// How long keeping it may take.
const KEEP_MAX: Duration = Duration::from_secs(2);
/// How long what was appended before the end is published for, once the end has come.
const DRAIN_MAX: Duration = Duration::from_secs(1);
/// Coming back to a broker that failed.
const RETRY: Bounds = Bounds { busy: Duration::from_millis(50), linger: Duration::ZERO, idle: Duration::from_secs(1) };
/// Coming back to a stream that somebody else writes: two logs that share a prefix must not turn it into a storm.
const CLEARED: Bounds =
    Bounds { busy: Duration::from_millis(100), linger: Duration::ZERO, idle: Duration::from_secs(60) };
/// A stream that stayed as it was for so long counts as settled.
const SETTLED: Duration = Duration::from_secs(5 * 60);

/// Why a publisher begins again at the stream's end.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error(transparent)]
    Store(#[from] tidings_store::Error),
    /// The log itself became shorter.
    #[error("the log is shorter than it was")]
    Rewound,
}

struct Publisher {
    means: Arc<Means>,
    partition: PartitionId,
    claim: Claim,
    mark: watch::Receiver<Mark>,
    resets: u64,
    /// Everything up to here was published, as far as is known.
    published: Position,
    /// What the lease says of that.
    kept: Position,
    kept_at: Instant,
    /// What is to be published yet, and until when, once the end has come.
    draining: Option<(Position, Instant)>,
    clears: Pace,
    cleared_at: Option<Instant>,
    lag: Shown,
}

/// Publishes a partition under a claim until the token ends it.
pub(super) async fn run(means: Arc<Means>, partition: PartitionId, claim: Claim, token: CancellationToken) -> Held {
    let Some(mark) = means.tail.mark(partition) else { return Held::InOrder };
    let _published_here = means.tail.publishing(partition);
    let resets = mark.borrow().resets;
    let mut publisher = Publisher {
        means,
        partition,
        claim,
        mark,
        resets,
        published: claim.checkpoint,
        kept: claim.checkpoint,
        kept_at: Instant::now(),
        draining: None,
        clears: Pace::new(CLEARED),
        cleared_at: None,
        lag: Shown(gauge!(names::BUS_LAG, "partition" => partition.to_string())),
    };
    publisher.work(&token).await
}

impl Publisher {
    async fn work(&mut self, token: &CancellationToken) -> Held {
        let mut failures = Pace::new(RETRY);
        let mut failing = None;
        loop {
            let before = self.published;
            let stopped = match self.session(token).await {
                Ok(held) => return held,
                Err(stopped) => stopped,
            };
            if self.published > before {
                failures.reset();
                failing = None;
            }
            counter!(names::BUS_FAILED).increment(1);
            let end = self.mark.borrow().end;
            self.show(end);
            let text = stopped.to_string();
            // A stream that moved is looked at again, which says by itself what is wrong with it.
            if matches!(stopped, Stopped::Bus(BusError::Moved)) || failing.as_ref() == Some(&text) {
                tracing::debug!(partition = %self.partition, problem = text, "publishing begins again");
            } else {
                tracing::warn!(partition = %self.partition, problem = text, "events cannot be published; trying again");
                failing = Some(text);
            }
            if !sleep_unless(failures.found(0), token).await {
                return self.finish().await;
            }
        }
    }

    /// Publishes from the stream's end on, until the end or a failure.
    async fn session(&mut self, token: &CancellationToken) -> Result<Held, Stopped> {
        let mut message = tokio::select! {
            biased;
            () = token.cancelled() => return Ok(self.finish().await),
            begun = self.begin(token) => begun?,
        };
        loop {
            let mark = *self.mark.borrow_and_update();
            if mark.resets != self.resets {
                self.resets = mark.resets;
                return Err(Stopped::Rewound);
            }
            self.show(mark.end);
            if self.is_done(mark.end, token) {
                return Ok(self.finish().await);
            }
            if self.published < mark.end && self.is_good() {
                message = self.publish_next(message).await?;
            } else {
                let paused = self.published < mark.end;
                tokio::select! {
                    biased;
                    () = token.cancelled(), if self.draining.is_none() => {}
                    _ = self.mark.changed(), if !paused => {}
                    () = tokio::time::sleep_until(self.kept_at + KEEP_EVERY), if !paused && self.published != self.kept => {}
                    // A node that cannot beat starts nothing; it looks again whether it can.
                    () = tokio::time::sleep(RETRY.busy), if paused => {}
                }
            }
            if self.kept_at.elapsed() >= KEEP_EVERY && !self.keep().await {
                return Ok(Held::Fenced);
            }
        }
    }

    /// Whether it is time to stop: the end has come, and what was appended before it is published or takes too long.
    fn is_done(&mut self, end: Position, token: &CancellationToken) -> bool {
        if !token.is_cancelled() {
            return false;
        }
        let (last, until) = *self.draining.get_or_insert_with(|| (end, Instant::now() + DRAIN_MAX));
        self.published >= last || Instant::now() >= until
    }

    /// Tells how far the stream is behind.
    fn show(&self, end: Position) {
        self.lag.set(end.get().saturating_sub(self.published.get()) as f64);
    }

    fn is_good(&self) -> bool {
        self.means.leases.is_good_for(LeaseRole::Publisher, &Slot::partition(self.partition))
    }

    /// Finds where to go on; returns the number of the stream's last message.
    async fn begin(&mut self, token: &CancellationToken) -> Result<u64, Stopped> {
        let end = self.means.bus.end(self.partition).await?;
        let head = head(&*self.means.store, self.partition).await?.position;
        match end.last {
            Last::Event { position, digest } if self.log_says(position, digest).await? => {
                self.published = position;
                Ok(end.message)
            }
            Last::None => {
                self.published = self.published.min(head);
                Ok(end.message)
            }
            Last::Event { .. } => {
                let why =
                    "the stream holds events that the log does not: the database was put back to an earlier state";
                self.begin_anew(end, head, why, token).await
            }
            Last::Foreign => {
                let why =
                    "the stream holds what is not of this log: the log was renewed, or somebody else writes there";
                self.begin_anew(end, head, why, token).await
            }
        }
    }

    /// Empties the stream. It will begin where it began, as far as that is known.
    async fn begin_anew(
        &mut self,
        end: StreamEnd,
        head: Position,
        why: &str,
        token: &CancellationToken,
    ) -> Result<u64, Stopped> {
        if self.cleared_at.is_some_and(|at| at.elapsed() >= SETTLED) {
            self.clears.reset();
        }
        if self.cleared_at.is_some() {
            sleep_unless(self.clears.found(0), token).await;
        }
        tracing::warn!(partition = %self.partition, why, "a stream is emptied and written anew from the log");
        counter!(names::BUS_REBUILT).increment(1);
        let message = self.means.bus.clear(self.partition).await?;
        self.cleared_at = Some(Instant::now());
        let before_first = end.first.map(|first| Position(first.get().saturating_sub(1)));
        self.published = before_first.unwrap_or(self.published).min(head);
        Ok(message)
    }

    /// Whether the log has an event with this digest at a position. What it has erased cannot be compared any more.
    async fn log_says(&self, position: Position, digest: Digest) -> Result<bool, Stopped> {
        let Some(before) = position.get().checked_sub(1) else { return Ok(false) };
        let one = ReadLimit { events: 1, bytes: 1 };
        let slice = self.means.store.tail(self.partition, Position(before), one).await?;
        Ok(slice.events.first().is_some_and(|event| event.position > position || event.digest == digest))
    }

    async fn publish_next(&mut self, message: u64) -> Result<u64, Stopped> {
        let Stretch { events, revision, .. } = self.next().await?;
        let Some(last) = events.last().map(|event| event.recorded.position) else { return Err(Stopped::Rewound) };
        let entries: Vec<Entry<'_>> =
            events.iter().map(|event| Entry { recorded: &event.recorded, json: event.native() }).collect();
        let began = Instant::now();
        let message = self.means.bus.publish(self.partition, message, revision, &entries).await?;
        histogram!(names::BUS_PUBLISH_SECONDS).record(began.elapsed());
        counter!(names::BUS_PUBLISHED).increment(entries.len() as u64);
        histogram!(names::BUS_PUBLISH_EVENTS).record(count(entries.len()));
        self.published = last;
        Ok(message)
    }

    /// What follows, from memory or from the log.
    async fn next(&self) -> Result<Stretch, Stopped> {
        let mut stretch = self.means.tail.after(self.partition, self.published, TOGETHER.events);
        if stretch.events.is_empty() {
            let slice = self.means.store.tail(self.partition, self.published, TOGETHER).await?;
            stretch.events = slice.events.into_iter().map(|event| Arc::new(FeedEvent::new(event))).collect();
            stretch.revision = slice.revision;
        }
        // The first one in any case, however large it is.
        let mut bytes = 0;
        let fitting = stretch.events.iter().take_while(|event| {
            let fits = bytes < TOGETHER.bytes;
            bytes += event.native().len();
            fits
        });
        let fitting = fitting.count();
        stretch.events.truncate(fitting);
        Ok(stretch)
    }

    /// Keeps the position with the lease; `false` when another node has it.
    async fn keep(&mut self) -> bool {
        self.kept_at = Instant::now();
        if self.published == self.kept {
            return true;
        }
        let slot = Slot::partition(self.partition);
        let kept = self.means.store.advance(LeaseRole::Publisher, &slot, self.claim.epoch, self.published);
        match timeout(KEEP_MAX, kept).await {
            Ok(Ok(true)) => {
                self.kept = self.published;
                true
            }
            Ok(Ok(false)) => false,
            // It counts only where the stream is empty, so the next time is soon enough.
            Ok(Err(_)) | Err(_) => true,
        }
    }

    async fn finish(&mut self) -> Held {
        if self.keep().await { Held::InOrder } else { Held::Fenced }
    }
}
