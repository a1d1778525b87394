//! What the outbox is in the traces of its events: the time from the producer's commit to the append.

use tidings_event::{Event, Text};
use tidings_store::OutboxRow;

use crate::append::now;
use crate::trace::{Kind, Span, Step, Tracer, Value, about, step};

/// An event of the outbox that is recorded.
pub(super) struct Traced {
    /// The place of its row.
    pub(super) row: i64,
    span: Span,
}

impl Traced {
    /// Begins the span of an event, if it is recorded. It began when the row was written. An event without a trace gets
    /// one where the tracer begins some by itself.
    pub(super) fn begin(tracer: &Tracer, event: &mut Event, source: &str, row: &OutboxRow) -> Option<Self> {
        if !tracer.is_on() {
            return None;
        }
        let (context, parent) = match &event.metadata.traceparent {
            Some(_) => tracer.of(event).map(|context| (context, Some(context.span)))?,
            None => {
                let begun = tracer.begin()?;
                let context = begun.with_span(step(&begun, event, Step::Pump));
                event.metadata.traceparent = Some(Text::trusted(context.header()));
                (context, None)
            }
        };
        let mut attributes = about(event);
        attributes.extend([
            ("messaging.operation.name", Value::Word("pump")),
            ("messaging.operation.type", Value::Word("receive")),
            ("tidings.source", Value::Text(source.to_owned())),
        ]);
        let span = Span {
            trace: context.trace,
            id: step(&context, event, Step::Pump),
            parent,
            name: "tidings.pump",
            kind: Kind::Consumer,
            began: row.created_at,
            ended: row.created_at,
            attributes,
            failure: None,
        };
        Some(Self { row: row.id, span })
    }

    /// Ends the span: the event is where it belongs, or was refused.
    pub(super) fn end(self, tracer: &Tracer, refused: bool) {
        let mut span = self.span;
        span.ended = now().max(span.began);
        span.failure = refused.then(|| "refused".to_owned());
        tracer.submit(span);
    }
}
