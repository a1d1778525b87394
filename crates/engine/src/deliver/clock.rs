//! A clock that runs on while the wall's is set.

use std::time::Duration;

use tidings_event::Timestamp;
use tokio::time::Instant;

use crate::append::now;

/// A wall clock this far ahead is followed: the machine slept, and what was due meanwhile is due.
const SLEPT: Duration = Duration::from_secs(60);

/// The wall's time when it began, carried on by a clock that is never set. So a wait is as long as it was meant to
/// be, and attempts stand in the order in which they were made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    began: Timestamp,
    at: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { began: now(), at: Instant::now() }
    }

    /// The time.
    pub(super) fn now(&mut self) -> Timestamp {
        let (time, wall) = (self.began.as_micros() + micros(self.at.elapsed()), now());
        if wall.as_micros() > time + micros(SLEPT) {
            *self = Self { began: wall, at: Instant::now() };
            return wall;
        }
        Timestamp::from_micros(time)
    }

    /// When it will show a time; in the past where it has shown it.
    pub(super) fn instant(&self, time: Timestamp) -> Instant {
        let ahead = time.as_micros().saturating_sub(self.began.as_micros());
        // Timers are coarser than a time, and a wake-up before it finds nothing to do.
        self.at + Duration::from_micros(u64::try_from(ahead).unwrap_or(0))
    }
}

pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_with_the_steady_clock_and_names_the_instant_of_a_time() {
        let seven = Duration::from_secs(7);
        let at = Instant::now().checked_sub(seven).unwrap();
        let mut clock = Clock { began: now(), at };
        let time = clock.now();
        assert!(time.as_micros() >= clock.began.as_micros() + micros(seven), "the wall's clock has not moved since");
        assert!(clock.instant(time) <= Instant::now());
        assert_eq!(clock.instant(clock.began), at);
    }

    #[test]
    fn it_follows_the_wall_after_a_sleep_of_the_machine_but_never_back() {
        let behind = Timestamp::from_micros(now().as_micros() - 3_600_000_000);
        let mut clock = Clock { began: behind, at: Instant::now() };
        assert!(now().as_micros() - clock.now().as_micros() < 1_000_000);
        let ahead = Timestamp::from_micros(now().as_micros() + 3_600_000_000);
        let mut clock = Clock { began: ahead, at: Instant::now() };
        assert!(clock.now() >= ahead);
    }
}
