//! What an append is in the traces of its events.

use std::collections::HashMap;
use std::time::Duration;

use tidings_core::append::Request;
use tidings_event::{PartitionId, Recorded};

use super::now;
use crate::queue::Traced;
use crate::trace::{Kind, Span, Step, Tracer, Value, about, step};

/// Which of the events are recorded.
pub(super) fn traced(tracer: &Tracer, requests: &[Request], pumped: bool) -> Option<Box<Traced>> {
    let events = requests.iter().flat_map(|request| &request.events);
    let recorded = events.filter(|prepared| tracer.of(&prepared.event).is_some());
    let events: Vec<_> = recorded.map(|prepared| (prepared.tenant_no, prepared.event.id.clone())).collect();
    (!events.is_empty()).then(|| Box::new(Traced { since: now(), pumped, events }))
}

/// Tells of the rows of a commit that are recorded: from the moment they were queued to the commit's end. Events that
/// were in the log already have had their append.
pub(super) fn tell(
    tracer: &Tracer,
    partition: PartitionId,
    rows: &[Recorded],
    traced: &[Box<Traced>],
    commit: Duration,
) {
    let known: HashMap<_, &Traced> =
        traced.iter().flat_map(|item| item.events.iter().map(move |(no, id)| ((*no, id), &**item))).collect();
    let ended = now();
    for row in rows {
        let Some(item) = known.get(&(row.tenant_no, &row.event.id)) else { continue };
        let Some(context) = tracer.of(&row.event) else { continue };
        let parent = if item.pumped { step(&context, &row.event, Step::Pump) } else { context.span };
        let mut attributes = about(&row.event);
        attributes.extend([
            ("messaging.operation.name", Value::Word("append")),
            ("messaging.destination.partition.id", Value::Text(partition.to_string())),
            ("messaging.batch.message_count", Value::Number(i64::try_from(rows.len()).unwrap_or(i64::MAX))),
            ("tidings.sequence", Value::Number(i64::try_from(row.sequence.get()).unwrap_or(i64::MAX))),
            ("tidings.append.commit_ms", Value::Fraction(commit.as_secs_f64() * 1e3)),
        ]);
        tracer.submit(Span {
            trace: context.trace,
            id: step(&context, &row.event, Step::Append),
            parent: Some(parent),
            name: "tidings.append",
            kind: Kind::Internal,
            began: item.since.min(ended),
            ended,
            attributes,
            failure: None,
        });
    }
}
