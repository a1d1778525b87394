//! What a lane reads from the log.

use tidings_event::{Sequence, Timestamp};

use super::{Lane, Reading, Source};
use crate::deliver::clock::after;
use crate::deliver::{Limits, Ordering, Read, ReadDone};

impl<E: Clone> Lane<E> {
    /// Whether it asks for a piece of the log.
    pub(in crate::deliver) fn wants_read(&self, limits: &Limits, now: Timestamp) -> bool {
        if !self.runs() || !self.is_lagging() || self.is_reading() || self.read_after.is_some_and(|at| at > now) {
            return false;
        }
        if self.has_read_all() {
            return false;
        }
        if self.circuit.is_open() {
            // It needs something to probe with, or to give up.
            let failing = self.failing_for(self.spec.schedule.span(), now);
            let probe_due = self.circuit.probe_at().is_some_and(|at| at <= now);
            return (probe_due && self.lacks_probes(limits)) || (failing && self.window.is_empty());
        }
        self.circuit.is_closed() && self.window.len() <= limits.window / 2
    }

    /// Whether it has nothing to probe with but what failed before although the endpoint was reached.
    fn lacks_probes(&self, limits: &Limits) -> bool {
        if self.in_flight() > 0 || self.window.len() > limits.window / 2 {
            return false;
        }
        let mut retries = self.retries.unsent();
        let mut slots = self.window.all_ready();
        if self.spec.ordering == Ordering::Strict {
            return retries.next().is_none() && slots.next().is_none();
        }
        !retries.any(|(_, retry)| retry.refused == 0) && !slots.any(|slot| slot.refused == 0)
    }

    /// Begins a read.
    pub(in crate::deliver) fn begin_read(&mut self, limits: &Limits, now: Timestamp) -> Read {
        self.reading = Reading::Yes;
        let probes = self.circuit.is_open() && !self.failing_for(self.spec.schedule.span(), now);
        let room = limits.window.saturating_sub(self.window.len()).max(1);
        let limit = if probes { room.min(self.probe_choice) } else { room };
        Read {
            lane: self.spec.lane,
            tenant: self.spec.tenant,
            after: self.read_to.unwrap_or(Sequence(0)),
            upto: self.spec.end,
            limit,
        }
    }

    /// Takes what a read brought.
    pub(in crate::deliver) fn end_read(&mut self, done: Option<ReadDone<E>>, limits: &Limits, now: Timestamp) {
        let reading = std::mem::replace(&mut self.reading, Reading::No);
        if reading == Reading::Stale {
            return;
        }
        let Some(done) = done else {
            self.read_after = Some(after(now, limits.pause));
            return;
        };
        self.read_after = None;
        let before = self.read_to;
        let mut whole = true;
        for item in done.items {
            if self.read_to.is_some_and(|read_to| item.sequence <= read_to) {
                continue;
            }
            if self.window.len() >= limits.window {
                whole = false;
                break;
            }
            self.admit(item, limits, now);
        }
        if whole {
            self.read_to = self.read_to.max(Some(done.upto));
        }
        let Source::Lagging { skipped_to } = self.source else { return };
        if whole && done.at_head && skipped_to <= self.read_to && !self.is_replay() {
            self.source = Source::Live;
            // What was restored and not met by now is nowhere in the log.
            for (sequence, delivered) in std::mem::take(&mut self.known) {
                self.retries.release_held(sequence);
                self.retried += u32::from(delivered);
            }
        } else if self.read_to == before {
            // It read what was there and yet has to go on: what it waits for is not to be seen yet.
            self.read_after = Some(after(now, limits.tick));
        }
    }
}
