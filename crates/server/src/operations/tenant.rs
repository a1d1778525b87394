//! `GET /v1/tenants/{tenant}`: one tenant.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use tidings_engine::TenantRow;
use tidings_event::ErrorCode;

use crate::app::App;
use crate::auth::Reader;
use crate::failure::Failure;
use crate::query::Query;
use crate::{json, wire};

crate::problems!(Problems: RequestInvalid, TenantNotFound, StorageUnavailable);

/// Read one tenant
///
/// How far its log goes, and from where it is kept.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}", tag = "tenants", operation_id = "get_tenant",
    params(("tenant" = String, Path, description = "The tenant's name.")),
    responses((status = 200, description = "The tenant.", body = wire::Tenant), Problems),
    security(("key" = ["admin", "consumer", "auditor"])),
)]
pub(crate) async fn tenant(
    State(app): State<App>,
    reader: Reader,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    Query::parse(raw.as_deref(), &[], &[])?;
    let row = app.engine.tenant(&reader.tenant).await?;
    let row = row.ok_or_else(|| Failure::new(ErrorCode::TenantNotFound, "The tenant has no events yet."))?;
    json::answer(StatusCode::OK, &render(&row))
}

pub(super) fn render(row: &TenantRow) -> wire::Tenant {
    wire::Tenant {
        tenant: row.id.to_string(),
        head: row.head.get(),
        floor: row.floor.get(),
        created_at: row.created_at.to_string(),
    }
}
