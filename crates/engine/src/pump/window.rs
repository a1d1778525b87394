//! From which row on an outbox is read.

use std::time::Duration;

use tokio::time::Instant;

/// A read that takes longer and still finds less than a full batch has stepped over something.
const SLOW: Duration = Duration::from_millis(25);
/// So many slow reads in a row are no accident.
const SLOW_READS: u32 = 3;

/// A lower bound for reads of an outbox in which the remains of deleted rows pile up at the beginning: PostgreSQL
/// cannot remove them while some old transaction is open, and every read has to step over them.
///
/// As long as reads are quick there is no bound, and all that is committed is seen at once, in order. When they are
/// slow, a bound trails the newest row by at least one sweep, and every sweep reads from the very first row. Nothing
/// is missed then either; but a row that was inserted more than a sweep ago and is committed only now may be
/// overtaken by rows that were committed after it.
#[derive(Debug)]
pub(super) struct Window {
    slow_reads: u32,
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
        Self { slow_reads: 0, swept: None, floor: i64::MIN, recent: i64::MIN, newest: i64::MIN }
    }
}

impl Window {
    /// The lowest id of the read that begins now.
    pub(super) fn begin(&mut self, now: Instant, sweep: Duration) -> i64 {
        if self.is_sweep_due(now, sweep) {
            self.swept = Some(now);
            self.floor = self.recent;
            self.recent = self.newest;
            return i64::MIN;
        }
        self.bound()
    }

    /// The lowest id that reads between two sweeps look for.
    pub(super) fn bound(&self) -> i64 {
        if self.is_bounded() { self.floor } else { i64::MIN }
    }

    /// Whether the next read has to begin at the first row.
    pub(super) fn is_sweep_due(&self, now: Instant, sweep: Duration) -> bool {
        self.swept.is_none_or(|swept| now.duration_since(swept) >= sweep)
    }

    /// Whether reads between two sweeps leave the first rows out.
    fn is_bounded(&self) -> bool {
        self.slow_reads >= SLOW_READS
    }

    /// Takes note of how long a read took.
    pub(super) fn measure(&mut self, floor: i64, took: Duration, full: bool) {
        if floor == i64::MIN {
            self.slow_reads = if took > SLOW && !full { (self.slow_reads + 1).min(SLOW_READS) } else { 0 };
        }
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

    fn slow() -> Window {
        let mut window = Window::default();
        for _ in 0..SLOW_READS {
            window.measure(i64::MIN, SLOW * 2, false);
        }
        window
    }

    #[test]
    fn quick_reads_have_no_bound() {
        let start = Instant::now();
        let mut window = Window::default();
        for n in 0..8 {
            assert_eq!(window.begin(start + SWEEP / 2 * n, SWEEP), i64::MIN);
            window.saw(1_000, 2_000);
            window.measure(i64::MIN, SLOW / 2, false);
            window.measure(i64::MIN, SLOW * 2, true);
        }
        assert!(!window.is_bounded());
    }

    #[test]
    fn a_quick_sweep_ends_the_bound() {
        let mut window = slow();
        assert!(window.is_bounded());
        window.measure(7, Duration::ZERO, false);
        assert!(window.is_bounded(), "a bounded read says nothing about an unbounded one");
        window.measure(i64::MIN, Duration::ZERO, false);
        assert!(!window.is_bounded());
    }

    #[test]
    fn a_bound_trails_the_newest_row_by_a_sweep_and_every_sweep_reads_all() {
        let start = Instant::now();
        let at = |tenths: u32| start + SWEEP / 10 * tenths;
        let mut window = slow();
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
    fn ids_that_begin_anew_lower_the_bound() {
        let start = Instant::now();
        let mut window = slow();
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
