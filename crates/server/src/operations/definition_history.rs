//! `GET /v1/event-types/{name}/versions/{version}/history`: how a definition came about.

use axum::extract::{RawQuery, State};
use axum::response::Response;

use crate::app::App;
use crate::auth::{Caller, Params};
use crate::catalog::{PageParameters, definition_key, history};
use crate::failure::Failure;
use crate::query::Query;
use crate::wire;

crate::problems!(Problems: RequestInvalid, CursorInvalid, CursorMismatch, EventTypeNotFound, StorageUnavailable);

/// Read the history of a definition
///
/// Every revision, oldest first: the source as it was sent, who sent it and when, and the reason where a finding was
/// allowed. A definition that was removed keeps its history.
#[utoipa::path(
    get, path = "/v1/event-types/{name}/versions/{version}/history", tag = "catalog",
    operation_id = "get_definition_history",
    params(
        ("name" = String, Path, description = "The type."),
        ("version" = String, Path, description = "The version."),
        PageParameters,
    ),
    responses((status = 200, description = "A page of revisions.", body = wire::CatalogRevisionList), Problems),
    security(("key" = ["admin", "producer", "consumer", "auditor"])),
)]
pub(crate) async fn definition_history(
    State(app): State<App>,
    _caller: Caller,
    params: Params,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    let query = Query::parse(raw.as_deref(), &["limit", "cursor"], &[])?;
    history(&app, &query, &definition_key(&params)).await
}
