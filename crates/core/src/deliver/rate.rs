//! At most so many deliveries a second.
//!
//! The moment at which the next delivery would be due, were they evenly spread, moves on by one interval with each;
//! a delivery may come before it by what a twentieth of a second allows, so that a coarse clock does not cost rate.

use std::time::Duration;

use tidings_event::Timestamp;

use super::clock::{after, shifted};

/// One lane's rate.
#[derive(Debug, Clone)]
pub(super) struct Rate {
    per_s: u32,
    interval: Duration,
    ahead: Duration,
    due: Option<Timestamp>,
}

impl Rate {
    pub(super) fn new(per_s: u32) -> Self {
        let per_s = per_s.max(1);
        let interval = Duration::from_secs(1) / per_s;
        Self { per_s, interval, ahead: Duration::from_millis(50).saturating_sub(interval), due: None }
    }

    pub(super) fn per_s(&self) -> u32 {
        self.per_s
    }

    /// When the next delivery may begin, if not at once.
    pub(super) fn wait_until(&self, now: Timestamp) -> Option<Timestamp> {
        let due = self.due?;
        (due > after(now, self.ahead)).then(|| {
            let micros = i64::try_from(self.ahead.as_micros()).unwrap_or(0);
            shifted(due, -micros)
        })
    }

    /// Takes note that a delivery begins.
    pub(super) fn take(&mut self, now: Timestamp) {
        let due = self.due.map_or(now, |due| due.max(now));
        self.due = Some(after(due, self.interval));
    }

    /// Follows a clock that was set back.
    pub(super) fn shift(&mut self, micros: i64) {
        self.due = self.due.map(|due| shifted(due, micros));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_second_sees_more_than_the_rate_and_a_twentieth() {
        for per_s in [1, 3, 10, 20, 50, 1_000] {
            let mut rate = Rate::new(per_s);
            let mut sent: Vec<i64> = Vec::new();
            for micros in (0..5_000_000).step_by(500) {
                let now = Timestamp::from_micros(micros);
                while rate.wait_until(now).is_none() {
                    rate.take(now);
                    sent.push(micros);
                }
            }
            let most = sent.iter().map(|from| sent.iter().filter(|at| (*from..from + 1_000_000).contains(at)).count());
            let bound = per_s as usize + per_s as usize / 20;
            let most = most.max().unwrap_or(0);
            assert!(most <= bound, "{per_s} a second: {most} within one");
            assert!(sent.len() >= 5 * per_s as usize * 98 / 100, "{per_s} a second: {} in five", sent.len());
        }
    }

    #[test]
    fn the_moment_it_names_is_one_at_which_it_lets_pass() {
        let mut rate = Rate::new(7);
        let mut now = Timestamp::from_micros(0);
        for _ in 0..100 {
            rate.take(now);
            if let Some(at) = rate.wait_until(now) {
                assert!(at > now);
                now = at;
            }
            assert_eq!(rate.wait_until(now), None);
        }
    }
}
