//! How much a tenant may send: quotas, and the buckets that hold to them.
//!
//! A quota is so much a second, and so much at once. Its bucket begins full with what may come at once, is filled
//! evenly, and never holds more than that. All of it is counted in whole numbers, so that nothing is lost to rounding
//! however often a bucket is asked.
//!
//! What is larger than the bucket passes when the bucket is full, and leaves a debt that is paid before anything else
//! passes: a quota bounds how much comes in over time, and does not forbid what can only be sent whole. So within any
//! time `t` what passes is at most `t` times the rate plus what may come at once (or plus one request, where that is
//! larger), and whoever waits as long as it was told, passes.
//!
//! Moments are durations since any start that is the same for all calls.

use std::num::NonZeroU64;
use std::time::Duration;

use crate::limits::{BYTES_BURST_MAX, BYTES_PER_S_MAX, EVENTS_BURST_MAX, EVENTS_PER_S_MAX};

const NANOS: i128 = 1_000_000_000;

/// So much a second, and so much at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    per_s: NonZeroU64,
    burst: u64,
}

impl Quota {
    /// So much a second, and at once at least what a second brings. `None` for a rate of zero, which stands for no quota.
    #[must_use]
    pub fn new(per_s: u64, burst: u64) -> Option<Self> {
        NonZeroU64::new(per_s).map(|per_s| Self { per_s, burst: burst.max(per_s.get()) })
    }

    /// How much a second.
    #[must_use]
    pub const fn per_s(self) -> u64 {
        self.per_s.get()
    }

    /// How much at once.
    #[must_use]
    pub const fn burst(self) -> u64 {
        self.burst
    }

    /// Seconds in which an empty bucket becomes full, rounded up.
    #[must_use]
    pub const fn window_s(self) -> u64 {
        self.burst.div_ceil(self.per_s.get())
    }
}

/// Numbers that describe a tenant's quotas. In a setting zero stands for no quota; where a tenant has none of its own
/// there is no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Numbers<T> {
    /// Events a second.
    pub events_per_s: T,
    /// Events at once.
    pub events_burst: T,
    /// Bytes a second.
    pub bytes_per_s: T,
    /// Bytes at once.
    pub bytes_burst: T,
}

/// What a tenant has of its own; the default holds where there is nothing.
pub type Own = Numbers<Option<u64>>;

/// What holds for a tenant.
pub type InForce = Numbers<u64>;

impl Own {
    /// What holds where `default` holds for all that is not said here. At once may always come what a second brings.
    #[must_use]
    pub fn over(&self, default: &InForce) -> InForce {
        let events_per_s = self.events_per_s.unwrap_or(default.events_per_s);
        let bytes_per_s = self.bytes_per_s.unwrap_or(default.bytes_per_s);
        Numbers {
            events_per_s,
            events_burst: burst(events_per_s, self.events_burst.unwrap_or(default.events_burst)),
            bytes_per_s,
            bytes_burst: burst(bytes_per_s, self.bytes_burst.unwrap_or(default.bytes_burst)),
        }
    }

    /// The first number that is larger than it may be: the member's name and its bound.
    #[must_use]
    pub fn too_large(&self) -> Option<(&'static str, u64)> {
        let bounds = [
            ("events_per_s", self.events_per_s, EVENTS_PER_S_MAX),
            ("events_burst", self.events_burst, EVENTS_BURST_MAX),
            ("bytes_per_s", self.bytes_per_s, BYTES_PER_S_MAX),
            ("bytes_burst", self.bytes_burst, BYTES_BURST_MAX),
        ];
        let over = bounds.into_iter().find(|(_, number, max)| number.is_some_and(|number| number > *max));
        over.map(|(name, _, max)| (name, max))
    }

    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn burst(per_s: u64, burst: u64) -> u64 {
    if per_s == 0 { 0 } else { burst.max(per_s) }
}

impl InForce {
    /// The quota of events, if there is one.
    #[must_use]
    pub fn events(&self) -> Option<Quota> {
        Quota::new(self.events_per_s, self.events_burst)
    }

    /// The quota of bytes, if there is one.
    #[must_use]
    pub fn bytes(&self) -> Option<Quota> {
        Quota::new(self.bytes_per_s, self.bytes_burst)
    }

    /// Whether there is no quota at all.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.events_per_s == 0 && self.bytes_per_s == 0
    }
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Events.
    pub events: u64,
    /// Bytes.
    pub bytes: u64,
}

