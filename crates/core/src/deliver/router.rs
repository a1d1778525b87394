//! The router of one partition: it hands events to lanes, turns to send and to read between them, and what must
//! survive to a commit.

use std::collections::{BTreeSet, VecDeque};

use tidings_event::delivery::{ANSWER_BYTES_KEPT, AttemptRow, CircuitRow, CircuitState, LaneRow, RetryRow};
use tidings_event::{EndpointNo, Epoch, LaneNo, PartitionId, Position, Sequence, TenantNo, Timestamp};

use super::clock::{after, earlier};
use super::commit::{Pending, Redriven};
use super::fair::Fair;
use super::hash::NumberMap;
use super::lane::{Ended, Lane, Restored};
use super::retries::Retry;
use super::{Answer, Item, LaneSpec, Limits, Read, ReadDone, Send};

mod commit;

/// Decides what a partition's lanes send, read and commit. See the module for what it promises.
#[derive(Debug)]
pub struct Router<E> {
    partition: PartitionId,
    epoch: Epoch,
    limits: Limits,
    /// The latest moment that it was told.
    now: Timestamp,
    /// Everything up to here was offered.
    routed: Position,
    /// The checkpoint of the last commit that was made.
    checkpoint: Position,
    lanes: NumberMap<LaneNo, Box<Lane<E>>>,
    /// What it began with of lanes that were not configured yet.
    restored: NumberMap<LaneNo, Restored>,
    turns: Turns,
    pending: Pending,
    redriven: Redriven,
    /// What the commit that is being written covers, by lane. None while none is being written.
    committing: Option<Vec<(LaneNo, u32)>>,
    /// Lanes that end with the commit that is being written.
    ending: Vec<LaneNo>,
    /// Events that were redriven and are given up again with the commit that is being written.
    dying: Vec<(EndpointNo, Sequence)>,
    committed_at: Timestamp,
    /// A lane waits for a commit before it may send on.
    pressed: bool,
    in_flight: usize,
    slow_in_flight: usize,
    reads: usize,
    draining: bool,
}

/// Who waits for what.
#[derive(Debug, Default)]
struct Turns {
    sends: Fair,
    reads: Fair,
    /// Slow lanes that could send, and wait until slow lanes hold less.
    aside: VecDeque<LaneNo>,
    timers: BTreeSet<(Timestamp, LaneNo)>,
    /// Lanes that the next commit must look at.
    dirty: Vec<LaneNo>,
    /// Lanes of which something is too old.
    expiring: BTreeSet<LaneNo>,
    /// Replays that have come to their end.
    finished: Vec<LaneNo>,
}

/// How a router's lanes stand, for a person to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Census {
    /// Lanes.
    pub lanes: usize,
    /// Lanes that are fed from the log.
    pub lagging: usize,
    /// Lanes whose circuit is open.
    pub open: usize,
    /// Lanes whose endpoint asked for a pause.
    pub throttled: usize,
    /// Events held in memory.
    pub events: usize,
    /// The most that one lane holds.
    pub events_of_one_max: usize,
    /// Retries.
    pub retries: usize,
    /// The most that one lane has.
    pub retries_of_one_max: usize,
    /// The most attempts that one lane has under way.
    pub in_flight_of_one_max: usize,
    /// The most events of one lane that are delivered and not covered by a durable commit.
    pub undurable_of_one_max: usize,
}

/// How one lane stands, for a person to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneLook {
    /// Which lane.
    pub lane: LaneNo,
    /// To which endpoint.
    pub endpoint: EndpointNo,
    /// Whose.
    pub tenant: TenantNo,
    /// Everything that matched at or below is settled, or waits among the retries; none where it is not known yet.
    pub settled: Option<Sequence>,
    /// The newest event of its tenant that the lane knows of.
    pub known: Sequence,
    /// When the oldest event that it holds and has not settled was recorded.
    pub oldest: Option<Timestamp>,
    /// Its circuit.
    pub circuit: CircuitState,
    /// Attempts under way.
    pub in_flight: usize,
    /// Events that wait for their next attempt.
    pub retries: usize,
}

impl LaneLook {
    /// Events that it is behind, given the newest sequence of its tenant that is known elsewhere.
    #[must_use]
    pub fn behind(&self, newest: Option<Sequence>) -> u64 {
        let newest = newest.unwrap_or_default().max(self.known);
        self.settled.map_or(0, |settled| newest.get().saturating_sub(settled.get()))
    }
}

