//! Looking through past events for what a selection wants, in bounded work.

use std::time::Duration;

use tidings_core::index::wants;
use tidings_core::pattern::Selection;
use tidings_event::{Recorded, Sequence};
use tidings_store::{ColumnFilter, Direction, ReadLimit, Search, Store};
use tokio::time::Instant;

use super::Result;
use super::answers::SCAN_EVENTS_MAX;
use crate::feed::type_filters;
use crate::places::Place;

/// How long one scan may take.
const SCAN_TIME_MAX: Duration = Duration::from_secs(10);
/// Sequences that one question to the store covers.
const WINDOW: u64 = 20_000;
/// What one read takes.
const READ: ReadLimit = ReadLimit { events: 1_000, bytes: 4 * 1024 * 1024 };

/// What a scan came to.
pub(super) struct Scanned {
    /// Sequences that were looked at.
    pub(super) scanned: u64,
    /// Events of them that are wanted.
    pub(super) matched: u64,
    /// Whether that was the whole range.
    pub(super) complete: bool,
}

/// Looks through the sequences after `after` up to `upto`, newest first, and shows each event that is wanted.
pub(super) async fn scan(
    store: &dyn Store,
    place: Place,
    after: Sequence,
    upto: Sequence,
    selection: &Selection,
    mut each: impl FnMut(Recorded),
) -> Result<Scanned> {
    let deadline = Instant::now() + SCAN_TIME_MAX;
    let columns = ColumnFilter { types: type_filters(selection), ..ColumnFilter::default() };
    // Everything from `next` on was looked at.
    let (first, mut next) = (after.next(), upto.max(after).next());
    let (begin, mut matched) = (next, 0);
    while next > first && begin.get() - next.get() < SCAN_EVENTS_MAX && Instant::now() < deadline {
        let left = SCAN_EVENTS_MAX - (begin.get() - next.get());
        let below = next.get().saturating_sub(WINDOW.min(left)).max(first.get());
        let search = Search {
            columns: columns.clone(),
            after: Sequence(below - 1),
            before: next,
            direction: Direction::Backward,
            limit: READ,
        };
        let found = store.search(place.no, &search).await?;
        // Between what an index of types finds, nothing can be wanted; a read that found nothing more is the window's.
        next = found.last().map_or(Sequence(below), |oldest| oldest.sequence);
        for recorded in found {
            if wants(selection, &recorded) {
                matched += 1;
                each(recorded);
            }
        }
        // Matching many events is work that would keep a thread from everybody else.
        tokio::task::consume_budget().await;
    }
    Ok(Scanned { scanned: begin.get() - next.get(), matched, complete: next <= first })
}
