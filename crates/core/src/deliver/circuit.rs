//! Whether a lane sends: closed, throttled or open.

use std::time::Duration;

use tidings_event::delivery::{AttemptResult, CircuitRow, CircuitState};
use tidings_event::{LaneNo, Sequence, Timestamp};

use super::clock::{after, between, shifted};
use super::schedule::jittered;

/// One lane's circuit.
#[derive(Debug, Clone)]
pub(super) struct Circuit {
    state: State,
    /// Attempts that failed in a row, of those that count.
    failures: u32,
    /// Whether an event of a producer was among them, so that the circuit is worth a notice.
    worth_notice: bool,
    /// Whether a row of it may be stored.
    stored: bool,
    /// Whether it differs from what is stored.
    changed: bool,
}

#[derive(Debug, Clone)]
enum State {
    Closed,
    Throttled { since: Timestamp, until: Timestamp, last: AttemptResult },
    Open(Open),
}

#[derive(Debug, Clone)]
struct Open {
    since: Timestamp,
    /// When the next probe is sent.
    probe_at: Timestamp,
    /// Probes that failed.
    probes: u32,
    /// Whether one of them failed since this router began: while none was at work, nothing was proved.
    tried: bool,
    /// The event that is under way as a probe.
    probing: Option<Sequence>,
    last: AttemptResult,
}

/// The waits between probes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waits {
    pub(super) min: Duration,
    pub(super) max: Duration,
}

impl Waits {
    /// The wait after so many probes that failed.
    fn wait(self, probes: u32, dice: u64) -> Duration {
        let doubled = self.min.saturating_mul(1_u32.checked_shl(probes.min(30)).unwrap_or(u32::MAX));
        jittered(doubled.min(self.max), dice)
    }
}

/// What a stored circuit is written as.
pub(super) enum Change {
    Put(CircuitRow),
    Remove,
}

impl Circuit {
    pub(super) fn closed() -> Self {
        Self { state: State::Closed, failures: 0, worth_notice: false, stored: false, changed: false }
    }

    /// Goes on with what was stored. A moment that lies too far ahead, by a clock that was wrong, is brought back.
    pub(super) fn restored(row: &CircuitRow, now: Timestamp, waits: Waits, throttle_max: Duration) -> Self {
        let state = match row.state {
            CircuitState::Closed => State::Closed,
            CircuitState::Throttled => {
                State::Throttled { since: row.since, until: row.until.min(after(now, throttle_max)), last: row.last }
            }
            CircuitState::Open => State::Open(Open {
                since: row.since.min(now),
                probe_at: row.until.min(after(now, waits.max)),
                probes: row.probes,
                tried: false,
                probing: None,
                last: row.last,
            }),
        };
        Self { state, failures: 0, worth_notice: true, stored: true, changed: row.state == CircuitState::Closed }
    }