/// How a bucket stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Its quota, whole.
    pub quota: Quota,
    /// How much of it would pass here now.
    pub left: u64,
    /// How long until the bucket is full if nothing passes.
    pub full_in: Duration,
}

/// A bucket: one sharer's part of a quota.
#[derive(Debug, Clone)]
struct Bucket {
    quota: Quota,
    /// How many share the quota; each has an equal part.
    sharers: u32,
    /// What is in it, in units of which one of what is counted has [`Self::unit`]; below zero it is a debt.
    level: i128,
    at: Duration,
}

impl Bucket {
    fn full(quota: Quota, sharers: u32, at: Duration) -> Self {
        let mut bucket = Self { quota, sharers: sharers.max(1), level: 0, at };
        bucket.level = bucket.capacity();
        bucket
    }

    /// A sharer gets `per_s / sharers` a second. Counted in these units that is `per_s` each nanosecond.
    fn unit(&self) -> i128 {
        NANOS * i128::from(self.sharers)
    }

    /// A part of what may come at once, but always room for one.
    fn capacity(&self) -> i128 {
        (i128::from(self.quota.burst) * NANOS).max(self.unit())
    }

    fn rate(&self) -> i128 {
        i128::from(self.quota.per_s.get())
    }

    fn fill(&mut self, now: Duration) {
        let passed = i128::try_from(now.saturating_sub(self.at).as_nanos()).unwrap_or(i128::MAX);
        self.level = self.level.saturating_add(passed.saturating_mul(self.rate())).min(self.capacity());
        self.at = self.at.max(now);
    }

    /// Follows a change of the quota or of those who share it. What is in the bucket stays, so that no change gives
    /// anybody anything at once.
    fn shape(&mut self, quota: Quota, sharers: u32, now: Duration) {
        let sharers = sharers.max(1);
        if (quota, sharers) == (self.quota, self.sharers) {
            return;
        }
        self.fill(now);
        let before = self.unit();
        (self.quota, self.sharers) = (quota, sharers);
        self.level = (self.level * self.unit()).div_euclid(before).min(self.capacity());
    }

    /// How long until so much passes; zero when it does now.
    fn wait(&self, amount: u64) -> Duration {
        let needed = (i128::from(amount) * self.unit()).min(self.capacity());
        self.time_to(needed)
    }

    fn time_to(&self, level: i128) -> Duration {
        let missing = (level - self.level).max(0);
        let nanos = missing / self.rate() + i128::from(missing % self.rate() != 0);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn take(&mut self, amount: u64) {
        self.level -= i128::from(amount) * self.unit();
    }

    fn room(&self) -> Room {
        let left = u64::try_from(self.level.max(0) / self.unit()).unwrap_or(u64::MAX);
        Room { quota: self.quota, left, full_in: self.time_to(self.capacity()) }
    }

    fn is_full(&self) -> bool {
        self.level >= self.capacity()
    }
}

/// How much of its quotas a tenant has used, at one of the places that hold to them.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    events: Option<Bucket>,
    bytes: Option<Bucket>,
}

impl Meter {
    /// Nothing used yet.
    #[must_use]
    pub fn new(limits: &InForce, sharers: u32, now: Duration) -> Self {
        let mut meter = Self::default();
        meter.shape(limits, sharers, now);
        meter
    }

    /// Follows what holds now, and by how many places it is shared.
    pub fn shape(&mut self, limits: &InForce, sharers: u32, now: Duration) {
        for (bucket, quota) in [(&mut self.events, limits.events()), (&mut self.bytes, limits.bytes())] {
            match (quota, bucket.as_mut()) {
                (Some(quota), Some(bucket)) => bucket.shape(quota, sharers, now),
                (Some(quota), None) => *bucket = Some(Bucket::full(quota, sharers, now)),
                (None, _) => *bucket = None,
            }
        }
    }

    fn fill(&mut self, now: Duration) {
        [&mut self.events, &mut self.bytes].into_iter().flatten().for_each(|bucket| bucket.fill(now));
    }

    /// How long until so much passes; zero when it does now.
    fn wait(&self, load: Load) -> Duration {
        let wait =
            |bucket: &Option<Bucket>, amount| bucket.as_ref().map_or(Duration::ZERO, |bucket| bucket.wait(amount));
        wait(&self.events, load.events).max(wait(&self.bytes, load.bytes))
    }

    fn take(&mut self, load: Load) {
        if let Some(bucket) = &mut self.events {
            bucket.take(load.events);
        }
        if let Some(bucket) = &mut self.bytes {
            bucket.take(load.bytes);
        }
    }

