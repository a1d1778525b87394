//! A store in memory, and the invariant that every commit must keep in it, judged by the log alone.

use std::collections::{BTreeMap, BTreeSet};

use tidings_event::delivery::{CircuitRow, CircuitState, DeadRow, DisableReason, LaneRow, RetryRow, RouteCommit};
use tidings_event::{EndpointNo, LaneNo, Position, Sequence, TenantNo, Timestamp};

use tidings_core::deliver::{Item, LaneSpec};

/// An event of the log.
#[derive(Debug, Clone, Copy)]
pub struct Logged {
    pub position: u64,
    pub sequence: u64,
    pub tenant: i64,
    pub entity: Option<u8>,
    /// What filters look at.
    pub kind: u8,
    pub recorded_at: Timestamp,
}

impl Logged {
    pub fn item(&self) -> Item<u64> {
        Item {
            sequence: Sequence(self.sequence),
            position: Position(self.position),
            recorded_at: self.recorded_at,
            key: self.entity.map(|entity| u64::from(entity) * 1_000),
            system: false,
            payload: self.position,
        }
    }
}

/// A subscription as it is stored.
#[derive(Debug, Clone)]
pub struct Subscribed {
    pub spec: LaneSpec,
    /// Holds for sequences above, up to `end`.
    pub after: u64,
    pub end: Option<u64>,
    /// From which sequence on which kinds are wanted, as a bit mask.
    pub selections: Vec<(u64, u8)>,
    pub deleted: bool,
    pub done: bool,
}

impl Subscribed {
    pub fn wants(&self, event: &Logged) -> bool {
        let mask = self.selections.iter().rev().find(|(after, _)| event.sequence > *after).map_or(0, |(_, mask)| *mask);
        event.tenant == self.spec.tenant.0
            && event.sequence > self.after
            && self.end.is_none_or(|end| event.sequence <= end)
            && mask & (1 << (event.kind % 4)) != 0
    }
}

/// What is durable, and what the endpoints got.
#[derive(Debug, Default)]
pub struct Store {
    pub log: Vec<Logged>,
    /// Each tenant's events in the log, by index.
    tenants: BTreeMap<i64, Vec<usize>>,
    pub subscribed: BTreeMap<LaneNo, Subscribed>,
    pub checkpoint: u64,
    pub rows: BTreeMap<LaneNo, LaneRow>,
    pub retries: BTreeMap<(LaneNo, Sequence), RetryRow>,
    pub circuits: BTreeMap<LaneNo, CircuitRow>,
    pub dead: BTreeMap<(EndpointNo, Sequence), DeadRow>,
    pub redrives: BTreeSet<(EndpointNo, Sequence)>,
    /// Events that were ever given up, by lane.
    pub ever_dead: BTreeSet<(LaneNo, u64)>,
    /// How often each event was delivered, by lane.
    pub delivered: BTreeMap<(LaneNo, u64), u32>,
    pub rows_written: u64,
}

impl Store {
    pub fn append(&mut self, tenant: i64, entity: Option<u8>, kind: u8, now: Timestamp) {
        let indexes = self.tenants.entry(tenant).or_default();
        indexes.push(self.log.len());
        let sequence = indexes.len() as u64;
        let recorded_at = self.log.last().map_or(now, |last| last.recorded_at.max(now));
        let position = self.log.len() as u64 + 1;
        self.log.push(Logged { position, sequence, tenant, entity, kind, recorded_at });
    }

    fn indexes(&self, tenant: i64) -> &[usize] {
        self.tenants.get(&tenant).map_or(&[], Vec::as_slice)
    }

    pub fn head(&self, tenant: i64) -> u64 {
        self.indexes(tenant).len() as u64
    }

    pub fn of_tenant(&self, tenant: i64) -> impl Iterator<Item = &Logged> {
        self.after(tenant, 0)
    }

    pub fn after(&self, tenant: i64, sequence: u64) -> impl Iterator<Item = &Logged> {
        let from = (sequence as usize).min(self.indexes(tenant).len());
        self.indexes(tenant)[from..].iter().map(|index| &self.log[*index])
    }

    /// The lanes that want an event, as an index would find them.
    pub fn matches(&self, event: &Logged) -> Vec<LaneNo> {
        let own = self.subscribed.values().filter(|sub| sub.spec.lane.endpoint().is_some() && !sub.deleted);
        own.filter(|sub| sub.wants(event)).map(|sub| sub.spec.lane).collect()
    }

