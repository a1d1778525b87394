//! The events of a lane that failed alone and wait for another attempt, and those that wait behind them.

use std::collections::{BTreeMap, BTreeSet};

use tidings_event::delivery::{AttemptResult, RetryRow};
use tidings_event::{LaneNo, Sequence, Timestamp};

use super::hash::NumberMap;

/// What a retry is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Its time has not come.
    Waiting,
    /// It can be sent.
    Ready,
    /// It waits for an older one of its key.
    Parked,
    /// It is not sent before it is released, nor is any behind it.
    Held,
    /// It is under way.
    InFlight,
}

/// One event.
#[derive(Debug, Clone)]
pub(super) struct Retry {
    /// Attempts made that count against its schedule.
    pub(super) attempts: u32,
    /// Attempts made that do not.
    pub(super) uncounted: u32,
    /// Probes that failed although the endpoint was reached.
    pub(super) refused: u32,
    pub(super) next_at: Timestamp,
    pub(super) key: Option<u64>,
    /// The event that matched before it, where that is known.
    pub(super) previous: Option<Sequence>,
    /// From when its age counts: when it was recorded, as far as that is known.
    pub(super) since: Timestamp,
    pub(super) last: Option<AttemptResult>,
    pub(super) system: bool,
    /// Whether a row of it may be stored.
    pub(super) stored: bool,
    /// Whether it waits to be released.
    pub(super) held: bool,
    state: State,
    changed: bool,
}

impl Retry {
    pub(super) fn new(attempts: u32, next_at: Timestamp, key: Option<u64>, since: Timestamp) -> Self {
        Self {
            attempts,
            uncounted: 0,
            refused: 0,
            next_at,
            key,
            previous: None,
            since,
            last: None,
            system: false,
            stored: false,
            held: false,
            state: State::Waiting,
            changed: false,
        }
    }

    pub(super) fn restored(row: &RetryRow, since: Timestamp) -> Self {
        let mut retry = Self::new(row.attempts, row.next_at, row.key, since);
        retry.previous = row.previous;
        retry.stored = true;
        retry
    }

    /// All attempts that were made.
    pub(super) fn made(&self) -> u32 {
        self.attempts.saturating_add(self.uncounted)
    }
}

/// How many retries are looked at for a probe.
const UNSENT_LOOKED_AT: usize = 256;

/// A lane's retries, by sequence.
#[derive(Debug, Default)]
pub(super) struct Retries {
    all: BTreeMap<Sequence, Retry>,
    /// Those that wait for their time.
    due: BTreeSet<(Timestamp, Sequence)>,
    ready: BTreeSet<Sequence>,
    /// Those that are ordered, by key.
    by_key: BTreeSet<(u64, Sequence)>,
    /// Of each key, the one that is not parked.
    active: NumberMap<u64, Sequence>,
    /// Those that are ordered.
    ordered: BTreeSet<Sequence>,
    in_flight: usize,
    /// Those of which the row must be written.
    changed: Vec<Sequence>,
}

impl Retries {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(super) fn contains(&self, sequence: Sequence) -> bool {
        self.all.contains_key(&sequence)
    }

    pub(super) fn get_mut(&mut self, sequence: Sequence) -> Option<&mut Retry> {
        self.all.get_mut(&sequence)
    }

    pub(super) fn has_key(&self, key: u64) -> bool {
        self.active.contains_key(&key)
    }

    pub(super) fn any_ordered(&self) -> bool {
        !self.ordered.is_empty()
    }

    fn first_of(&self, key: u64) -> Option<Sequence> {
        let from = (key, Sequence(0));
        self.by_key.range(from..).next().filter(|(of, _)| *of == key).map(|(_, sequence)| *sequence)
    }

