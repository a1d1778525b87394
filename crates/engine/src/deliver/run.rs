//! One partition's router at work.

use std::cmp::Reverse;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tidings_core::deliver::{Answer, LaneLook, Limits, ReadDone, Router};
use tidings_event::delivery::Failure;
use tidings_event::{LaneNo, PartitionId, Position, Revision, Sequence, Timestamp};
use tidings_store::{RoutingChanges, ShardNo};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Means;
use super::attempt::{self, Attempt, Payload};
use super::clock::Clock;
use super::commit::Written;
use super::gauges::Gauges;
use super::owner::Ended;
use super::read::{History, LaneRead};
use super::routing::Routing;
use crate::append::{count, now as wall};
use crate::lanes::{LaneStatus, Rank, Worst};
use crate::places::Place;
use crate::tail::{Mark, Stretch};
use crate::watch;

/// Results that are taken before anything else has its turn.
const RESULTS: usize = 256;
/// How long attempts that are under way may take when the engine shuts down.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// How long writing what they came to may take then.
const FINISH_MAX: Duration = Duration::from_secs(5);
/// The shortest wait. A moment that has passed although everything was done that could be waits for something else,
/// like the commit under way.
const TIMER_MIN: Duration = Duration::from_millis(1);
/// How often lanes are counted for the metrics.
const COUNT_EVERY: Duration = Duration::from_secs(3);
/// How often the metrics are told how a partition stands that commits nothing.
const SHOW_EVERY: Duration = Duration::from_secs(1);
/// How often a router looks whether its node may start new work again.
const SUSPENDED: Duration = Duration::from_millis(100);

/// What came of something that was started.
#[derive(Debug)]
pub(super) enum Done {
    Sent {
        lane: LaneNo,
        sequence: Sequence,
        attempt: u32,
        /// Whether the event is one of Tidings itself.
        system: bool,
        recorded_at: Timestamp,
        answer: Answer,
    },
    Unsent {
        lane: LaneNo,
        sequence: Sequence,
        attempt: u32,
        gone: bool,
    },
    /// With the position up to which was looked at, where that is known.
    Read {
        lane: LaneNo,
        done: Option<ReadDone<Payload>>,
        reached: Option<Position>,
    },
    Fetched(tidings_store::Result<Stretch>),
    Changed(tidings_store::Result<RoutingChanges>),
    Committed(Written),
    Panicked,
}

/// A router and all that it works with.
pub(super) struct Run {
    pub(super) means: Arc<Means>,
    pub(super) partition: PartitionId,
    pub(super) shard: ShardNo,
    pub(super) router: Router<Payload>,
    pub(super) routing: Routing,
    pub(super) clock: Clock,
    pub(super) mark: watch::Receiver<Mark>,
    pub(super) results: mpsc::Sender<Done>,
    pub(super) gauges: Gauges,
    /// How often the log had been found shorter when this router began.
    pub(super) resets: u64,
    /// How often a tenant had moved away from the partition or to it when this router began.
    pub(super) moves: u64,
    /// Events that are routed next.
    pub(super) stretch: Option<Stretch>,
    /// Of the event that is routed; kept for its room.
    pub(super) lanes: Vec<LaneNo>,
    /// What was read from the log, for lanes that come after.
    pub(super) history: History,
    /// The furthest that any lane has read.
    pub(super) reached: Position,
    /// Nothing is read from the log until a lane has come further.
    pub(super) paced: bool,
    /// Events are being read from the log, and when that may be done again.
    pub(super) fetching: bool,
    pub(super) fetch_at: Instant,
    /// The revision up to which changes of subscriptions were last asked for.
    pub(super) wanted: Revision,
    /// Changes of subscriptions are being read, since so many commits; and when that may be done again.
    pub(super) updating: Option<u64>,
    pub(super) update_at: Instant,
    /// When redriven events are asked for again, as long as there are any.
    pub(super) redrives_at: Option<Instant>,
    pub(super) committing: bool,
    /// Commits that became durable.
    pub(super) commits: u64,
    /// When the metrics were last told how the partition stands.
    pub(super) shown_at: Instant,
    /// When the lanes were last counted for the metrics.
    pub(super) counted_at: Instant,
}

/// How far the end has come.
enum Phase {
    Working,
    /// Nothing new is started; what is under way is waited for until then.
    Draining(Instant),
    /// What it came to is written, until then.
    Finishing(Instant),
}

impl Run {
    /// As many results as can wait: one for each thing that can be under way.
    pub(super) fn results_max(limits: &Limits) -> usize {
        limits.in_flight_max + limits.reads_max + 16
    }

    /// Works until it is told to end, or must.
    pub(super) async fn run(mut self, results: &mut mpsc::Receiver<Done>, ending: &CancellationToken) -> Ended {
        match self.work(results, ending).await {
            Err(ended) => ended,
            Ok(()) => Ended::InOrder,
        }
    }

