//! One lane: what it holds, what it may send, what it must read.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tidings_event::delivery::{CircuitRow, DisableReason, LaneRow, RetryRow};
use tidings_event::{Position, Sequence, Timestamp};

use super::circuit::{Circuit, Waits};
use super::clock::{after, earlier};
use super::commit::Pending;
use super::concurrency::Concurrency;
use super::rate::Rate;
use super::retries::{Retries, Retry};
use super::window::Window;
use super::{Item, LaneLook, LaneSpec, Limits, Ordering};

mod keep;
mod pick;
mod read;
mod settle;

pub(super) use keep::Place;
pub(super) use settle::Ended;

/// What orders the events of a strict lane that have no entity.
const STRICT: u64 = u64::MAX;

/// An open circuit keeps this part of a window at hand to probe with.
const PROBE_PART: usize = 16;

/// Events that wait among the retries while nothing tells a dead endpoint from a failed event.
const PARKED_MAX: usize = 64;

/// What a router began with of one lane.
#[derive(Debug, Default)]
pub(super) struct Restored {
    pub(super) row: Option<LaneRow>,
    pub(super) retries: Vec<RetryRow>,
    pub(super) circuit: Option<CircuitRow>,
}

/// Where a lane's events come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// From what is offered.
    Live,
    /// From the log; what was offered up to here was skipped, if anything was.
    Lagging { skipped_to: Option<Sequence> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    No,
    Yes,
    /// What it brings no longer continues what the lane holds.
    Stale,
}

/// What is stored of where the lane stands, as of the last commit that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Row {
    None,
    At(Sequence),
    /// There may be one.
    Unknown,
}

/// How far it is with what was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GivenUp {
    Nothing,
    /// The next commit will hold it.
    Noted,
    /// The commit that is being written holds it.
    Written,
}

/// A lane.
#[derive(Debug)]
pub(super) struct Lane<E> {
    pub(super) spec: LaneSpec,
    /// Stopped by the router itself, until it is configured anew.
    stopped: bool,
    pub(super) window: Window<E>,
    pub(super) retries: Retries,
    pub(super) circuit: Circuit,
    pub(super) concurrency: Concurrency,
    rate: Option<Rate>,
    /// How many events a probe is chosen from.
    probe_choice: usize,
    /// Every match at or below was taken in. None: every match before the next that is offered was.
    read_to: Option<Sequence>,
    source: Source,
    reading: Reading,
    /// Not read again before, after a read that brought nothing.
    read_after: Option<Timestamp>,
    /// Nothing is sent before, since a payload could not be read.
    paused_until: Option<Timestamp>,
    /// The newest event that was taken in. After a start: the newest that is still to be delivered of those before.
    last_match: Option<Sequence>,
    /// The event that was delivered last.
    last_got: Option<Sequence>,
    /// Restored retries that stand above the lane's row and so are read again, and whether they were delivered
    /// meanwhile.
    known: BTreeMap<Sequence, bool>,
    /// Blocked events wait for room among the retries.
    unparked: bool,
    row: Row,
    /// The highest position of an event that was settled otherwise than by delivery.
    failed_at: Position,
    /// Events that were delivered and are covered by no durable commit,
    undurable: u32,
    /// of these: left the window since the last commit was made,
    left: u32,
    /// left it before, and are covered once the checkpoint reaches the position,
    marks: VecDeque<(Position, u32)>,
    /// were retries, all of which the next commit covers.
    retried: u32,
    /// Something that others were ordered behind was given up. They wait until that is durable: a router that begins from
    /// what is stored would deliver it after them.
    given_up: GivenUp,
    /// Delivered and given up since the last commit was made; counted for replays.
    delivered: u64,
    dead: u64,
    /// Kept by the router: whether it counts as slow.
    pub(super) slow: bool,
    /// Kept by the router: whether it waits for its turn to send, to read, to be committed.
    pub(super) queued: bool,
    /// Kept by the router: whether it waits until slow lanes hold less.
    pub(super) aside: bool,
    pub(super) read_queued: bool,
    pub(super) dirty: bool,
    /// Kept by the router: when it wants to be looked at again.
    pub(super) wake: Option<Timestamp>,
}

