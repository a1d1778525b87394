//! `POST /v1/events`: takes events in.

use std::cell::RefCell;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use tidings_catalog::judge::Catalog;
use tidings_catalog::mint::CurrentMint;
use tidings_engine::{AppendError, Way};
use tidings_event::log::Receipt;
use tidings_event::{Batch, ErrorCode, EventId, Rejection, SystemMint, TenantId, Violation, cloudevents, parse_batch};

use crate::app::App;
use crate::auth::Producer;
use crate::body::{collect, media_type, unsupported};
use crate::failure::Failure;
use crate::json;
use crate::limits::EVENTS_BODY_BYTES_MAX;
use crate::members::refusal;
use crate::ratelimit::charge;
use crate::telemetry::ingest::Ingest;
use crate::wire;

crate::problems!(Problems: BodyMalformed, EventIdConflict, RequestTimeout, BatchTooLarge, BodyTooLarge,
    ContentTypeUnsupported, EventInvalid, EventIdsRequired, EventRejected, EventQuarantined, RateLimited, StorageUnavailable);

/// Emit events
///
/// Takes one event or an array of up to 1,000 events (8 MiB), or CloudEvents: structured, batched or in binary mode
/// (a `ce-specversion` header; the body is the data).
///
/// A request is judged as a whole: one bad event and nothing is written. Events are written atomically per tenant. A
/// request over several tenants must carry its own ids, so that repeating it after a failure completes it. Repeating
/// events with the same ids and content is safe: they are answered with the sequences they have, as duplicates.
///
/// A request that would bring more of a tenant than the tenant may send is refused whole (`rate_limited`) and charged
/// nothing. Where a tenant has a quota the answer tells how it stands: `RateLimit-Policy` and `RateLimit`, for each
/// policy and tenant (`pk`). Events that are in the log already count like others.
///
/// A request with a `traceparent` header (W3C Trace Context) lends it to events that carry none of their own.
///
/// Events are judged by the catalog: by the definition of their type and version (the type's current version where an
/// event names none). As the policies say, an event that breaks a rule is refused (`event_rejected`), kept in quarantine
/// (`event_quarantined`), or taken and marked. Types of the catalog are emitted by their owner alone.
#[utoipa::path(
    post, path = "/v1/events", tag = "events", operation_id = "emit_events",
    request_body(description = "The events.", content(
        (wire::Events = "application/json"),
        (wire::CloudEvent = "application/cloudevents+json"),
        (Vec<wire::CloudEvent> = "application/cloudevents-batch+json"),
    )),
    responses((status = 201, description = "All events are in the log, durably.", body = wire::Receipts), Problems),
    security(("key" = ["admin", "producer"])),
)]
pub(crate) async fn emit(
    State(app): State<App>,
    producer: Producer,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let mut trace = Ingest::begin(&app.engine, &headers, "/v1/events");
    let answer = take_in(&app, &producer, &headers, body, &mut trace).await;
    trace.end(&answer);
    answer
}

async fn take_in(
    app: &App,
    producer: &Producer,
    headers: &HeaderMap,
    body: Body,
    trace: &mut Ingest<'_>,
) -> Result<Response, Failure> {
    let kind = Kind::of(headers)?;
    let body = collect(&app.admission, headers, body, EVENTS_BODY_BYTES_MAX).await?;
    let mut batch = kind.parse(headers, &body.bytes, &app.engine.catalog())?;
    trace.carry(&mut batch.events);
    let place = Place { in_array: kind == Kind::CloudEventsBatch || (kind == Kind::Native && is_array(&body.bytes)) };
    producer.check(&batch.events, |index| place.path(index))?;
    if !batch.ids_given && spans_tenants(&batch) {
        return Err(ids_required());
    }
    let names: Vec<(EventId, TenantId)> = batch.events.iter().map(|e| (e.id.clone(), e.tenant.clone())).collect();
    let charged = charge(app, Way::Events, &batch.events)?;
    let emitted = app.engine.emit(&producer.emitter(), batch.events).await;
    charged.tell(match emitted {
        Ok(receipts) => Ok(json::bytes(StatusCode::CREATED, write(&names, &receipts))),
        Err(error) => Err(refused(error, place)),
    })
}

/// How the events are written in the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Native,
    CloudEvent,
    CloudEventsBatch,
    CloudEventBinary,
}