    async fn work(&mut self, results: &mut mpsc::Receiver<Done>, ending: &CancellationToken) -> Result<(), Ended> {
        let mut batch = Vec::with_capacity(RESULTS);
        let mut phase = Phase::Working;
        let mut alarm_at = Instant::now();
        let alarm = tokio::time::sleep_until(alarm_at);
        tokio::pin!(alarm);
        let cancelled = ending.cancelled();
        tokio::pin!(cancelled);
        loop {
            // Asked for each time: a router that always has something to do would not hear of it below.
            if matches!(phase, Phase::Working) && ending.is_cancelled() {
                self.router.drain();
                phase = Phase::Draining(Instant::now() + DRAIN_MAX);
            }
            let now = self.clock.now();
            let more = if let Phase::Working = phase {
                self.step(now)?
            } else if self.is_finished(&mut phase, now) {
                return Ok(());
            } else {
                false
            };
            if !more {
                let until = self.wake_at(&phase);
                if until != alarm_at {
                    alarm_at = until;
                    alarm.as_mut().reset(until);
                }
                tokio::select! {
                    biased;
                    _ = results.recv_many(&mut batch, RESULTS) => {}
                    _ = self.mark.changed(), if matches!(phase, Phase::Working) => {}
                    () = &mut cancelled, if matches!(phase, Phase::Working) => {}
                    () = &mut alarm => {}
                }
            }
            // What is ready to run now has its turn first: its results then are taken together, in one round.
            tokio::task::yield_now().await;
            while batch.len() < RESULTS
                && let Ok(done) = results.try_recv()
            {
                batch.push(done);
            }
            let now = self.clock.now();
            for done in batch.drain(..) {
                self.take(done, now)?;
            }
        }
    }

    /// Does all that can be done at once. Returns whether there may be more of it.
    fn step(&mut self, now: Timestamp) -> Result<bool, Ended> {
        if !self.is_ours() {
            self.commit(false, now);
            return Ok(false);
        }
        let more = self.route(now)?;
        if self.redrives_at.is_some() {
            self.bring_up_to_date(Revision(0));
        }
        self.read(now);
        self.send(now);
        self.commit(false, now);
        if self.shown_at.elapsed() >= SHOW_EVERY {
            self.show();
        }
        Ok(more)
    }

    /// Takes the last steps towards the end; returns whether it is reached.
    fn is_finished(&mut self, phase: &mut Phase, now: Timestamp) -> bool {
        let moment = Instant::now();
        if let Phase::Draining(until) = *phase {
            self.commit(false, now);
            if self.router.in_flight() > 0 && moment < until {
                return false;
            }
            *phase = Phase::Finishing(moment + FINISH_MAX);
        }
        if let Phase::Finishing(until) = *phase
            && moment >= until
        {
            tracing::warn!(partition = %self.partition, "the last deliveries could not be recorded; they are repeated");
            return true;
        }
        !self.commit(true, now)
    }

    /// The earliest moment at which time alone gives something to do.
    fn wake_at(&self, phase: &Phase) -> Instant {
        let waits = match phase {
            Phase::Draining(until) | Phase::Finishing(until) => [Some(*until), None, None, None],
            // What the lanes wait for is not done now, whatever moments pass.
            Phase::Working if !self.is_ours() => return Instant::now() + SUSPENDED,
            Phase::Working => [
                Some(self.shown_at + SHOW_EVERY),
                // What is under way wakes us when it ends, and then these are looked at again.
                (!self.fetching).then_some(self.fetch_at),
                self.updating.is_none().then_some(self.update_at),
                self.redrives_at.filter(|_| self.updating.is_none()),
            ],
        };
        let router = self.router.wake_at().map(|time| self.clock.instant(time));
        let now = Instant::now();
        // The moments of pauses stay behind when they have passed; all else that has passed was seen to just now.
        let ahead = waits.into_iter().flatten().filter(|moment| *moment > now);
        let floor = now + TIMER_MIN;
        ahead.chain(router.map(|moment| moment.max(floor))).min().unwrap_or(now + SHOW_EVERY)
    }

    fn take(&mut self, done: Done, now: Timestamp) -> Result<(), Ended> {
        match done {
            Done::Sent { lane, sequence, attempt, system, recorded_at, answer } => {
                self.gauges.answered(&answer);
                if attempt == 1 && lane.replay().is_none() {
                    self.gauges.first_answered(&answer, recorded_at);
                }
                if system {
                    self.router.is_system(lane, sequence);
                }
                self.router.answered(lane, sequence, attempt, answer, crate::dice::number(), now);
            }
            Done::Unsent { lane, sequence, attempt, gone } => self.router.unsent(lane, sequence, attempt, gone, now),
            Done::Read { lane, done, reached } => {
                self.reached = self.reached.max(reached.unwrap_or_default());
                self.paced = false;
                self.router.read(lane, done, now);
            }
            Done::Fetched(fetched) => self.fetched(fetched),
            Done::Changed(changes) => return self.changed(changes, now),
            Done::Committed(written) => return self.committed(written),
            Done::Panicked => return Err(Ended::Unsure("a part of the router panicked".to_owned())),
        }
        Ok(())
    }

