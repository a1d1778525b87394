//! What becomes of an event once its attempt has ended.

use std::time::Duration;

use tidings_event::delivery::{AttemptResult, DeadReason, DeadRow, DisableReason};
use tidings_event::{Sequence, Timestamp};

use super::{GivenUp, Lane, PARKED_MAX, STRICT};
use crate::deliver::answer::{Verdict, judge};
use crate::deliver::circuit::Waits;
use crate::deliver::clock::{self, after};
use crate::deliver::commit::Pending;
use crate::deliver::retries::Retry;
use crate::deliver::window::State;
use crate::deliver::{Answer, Limits, Notice, Ordering};

/// How many keys are looked at at once when retries have room again.
const KEYS_AT_ONCE: usize = 64;

/// What an attempt that ended is judged with.
pub(in crate::deliver) struct Ended<'a> {
    pub(in crate::deliver) answer: &'a Answer,
    pub(in crate::deliver) dice: u64,
    pub(in crate::deliver) now: Timestamp,
    pub(in crate::deliver) limits: &'a Limits,
}

impl<E: Clone> Lane<E> {
    /// Whether an event is under way as this attempt.
    pub(in crate::deliver) fn is_under_way(&self, sequence: Sequence, attempt: u32) -> bool {
        self.retries.is_in_flight(sequence, attempt) || self.slot_under_way(sequence, attempt)
    }

    fn slot_under_way(&self, sequence: Sequence, attempt: u32) -> bool {
        self.window
            .get(sequence)
            .is_some_and(|slot| slot.state == State::InFlight && slot.uncounted.saturating_add(1) == attempt)
    }

    /// An attempt that was under way has ended.
    pub(in crate::deliver) fn answered(
        &mut self,
        sequence: Sequence,
        attempt: u32,
        ended: &Ended<'_>,
        pending: &mut Pending,
    ) {
        let Ended { answer, dice, now, limits } = *ended;
        let verdict = judge(answer.result);
        let is_slot = self.slot_under_way(sequence, attempt);
        let is_probe = self.circuit.is_probe(sequence);
        let overloaded = matches!(verdict, Verdict::Failed { throttled: true, .. });
        self.concurrency.answered(answer.duration, verdict == Verdict::Delivered, overloaded);
        match verdict {
            Verdict::Delivered => self.delivered(sequence, is_slot, is_probe, limits, now, pending),
            Verdict::Gone => {
                self.note_last(sequence, is_slot, true, answer.result, false);
                if is_slot {
                    self.window.give_back(sequence);
                } else {
                    self.retries.give_back(sequence);
                }
                if is_probe {
                    self.circuit.forget_probe(now);
                }
                self.stop(DisableReason::Gone, pending);
            }
            Verdict::Failed { throttled, reached } => {
                let wait =
                    answer.retry_after.filter(|_| throttled && matches!(answer.result, AttemptResult::Status(_)));
                let wait = wait.map(|wait| wait.min(self.spec.schedule.span())).filter(|wait| !wait.is_zero());
                self.note_last(sequence, is_slot, is_probe, answer.result, reached && is_probe);
                let one_too_many = self.one_too_many(attempt, answer.result, limits);
                self.note_failure(sequence, is_slot, one_too_many, is_probe, wait, ended, pending);
                if is_slot {
                    self.fail_slot(sequence, wait, dice, limits, now, pending);
                } else if is_probe {
                    self.retries.give_back(sequence);
                } else {
                    self.fail_retry(sequence, wait, dice, limits, now, pending);
                }
            }
        }
        self.park_what_waits(limits, now);
    }

    /// Writes down how an event's last attempt ended; `uncounted` says whether it is left out of its schedule.
    fn note_last(&mut self, sequence: Sequence, is_slot: bool, uncounted: bool, result: AttemptResult, refused: bool) {
        if is_slot {
            if let Some(slot) = self.window.get_mut(sequence) {
                slot.last = Some(result);
                slot.refused += u32::from(refused);
                slot.uncounted = slot.uncounted.saturating_add(1);
            }
        } else {
            if let Some(retry) = self.retries.get_mut(sequence) {
                retry.last = Some(result);
                retry.refused += u32::from(refused);
                retry.uncounted = retry.uncounted.saturating_add(u32::from(uncounted));
            }
        }
    }

    fn delivered(
        &mut self,
        sequence: Sequence,
        is_slot: bool,
        is_probe: bool,
        limits: &Limits,
        now: Timestamp,
        pending: &mut Pending,
    ) {
        self.circuit.delivered();
        if is_probe {
            if let Some(open_for) = self.circuit.close(now) {
                let (endpoint, lane) = (self.spec.endpoint, self.spec.lane);
                pending.notice(Notice::CircuitClosed { endpoint, lane, open_for });
            }
            self.concurrency.restart();
            self.retries.release();
        }
        self.last_got = Some(sequence);
        self.delivered += 1;
        self.undurable += 1;
        if is_slot {
            self.settle_slot(sequence, true, limits, now);
        } else {
            self.settle_retry(sequence, true, pending);
        }
    }

