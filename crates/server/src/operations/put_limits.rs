//! `PUT /v1/tenants/{tenant}/limits`: says what a tenant may send.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use tidings_engine::OwnQuota;
use tidings_event::{ErrorCode, TenantId};

use super::limits::render;
use crate::app::App;
use crate::auth::{Admin, Params, invalid_param};
use crate::endpoints::body;
use crate::failure::Failure;
use crate::members::{Members, Report};
use crate::{json, wire};

crate::problems!(Problems: BodyMalformed, RequestTimeout, BodyTooLarge, ContentTypeUnsupported, StorageUnavailable);

/// Set a tenant's limits
///
/// In place of what it had of its own. What is left out or `null` is the server's default, `0` is no limit. They hold at
/// once: on this node before the answer, on others within seconds. A change never gives anything at once: what was used
/// stays used. `tidings.tenant.limits_changed` tells of it.
#[utoipa::path(
    put, path = "/v1/tenants/{tenant}/limits", tag = "tenants", operation_id = "put_limits",
    params(("tenant" = String, Path, description = "The tenant's name. It need not have been seen yet.")),
    request_body(content = wire::TenantLimits, description = "What the tenant shall have of its own."),
    responses((status = 200, description = "Its limits from now on.", body = wire::Limits), Problems),
    security(("key" = ["admin"])),
)]
pub(crate) async fn put_limits(
    State(app): State<App>,
    admin: Admin,
    params: Params,
    headers: HeaderMap,
    content: Body,
) -> Result<Response, Failure> {
    let tenant = tenant(&params)?;
    let content = body(&app, &headers, content, false).await?;
    let own = parse(&content.bytes)?;
    let quota = app.engine.set_quota(&admin.who(), &tenant, own).await?;
    json::answer(StatusCode::OK, &render(&tenant, quota))
}

/// The tenant that the path names.
pub(super) fn tenant(params: &Params) -> Result<TenantId, Failure> {
    TenantId::parse(params.get("tenant")).map_err(|error| invalid_param("tenant", "tenant_malformed", &error))
}

fn parse(body: &[u8]) -> Result<OwnQuota, Failure> {
    let mut report = Report::new(ErrorCode::RequestInvalid);
    let mut members = Members::of_body(body, false, &mut report)?;
    let own = OwnQuota {
        events_per_s: members.take("events_per_s", &mut report).value(),
        events_burst: members.take("events_burst", &mut report).value(),
        bytes_per_s: members.take("bytes_per_s", &mut report).value(),
        bytes_burst: members.take("bytes_burst", &mut report).value(),
    };
    members.finish(&[], &mut report);
    if let Some((name, max)) = own.too_large() {
        report.add(format!("/{name}"), "number_too_large", format!("must be at most {max}"));
    }
    report.finish()?;
    Ok(own)
}
