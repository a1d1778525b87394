//! `GET /v1/tenants/{tenant}/endpoints/{id}/replay/{replay}`: one replay.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;

use crate::app::App;
use crate::auth::Reader;
use crate::endpoints::{endpoint_id, render};
use crate::failure::Failure;
use crate::query::Query;
use crate::{json, wire};

crate::problems!(Problems: RequestInvalid, EndpointNotFound, ReplayNotFound, StorageUnavailable);

/// Read one replay
///
/// How far it has come.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/endpoints/{id}/replay/{replay}", tag = "endpoints", operation_id = "get_replay",
    params(
        ("tenant" = String, Path, description = "The tenant's name."),
        ("id" = String, Path, description = "The endpoint's id."),
        ("replay" = String, Path, description = "The replay's id."),
    ),
    responses((status = 200, description = "The replay.", body = wire::Replay), Problems),
    security(("key" = ["admin", "consumer", "auditor"])),
)]
pub(crate) async fn replay(
    State(app): State<App>,
    reader: Reader,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    Query::parse(raw.as_deref(), &[], &[])?;
    let id = endpoint_id(&reader)?;
    let row = app.engine.endpoints().replay_get(&reader.tenant, &id, reader.param("replay")).await?;
    json::answer(StatusCode::OK, &render::replay(&row))
}
