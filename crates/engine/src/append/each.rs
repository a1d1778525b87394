//! Appending events that stand each for itself: what cannot be reached holds up nothing else.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use tidings_core::append::Request;
use tidings_event::log::{Receipt, Verdict};
use tidings_event::{Event, PartitionId, TenantId, TenantNo};
use tokio::time::{Instant, timeout_at};

use super::{Answer, Appender, IdTaken, Judged, NotTaken, Part, Parts, lost, prepare, settled, tenants_of, weight};
use crate::AppendError;
use crate::places::Place;
use crate::queue::Refusal;

/// How long a part of a call waits for its places and for room in its queue.
const ROOM_MAX: Duration = Duration::from_secs(5);
/// How long it waits for its answer once another part of the call has been answered.
const ANSWER_MAX: Duration = Duration::from_secs(5);

type Outcomes = Vec<Result<Receipt, NotTaken>>;

/// The places of a part's events in the call, by its requests, and where the answer will be.
type Queued = (Vec<Vec<usize>>, Result<Answer, AppendError>);

impl Appender {
    /// Appends events in the order given, each for itself: one that conflicts leaves the others alone. Waits for room
    /// in the queue where [`Self::append`] would answer [`AppendError::Overloaded`], for some seconds. On an error some
    /// events may have been written; sending all of them again is safe.
    pub async fn append_each(&self, events: Vec<Event>) -> Result<Vec<Result<Receipt, IdTaken>>, AppendError> {
        let outcomes = self.append_each_judged(events.into_iter().map(Judged::from).collect()).await;
        let known = outcomes.into_iter().map(|outcome| match outcome {
            Ok(receipt) => Ok(Ok(receipt)),
            Err(NotTaken::IdTaken | NotTaken::Refused(_)) => Ok(Err(IdTaken)),
            Err(NotTaken::Lost(error)) => Err(error),
        });
        known.collect()
    }

    /// The same for events on which the catalog has something to say. What is lost is told for each, and holds up the
    /// others for a bounded time.
    pub(crate) async fn append_each_judged(&self, events: Vec<Judged>) -> Outcomes {
        let mut outcomes: Outcomes = vec![Err(NotTaken::Lost(lost())); events.len()];
        let until = Instant::now() + ROOM_MAX;
        let places = self.each_place(&events, until).await;
        let mut parts = Parts::new();
        for (index, judged) in events.into_iter().enumerate() {
            match places.get(&judged.event.tenant).cloned().unwrap_or_else(|| Err(lost())) {
                Ok(place) => parts.entry((place.partition, place.no)).or_default().take(index, judged, place),
                Err(error) => set(&mut outcomes, index, Err(NotTaken::Lost(error))),
            }
        }
        let queued = join_all(parts.into_iter().map(|(key, part)| self.queue_one(key, part, until))).await;
        answer_each(queued, &mut outcomes).await;
        outcomes
    }

    /// The place of each tenant, or why it cannot be told.
    async fn each_place(&self, events: &[Judged], until: Instant) -> HashMap<TenantId, Result<Place, AppendError>> {
        let tenants = tenants_of(events);
        let places = self.places.of_each(&tenants, until).await;
        tenants.into_iter().zip(places).map(|(tenant, place)| (tenant, place.map_err(AppendError::Store))).collect()
    }

    /// Queues a part as soon as there is room for it; where there is none in time it is not queued.
    async fn queue_one(&self, (partition, tenant): (PartitionId, TenantNo), part: Part, until: Instant) -> Queued {
        let Part { requests, indexes, size } = part;
        let reserved = match self.queue(partition) {
            Ok(queue) => {
                let reserved = timeout_at(until, queue.reserve_when_drained(tenant, size)).await;
                reserved.unwrap_or(Err(Refusal::Full)).map(|()| queue).map_err(AppendError::from)
            }
            Err(error) => Err(error),
        };
        (indexes, reserved.map(|queue| self.fill(queue, tenant, requests, size, true)))
    }
}

impl Part {
    /// Takes an event as a request of its own.
    fn take(&mut self, index: usize, judged: Judged, place: Place) {
        self.size.events += 1;
        self.size.bytes += weight(&judged.event);
        self.indexes.push(vec![index]);
        self.requests.push(Request { events: vec![prepare(judged, place.no)] });
    }
}