impl<E: Clone> Router<E> {
    /// Goes on where the last commit of the partition left off. `lanes`, `retries` and `circuits` must be read after
    /// the claim that gave the epoch. So that a lane that is made meanwhile is not taken for one that has caught up,
    /// read what subscriptions there are first, then these, then what has changed of the subscriptions since; give
    /// [`LaneSpec::begin`] for lanes of the second kind.
    #[expect(clippy::too_many_arguments, reason = "a router begins with exactly this")]
    #[must_use]
    pub fn new(
        partition: PartitionId,
        epoch: Epoch,
        checkpoint: Position,
        lanes: Vec<LaneRow>,
        retries: Vec<RetryRow>,
        circuits: Vec<CircuitRow>,
        limits: Limits,
        now: Timestamp,
    ) -> Self {
        let mut restored: NumberMap<LaneNo, Restored> = NumberMap::default();
        for row in lanes {
            restored.entry(row.lane).or_default().row = Some(row);
        }
        for row in retries {
            restored.entry(row.lane).or_default().retries.push(row);
        }
        for row in circuits {
            restored.entry(row.lane).or_default().circuit = Some(row);
        }
        Self {
            partition,
            epoch,
            limits: workable(limits),
            now,
            routed: checkpoint,
            checkpoint,
            lanes: NumberMap::default(),
            restored,
            turns: Turns::default(),
            pending: Pending::default(),
            redriven: Redriven::default(),
            committing: None,
            ending: Vec::new(),
            dying: Vec::new(),
            committed_at: now,
            pressed: false,
            in_flight: 0,
            slow_in_flight: 0,
            reads: 0,
            draining: false,
        }
    }

    /// Takes a lane in, or a change of it. Without effect on a lane that has ended, until the commit that says so is
    /// durable; from then on it must not be configured again.
    pub fn configure(&mut self, spec: LaneSpec, now: Timestamp) {
        self.tick(now);
        let no = spec.lane;
        match self.lanes.get_mut(&no) {
            Some(lane) => lane.configure(spec, now),
            None => {
                if self.pending.ended.contains(&no) || self.ending.contains(&no) {
                    return;
                }
                let restored = self.restored.remove(&no).unwrap_or_default();
                self.lanes.insert(no, Box::new(Lane::new(spec, restored, &self.limits, now)));
            }
        }
        self.touch(no, now);
    }

    /// Lanes that it began with and that were not configured. Once everything that is known of the subscriptions was
    /// configured these are leftovers of lanes that have ended meanwhile, to be removed.
    #[must_use]
    pub fn unconfigured(&self) -> Vec<LaneNo> {
        self.restored.keys().copied().collect()
    }

    /// Forgets a lane: its endpoint was deleted, or its replay cancelled. Answers that are still to come are ignored.
    pub fn remove(&mut self, lane: LaneNo) {
        self.restored.remove(&lane);
        if let Some(removed) = self.lanes.remove(&lane) {
            let in_flight = removed.in_flight();
            self.in_flight -= in_flight;
            if removed.slow {
                self.slow_in_flight -= in_flight;
            }
            self.turns.sends.release(removed.spec.tenant, in_flight);
            if removed.is_reading() {
                self.reads -= 1;
            }
            if let Some(at) = removed.wake {
                self.turns.timers.remove(&(at, lane));
            }
            self.turns.expiring.remove(&lane);
        }
        match lane.endpoint() {
            Some(endpoint) => self.pending.forget_endpoint(endpoint, lane),
            None => self.pending.forget_lane(lane),
        }
        if !self.pending.ended.contains(&lane) {
            self.pending.ended.push(lane);
        }
    }

    /// Delivers a dead letter after all. Without effect where it was taken over before, and where the endpoint has no
    /// lane or no room ([`Router::room_for_redrives`]). What is asked for must have been read from the store no earlier
    /// than the commit before the last.
    pub fn redrive(&mut self, endpoint: EndpointNo, sequence: Sequence, now: Timestamp) {
        self.tick(now);
        let no = LaneNo::from(endpoint);
        let Some(lane) = self.lanes.get_mut(&no) else { return };
        if !lane.has_room_for_retries(&self.limits) || !self.redriven.insert(endpoint, sequence) {
            return;
        }
        self.pending.redriven.push((endpoint, sequence));
        // What is on its way anyway needs nothing more.
        if !lane.retries.contains(sequence) && !lane.window.holds(sequence) {
            lane.retries.insert(sequence, Retry::new(0, now, None, now));
        }
        self.touch(no, now);
    }

