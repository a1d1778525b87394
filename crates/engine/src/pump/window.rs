//! From which row on an outbox is read.

use std::time::{Duration, Instant};

/// A lower bound for reads, so that they need not step over the remains of deleted rows at the table's beginning. It
/// is no cursor: it trails the newest row by at least one sweep, so transactions that commit out of order are mostly
/// above it, and every sweep reads from the very first row, so nothing below it is missed.
#[derive(Debug)]
pub(super) struct Window {
    swept: Option<Instant>,
    /// The newest row of the period before the last one.
    floor: i64,
    /// The newest row of the last period.
    recent: i64,
    /// The newest row of all.
    newest: i64,
}

impl Default for Window {
    fn default() -> Self {
        Self { swept: None, floor: i64::MIN, recent: i64::MIN, newest: i64::MIN }
    }
}

impl Window {
    /// The lowest id of the read that begins now.
    pub(super) fn begin(&mut self, now: Instant, sweep: Duration) -> i64 {
        if !self.is_sweep_due(now, sweep) {
            return self.floor;
        }
        self.swept = Some(now);
        self.floor = self.recent;
        self.recent = self.newest;
        i64::MIN
    }

    /// Whether the next read has to begin at the first row.
    pub(super) fn is_sweep_due(&self, now: Instant, sweep: Duration) -> bool {
        self.swept.is_none_or(|swept| now.duration_since(swept) >= sweep)
    }

    /// Takes note of a read's first and last row.
    pub(super) fn saw(&mut self, first: i64, last: i64) {
        if first < self.floor {
            // A late commit, or ids that began anew because the table was made again: the bound starts over.
            (self.floor, self.recent, self.newest) = (first, last, last);
        } else {
            self.newest = self.newest.max(last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SWEEP: Duration = Duration::from_secs(1);

    #[test]
    fn the_floor_trails_the_newest_row_by_a_sweep_and_every_sweep_reads_all() {
        let start = Instant::now();
        let at = |tenths: u32| start + SWEEP / 10 * tenths;
        let mut window = Window::default();
        assert_eq!(window.begin(at(0), SWEEP), i64::MIN, "the first read sweeps");
        window.saw(1, 100);
        assert_eq!(window.begin(at(5), SWEEP), i64::MIN, "nothing is old enough to bound by");
        window.saw(101, 200);
        assert_eq!(window.begin(at(10), SWEEP), i64::MIN, "a sweep");
        window.saw(201, 300);
        assert_eq!(window.begin(at(15), SWEEP), i64::MIN);
        assert_eq!(window.begin(at(20), SWEEP), i64::MIN, "a sweep");
        assert_eq!(window.begin(at(25), SWEEP), 200, "rows of the period before the last one bound");
        window.saw(250, 260);
        assert_eq!(window.begin(at(26), SWEEP), 200, "a row between floor and newest changes nothing");
    }

    #[test]
    fn ids_that_begin_anew_lower_the_floor() {
        let start = Instant::now();
        let mut window = Window::default();
        for n in 0..4 {
            window.begin(start + SWEEP * n, SWEEP);
            window.saw(1_000, 2_000);
        }
        assert_eq!(window.begin(start + SWEEP * 4, SWEEP), i64::MIN);
        window.saw(1, 3);
        assert_eq!(window.begin(start + SWEEP * 4, SWEEP), 1);
        window.begin(start + SWEEP * 5, SWEEP);
        assert!(window.begin(start + SWEEP * 5, SWEEP) <= 3, "and it stays low");
    }
}
