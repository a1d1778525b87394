//! The newest events of a partition, in bounded memory.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tidings_event::{Position, Recorded, Sequence, TenantNo};

/// An event of the log as readers share it: its native JSON is rendered once, by whoever needs it first.
#[derive(Debug)]
pub struct FeedEvent {
    /// The event.
    pub recorded: Recorded,
    native: OnceLock<Bytes>,
}

impl FeedEvent {
    /// Wraps an event of the log.
    #[must_use]
    pub fn new(recorded: Recorded) -> Self {
        Self { recorded, native: OnceLock::new() }
    }

    /// The native JSON envelope, `sequence` and `recorded_at` included.
    pub fn native(&self) -> &Bytes {
        self.native.get_or_init(|| Bytes::from(self.recorded.to_json()))
    }

    /// What it takes in memory, its rendered form included, about.
    fn weight(&self) -> usize {
        2 * self.recorded.event.data.as_bytes().len() + 1_500
    }
}

/// A contiguous piece of a partition that ends at its newest known position. Indexed by tenant: since sequences have
/// no gaps, a reader's place is found by subtraction.
pub(crate) struct Ring {
    end: Position,
    order: VecDeque<(TenantNo, usize)>,
    tenants: HashMap<TenantNo, VecDeque<Arc<FeedEvent>>>,
    bytes: usize,
    bytes_max: usize,
}

impl Ring {
    /// An empty ring of a partition whose last known position is `end`.
    pub(crate) fn new(end: Position, bytes_max: usize) -> Self {
        Self { end, order: VecDeque::new(), tenants: HashMap::new(), bytes: 0, bytes_max }
    }

    /// Forgets everything and goes on after `end`.
    pub(crate) fn clear(&mut self, end: Position) {
        *self = Self::new(end, self.bytes_max);
    }

    /// The newest known position.
    pub(crate) fn end(&self) -> Position {
        self.end
    }

    /// Takes the event that follows the end; anything else is left out. Old events make room.
    pub(crate) fn push(&mut self, event: Arc<FeedEvent>) {
        if event.recorded.position != self.end.next() {
            return;
        }
        self.end = event.recorded.position;
        let weight = event.weight();
        let tenant = event.recorded.tenant_no;
        self.bytes += weight;
        self.order.push_back((tenant, weight));
        self.tenants.entry(tenant).or_default().push_back(event);
        while self.bytes > self.bytes_max {
            self.evict();
        }
    }

    fn evict(&mut self) {
        let Some((tenant, weight)) = self.order.pop_front() else { return };
        self.bytes -= weight;
        // The partition's oldest event is also the oldest of its tenant.
        if let Some(events) = self.tenants.get_mut(&tenant) {
            events.pop_front();
            if events.is_empty() {
                self.tenants.remove(&tenant);
            }
        }
    }

    /// The tenant's newest sequence, if the ring holds any of its events.
    pub(crate) fn last(&self, tenant: TenantNo) -> Option<Sequence> {
        Some(self.tenants.get(&tenant)?.back()?.recorded.sequence)
    }

    /// Up to `limit` of the tenant's events that follow a sequence; none when the ring does not hold the very next.
    pub(crate) fn read(&self, tenant: TenantNo, after: Sequence, limit: usize) -> Vec<Arc<FeedEvent>> {
        let Some(events) = self.tenants.get(&tenant) else { return Vec::new() };
        let first = events.front().map_or(Sequence(0), |event| event.recorded.sequence);
        let Some(skip) = after.next().get().checked_sub(first.get()) else { return Vec::new() };
        let Ok(skip) = usize::try_from(skip) else { return Vec::new() };
        if skip >= events.len() {
            return Vec::new();
        }
        let end = events.len().min(skip.saturating_add(limit));
        events.range(skip..end).cloned().collect()
    }
}
