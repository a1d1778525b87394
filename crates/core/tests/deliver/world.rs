//! A router, a store that can be slow or lose track of a commit, endpoints with moods, and a process that can die at
//! any moment.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use tidings_core::deliver::{Answer, Census, LaneSpec, Limits, Ordering, Read, ReadDone, Router, Schedule, Send};
use tidings_event::delivery::{AttemptResult, CircuitRow, CircuitState, DeadReason, Failure, RouteCommit};
use tidings_event::{EndpointNo, Epoch, LaneNo, PartitionId, Position, ReplayNo, Sequence, TenantNo, Timestamp};

use crate::store::{Logged, Store, Subscribed};

/// How an attempt ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Ok,
    Refused,
    Error,
    Throttled(u32),
    Gone,
    Timeout,
}

impl Ending {
    pub fn result(self) -> AttemptResult {
        match self {
            Self::Ok => AttemptResult::Status(200),
            Self::Refused => AttemptResult::Failed(Failure::Refused),
            Self::Error => AttemptResult::Status(500),
            Self::Throttled(_) => AttemptResult::Status(429),
            Self::Gone => AttemptResult::Status(410),
            Self::Timeout => AttemptResult::Failed(Failure::Timeout),
        }
    }
}

enum Writing {
    Nothing,
    Made(Box<RouteCommit>),
    /// Durable, and the router does not know it yet.
    Written,
}

/// What one life of the router did with one lane.
#[derive(Default)]
struct Life {
    delivered: BTreeSet<u64>,
    /// The last that was delivered of each key.
    last: BTreeMap<Option<u8>, u64>,
}

pub struct World {
    pub store: Store,
    pub router: Router<u64>,
    pub limits: Limits,
    pub now: Timestamp,
    pub in_flight: Vec<Send<u64>>,
    pub reads: Vec<Read>,
    /// The heads when the reads began.
    heads: BTreeMap<LaneNo, u64>,
    writing: Writing,
    /// Lanes that were changed in the store and not yet in the router, in order.
    changes: Vec<LaneNo>,
    epoch: u64,
    routed: u64,
    lives: BTreeMap<LaneNo, Life>,
    /// Events above are ordered as the lane says now; those below may have been taken in under another order.
    ordered_after: BTreeMap<LaneNo, u64>,
    /// The ordering and the state that the router was told of each lane.
    known: BTreeMap<LaneNo, (Ordering, bool)>,
    /// Events that were ever sent.
    sent: BTreeSet<(LaneNo, u64)>,
    /// Events that were redriven: they come out of order, and may come again.
    redriven: BTreeSet<(LaneNo, u64)>,
    /// Events that must be given up in the next commit, since one that is ordered behind them was delivered.
    claims: Vec<(LaneNo, u64)>,
    next_lane: i64,
    pub deliveries: u64,
    pub repeats: u64,
    pub crashes: u64,
    pub commits: u64,
    pub sends: u64,
    pub dead: u64,
}

pub fn micros(duration: Duration) -> i64 {
    duration.as_micros() as i64
}

impl World {
    pub fn new(mut limits: Limits) -> Self {
        // As the router does.
        let least = 2 * (limits.window + usize::from(limits.lane_in_flight_max));
        limits.undurable_max = limits.undurable_max.max(least);
        let now = Timestamp::from_micros(1_000_000_000_000_000);
        let store = Store::default();
        let router = Router::new(PartitionId(0), Epoch(1), Position(0), vec![], vec![], vec![], limits.clone(), now);
        Self {
            store,
            router,
            limits,
            now,
            in_flight: Vec::new(),
            reads: Vec::new(),
            heads: BTreeMap::new(),
            writing: Writing::Nothing,
            changes: Vec::new(),
            epoch: 1,
            routed: 0,
            lives: BTreeMap::new(),
            ordered_after: BTreeMap::new(),
            known: BTreeMap::new(),
            sent: BTreeSet::new(),
            redriven: BTreeSet::new(),
            claims: Vec::new(),
            next_lane: 1,
            deliveries: 0,
            repeats: 0,
            crashes: 0,
            commits: 0,
            sends: 0,
            dead: 0,
        }
    }

