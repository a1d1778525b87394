//! What a router writes, and when.

use tidings_event::delivery::{LaneRow, RouteCommit};
use tidings_event::{LaneNo, Position, Sequence, Timestamp};

use super::Router;
use crate::deliver::Notice;
use crate::deliver::circuit::Change;
use crate::deliver::clock::after;
use crate::deliver::hash::NumberSet;
use crate::deliver::lane::Place;

impl<E: Clone> Router<E> {
    /// Whether it is time to commit. Never while a commit is being written.
    #[must_use]
    pub fn commit_due(&self, now: Timestamp) -> bool {
        if self.committing.is_some() {
            return false;
        }
        let urgent = self.pressed || self.pending.attempts.len() >= self.limits.uncommitted_max / 2;
        // A moment before the last commit: the clock was set back.
        let since = |wait| after(self.committed_at, wait) <= now || now < self.committed_at;
        urgent
            || (self.has_changes() && since(self.limits.tick))
            || (self.routed > self.checkpoint && since(self.limits.checkpoint_every))
    }

    /// What must be written now; nothing if nothing changed. One at a time: until [`Router::committed`] there is no
    /// next. One that fails is written again as it is, until it is durable or the router has lost its partition; what
    /// happens meanwhile goes into the next.
    pub fn commit(&mut self, now: Timestamp) -> Option<(RouteCommit, Vec<Notice>)> {
        if self.committing.is_some() {
            return None;
        }
        self.tick(now);
        self.expire(now);
        let pressed = std::mem::take(&mut self.pressed);
        self.committed_at = now;
        let dirty = std::mem::take(&mut self.turns.dirty);
        let checkpoint = self.next_checkpoint(&dirty, pressed, now);
        let mut commit = RouteCommit {
            partition: self.partition,
            epoch: self.epoch,
            checkpoint,
            lanes: Vec::new(),
            caught_up: Vec::new(),
            retries: Vec::new(),
            settled: Vec::new(),
            dead: std::mem::take(&mut self.pending.dead),
            attempts: std::mem::take(&mut self.pending.attempts),
            circuits: Vec::new(),
            closed: Vec::new(),
            disabled: std::mem::take(&mut self.pending.disabled),
            redriven: std::mem::take(&mut self.pending.redriven),
            replays: Vec::new(),
            ended: std::mem::take(&mut self.pending.ended),
        };
        let mut covers = Vec::new();
        for no in dirty {
            self.keep(no, &mut commit, &mut covers);
        }
        self.finish_replays(&mut commit);
        let settled = std::mem::take(&mut self.pending.settled);
        // What is among the retries again is not taken away.
        let gone = |(no, sequence): &(LaneNo, Sequence)| {
            self.lanes.get(no).is_none_or(|lane| !lane.retries.contains(*sequence))
        };
        commit.settled = settled.into_iter().filter(gone).collect();
        let notices = self.pending.take_notices();
        if checkpoint == self.checkpoint && notices.is_empty() && is_empty(&commit) {
            // What is covered by what is durable already is so now.
            self.note_covered(covers);
            return None;
        }
        self.checkpoint = checkpoint;
        self.committing = Some(covers);
        self.ending.clone_from(&commit.ended);
        self.dying = self.redriven.given_up(&commit.dead);
        Some((commit, notices))
    }

    /// The checkpoint is held back for lanes that are worth waiting for. The others get a row.
    fn next_checkpoint(&self, dirty: &[LaneNo], pressed: bool, now: Timestamp) -> Position {
        let mut checkpoint = self.routed;
        if !pressed {
            for no in dirty {
                let Some(lane) = self.lanes.get(no) else { continue };
                if let Some(position) = lane.holds_back(self.checkpoint, &self.limits, now) {
                    checkpoint = checkpoint.min(Position(position.0.saturating_sub(1)));
                }
            }
        }
        checkpoint.max(self.checkpoint)
    }

