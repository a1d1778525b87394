//! New events: from the tail to the lanes that want them.

use std::sync::Arc;
use std::time::Duration;

use tidings_event::{EndpointNo, Position, Revision, Sequence, Timestamp};
use tidings_store::{ReadLimit, RoutingChanges};
use tokio::time::Instant;

use super::owner::Ended;
use super::read::item;
use super::run::{Done, Run, spawn};
use super::traced;
use crate::FeedEvent;
use crate::tail::Stretch;

/// Events that are routed before answers and sends get their turn.
const STRETCH: usize = 256;
/// What one read of the log takes where memory begins later.
const FETCH: ReadLimit = ReadLimit { events: 1_000, bytes: 4 * 1024 * 1024 };
/// How far the router reads the log ahead of lanes that all lag, in positions.
const AHEAD: u64 = 1_000;
/// How far back what was read from the log is kept once memory has taken over, in positions.
const FORGET_AFTER: u64 = 4_000;
/// How long to wait after the log or the subscriptions could not be read.
const PAUSE: Duration = Duration::from_millis(100);
/// How soon redriven events are asked for again after there were some: not all may have found room.
const REDRIVES_EVERY: Duration = Duration::from_secs(1);

impl Run {
    /// Routes some of what is new. Returns whether there may be more at once.
    pub(super) fn route(&mut self, now: Timestamp) -> Result<bool, Ended> {
        if self.stretch.is_none() && !self.look()? {
            return Ok(false);
        }
        let Some(stretch) = self.stretch.take() else { return Ok(false) };
        // Endpoints that were changed before the last of these events must be known as they were changed.
        if stretch.revision > self.routing.revision {
            self.bring_up_to_date(stretch.revision);
            self.stretch = Some(stretch);
            return Ok(false);
        }
        for event in &stretch.events {
            self.routing.index.matches(&event.recorded, &mut self.lanes);
            if let Some(context) = self.means.tracer.of(&event.recorded.event) {
                traced::routed(&self.means.tracer, context, &event.recorded, self.lanes.len());
            }
            if !self.lanes.is_empty() {
                self.router.offer(&item(event, self.partition), event.recorded.tenant_no, &self.lanes, now);
            }
        }
        if let Some(last) = stretch.events.last() {
            self.router.advance(last.recorded.position);
        }
        Ok(true)
    }

    /// Takes what memory holds next. Where memory begins later, has the log read; returns whether there is anything.
    fn look(&mut self) -> Result<bool, Ended> {
        let mark = *self.mark.borrow_and_update();
        let routed = self.router.routed();
        let stretch = self.means.tail.after(self.partition, routed, STRETCH);
        if stretch.resets != self.resets {
            return Err(Ended::Unsure("the log is shorter than it was".to_owned()));
        }
        if !stretch.events.is_empty() {
            self.forget_history(routed);
            self.stretch = Some(stretch);
            return Ok(true);
        }
        self.bring_up_to_date(stretch.revision);
        if mark.end > routed && !self.fetching && Instant::now() >= self.fetch_at && self.is_wanted(routed) {
            self.fetching = true;
            let (means, partition, resets) = (self.means.clone(), self.partition, self.resets);
            spawn(&self.results, async move {
                let slice = means.store.tail(partition, routed, FETCH).await;
                Done::Fetched(slice.map(|slice| Stretch {
                    events: slice.events.into_iter().map(|event| Arc::new(FeedEvent::new(event))).collect(),
                    revision: slice.revision,
                    resets,
                }))
            });
        }
        Ok(false)
    }

    /// Whether going on reading the log is worth it now. Where all lanes lag, each reads for itself; going far ahead of
    /// them would only have everything read twice.
    fn is_wanted(&mut self, routed: Position) -> bool {
        if self.paced {
            return false;
        }
        if self.reached.get() + AHEAD >= routed.get() {
            return true;
        }
        // Asked last, as it looks at every lane.
        let census = self.router.census();
        self.paced = census.lanes > 0 && census.lagging == census.lanes;
        !self.paced
    }