impl<E: Clone> Lane<E> {
    pub(super) fn new(spec: LaneSpec, restored: Restored, limits: &Limits, now: Timestamp) -> Self {
        let waits = Waits { min: limits.probe_min, max: limits.probe_max };
        let circuit = restored
            .circuit
            .map_or_else(Circuit::closed, |row| Circuit::restored(&row, now, waits, spec.schedule.span()));
        let (row, begin) = match (restored.row, spec.begin) {
            (Some(row), _) => (Row::At(row.settled), Some(row.settled)),
            (None, Some(begin)) => (Row::Unknown, Some(begin)),
            (None, None) => (Row::None, None),
        };
        // What a retry's event was recorded at is not stored. Its age counts from what is known for certain: it was
        // there when its circuit opened.
        let since = restored.circuit.map_or(now, |row| row.since.min(now));
        let mut retries = Retries::default();
        let mut known = BTreeMap::new();
        let mut last_match = None;
        for retry in restored.retries {
            let again = begin.is_some_and(|begin| retry.sequence > begin);
            if again {
                known.insert(retry.sequence, false);
            } else {
                last_match = last_match.max(Some(retry.sequence));
            }
            let sequence = retry.sequence;
            let mut retry = Retry::restored(&retry, since);
            // One that it is ordered behind may have been delivered without a commit that covers it. That one is found
            // when the log is read again, and goes first.
            retry.held = again && retry.key.is_some() && spec.ordering == Ordering::Entity;
            retries.insert(sequence, retry);
        }
        let replay = spec.lane.replay().is_some();
        let mut lane = Self {
            stopped: false,
            window: Window::new(),
            retries,
            circuit,
            concurrency: Concurrency::new(limits.lane_in_flight_max),
            rate: spec.rate_per_s.map(Rate::new),
            probe_choice: (limits.window / PROBE_PART).max(1),
            read_to: begin,
            source: if begin.is_some() || replay { Source::Lagging { skipped_to: None } } else { Source::Live },
            reading: Reading::No,
            read_after: None,
            paused_until: None,
            last_match,
            last_got: None,
            known,
            unparked: false,
            row,
            failed_at: Position(0),
            undurable: 0,
            left: 0,
            marks: VecDeque::new(),
            retried: 0,
            given_up: GivenUp::Nothing,
            delivered: 0,
            dead: 0,
            slow: true,
            queued: false,
            aside: false,
            read_queued: false,
            dirty: false,
            wake: None,
            spec,
        };
        if replay && lane.read_to.is_none() {
            lane.read_to = Some(Sequence(0));
        }
        lane
    }

    pub(super) fn is_replay(&self) -> bool {
        self.spec.lane.replay().is_some()
    }

    /// Whether it sends and reads.
    fn runs(&self) -> bool {
        self.spec.running && !self.stopped
    }

    pub(super) fn is_lagging(&self) -> bool {
        matches!(self.source, Source::Lagging { .. })
    }

    /// How it stands; nothing where it has nothing to do.
    pub(super) fn look(&self) -> Option<LaneLook> {
        if !self.is_lagging() && self.window.is_empty() && self.retries.is_empty() {
            return None;
        }
        let oldest = self.window.oldest();
        let before = |sequence: Sequence| Sequence(sequence.get().saturating_sub(1));
        let read_to = self.read_to.unwrap_or_default();
        let skipped_to = match self.source {
            Source::Lagging { skipped_to } => skipped_to.unwrap_or_default(),
            Source::Live => Sequence(0),
        };
        Some(LaneLook {
            lane: self.spec.lane,
            endpoint: self.spec.endpoint,
            tenant: self.spec.tenant,
            settled: oldest.map(|slot| before(slot.sequence)).or(self.read_to),
            known: skipped_to.max(read_to).max(self.window.newest().unwrap_or_default()),
            oldest: oldest.map(|slot| slot.recorded_at),
            circuit: self.circuit.state(),
            in_flight: self.in_flight(),
            retries: self.retries.len(),
        })
    }

    pub(super) fn is_reading(&self) -> bool {
        self.reading != Reading::No
    }

    pub(super) fn in_flight(&self) -> usize {
        self.window.in_flight() + self.retries.in_flight()
    }

