//! `POST /v1/intents`: the first step of a two-step emission.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use tidings_catalog::judge::Catalog;
use tidings_catalog::mint::CurrentMint;
use tidings_core::reconcile::{Probe, ProbeError, Stored, stale_after_s};
use tidings_engine::{AppendError, Error, IntentState, Way};
use tidings_event::{ErrorCode, Event, Rejection, SystemMint, Violation, parse_event};

use crate::app::App;
use crate::auth::Producer;
use crate::body::{collect, expect_json};
use crate::failure::Failure;
use crate::limits::SMALL_BODY_BYTES_MAX;
use crate::ratelimit::charge;
use crate::telemetry::ingest::Ingest;
use crate::{json, wire};

crate::problems!(Problems: BodyMalformed, IntentConflict, RequestTimeout, BodyTooLarge, ContentTypeUnsupported,
    EventInvalid, EventRejected, RateLimited, StorageUnavailable, SourceUnavailable);

/// Create an intent
///
/// The first step for a producer that has no outbox: say what is about to happen, make the change, then confirm (or
/// discard) the intent. Should neither come, the probe is asked once the intent is stale: the change has happened →
/// confirmed; it has not → discarded; cannot tell → kept and reported. Repeating the same intent is safe.
///
/// Intents count against quotas of their own, as large as those of events, and are refused and told alike.
///
/// The event is judged by the catalog now, as `POST /v1/events` would judge it, so that it is not refused later.
#[utoipa::path(
    post, path = "/v1/intents", tag = "intents", operation_id = "create_intent",
    request_body(content = wire::NewIntent, description = "The event and how to find out whether it happened."),
    responses((status = 201, description = "The intent is stored.", body = wire::IntentState), Problems),
    security(("key" = ["admin", "producer"])),
)]
pub(crate) async fn create_intent(
    State(app): State<App>,
    producer: Producer,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let mut trace = Ingest::begin(&app.engine, &headers, "/v1/intents");
    let answer = create(&app, &producer, &headers, body, &mut trace).await;
    trace.end(&answer);
    answer
}

async fn create(
    app: &App,
    producer: &Producer,
    headers: &HeaderMap,
    body: Body,
    trace: &mut Ingest<'_>,
) -> Result<Response, Failure> {
    expect_json(headers)?;
    let body = collect(&app.admission, headers, body, SMALL_BODY_BYTES_MAX).await?;
    let (mut event, stored) = parse(&body.bytes, &app.engine.catalog())?;
    trace.carry(std::slice::from_mut(&mut event));
    producer.check(std::slice::from_ref(&event), |_| "/event".to_owned())?;
    let source_key = event.id.to_string();
    let charged = charge(app, Way::Intents, std::slice::from_ref(&event))?;
    let created = app.engine.create_intent(&producer.emitter(), event, &stored).await;
    charged.tell(created.map_err(refused).and_then(|state| answer(source_key, state)))
}

fn answer(source_key: String, state: IntentState) -> Result<Response, Failure> {
    let state = match state {
        IntentState::Intent => "intent",
        IntentState::Confirmed => "confirmed",
    };
    json::answer(StatusCode::CREATED, &wire::IntentState { source_key, state: state.to_owned() })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request<'a> {
    #[serde(borrow)]
    event: &'a RawValue,
    #[serde(borrow)]
    probe: Option<&'a RawValue>,
    stale_after_s: Option<serde_json::Value>,
}

fn parse(body: &[u8], catalog: &Catalog) -> Result<(Event, Stored), Failure> {
    let request: Request<'_> = json::read(body)?;
    let mut mint = CurrentMint { given: SystemMint::default(), catalog };
    let event = parse_event(request.event.get().as_bytes(), &mut mint).map_err(below_event)?;
    let probe = request.probe.map(|probe| Probe::parse(probe.get().as_bytes()));
    let probe = probe.transpose().map_err(|error| bad_probe("/probe", error))?;
    let stale_after_s = request.stale_after_s.as_ref().map(stale_after_s);
    let stale_after_s = stale_after_s.transpose().map_err(|error| bad_probe("", error))?;
    Ok((event, Stored { probe, stale_after_s }))
}

/// What the catalog says against the event, with its places in the request.
fn refused(error: Error) -> Failure {
    let Error::Refused(mut error) = error else { return error.into() };
    if let AppendError::Rejected { violations }
    | AppendError::Quarantined { violations }
    | AppendError::NotOwned { violations } = &mut error
    {
        for violation in violations.iter_mut().flat_map(|(_, violations)| violations) {
            violation.path.insert_str(0, "/event");
        }
    }
    error.into()
}

/// The event's violations with their places in the request.
fn below_event(mut rejection: Rejection) -> Failure {
    for violation in &mut rejection.violations {
        violation.path.insert_str(0, "/event");
    }
    rejection.into()
}

fn bad_probe(prefix: &str, error: ProbeError) -> Failure {
    let path = format!("{prefix}{}", error.path);
    let detail = format!("{path}: {}", error.message);
    let violation = Violation { path, code: "probe_invalid", message: error.message };
    Failure::new(ErrorCode::RequestInvalid, detail).with_errors(vec![violation])
}
