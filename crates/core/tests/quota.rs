//! What a quota promises, held against any sequence of requests.
#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use tidings_core::quota::{InForce, Load, Meter, Numbers, charge};

fn events(per_s: u64, burst: u64) -> InForce {
    Numbers { events_per_s: per_s, events_burst: burst, bytes_per_s: 0, bytes_burst: 0 }
}

fn load(events: u64) -> Load {
    Load { events, bytes: 0 }
}

/// Pauses in nanoseconds, each followed by a request of so many events.
fn requests() -> impl Strategy<Value = Vec<(u64, u64)>> {
    vec((prop_oneof![Just(0), 0..2_000_000_000_u64, 0..50_u64], 1..400_u64), 1..120)
}

proptest! {
    /// Within the time from any moment to any later one.
    #[test]
    fn never_more_passes_than_the_rate_brings_and_what_may_come_at_once(
        (per_s, burst, sharers) in (1..500_u64, 0..900_u64, 1..4_u32),
        requests in requests(),
    ) {
        let limits = events(per_s, burst);
        let burst = limits.events().unwrap().burst();
        let mut meter = Meter::new(&limits, sharers, Duration::ZERO);
        let mut now = Duration::ZERO;
        let mut passed: Vec<(Duration, u64)> = Vec::new();
        for (pause, count) in requests {
            now += Duration::from_nanos(pause);
            if meter.charge(load(count), now).is_ok() {
                passed.push((now, count));
            }
        }
        let sharers = u128::from(sharers);
        for (first, (begin, _)) in passed.iter().enumerate() {
            let (mut sum, mut largest) = (0_u128, 0_u128);
            for (end, count) in passed.iter().skip(first) {
                sum += u128::from(*count);
                largest = largest.max(u128::from(*count));
                // In parts of a billionth of an event, for all sharers together.
                let brought = (*end - *begin).as_nanos() * u128::from(per_s);
                let at_once = (u128::from(burst) * 1_000_000_000).max(largest * sharers * 1_000_000_000);
                prop_assert!(sum * sharers * 1_000_000_000 <= brought + at_once, "{sum} events within {:?}", *end - *begin);
            }
        }
    }

    /// To the nanosecond: neither later than was said, nor earlier.
    #[test]
    fn whoever_waits_as_long_as_it_was_told_passes_and_nobody_is_told_to_wait_too_long(
        (per_s, burst, sharers) in (1..500_u64, 0..900_u64, 1..4_u32),
        requests in requests(),
    ) {
        let mut meter = Meter::new(&events(per_s, burst), sharers, Duration::ZERO);
        let mut now = Duration::ZERO;
        for (pause, count) in requests {
            now += Duration::from_nanos(pause);
            if let Err(wait) = meter.charge(load(count), now) {
                let early = now + wait - Duration::from_nanos(1);
                prop_assert!(meter.clone().charge(load(count), early).is_err());
                now += wait;
                prop_assert_eq!(meter.charge(load(count), now), Ok(()));
            }
        }
    }

    /// Whoever sends as fast as it may gets, over time, exactly what the rate brings.
    #[test]
    fn whoever_always_wants_more_gets_all_that_the_rate_brings(
        (per_s, burst) in (1..500_u64, 0..900_u64),
        counts in vec(1..50_u64, 20..200),
    ) {
        let limits = events(per_s, burst);
        let burst = limits.events().unwrap().burst();
        let mut meter = Meter::new(&limits, 1, Duration::ZERO);
        let (mut now, mut sum) = (Duration::ZERO, 0);
        for count in counts {
            if let Err(wait) = meter.charge(load(count), now) {
                now += wait;
                meter.charge(load(count), now).unwrap();
            }
            sum += count;
        }
        // It never waited while there was room, so all but a bucket's content of what was brought has passed.
        prop_assert!(u128::from(sum + burst) * 1_000_000_000 >= now.as_nanos() * u128::from(per_s));
    }

    /// A request over several tenants is taken from all of them or from none.
    #[test]
    fn a_request_is_charged_whole_or_not_at_all(
        rates in vec((1..100_u64, 0..200_u64), 2..6),
        rounds in vec((0..300_000_000_u64, vec(0..60_u64, 6)), 1..60),
    ) {
        let limits: Vec<InForce> = rates.iter().map(|(per_s, burst)| events(*per_s, *burst)).collect();
        let mut meters: Vec<Meter> = limits.iter().map(|limits| Meter::new(limits, 1, Duration::ZERO)).collect();
        let mut now = Duration::ZERO;
        for (pause, counts) in rounds {
            now += Duration::from_nanos(pause);
            let before: Vec<u64> = meters.iter_mut().map(|meter| meter.rooms(now).0.unwrap().left).collect();
            let alone: Vec<Result<(), Duration>> =
                meters.iter().zip(&counts).map(|(meter, count)| meter.clone().charge(load(*count), now)).collect();
            let mut loads: Vec<(&mut Meter, Load)> =
                meters.iter_mut().zip(&counts).map(|(meter, count)| (meter, load(*count))).collect();
            match charge(&mut loads, now) {
                Ok(()) => prop_assert!(alone.iter().all(Result::is_ok)),
                Err(wait) => {
                    prop_assert_eq!(Some(wait), alone.iter().filter_map(|alone| alone.err()).max());
                    let after: Vec<u64> = meters.iter_mut().map(|meter| meter.rooms(now).0.unwrap().left).collect();
                    prop_assert_eq!(before, after);
                }
            }
        }
    }

    /// However often quotas change, and those who share them come and go.
    #[test]
    fn a_change_gives_nobody_anything_at_once(
        changes in vec((1..500_u64, 0..900_u64, 1..5_u32), 1..40),
    ) {
        let mut meter = Meter::new(&events(10, 10), 1, Duration::ZERO);
        meter.charge(load(10), Duration::ZERO).unwrap();
        for (per_s, burst, sharers) in changes {
            meter.shape(&events(per_s, burst), sharers, Duration::ZERO);
            prop_assert_eq!(meter.rooms(Duration::ZERO).0.unwrap().left, 0);
        }
    }
}

#[test]
fn what_is_larger_than_may_come_at_once_passes_a_full_bucket_and_is_paid_for() {
    let mut meter = Meter::new(&events(10, 10), 1, Duration::ZERO);
    assert_eq!(meter.charge(load(100), Duration::ZERO), Ok(()));
    assert_eq!(meter.charge(load(1), Duration::ZERO), Err(Duration::from_millis(9_100)));
    assert_eq!(meter.charge(load(100), Duration::from_secs(1)), Err(Duration::from_secs(9)));
    assert_eq!(meter.charge(load(100), Duration::from_secs(10)), Ok(()));
}

#[test]
fn sharers_get_equal_parts_that_add_up_to_the_whole() {
    let mut parts: Vec<Meter> = (0..3).map(|_| Meter::new(&events(10, 10), 3, Duration::ZERO)).collect();
    let mut passed = 0;
    for millis in 0..=30_000 {
        for part in &mut parts {
            passed += u64::from(part.charge(load(1), Duration::from_millis(millis)).is_ok());
        }
    }
    // What may come at once, three each, and ten a second for thirty seconds.
    assert_eq!(passed, 9 + 300);
}
