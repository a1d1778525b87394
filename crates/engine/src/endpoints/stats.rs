//! How an endpoint does.

use tidings_core::index::wants;
use tidings_core::pattern::Selection;
use tidings_event::delivery::{AttemptRow, CircuitState};
use tidings_event::{EndpointId, Recorded, Sequence, TenantId, Timestamp};
use tidings_store::{AttemptQuery, DeliveryState, EndpointRow, ReadLimit, SelectionRow};

use super::answers::{Latency, STATS_ATTEMPTS, Stats, Window};
use super::attempts::succeeded;
use super::error::EndpointError;
use super::types::Kept;
use super::{Endpoints, Result};
use crate::append::now;
use crate::places::Place;

/// Events that are looked at for the oldest that is not settled.
const OLDEST: ReadLimit = ReadLimit { events: 1_000, bytes: 4 * 1024 * 1024 };

impl Endpoints {
    /// How an endpoint does: how far it is behind, what waits for it, and what its newest attempts tell.
    pub async fn stats(&self, tenant: &TenantId, id: &EndpointId) -> Result<Stats> {
        let (place, row) = self.row(tenant, id).await?;
        let state = self.feeds().store.delivery(row.no).await?.ok_or(EndpointError::NotFound)?;
        let query = AttemptQuery { limit: STATS_ATTEMPTS, ..AttemptQuery::default() };
        let attempts = self.feeds().store.attempts(row.no, &query).await?;
        let lag = self.lag(place, &row, &state).await?;
        Ok(Stats {
            lag_events: lag.events,
            lag_seconds: lag.oldest.map(|recorded_at| seconds(recorded_at, now())),
            retries: state.retries,
            dead_letters: state.dead,
            circuit: state.circuit.map_or(CircuitState::Closed, |circuit| circuit.state),
            circuit_since: state.circuit.map(|circuit| circuit.since),
            next_attempt_at: state.circuit.map(|circuit| circuit.until),
            window: window(&attempts),
            last_attempt_at: attempts.first().map(|newest| newest.at),
            last_success_at: attempts.iter().find(|attempt| succeeded(attempt.result)).map(|newest| newest.at),
        })
    }

    async fn lag(&self, place: Place, row: &EndpointRow, state: &DeliveryState) -> Result<Lag> {
        let store = &self.feeds().store;
        let (events, ahead) = match state.settled {
            Some(settled) if settled < state.head => {
                let slice = store.feed(place.no, settled, OLDEST).await?;
                (state.head.get() - settled.get(), slice.events)
            }
            Some(_) => (0, Vec::new()),
            None if state.checkpoint < state.position => {
                let slice = store.tail(place.partition, state.checkpoint, OLDEST).await?;
                let end = slice.events.last().map_or(state.position, |last| last.position);
                let since = Kept::of(row).map_err(EndpointError::unreadable)?.since;
                let is_own = |event: &Recorded| event.tenant_no == place.no && event.sequence > since;
                let own: Vec<Recorded> = slice.events.into_iter().filter(is_own).collect();
                // What lies beyond this read may be of any tenant: none of it is left out.
                let beyond = state.position.get().saturating_sub(end.get());
                (own.len() as u64 + beyond, own)
            }
            None => (0, Vec::new()),
        };
        let mut oldest = ahead.iter().find(|event| is_wanted(row, event)).map(|event| event.recorded_at);
        if let Some(retry) = state.oldest_retry {
            let one = ReadLimit { events: 1, ..OLDEST };
            let slice = store.feed(place.no, Sequence(retry.get().saturating_sub(1)), one).await?;
            let retry = slice.events.first().map(|event| event.recorded_at);
            oldest = [oldest, retry].into_iter().flatten().min();
        }
        Ok(Lag { events, oldest })
    }
}

struct Lag {
    /// Events that the lane has not come past.
    events: u64,
    /// When the oldest was recorded that is not settled and is wanted.
    oldest: Option<Timestamp>,
}

/// The selection by which an event is judged, if the endpoint wanted anything by then.
pub(super) fn selection_at(row: &EndpointRow, sequence: Sequence) -> Option<&SelectionRow> {
    row.selections.iter().rev().find(|selection| selection.after < sequence)
}

fn is_wanted(row: &EndpointRow, event: &Recorded) -> bool {
    selection_at(row, event.sequence).is_some_and(|selection| {
        Selection::new(&selection.types, selection.filter.as_deref().map(str::as_bytes))
            .is_ok_and(|selection| wants(&selection, event))
    })
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    let micros = to.as_micros().saturating_sub(from.as_micros()).max(0);
    std::time::Duration::from_micros(micros.unsigned_abs()).as_secs_f64()
}

fn window(attempts: &[AttemptRow]) -> Window {
    let succeeded = attempts.iter().filter(|attempt| succeeded(attempt.result)).count();
    let mut took: Vec<u32> = attempts.iter().map(|attempt| attempt.duration_us).collect();
    took.sort_unstable();
    // The smallest that at least so many of a hundred do not exceed.
    let at = |percent: usize| {
        let rank = (took.len() * percent).div_ceil(100).max(1);
        took.get(rank - 1).copied().map_or(0.0, |micros| f64::from(micros) / 1_000.0)
    };
    let share = |part: usize, whole: usize| {
        let number = |count| u32::try_from(count).map_or(f64::INFINITY, f64::from);
        number(part) / number(whole)
    };
    let any = !attempts.is_empty();
    Window {
        attempts: attempts.len() as u64,
        succeeded: succeeded as u64,
        success_rate: any.then(|| share(succeeded, attempts.len())),
        latency_ms: any.then(|| Latency { p50: at(50), p95: at(95), p99: at(99), max: at(100) }),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tidings_event::delivery::{AttemptResult, Failure};
    use tidings_event::{EndpointNo, LaneNo};

    use super::*;

    fn attempt(millis: u32, result: AttemptResult) -> AttemptRow {
        AttemptRow {
            lane: LaneNo(1),
            endpoint: EndpointNo(1),
            sequence: Sequence(1),
            attempt: 1,
            at: Timestamp::from_micros(0),
            duration_us: millis * 1_000,
            result,
            answer: Bytes::new(),
        }
    }

    #[test]
    fn percentiles_are_of_attempts_that_were_made() {
        assert_eq!(window(&[]), Window::default());
        let one = window(&[attempt(7, AttemptResult::Status(204))]);
        assert_eq!(one.latency_ms, Some(Latency { p50: 7.0, p95: 7.0, p99: 7.0, max: 7.0 }));
        assert_eq!(one.success_rate, Some(1.0));
        let mut many: Vec<AttemptRow> = (1..=99).rev().map(|ms| attempt(ms, AttemptResult::Status(200))).collect();
        many.push(attempt(100, AttemptResult::Failed(Failure::Timeout)));
        let many = window(&many);
        assert_eq!(many.latency_ms, Some(Latency { p50: 50.0, p95: 95.0, p99: 99.0, max: 100.0 }));
        assert_eq!((many.attempts, many.succeeded, many.success_rate), (100, 99, Some(0.99)));
    }
}