    pub fn pass_time(&mut self, micros: i64) {
        self.now = Timestamp::from_micros(self.now.as_micros() + micros);
    }

    pub fn append(&mut self, tenant: i64, entity: Option<u8>, kind: u8) {
        self.store.append(tenant, entity, kind, self.now);
    }

    /// A new endpoint that wants what comes after a sequence.
    pub fn create(
        &mut self,
        tenant: i64,
        ordering: Ordering,
        schedule: Vec<u32>,
        after: Option<u64>,
        mask: u8,
    ) -> LaneNo {
        let lane = LaneNo(self.next_lane);
        self.next_lane += 1;
        let head = self.store.head(tenant);
        let after = after.map_or(head, |after| after.min(head));
        let spec = LaneSpec {
            lane,
            endpoint: EndpointNo(lane.0),
            tenant: TenantNo(tenant),
            ordering,
            schedule: Schedule::new(schedule).unwrap(),
            rate_per_s: None,
            running: true,
            end: None,
            begin: Some(Sequence(after)),
        };
        let selections = vec![(after, mask)];
        let sub = Subscribed { spec, after, end: None, selections, deleted: false, done: false };
        self.store.subscribe(sub, after < head);
        self.changes.push(lane);
        lane
    }

    pub fn replay(&mut self, endpoint: LaneNo, after: u64, upto: u64, mask: u8) -> LaneNo {
        let no = ReplayNo(self.next_lane);
        self.next_lane += 1;
        let of = self.store.subscribed[&endpoint].spec.clone();
        let lane = LaneNo::from(no);
        let spec = LaneSpec { lane, end: Some(Sequence(upto)), begin: Some(Sequence(after)), ..of };
        let selections = vec![(after, mask)];
        let sub = Subscribed { spec, after, end: Some(upto), selections, deleted: false, done: false };
        self.store.subscribe(sub, true);
        self.changes.push(lane);
        lane
    }

    /// Changes an endpoint in the store; the router hears of it later.
    pub fn change(&mut self, lane: LaneNo, change: impl FnOnce(&mut Subscribed)) {
        if let Some(sub) = self.store.subscribed.get_mut(&lane).filter(|sub| !sub.deleted && !sub.done) {
            change(sub);
            self.changes.push(lane);
        }
    }

    pub fn own_lanes(&self) -> Vec<LaneNo> {
        let own = self.store.subscribed.values().filter(|sub| !sub.deleted && sub.end.is_none());
        own.map(|sub| sub.spec.lane).collect()
    }

    pub fn replays(&self) -> Vec<LaneNo> {
        let running = self.store.subscribed.values().filter(|sub| !sub.deleted && !sub.done && sub.end.is_some());
        running.map(|sub| sub.spec.lane).collect()
    }

    /// Brings the router's configuration up to the store's.
    pub fn sync(&mut self) {
        for lane in std::mem::take(&mut self.changes) {
            let sub = self.store.subscribed[&lane].clone();
            if sub.deleted {
                self.forget(lane);
            } else if !sub.done {
                self.configure(&sub, true);
            }
        }
        for (endpoint, sequence) in self.store.redrives.clone() {
            if self.router.room_for_redrives(endpoint) > 0 {
                self.redriven.insert((LaneNo::from(endpoint), sequence.0));
                self.router.redrive(endpoint, sequence, self.now);
            }
        }
    }

    fn configure(&mut self, sub: &Subscribed, late: bool) {
        let lane = sub.spec.lane;
        let mut spec = sub.spec.clone();
        if !late && sub.end.is_none() {
            spec.begin = None;
        }
        let head = self.store.head(spec.tenant.0);
        if self.known.get(&lane).is_none_or(|(ordering, _)| *ordering != spec.ordering) {
            let is_new = !self.known.contains_key(&lane);
            self.ordered_after.insert(lane, if is_new { sub.after } else { head });
        }
        self.known.insert(lane, (spec.ordering, spec.running));
        self.router.configure(spec, self.now);
    }

