//! Asking for the heads of all partitions, again and again.

use std::sync::atomic::Ordering;
use std::time::Duration;

use metrics::{counter, gauge};
use tidings_core::pace::{Bounds, Pace};
use tidings_event::{PartitionId, Position, Revision, Sequence};
use tidings_store::{Backend, Head, LeaseRole, ShardNo, Slot};
use tokio::time::Instant;

use super::{Partition, REST, Tail, Tip};
use crate::metrics as names;
use crate::options::TailOptions;

/// How often the heads are asked for while nothing happens and the bus would tell: the longest that a lost hint delays
/// anything.
const IDLE_WITH_BUS: Duration = Duration::from_millis(250);

/// A partition in which nothing happens for so long gives back the memory that it borrowed.
const QUIET: Duration = Duration::from_secs(10);

/// How often the heads are asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paces {
    bounds: Bounds,
    idle_with_bus: Duration,
}

impl Paces {
    pub(super) fn of(options: &TailOptions, backend: Backend) -> Self {
        let bounds = options.poll.unwrap_or_else(|| default_poll(backend));
        // Only what nobody chose is made slower.
        let idle_with_bus = if options.poll.is_none() { IDLE_WITH_BUS.max(bounds.idle) } else { bounds.idle };
        Self { bounds, idle_with_bus }
    }
}

/// What memory knew of a partition before its head was asked for: the log only ever grows beyond it.
#[derive(Debug, Clone, Copy)]
struct Known {
    end: Position,
    /// How far the log is known to reach: what was committed here may wait for what lies before it.
    reached: Position,
    revision: Revision,
    resets: u64,
}

impl Tail {
    fn known(&self) -> Vec<Known> {
        let known = |partition: &Partition| {
            let state = partition.state.read();
            let end = state.ring.end();
            let reached = state.ahead.last().map_or(end, |last| last.max(end));
            Known { end, reached, revision: state.revision, resets: state.resets }
        };
        self.partitions.iter().map(known).collect()
    }

