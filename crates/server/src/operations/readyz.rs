//! `GET /readyz`: whether the server takes requests, and how safe its acknowledgements are.

use axum::extract::State;
use axum::response::Response;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use tidings_engine::{Backend, BusHealth, Durability, Health, ShardState};

use crate::app::App;
use crate::failure::Failure;
use crate::limits::RETRY_AFTER_SECONDS;
use crate::{json, wire};

/// Check that the server takes requests
///
/// Open to all; the answer is at most about a second old. Names the durability in force and warns where an
/// acknowledged write might not survive a power cut. 503 while the storage commits no writes and during shutdown.
#[utoipa::path(
    get, path = "/readyz", tag = "operations", operation_id = "readyz",
    responses(
        (status = 200, description = "The server takes requests.", body = wire::Readiness),
        (status = 503, description = "It does not, now.", body = wire::Readiness),
    ),
    security(()),
)]
pub(crate) async fn readyz(State(app): State<App>) -> Result<Response, Failure> {
    let health = app.engine.health().await;
    if let Some(problem) = &health.storage_problem {
        tracing::debug!(problem, "the storage commits no writes");
    }
    let readiness = readiness(&health, app.closing.is_cancelled());
    let ready = readiness.status == "ready";
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut response = json::answer(status, &readiness)?;
    if !ready {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
    }
    Ok(response)
}

fn readiness(health: &Health, closing: bool) -> wire::Readiness {
    let status = if closing || health.shutting_down {
        "shutting_down"
    } else if health.ready {
        "ready"
    } else {
        "storage_unavailable"
    };
    let backend = match health.backend {
        Backend::Sqlite => "sqlite",
        Backend::Postgres => "postgresql",
    };
    wire::Readiness {
        status: status.to_owned(),
        backend: backend.to_owned(),
        durability: health.durability.as_ref().map(durability),
        bus: health.bus.as_ref().map(bus),
        shards: health.shards.iter().map(shard).collect(),
    }
}

fn shard(shard: &ShardState) -> wire::ShardReadiness {
    let (name, partitions) = (shard.name.clone(), shard.partitions);
    wire::ShardReadiness { name, partitions, takes_tenants: shard.takes_tenants, ready: shard.problem.is_none() }
}

fn bus(bus: &BusHealth) -> wire::BusReadiness {
    let settings = bus.settings.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    wire::BusReadiness { connected: bus.connected, settings, warnings: bus.warnings.clone() }
}

fn durability(durability: &Durability) -> wire::Durability {
    let settings = durability.settings.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    wire::Durability { settings, warnings: durability.warnings.clone() }
}
