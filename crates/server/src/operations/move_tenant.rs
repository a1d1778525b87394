//! `POST /v1/tenants/{tenant}/move`: moves a tenant to another partition.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use tidings_engine::MoveOutcome;
use tidings_event::{ErrorCode, PartitionId};

use super::put_limits::tenant;
use crate::app::App;
use crate::auth::{Admin, Params};
use crate::endpoints::body;
use crate::failure::Failure;
use crate::members::{Members, Report};
use crate::{json, wire};

crate::problems!(Problems: BodyMalformed, RequestInvalid, RequestTimeout, BodyTooLarge, ContentTypeUnsupported,
    TenantNotFound, StorageUnavailable);

/// Move a tenant to another partition
///
/// Everything goes on meanwhile. What is appended from now on goes to the other partition, under the sequences that
/// follow; what is in the log stays where it is, and readers notice nothing. Deliveries to the tenant's endpoints stand
/// still for a moment, and what was under way may be sent again. It does one bounded step; repeat it until `done` says
/// that the tenant lives there. Whatever comes of a call, it can be made again.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/move", tag = "tenants", operation_id = "move_tenant",
    params(("tenant" = String, Path, description = "The tenant's name.")),
    request_body(content = wire::NewMove, description = "Where to."),
    responses((status = 200, description = "How far it is.", body = wire::Move), Problems),
    security(("key" = ["admin"])),
)]
pub(crate) async fn move_tenant(
    State(app): State<App>,
    _admin: Admin,
    params: Params,
    headers: HeaderMap,
    content: Body,
) -> Result<Response, Failure> {
    let tenant = tenant(&params)?;
    let content = body(&app, &headers, content, false).await?;
    let mut report = Report::new(ErrorCode::RequestInvalid);
    let mut members = Members::of_body(&content.bytes, false, &mut report)?;
    let partition: Option<u32> = members.take("partition", &mut report).value();
    members.finish(&[], &mut report);
    let refused = |reason: &str| {
        let mut report = Report::new(ErrorCode::RequestInvalid);
        report.add("/partition".to_owned(), "number_out_of_range", reason.to_owned());
        report.finish()
    };
    report.finish()?;
    let Some(partition) = partition else {
        refused("is missing")?;
        return Err(Failure::new(ErrorCode::RequestInvalid, "The partition is missing."));
    };
    let moved = match app.engine.move_tenant(&tenant, PartitionId(partition)).await? {
        MoveOutcome::NoTenant => return Err(Failure::new(ErrorCode::TenantNotFound, "The tenant has no events yet.")),
        MoveOutcome::NoPartition => refused("there is no such partition").map(|()| (false, false))?,
        MoveOutcome::OtherDatabase => {
            refused("lies in another database than the tenant; tenants move within a database only")
                .map(|()| (false, false))?
        }
        MoveOutcome::Fixed => refused("this tenant is the system's own, and stays").map(|()| (false, false))?,
        MoveOutcome::Already => (false, true),
        MoveOutcome::Moved { .. } => (true, true),
        MoveOutcome::Later => (false, false),
    };
    let (moved, done) = moved;
    json::answer(StatusCode::OK, &wire::Move { tenant: tenant.to_string(), partition, moved, done })
}
