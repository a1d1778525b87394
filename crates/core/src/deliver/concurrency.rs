//! How many attempts a lane has under way at once.
//!
//! The limit grows by one for as many good answers as it stands at, and is halved when the endpoint says that it is
//! overloaded, does not answer in time, or takes far longer than it once did. It is halved at most once for what was
//! under way together, since all of that tells of the same moment.

use std::time::Duration;

use crate::limits::LANE_IN_FLIGHT_FIRST;

/// Answers that are faster than this are never held against an endpoint: at such times the machine that sends is as
/// likely the cause.
const SLACK: Duration = Duration::from_millis(50);
/// Answers that take so much longer than the best cost half of the limit, wherever the best lies.
const FAR: Duration = Duration::from_millis(500);
/// After so many answers the best one is found anew, so that an endpoint that moved further away may grow again.
const BEST_OF: u32 = 1_000;

/// The limit of one lane.
#[derive(Debug, Clone)]
pub(super) struct Concurrency {
    limit: u16,
    max: u16,
    /// Good answers since the limit last grew.
    good: u16,
    /// Answers that must come before the limit is halved again.
    settling: u16,
    best_us: u32,
    /// The best since the count began again.
    best_next_us: u32,
    answers: u32,
    /// A mean that forgets, in microseconds; none before the first answer.
    mean_us: Option<u32>,
}

impl Concurrency {
    pub(super) fn new(max: u16) -> Self {
        Self {
            limit: LANE_IN_FLIGHT_FIRST.min(max).max(1),
            max: max.max(1),
            good: 0,
            settling: 0,
            best_us: u32::MAX,
            best_next_us: u32::MAX,
            answers: 0,
            mean_us: None,
        }
    }

    /// Attempts that may be under way at once, at least 1.
    pub(super) fn limit(&self) -> u16 {
        self.limit
    }

    /// Begins with one attempt at a time, after the endpoint was away.
    pub(super) fn restart(&mut self) {
        self.limit = 1;
        self.good = 0;
        self.settling = 0;
    }

    /// Whether answers take longer than `than` on the whole, or none came yet.
    pub(super) fn is_slow(&self, than: Duration) -> bool {
        self.mean_us.is_none_or(|mean| u128::from(mean) > than.as_micros())
    }

    /// Takes note of an answer. `good`: the event was delivered; `overloaded`: the endpoint could not cope.
    pub(super) fn answered(&mut self, took: Duration, good: bool, overloaded: bool) {
        let took_us = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        let mean = self.mean_us.unwrap_or(took_us);
        self.mean_us = Some(mean - mean / 8 + took_us / 8);
        self.settling = self.settling.saturating_sub(1);
        let far = good && Duration::from_micros(u64::from(took_us)) > self.bound(8, FAR);
        if overloaded || far {
            return self.halve();
        }
        if !good {
            return;
        }
        self.note_best(took_us);
        if took <= self.bound(2, SLACK) {
            self.good += 1;
            if self.good >= self.limit {
                self.good = 0;
                self.limit = (self.limit + 1).min(self.max);
            }
        }
    }

    fn bound(&self, times: u64, slack: Duration) -> Duration {
        match self.best_us {
            u32::MAX => Duration::MAX,
            best => Duration::from_micros(u64::from(best) * times) + slack,
        }
    }

    fn halve(&mut self) {
        if self.settling == 0 {
            self.settling = self.limit;
            self.limit = (self.limit / 2).max(1);
            self.good = 0;
        }
    }

    fn note_best(&mut self, took_us: u32) {
        self.best_us = self.best_us.min(took_us);
        self.best_next_us = self.best_next_us.min(took_us);
        self.answers += 1;
        if self.answers >= BEST_OF {
            self.answers = 0;
            self.best_us = self.best_next_us;
            self.best_next_us = u32::MAX;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Duration = Duration::from_millis(2);

    fn after(answers: impl IntoIterator<Item = (Duration, bool, bool)>) -> Concurrency {
        let mut concurrency = Concurrency::new(64);
        for (took, good, overloaded) in answers {
            concurrency.answered(took, good, overloaded);
        }
        concurrency
    }

    #[test]
    fn it_grows_by_one_for_each_window_of_good_answers_and_stays_within_its_bounds() {
        assert_eq!(after([]).limit(), 4);
        assert_eq!(after(vec![(FAST, true, false); 3]).limit(), 4);
        assert_eq!(after(vec![(FAST, true, false); 4]).limit(), 5);
        assert_eq!(after(vec![(FAST, true, false); 9]).limit(), 6);
        assert_eq!(after(vec![(FAST, true, false); 100_000]).limit(), 64);
        assert_eq!(after(vec![(FAST, false, true); 1_000]).limit(), 1);
        assert_eq!(Concurrency::new(0).limit(), 1);
    }

    #[test]
    fn what_was_under_way_together_halves_it_once() {
        let mut concurrency = after(vec![(FAST, true, false); 100_000]);
        for _ in 0..64 {
            concurrency.answered(FAST, false, true);
        }
        assert_eq!(concurrency.limit(), 32);
        concurrency.answered(FAST, false, true);
        assert_eq!(concurrency.limit(), 16);
    }

    #[test]
    fn answers_far_above_the_best_halve_it_and_a_little_above_stop_its_growth() {
        let mut concurrency = after(vec![(FAST, true, false); 100]);
        let limit = concurrency.limit();
        for _ in 0..500 {
            concurrency.answered(Duration::from_millis(100), true, false);
        }
        assert_eq!(concurrency.limit(), limit);
        concurrency.answered(Duration::from_secs(3), true, false);
        assert_eq!(concurrency.limit(), limit / 2);
    }

    #[test]
    fn an_endpoint_that_became_steadily_slower_may_grow_again_after_a_while() {
        let mut concurrency = after(vec![(FAST, true, false); 10]);
        for _ in 0..5_000 {
            concurrency.answered(Duration::from_millis(200), true, false);
        }
        assert!(concurrency.limit() > 10, "{}", concurrency.limit());
    }

    #[test]
    fn an_endpoint_counts_as_slow_until_it_has_answered_and_while_it_takes_long() {
        let second = Duration::from_secs(1);
        assert!(after([]).is_slow(second));
        assert!(!after([(FAST, true, false)]).is_slow(second));
        assert!(after([(Duration::from_secs(5), true, false)]).is_slow(second));
        let mut recovered = vec![(Duration::from_secs(5), true, false)];
        recovered.extend(vec![(FAST, true, false); 20]);
        assert!(!after(recovered).is_slow(second));
    }
}