    /// Takes one in, behind older ones of its key. Its row is written unless it is what is stored.
    pub(super) fn insert(&mut self, sequence: Sequence, mut retry: Retry) {
        if self.all.contains_key(&sequence) {
            return;
        }
        retry.state = State::Parked;
        let key = retry.key;
        let stored = retry.stored;
        self.all.insert(sequence, retry);
        match key {
            Some(key) => {
                self.by_key.insert((key, sequence));
                self.ordered.insert(sequence);
                self.line_up(key);
            }
            None => self.set_waiting(sequence),
        }
        if !stored {
            self.note_change(sequence);
        }
    }

    /// Sees to it that of a key the oldest is the one that is not parked. One that is under way is waited for.
    fn line_up(&mut self, key: u64) {
        let Some(first) = self.first_of(key) else { return };
        if let Some(active) = self.active.get(&key).copied() {
            if active == first || self.all.get(&active).is_some_and(|retry| retry.state == State::InFlight) {
                return;
            }
            self.set_parked(active);
        }
        self.active.insert(key, first);
        self.set_waiting(first);
    }

    fn set_parked(&mut self, sequence: Sequence) {
        let Some(retry) = self.all.get_mut(&sequence) else { return };
        self.due.remove(&(retry.next_at, sequence));
        self.ready.remove(&sequence);
        retry.state = State::Parked;
    }

    /// Waits for its time, which has come for one that was never tried.
    fn set_waiting(&mut self, sequence: Sequence) {
        let Some(retry) = self.all.get_mut(&sequence) else { return };
        if retry.held {
            retry.state = State::Held;
        } else if retry.attempts == 0 {
            retry.state = State::Ready;
            self.ready.insert(sequence);
        } else {
            retry.state = State::Waiting;
            self.due.insert((retry.next_at, sequence));
        }
    }

    /// Lets one go that was held.
    pub(super) fn release_held(&mut self, sequence: Sequence) {
        let Some(retry) = self.all.get_mut(&sequence) else { return };
        retry.held = false;
        if retry.state == State::Held {
            self.set_waiting(sequence);
        }
    }

    /// Whether there is one of a key that is newer.
    pub(super) fn has_newer(&self, key: u64, sequence: Sequence) -> bool {
        self.by_key.range((key, sequence)..=(key, Sequence(u64::MAX))).next().is_some()
    }

    fn note_change(&mut self, sequence: Sequence) {
        if let Some(retry) = self.all.get_mut(&sequence)
            && !std::mem::replace(&mut retry.changed, true)
        {
            self.changed.push(sequence);
        }
    }

    /// Those whose time has come can be sent.
    pub(super) fn wake(&mut self, now: Timestamp) {
        while let Some((at, sequence)) = self.due.first().copied()
            && at <= now
        {
            self.due.pop_first();
            self.set_ready(sequence);
        }
    }

    fn set_ready(&mut self, sequence: Sequence) {
        if let Some(retry) = self.all.get_mut(&sequence) {
            retry.state = State::Ready;
            self.ready.insert(sequence);
        }
    }

    /// All that wait for their time can be sent at once.
    pub(super) fn release(&mut self) {
        for (_, sequence) in std::mem::take(&mut self.due) {
            self.set_ready(sequence);
        }
    }

    /// When the next one's time comes.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The oldest that can be sent. If `strict`, of those that are ordered only the oldest of all counts.
    pub(super) fn first_ready(&self, strict: bool) -> Option<Sequence> {
        if !strict {
            return self.ready.first().copied();
        }
        let first = self.ordered.first();
        self.ready.iter().find(|sequence| Some(*sequence) == first || !self.ordered.contains(sequence)).copied()
    }

    /// Those that could be sent but for their time, oldest first, among the oldest of all.
    pub(super) fn unsent(&self) -> impl Iterator<Item = (Sequence, &Retry)> {
        let can = |retry: &Retry| matches!(retry.state, State::Waiting | State::Ready);
        let oldest = self.all.iter().take(UNSENT_LOOKED_AT);
        oldest.filter(move |(_, retry)| can(retry)).map(|(sequence, retry)| (*sequence, retry))
    }