    fn forget(&mut self, lane: LaneNo) {
        self.router.remove(lane);
        self.reads.retain(|read| read.lane != lane);
        let (late, rest) = std::mem::take(&mut self.in_flight).into_iter().partition(|send| send.lane == lane);
        self.in_flight = rest;
        for send in late {
            let ignored = answer_of(Ending::Ok, Duration::ZERO, self.now);
            self.router.answered(send.lane, send.sequence, send.attempt, ignored, 0, self.now);
        }
    }

    /// Routes up to so many events.
    pub fn route(&mut self, most: usize) {
        self.sync();
        for _ in 0..most {
            let Some(event) = self.store.log.get(self.routed as usize).copied() else { break };
            let lanes = self.store.matches(&event);
            self.router.offer(&event.item(), TenantNo(event.tenant), &lanes, self.now);
            self.routed += 1;
        }
        self.router.advance(Position(self.routed));
    }

    /// Takes what is to be sent, up to so many.
    pub fn send(&mut self, most: usize) -> usize {
        for count in 0..most {
            let Some(send) = self.router.next_send(self.now) else { return count };
            trace(|| {
                format!("{} send {} {} a{} p{:?}", self.now, send.lane.0, send.sequence, send.attempt, send.payload)
            });
            self.check_send(&send);
            self.in_flight.push(send);
            self.sends += 1;
        }
        most
    }

    fn event(&self, lane: LaneNo, sequence: u64) -> Logged {
        let tenant = self.store.subscribed[&lane].spec.tenant.0;
        *self.store.after(tenant, sequence - 1).next().unwrap()
    }

    fn key(&self, lane: LaneNo, event: &Logged) -> Option<Option<u8>> {
        match self.known[&lane].0 {
            Ordering::None => None,
            Ordering::Entity => event.entity.map(Some),
            Ordering::Strict => Some(None),
        }
    }

    fn check_send(&mut self, send: &Send<u64>) {
        let lane = send.lane;
        let event = self.event(lane, send.sequence.0);
        let sub = &self.store.subscribed[&lane];
        let wanted = sub.wants(&event) || self.redriven.contains(&(lane, event.sequence));
        assert!(wanted, "sent what was not wanted: {send:?}");
        assert!(send.payload.is_none_or(|payload| payload == event.position), "{send:?} is not {event:?}");
        assert!(self.known[&lane].1, "sent while paused: {send:?}");
        assert!(send.previous.is_none_or(|previous| previous < send.sequence), "{send:?}");
        let (key, after) = (self.key(lane, &event), self.ordered_after[&lane]);
        self.lives.entry(lane).or_default();
        self.sent.insert((lane, send.sequence.0));
        if self.known[&lane].0 == Ordering::Strict {
            let others = self.in_flight.iter().filter(|other| other.lane == lane && other.sequence.0 > after);
            assert_eq!(others.count(), 0, "two at once in a strict lane: {send:?}");
        }
        for other in self.in_flight.iter().filter(|other| other.lane == lane) {
            assert_ne!(other.sequence, send.sequence, "sent twice at once");
            let one = key.is_some() && self.key(lane, &self.event(lane, other.sequence.0)) == key;
            let free =
                [other.sequence.0, event.sequence].iter().any(|n| *n <= after || self.redriven.contains(&(lane, *n)));
            assert!(!one || free, "two of one key at once: {send:?}, {other:?}");
        }
    }

    pub fn answer(&mut self, index: usize, ending: Ending, took: Duration, dice: u64) {
        let send = self.in_flight.remove(index);
        if ending == Ending::Ok {
            self.note_delivery(&send);
        }
        let answer = answer_of(ending, took, self.now);
        trace(|| format!("{} answer {} {} {ending:?}", self.now, send.lane.0, send.sequence));
        self.router.answered(send.lane, send.sequence, send.attempt, answer, dice, self.now);
    }

    pub fn unsent(&mut self, index: usize, gone: bool) {
        let send = self.in_flight.remove(index);
        self.router.unsent(send.lane, send.sequence, send.attempt, gone, self.now);
    }