    /// Lets go of what was read from the log, once it lies far behind.
    fn forget_history(&self, routed: Position) {
        let mut history = self.history.write();
        if !history.is_empty() && history.end().get() + FORGET_AFTER < routed.get() {
            history.clear(routed);
        }
    }

    /// Keeps what was read from the log for lanes that come after.
    fn remember(&self, events: &[Arc<FeedEvent>]) {
        let Some(before) = events.first().map(|event| Position(event.recorded.position.get().saturating_sub(1))) else {
            return;
        };
        let mut history = self.history.write();
        if history.end() != before {
            history.clear(before);
        }
        events.iter().for_each(|event| history.push(event.clone()));
    }

    /// Takes what was read from the log.
    pub(super) fn fetched(&mut self, fetched: tidings_store::Result<Stretch>) {
        self.fetching = false;
        match fetched {
            Ok(stretch) if !stretch.events.is_empty() => {
                self.remember(&stretch.events);
                self.stretch = Some(stretch);
            }
            Ok(_) => self.fetch_at = Instant::now() + PAUSE,
            Err(error) => {
                tracing::debug!(partition = %self.partition, %error, "the log cannot be read");
                self.fetch_at = Instant::now() + PAUSE;
            }
        }
    }

    /// Has the changes of subscriptions read, unless all up to this revision are known and no redriven event is due to be
    /// asked for.
    pub(super) fn bring_up_to_date(&mut self, revision: Revision) {
        let now = Instant::now();
        let wanted = revision > self.routing.revision || self.redrives_at.is_some_and(|at| now >= at);
        if !wanted || self.updating.is_some() || now < self.update_at {
            return;
        }
        self.redrives_at = None;
        self.wanted = revision;
        self.updating = Some(self.commits);
        let (means, partition, known) = (self.means.clone(), self.partition, self.routing.revision);
        spawn(&self.results, async move { Done::Changed(means.store.routing(partition, known).await) });
    }

    /// Takes changes of subscriptions.
    pub(super) fn changed(
        &mut self,
        changes: tidings_store::Result<RoutingChanges>,
        now: Timestamp,
    ) -> Result<(), Ended> {
        let since = self.updating.take().unwrap_or(self.commits);
        match changes {
            // What is held here is not all that belongs here, or more than that; nothing more is sent by it.
            Ok(changes) if changes.moves != self.moves => return Err(Ended::Moved),
            Ok(mut changes) => {
                let redrives = std::mem::take(&mut changes.redrives);
                self.apply(changes, now);
                if self.routing.revision < self.wanted {
                    // The database has not come so far, or not any more; the tail finds out which.
                    self.update_at = Instant::now() + PAUSE;
                }
                // The router knows what it took over for one commit more; an older look may name what is long settled.
                if self.commits <= since + 1 {
                    self.redrive(redrives, now);
                } else {
                    self.redrives_at = Some(Instant::now());
                }
            }
            Err(error) => {
                tracing::debug!(partition = %self.partition, %error, "the subscriptions cannot be read");
                self.update_at = Instant::now() + PAUSE;
                self.redrives_at = Some(self.update_at);
            }
        }
        Ok(())
    }

    /// Brings index and lanes in line with what was changed.
    pub(super) fn apply(&mut self, changes: RoutingChanges, now: Timestamp) {
        let changed = self.routing.change(changes);
        changed.gone.into_iter().for_each(|lane| self.router.remove(lane));
        changed.specs.into_iter().for_each(|spec| self.router.configure(spec, now));
        self.paced = false;
    }

    /// Takes dead letters over that shall be delivered after all. Not all may find room, so the store is asked again.
    pub(super) fn redrive(&mut self, redrives: Vec<(EndpointNo, Sequence)>, now: Timestamp) {
        if !redrives.is_empty() {
            self.redrives_at = Some(Instant::now() + REDRIVES_EVERY);
        }
        for (endpoint, sequence) in redrives {
            self.router.redrive(endpoint, sequence, now);
        }
    }
}
