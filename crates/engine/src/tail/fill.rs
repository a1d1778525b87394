//! Reading from the log what memory lacks, and comparing what it holds.

use std::time::Duration;

use metrics::counter;
use tidings_core::pace::{Bounds, Pace};
use tidings_event::limits::DATA_BYTES_MAX;
use tidings_event::{PartitionId, Position};
use tidings_store::{ReadLimit, Result};
use tokio::time::Instant;

use super::{Partition, REST, Tail, head};
use crate::metrics as names;

/// How much one read of a hole takes.
const FILL: ReadLimit = ReadLimit { events: 1_000, bytes: 4 * 1024 * 1024 };

/// The longest rest between reads.
const REST_MAX: Duration = Duration::from_millis(20);

impl Tail {
    /// Reads what the ring lacks, whenever there is a sign of it.
    pub(super) async fn fill(&self, id: PartitionId) {
        let Some(partition) = self.partition(id) else { return };
        let mut failures = Pace::new(Bounds::FAILURE);
        loop {
            partition.behind.notified().await;
            let began = Instant::now();
            while partition.state.read().is_known && self.wants(id) {
                match self.fill_once(id, partition).await {
                    Ok(Filled::All) => {
                        failures.reset();
                        break;
                    }
                    Ok(Filled::Some) => failures.reset(),
                    Ok(Filled::Nothing) => {
                        tracing::error!(partition = %id, "the log has a hole");
                        partition.pause(&mut failures).await;
                    }
                    Err(error) => {
                        counter!(names::TAIL_FAILED).increment(1);
                        tracing::debug!(partition = %id, %error, "the tail cannot be read");
                        partition.pause(&mut failures).await;
                    }
                }
            }
            tokio::time::sleep((began.elapsed() * REST).min(REST_MAX)).await;
        }
    }

    /// Reads what follows memory's end, and with it the event that stands there: where that is another one than the log
    /// said before, or the log ends earlier, memory begins anew.
    async fn fill_once(&self, id: PartitionId, partition: &Partition) -> Result<Filled> {
        let (end, resets, in_doubt, ahead) = {
            let state = partition.state.read();
            (state.ring.end(), state.resets, state.in_doubt, state.ahead.first())
        };
        // The event at the end, and what follows it up to what waits already.
        let hole = ahead.and_then(|first| first.get().checked_sub(end.get())).filter(|hole| *hole > 1);
        let hole = hole.and_then(|hole| usize::try_from(hole).ok()).unwrap_or(usize::MAX);
        let limit = ReadLimit { events: FILL.events.min(hole), ..FILL };
        let mut slice = self.store.tail(id, Position(end.get().saturating_sub(1)), limit).await?;
        let bytes: usize = slice.events.iter().map(|event| event.event.data.as_bytes().len()).sum();
        let is_full = slice.events.len() >= limit.events || bytes + DATA_BYTES_MAX > limit.bytes;
        // Where retention took the event at the end away there is nothing to compare.
        let reaches = match slice.events.last() {
            Some(last) => last.position,
            None if in_doubt => head(&*self.store, id).await?.position,
            None => end,
        };
        {
            let mut state = partition.state.write();
            if state.resets != resets {
                return Ok(Filled::Some);
            }
            let differs = slice.events.first().is_some_and(|first| state.ring.contradicts(first));
            if differs || reaches < end {
                drop(state);
                tracing::error!(partition = %id, %end, %reaches,
                    "the log says something else than it did: acknowledged events were lost by the database");
                self.begin(partition, end.min(reaches), slice.revision);
                return Ok(Filled::Some);
            }
            if let Some(first) = slice.events.first()
                && first.position == state.ring.end()
            {
                state.ring.learn(first.digest);
            }
            if in_doubt {
                state.in_doubt = false;
                partition.agreed.notify_waiters();
            }
        }
        slice.events.retain(|event| event.position > end);
        if slice.events.is_empty() {
            self.learn(id, slice.revision);
            return Ok(Filled::All);
        }
        counter!(names::TAIL_FILLED).increment(slice.events.len() as u64);
        self.take(id, slice.events, slice.revision, Some(resets));
        let state = partition.state.read();
        // What was put in doubt or began anew meanwhile is looked at again.
        if state.in_doubt || state.resets != resets {
            return Ok(Filled::Some);
        }
        if state.ring.end() == end {
            return Ok(Filled::Nothing);
        }
        // A hole that was read as far as what waited is filled like a log that was read to its end: whoever learns of more
        // notifies again.
        let is_filled = !is_full || limit.events < FILL.events;
        Ok(if is_filled && state.ahead.first().is_none() { Filled::All } else { Filled::Some })
    }
}

impl Tail {
    /// Waits until memory agrees with the log, as far as is known; how often it has begun anew then. For whoever keeps in
    /// the database how far it has come: what it says must be of the log that there is now.
    pub(crate) async fn agreed(&self, id: PartitionId) -> u64 {
        let Some(partition) = self.partition(id) else { return 0 };
        loop {
            let agreed = partition.agreed.notified();
            tokio::pin!(agreed);
            agreed.as_mut().enable();
            {
                let state = partition.state.read();
                if !state.in_doubt {
                    return state.resets;
                }
            }
            agreed.await;
        }
    }

    /// Has memory compared with the log before anything is added to it: the database failed, and what answers next may
    /// not have what it had acknowledged.
    pub(crate) fn doubt(&self, id: PartitionId) {
        if let Some(partition) = self.partition(id) {
            partition.doubt();
        }
    }
}

/// What a look at the log brought.
enum Filled {
    /// All that there is.
    All,
    /// Something; there may be more.
    Some,
    /// Only what does not follow.
    Nothing,
}

impl Partition {
    /// Waits after a failure; less long where something was committed meanwhile, so that the log may be read again.
    async fn pause(&self, failures: &mut Pace) {
        let pause = tokio::time::sleep(failures.found(0));
        tokio::pin!(pause);
        let hinted = tokio::select! {
            biased;
            () = &mut pause => false,
            () = self.behind.notified() => true,
        };
        if hinted {
            tokio::time::sleep(Bounds::FAILURE.busy).await;
        }
    }
}
