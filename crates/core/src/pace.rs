//! When to look again: adaptive polling.

use std::time::Duration;

/// Between which delays a poller moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The delay right after something was found.
    pub busy: Duration,
    /// How long that delay is kept although nothing more is found, so that steady but sparse work never waits long.
    pub linger: Duration,
    /// The longest delay, reached by doubling while nothing is found.
    pub idle: Duration,
}

impl Bounds {
    /// Polling an outbox for work: every 2 ms while busy and for a second after, then up to 50 ms.
    pub const POLL: Self =
        Self { busy: Duration::from_millis(2), linger: Duration::from_secs(1), idle: Duration::from_millis(50) };
    /// Coming back to something that failed: 50 ms at first, up to 5 s.
    pub const FAILURE: Self =
        Self { busy: Duration::from_millis(50), linger: Duration::ZERO, idle: Duration::from_secs(5) };
}

/// A poller's delay: fed with what each look found, it says how long to wait before the next.
#[derive(Debug, Clone)]
pub struct Pace {
    bounds: Bounds,
    next: Duration,
    /// How long nothing was found, by the delays given since.
    idle_for: Duration,
}

impl Pace {
    /// Begins at the short end.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, next: bounds.busy, idle_for: Duration::ZERO }
    }

    /// Takes note that a look found so many things and returns the delay before the next look. A full answer means
    /// that more is waiting, which is the caller's to know: it need not ask for a delay then.
    pub fn found(&mut self, things: usize) -> Duration {
        if things > 0 {
            self.reset();
            return self.bounds.busy;
        }
        let delay = self.next;
        self.idle_for = self.idle_for.saturating_add(delay);
        if self.idle_for <= self.bounds.linger {
            return delay;
        }
        self.next = delay.saturating_mul(2).min(self.bounds.idle.max(self.bounds.busy));
        delay
    }

    /// Goes back to the short end: something hinted at work, or a failure is over.
    pub fn reset(&mut self) {
        self.next = self.bounds.busy;
        self.idle_for = Duration::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_to_the_bound_while_nothing_is_found_and_fall_back_at_once() {
        let bounds = Bounds { linger: Duration::ZERO, ..Bounds::POLL };
        let mut pace = Pace::new(bounds);
        let delays: Vec<u128> = (0..7).map(|_| pace.found(0).as_millis()).collect();
        assert_eq!(delays, [2, 4, 8, 16, 32, 50, 50]);
        assert_eq!(pace.found(3).as_millis(), 2);
        assert_eq!(pace.found(0).as_millis(), 2);
        assert_eq!(pace.found(0).as_millis(), 4);
        pace.reset();
        assert_eq!(pace.found(0).as_millis(), 2);
    }

    #[test]
    fn steady_but_sparse_work_never_meets_a_long_delay() {
        let mut pace = Pace::new(Bounds { linger: Duration::from_millis(10), ..Bounds::POLL });
        for _ in 0..100 {
            let delays: Vec<u128> = (0..5).map(|_| pace.found(0).as_millis()).collect();
            assert_eq!(delays, [2; 5]);
            pace.found(1);
        }
        let delays: Vec<u128> = (0..8).map(|_| pace.found(0).as_millis()).collect();
        assert_eq!(delays, [2, 2, 2, 2, 2, 2, 4, 8]);
    }
}