    /// How many dead letters of an endpoint can be redriven now.
    #[must_use]
    pub fn room_for_redrives(&self, endpoint: EndpointNo) -> usize {
        self.lanes.get(&LaneNo::from(endpoint)).map_or(0, |lane| lane.room_for_retries(&self.limits))
    }

    /// Where it stands: everything up to here was offered.
    #[must_use]
    pub fn routed(&self) -> Position {
        self.routed
    }

    /// An event matched these lanes, all of the same tenant. Events come in order of position. A lane that was not
    /// configured is passed over.
    pub fn offer(&mut self, item: &Item<E>, tenant: TenantNo, lanes: &[LaneNo], now: Timestamp) {
        self.tick(now);
        for no in lanes {
            let Some(lane) = self.lanes.get_mut(no) else { continue };
            debug_assert_eq!(lane.spec.tenant, tenant, "a lane is offered events of its own tenant");
            if lane.offer(item, &self.limits, now) {
                self.touch(*no, now);
            }
        }
    }

    /// Everything up to `to` was offered.
    pub fn advance(&mut self, to: Position) {
        self.routed = self.routed.max(to);
    }

    /// A piece of the log that a lane needs. [`Router::read`] must follow.
    pub fn next_read(&mut self, now: Timestamp) -> Option<Read> {
        self.tick(now);
        while !self.draining && self.reads < self.limits.reads_max {
            let (_, no) = self.turns.reads.pop(usize::MAX)?;
            let Some(lane) = self.lanes.get_mut(&no) else { continue };
            lane.read_queued = false;
            if lane.wants_read(&self.limits, now) {
                self.reads += 1;
                return Some(lane.begin_read(&self.limits, now));
            }
        }
        None
    }

    /// What came of a read; nothing if it failed, and it is tried again later.
    pub fn read(&mut self, lane: LaneNo, done: Option<ReadDone<E>>, now: Timestamp) {
        self.tick(now);
        let Some(reader) = self.lanes.get_mut(&lane).filter(|lane| lane.is_reading()) else { return };
        self.reads -= 1;
        reader.end_read(done, &self.limits, now);
        self.touch(lane, now);
    }

    /// The next attempt to be made. [`Router::answered`] or [`Router::unsent`] must follow. Tenants take turns, and so
    /// do the lanes of a tenant.
    pub fn next_send(&mut self, now: Timestamp) -> Option<Send<E>> {
        self.tick(now);
        let uncommitted = self.pending.attempts.len() + self.in_flight;
        if self.draining || self.in_flight >= self.limits.in_flight_max || uncommitted >= self.limits.uncommitted_max {
            return None;
        }
        let slow_max = (self.limits.in_flight_max / 2).max(1);
        self.recall(slow_max);
        let quota = (self.limits.in_flight_max / 4).max(1);
        while let Some((tenant, no)) = self.turns.sends.pop(quota) {
            let Some(lane) = self.lanes.get_mut(&no) else { continue };
            if lane.slow && self.slow_in_flight >= slow_max {
                lane.aside = true;
                self.turns.aside.push_back(no);
                continue;
            }
            lane.queued = false;
            let send = lane.pick(&self.limits, now).and_then(|pick| lane.send(pick, now));
            if send.is_some() {
                self.in_flight += 1;
                self.slow_in_flight += usize::from(lane.slow);
                self.turns.sends.hold(tenant);
            }
            self.refresh(no, now);
            if send.is_some() {
                return send;
            }
        }
        None
    }

    /// Lets as many slow lanes wait for their turn again as slow lanes may hold more.
    fn recall(&mut self, slow_max: usize) {
        for _ in self.slow_in_flight..slow_max {
            let Some(no) = self.turns.aside.pop_front() else { return };
            if let Some(lane) = self.lanes.get_mut(&no).filter(|lane| lane.aside) {
                lane.aside = false;
                self.turns.sends.push(lane.spec.tenant, no);
            }
        }
    }

