//! `GET /v1/tenants/{tenant}/events/{id}/trace`: what led to an event, and what it led to.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use tidings_core::trace::{Branch, tree};

use super::event::{event_id, not_found};
use crate::app::App;
use crate::auth::Reader;
use crate::failure::Failure;
use crate::query::Query;
use crate::{json, wire};

crate::problems!(Problems: RequestInvalid, EventNotFound, StorageUnavailable);

/// Read an event's trace
///
/// The trees of causes and effects around an event, flattened: each event stands after its cause and before its
/// cause's next effect, with its depth. At most 1,000 events.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/events/{id}/trace", tag = "events", operation_id = "trace_event",
    params(
        ("tenant" = String, Path, description = "The tenant's name."),
        ("id" = String, Path, description = "The event's id."),
    ),
    responses((status = 200, description = "The trace.", body = wire::Trace), Problems),
    security(("key" = ["admin", "consumer", "auditor"])),
)]
pub(crate) async fn trace(
    State(app): State<App>,
    reader: Reader,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    Query::parse(raw.as_deref(), &[], &[])?;
    let id = event_id(&reader)?;
    let trace = app.engine.trace(&reader.tenant, &id).await?.ok_or_else(|| not_found(&id))?;
    let mut out = b"{\"event_id\":".to_vec();
    json::write_string(id.as_str(), &mut out);
    out.extend_from_slice(b",\"nodes\":[");
    write(&tree(&trace.events), &mut out);
    out.extend_from_slice(if trace.truncated { b"],\"truncated\":true}" } else { b"],\"truncated\":false}" });
    Ok(json::bytes(StatusCode::OK, out))
}

/// Writes branches in depth-first order, without recursion: a chain of causes may be as long as the trace.
fn write(roots: &[Branch], out: &mut Vec<u8>) {
    let mut open: Vec<(usize, &Branch)> = roots.iter().rev().map(|root| (0, root)).collect();
    let mut first = true;
    while let Some((depth, branch)) = open.pop() {
        if !first {
            out.push(b',');
        }
        first = false;
        out.extend_from_slice(b"{\"depth\":");
        json::write_number(depth as u64, out);
        out.extend_from_slice(b",\"event\":");
        branch.event.write_json(out);
        out.push(b'}');
        open.extend(branch.caused.iter().rev().map(|caused| (depth + 1, caused)));
    }
}