    /// How many failures in a row open the circuit, counting this one; none where this one does not count.
    fn one_too_many(&self, attempt: u32, result: AttemptResult, limits: &Limits) -> Option<u32> {
        match self.spec.ordering {
            // What waits behind it is all that the lane has, and nothing was delivered since it failed.
            Ordering::Entity if attempt > 1 && self.retries.len() >= PARKED_MAX => Some(1),
            Ordering::None | Ordering::Entity => (attempt == 1).then_some(limits.open_after),
            // Nothing else can show whether the endpoint is there, and only a probe finds it soon.
            Ordering::Strict if matches!(result, AttemptResult::Failed(_)) => Some(1),
            Ordering::Strict => Some(limits.open_after),
        }
    }

    /// What a failure means for the lane.
    #[expect(clippy::too_many_arguments, reason = "each says another thing about one attempt")]
    fn note_failure(
        &mut self,
        sequence: Sequence,
        is_slot: bool,
        one_too_many: Option<u32>,
        is_probe: bool,
        wait: Option<Duration>,
        ended: &Ended<'_>,
        pending: &mut Pending,
    ) {
        let Ended { answer, dice, now, limits } = *ended;
        let waits = Waits { min: limits.probe_min, max: limits.probe_max };
        let until = wait.map(|wait| after(now, wait));
        if is_probe {
            self.circuit.probe_failed(answer.result, waits, until, dice, now);
            return;
        }
        let system = if is_slot {
            self.window.get(sequence).is_some_and(|slot| slot.system)
        } else {
            self.retries.get_mut(sequence).is_some_and(|retry| retry.system)
        };
        if one_too_many.is_some_and(|failures| self.circuit.failed(system, failures)) {
            if self.circuit.open(answer.result, waits, until, dice, now) {
                let (endpoint, lane) = (self.spec.endpoint, self.spec.lane);
                pending.notice(Notice::CircuitOpened { endpoint, lane, last: answer.result });
            }
        } else if let Some(until) = until {
            self.circuit.throttle(until, answer.result, now);
        }
    }

    fn fail_slot(
        &mut self,
        sequence: Sequence,
        wait: Option<Duration>,
        dice: u64,
        limits: &Limits,
        now: Timestamp,
        pending: &mut Pending,
    ) {
        if self.circuit.is_open() {
            // The endpoint failed, not the event: it stays where it is and costs nothing.
            self.window.give_back(sequence);
            self.stand_still();
            return;
        }
        let Some(slot) = self.window.get(sequence) else { return };
        self.failed_at = self.failed_at.max(slot.position);
        match self.spec.schedule.delay(1, dice) {
            None => self.give_up(sequence, DeadReason::Exhausted, limits, now, pending),
            Some(delay) => {
                let next_at = after(now, delay.max(wait.unwrap_or_default()));
                let mut retry = Retry::new(1, next_at, self.retry_key(slot.entity), slot.recorded_at);
                retry.uncounted = slot.uncounted.saturating_sub(1);
                retry.refused = slot.refused;
                retry.previous = slot.previous;
                retry.last = slot.last;
                retry.system = slot.system;
                self.retries.insert(sequence, retry);
                self.settle_slot(sequence, false, limits, now);
            }
        }
    }

    fn fail_retry(
        &mut self,
        sequence: Sequence,
        wait: Option<Duration>,
        dice: u64,
        limits: &Limits,
        now: Timestamp,
        pending: &mut Pending,
    ) {
        let Some(retry) = self.retries.get_mut(sequence) else { return };
        match self.spec.schedule.delay(retry.attempts.saturating_add(1), dice) {
            None => {
                retry.attempts = retry.attempts.saturating_add(1);
                self.give_up(sequence, DeadReason::Exhausted, limits, now, pending);
            }
            Some(delay) => self.retries.fail(sequence, after(now, delay.max(wait.unwrap_or_default()))),
        }
    }

    /// The payload of an event that was to be sent could not be read, or is no more.
    pub(in crate::deliver) fn unsent(
        &mut self,
        sequence: Sequence,
        attempt: u32,
        gone: bool,
        limits: &Limits,
        now: Timestamp,
        pending: &mut Pending,
    ) {
        let again_at = after(now, limits.pause);
        if self.circuit.is_probe(sequence) {
            self.circuit.forget_probe(if gone { now } else { again_at });
        }
        if gone {
            self.give_up(sequence, DeadReason::Undeliverable, limits, now, pending);
        } else {
            self.paused_until = Some(again_at);
            if self.slot_under_way(sequence, attempt) {
                self.window.give_back(sequence);
            } else {
                self.retries.give_back(sequence);
            }
        }
        if self.circuit.is_open() || !self.runs() {
            self.stand_still();
        }
        self.park_what_waits(limits, now);
    }