impl Kind {
    fn of(headers: &HeaderMap) -> Result<Self, Failure> {
        let media = media_type(headers)?;
        match media.as_str() {
            cloudevents::CONTENT_TYPE => Ok(Self::CloudEvent),
            cloudevents::CONTENT_TYPE_BATCH => Ok(Self::CloudEventsBatch),
            "application/json" if headers.contains_key("ce-specversion") => Ok(Self::CloudEventBinary),
            "application/json" => Ok(Self::Native),
            _ => Err(unsupported(&media)),
        }
    }

    fn parse(self, headers: &HeaderMap, body: &[u8], catalog: &Catalog) -> Result<Batch, Rejection> {
        thread_local!(static MINT: RefCell<SystemMint> = RefCell::default());
        MINT.with_borrow_mut(|system| {
            let mint = &mut CurrentMint { given: system, catalog };
            match self {
                Self::Native => parse_batch(body, mint),
                Self::CloudEventsBatch => cloudevents::parse_batch(body, mint),
                // A single CloudEvent always carries an id.
                Self::CloudEvent => cloudevents::parse_structured(body, mint).map(one),
                Self::CloudEventBinary => {
                    let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
                    cloudevents::parse_binary(headers, body, mint).map(one)
                }
            }
        })
    }
}

fn one(event: tidings_event::Event) -> Batch {
    Batch { events: vec![event], ids_given: true }
}

fn is_array(body: &[u8]) -> bool {
    body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[')
}

fn spans_tenants(batch: &Batch) -> bool {
    batch.events.windows(2).any(|pair| matches!(pair, [a, b] if a.tenant != b.tenant))
}

fn ids_required() -> Failure {
    Failure::new(
        ErrorCode::EventIdsRequired,
        "The events belong to several tenants and not all carry an 'id'. Each tenant's events are written by \
         themselves, so only with ids of your own can the request be repeated safely.",
    )
}

/// Where an event stands in the request's body.
#[derive(Clone, Copy)]
struct Place {
    in_array: bool,
}

impl Place {
    fn path(self, index: usize) -> String {
        if self.in_array { format!("/{index}") } else { String::new() }
    }
}

fn refused(error: AppendError, place: Place) -> Failure {
    let code = error.code();
    match error {
        AppendError::Conflict { indexes } => taken(&indexes, place),
        // The engine has told of it already, so it is no denied access beside that.
        AppendError::NotOwned { violations } => {
            Failure::new(code, "The key may not emit all of these events; nothing was written.")
                .with_errors(placed(violations, place))
        }
        AppendError::Rejected { violations } | AppendError::Quarantined { violations } => {
            refusal(code, placed(violations, place))
        }
        other => other.into(),
    }
}

/// Broken rules with the places of their events in the request.
fn placed(violations: Vec<(usize, Vec<Violation>)>, place: Place) -> Vec<Violation> {
    let placed = violations.into_iter().flat_map(|(index, violations)| {
        violations
            .into_iter()
            .map(move |violation| Violation { path: format!("{}{}", place.path(index), violation.path), ..violation })
    });
    placed.take(tidings_event::limits::VIOLATIONS_MAX).collect()
}

fn taken(indexes: &[usize], place: Place) -> Failure {
    let violations = indexes.iter().take(tidings_event::limits::VIOLATIONS_MAX).map(|&index| Violation {
        path: format!("{}/id", place.path(index)),
        code: "event_id_conflict",
        message: "the id is taken by an event with another type, source, entity or data".to_owned(),
    });
    Failure::new(
        ErrorCode::EventIdConflict,
        "Ids are taken by events with other content; nothing of their tenants was written.",
    )
    .with_errors(violations.collect())
}

fn write(names: &[(EventId, TenantId)], receipts: &[Receipt]) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 + receipts.len() * 112);
    out.extend_from_slice(b"{\"results\":[");
    for (index, ((id, tenant), receipt)) in names.iter().zip(receipts).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"id\":");
        json::write_string(id.as_str(), &mut out);
        out.extend_from_slice(b",\"tenant\":");
        json::write_string(tenant.as_str(), &mut out);
        out.extend_from_slice(b",\"sequence\":");
        json::write_number(receipt.sequence.get(), &mut out);
        out.extend_from_slice(if receipt.duplicate { b",\"duplicate\":true}" } else { b",\"duplicate\":false}" });
    }
    out.extend_from_slice(b"]}");
    out
}