    /// Reads for lanes that lag.
    fn read(&mut self, now: Timestamp) {
        while let Some(read) = self.router.next_read(now) {
            let Some(selections) = self.routing.selections(read.lane) else {
                self.router.read(read.lane, None, now);
                continue;
            };
            let lane = read.lane;
            let routed = lane.replay().is_none().then(|| self.router.routed());
            let means = self.means.clone();
            let history = self.history.clone();
            let reading = LaneRead { means, partition: self.partition, history, read, selections, routed };
            spawn(&self.results, async move {
                match reading.read().await {
                    Ok((done, reached)) => Done::Read { lane, done: Some(done), reached },
                    Err(error) => {
                        tracing::debug!(lane = lane.0, %error, "a lane cannot read");
                        Done::Read { lane, done: None, reached: None }
                    }
                }
            });
        }
    }

    /// Starts all attempts that may be started.
    fn send(&mut self, now: Timestamp) {
        let mut moment = None;
        while let Some(send) = self.router.next_send(now) {
            let sender = self.routing.sender(send.endpoint, &self.means, *moment.get_or_insert_with(wall));
            match sender {
                Ok(sender) => {
                    let (means, partition) = (self.means.clone(), self.partition);
                    attempt::start(Attempt { means, partition, sender, send, began: now }, self.results.clone());
                }
                Err(reason) => {
                    let answer = attempt::failed(Failure::Forbidden, &reason, now, Duration::ZERO);
                    self.gauges.answered(&answer);
                    self.router.answered(send.lane, send.sequence, send.attempt, answer, crate::dice::number(), now);
                }
            }
        }
    }

    /// Whether this node's heartbeat is good; without one another node may own the partition by now, and nothing new is
    /// started. The epoch would refuse what comes of it; this spares the receivers.
    fn is_ours(&self) -> bool {
        self.means.leases.is_good(self.shard)
    }

    /// Tells the metrics how the partition stands.
    pub(super) fn show(&mut self) {
        self.shown_at = Instant::now();
        let lag = self.mark.borrow().end.get().saturating_sub(self.router.routed().get());
        self.gauges.lag.set(u32::try_from(lag).map_or(f64::INFINITY, f64::from));
        self.gauges.in_flight.set(count(self.router.in_flight()));
        // Counting looks at every lane.
        if self.counted_at.elapsed() >= COUNT_EVERY {
            self.counted_at = Instant::now();
            let mut worst = Worst::default();
            let newest = |tenant| self.means.tail.last(Place { no: tenant, partition: self.partition });
            let census = self.router.census_with(|look| worst.take(look.behind(newest(look.tenant)), look));
            self.gauges.lanes_behind.set(count(census.lagging));
            self.gauges.open.set(count(census.open));
            self.gauges.throttled.set(count(census.throttled));
            self.gauges.closed.set(count(census.lanes - census.open - census.throttled));
            self.gauges.retries.set(count(census.retries));
            self.show_lanes(worst);
        }
    }

    /// Tells which lanes are furthest behind.
    fn show_lanes(&self, worst: Worst) {
        let seconds = worst.oldest.map_or(0, |oldest| wall().as_micros().saturating_sub(oldest.as_micros()).max(0));
        let lag_events = worst.lanes.first_key_value().map_or(0, |((Reverse(events), ..), _)| *events);
        self.gauges.lag_events.set(lag_events as f64);
        self.gauges.lag_seconds.set(seconds as f64 / 1e6);
        let status = |((Reverse(lag_events), ..), look): (Rank, LaneLook)| {
            let (tenant, endpoint) = self.routing.endpoint(look.endpoint)?;
            Some(LaneStatus {
                partition: self.partition,
                tenant: tenant.clone(),
                endpoint: endpoint.clone(),
                is_replay: look.lane.replay().is_some(),
                lag_events,
                oldest: look.oldest,
                circuit: look.circuit,
                in_flight: look.in_flight,
                retries: look.retries,
            })
        };
        self.means.lanes.show(self.partition, worst.lanes.into_iter().filter_map(status).collect());
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.means.lanes.forget(self.partition);
    }
}

/// Does something slow in a task of its own; what came of it comes over the channel, whatever happens.
pub(super) fn spawn(results: &mpsc::Sender<Done>, work: impl Future<Output = Done> + Send + 'static) {
    let results = results.clone();
    tokio::spawn(async move {
        let done = AssertUnwindSafe(work).catch_unwind().await.unwrap_or(Done::Panicked);
        // There is room for every result that can be under way, but for those of lanes that were removed meanwhile. It
        // fails only where nobody waits any more.
        let _nobody = results.send(done).await;
    });
}
