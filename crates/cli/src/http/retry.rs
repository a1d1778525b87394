//! When to try again: exponential, with jitter, never sooner than the server asks.

use std::time::Duration;

/// The first wait, before jitter.
const FIRST: Duration = Duration::from_millis(100);
/// The longest wait that we choose ourselves.
const LONGEST: Duration = Duration::from_secs(10);

/// How often in a row something has failed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Counts a failure and says how long to wait. `dice` is from 0 to 1; `asked` is what the server wants at least.
    pub(crate) fn next(&mut self, asked: Option<Duration>, dice: f64) -> Duration {
        let doubled = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        // From half to the whole: many clients that lost the same server do not come back at once.
        let chosen = doubled.mul_f64(0.5 + dice.clamp(0.0, 1.0) / 2.0);
        // What the server asks is a lower bound; jitter is put on top of it.
        asked.map_or(chosen, |asked| asked.max(chosen) + FIRST.mul_f64(dice.clamp(0.0, 1.0)))
    }

    /// Forgets failures after a success.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A number from 0 to 1.
pub(crate) fn dice() -> f64 {
    rand::random()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_never_undercut_what_the_server_asks() {
        let mut backoff = Backoff::default();
        let waits: Vec<u128> = (0..12).map(|_| backoff.next(None, 1.0).as_millis()).collect();
        assert_eq!(waits[..4], [100, 200, 400, 800]);
        assert_eq!(waits[11], LONGEST.as_millis());
        backoff.reset();
        assert_eq!(backoff.next(None, 0.0).as_millis(), 50);
        let asked = Duration::from_secs(7);
        assert!(backoff.next(Some(asked), 0.0) >= asked);
    }
}