    /// Takes a changed specification. A lane that begins to run anew begins with a closed circuit.
    pub(super) fn configure(&mut self, spec: LaneSpec, now: Timestamp) {
        let ran = self.runs();
        let ordering = self.spec.ordering;
        self.spec = spec;
        if self.rate.as_ref().map(Rate::per_s) != self.spec.rate_per_s.map(|per_s| per_s.max(1)) {
            self.rate = self.spec.rate_per_s.map(Rate::new);
        }
        if self.spec.ordering != ordering {
            self.reorder();
        }
        if !self.spec.running {
            self.stopped = false;
            self.stand_still();
        } else if ran {
            // Something was changed: perhaps what made the endpoint fail.
            self.circuit.hasten(now);
        } else {
            self.stopped = false;
            if !self.circuit.is_closed() {
                self.circuit.close(now);
                self.concurrency.restart();
                self.retries.release();
            }
        }
        self.read_after = None;
        self.paused_until = None;
    }

    /// What orders an event in this lane.
    fn key(&self, entity: Option<u64>) -> Option<u64> {
        match self.spec.ordering {
            Ordering::None => None,
            Ordering::Entity => entity,
            Ordering::Strict => Some(STRICT),
        }
    }

    /// What orders an event among the retries of this lane.
    fn retry_key(&self, entity: Option<u64>) -> Option<u64> {
        match self.spec.ordering {
            Ordering::None => None,
            Ordering::Entity => entity,
            Ordering::Strict => Some(entity.unwrap_or(STRICT)),
        }
    }

    /// Whether events of a key wait for a retry.
    fn waits(&self, key: u64) -> bool {
        waits(&self.retries, self.spec.ordering, key)
    }

    fn reorder(&mut self) {
        let ordering = self.spec.ordering;
        let retries = &self.retries;
        let key = |entity| match ordering {
            Ordering::None => None,
            Ordering::Entity => entity,
            Ordering::Strict => Some(STRICT),
        };
        self.window.reorder(key, |key| waits(retries, ordering, key));
        self.unparked = true;
        for sequence in self.known.keys() {
            self.retries.release_held(*sequence);
        }
    }

    /// An event matched. False when that changes nothing.
    pub(super) fn offer(&mut self, item: &Item<E>, limits: &Limits, now: Timestamp) -> bool {
        if self.is_replay() || self.read_to.is_some_and(|read_to| item.sequence <= read_to) {
            return false;
        }
        match &mut self.source {
            Source::Lagging { skipped_to } => {
                *skipped_to = (*skipped_to).max(Some(item.sequence));
                return false;
            }
            Source::Live => {}
        }
        if self.runs() && !self.circuit.is_open() && self.window.len() < limits.window {
            self.admit(item.clone(), limits, now);
        } else {
            // All that matched before it was taken in, so nothing but what follows needs to be read.
            self.read_to = Some(Sequence(item.sequence.0.saturating_sub(1))).max(self.read_to);
            self.source = Source::Lagging { skipped_to: Some(item.sequence) };
        }
        true
    }

    /// Takes an event in: into the window, or behind a failed one of its key.
    fn admit(&mut self, item: Item<E>, limits: &Limits, now: Timestamp) {
        let sequence = item.sequence;
        self.read_to = Some(sequence);
        let previous = self.last_match.replace(sequence);
        let known = self.known.remove(&sequence);
        if known.is_some() {
            self.retries.release_held(sequence);
        }
        if known.is_some() || self.retries.contains(sequence) {
            self.failed_at = self.failed_at.max(item.position);
            self.left += self.window.pass(&item, known == Some(true), now);
            return;
        }
        let key = self.key(item.key);
        let blocked = key.is_some_and(|key| self.waits(key));
        // Before one that was restored it goes even where there is no room: there are no more of these than the window
        // holds.
        let room =
            self.has_room_to_park(limits) || key.is_some_and(|key| blocked && self.retries.has_newer(key, sequence));
        let parks = blocked && self.spec.ordering == Ordering::Entity && room;
        if let Some(key) = key.filter(|key| parks && !self.window.has_blocked(*key)) {
            let mut retry = Retry::new(0, now, Some(key), item.recorded_at);
            retry.system = item.system;
            retry.previous = previous;
            self.failed_at = self.failed_at.max(item.position);
            self.left += self.window.pass(&item, false, now);
            self.retries.insert(sequence, retry);
            return;
        }
        self.unparked |= blocked;
        self.window.admit(item, key, blocked, previous, now);
    }

    /// Whether one more retry fits beside those that may come of what is under way.
    pub(super) fn has_room_for_retries(&self, limits: &Limits) -> bool {
        self.room_for_retries(limits) > 0
    }

