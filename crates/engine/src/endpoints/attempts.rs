//! Attempts: what was tried and what came of it.

use std::collections::{BTreeSet, HashMap};

use tidings_event::delivery::{AttemptResult, AttemptRow, Failure};
use tidings_event::{EndpointId, EventId, LaneNo, Sequence, TenantId, Timestamp};
use tidings_store::{AttemptFilter, AttemptQuery, ReadLimit};

use super::answers::{Attempt, AttemptSearch, AttemptStatus, PAGE_MAX};
use super::cursor::{self, List};
use super::error::EndpointError;
use super::{Endpoints, Result};
use crate::places::Place;

/// Sequences that lie no further apart are read from the log at once.
const NEAR: u64 = 16;
/// What one such read takes.
const NAMED_AT_ONCE: ReadLimit = ReadLimit { events: 256, bytes: 4 * 1024 * 1024 };

impl Endpoints {
    /// Attempts, newest first, those of replays too, and the cursor of the next page.
    pub async fn attempts(
        &self,
        tenant: &TenantId,
        id: &EndpointId,
        search: AttemptSearch,
    ) -> Result<(Vec<Attempt>, Option<String>)> {
        let (place, row) = self.row(tenant, id).await?;
        let limit = search.limit.clamp(1, PAGE_MAX);
        let beyond = match &search.cursor {
            None => None,
            Some(text) => {
                let [at, lane, sequence, attempt] = cursor::read(List::Attempts, text)?;
                let sequence = Sequence(u64::try_from(sequence).map_err(|_| EndpointError::Cursor)?);
                let attempt = u32::try_from(attempt).map_err(|_| EndpointError::Cursor)?;
                Some((Timestamp::from_micros(at), LaneNo(lane), sequence, attempt))
            }
        };
        let sequence = match &search.event {
            None => None,
            Some(event) => {
                let recorded = self.feeds().store.event(place.no, event).await?.ok_or(EndpointError::EventNotFound)?;
                Some(recorded.sequence)
            }
        };
        let query = AttemptQuery {
            ended: search.status.map(filter),
            sequence,
            since: search.since,
            until: search.until,
            beyond,
            // One more tells whether there is more.
            limit: limit + 1,
        };
        let mut rows = self.feeds().store.attempts(row.no, &query).await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let cursor = rows.last().filter(|_| more).map(|last| {
            let sequence = i64::try_from(last.sequence.get()).unwrap_or(i64::MAX);
            cursor::write(List::Attempts, [last.at.as_micros(), last.lane.0, sequence, last.attempt.into()])
        });
        Ok((self.shown(place, rows).await?, cursor))
    }

    /// Attempts as they are shown, each with the id of its event.
    pub(super) async fn shown(&self, place: Place, rows: Vec<AttemptRow>) -> Result<Vec<Attempt>> {
        let names = self.names(place, rows.iter().map(|row| row.sequence).collect()).await?;
        Ok(rows.into_iter().map(|row| shown(&row, names.get(&row.sequence).cloned())).collect())
    }

    /// The ids of events by their sequences; those that were erased are left out.
    async fn names(&self, place: Place, wanted: BTreeSet<Sequence>) -> Result<HashMap<Sequence, EventId>> {
        let mut names = HashMap::with_capacity(wanted.len());
        let mut rest: Vec<Sequence> = wanted.into_iter().collect();
        while let Some(&first) = rest.first() {
            let run = rest.windows(2).take_while(|pair| pair[1].get() - pair[0].get() <= NEAR).count();
            let last = rest.get(run).copied().unwrap_or(first);
            let span = usize::try_from(last.get() - first.get() + 1).unwrap_or(usize::MAX);
            let limit = ReadLimit { events: span.min(NAMED_AT_ONCE.events), ..NAMED_AT_ONCE };
            let slice = self.feeds().store.feed(place.no, Sequence(first.get() - 1), limit).await?;
            let upto = slice.events.last().map_or(first, |event| event.sequence.max(first));
            names.extend(slice.events.into_iter().map(|event| (event.sequence, event.event.id)));
            rest.retain(|sequence| *sequence > upto);
        }
        Ok(names)
    }
}

fn filter(status: AttemptStatus) -> AttemptFilter {
    match status {
        AttemptStatus::Succeeded => AttemptFilter::Succeeded,
        AttemptStatus::Failed => AttemptFilter::Failed,
        AttemptStatus::Code(code) => AttemptFilter::Status(code, code),
        AttemptStatus::Class(class) => AttemptFilter::Status(u16::from(class) * 100, u16::from(class) * 100 + 99),
    }
}

/// The two halves of a result.
pub(super) fn ended(result: AttemptResult) -> (Option<u16>, Option<Failure>) {
    match result {
        AttemptResult::Status(status) => (Some(status), None),
        AttemptResult::Failed(failure) => (None, Some(failure)),
    }
}

/// Whether an attempt succeeded.
pub(super) fn succeeded(result: AttemptResult) -> bool {
    matches!(result, AttemptResult::Status(200..=299))
}

fn shown(row: &AttemptRow, event_id: Option<EventId>) -> Attempt {
    let (status, failure) = ended(row.result);
    Attempt {
        event_id,
        sequence: row.sequence,
        attempt: row.attempt,
        at: row.at,
        duration_ms: f64::from(row.duration_us) / 1_000.0,
        status,
        failure,
        response: String::from_utf8_lossy(&row.answer).into_owned(),
        replay: row.lane.replay().is_some(),
    }
}
