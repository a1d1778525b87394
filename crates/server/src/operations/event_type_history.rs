//! `GET /v1/event-types/{name}/history`: how the definitions of a type came about.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use tidings_catalog::entry::{Key, Kind};

use crate::app::App;
use crate::auth::{Caller, Params};
use crate::catalog::{PageParameters, history};
use crate::failure::Failure;
use crate::query::Query;
use crate::wire;

crate::problems!(Problems: RequestInvalid, CursorInvalid, CursorMismatch, EventTypeNotFound, StorageUnavailable);

/// Read the history of an event type
///
/// Every revision of all its versions, oldest first: the source as it was sent, who sent it and when, and the reason
/// where a finding was allowed.
#[utoipa::path(
    get, path = "/v1/event-types/{name}/history", tag = "catalog", operation_id = "get_event_type_history",
    params(("name" = String, Path, description = "The type."), PageParameters),
    responses((status = 200, description = "A page of revisions.", body = wire::CatalogRevisionList), Problems),
    security(("key" = ["admin", "producer", "consumer", "auditor"])),
)]
pub(crate) async fn event_type_history(
    State(app): State<App>,
    _caller: Caller,
    params: Params,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    let query = Query::parse(raw.as_deref(), &["limit", "cursor"], &[])?;
    let key = Key { kind: Kind::Definition, name: params.get("name").to_owned(), version: String::new() };
    history(&app, &query, &key).await
}
