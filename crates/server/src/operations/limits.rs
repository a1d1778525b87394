//! `GET /v1/tenants/{tenant}/limits`: what a tenant may send.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use tidings_engine::TenantQuota;
use tidings_event::TenantId;

use crate::app::App;
use crate::auth::Reader;
use crate::failure::Failure;
use crate::query::Query;
use crate::{json, wire};

crate::problems!(Problems: RequestInvalid, StorageUnavailable);

/// Read a tenant's limits
///
/// What the tenant has of its own, and what holds. A tenant that was never seen has limits, too: those that will hold.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/limits", tag = "tenants", operation_id = "get_limits",
    params(("tenant" = String, Path, description = "The tenant's name.")),
    responses((status = 200, description = "Its limits.", body = wire::Limits), Problems),
    security(("key" = ["admin", "consumer", "auditor"])),
)]
pub(crate) async fn limits(
    State(app): State<App>,
    reader: Reader,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    Query::parse(raw.as_deref(), &[], &[])?;
    let quota = app.engine.quota(&reader.tenant).await?;
    json::answer(StatusCode::OK, &render(&reader.tenant, quota))
}

pub(super) fn render(tenant: &TenantId, quota: TenantQuota) -> wire::Limits {
    let TenantQuota { own, in_force, changed } = quota;
    let (changed_by, changed_at) = changed.map(|(by, at)| (by, at.to_string())).unzip();
    wire::Limits {
        tenant: tenant.to_string(),
        own: wire::TenantLimits {
            events_per_s: own.events_per_s,
            events_burst: own.events_burst,
            bytes_per_s: own.bytes_per_s,
            bytes_burst: own.bytes_burst,
        },
        in_force: wire::LimitsInForce {
            events_per_s: in_force.events_per_s,
            events_burst: in_force.events_burst,
            bytes_per_s: in_force.bytes_per_s,
            bytes_burst: in_force.bytes_burst,
        },
        changed_by,
        changed_at,
    }
}
