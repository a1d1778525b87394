//! Judging events by what they say, before anything is queued.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use metrics::histogram;
use tidings_catalog::entry::Mode;
use tidings_catalog::judge::{Catalog, Judgement, StateRule};
use tidings_event::limits::DATA_BYTES_MAX;
use tidings_event::{Event, Violation, violation_code as code};
use tokio::time::Instant;

use super::guard::StateGuard;
use super::pool::{Broke, Pool, Work};
use super::today;
use crate::append::Judged;
use crate::{AppendError, metrics as names, trace};

/// Events that are judged by one thread, one after the other; more are judged by several.
const CHUNK_EVENTS: usize = 64;
/// Bytes of data that are judged by one thread, unless one event has more.
const CHUNK_BYTES: usize = DATA_BYTES_MAX;
/// How long events are judged where they came in before others get their turn; one event is judged to its end.
const UNINTERRUPTED_MAX: Duration = Duration::from_millis(1);

/// What is to become of an event before its state was judged.
pub(super) enum Fate {
    Take(Judged),
    /// It breaks rules.
    Stop(Stopped),
}

/// An event that breaks rules.
pub(super) struct Stopped {
    pub(super) event: Event,
    pub(super) violations: Vec<Violation>,
    /// Whether it is kept aside instead of refused.
    pub(super) aside: bool,
}

/// Judges events by what they say. Where that may take long it is done by several threads that serve nobody else.
pub(super) async fn judge_all(pool: &Pool, catalog: &Catalog, events: Vec<Event>) -> Result<Vec<Fate>, AppendError> {
    let began = Instant::now();
    let today = today();
    let bytes: usize = events.iter().map(|event| event.data.as_bytes().len()).sum();
    let costly = events.iter().any(|event| is_costly(catalog, event));
    let mut fates = Vec::with_capacity(events.len());
    if !costly && events.len() <= CHUNK_EVENTS && bytes <= CHUNK_BYTES {
        let mut since = began;
        for event in events {
            if since.elapsed() > UNINTERRUPTED_MAX {
                tokio::task::yield_now().await;
                since = Instant::now();
            }
            fates.push(fate(catalog, event, today));
        }
    } else {
        let kind = if costly { Work::Costly } else { Work::Large };
        let judged = chunks(events).into_iter().map(|chunk| {
            let catalog = catalog.clone();
            pool.run(kind, move || chunk.into_iter().map(|event| fate(&catalog, event, today)).collect::<Vec<_>>())
        });
        for judged in try_join_all(judged).await.map_err(|Broke| broke())? {
            fates.extend(judged);
        }
    }
    histogram!(names::CATALOG_JUDGE_SECONDS).record(began.elapsed());
    Ok(fates)
}

/// Judges one event by what it says, aside of others where that may take long.
pub(super) async fn judge_alone(pool: &Pool, catalog: &Catalog, event: &Event) -> Result<Judgement, AppendError> {
    if !is_costly(catalog, event) {
        return Ok(judge_one(catalog, event, today()));
    }
    let (catalog, event) = (catalog.clone(), event.clone());
    pool.run(Work::Costly, move || judge_one(&catalog, &event, today())).await.map_err(|Broke| broke())
}

/// Whether it may take long to judge an event.
fn is_costly(catalog: &Catalog, event: &Event) -> bool {
    catalog.is_costly(&event.event_type, &event.version)
}

fn broke() -> AppendError {
    AppendError::Store(tidings_store::Error::Broken("judging events broke".to_owned()))
}

fn chunks(events: Vec<Event>) -> Vec<Vec<Event>> {
    let mut chunks: Vec<Vec<Event>> = Vec::new();
    let mut bytes = 0;
    for event in events {
        let more = event.data.as_bytes().len();
        match chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK_EVENTS && bytes + more <= CHUNK_BYTES => {
                bytes += more;
                chunk.push(event);
            }
            _ => {
                bytes = more;
                chunks.push(vec![event]);
            }
        }
    }
    chunks
}