    /// An event that was sent without its payload has turned out to be one of Tidings itself: what is stored of a retry
    /// does not say so. To be told before the answer, so that no notice is given about it.
    pub fn is_system(&mut self, lane: LaneNo, sequence: Sequence) {
        if let Some(retry) = self.lanes.get_mut(&lane).and_then(|lane| lane.retries.get_mut(sequence)) {
            retry.system = true;
        }
    }

    /// An attempt has ended. Without effect if that attempt is not under way.
    pub fn answered(
        &mut self,
        lane: LaneNo,
        sequence: Sequence,
        attempt: u32,
        answer: Answer,
        dice: u64,
        now: Timestamp,
    ) {
        self.tick(now);
        let Some(sender) = self.lanes.get_mut(&lane).filter(|lane| lane.is_under_way(sequence, attempt)) else {
            return;
        };
        let ended = Ended { answer: &answer, dice, now, limits: &self.limits };
        sender.answered(sequence, attempt, &ended, &mut self.pending);
        self.pressed |= sender.undurable() >= self.limits.undurable_max / 2;
        let endpoint = sender.spec.endpoint;
        let body = &answer.body;
        self.pending.attempts.push(AttemptRow {
            lane,
            endpoint,
            sequence,
            attempt,
            at: answer.began,
            duration_us: u32::try_from(answer.duration.as_micros()).unwrap_or(u32::MAX),
            result: answer.result,
            // A piece would keep the whole body in memory.
            answer: if body.len() > ANSWER_BYTES_KEPT {
                bytes::Bytes::copy_from_slice(&body[..ANSWER_BYTES_KEPT])
            } else {
                answer.body
            },
        });
        self.came_back(lane);
        self.touch(lane, now);
    }

    /// An attempt was not made, since the payload could not be read (`gone` is false: it is tried again soon, and no
    /// attempt is counted) or is no more (`gone`: the event is given up as undeliverable).
    pub fn unsent(&mut self, lane: LaneNo, sequence: Sequence, attempt: u32, gone: bool, now: Timestamp) {
        self.tick(now);
        let Some(sender) = self.lanes.get_mut(&lane).filter(|lane| lane.is_under_way(sequence, attempt)) else {
            return;
        };
        sender.unsent(sequence, attempt, gone, &self.limits, now, &mut self.pending);
        self.came_back(lane);
        self.touch(lane, now);
    }

    /// An attempt of a lane is no longer under way.
    fn came_back(&mut self, no: LaneNo) {
        let Some(lane) = self.lanes.get_mut(&no) else { return };
        self.in_flight -= 1;
        self.slow_in_flight -= usize::from(lane.slow);
        self.turns.sends.release(lane.spec.tenant, 1);
        let slow = lane.concurrency.is_slow(self.limits.slow_after);
        if slow != lane.slow {
            lane.slow = slow;
            let in_flight = lane.in_flight();
            if slow {
                self.slow_in_flight += in_flight;
            } else {
                self.slow_in_flight -= in_flight;
                if std::mem::take(&mut lane.aside) {
                    self.turns.sends.push(lane.spec.tenant, no);
                }
            }
        }
    }

    /// The earliest moment at which time alone gives [`Router::next_send`], [`Router::next_read`] or
    /// [`Router::commit`] something to do.
    #[must_use]
    pub fn wake_at(&self) -> Option<Timestamp> {
        let timer = self.turns.timers.first().map(|(at, _)| *at).filter(|_| !self.draining);
        if self.committing.is_some() {
            return timer;
        }
        let commit = if self.has_changes() {
            Some(after(self.committed_at, self.limits.tick))
        } else if self.routed > self.checkpoint {
            Some(after(self.committed_at, self.limits.checkpoint_every))
        } else {
            None
        };
        earlier(timer, commit)
    }

    fn has_changes(&self) -> bool {
        !self.pending.is_empty()
            || !self.turns.dirty.is_empty()
            || !self.turns.expiring.is_empty()
            || !self.turns.finished.is_empty()
    }

    /// Attempts under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Sends and reads nothing more; answers still settle and are committed.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// How the lanes stand. Looks at every lane.
    #[must_use]
    pub fn census(&self) -> Census {
        self.census_with(|_| {})
    }

