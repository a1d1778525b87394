//! `PATCH /v1/tenants/{tenant}/endpoints/{id}`: changes an endpoint.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};

use crate::app::App;
use crate::auth::Manager;
use crate::endpoints::{body, endpoint_id, parse, render};
use crate::failure::Failure;
use crate::{json, wire};

crate::problems!(Problems: BodyMalformed, EndpointNotFound, RequestTimeout, EndpointBusy, BodyTooLarge,
    ContentTypeUnsupported, EndpointInvalid, StorageUnavailable);

/// Change an endpoint
///
/// What is left out stays; `null` gives a member its default back. New types and a new filter hold for events after the
/// change; what was recorded before is delivered by the old ones. `"status": "paused"` stops deliveries and keeps the
/// place, `"status": "active"` goes on there. Repeating a change changes nothing more.
#[utoipa::path(
    patch, path = "/v1/tenants/{tenant}/endpoints/{id}", tag = "endpoints", operation_id = "update_endpoint",
    params(
        ("tenant" = String, Path, description = "The tenant's name."),
        ("id" = String, Path, description = "The endpoint's id."),
    ),
    request_body(content = wire::EndpointChanges, description = "What shall change."),
    responses((status = 200, description = "The endpoint as it is now.", body = wire::Endpoint), Problems),
    security(("key" = ["admin", "consumer"])),
)]
pub(crate) async fn update_endpoint(
    State(app): State<App>,
    manager: Manager,
    headers: HeaderMap,
    content: Body,
) -> Result<Response, Failure> {
    let id = endpoint_id(&manager)?;
    let content = body(&app, &headers, content, false).await?;
    let endpoints = app.engine.endpoints();
    let patch = parse::changes(&content.bytes, |patch| endpoints.violations_of_change(patch))?;
    let row = endpoints.update(&manager.who(), &manager.tenant, &id, patch).await?;
    json::answer(StatusCode::OK, &render::endpoint(&row, true))
}
