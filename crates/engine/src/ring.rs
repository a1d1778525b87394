//! The newest events of a partition, in bounded memory.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tidings_event::{Digest, Position, Recorded, Sequence, TenantNo, Version, cloudevents};

/// An event of the log as readers share it: its native JSON is rendered once, by whoever needs it first.
#[derive(Debug)]
pub struct FeedEvent {
    /// The event.
    pub recorded: Recorded,
    /// The version that `version` and `data` were converted from, for a consumer that is pinned to another one.
    pub converted_from: Option<Version>,
    native: OnceLock<Bytes>,
}

impl FeedEvent {
    /// Wraps an event of the log.
    #[must_use]
    pub fn new(recorded: Recorded) -> Self {
        Self { recorded, converted_from: None, native: OnceLock::new() }
    }

    /// Wraps an event of the log whose version and data were converted from another version.
    #[must_use]
    pub fn converted(recorded: Recorded, from: Version) -> Self {
        Self { recorded, converted_from: Some(from), native: OnceLock::new() }
    }

    /// The native JSON envelope, `sequence` and `recorded_at` included.
    pub fn native(&self) -> &Bytes {
        self.native.get_or_init(|| {
            Bytes::from(match &self.converted_from {
                None => self.recorded.to_json(),
                Some(from) => self.recorded.to_json_converted(from),
            })
        })
    }

    /// Appends the event as a CloudEvent in structured mode.
    pub fn write_cloudevent(&self, out: &mut Vec<u8>) {
        match &self.converted_from {
            None => cloudevents::write_structured(&self.recorded, out),
            Some(from) => cloudevents::write_converted(&self.recorded, from, out),
        }
    }

    /// The headers of the event as a CloudEvent in binary mode; its body is the event's data.
    #[must_use]
    pub fn cloudevent_headers(&self) -> Vec<(String, String)> {
        match &self.converted_from {
            None => cloudevents::binary_headers(&self.recorded),
            Some(from) => cloudevents::binary_headers_converted(&self.recorded, from),
        }
    }

    /// What it takes in memory, its rendered form included, about.
    pub(crate) fn weight(&self) -> usize {
        2 * self.recorded.event.data.as_bytes().len() + 1_500
    }
}

/// Bytes that rings borrow and give back at once.
const LOAN: usize = 256 * 1024;

/// Memory that rings of busy partitions borrow beyond their own.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    free: AtomicUsize,
}

impl Pool {
    pub(crate) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self { free: AtomicUsize::new(bytes) })
    }

    fn borrow(&self) -> bool {
        self.free.fetch_update(Ordering::AcqRel, Ordering::Acquire, |free| free.checked_sub(LOAN)).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.free.fetch_add(bytes, Ordering::AcqRel);
    }
}

/// A contiguous piece of a partition that ends at its newest known position, in order of position and by tenant: since
/// neither positions nor sequences have gaps, a reader's place is found by subtraction.
pub(crate) struct Ring {
    end: Position,
    /// What the log says at the end, where that is known: what it may be compared by later.
    proof: Option<Digest>,
    /// All of it, in order of position.
    order: VecDeque<Arc<FeedEvent>>,
    tenants: HashMap<TenantNo, VecDeque<Arc<FeedEvent>>>,
    bytes: usize,
    bytes_max: usize,
    /// What it has borrowed beyond that.
    lent: usize,
    pool: Arc<Pool>,
}

impl Ring {
    /// An empty ring of a partition whose last known position is `end`. It has room for `bytes_max` and for what it can
    /// borrow from the pool.
    pub(crate) fn new(end: Position, bytes_max: usize, pool: Arc<Pool>) -> Self {
        let (order, tenants) = (VecDeque::new(), HashMap::new());
        Self { end, proof: None, order, tenants, bytes: 0, bytes_max, lent: 0, pool }
    }

    /// Forgets all events and goes on after `end`.
    pub(crate) fn clear(&mut self, end: Position) {
        let proof = self.proof.filter(|_| end == self.end);
        self.restart(end);
        self.proof = proof;
    }

    /// The same where even of the end nothing is known any more.
    pub(crate) fn restart(&mut self, end: Position) {
        *self = Self::new(end, self.bytes_max, self.pool.clone());
    }

    /// Takes note of what the log says at the end.
    pub(crate) fn learn(&mut self, proof: Digest) {
        self.proof = Some(proof);
    }

    /// Whether another event is known at the place of this one.
    pub(crate) fn contradicts(&self, event: &Recorded) -> bool {
        let Some(back) = self.end.get().checked_sub(event.position.get()) else { return false };
        let known = match back {
            0 => self.proof,
            _ => usize::try_from(back)
                .ok()
                .and_then(|back| self.order.len().checked_sub(back + 1))
                .and_then(|at| self.order.get(at))
                .map(|known| known.recorded.digest),
        };
        known.is_some_and(|known| known != event.digest)
    }