    /// Writes an event off, wherever it is.
    fn give_up(
        &mut self,
        sequence: Sequence,
        reason: DeadReason,
        limits: &Limits,
        now: Timestamp,
        pending: &mut Pending,
    ) {
        let (attempts, last, system, is_slot) = if let Some(retry) = self.retries.get_mut(sequence) {
            (retry.made(), retry.last, retry.system, false)
        } else if let Some(slot) = self.window.get(sequence) {
            self.failed_at = self.failed_at.max(slot.position);
            (slot.uncounted, slot.last, slot.system, true)
        } else {
            return;
        };
        let row = DeadRow {
            endpoint: self.spec.endpoint,
            tenant: self.spec.tenant,
            sequence,
            attempts,
            last,
            reason,
            died_at: now,
        };
        pending.give_up(row, system);
        self.dead += 1;
        if self.spec.ordering != Ordering::None {
            self.given_up = GivenUp::Noted;
        }
        if is_slot {
            self.settle_slot(sequence, false, limits, now);
        } else {
            self.settle_retry(sequence, false, pending);
        }
    }

    fn settle_slot(&mut self, sequence: Sequence, delivered: bool, limits: &Limits, now: Timestamp) {
        let (freed, left) = self.window.settle(sequence, delivered);
        self.left += left;
        if let Some(key) = freed {
            if !self.waits(key) {
                self.window.unblock(key);
            } else if self.spec.ordering == Ordering::Entity {
                self.park(key, limits, now);
            }
        }
    }

    fn settle_retry(&mut self, sequence: Sequence, delivered: bool, pending: &mut Pending) {
        let Some((retry, freed)) = self.retries.remove(sequence) else { return };
        if retry.stored {
            pending.settled.push((self.spec.lane, sequence));
        }
        if delivered {
            // Nothing durable covers it while an older event is not settled, or while it is still to be read again.
            match self.known.get_mut(&sequence) {
                Some(known) => *known = true,
                None if self.window.deliver_settled(sequence) => {}
                None => self.retried += 1,
            }
        }
        match (self.spec.ordering, freed) {
            (Ordering::Entity, Some(key)) => self.window.unblock(key),
            (Ordering::Strict, _) if !self.retries.any_ordered() => self.window.unblock(STRICT),
            _ => {}
        }
    }

    /// Puts blocked events of a key behind the retry that they wait for, as far as there is room.
    fn park(&mut self, key: u64, limits: &Limits, now: Timestamp) {
        while let Some(sequence) = self.window.parkable(key) {
            if !self.has_room_to_park(limits) {
                self.unparked = true;
                return;
            }
            let Some(slot) = self.window.get(sequence) else { return };
            let mut retry = Retry::new(0, now, Some(key), slot.recorded_at);
            retry.uncounted = slot.uncounted;
            retry.system = slot.system;
            retry.previous = slot.previous;
            self.failed_at = self.failed_at.max(slot.position);
            self.retries.insert(sequence, retry);
            let (_, left) = self.window.settle(sequence, false);
            self.left += left;
        }
    }

    /// Parks what had to stay in the window for want of room.
    fn park_what_waits(&mut self, limits: &Limits, now: Timestamp) {
        if !self.unparked || self.spec.ordering != Ordering::Entity || !self.has_room_to_park(limits) {
            return;
        }
        self.unparked = false;
        let keys = self.window.blocked_keys(KEYS_AT_ONCE);
        self.unparked = keys.len() == KEYS_AT_ONCE;
        for key in keys {
            if self.waits(key) {
                self.park(key, limits, now);
            }
        }
    }

    /// When the oldest event has waited for too long behind an open circuit.
    pub(in crate::deliver) fn expires_at(&self) -> Option<Timestamp> {
        let span = self.spec.schedule.span();
        let open = after(self.circuit.failing_since()?, span);
        let retry = self.retries.oldest_idle().map(|retry| retry.since);
        let slot = self.window.oldest().map(|slot| slot.recorded_at);
        let oldest = clock::earlier(retry, slot);
        Some(oldest.map_or(open, |oldest| open.max(after(oldest, span))))
    }

    /// Gives up what is too old behind a circuit that is open for too long; at most `most`. Returns how many.
    pub(in crate::deliver) fn expire(
        &mut self,
        most: usize,
        limits: &Limits,
        now: Timestamp,
        pending: &mut Pending,
    ) -> usize {
        let span = self.spec.schedule.span();
        if !self.runs() || !self.failing_for(span, now) {
            return 0;
        }
        let cutoff = clock::shifted(now, -i64::try_from(span.as_micros()).unwrap_or(i64::MAX));
        let mut aged = self.retries.aged(cutoff, most);
        aged.extend(self.window.aged(cutoff, most));
        aged.sort_unstable();
        aged.truncate(most);
        for sequence in &aged {
            self.give_up(*sequence, DeadReason::Expired, limits, now, pending);
        }
        self.park_what_waits(limits, now);
        aged.len()
    }
}
