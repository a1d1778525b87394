//! What a lane needs to be kept of it.

use tidings_event::delivery::ReplayProgress;
use tidings_event::{Position, Sequence, Timestamp};

use super::{GivenUp, Lane, Row, Source};
use crate::deliver::Limits;
use crate::deliver::clock::between;

/// What a commit writes of where a lane stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::deliver) enum Place {
    /// What is stored is right.
    AsStored,
    /// A row.
    Put(Sequence),
    /// No row any longer.
    Remove,
}

/// Marks of a lane at most; beyond that the newest takes what follows.
const MARKS_MAX: usize = 16;

impl<E: Clone> Lane<E> {
    /// Delivered events that no durable commit covers.
    pub(in crate::deliver) fn undurable(&self) -> usize {
        self.undurable as usize
    }

    /// The position that the checkpoint must stay below so that the lane needs no row, for a lane that is worth
    /// waiting for: it is fed from what is offered, its oldest event is young, and nothing of it is stored that lies
    /// above the checkpoint.
    pub(in crate::deliver) fn holds_back(
        &self,
        checkpoint: Position,
        limits: &Limits,
        now: Timestamp,
    ) -> Option<Position> {
        let oldest = self.window.oldest()?;
        let fresh = self.source == Source::Live
            && !self.is_replay()
            && self.runs()
            && self.circuit.is_closed()
            && oldest.position > checkpoint
            && self.failed_at < oldest.position
            && between(oldest.taken_at, now) < limits.hold;
        fresh.then_some(oldest.position)
    }

    /// Everything that matched at or below is settled, where that is known as a sequence.
    fn settled(&self) -> Option<Sequence> {
        match self.window.oldest() {
            Some(oldest) => Some(Sequence(oldest.sequence.0.saturating_sub(1))),
            None => self.read_to,
        }
    }

    /// Decides whether the lane needs a row beside this checkpoint, and takes note that it is written. At the end a row is
    /// worth more than waiting for the checkpoint to come by.
    pub(in crate::deliver) fn place(&mut self, checkpoint: Position, ends: bool) -> Place {
        let behind = self.window.oldest().is_some_and(|oldest| oldest.position <= checkpoint);
        // A retry above the checkpoint would be offered again after a crash; so would what was delivered and is covered
        // by a row that is there.
        let ahead =
            self.failed_at > checkpoint || ((ends || self.row != Row::None) && self.window.left_at() > checkpoint);
        let needs = behind || ahead || self.is_lagging() || self.is_replay();
        let settled = if needs { self.settled() } else { None };
        match (settled, self.row) {
            (Some(settled), Row::At(stored)) if settled == stored => Place::AsStored,
            (Some(settled), _) => {
                self.row = Row::At(settled);
                Place::Put(settled)
            }
            (None, Row::None) => Place::AsStored,
            (None, _) => {
                self.row = Row::None;
                Place::Remove
            }
        }
    }

    /// How many delivered events the commit that is being made covers. Called after `place`.
    pub(in crate::deliver) fn cover(&mut self, checkpoint: Position) -> u32 {
        let mut covered = std::mem::take(&mut self.retried);
        if self.row != Row::None {
            covered += std::mem::take(&mut self.left);
            covered += self.marks.drain(..).map(|(_, count)| count).sum::<u32>();
            return covered;
        }
        if self.left > 0 {
            let mark = (self.window.left_at(), std::mem::take(&mut self.left));
            let is_full = self.marks.len() >= MARKS_MAX;
            match self.marks.back_mut().filter(|_| is_full) {
                Some(last) => *last = (mark.0, last.1 + mark.1),
                None => self.marks.push_back(mark),
            }
        }
        while let Some((_, count)) = self.marks.pop_front_if(|(position, _)| *position <= checkpoint) {
            covered += count;
        }
        covered
    }

    /// Takes note that the commit that is being made holds what was given up; returns whether anything was.
    pub(in crate::deliver) fn write_given_up(&mut self) -> bool {
        let some = self.given_up == GivenUp::Noted;
        if some {
            self.given_up = GivenUp::Written;
        }
        some
    }

    /// What was covered is durable, and what was given up until that commit was made.
    pub(in crate::deliver) fn covered(&mut self, count: u32) {
        self.undurable = self.undurable.saturating_sub(count);
        if self.given_up == GivenUp::Written {
            self.given_up = GivenUp::Nothing;
        }
    }

    /// Whether the next commit has to look at it although nothing happens to it: it has no row, and something of it
    /// lies above the checkpoint.
    pub(in crate::deliver) fn is_open_ended(&self, checkpoint: Position) -> bool {
        let ahead = !self.marks.is_empty() || self.window.left_at() > checkpoint || self.failed_at > checkpoint;
        match self.row {
            Row::None => !self.window.is_empty() || !self.marks.is_empty(),
            // A row that is kept only because the checkpoint has not come by.
            _ => self.source == Source::Live && !self.is_replay() && self.window.is_empty() && ahead,
        }
    }

    /// What a replay did since it was asked last.
    pub(in crate::deliver) fn take_progress(&mut self) -> Option<ReplayProgress> {
        let replay = self.spec.lane.replay()?;
        let delivered = std::mem::take(&mut self.delivered);
        let dead = std::mem::take(&mut self.dead);
        let done = self.is_finished();
        (delivered > 0 || dead > 0 || done).then_some(ReplayProgress { replay, delivered, dead, done })
    }
}