    fn note_delivery(&mut self, send: &Send<u64>) {
        let (lane, sequence) = (send.lane, send.sequence.0);
        let event = self.event(lane, sequence);
        self.check_order(lane, &event);
        let before = self.store.delivered.entry((lane, sequence)).or_default();
        *before += 1;
        self.deliveries += 1;
        self.repeats += u64::from(*before > 1);
        let key = self.key(lane, &event);
        let life = self.lives.get_mut(&lane).unwrap();
        let is_new = life.delivered.insert(sequence);
        assert!(is_new || self.redriven.contains(&(lane, sequence)), "delivered twice without a crash: {send:?}");
        if let Some(key) = key
            && !self.redriven.contains(&(lane, sequence))
            && sequence > self.ordered_after[&lane]
        {
            let last = life.last.insert(key, sequence);
            assert!(last.is_none_or(|last| last < sequence), "out of order: {last:?} before {send:?}");
        }
    }

    /// No event reaches an endpoint before an older one that it is ordered behind.
    fn check_order(&mut self, lane: LaneNo, event: &Logged) {
        let Some(key) = self.key(lane, event) else { return };
        if self.redriven.contains(&(lane, event.sequence)) {
            return;
        }
        let sub = &self.store.subscribed[&lane];
        let after = self.ordered_after[&lane];
        for older in self.store.of_tenant(event.tenant) {
            if older.sequence >= event.sequence {
                break;
            }
            let ordered = older.sequence > after && sub.wants(older) && self.key(lane, older) == Some(key);
            let settled = self.store.delivered.contains_key(&(lane, older.sequence))
                || self.store.ever_dead.contains(&(lane, older.sequence))
                || matches!(&self.writing, Writing::Made(commit) if gives_up(commit, sub.spec.endpoint, older.sequence));
            if ordered && !settled {
                // Perhaps it was given up and no commit says so yet. Then the next one must.
                self.claims.push((lane, older.sequence));
            }
        }
    }

    pub fn begin_read(&mut self) -> bool {
        let Some(read) = self.router.next_read(self.now) else { return false };
        assert!(self.known[&read.lane].1, "reads while paused");
        self.heads.insert(read.lane, self.store.head(read.tenant.0));
        self.reads.push(read);
        true
    }

    /// Ends a read, of the log as it is now or, if `early`, as it was when the read began.
    pub fn end_read(&mut self, index: usize, fails: bool, piece: usize, early: bool) {
        self.sync();
        // Its lane may be gone by now.
        if index >= self.reads.len() {
            return;
        }
        let read = self.reads.swap_remove(index);
        if fails {
            return self.router.read(read.lane, None, self.now);
        }
        let sub = &self.store.subscribed[&read.lane];
        let head = if early { self.heads[&read.lane] } else { self.store.head(read.tenant.0) };
        let mut done = ReadDone { items: Vec::new(), upto: read.after, at_head: false };
        for event in self.store.after(read.tenant.0, read.after.0).take(piece.max(1)) {
            let beyond = event.sequence > head || read.upto.is_some_and(|upto| event.sequence > upto.0);
            if beyond || done.items.len() >= read.limit {
                break;
            }
            if sub.wants(event) {
                done.items.push(event.item());
            }
            done.upto = Sequence(event.sequence);
        }
        done.at_head = done.upto.0 == head;
        self.router.read(read.lane, Some(done), self.now);
    }

    /// Makes a commit if there is one.
    pub fn begin_commit(&mut self) -> bool {
        if !matches!(self.writing, Writing::Nothing) {
            return false;
        }
        let Some((commit, _)) = self.router.commit(self.now) else { return false };
        self.note_dead(&commit);
        trace(|| format!("{} commit {commit:?}", self.now));
        self.writing = Writing::Made(Box::new(commit));
        true
    }

