//! `GET /v1/catalog/sets`: the reference sets.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;

use crate::app::App;
use crate::auth::Caller;
use crate::catalog::{PageParameters, render};
use crate::cursors::{List, cut};
use crate::failure::Failure;
use crate::query::Query;
use crate::{json, wire};

crate::problems!(Problems: RequestInvalid, CursorInvalid, CursorMismatch);

/// List reference sets
///
/// By name, without their values.
#[utoipa::path(
    get, path = "/v1/catalog/sets", tag = "catalog", operation_id = "list_sets",
    params(PageParameters),
    responses((status = 200, description = "A page of sets.", body = wire::ReferenceSetList), Problems),
    security(("key" = ["admin", "producer", "consumer", "auditor"])),
)]
pub(crate) async fn sets(
    State(app): State<App>,
    _caller: Caller,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    let query = Query::parse(raw.as_deref(), &["limit", "cursor"], &[])?;
    let limit = query.limit()?;
    let after = query.get("cursor").map(|text| app.open_name(List::Sets, text)).transpose()?;
    let catalog = app.engine.catalog();
    let mut data: Vec<_> = catalog
        .sets()
        .filter(|set| after.as_ref().is_none_or(|after| set.name > *after))
        .take(limit + 1)
        .map(|set| render::set_summary(set))
        .collect();
    let cursor = cut(&mut data, limit).map(|last| app.seal_name(List::Sets, &last.name));
    json::answer(StatusCode::OK, &wire::ReferenceSetList { data, cursor })
}
