//! What a router's work on one event is in a trace.

use http::{HeaderName, HeaderValue};
use tidings_core::deliver::Answer;
use tidings_event::delivery::AttemptResult;
use tidings_event::{EventId, LaneNo, Recorded, Sequence, TenantId, Text};

use crate::FeedEvent;
use crate::append::now;
use crate::egress::Call;
use crate::endpoints::Sender;
use crate::trace::{Kind, Span, SpanId, Step, TraceContext, Tracer, Value, about, id_of, step};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Records that an event was matched: from its being in the log to the lanes that want it.
pub(super) fn routed(tracer: &Tracer, context: TraceContext, event: &Recorded, lanes: usize) {
    let mut attributes = about(&event.event);
    attributes.extend([
        ("messaging.operation.name", Value::Word("route")),
        ("messaging.destination.partition.id", Value::Text(event.partition.to_string())),
        ("tidings.sequence", number(event.sequence.get())),
        ("tidings.lanes", number(lanes as u64)),
    ]);
    let ended = now().max(event.recorded_at);
    tracer.submit(Span {
        trace: context.trace,
        id: step(&context, &event.event, Step::Route),
        parent: Some(step(&context, &event.event, Step::Append)),
        name: "tidings.route",
        kind: Kind::Internal,
        began: event.recorded_at,
        ended,
        attributes,
        failure: None,
    });
}

/// An attempt whose event is recorded. Its receiver is told the attempt's own span, so that what it does belongs to the
/// attempt, not to what the producer did.
pub(super) struct Traced {
    tracer: Tracer,
    /// None once it has ended.
    span: Option<Span>,
}

impl Traced {
    /// Begins the span of an attempt, if the event is recorded.
    pub(super) fn begin(
        tracer: &Tracer,
        sender: &Sender,
        event: &FeedEvent,
        lane: LaneNo,
        attempt: u32,
    ) -> Option<Self> {
        let recorded = &event.recorded;
        let context = tracer.of(&recorded.event)?;
        let mut attributes = about(&recorded.event);
        attributes.extend([
            ("messaging.operation.name", Value::Word("deliver")),
            ("messaging.operation.type", Value::Word("send")),
            ("http.request.method", Value::Word("POST")),
            ("http.request.resend_count", number(u64::from(attempt.saturating_sub(1)))),
            // The host alone: paths and queries of webhooks hold secrets.
            ("server.address", Value::Text(sender.target.host_name())),
            ("server.port", number(u64::from(sender.target.port()))),
            ("tidings.endpoint.id", Value::Text(sender.id.to_string())),
            ("tidings.attempt", number(u64::from(attempt))),
            ("tidings.sequence", number(recorded.sequence.get())),
            ("tidings.replay", Value::Flag(lane.replay().is_some())),
        ]);
        let began = now();
        let span = Span {
            trace: context.trace,
            id: SpanId::random(),
            parent: Some(step(&context, &recorded.event, Step::Route)),
            name: "tidings.deliver",
            kind: Kind::Client,
            began,
            ended: began,
            attributes,
            failure: None,
        };
        Some(Self { tracer: tracer.clone(), span: Some(span) })
    }

    /// Makes the receiver's work part of this attempt.
    pub(super) fn mark(&self, call: &mut Call) {
        let Some(span) = &self.span else { return };
        let context = TraceContext { trace: span.trace, span: span.id, sampled: true };
        if let Ok(value) = HeaderValue::try_from(context.header()) {
            call.headers.insert(TRACEPARENT, value);
        }
    }

    /// Ends the span with how the attempt ended.
    pub(super) fn end(mut self, answer: &Answer) {
        let Some(mut span) = self.span.take() else { return };
        span.ended = now().max(span.began);
        let failure = match answer.result {
            AttemptResult::Status(status) => {
                span.attributes.push(("http.response.status_code", number(u64::from(status))));
                (!(200..300).contains(&status)).then(|| status.to_string())
            }
            AttemptResult::Failed(failure) => Some(failure.as_str().to_owned()),
        };
        if let Some(failure) = &failure {
            span.attributes.push(("error.type", Value::Text(failure.clone())));
        }
        span.failure = failure;
        self.tracer.submit(span);
    }
}

impl Drop for Traced {
    /// An attempt that was abandoned, since its partition has another owner, has been sent all the same.
    fn drop(&mut self) {
        if let Some(mut span) = self.span.take() {
            span.ended = now().max(span.began);
            span.failure = Some("abandoned".to_owned());
            self.tracer.submit(span);
        }
    }
}

/// What names an event in a line of the log; only made where such lines are wanted.
pub(super) struct Named {
    tenant: TenantId,
    event_id: EventId,
    correlation_id: Text,
    trace_id: String,
    sequence: Sequence,
}

impl Named {
    pub(super) fn of(event: &FeedEvent) -> Option<Self> {
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return None;
        }
        let Recorded { event, sequence, .. } = &event.recorded;
        Some(Self {
            tenant: event.tenant.clone(),
            event_id: event.id.clone(),
            correlation_id: event.metadata.correlation_id.clone(),
            trace_id: id_of(event).to_owned(),
            sequence: *sequence,
        })
    }

    /// Tells how an attempt ended. What the receiver answered is kept with the attempt, and is not logged.
    pub(super) fn tell(&self, sender: &Sender, attempt: u32, answer: &Answer) {
        let Self { tenant, event_id, correlation_id, trace_id, sequence } = self;
        let (status, failure) = match answer.result {
            AttemptResult::Status(status) => (Some(status), None),
            AttemptResult::Failed(failure) => (None, Some(failure.as_str())),
        };
        tracing::debug!(
            %tenant, %event_id, %correlation_id, trace_id, %sequence, endpoint = %sender.id, attempt, status, failure,
            ms = answer.duration.as_secs_f64() * 1e3, "attempted"
        );
    }
}

fn number(number: u64) -> Value {
    Value::Number(i64::try_from(number).unwrap_or(i64::MAX))
}