    fn note_dead(&mut self, commit: &RouteCommit) {
        let of = |lane: LaneNo| &self.store.subscribed[&lane].spec;
        for row in &commit.dead {
            let least = of(LaneNo::from(row.endpoint)).schedule.attempts();
            assert!(row.reason != DeadReason::Exhausted || row.attempts >= least, "given up too early: {row:?}");
            self.dead += 1;
        }
        for (lane, sequence) in std::mem::take(&mut self.claims) {
            let endpoint = of(lane).endpoint;
            assert!(
                gives_up(commit, endpoint, sequence) || self.store.subscribed[&lane].deleted,
                "{lane:?}: one overtook {sequence}"
            );
        }
    }

    /// The commit reaches the disk, perhaps twice.
    pub fn write_commit(&mut self, twice: bool) {
        let Writing::Made(commit) = std::mem::replace(&mut self.writing, Writing::Written) else {
            return;
        };
        let disabled = self.store.apply(&commit);
        if twice {
            self.store.apply(&commit);
        }
        self.commits += 1;
        for (lane, sub) in &self.store.subscribed {
            for row in commit.dead.iter().filter(|row| row.endpoint == sub.spec.endpoint) {
                self.store.ever_dead.insert((*lane, row.sequence.0));
            }
        }
        self.store.check();
        for (endpoint, _) in disabled {
            let all = self.store.subscribed.values().filter(|sub| sub.spec.endpoint == endpoint);
            for lane in all.map(|sub| sub.spec.lane).collect::<Vec<_>>() {
                self.change(lane, |sub| sub.spec.running = false);
            }
        }
    }

    /// The router hears that its commit is durable.
    pub fn end_commit(&mut self) {
        if matches!(self.writing, Writing::Written) {
            self.writing = Writing::Nothing;
            self.router.committed();
        }
    }

    /// The process dies and a new one takes over. `written`: a commit that was under way was durable all the same.
    /// `arrived`: which of the attempts under way reached their endpoint.
    pub fn crash(&mut self, written: bool, arrived: u64) {
        for (index, send) in std::mem::take(&mut self.in_flight).into_iter().enumerate() {
            if arrived >> (index % 64) & 1 == 1 {
                self.note_delivery(&send);
            }
        }
        if written {
            self.write_commit(false);
        }
        self.check_repeats();
        self.crashes += 1;
        trace(|| format!("crash {written}"));
        self.reads.clear();
        self.lives.clear();
        self.claims.clear();
        self.changes.clear();
        self.writing = Writing::Nothing;
        self.epoch += 1;
        self.routed = self.store.checkpoint;
        self.router = Router::new(
            PartitionId(0),
            Epoch(self.epoch),
            Position(self.store.checkpoint),
            self.store.rows.values().copied().collect(),
            self.store.retries.values().copied().collect(),
            self.store.circuits.values().copied().collect(),
            self.limits.clone(),
            self.now,
        );
        for sub in self.store.subscribed.values().cloned().collect::<Vec<_>>() {
            if !sub.deleted && !sub.done {
                self.configure(&sub, false);
            }
        }
        for lane in self.router.unconfigured() {
            assert!(self.store.subscribed[&lane].deleted, "{lane:?} was forgotten");
            self.router.remove(lane);
        }
    }

    /// What a crash now would repeat of what this life delivered stays within the bound.
    fn check_repeats(&self) {
        for (lane, life) in &self.lives {
            let sub = &self.store.subscribed[lane];
            if sub.deleted || sub.done {
                continue;
            }
            let repeats = self.store.would_repeat(sub, &life.delivered);
            assert!(repeats <= self.limits.undurable_max, "{lane:?} would repeat {repeats}");
        }
    }

    pub fn census(&self) -> Census {
        self.router.census()
    }

    /// What holds at any moment.
    pub fn check(&self) {
        assert_eq!(self.router.in_flight(), self.in_flight.len());
        assert!(self.in_flight.len() <= self.limits.in_flight_max);
        assert!(self.reads.len() <= self.limits.reads_max);
        let census = self.census();
        assert!(census.events_of_one_max <= self.limits.window, "{census:?}");
        // After a crash those that a restored retry is ordered behind may come on top.
        let retries_max = self.limits.retries_max + if self.crashes > 0 { self.limits.window } else { 0 };
        assert!(census.retries_of_one_max <= retries_max, "{census:?}");
        assert!(census.in_flight_of_one_max <= usize::from(self.limits.lane_in_flight_max), "{census:?}");
        assert!(census.undurable_of_one_max <= self.limits.undurable_max, "{census:?}");
    }

