//! `GET /v1/tenants/{tenant}/endpoints/{id}`: one endpoint.

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

/// Read one endpoint
///
/// Without its secrets. To an auditor the values of its headers are shown as `***`.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/endpoints/{id}", tag = "endpoints", operation_id = "get_endpoint",
    params(
        ("tenant" = String, Path, description = "The tenant's name."),
        ("id" = String, Path, description = "The endpoint's id."),
    ),
    responses((status = 200, description = "The endpoint.", body = wire::Endpoint), Problems),
    security(("key" = ["admin", "consumer", "auditor"])),
)]
pub(crate) async fn endpoint(
    State(app): State<App>,
    reader: Reader,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    Query::parse(raw.as_deref(), &[], &[])?;
    let row = app.engine.endpoints().get(&reader.tenant, &endpoint_id(&reader)?).await?;
    json::answer(StatusCode::OK, &render::endpoint(&row, reader.manages()))
}
