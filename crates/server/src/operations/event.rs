//! `GET /v1/tenants/{tenant}/events/{id}`: one event.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use tidings_event::{ErrorCode, EventId, cloudevents};

use crate::app::App;
use crate::auth::{Reader, invalid_param};
use crate::failure::Failure;
use crate::negotiate::{Format, choose};
use crate::query::Query;
use crate::{json, render, wire};

crate::problems!(Problems: RequestInvalid, EventNotFound, NotAcceptable, StorageUnavailable);

/// Read one event
///
/// As Tidings' own envelope, or as a structured CloudEvent where `Accept` or `format` asks for it.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/events/{id}", tag = "events", operation_id = "get_event",
    params(
        ("tenant" = String, Path, description = "The tenant's name."),
        ("id" = String, Path, description = "The event's id."),
        ("format" = Option<String>, Query, pattern = "^(native|cloudevents)$",
            description = "`native` or `cloudevents`; goes before `Accept`."),
    ),
    responses(
        (status = 200, description = "The event.", content(
            (wire::RecordedEvent = "application/json"), (wire::CloudEvent = "application/cloudevents+json"),
        )),
        Problems,
    ),
    security(("key" = ["admin", "consumer", "auditor"])),
)]
pub(crate) async fn event(
    State(app): State<App>,
    reader: Reader,
    headers: HeaderMap,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    let query = Query::parse(raw.as_deref(), &["format"], &[])?;
    let format = match Format::of_query(&query)? {
        Some(format) => format,
        None => {
            choose(&headers, &[("application/json", Format::Native), (cloudevents::CONTENT_TYPE, Format::CloudEvents)])?
        }
    };
    let id = event_id(&reader)?;
    let recorded = app.engine.event(&reader.tenant, &id).await?.ok_or_else(|| not_found(&id))?;
    let mut out = Vec::new();
    render::event(&recorded, format, &mut out);
    let media = if format == Format::Native { "application/json" } else { cloudevents::CONTENT_TYPE };
    Ok(json::typed(StatusCode::OK, media, out))
}

/// The event's id in the path.
pub(super) fn event_id(reader: &Reader) -> Result<EventId, Failure> {
    EventId::parse(reader.param("id")).map_err(|error| invalid_param("id", "id_malformed", &error))
}

pub(super) fn not_found(id: &EventId) -> Failure {
    Failure::new(ErrorCode::EventNotFound, format!("The tenant has no event with the id '{id}'."))
}
