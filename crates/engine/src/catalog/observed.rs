//! Who was seen to emit which type: counted in memory, written now and then.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidings_event::{EventType, Recorded, SourceKind, Text, Timestamp, Version};
use tidings_store::{ObservedRow, Store};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::pause::sleep_unless;

/// Types, versions and sources that are told apart. The store keeps those that were seen last; what is more than so many
/// between two writes is not counted.
pub const OBSERVED_MAX: usize = 10_000;
/// Rows that are written at once.
const WRITTEN_AT_ONCE: usize = 500;
/// How long one write may take before its counts wait for the next one.
const WRITE_MAX: Duration = Duration::from_secs(10);

type Key = (EventType, Version, SourceKind, Text);

#[derive(Debug, Clone, Copy)]
struct Seen {
    events: u64,
    first_at: Timestamp,
    last_at: Timestamp,
}

/// Counts of what was written to the log by this node, since they were last stored.
#[derive(Default)]
pub(crate) struct Observed {
    seen: Mutex<HashMap<Key, Seen>>,
}

impl Observed {
    /// Counts the rows of one commit. Tidings' own events are not counted: everybody knows who emits them.
    pub(crate) fn count(&self, rows: &[Recorded]) {
        if rows.is_empty() {
            return;
        }
        let alike = |a: &Recorded, b: &Recorded| {
            a.event.event_type == b.event.event_type
                && a.event.version == b.event.version
                && a.event.source == b.event.source
        };
        let mut seen = self.seen.lock();
        // Events that are alike tend to come together, and then cost one look-up.
        for run in rows.chunk_by(alike) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            let event = &first.event;
            if event.event_type.is_reserved() {
                continue;
            }
            let key = (event.event_type.clone(), event.version.clone(), event.source.kind, event.source.id.clone());
            let counted = Seen { events: run.len() as u64, first_at: first.recorded_at, last_at: last.recorded_at };
            merge(&mut seen, key, counted);
        }
    }

    /// Stores what was counted, again and again, until the engine ends.
    pub(crate) async fn run(self: Arc<Self>, store: Arc<dyn Store>, every: Duration, ending: CancellationToken) {
        let mut failing = false;
        while sleep_unless(every, &ending).await {
            match self.flush(&*store).await {
                Ok(()) => failing = false,
                Err(error) if !std::mem::replace(&mut failing, true) => {
                    tracing::warn!(%error, "who emits what could not be stored; trying again");
                }
                Err(_) => {}
            }
        }
    }

    /// Stores what was counted. What could not be stored is kept for the next time; where it is not known whether it
    /// was, it may count twice.
    pub(crate) async fn flush(&self, store: &dyn Store) -> tidings_store::Result<()> {
        let taken = std::mem::take(&mut *self.seen.lock());
        let mut rows: Vec<ObservedRow> = taken.into_iter().map(row).collect();
        while !rows.is_empty() {
            let rest = rows.split_off(rows.len().min(WRITTEN_AT_ONCE));
            let written = timeout(WRITE_MAX, store.observe(&rows, OBSERVED_MAX)).await;
            let error = match written {
                Ok(Ok(())) => {
                    rows = rest;
                    continue;
                }
                Ok(Err(error)) => error,
                Err(_) => tidings_store::Error::Unavailable {
                    reason: format!("no write ended within {} s", WRITE_MAX.as_secs()),
                    ambiguous: true,
                },
            };
            let mut seen = self.seen.lock();
            for row in rows.into_iter().chain(rest) {
                let ObservedRow { event_type, version, source_kind, source_id, events, first_at, last_at } = row;
                merge(&mut seen, (event_type, version, source_kind, source_id), Seen { events, first_at, last_at });
            }
            return Err(error);
        }
        Ok(())
    }
}

fn merge(seen: &mut HashMap<Key, Seen>, key: Key, more: Seen) {
    let room = seen.len() < OBSERVED_MAX;
    match seen.entry(key) {
        Entry::Occupied(mut known) => {
            let known = known.get_mut();
            known.events += more.events;
            known.first_at = known.first_at.min(more.first_at);
            known.last_at = known.last_at.max(more.last_at);
        }
        Entry::Vacant(free) if room => {
            free.insert(more);
        }
        Entry::Vacant(_) => {}
    }
}

fn row(((event_type, version, source_kind, source_id), seen): (Key, Seen)) -> ObservedRow {
    let Seen { events, first_at, last_at } = seen;
    ObservedRow { event_type, version, source_kind, source_id, events, first_at, last_at }
}
