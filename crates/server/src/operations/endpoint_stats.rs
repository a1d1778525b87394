//! `GET /v1/tenants/{tenant}/endpoints/{id}/stats`: how an endpoint does.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;

use crate::app::App;
use crate::auth::Reader;
use crate::endpoints::{endpoint_id, render};
use crate::failure::Failure;
use crate::query::Query;
use crate::{json, wire};

crate::problems!(Problems: RequestInvalid, EndpointNotFound, StorageUnavailable);

/// Read an endpoint's statistics
///
/// How far it lags behind the log, in events and in age, what waits or was given up, its circuit, and what its newest
/// attempts tell.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/endpoints/{id}/stats", tag = "endpoints", operation_id = "get_endpoint_stats",
    params(
        ("tenant" = String, Path, description = "The tenant's name."),
        ("id" = String, Path, description = "The endpoint's id."),
    ),
    responses((status = 200, description = "The statistics.", body = wire::EndpointStats), Problems),
    security(("key" = ["admin", "consumer", "auditor"])),
)]
pub(crate) async fn endpoint_stats(
    State(app): State<App>,
    reader: Reader,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    Query::parse(raw.as_deref(), &[], &[])?;
    let stats = app.engine.endpoints().stats(&reader.tenant, &endpoint_id(&reader)?).await?;
    json::answer(StatusCode::OK, &render::stats(&stats))
}