    /// The oldest that is ordered, if it could be sent but for its time; and whether there is one at all.
    pub(super) fn first_ordered(&self) -> Option<(Sequence, bool)> {
        let first = self.ordered.first()?;
        let can = |retry: &Retry| matches!(retry.state, State::Waiting | State::Ready);
        let can = self.all.get(first).is_some_and(can);
        Some((*first, can))
    }

    /// The oldest of those that are not under way and whose age counts from `cutoff` or before; at most so many.
    pub(super) fn aged(&self, cutoff: Timestamp, most: usize) -> Vec<Sequence> {
        let aged = self.all.iter().filter(|(_, retry)| retry.state != State::InFlight && retry.since <= cutoff);
        aged.take(most).map(|(sequence, _)| *sequence).collect()
    }

    /// The oldest that is not under way.
    pub(super) fn oldest_idle(&self) -> Option<&Retry> {
        self.all.values().find(|retry| retry.state != State::InFlight)
    }

    /// Sends one.
    pub(super) fn take(&mut self, sequence: Sequence) -> Option<&mut Retry> {
        let retry = self.all.get_mut(&sequence)?;
        match retry.state {
            State::Ready => self.ready.remove(&sequence),
            State::Waiting => self.due.remove(&(retry.next_at, sequence)),
            State::Parked | State::Held | State::InFlight => return None,
        };
        retry.state = State::InFlight;
        self.in_flight += 1;
        Some(retry)
    }

    /// Whether one is under way, as this attempt.
    pub(super) fn is_in_flight(&self, sequence: Sequence, attempt: u32) -> bool {
        self.all
            .get(&sequence)
            .is_some_and(|retry| retry.state == State::InFlight && retry.made().saturating_add(1) == attempt)
    }

    /// One that was under way can be sent again.
    pub(super) fn give_back(&mut self, sequence: Sequence) {
        let Some(retry) = self.all.get_mut(&sequence).filter(|retry| retry.state == State::InFlight) else { return };
        self.in_flight -= 1;
        retry.state = State::Parked;
        let key = retry.key;
        match key {
            Some(key) if self.first_of(key) != Some(sequence) => {
                self.active.remove(&key);
                self.line_up(key);
            }
            _ => self.set_ready(sequence),
        }
    }

    /// One that was under way failed once more and waits until then.
    pub(super) fn fail(&mut self, sequence: Sequence, next_at: Timestamp) {
        let Some(retry) = self.all.get_mut(&sequence).filter(|retry| retry.state == State::InFlight) else { return };
        self.in_flight -= 1;
        retry.attempts = retry.attempts.saturating_add(1);
        retry.next_at = next_at;
        retry.state = State::Parked;
        match retry.key {
            Some(key) => {
                self.active.remove(&key);
                self.line_up(key);
            }
            None => self.set_waiting(sequence),
        }
        self.note_change(sequence);
    }

    /// Takes one out. The next of its key can be sent; the key is returned if there is none.
    pub(super) fn remove(&mut self, sequence: Sequence) -> Option<(Retry, Option<u64>)> {
        let retry = self.all.remove(&sequence)?;
        match retry.state {
            State::InFlight => self.in_flight -= 1,
            State::Ready => {
                self.ready.remove(&sequence);
            }
            State::Waiting => {
                self.due.remove(&(retry.next_at, sequence));
            }
            State::Parked | State::Held => {}
        }
        let mut freed = None;
        if let Some(key) = retry.key {
            self.by_key.remove(&(key, sequence));
            self.ordered.remove(&sequence);
            if self.active.get(&key) == Some(&sequence) {
                self.active.remove(&key);
            }
            self.line_up(key);
            freed = (!self.has_key(key)).then_some(key);
        }
        Some((retry, freed))
    }

