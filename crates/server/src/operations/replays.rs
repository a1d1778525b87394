//! `GET /v1/tenants/{tenant}/endpoints/{id}/replay`: an endpoint's replays.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use utoipa::IntoParams;

use crate::app::App;
use crate::auth::Reader;
use crate::cursors::List;
use crate::endpoints::{endpoint_id, render};
use crate::failure::Failure;
use crate::query::Query;
use crate::{json, wire};

crate::problems!(Problems: RequestInvalid, CursorInvalid, CursorMismatch, EndpointNotFound, StorageUnavailable);

/// The parameters, as they are documented.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the documentation only")]
struct Parameters {
    /// Replays of a page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// Where the list goes on: the cursor of the page before, with all other parameters as they were.
    cursor: Option<String>,
}

/// List replays
///
/// Newest first; ended ones too.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/endpoints/{id}/replay", tag = "endpoints", operation_id = "list_replays",
    params(
        ("tenant" = String, Path, description = "The tenant's name."),
        ("id" = String, Path, description = "The endpoint's id."),
        Parameters,
    ),
    responses((status = 200, description = "A page of replays.", body = wire::ReplayList), Problems),
    security(("key" = ["admin", "consumer", "auditor"])),
)]
pub(crate) async fn replays(
    State(app): State<App>,
    reader: Reader,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    let query = Query::parse(raw.as_deref(), &["limit", "cursor"], &[])?;
    let id = endpoint_id(&reader)?;
    let limit = query.limit()?;
    let list = List::Replays.within(&[reader.tenant.as_str(), id.as_str()], &query);
    let cursor = query.get("cursor").map(|text| app.open_name(list, text)).transpose()?;
    let (rows, next) = app.engine.endpoints().replays(&reader.tenant, &id, cursor.as_deref(), limit).await?;
    let cursor = next.map(|next| app.seal_name(list, &next));
    json::answer(StatusCode::OK, &wire::ReplayList { data: rows.iter().map(render::replay).collect(), cursor })
}