    /// How its buckets stand: of events, of bytes.
    pub fn rooms(&mut self, now: Duration) -> (Option<Room>, Option<Room>) {
        self.fill(now);
        (self.events.as_ref().map(Bucket::room), self.bytes.as_ref().map(Bucket::room))
    }

    /// Whether it tells nothing that a new one would not.
    pub fn is_unused(&mut self, now: Duration) -> bool {
        self.fill(now);
        [&self.events, &self.bytes].into_iter().flatten().all(Bucket::is_full)
    }

    /// Takes one load, or says how long until it passes and takes nothing.
    pub fn charge(&mut self, load: Load, now: Duration) -> Result<(), Duration> {
        charge(&mut [(self, load)], now)
    }
}

/// Takes from each meter its load, or says how long until all of them pass and takes nothing from any.
pub fn charge(loads: &mut [(&mut Meter, Load)], now: Duration) -> Result<(), Duration> {
    let mut wait = Duration::ZERO;
    for (meter, load) in &mut *loads {
        meter.fill(now);
        wait = wait.max(meter.wait(*load));
    }
    if wait > Duration::ZERO {
        return Err(wait);
    }
    loads.iter_mut().for_each(|(meter, load)| meter.take(*load));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(events_per_s: u64, events_burst: u64, bytes_per_s: u64, bytes_burst: u64) -> InForce {
        Numbers { events_per_s, events_burst, bytes_per_s, bytes_burst }
    }

    #[test]
    fn what_a_tenant_has_of_its_own_goes_before_the_default() {
        let default = numbers(100, 500, 0, 0);
        let check = |own: Own, expect: InForce| assert_eq!(own.over(&default), expect, "{own:?}");
        let own = Own::default();
        check(own, default);
        check(Own { events_per_s: Some(0), ..own }, numbers(0, 0, 0, 0));
        check(Own { events_per_s: Some(1_000), ..own }, numbers(1_000, 1_000, 0, 0));
        check(Own { events_per_s: Some(200), ..own }, numbers(200, 500, 0, 0));
        check(Own { events_burst: Some(7), ..own }, numbers(100, 100, 0, 0));
        check(Own { bytes_burst: Some(7), ..own }, default);
        check(Own { bytes_per_s: Some(10), bytes_burst: Some(70), ..own }, numbers(100, 500, 10, 70));
        assert!(numbers(0, 0, 0, 0).is_free() && !numbers(0, 0, 1, 1).is_free());
    }

    #[test]
    fn numbers_have_bounds() {
        let own = Own::default();
        assert_eq!(own.too_large(), None);
        assert_eq!(Own { bytes_per_s: Some(BYTES_PER_S_MAX), ..own }.too_large(), None);
        let over = Own { bytes_per_s: Some(BYTES_PER_S_MAX + 1), ..own };
        assert_eq!(over.too_large(), Some(("bytes_per_s", BYTES_PER_S_MAX)));
    }

    #[test]
    fn the_largest_numbers_can_be_counted() {
        let limits = numbers(EVENTS_PER_S_MAX, EVENTS_BURST_MAX, BYTES_PER_S_MAX, BYTES_BURST_MAX);
        let mut meter = Meter::new(&limits, 10_000, Duration::ZERO);
        let load = Load { events: 1 << 30, bytes: 1 << 50 };
        meter.charge(load, Duration::ZERO).expect("a full bucket lets anything pass");
        let wait = meter.charge(load, Duration::ZERO).expect_err("a debt");
        assert!(meter.charge(load, wait).is_ok());
        assert!(meter.is_unused(Duration::MAX));
    }

    #[test]
    fn a_bucket_tells_how_it_stands() {
        let mut meter = Meter::new(&numbers(10, 20, 0, 0), 1, Duration::ZERO);
        meter.charge(Load { events: 15, bytes: 1 << 40 }, Duration::ZERO).expect("room for it");
        let (events, bytes) = meter.rooms(Duration::from_millis(250));
        let room = events.expect("a bucket of events");
        assert_eq!((room.left, room.full_in), (7, Duration::from_millis(1_250)));
        assert_eq!((room.quota.per_s(), room.quota.burst(), room.quota.window_s()), (10, 20, 2));
        assert_eq!(bytes, None);
        assert!(!meter.is_unused(Duration::from_millis(1_499)));
        assert!(meter.is_unused(Duration::from_millis(1_500)));
    }
}
