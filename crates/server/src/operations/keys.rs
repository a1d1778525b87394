//! `GET /v1/keys`: the keys.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use utoipa::IntoParams;

use super::key::render;
use crate::app::App;
use crate::auth::Admin;
use crate::cursors::{List, cut};
use crate::failure::Failure;
use crate::query::Query;
use crate::{json, wire};

crate::problems!(Problems: RequestInvalid, CursorInvalid, CursorMismatch, StorageUnavailable);

/// The parameters, as they are documented.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the documentation only")]
struct Parameters {
    /// Keys of a page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// Where the list goes on: the cursor of the page before.
    cursor: Option<String>,
}

/// List keys
///
/// By id, which is the order in which they were made; revoked and expired ones too. Secrets are never listed.
#[utoipa::path(
    get, path = "/v1/keys", tag = "keys", operation_id = "list_keys",
    params(Parameters),
    responses((status = 200, description = "A page of keys.", body = wire::KeyList), Problems),
    security(("key" = ["admin"])),
)]
pub(crate) async fn keys(State(app): State<App>, _admin: Admin, RawQuery(raw): RawQuery) -> Result<Response, Failure> {
    let query = Query::parse(raw.as_deref(), &["limit", "cursor"], &[])?;
    let limit = query.limit()?;
    let after = query.get("cursor").map(|text| app.open_name(List::Keys, text)).transpose()?;
    let mut rows = app.engine.keys(after.as_deref(), limit + 1).await?;
    let cursor = cut(&mut rows, limit).map(|row| app.seal_name(List::Keys, &row.id));
    json::answer(StatusCode::OK, &wire::KeyList { data: rows.iter().map(render).collect(), cursor })
}