    /// Writes into a commit what must be kept of one lane.
    fn keep(&mut self, no: LaneNo, commit: &mut RouteCommit, covers: &mut Vec<(LaneNo, u32)>) {
        let Some(lane) = self.lanes.get_mut(&no) else { return };
        lane.dirty = false;
        match lane.place(commit.checkpoint, self.draining) {
            Place::AsStored => {}
            Place::Put(settled) => commit.lanes.push(LaneRow { lane: no, tenant: lane.spec.tenant, settled }),
            Place::Remove => commit.caught_up.push(no),
        }
        lane.retries.take_changes(no, &mut commit.retries);
        match lane.circuit.take_change(no) {
            Some(Change::Put(row)) => commit.circuits.push(row),
            Some(Change::Remove) => commit.closed.push(no),
            None => {}
        }
        if let Some(progress) = lane.take_progress() {
            if progress.done {
                self.turns.finished.push(no);
            }
            commit.replays.push(progress);
        }
        let covered = lane.cover(commit.checkpoint);
        let given_up = lane.write_given_up();
        if covered > 0 || given_up {
            covers.push((no, covered));
        }
        lane.window.shrink();
        if lane.is_open_ended(commit.checkpoint) {
            lane.dirty = true;
            self.turns.dirty.push(no);
        }
    }

    fn finish_replays(&mut self, commit: &mut RouteCommit) {
        let finished: NumberSet<LaneNo> = std::mem::take(&mut self.turns.finished).into_iter().collect();
        if finished.is_empty() {
            return;
        }
        for no in &finished {
            let Some(lane) = self.lanes.remove(no) else { continue };
            if let Some(at) = lane.wake {
                self.turns.timers.remove(&(at, *no));
            }
            if let Some(replay) = no.replay() {
                self.pending.notice(Notice::ReplayFinished { replay, endpoint: lane.spec.endpoint });
            }
            self.pending.forget_lane(*no);
            commit.ended.push(*no);
        }
        commit.lanes.retain(|row| !finished.contains(&row.lane));
        commit.retries.retain(|row| !finished.contains(&row.lane));
        commit.circuits.retain(|row| !finished.contains(&row.lane));
        commit.caught_up.retain(|no| !finished.contains(no));
        commit.closed.retain(|no| !finished.contains(no));
    }

    /// Gives up what is too old behind circuits that are open for too long, as much as fits into one commit.
    fn expire(&mut self, now: Timestamp) {
        let mut room = self.limits.expired_max;
        for no in std::mem::take(&mut self.turns.expiring) {
            let Some(lane) = self.lanes.get_mut(&no) else { continue };
            room -= lane.expire(room, &self.limits, now, &mut self.pending);
            self.touch(no, now);
        }
    }

    /// The commit that was made last is durable.
    pub fn committed(&mut self) {
        self.redriven.committed();
        self.ending.clear();
        for key in std::mem::take(&mut self.dying) {
            self.redriven.forget(&key);
        }
        let covers = self.committing.take().unwrap_or_default();
        self.note_covered(covers);
    }

    fn note_covered(&mut self, covers: Vec<(LaneNo, u32)>) {
        for (no, count) in covers {
            let Some(lane) = self.lanes.get_mut(&no) else { continue };
            lane.covered(count);
            self.refresh(no, self.now);
        }
    }
}

fn is_empty(commit: &RouteCommit) -> bool {
    let RouteCommit {
        partition: _,
        epoch: _,
        checkpoint: _,
        lanes,
        caught_up,
        retries,
        settled,
        dead,
        attempts,
        circuits,
        closed,
        disabled,
        redriven,
        replays,
        ended,
    } = commit;
    lanes.is_empty()
        && caught_up.is_empty()
        && retries.is_empty()
        && settled.is_empty()
        && dead.is_empty()
        && attempts.is_empty()
        && circuits.is_empty()
        && closed.is_empty()
        && disabled.is_empty()
        && redriven.is_empty()
        && replays.is_empty()
        && ended.is_empty()
}
