//! `GET /v1/tenants`: the tenants that have events.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use tidings_engine::{Role, TenantRow};
use tidings_event::TenantId;
use utoipa::IntoParams;

use super::tenant::render;
use crate::app::{App, Shared};
use crate::auth::Caller;
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
    /// Tenants of a page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// Where the list goes on: the cursor of the page before.
    cursor: Option<String>,
}

/// List tenants
///
/// By name. An auditor's key that is limited to some tenants lists those.
#[utoipa::path(
    get, path = "/v1/tenants", tag = "tenants", operation_id = "list_tenants",
    params(Parameters),
    responses((status = 200, description = "A page of tenants.", body = wire::TenantList), Problems),
    security(("key" = ["admin", "auditor"])),
)]
pub(crate) async fn tenants(
    State(app): State<App>,
    caller: Caller,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    if !matches!(caller.role(), Role::Admin | Role::Auditor) {
        return Err(caller.refused(None, "This takes an admin's or an auditor's key."));
    }
    let query = Query::parse(raw.as_deref(), &["limit", "cursor"], &[])?;
    let limit = query.limit()?;
    let after = query.get("cursor").map(|text| app.open_name(List::Tenants, text)).transpose()?;
    let after = after.map(TenantId::trusted);
    let mut rows = match caller.tenants() {
        [] => app.engine.tenants(after.as_ref(), limit + 1).await?,
        own => among(&app, own, after.as_ref(), limit + 1).await?,
    };
    let cursor = cut(&mut rows, limit).map(|row| app.seal_name(List::Tenants, row.id.as_str()));
    json::answer(StatusCode::OK, &wire::TenantList { data: rows.iter().map(render).collect(), cursor })
}

/// Those of the named tenants that have been seen.
async fn among(
    app: &Shared,
    own: &[TenantId],
    after: Option<&TenantId>,
    limit: usize,
) -> Result<Vec<TenantRow>, Failure> {
    let mut names: Vec<&TenantId> = own.iter().filter(|name| after.is_none_or(|after| *name > after)).collect();
    names.sort_unstable();
    names.dedup();
    let mut rows = Vec::new();
    for name in names {
        rows.extend(app.engine.tenant(name).await?);
        if rows.len() >= limit {
            break;
        }
    }
    Ok(rows)
}
