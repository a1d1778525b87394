//! `DELETE /v1/tenants/{tenant}/endpoints/{id}/replay/{replay}`: ends a replay.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use crate::app::App;
use crate::auth::Manager;
use crate::endpoints::{endpoint_id, render};
use crate::failure::Failure;
use crate::{json, wire};

crate::problems!(Problems: EndpointNotFound, ReplayNotFound, StorageUnavailable);

/// Cancel a replay
///
/// Nothing more is sent by it; requests under way may still arrive. It stays in the list. Cancelling one that has ended
/// changes nothing.
#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}/endpoints/{id}/replay/{replay}", tag = "endpoints", operation_id = "cancel_replay",
    params(
        ("tenant" = String, Path, description = "The tenant's name."),
        ("id" = String, Path, description = "The endpoint's id."),
        ("replay" = String, Path, description = "The replay's id."),
    ),
    responses((status = 200, description = "The replay as it is now.", body = wire::Replay), Problems),
    security(("key" = ["admin", "consumer"])),
)]
pub(crate) async fn cancel_replay(State(app): State<App>, manager: Manager) -> Result<Response, Failure> {
    let id = endpoint_id(&manager)?;
    let replay = manager.param("replay");
    let row = app.engine.endpoints().replay_cancel(&manager.who(), &manager.tenant, &id, replay).await?;
    json::answer(StatusCode::OK, &render::replay(&row))
}