    /// Writes a commit. Returns the endpoints that it disabled.
    pub fn apply(&mut self, commit: &RouteCommit) -> Vec<(EndpointNo, DisableReason)> {
        assert!(
            commit.checkpoint.0 >= self.checkpoint,
            "the checkpoint falls: {} to {}",
            self.checkpoint,
            commit.checkpoint
        );
        self.checkpoint = commit.checkpoint.0;
        for row in &commit.lanes {
            if let Some(before) = self.rows.insert(row.lane, *row) {
                assert!(row.settled >= before.settled, "a lane goes back: {before:?} to {row:?}");
            }
            self.rows_written += 1;
        }
        for lane in &commit.caught_up {
            self.rows.remove(lane);
        }
        for row in &commit.retries {
            self.retries.insert((row.lane, row.sequence), *row);
            self.rows_written += 1;
        }
        for key in &commit.settled {
            assert!(
                !commit.retries.iter().any(|row| (row.lane, row.sequence) == *key),
                "put and removed at once: {key:?}"
            );
            self.retries.remove(key);
        }
        for row in &commit.circuits {
            assert_ne!(row.state, CircuitState::Closed);
            self.circuits.insert(row.lane, *row);
        }
        for lane in &commit.closed {
            assert!(!commit.circuits.iter().any(|row| row.lane == *lane));
            self.circuits.remove(lane);
        }
        for key in &commit.redriven {
            self.redrives.remove(key);
        }
        for row in &commit.dead {
            self.dead.insert((row.endpoint, row.sequence), *row);
        }
        for progress in &commit.replays {
            if let Some(replay) = self.subscribed.get_mut(&LaneNo::from(progress.replay)) {
                replay.done |= progress.done;
            }
        }
        for lane in &commit.ended {
            self.rows.remove(lane);
            self.circuits.remove(lane);
            self.retries.retain(|(of, _), _| of != lane);
            self.redrives.retain(|(endpoint, _)| LaneNo::from(*endpoint) != *lane);
            self.dead.retain(|(endpoint, _), _| LaneNo::from(*endpoint) != *lane);
        }
        let mut disabled = Vec::new();
        for (endpoint, reason) in &commit.disabled {
            if self.subscribed.get(&LaneNo::from(*endpoint)).is_some_and(|sub| !sub.deleted && sub.spec.running) {
                disabled.push((*endpoint, *reason));
            }
        }
        disabled
    }

    fn is_settled(&self, sub: &Subscribed, event: &Logged) -> bool {
        let lane = sub.spec.lane;
        let sequence = Sequence(event.sequence);
        self.delivered.contains_key(&(lane, event.sequence))
            || self.ever_dead.contains(&(lane, event.sequence))
            || self.retries.contains_key(&(lane, sequence))
            || self.redrives.contains(&(sub.spec.endpoint, sequence))
    }

    /// Whether what is durable says that an event needs nothing more but what the retries hold.
    pub fn covers(&self, lane: LaneNo, event: &Logged) -> bool {
        match self.rows.get(&lane) {
            Some(row) => event.sequence <= row.settled.0,
            None => event.position <= self.checkpoint,
        }
    }

    /// The invariant: for each lane, everything that matched at or below its row, else at or below the checkpoint, is
    /// delivered, given up, or in the retries.
    pub fn check(&self) {
        for sub in self.subscribed.values().filter(|sub| !sub.deleted && !sub.done) {
            let lane = sub.spec.lane;
            assert!(sub.end.is_none() || self.rows.contains_key(&lane), "a replay has no row: {lane:?}");
            for event in self.of_tenant(sub.spec.tenant.0) {
                let lost = sub.wants(event) && self.covers(lane, event) && !self.is_settled(sub, event);
                assert!(
                    !lost,
                    "lost: lane {lane:?} {event:?}, row {:?}, checkpoint {}",
                    self.rows.get(&lane),
                    self.checkpoint
                );
            }
        }
        for lane in self.rows.keys().chain(self.circuits.keys()).chain(self.retries.keys().map(|(lane, _)| lane)) {
            assert!(self.subscribed.contains_key(lane), "a row of no lane: {lane:?}");
        }
    }

    /// How many of these events of one lane a router that began now would deliver once more.
    pub fn would_repeat(&self, sub: &Subscribed, delivered: &BTreeSet<u64>) -> usize {
        let lane = sub.spec.lane;
        let again = |event: &&Logged| {
            let known = self.retries.contains_key(&(lane, Sequence(event.sequence)));
            sub.wants(event) && delivered.contains(&event.sequence) && (known || !self.covers(lane, event))
        };
        self.of_tenant(sub.spec.tenant.0).filter(again).count()
    }

    pub fn subscribe(&mut self, sub: Subscribed, begins_below_head: bool) {
        let lane = sub.spec.lane;
        if begins_below_head {
            let tenant = TenantNo(sub.spec.tenant.0);
            self.rows.insert(lane, LaneRow { lane, tenant, settled: Sequence(sub.after) });
        }
        self.subscribed.insert(lane, sub);
    }
}