    /// Whether an event may wait among the retries behind a failed one. While nothing was delivered since that one
    /// failed, few may: perhaps the endpoint is dead, and shall not cost a row an event.
    fn has_room_to_park(&self, limits: &Limits) -> bool {
        let few = !self.circuit.is_failing() || self.retries.len() < PARKED_MAX;
        few && self.has_room_for_retries(limits)
    }

    pub(super) fn room_for_retries(&self, limits: &Limits) -> usize {
        limits.retries_max.saturating_sub(self.retries.len() + self.window.in_flight())
    }

    /// Stops holding what it may not send: it is read again when it may.
    fn stand_still(&mut self) {
        let Some(newest) = self.window.forget_tail(self.probe_choice) else { return };
        let read_to = self.read_to.replace(newest);
        self.last_match = Some(newest);
        self.source = match self.source {
            Source::Live => Source::Lagging { skipped_to: read_to },
            Source::Lagging { skipped_to } => Source::Lagging { skipped_to: skipped_to.max(read_to) },
        };
        if self.reading == Reading::Yes {
            self.reading = Reading::Stale;
        }
    }

    /// A replay has read up to its end.
    fn has_read_all(&self) -> bool {
        self.is_replay() && self.spec.end.is_some_and(|end| self.read_to >= Some(end))
    }

    /// A replay has come to its end.
    pub(super) fn is_finished(&self) -> bool {
        self.has_read_all() && self.window.is_empty() && self.retries.is_empty()
    }

    /// Does what time alone brings. True when that changes something to be committed.
    pub(super) fn tick(&mut self, limits: &Limits, now: Timestamp, pending: &mut Pending) -> bool {
        self.retries.wake(now);
        let mut changed = self.circuit.end_throttle(now);
        if self.runs() && self.failing_for(limits.disable_after, now) {
            self.stop(DisableReason::Failing, pending);
            changed = true;
        }
        changed
    }

    /// Stops by itself until it is configured anew. One that stands still anyway has nothing to tell: an answer that
    /// was under way when it was stopped says nothing new.
    fn stop(&mut self, reason: DisableReason, pending: &mut Pending) {
        if !self.runs() {
            return;
        }
        self.stopped = true;
        self.stand_still();
        pending.disable(self.spec.endpoint, reason);
    }

    /// Whether its circuit is open for so long without a break.
    fn failing_for(&self, duration: Duration, now: Timestamp) -> bool {
        self.circuit.failing_since().is_some_and(|since| after(since, duration) <= now)
    }

    /// When time alone gives it something to do, later than now.
    pub(super) fn wake_at(&self, limits: &Limits, now: Timestamp) -> Option<Timestamp> {
        if !self.runs() {
            return None;
        }
        let later = |at: Option<Timestamp>| at.filter(|at| *at > now);
        let mut at = earlier(later(self.paused_until), later(self.circuit.throttled_until()));
        if self.circuit.is_open() {
            let has_some = !self.window.is_empty() || !self.retries.is_empty() || self.is_lagging();
            at = earlier(at, later(self.circuit.probe_at()).filter(|_| has_some));
            at = earlier(at, later(self.expires_at()));
            let since = self.circuit.failing_since();
            at = earlier(at, later(since.map(|since| after(since, limits.disable_after))));
        } else {
            at = earlier(at, later(self.retries.next_due()));
        }
        if self.is_lagging() && !self.is_reading() {
            at = earlier(at, later(self.read_after));
        }
        earlier(at, later(self.rate.as_ref().and_then(|rate| rate.wait_until(now))))
    }

    /// Whether there is something to be given up because it is too old.
    pub(super) fn has_expired(&self, now: Timestamp) -> bool {
        let has_some = self.retries.oldest_idle().is_some() || !self.window.is_empty();
        has_some && self.runs() && self.expires_at().is_some_and(|at| at <= now)
    }

    /// Follows a clock that was set back.
    pub(super) fn shift(&mut self, micros: i64) {
        let shifted = |at: Option<Timestamp>| at.map(|at| super::clock::shifted(at, micros));
        self.read_after = shifted(self.read_after);
        self.paused_until = shifted(self.paused_until);
        self.circuit.shift(micros);
        self.window.shift(micros);
        if let Some(rate) = &mut self.rate {
            rate.shift(micros);
        }
    }
}

fn waits(retries: &Retries, ordering: Ordering, key: u64) -> bool {
    match ordering {
        Ordering::None => false,
        Ordering::Entity => retries.has_key(key),
        Ordering::Strict => retries.any_ordered(),
    }
}
