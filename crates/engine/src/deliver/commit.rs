//! Writing what must survive.

use std::sync::Arc;
use std::time::Duration;

use tidings_core::pace::{Bounds, Pace};
use tidings_event::delivery::RouteCommit;
use tidings_event::{Event, Timestamp};
use tidings_store::{Error, RouteOutcome};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::Means;
use super::facts;
use super::owner::Ended;
use super::run::{Done, Run, spawn};
use crate::system;

/// What became of a commit.
#[derive(Debug)]
pub(super) enum Written {
    /// It is durable.
    Durable { took: Duration },
    /// Another owner has the partition; nothing was written.
    Fenced,
    /// It may be durable or not, or it cannot be written at all.
    Unsure(String),
}

impl Run {
    /// Begins to write what has changed, if it is time, or at once; one commit at a time. Returns whether one is under
    /// way.
    pub(super) fn commit(&mut self, at_once: bool, now: Timestamp) -> bool {
        if self.committing || !(at_once || self.router.commit_due(now)) {
            return self.committing;
        }
        let Some((commit, notices)) = self.router.commit(now) else { return false };
        // Their ids are fixed here, so that writing the commit again writes the same events.
        let events = facts::events(&self.routing, &notices, now);
        for replay in notices.iter().filter_map(facts::finished) {
            self.routing.finish(replay);
        }
        self.committing = true;
        let (means, results, resets) = (self.means.clone(), self.results.clone(), self.resets);
        spawn(&self.results, async move { Done::Committed(write(&means, commit, events, resets, &results).await) });
        true
    }

    /// Takes the outcome of a commit.
    pub(super) fn committed(&mut self, written: Written) -> Result<(), Ended> {
        self.committing = false;
        match written {
            Written::Durable { took } => {
                self.router.committed();
                self.commits += 1;
                self.gauges.commits.increment(1);
                self.gauges.commit_seconds.record(took);
                self.show();
                Ok(())
            }
            Written::Fenced => Err(Ended::Fenced),
            Written::Unsure(reason) => Err(Ended::Unsure(reason)),
        }
    }
}

/// Writes a commit and its events. One that was certainly not written is written again, the same, until it is, or until
/// its router is gone, or the log is not the one any more of which it speaks.
async fn write(
    means: &Arc<Means>,
    commit: RouteCommit,
    events: Vec<Event>,
    resets: u64,
    results: &mpsc::Sender<Done>,
) -> Written {
    let mut failures = Pace::new(Bounds::FAILURE);
    let mut failing = false;
    loop {
        let agreed = tokio::select! {
            biased;
            () = results.closed() => return Written::Unsure("its router is gone".to_owned()),
            agreed = means.tail.agreed(commit.partition) => agreed,
        };
        if agreed != resets {
            return Written::Unsure("the log is shorter than it was".to_owned());
        }
        let began = Instant::now();
        match write_once(means, &commit, &events).await {
            Ok(RouteOutcome::Committed { appended, revision }) => {
                means.tail.publish_all(appended);
                if let Some(revision) = revision {
                    means.tail.note(commit.partition, revision);
                }
                if failing {
                    tracing::info!(partition = %commit.partition, "deliveries are recorded again");
                }
                return Written::Durable { took: began.elapsed() };
            }
            Ok(RouteOutcome::Fenced) => return Written::Fenced,
            Err(Error::Unavailable { ambiguous: false, reason }) => {
                means.tail.doubt(commit.partition);
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(partition = %commit.partition, reason, "deliveries cannot be recorded; trying again");
                }
                if timeout(failures.found(0), results.closed()).await.is_ok() {
                    return Written::Unsure("its router is gone".to_owned());
                }
            }
            Err(error) => {
                // Its events may be in the log.
                means.tail.look(commit.partition);
                return Written::Unsure(error.to_string());
            }
        }
    }
}

async fn write_once(means: &Means, commit: &RouteCommit, events: &[Event]) -> tidings_store::Result<RouteOutcome> {
    let appends = if events.is_empty() {
        Vec::new()
    } else {
        // Finding the places of events writes nothing that could be doubtful.
        system::appends(&means.places, events.to_vec()).await.map_err(|error| match error {
            Error::Unavailable { reason, .. } => Error::Unavailable { reason, ambiguous: false },
            other => other,
        })?
    };
    means.store.commit_route(commit, appends).await
}