    pub(super) fn state(&self) -> CircuitState {
        match self.state {
            State::Closed => CircuitState::Closed,
            State::Throttled { .. } => CircuitState::Throttled,
            State::Open(_) => CircuitState::Open,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Whether nothing was delivered since something failed.
    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0 || self.is_open()
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Until when nothing at all may be sent.
    pub(super) fn throttled_until(&self) -> Option<Timestamp> {
        match &self.state {
            State::Throttled { until, .. } => Some(*until),
            _ => None,
        }
    }

    /// When the next probe is due, unless one is under way.
    pub(super) fn probe_at(&self) -> Option<Timestamp> {
        match &self.state {
            State::Open(open) if open.probing.is_none() => Some(open.probe_at),
            _ => None,
        }
    }

    /// Since when it is open, once a probe has failed.
    pub(super) fn failing_since(&self) -> Option<Timestamp> {
        match &self.state {
            State::Open(open) => open.tried.then_some(open.since),
            _ => None,
        }
    }

    pub(super) fn is_probe(&self, sequence: Sequence) -> bool {
        matches!(&self.state, State::Open(open) if open.probing == Some(sequence))
    }

    /// Takes note that an event is sent as a probe.
    pub(super) fn probe(&mut self, sequence: Sequence) {
        if let State::Open(open) = &mut self.state {
            open.probing = Some(sequence);
        }
    }

    /// A probe came to nothing without telling anything: it was not sent, or the endpoint said something else.
    pub(super) fn forget_probe(&mut self, again_at: Timestamp) {
        if let State::Open(open) = &mut self.state {
            open.probing = None;
            open.probe_at = again_at;
        }
    }

    /// Sends a probe at once: something was changed that may help.
    pub(super) fn hasten(&mut self, now: Timestamp) {
        if let State::Open(open) = &mut self.state {
            open.probe_at = open.probe_at.min(now);
        }
    }

    /// A probe failed: the next one waits twice as long, and at least until `not_before`.
    pub(super) fn probe_failed(
        &mut self,
        last: AttemptResult,
        waits: Waits,
        not_before: Option<Timestamp>,
        dice: u64,
        now: Timestamp,
    ) {
        if let State::Open(open) = &mut self.state {
            open.probing = None;
            open.probes = open.probes.saturating_add(1);
            open.tried = true;
            open.last = last;
            let at = after(now, waits.wait(open.probes, dice));
            open.probe_at = not_before.map_or(at, |moment| moment.max(at));
            self.changed = true;
        }
    }

    /// The endpoint has an event: failures in a row end here.
    pub(super) fn delivered(&mut self) {
        if !self.is_open() {
            self.failures = 0;
            self.worth_notice = false;
        }
    }

    /// Counts a failure; true when it is one too many. While throttled, what was under way with the first that said so
    /// tells nothing new.
    pub(super) fn failed(&mut self, system: bool, open_after: u32) -> bool {
        if !self.is_closed() {
            return false;
        }
        self.failures = self.failures.saturating_add(1);
        self.worth_notice |= !system;
        self.failures >= open_after.max(1)
    }

    /// Opens; true when a notice is due.
    pub(super) fn open(
        &mut self,
        last: AttemptResult,
        waits: Waits,
        not_before: Option<Timestamp>,
        dice: u64,
        now: Timestamp,
    ) -> bool {
        let at = after(now, waits.wait(0, dice));
        let probe_at = not_before.map_or(at, |moment| moment.max(at));
        self.state = State::Open(Open { since: now, probe_at, probes: 0, tried: false, probing: None, last });
        self.failures = 0;
        self.changed = true;
        self.worth_notice
    }

    /// The endpoint asked to be left alone until then.
    pub(super) fn throttle(&mut self, until: Timestamp, last: AttemptResult, now: Timestamp) {
        match &mut self.state {
            State::Closed => self.state = State::Throttled { since: now, until, last },
            State::Throttled { until: before, last: result, .. } => {
                *before = until.max(*before);
                *result = last;
            }
            State::Open(open) => open.probe_at = open.probe_at.max(until),
        }
        self.changed = true;
    }

    /// Ends a throttle whose time has come; true when it did.
    pub(super) fn end_throttle(&mut self, now: Timestamp) -> bool {
        let ends = matches!(self.state, State::Throttled { until, .. } if until <= now);
        if ends {
            self.state = State::Closed;
            self.changed = true;
        }
        ends
    }

    /// Closes; how long it was open, where a notice is due.
    pub(super) fn close(&mut self, now: Timestamp) -> Option<Duration> {
        let open_for = match &self.state {
            State::Open(open) if self.worth_notice => Some(between(open.since, now)),
            _ => None,
        };
        self.changed |= !self.is_closed();
        self.state = State::Closed;
        self.failures = 0;
        self.worth_notice = false;
        open_for
    }

    /// Follows a clock that was set back.
    pub(super) fn shift(&mut self, micros: i64) {
        match &mut self.state {
            State::Closed => {}
            State::Throttled { until, .. } => *until = shifted(*until, micros),
            State::Open(open) => {
                open.probe_at = shifted(open.probe_at, micros);
                open.since = shifted(open.since, micros);
            }
        }
    }

    /// What must be written, if anything changed since it was asked last.
    pub(super) fn take_change(&mut self, lane: LaneNo) -> Option<Change> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let (state, since, until, probes, last) = match &self.state {
            State::Closed => return std::mem::take(&mut self.stored).then_some(Change::Remove),
            State::Throttled { since, until, last } => (CircuitState::Throttled, *since, *until, 0, *last),
            State::Open(open) => (CircuitState::Open, open.since, open.probe_at, open.probes, open.last),
        };
        self.stored = true;
        Some(Change::Put(CircuitRow { lane, state, since, until, probes, last }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITS: Waits = Waits { min: Duration::from_secs(1), max: Duration::from_secs(60) };
    const LAST: AttemptResult = AttemptResult::Status(500);
    /// Dice that leave a duration as it is.
    const EVEN: u64 = 100;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn probes_wait_twice_as_long_each_time_up_to_the_bound() {
        let mut circuit = Circuit::closed();
        circuit.open(LAST, WAITS, None, EVEN, at(0));
        let mut waits = Vec::new();
        let mut now = at(0);
        for _ in 0..9 {
            let next = circuit.probe_at().unwrap();
            waits.push(between(now, next).as_secs());
            now = next;
            circuit.probe(Sequence(1));
            assert_eq!(circuit.probe_at(), None);
            circuit.probe_failed(LAST, WAITS, None, EVEN, now);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn a_success_between_keeps_it_closed() {
        let mut circuit = Circuit::closed();
        for _ in 0..100 {
            assert!(!(0..4).any(|_| circuit.failed(false, 5)));
            circuit.delivered();
        }
        assert!(!(0..4).any(|_| circuit.failed(false, 5)));
        assert!(circuit.failed(false, 5));
    }

    #[test]
    fn failures_of_tidings_own_events_alone_give_no_notice() {
        let mut circuit = Circuit::closed();
        (0..5).for_each(|_| assert!(!circuit.failed(true, 6)));
        assert!(circuit.failed(true, 6));
        assert!(!circuit.open(LAST, WAITS, None, EVEN, at(0)));
        assert_eq!(circuit.close(at(5)), None);
        assert!(!circuit.failed(true, 2));
        assert!(circuit.failed(false, 2));
        assert!(circuit.open(LAST, WAITS, None, EVEN, at(0)));
        assert_eq!(circuit.close(at(5)), Some(Duration::from_secs(5)));
    }

    #[test]
    fn a_wait_that_the_endpoint_asked_for_is_kept_by_probes_too() {
        let mut circuit = Circuit::closed();
        circuit.open(LAST, WAITS, Some(at(30)), EVEN, at(0));
        assert_eq!(circuit.probe_at(), Some(at(30)));
        circuit.probe(Sequence(1));
        circuit.probe_failed(LAST, WAITS, Some(at(90)), EVEN, at(30));
        assert_eq!(circuit.probe_at(), Some(at(90)));
    }

    #[test]
    fn only_changes_are_written_and_a_row_goes_when_it_closes() {
        let lane = LaneNo(1);
        let mut circuit = Circuit::closed();
        assert!(circuit.take_change(lane).is_none());
        circuit.throttle(at(9), LAST, at(0));
        assert!(matches!(circuit.take_change(lane), Some(Change::Put(row)) if row.state == CircuitState::Throttled));
        assert!(circuit.take_change(lane).is_none());
        assert!(!circuit.end_throttle(at(8)));
        assert!(circuit.end_throttle(at(9)));
        assert!(matches!(circuit.take_change(lane), Some(Change::Remove)));
        circuit.throttle(at(19), LAST, at(10));
        circuit.end_throttle(at(19));
        assert!(circuit.take_change(lane).is_none());
    }
}