    /// Compares the log's heads with what memory holds, again and again.
    pub(super) async fn poll(&self, shard: ShardNo, paces: Paces) {
        let Paces { bounds, idle_with_bus } = paces;
        let mut pace = Pace::new(bounds);
        let mut failures = Pace::new(Bounds::FAILURE);
        let mut failing = false;
        let mut delay = bounds.busy;
        let mut looked = (Instant::now(), self.known());
        loop {
            tokio::time::sleep(delay).await;
            let known = self.known();
            if shard == ShardNo(0) && looked.0.elapsed() >= QUIET {
                self.give_back(&looked.1, &known);
                looked = (Instant::now(), known.clone());
            }
            let asked = Instant::now();
            match self.store.heads_of(shard).await {
                Ok(heads) => {
                    let took = asked.elapsed();
                    if std::mem::take(&mut failing) {
                        failures.reset();
                        tracing::info!(%shard, "the log can be read again");
                        // What was compared meanwhile may have been the database as it was before.
                        self.doubt_all(shard);
                    }
                    delay = pace.found(self.compare(shard, &known, &heads));
                    delay = delay.max((took * REST).min(bounds.idle));
                    if delay >= bounds.idle && self.bus.as_ref().is_some_and(|bus| bus.is_connected()) {
                        delay = idle_with_bus;
                    }
                }
                Err(error) => {
                    counter!(names::TAIL_FAILED).increment(1);
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(%shard, %error, "the log's heads cannot be read");
                    }
                    // It may be another database that answers next, without what this one had acknowledged last.
                    self.doubt_all(shard);
                    delay = failures.found(0);
                }
            }
        }
    }

    fn doubt_all(&self, shard: ShardNo) {
        for (id, partition) in (0..).map(PartitionId).zip(&self.partitions) {
            if self.store.shard_of(LeaseRole::Router, &Slot::partition(id)) == shard {
                partition.doubt();
            }
        }
    }

    /// Has partitions in which nothing happened between two looks give back what they borrowed.
    fn give_back(&self, before: &[Known], after: &[Known]) {
        let quiet = before.iter().zip(after).map(|(then, now)| then.end == now.end);
        for (partition, _) in self.partitions.iter().zip(quiet).filter(|(_, is_quiet)| *is_quiet) {
            if partition.state.read().ring.has_borrowed() {
                partition.state.write().ring.give_back();
            }
        }
    }

    /// Sends fillers to where the log is ahead; returns in how many partitions it is.
    fn compare(&self, shard: ShardNo, known: &[Known], heads: &[(PartitionId, Head)]) -> usize {
        let mut ahead = 0;
        let mut lag = 0;
        for (id, head) in heads {
            let at = id.0 as usize;
            let (Some(partition), Some(known)) = (self.partitions.get(at), known.get(at)) else { continue };
            self.moved(partition, *head);
            if !partition.state.read().is_known {
                self.find(partition, *head);
                continue;
            }
            let fell = head.position < known.reached || head.revision < known.revision;
            if fell && partition.state.read().resets == known.resets {
                tracing::error!(partition = %id, head = %head.position,
                    "the log ends before it did: acknowledged events or changes were lost by the database");
                self.begin(partition, head.position, head.revision);
                continue;
            }
            let mut state = partition.state.write();
            if head.revision > state.revision {
                state.revision = head.revision;
                partition.tell(&state);
            }
            if (head.position > state.ring.end() || state.in_doubt) && !self.is_wanted(partition, &state) {
                let end = head.position.max(state.ring.end());
                state.ring.restart(end);
                state.ahead.clear();
                state.in_doubt = false;
                // Nobody waits for it now; whoever comes next must find how far the log reaches.
                partition.tell(&state);
                continue;
            }
            let missing = head.position.get().saturating_sub(state.ring.end().get());
            drop(state);
            if missing > 0 {
                ahead += 1;
                lag += missing;
                partition.behind.notify_one();
            }
        }
        self.tell_lag(shard, lag);
        ahead
    }

    fn tell_lag(&self, shard: ShardNo, lag: u64) {
        if let Some(own) = self.lags.get(usize::from(shard.0)) {
            own.store(lag, Ordering::Release);
        }
        let all: u64 = self.lags.iter().map(|lag| lag.load(Ordering::Acquire)).sum();
        gauge!(names::TAIL_LAG).set(u32::try_from(all).map_or(f64::INFINITY, f64::from));
    }

    /// The end of a partition whose database was not heard from before.
    fn find(&self, partition: &Partition, head: Head) {
        partition.state.write().is_known = true;
        self.begin(partition, head.position, head.revision);
    }

    /// Memory begins anew, and everybody who goes by it checks where they stand.
    pub(super) fn begin(&self, partition: &Partition, end: Position, revision: Revision) {
        let resets = self.resets.fetch_add(1, Ordering::AcqRel) + 1;
        let mut state = partition.state.write();
        state.ring.restart(end);
        state.ahead.clear();
        (state.revision, state.resets, state.in_doubt) = (revision, resets, false);
        partition.tell(&state);
        let moves = state.moves;
        for watch in state.watches.values() {
            watch.send_replace(Tip { sequence: Sequence(0), resets, moves });
        }
        drop(state);
        partition.behind.notify_one();
        partition.agreed.notify_waiters();
    }

    /// A tenant moved away from a partition or to it: what is remembered of places is forgotten first, then readers ask
    /// where theirs lives.
    fn moved(&self, partition: &Partition, head: Head) {
        if partition.state.read().moves >= head.moves {
            return;
        }
        self.places.forget();
        let mut state = partition.state.write();
        state.moves = head.moves;
        for watch in state.watches.values() {
            watch.send_modify(|tip| tip.moves = head.moves);
        }
    }
}

fn default_poll(backend: Backend) -> Bounds {
    match backend {
        Backend::Sqlite => {
            Bounds { busy: Duration::from_secs(1), linger: Duration::ZERO, idle: Duration::from_secs(1) }
        }
        Backend::Postgres => {
            Bounds { busy: Duration::from_millis(5), linger: Duration::ZERO, idle: Duration::from_millis(50) }
        }
    }
}