fn fate(catalog: &Catalog, event: Event, today: jiff::civil::Date) -> Fate {
    let take = |event, mark: Option<Vec<Violation>>, rule: Option<Arc<StateRule>>| {
        let aside_if_refused = rule.as_ref().is_some_and(|rule| rule.mode() == Mode::Quarantine);
        let mark = mark.map(Arc::from);
        Fate::Take(Judged { event, mark, guard: rule.map(StateGuard::of), aside_if_refused })
    };
    match judge_one(catalog, &event, today) {
        Judgement::Pass(rule) => take(event, None, rule),
        Judgement::Observe(violations, rule) => take(event, Some(violations), rule),
        Judgement::Quarantine(violations) => Fate::Stop(Stopped { event, violations, aside: true }),
        Judgement::Refuse(violations) => Fate::Stop(Stopped { event, violations, aside: false }),
    }
}

/// A judgement that panics refuses its event and nothing else: one event must not keep others out, again and again.
pub(super) fn judge_one(catalog: &Catalog, event: &Event, today: jiff::civil::Date) -> Judgement {
    if event.event_type.is_reserved() {
        return Judgement::Pass(None);
    }
    std::panic::catch_unwind(AssertUnwindSafe(|| catalog.judge(event, today)))
        .unwrap_or_else(|_| Judgement::Refuse(vec![not_judged(event)]))
}

/// That an event could not be judged, because judging it panicked.
pub(super) fn not_judged(event: &Event) -> Violation {
    tracing::error!(
        tenant = %event.tenant,
        event_id = %event.id,
        correlation_id = %event.metadata.correlation_id,
        trace_id = trace::id_of(event),
        event_type = %event.event_type,
        version = %event.version,
        "judging an event panicked"
    );
    Violation {
        path: "/data".to_owned(),
        code: code::RULE_NOT_JUDGED,
        message: "could not be judged by the rules of its type".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tidings_catalog::entry::{Entry, Key, Kind};

    use super::*;

    /// Every item is compared with every other.
    const SLOW: &str = r#"
name: sales.list.sent
version: "1"
owner: sales
description: A list was sent.
lifecycle: stable
schema:
  type: object
  properties:
    items: { type: array, items: { type: integer } }
rules:
  - name: alike
    check: data.items.all(a, data.items.all(b, a == b))
    message: the items must be alike
"#;

    fn catalog() -> Catalog {
        let key = Key { kind: Kind::Definition, name: "sales.list.sent".to_owned(), version: "1".to_owned() };
        let catalog = Catalog::empty().with([Entry { key, source: Some(SLOW.to_owned()) }]);
        assert!(catalog.faults().is_empty(), "{:?}", catalog.faults());
        catalog
    }

    fn event(data: &str) -> Event {
        let event = format!(
            r#"{{"type":"sales.list.sent","tenant":"acme","source":{{"type":"service","id":"sales"}},"data":{data}}}"#
        );
        tidings_event::parse_event(event.as_bytes(), &mut tidings_event::SystemMint::default()).unwrap()
    }

    #[tokio::test]
    async fn what_may_take_long_is_judged_on_no_thread_that_serves_others() {
        let (pool, catalog) = (Pool::default(), catalog());
        let slow = event("{\"items\":[1,2]}");
        // Whoever asks first only begins; the answer comes from elsewhere.
        assert!(judge_alone(&pool, &catalog, &slow).now_or_never().is_none());
        assert!(judge_all(&pool, &catalog, vec![slow.clone()]).now_or_never().is_none());
        let fates = judge_all(&pool, &catalog, vec![event("{\"items\":[1,1]}"), slow.clone()]).await.unwrap();
        assert!(matches!(fates.as_slice(), [Fate::Take(_), Fate::Stop(_)]), "in the order given");
        assert!(matches!(judge_alone(&pool, &catalog, &slow).await.unwrap(), Judgement::Refuse(_)));
        // A type that is quick to judge by is judged where it came in.
        let unknown = Event { version: "9".parse().unwrap(), ..slow };
        assert!(judge_alone(&pool, &catalog, &unknown).now_or_never().is_some());
    }
}