    /// Gives back what it has borrowed, and forgets what has no room without that.
    pub(crate) fn give_back(&mut self) {
        while self.bytes > self.bytes_max {
            self.evict();
        }
        self.pool.give_back(std::mem::take(&mut self.lent));
    }

    /// Whether it holds anything at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Whether it has borrowed anything.
    pub(crate) fn has_borrowed(&self) -> bool {
        self.lent > 0
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
        self.proof = Some(event.recorded.digest);
        let weight = event.weight();
        let tenant = event.recorded.tenant_no;
        self.bytes += weight;
        self.order.push_back(event.clone());
        let own = self.tenants.entry(tenant).or_default();
        // A tenant that was elsewhere in between: what it had here before does not lead up to what comes now.
        if own.back().is_some_and(|last| last.recorded.sequence.next() != event.recorded.sequence) {
            own.clear();
        }
        own.push_back(event);
        while self.bytes > self.bytes_max + self.lent {
            if self.pool.borrow() {
                self.lent += LOAN;
            } else {
                self.evict();
            }
        }
    }

    fn evict(&mut self) {
        let Some(oldest) = self.order.pop_front() else { return };
        self.bytes -= oldest.weight();
        let tenant = oldest.recorded.tenant_no;
        // The partition's oldest event is also the oldest of its tenant, unless that was elsewhere in between.
        if let Some(events) = self.tenants.get_mut(&tenant) {
            events.pop_front_if(|first| Arc::ptr_eq(first, &oldest));
            if events.is_empty() {
                self.tenants.remove(&tenant);
            }
        }
    }

