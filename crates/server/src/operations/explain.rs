//! `GET /v1/tenants/{tenant}/endpoints/{id}/explain`: why an event did or did not reach an endpoint.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use tidings_event::EventId;
use utoipa::IntoParams;

use crate::app::App;
use crate::auth::Reader;
use crate::endpoints::{endpoint_id, render};
use crate::failure::Failure;
use crate::query::{Query, refuse};
use crate::{json, wire};

crate::problems!(Problems: RequestInvalid, EndpointNotFound, EventNotFound, StorageUnavailable);

/// The parameters, as they are documented.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the documentation only")]
struct Parameters {
    /// The event's id.
    event: String,
}

/// Explain a delivery
///
/// Why an event did or did not reach the endpoint: it was delivered, waits for its next attempt, was given up, waits in
/// the lane, fails this filter by these values, or is older than the subscription.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/endpoints/{id}/explain", tag = "endpoints", operation_id = "explain_delivery",
    params(
        ("tenant" = String, Path, description = "The tenant's name."),
        ("id" = String, Path, description = "The endpoint's id."),
        Parameters,
    ),
    responses((status = 200, description = "The explanation.", body = wire::Explanation), Problems),
    security(("key" = ["admin", "consumer", "auditor"])),
)]
pub(crate) async fn explain(
    State(app): State<App>,
    reader: Reader,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    let query = Query::parse(raw.as_deref(), &["event"], &[])?;
    let id = endpoint_id(&reader)?;
    let event = query.get_as("event", |text| EventId::parse(text))?;
    let event = event.ok_or_else(|| refuse("event", "parameter_missing", "is required"))?;
    let explanation = app.engine.endpoints().explain(&reader.tenant, &id, &event).await?;
    json::answer(StatusCode::OK, &render::explanation(explanation))
}
