//! `GET /v1/lanes`: which deliveries are behind.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use tidings_engine::{LaneStatus, Role};

use crate::app::App;
use crate::auth::Caller;
use crate::failure::Failure;
use crate::query::Query;
use crate::{json, wire};

crate::problems!(Problems: RequestInvalid);

/// Lanes that are listed at most.
const LANES_MAX: usize = 100;

/// List the lanes that are behind
///
/// Of the partitions that the answering node routes: the endpoints (and replays) whose deliveries are furthest behind, the
/// worst first, as they stood up to some seconds ago. A partition shows its 20 worst, an answer 100 at most. Takes an
/// admin's key, or an auditor's that is not limited to some tenants.
#[utoipa::path(
    get, path = "/v1/lanes", tag = "operations", operation_id = "list_lanes",
    responses((status = 200, description = "The lanes.", body = wire::LaneList), Problems),
    security(("key" = ["admin", "auditor"])),
)]
pub(crate) async fn lanes(
    State(app): State<App>,
    caller: Caller,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    let sees_all = caller.tenants().is_empty();
    if !matches!(caller.role(), Role::Admin | Role::Auditor) || !sees_all {
        return Err(caller.refused(None, "This takes an admin's key, or an auditor's of all tenants."));
    }
    Query::parse(raw.as_deref(), &[], &[])?;
    let data = app.engine.lanes(LANES_MAX).iter().map(lane).collect();
    json::answer(StatusCode::OK, &wire::LaneList { data, cursor: None })
}

fn lane(lane: &LaneStatus) -> wire::Lane {
    wire::Lane {
        tenant: lane.tenant.to_string(),
        endpoint: lane.endpoint.to_string(),
        is_replay: lane.is_replay,
        partition: lane.partition.0,
        lag_events: lane.lag_events,
        oldest_recorded_at: lane.oldest.map(|oldest| oldest.to_string()),
        circuit: lane.circuit.as_str().to_owned(),
        in_flight: lane.in_flight as u64,
        retries: lane.retries as u64,
    }
}