    /// Up to `limit` events of all tenants that follow a position, in order; none when the ring does not hold the very
    /// next.
    pub(crate) fn after(&self, position: Position, limit: usize) -> Vec<Arc<FeedEvent>> {
        let before_first = self.end.get() - self.order.len() as u64;
        let Some(skip) = position.get().checked_sub(before_first) else { return Vec::new() };
        let Ok(skip) = usize::try_from(skip) else { return Vec::new() };
        if skip >= self.order.len() {
            return Vec::new();
        }
        let end = self.order.len().min(skip.saturating_add(limit));
        self.order.range(skip..end).cloned().collect()
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

impl Drop for Ring {
    fn drop(&mut self) {
        self.pool.give_back(self.lent);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;
    use tidings_event::{
        Data, Digest, Event, EventId, EventType, Metadata, PartitionId, Salt, Source, SourceKind, TenantId, Text,
        Timestamp, Version,
    };

    use super::*;

    pub(crate) fn event(position: u64, tenant: i64, sequence: u64, data_bytes: usize) -> Arc<FeedEvent> {
        let text = Text::trusted("x");
        let event = Event {
            id: EventId::trusted(position.to_string()),
            event_type: EventType::trusted("a.b"),
            version: Version::first(),
            timestamp: Timestamp::from_micros(0),
            tenant: TenantId::trusted(tenant.to_string()),
            project: None,
            source: Source { kind: SourceKind::Service, id: text.clone() },
            entity: None,
            actor: None,
            data: Data::trusted(vec![b' '; data_bytes]),
            metadata: Metadata { correlation_id: text, causation_id: None, context: None, traceparent: None },
        };
        Arc::new(FeedEvent::new(Recorded {
            event,
            tenant_no: TenantNo(tenant),
            partition: PartitionId(0),
            position: Position(position),
            sequence: Sequence(sequence),
            recorded_at: Timestamp::from_micros(0),
            salt: Salt([0; 16]),
            digest: Digest([0; 32]),
        }))
    }

    proptest! {
        /// Whatever goes in and however little room there is: a read returns exactly what follows, or nothing.
        #[test]
        fn a_read_returns_what_follows_or_nothing(
            tenants in prop::collection::vec((0..3_i64, 0..2_000_usize), 1..80),
            bytes_max in 0..60_000_usize,
            limit in 1..10_usize,
        ) {
            let mut ring = Ring::new(Position(0), bytes_max, Pool::new(0));
            let mut heads = [0_u64; 3];
            for (position, (tenant, bytes)) in (1..).zip(&tenants) {
                heads[*tenant as usize] += 1;
                ring.push(event(position, *tenant, heads[*tenant as usize], *bytes));
                prop_assert!(ring.bytes <= bytes_max);
                prop_assert_eq!(ring.end(), Position(position));
            }
            let (end, held) = (tenants.len() as u64, ring.order.len() as u64);
            for after in 0..=end {
                let read: Vec<u64> = ring
                    .after(Position(after), limit)
                    .iter()
                    .map(|event| event.recorded.position.get())
                    .collect();
                let expected: Vec<u64> = (after + 1..=end).take(limit).collect();
                prop_assert!(read.is_empty() || read == expected, "{:?} after {}", read, after);
                prop_assert_eq!(read.is_empty(), after == end || after < end - held);
            }
            for tenant in 0..3_i64 {
                let head = heads[tenant as usize];
                for after in 0..=head {
                    let read: Vec<u64> = ring
                        .read(TenantNo(tenant), Sequence(after), limit)
                        .iter()
                        .map(|event| event.recorded.sequence.get())
                        .collect();
                    let expected: Vec<u64> = (after + 1..=head).take(limit).collect();
                    prop_assert!(read.is_empty() || read == expected, "{:?} after {}", read, after);
                    let held = ring.tenants.get(&TenantNo(tenant)).map_or(0, VecDeque::len) as u64;
                    prop_assert_eq!(read.is_empty(), after == head || after < head - held);
                }
                prop_assert!(ring.last(TenantNo(tenant)).is_none_or(|last| last == Sequence(head)));
            }
        }
    }

    #[test]
    fn only_the_very_next_position_is_taken() {
        let mut ring = Ring::new(Position(4), 1 << 20, Pool::new(0));
        ring.push(event(4, 0, 1, 0));
        ring.push(event(6, 0, 3, 0));
        assert_eq!((ring.end(), ring.last(TenantNo(0))), (Position(4), None));
        ring.push(event(5, 0, 2, 0));
        ring.push(event(6, 0, 3, 0));
        assert_eq!((ring.end(), ring.last(TenantNo(0))), (Position(6), Some(Sequence(3))));
    }

    #[test]
    fn another_event_at_the_same_place_is_noticed_as_far_as_events_are_held_and_at_the_end() {
        let said = |position: u64, digest: u8| {
            let one = event(position, 0, position, 0);
            Recorded { digest: Digest([digest; 32]), ..one.recorded.clone() }
        };
        let mut ring = Ring::new(Position(4), 1 << 20, Pool::new(0));
        assert!(!ring.contradicts(&said(4, 9)), "nothing is known of it");
        for position in 5..=7 {
            ring.push(event(position, 0, position, 0));
        }
        for position in 5..=7 {
            assert!(ring.contradicts(&said(position, 9)) && !ring.contradicts(&said(position, 0)));
        }
        assert!(!ring.contradicts(&said(4, 9)) && !ring.contradicts(&said(8, 9)));
        ring.clear(Position(7));
        assert!(ring.contradicts(&said(7, 9)) && !ring.contradicts(&said(6, 9)));
        ring.clear(Position(6));
        assert!(!ring.contradicts(&said(6, 9)));
    }

    #[test]
    fn a_busy_ring_borrows_what_others_do_not_use_and_gives_it_back() {
        let pool = Pool::new(LOAN + LOAN / 2);
        let mut busy = Ring::new(Position(0), LOAN, pool.clone());
        for position in 1..=1_000 {
            busy.push(event(position, 0, position, 1_000));
            assert!(busy.bytes <= 2 * LOAN, "its own and one loan");
        }
        assert!(busy.bytes > LOAN && busy.has_borrowed());
        let mut other = Ring::new(Position(0), LOAN, pool.clone());
        for position in 1..=1_000 {
            other.push(event(position, 0, position, 1_000));
        }
        assert!(other.bytes <= LOAN, "nothing is left to borrow");
        busy.give_back();
        assert!(busy.bytes <= LOAN && !busy.has_borrowed());
        assert!(!busy.after(Position(999), 1).is_empty(), "the newest stays");
        for position in 1_001..=2_000 {
            other.push(event(position, 0, position, 1_000));
        }
        assert!(other.has_borrowed());
        drop(other);
        assert_eq!(pool.free.load(Ordering::SeqCst), LOAN + LOAN / 2);
    }

    #[test]
    fn a_tenant_that_was_elsewhere_in_between_is_read_without_a_gap() {
        let mut ring = Ring::new(Position(0), 1 << 20, Pool::new(0));
        for (position, sequence) in [(1, 1), (2, 2), (3, 3), (4, 8), (5, 9)] {
            ring.push(event(position, 1, sequence, 10));
        }
        let read = |after: u64| -> Vec<u64> {
            ring.read(TenantNo(1), Sequence(after), 10).iter().map(|one| one.recorded.sequence.get()).collect()
        };
        assert_eq!(read(7), [8, 9]);
        assert_eq!(read(8), [9]);
        assert!(read(2).is_empty() && read(3).is_empty(), "what lies between is not here");
        assert_eq!(ring.after(Position(2), 10).len(), 3, "along positions nothing is missing");
        let mut small = Ring::new(Position(0), 4_000, Pool::new(0));
        for position in 1..40 {
            small.push(event(position, 1, if position < 20 { position } else { position + 50 }, 10));
        }
        assert_eq!(small.last(TenantNo(1)), Some(Sequence(89)));
        assert_eq!(small.read(TenantNo(1), Sequence(88), 5).len(), 1);
    }
}