/// Waits for all parts; once one of them was answered, for the others no longer than is usual. Where none is answered it
/// is not one part that is slow, and bringing the same again would only make it worse.
async fn answer_each(queued: Vec<Queued>, outcomes: &mut Outcomes) {
    let until = Instant::now() + ANSWER_MAX;
    let mut is_answered = false;
    let mut late = Vec::new();
    for (indexes, answer) in queued {
        let mut answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                settle(outcomes, indexes, Err(error));
                continue;
            }
        };
        match timeout_at(until, settled(&mut answer)).await {
            Ok(verdicts) => {
                is_answered |= verdicts.is_ok();
                settle(outcomes, indexes, verdicts);
            }
            Err(_) => late.push((indexes, answer)),
        }
    }
    for (indexes, answer) in late {
        let verdicts = if is_answered {
            timeout_at(until, settled(answer)).await.unwrap_or_else(|_| Err(unanswered()))
        } else {
            settled(answer).await
        };
        is_answered |= verdicts.is_ok();
        settle(outcomes, indexes, verdicts);
    }
}

/// Notes what became of the events of one part.
fn settle(outcomes: &mut Outcomes, indexes: Vec<Vec<usize>>, verdicts: Result<Vec<Verdict>, AppendError>) {
    let indexes = indexes.into_iter().flatten();
    let verdicts = match verdicts {
        Ok(verdicts) => verdicts,
        Err(error) => {
            indexes.for_each(|index| set(outcomes, index, Err(NotTaken::Lost(error.clone()))));
            return;
        }
    };
    for (index, verdict) in indexes.zip(verdicts) {
        let outcome = match verdict {
            Verdict::Appended(receipts) => receipts.first().copied().ok_or_else(|| NotTaken::Lost(lost())),
            Verdict::Conflict(_) => Err(NotTaken::IdTaken),
            Verdict::Refused(refused) => {
                Err(NotTaken::Refused(refused.into_iter().flat_map(|(_, violations)| violations).collect()))
            }
        };
        set(outcomes, index, outcome);
    }
}

fn set(outcomes: &mut Outcomes, index: usize, outcome: Result<Receipt, NotTaken>) {
    if let Some(slot) = outcomes.get_mut(index) {
        *slot = outcome;
    }
}

/// What was queued is still written, or fails, in its own time.
fn unanswered() -> AppendError {
    let reason = "its append takes far longer than that of others".to_owned();
    AppendError::Store(tidings_store::Error::Unavailable { reason, ambiguous: true })
}

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use tidings_event::Sequence;
    use tokio::sync::oneshot;

    use super::*;

    fn receipt(sequence: u64) -> Receipt {
        Receipt { sequence: Sequence(sequence), duplicate: false }
    }

    fn appended(sequence: u64) -> Result<Vec<Verdict>, AppendError> {
        Ok(vec![Verdict::Appended(vec![receipt(sequence)])])
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_is_never_answered_holds_up_the_others_for_a_bounded_time() {
        let (stuck, never) = oneshot::channel();
        let (reply, answer) = oneshot::channel();
        reply.send(appended(1)).unwrap();
        let mut outcomes: Outcomes = vec![Err(NotTaken::IdTaken); 3];
        let queued = vec![
            (vec![vec![1]], Ok(never)),
            (vec![vec![0]], Ok(answer)),
            (vec![vec![2]], Err(AppendError::Overloaded)),
        ];
        answer_each(queued, &mut outcomes).await;
        assert!(matches!(&outcomes[0], Ok(given) if *given == receipt(1)));
        let lost = |outcome: &Result<Receipt, NotTaken>| match outcome {
            Err(NotTaken::Lost(error)) => error.clone(),
            other => panic!("{other:?}"),
        };
        assert!(matches!(lost(&outcomes[1]), AppendError::Store(tidings_store::Error::Unavailable { .. })));
        assert!(matches!(lost(&outcomes[2]), AppendError::Overloaded));
        drop(stuck);
    }

    #[tokio::test(start_paused = true)]
    async fn where_nobody_is_answered_the_answer_is_waited_for() {
        let (reply, answer) = oneshot::channel();
        let mut outcomes: Outcomes = vec![Err(NotTaken::IdTaken)];
        {
            let mut answering = std::pin::pin!(answer_each(vec![(vec![vec![0]], Ok(answer))], &mut outcomes));
            assert!(poll!(&mut answering).is_pending());
            tokio::time::sleep(ANSWER_MAX * 10).await;
            assert!(poll!(&mut answering).is_pending());
            reply.send(appended(7)).unwrap();
            answering.await;
        }
        assert!(matches!(&outcomes[0], Ok(given) if *given == receipt(7)));
    }

    #[test]
    fn an_answer_that_is_too_short_loses_events_and_refuses_none() {
        let mut outcomes: Outcomes = vec![Err(NotTaken::Lost(lost())); 2];
        settle(&mut outcomes, vec![vec![0], vec![1]], appended(1));
        assert!(outcomes[0].is_ok() && matches!(outcomes[1], Err(NotTaken::Lost(_))));
    }
}
