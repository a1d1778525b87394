//! `POST /v1/outbox/refused/{source}/{id}/retry`: has the log look at a refused row again.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use tidings_event::ErrorCode;

use crate::app::App;
use crate::auth::{Admin, Params, invalid_param};
use crate::body::{collect, expect_json};
use crate::failure::Failure;
use crate::limits::SMALL_BODY_BYTES_MAX;
use crate::{json, wire};

crate::problems!(Problems: BodyMalformed, SourceNotFound, OutboxRowNotFound, RequestTimeout, BodyTooLarge,
    ContentTypeUnsupported, SourceUnavailable);

/// Retry a refused row
///
/// Puts the row back among the waiting, with a mended envelope where one is given. Should the log refuse it again, it
/// is among the refused rows again.
#[utoipa::path(
    post, path = "/v1/outbox/refused/{source}/{id}/retry", tag = "outbox", operation_id = "retry_refused_row",
    params(
        ("source" = String, Path, description = "The source's name."),
        ("id" = i64, Path, description = "The row's id."),
    ),
    request_body(content = Option<wire::Retry>, description = "Nothing, or a mended envelope."),
    responses((status = 202, description = "The row waits again."), Problems),
    security(("key" = ["admin"])),
)]
pub(crate) async fn retry_refused(
    State(app): State<App>,
    _admin: Admin,
    params: Params,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let id = row_id(&params)?;
    let body = collect(&app.admission, &headers, body, SMALL_BODY_BYTES_MAX).await?;
    let event = if body.bytes.trim_ascii().is_empty() {
        None
    } else {
        expect_json(&headers)?;
        let request: Request<'_> = json::read(&body.bytes)?;
        request.event.map(|event| event.get().as_bytes().to_vec())
    };
    if app.engine.retry_refused(params.get("source"), id, event).await? {
        Ok(StatusCode::ACCEPTED.into_response())
    } else {
        Err(not_found(id))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request<'a> {
    #[serde(borrow)]
    event: Option<&'a RawValue>,
}

pub(super) fn row_id(params: &Params) -> Result<i64, Failure> {
    params.get("id").parse().map_err(|_| invalid_param("id", "id_malformed", &"must be a whole number"))
}

pub(super) fn not_found(id: i64) -> Failure {
    Failure::new(ErrorCode::OutboxRowNotFound, format!("The source has no refused row with the id {id}."))
}
