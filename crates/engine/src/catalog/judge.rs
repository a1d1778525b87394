//! Judging events by what they say, before anything is queued.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use metrics::histogram;
use tidings_catalog::entry::Mode;
use tidings_catalog::judge::{Catalog, Judgement, StateRule};
use tidings_event::limits::DATA_BYTES_MAX;
use tidings_event::{Event, Violation, violation_code as code};

use super::guard::StateGuard;
use super::today;
use crate::append::Judged;
use crate::{AppendError, metrics as names};

/// Events that are judged by one task, one after the other; more are judged by several.
const CHUNK_EVENTS: usize = 64;
/// Bytes of data that are judged by one task, unless one event has more.
const CHUNK_BYTES: usize = DATA_BYTES_MAX;

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

/// Judges events by what they say. Many are judged by several tasks at once.
pub(super) async fn judge_all(catalog: &Catalog, events: Vec<Event>) -> Result<Vec<Fate>, AppendError> {
    let began = Instant::now();
    let today = today();
    let bytes: usize = events.iter().map(|event| event.data.as_bytes().len()).sum();
    let fates = if events.len() <= CHUNK_EVENTS && bytes <= CHUNK_BYTES {
        events.into_iter().map(|event| fate(catalog, event, today)).collect()
    } else {
        let tasks: Vec<_> = chunks(events)
            .into_iter()
            .map(|chunk| {
                let catalog = catalog.clone();
                tokio::spawn(
                    async move { chunk.into_iter().map(|event| fate(&catalog, event, today)).collect::<Vec<_>>() },
                )
            })
            .collect();
        let mut fates = Vec::new();
        for task in tasks {
            let broken = |_| AppendError::Store(tidings_store::Error::Broken("judging events broke".to_owned()));
            fates.extend(task.await.map_err(broken)?);
        }
        fates
    };
    histogram!(names::CATALOG_JUDGE_SECONDS).record(began.elapsed());
    Ok(fates)
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
    tracing::error!(event_type = %event.event_type, version = %event.version, "judging an event panicked");
    Violation {
        path: "/data".to_owned(),
        code: code::RULE_NOT_JUDGED,
        message: "could not be judged by the rules of its type".to_owned(),
    }
}
