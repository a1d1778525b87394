//! What taking events in over HTTP is in a trace.

use axum::response::Response;
use http::HeaderMap;
use tidings_engine::Engine;
use tidings_engine::trace::{Kind, Span, SpanId, TraceContext, Tracer, Value, about};
use tidings_event::{Event, Text, Timestamp};

use crate::failure::Failure;

const TRACEPARENT: &str = "traceparent";

/// A request that brings events in.
pub(crate) struct Ingest<'a> {
    tracer: &'a Tracer,
    route: &'static str,
    /// The trace that the request says it belongs to.
    request: Option<TraceContext>,
    /// The request's span, if it is recorded.
    span: Option<(TraceContext, Option<SpanId>)>,
    began: Timestamp,
    about: Vec<(&'static str, Value)>,
}

impl<'a> Ingest<'a> {
    /// Begins with what the request says of its trace.
    pub(crate) fn begin(engine: &'a Engine, headers: &HeaderMap, route: &'static str) -> Self {
        let mut given = headers.get_all(TRACEPARENT).iter();
        let given = given.next().filter(|_| given.next().is_none()).and_then(|value| value.to_str().ok());
        let request = given.and_then(TraceContext::parse);
        let tracer = engine.tracer();
        let span = match (tracer.is_on(), request) {
            (false, _) => None,
            (true, Some(request)) => tracer.takes(&request.header()).map(|of| child(of, Some(request.span))),
            (true, None) => tracer.begin().map(|of| child(of, None)),
        };
        let began = if tracer.is_on() { now() } else { Timestamp::from_micros(0) };
        Self { tracer, route, request, span, began, about: Vec::new() }
    }

    /// Makes the request's trace that of events which have none, and notes what the request brings. The first event's
    /// trace becomes the request's where that has none.
    pub(crate) fn carry(&mut self, events: &mut [Event]) {
        if self.tracer.is_on() {
            self.note(events);
        }
        let Some(context) = self.span.map(|(own, _)| own).or(self.request) else { return };
        for event in events.iter_mut().filter(|event| event.metadata.traceparent.is_none()) {
            event.metadata.traceparent = Some(Text::trusted(context.header()));
        }
    }

    fn note(&mut self, events: &[Event]) {
        if self.request.is_none()
            && let Some(of) = events.first().and_then(|event| self.tracer.of(event))
        {
            self.span = Some(child(of, Some(of.span)));
        }
        if self.span.is_none() {
            return;
        }
        if let [event] = events {
            self.about = about(event);
        } else {
            self.about.push(("messaging.system", Value::Word("tidings")));
        }
        let count = i64::try_from(events.len()).unwrap_or(i64::MAX);
        self.about.push(("messaging.batch.message_count", Value::Number(count)));
    }

    /// Ends the span with the answer.
    pub(crate) fn end(self, answer: &Result<Response, Failure>) {
        let Some((context, parent)) = self.span else { return };
        let status = answer.as_ref().map_or_else(|failure| failure.code().status(), |answer| answer.status().as_u16());
        let mut attributes = self.about;
        attributes.extend([
            ("messaging.operation.name", Value::Word("ingest")),
            ("http.request.method", Value::Word("POST")),
            ("http.route", Value::Word(self.route)),
            ("http.response.status_code", Value::Number(status.into())),
        ]);
        // As the conventions for HTTP servers have it: what the caller did wrong is no failure of this side.
        let failure = (status >= 500).then(|| status.to_string());
        if let Some(failure) = &failure {
            attributes.push(("error.type", Value::Text(failure.clone())));
        }
        self.tracer.submit(Span {
            trace: context.trace,
            id: context.span,
            parent,
            name: "tidings.ingest",
            kind: Kind::Server,
            began: self.began,
            ended: now().max(self.began),
            attributes,
            failure,
        });
    }
}

/// A span of this request in a trace, and what it belongs to.
fn child(of: TraceContext, parent: Option<SpanId>) -> (TraceContext, Option<SpanId>) {
    (of.with_span(SpanId::random()), parent)
}

fn now() -> Timestamp {
    tidings_event::Mint::now(&mut tidings_event::SystemMint::default())
}