    /// Lets all endpoints be healthy and time pass until nothing is left to do.
    pub fn heal(&mut self) {
        self.end_commit();
        for round in 0.. {
            assert!(round < 200_000, "it never comes to rest: {:?}", self.census());
            let mut busy = self.run_all();
            self.route(usize::MAX);
            while self.begin_read() {
                busy = true;
            }
            while !self.reads.is_empty() {
                self.end_read(0, false, usize::MAX, false);
            }
            self.send(usize::MAX);
            busy |= !self.in_flight.is_empty();
            while !self.in_flight.is_empty() {
                self.answer(0, Ending::Ok, Duration::from_millis(1), round);
            }
            if self.router.commit_due(self.now) {
                busy |= self.begin_commit();
            }
            self.write_commit(false);
            self.end_commit();
            self.check();
            let lanes = self.own_lanes();
            self.store.redrives.retain(|(endpoint, _)| lanes.contains(&LaneNo::from(*endpoint)));
            if busy {
                self.pass_time(100);
                continue;
            }
            match self.router.wake_at() {
                Some(at) => self.now = self.now.max(at),
                None if self.store.redrives.is_empty() => break,
                None => {}
            }
        }
        self.check_all_is_settled();
    }

    /// Lets all lanes run; true if one did not.
    fn run_all(&mut self) -> bool {
        let all = self.own_lanes().into_iter().chain(self.replays());
        let stopped: Vec<LaneNo> = all.filter(|lane| !self.store.subscribed[lane].spec.running).collect();
        for lane in &stopped {
            self.change(*lane, |sub| sub.spec.running = true);
        }
        !stopped.is_empty()
    }

    fn check_all_is_settled(&self) {
        assert_eq!(self.store.checkpoint, self.store.log.len() as u64);
        for sub in self.store.subscribed.values().filter(|sub| !sub.deleted) {
            let lane = sub.spec.lane;
            for event in self.store.of_tenant(sub.spec.tenant.0).filter(|event| sub.wants(event)) {
                let key = (lane, event.sequence);
                let settled = self.store.delivered.contains_key(&key) || self.store.ever_dead.contains(&key);
                assert!(settled, "never settled: lane {lane:?}, {event:?}");
            }
            assert!(sub.end.is_none() || sub.done, "a replay never ended: {lane:?}");
        }
        assert!(self.store.rows.is_empty(), "rows of lanes that have caught up: {:?}", self.store.rows);
        assert!(self.store.retries.is_empty(), "{:?}", self.store.retries);
        // One that failed until nothing was left to probe with stays open.
        let open = |row: &CircuitRow| row.state == CircuitState::Open;
        assert!(self.store.circuits.values().all(open), "{:?}", self.store.circuits);
        assert_eq!(self.census().retries, 0);
    }
}

/// Prints what happens, where `TIDINGS_MODEL_TRACE` asks for it.
#[expect(clippy::disallowed_methods, clippy::print_stdout, reason = "it is asked for")]
fn trace(text: impl FnOnce() -> String) {
    if std::env::var_os("TIDINGS_MODEL_TRACE").is_some() {
        println!("{}", text());
    }
}

fn gives_up(commit: &RouteCommit, endpoint: EndpointNo, sequence: u64) -> bool {
    commit.dead.iter().any(|row| row.endpoint == endpoint && row.sequence.0 == sequence)
}

fn answer_of(ending: Ending, took: Duration, now: Timestamp) -> Answer {
    let retry_after = match ending {
        Ending::Throttled(seconds) => Some(Duration::from_secs(u64::from(seconds))),
        _ => None,
    };
    Answer { began: now, duration: took, result: ending.result(), retry_after, body: Bytes::new() }
}
