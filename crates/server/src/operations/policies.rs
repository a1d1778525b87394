//! `GET /v1/catalog/policies`: the policies.

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

/// List policies
///
/// By name.
#[utoipa::path(
    get, path = "/v1/catalog/policies", tag = "catalog", operation_id = "list_policies",
    params(PageParameters),
    responses((status = 200, description = "A page of policies.", body = wire::PolicyList), Problems),
    security(("key" = ["admin", "producer", "consumer", "auditor"])),
)]
pub(crate) async fn policies(
    State(app): State<App>,
    _caller: Caller,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    let query = Query::parse(raw.as_deref(), &["limit", "cursor"], &[])?;
    let limit = query.limit()?;
    let after = query.get("cursor").map(|text| app.open_name(List::Policies, text)).transpose()?;
    let catalog = app.engine.catalog();
    let mut data: Vec<_> = catalog
        .policies()
        .filter(|policy| after.as_ref().is_none_or(|after| policy.name > *after))
        .take(limit + 1)
        .map(render::policy)
        .collect();
    let cursor = cut(&mut data, limit).map(|last| app.seal_name(List::Policies, &last.name));
    json::answer(StatusCode::OK, &wire::PolicyList { data, cursor })
}
