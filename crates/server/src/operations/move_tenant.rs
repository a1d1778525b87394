//! `POST /v1/tenants/{tenant}/move`: moves a tenant to another partition.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use tidings_engine::MoveOutcome;
use tidings_event::{ErrorCode, PartitionId, Violation, violation_code};

use super::put_limits::tenant;
use crate::app::App;
use crate::auth::{Admin, Params};
use crate::endpoints::body;
use crate::failure::Failure;
use crate::members::{Members, Report, refusal};
use crate::{json, wire};

crate::problems!(Problems: BodyMalformed, RequestInvalid, RequestTimeout, BodyTooLarge, ContentTypeUnsupported,
    TenantNotFound, StorageUnavailable);

/// Move a tenant to another partition
///
/// Everything goes on meanwhile. What is appended from then on goes to the other partition, under the sequences that
/// follow; what is in the log stays where it is, and readers notice nothing. Deliveries to the tenant's endpoints stand
/// still for a moment, and what was under way may be sent again. Where the partition lies in another database, the
/// tenant's events are brought over first; `copied` and `head` say how far that is, and for the last moment its own
/// appends wait. `tidings.tenant.moved` tells of the move. A call does one bounded step; repeat it until `done` says that
/// the tenant lives there. Whatever comes of a call, it can be made again.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/move", tag = "tenants", operation_id = "move_tenant",
    params(("tenant" = String, Path, description = "The tenant's name.")),
    request_body(content = wire::NewMove, description = "Where to."),
    responses((status = 200, description = "How far it is.", body = wire::Move), Problems),
    security(("key" = ["admin"])),
)]
pub(crate) async fn move_tenant(
    State(app): State<App>,
    admin: Admin,
    params: Params,
    headers: HeaderMap,
    content: Body,
) -> Result<Response, Failure> {
    let tenant = tenant(&params)?;
    let content = body(&app, &headers, content, false).await?;
    let mut report = Report::new(ErrorCode::RequestInvalid);
    let mut members = Members::of_body(&content.bytes, false, &mut report)?;
    let partition: Option<u32> = members.require("partition", &mut report);
    members.finish(&[], &mut report);
    let Some(partition) = partition else { return Err(report.refused()) };
    report.finish()?;
    let refused = |reason: &str| {
        let path = "/partition".to_owned();
        let violation = Violation { path, code: violation_code::NUMBER_OUT_OF_RANGE, message: reason.to_owned() };
        Err(refusal(ErrorCode::RequestInvalid, vec![violation]))
    };
    let mut progress = (None, None);
    let (moved, done) = match app.engine.move_tenant(&admin.who(), &tenant, PartitionId(partition)).await? {
        MoveOutcome::NoTenant => return Err(Failure::new(ErrorCode::TenantNotFound, "The tenant has no events yet.")),
        MoveOutcome::NoPartition => return refused("there is no such partition"),
        MoveOutcome::Fixed => return refused("this tenant is the system's own, and stays"),
        MoveOutcome::Already => (false, true),
        MoveOutcome::Moved { .. } => (true, true),
        MoveOutcome::Later => (false, false),
        MoveOutcome::Copying { copied, head } => {
            progress = (Some(copied.get()), Some(head.get()));
            (false, false)
        }
    };
    let (copied, head) = progress;
    json::answer(StatusCode::OK, &wire::Move { tenant: tenant.to_string(), partition, moved, done, copied, head })
}
