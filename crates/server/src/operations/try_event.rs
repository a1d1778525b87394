//! `POST /v1/catalog/try`: how an event would be judged.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use tidings_catalog::mint::CurrentMint;
use tidings_event::{SystemMint, parse_event};

use crate::app::App;
use crate::auth::Producer;
use crate::body::{collect, expect_json};
use crate::catalog::render;
use crate::failure::Failure;
use crate::limits::SMALL_BODY_BYTES_MAX;
use crate::{json, wire};

crate::problems!(Problems: BodyMalformed, RequestTimeout, BodyTooLarge, ContentTypeUnsupported, EventInvalid,
    StorageUnavailable);

/// Try an event
///
/// Judges an event as `POST /v1/events` would with the same key, and writes nothing.
#[utoipa::path(
    post, path = "/v1/catalog/try", tag = "catalog", operation_id = "try_event",
    request_body(content = wire::Event, description = "The event."),
    responses((status = 200, description = "How it would be judged.", body = wire::Trial), Problems),
    security(("key" = ["admin", "producer"])),
)]
pub(crate) async fn try_event(
    State(app): State<App>,
    producer: Producer,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    expect_json(&headers)?;
    let body = collect(&app.admission, &headers, body, SMALL_BODY_BYTES_MAX).await?;
    let mut mint = CurrentMint { given: SystemMint::default(), catalog: &app.engine.catalog() };
    let event = parse_event(&body.bytes, &mut mint)?;
    producer.check(std::slice::from_ref(&event), |_| String::new())?;
    let trial = app.engine.catalogs().try_event(&producer.emitter(), &event).await?;
    json::answer(StatusCode::OK, &render::trial(&trial))
}