    /// The same, with a look at each lane that is not up to date: one that lags or holds events. In no particular order.
    pub fn census_with(&self, mut seen: impl FnMut(LaneLook)) -> Census {
        let mut census = Census { lanes: self.lanes.len(), ..Census::default() };
        for lane in self.lanes.values() {
            census.lagging += usize::from(lane.is_lagging());
            census.open += usize::from(lane.circuit.is_open());
            census.throttled += usize::from(lane.circuit.throttled_until().is_some());
            census.events += lane.window.len();
            census.events_of_one_max = census.events_of_one_max.max(lane.window.len());
            census.retries += lane.retries.len();
            census.retries_of_one_max = census.retries_of_one_max.max(lane.retries.len());
            census.in_flight_of_one_max = census.in_flight_of_one_max.max(lane.in_flight());
            census.undurable_of_one_max = census.undurable_of_one_max.max(lane.undurable());
            if let Some(look) = lane.look() {
                seen(look);
            }
        }
        census
    }

    /// Follows the clock, and looks at every lane whose time has come.
    fn tick(&mut self, now: Timestamp) {
        if now < self.now {
            self.set_back(now);
        }
        self.now = now;
        while let Some((at, no)) = self.turns.timers.first().copied()
            && at <= now
        {
            self.turns.timers.pop_first();
            if let Some(lane) = self.lanes.get_mut(&no) {
                lane.wake = None;
            }
            self.refresh(no, now);
        }
    }

    /// The clock was set back: what was to happen soon shall still happen soon.
    fn set_back(&mut self, now: Timestamp) {
        let micros = now.as_micros().saturating_sub(self.now.as_micros());
        self.committed_at = super::clock::shifted(self.committed_at, micros);
        self.turns.timers.clear();
        let all: Vec<LaneNo> = self.lanes.keys().copied().collect();
        for no in all {
            if let Some(lane) = self.lanes.get_mut(&no) {
                lane.shift(micros);
                lane.wake = None;
            }
            self.refresh(no, now);
        }
    }

    /// Something happened to a lane that a commit must look at.
    fn touch(&mut self, no: LaneNo, now: Timestamp) {
        if let Some(lane) = self.lanes.get_mut(&no)
            && !std::mem::replace(&mut lane.dirty, true)
        {
            self.turns.dirty.push(no);
        }
        self.refresh(no, now);
    }

    /// Sees to it that a lane waits for what it can do now, and is looked at again when its time comes.
    fn refresh(&mut self, no: LaneNo, now: Timestamp) {
        let Some(lane) = self.lanes.get_mut(&no) else { return };
        if lane.tick(&self.limits, now, &mut self.pending) && !std::mem::replace(&mut lane.dirty, true) {
            self.turns.dirty.push(no);
        }
        if !lane.queued && lane.pick(&self.limits, now).is_some() {
            lane.queued = true;
            self.turns.sends.push(lane.spec.tenant, no);
        }
        if !lane.read_queued && lane.wants_read(&self.limits, now) {
            lane.read_queued = true;
            self.turns.reads.push(lane.spec.tenant, no);
        }
        if lane.has_expired(now) {
            self.turns.expiring.insert(no);
        } else if !self.turns.expiring.is_empty() {
            self.turns.expiring.remove(&no);
        }
        let wake = lane.wake_at(&self.limits, now);
        if wake != lane.wake {
            if let Some(at) = lane.wake.take() {
                self.turns.timers.remove(&(at, no));
            }
            if let Some(at) = wake {
                self.turns.timers.insert((at, no));
            }
            lane.wake = wake;
        }
    }
}

/// Limits with which every lane gets on: a window that is full of what an unsettled event holds back must leave room
/// under the bound on what a crash can repeat, or that event could never be sent.
fn workable(mut limits: Limits) -> Limits {
    limits.in_flight_max = limits.in_flight_max.max(1);
    limits.lane_in_flight_max = limits.lane_in_flight_max.max(1);
    limits.window = limits.window.max(2);
    limits.undurable_max = limits.undurable_max.max(2 * (limits.window + usize::from(limits.lane_in_flight_max)));
    limits.retries_max = limits.retries_max.max(1);
    limits.uncommitted_max = limits.uncommitted_max.max(2 * limits.in_flight_max);
    limits.expired_max = limits.expired_max.max(1);
    limits.reads_max = limits.reads_max.max(1);
    limits
}