    /// The rows to be written, for those that changed since it was asked last.
    pub(super) fn take_changes(&mut self, lane: LaneNo, rows: &mut Vec<RetryRow>) {
        for sequence in std::mem::take(&mut self.changed) {
            // One that was taken out meanwhile has nothing to write.
            let Some(retry) = self.all.get_mut(&sequence) else { continue };
            if !std::mem::replace(&mut retry.changed, false) {
                continue;
            }
            retry.stored = true;
            rows.push(RetryRow {
                lane,
                sequence,
                attempts: retry.attempts,
                next_at: retry.next_at,
                key: retry.key,
                previous: retry.previous,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn failed(next_s: i64, key: Option<u64>) -> Retry {
        Retry::new(1, at(next_s), key, at(0))
    }

    fn parked(key: u64) -> Retry {
        Retry::new(0, at(0), Some(key), at(0))
    }

    #[test]
    fn those_behind_one_of_their_key_follow_it_in_order_and_at_once() {
        let mut retries = Retries::default();
        retries.insert(Sequence(1), failed(5, Some(9)));
        retries.insert(Sequence(3), parked(9));
        retries.insert(Sequence(2), parked(9));
        retries.insert(Sequence(4), failed(1, None));
        assert_eq!(retries.next_due(), Some(at(1)));
        retries.wake(at(4));
        assert_eq!(retries.first_ready(false), Some(Sequence(4)));
        retries.remove(Sequence(4));
        assert_eq!(retries.first_ready(false), None);
        retries.wake(at(5));
        for (sequence, freed) in [(1, None), (2, None), (3, Some(9))] {
            assert_eq!(retries.first_ready(false), Some(Sequence(sequence)));
            assert!(retries.take(Sequence(sequence)).is_some());
            assert_eq!(retries.first_ready(false), None);
            assert_eq!(retries.remove(Sequence(sequence)).map(|(_, freed)| freed), Some(freed));
        }
        assert!(retries.is_empty() && !retries.any_ordered() && retries.in_flight() == 0);
    }

    #[test]
    fn an_older_one_that_comes_late_goes_first() {
        let mut retries = Retries::default();
        retries.insert(Sequence(5), failed(1, Some(9)));
        retries.insert(Sequence(4), failed(2, Some(9)));
        retries.wake(at(9));
        assert_eq!(retries.first_ready(false), Some(Sequence(4)));
        retries.take(Sequence(4));
        retries.insert(Sequence(3), failed(2, Some(9)));
        retries.fail(Sequence(4), at(3));
        retries.wake(at(9));
        assert_eq!(retries.first_ready(false), Some(Sequence(3)));
    }

    #[test]
    fn a_strict_lane_tries_the_oldest_or_waits_for_it() {
        let mut retries = Retries::default();
        retries.insert(Sequence(1), failed(9, Some(7)));
        retries.insert(Sequence(2), failed(1, Some(8)));
        retries.insert(Sequence(3), failed(2, None));
        retries.wake(at(1));
        assert_eq!(retries.first_ready(true), None);
        retries.wake(at(2));
        assert_eq!(retries.first_ready(true), Some(Sequence(3)));
        retries.wake(at(9));
        assert_eq!(retries.first_ready(true), Some(Sequence(1)));
    }

    #[test]
    fn rows_are_written_for_changes_and_only_for_what_is_still_there() {
        let mut retries = Retries::default();
        let mut rows = Vec::new();
        let row =
            RetryRow { lane: LaneNo(1), sequence: Sequence(1), attempts: 2, next_at: at(1), key: None, previous: None };
        retries.insert(Sequence(1), Retry::restored(&row, at(0)));
        retries.insert(Sequence(2), failed(1, None));
        retries.insert(Sequence(3), failed(1, None));
        assert!(retries.remove(Sequence(3)).is_some_and(|(retry, _)| !retry.stored));
        retries.take_changes(LaneNo(1), &mut rows);
        assert_eq!(rows.iter().map(|row| row.sequence.0).collect::<Vec<_>>(), [2]);
        rows.clear();
        retries.take(Sequence(1));
        retries.fail(Sequence(1), at(8));
        retries.take_changes(LaneNo(1), &mut rows);
        assert_eq!(rows, [RetryRow { attempts: 3, next_at: at(8), ..row }]);
        assert!(retries.remove(Sequence(2)).is_some_and(|(retry, _)| retry.stored));
    }
}
