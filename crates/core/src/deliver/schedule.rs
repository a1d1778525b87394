//! When an event that failed is tried again.

use std::sync::Arc;
use std::time::Duration;

use crate::limits::{SCHEDULE_ATTEMPTS_MAX, SCHEDULE_DELAY_S_MAX, SCHEDULE_SPAN_S_MAX};

/// Seconds before attempt 1, 2, 3, …; as many attempts as there are entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule(Arc<[u32]>);

impl Schedule {
    /// At once, then after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h.
    #[must_use]
    pub fn standard() -> Self {
        Self(Arc::from([0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]))
    }

    /// A schedule of 1 to 20 attempts, each at most 7 days after the one before, all within 30 days. The reason why it
    /// is none is fit for a person to read.
    pub fn new(delays_s: Vec<u32>) -> Result<Self, &'static str> {
        if delays_s.is_empty() || delays_s.len() > SCHEDULE_ATTEMPTS_MAX {
            return Err("must have from 1 to 20 entries");
        }
        if delays_s.iter().any(|delay| *delay > SCHEDULE_DELAY_S_MAX) {
            return Err("no entry may be more than 604800 seconds (7 days)");
        }
        if delays_s.iter().map(|delay| u64::from(*delay)).sum::<u64>() > SCHEDULE_SPAN_S_MAX {
            return Err("all entries together may be at most 2592000 seconds (30 days)");
        }
        Ok(Self(delays_s.into()))
    }

    /// The delays as they were given.
    #[must_use]
    pub fn delays_s(&self) -> &[u32] {
        &self.0
    }

    /// How many attempts it allows.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.0.len() as u32
    }

    /// How long to wait after so many attempts before the next, moved by up to a tenth either way; nothing once all
    /// attempts are made.
    #[must_use]
    pub fn delay(&self, attempts_made: u32, dice: u64) -> Option<Duration> {
        let delay = self.0.get(usize::try_from(attempts_made).ok()?)?;
        Some(jittered(Duration::from_secs(u64::from(*delay)), dice))
    }

    /// From the first attempt to the last.
    #[must_use]
    pub fn span(&self) -> Duration {
        Duration::from_secs(self.0.iter().map(|delay| u64::from(*delay)).sum())
    }
}

/// A duration moved by up to a tenth either way, so that what failed together does not return together.
pub(super) fn jittered(duration: Duration, dice: u64) -> Duration {
    let per_mille = 900 + dice % 201;
    let micros = u128::from(per_mille) * duration.as_micros() / 1_000;
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_schedule_is_the_documented_one() {
        let standard = Schedule::standard();
        assert_eq!(standard.attempts(), 10);
        assert_eq!(standard.span(), Duration::from_secs(272_105));
        assert_eq!(Schedule::new(standard.delays_s().to_vec()), Ok(standard));
    }

    #[test]
    fn a_schedule_outside_its_bounds_is_refused() {
        for (delays, fits) in [
            (vec![], false),
            (vec![0], true),
            (vec![0; 20], true),
            (vec![0; 21], false),
            (vec![604_800; 4], true),
            (vec![604_801], false),
            (vec![604_800, 604_800, 604_800, 604_800, 172_800], true),
            (vec![604_800, 604_800, 604_800, 604_800, 172_801], false),
        ] {
            assert_eq!(Schedule::new(delays.clone()).is_ok(), fits, "{delays:?}");
        }
    }

    #[test]
    fn delays_stay_within_a_tenth_and_end_with_the_schedule() {
        let schedule = Schedule::new(vec![0, 100]).unwrap();
        for dice in (0..5_000).chain([u64::MAX, u64::MAX - 1]) {
            assert_eq!(schedule.delay(0, dice), Some(Duration::ZERO));
            let delay = schedule.delay(1, dice).unwrap();
            assert!((Duration::from_secs(90)..=Duration::from_secs(110)).contains(&delay), "{delay:?}");
            assert_eq!(schedule.delay(2, dice), None);
            assert_eq!(schedule.delay(u32::MAX, dice), None);
        }
    }
}
