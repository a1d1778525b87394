//! What a lane sends next.

use tidings_event::{Sequence, Timestamp};

use super::{GivenUp, Lane};
use crate::deliver::{Limits, Ordering, Send};

/// An event that may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::deliver) enum Pick {
    Slot(Sequence),
    Retry(Sequence),
}

impl<E: Clone> Lane<E> {
    /// The event that may be sent now, if any.
    pub(in crate::deliver) fn pick(&mut self, limits: &Limits, now: Timestamp) -> Option<Pick> {
        let undurable = self.undurable as usize + self.in_flight();
        if !self.runs() || self.paused_until.is_some_and(|at| at > now) || undurable >= limits.undurable_max {
            return None;
        }
        if self.given_up != GivenUp::Nothing {
            return None;
        }
        let nothing = self.window.is_empty() && self.retries.is_empty();
        if nothing || self.rate.as_ref().is_some_and(|rate| rate.wait_until(now).is_some()) {
            return None;
        }
        if self.circuit.is_open() {
            return if self.circuit.probe_at()? <= now { self.pick_probe() } else { None };
        }
        let strict = self.spec.ordering == Ordering::Strict;
        let most = if strict { 1 } else { usize::from(self.concurrency.limit()) };
        if !self.circuit.is_closed() || self.in_flight() >= most {
            return None;
        }
        let retry = self.retries.first_ready(strict);
        let slot = if self.has_room_for_retries(limits) { self.window.first_ready() } else { None };
        match (retry, slot) {
            (Some(retry), Some(slot)) if slot < retry => Some(Pick::Slot(slot)),
            (Some(retry), _) => Some(Pick::Retry(retry)),
            (None, slot) => slot.map(Pick::Slot),
        }
    }

    /// The event to probe with: the oldest, retries first. One that failed although the endpoint was
    /// reached comes after the others, or an event that can never be delivered would keep a healthy endpoint's circuit open.
    fn pick_probe(&mut self) -> Option<Pick> {
        if self.spec.ordering == Ordering::Strict
            && let Some((first, can)) = self.retries.first_ordered()
        {
            return can.then_some(Pick::Retry(first));
        }
        let retries = self.retries.unsent().take(self.probe_choice);
        let retries = retries.map(|(sequence, retry)| ((retry.refused, false, sequence), Pick::Retry(sequence)));
        let choice = if self.spec.ordering == Ordering::Strict { 1 } else { self.probe_choice };
        let slots = self.window.all_ready().take(choice);
        let slots = slots.map(|slot| ((slot.refused, true, slot.sequence), Pick::Slot(slot.sequence)));
        retries.chain(slots).min_by_key(|(rank, _)| *rank).map(|(_, pick)| pick)
    }

    /// Sends it.
    pub(in crate::deliver) fn send(&mut self, pick: Pick, now: Timestamp) -> Option<Send<E>> {
        let (attempt, previous, sequence, payload) = match pick {
            Pick::Slot(sequence) => {
                let slot = self.window.take(sequence)?;
                (slot.uncounted, slot.previous, sequence, slot.payload.clone())
            }
            Pick::Retry(sequence) => {
                let retry = self.retries.take(sequence)?;
                (retry.made(), retry.previous, sequence, None)
            }
        };
        let previous = if self.spec.ordering == Ordering::Strict { self.last_got } else { previous };
        // A dead letter that is delivered after all may come after what it stands before.
        let previous = previous.filter(|previous| *previous < sequence);
        self.circuit.probe(sequence);
        if let Some(rate) = &mut self.rate {
            rate.take(now);
        }
        Some(Send {
            lane: self.spec.lane,
            endpoint: self.spec.endpoint,
            tenant: self.spec.tenant,
            sequence,
            attempt: attempt.saturating_add(1),
            previous,
            payload,
        })
    }
}
