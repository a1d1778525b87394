//! `GET /v1/nodes`: which nodes run, and what each owns.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use tidings_engine::{LeaseRow, Node, Role};

use crate::app::App;
use crate::auth::Caller;
use crate::failure::Failure;
use crate::query::Query;
use crate::{json, wire};

crate::problems!(Problems: RequestInvalid, StorageUnavailable);

/// List nodes
///
/// By name: every node whose heartbeat is younger than the lease, what it does, and what it owns at the moment. Takes an
/// admin's key, or an auditor's that is not limited to some tenants.
#[utoipa::path(
    get, path = "/v1/nodes", tag = "operations", operation_id = "list_nodes",
    responses((status = 200, description = "The nodes.", body = wire::NodeList), Problems),
    security(("key" = ["admin", "auditor"])),
)]
pub(crate) async fn nodes(
    State(app): State<App>,
    caller: Caller,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    let sees_all = caller.tenants().is_empty();
    if !matches!(caller.role(), Role::Admin | Role::Auditor) || !sees_all {
        return Err(caller.refused(None, "This takes an admin's key, or an auditor's of all tenants."));
    }
    Query::parse(raw.as_deref(), &[], &[])?;
    let nodes = app.engine.nodes().await?;
    let data = nodes.nodes.into_iter().map(|one| node(one, app.engine.node())).collect();
    let free = nodes.free.iter().map(lease).collect();
    json::answer(StatusCode::OK, &wire::NodeList { data, free, cursor: None })
}

fn node(node: Node, here: &str) -> wire::Node {
    let Node { member, leases } = node;
    wire::Node {
        this: member.node == here,
        id: member.node,
        roles: member.serves.roles.into_iter().collect(),
        sources: member.serves.sources.into_iter().collect(),
        address: member.address,
        version: member.version,
        started_at: member.started_at.to_string(),
        seen_at: member.seen_at.to_string(),
        leases: leases.iter().map(lease).collect(),
    }
}

fn lease(row: &LeaseRow) -> wire::NodeLease {
    wire::NodeLease {
        role: row.role.as_str().to_owned(),
        slot: row.slot.to_string(),
        epoch: row.epoch.get(),
        checkpoint: row.checkpoint.get(),
    }
}
