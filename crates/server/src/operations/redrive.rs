//! `POST /v1/tenants/{tenant}/dead-letters/{id}/redrive`: delivers a dead letter after all.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::app::App;
use crate::auth::Manager;
use crate::failure::Failure;

crate::problems!(Problems: DeadLetterNotFound, StorageUnavailable);

/// Redrive a dead letter
///
/// The event is due at once and has its endpoint's whole schedule again. Should all of it fail, it is a dead letter
/// again. A dead letter that was redriven before is answered with `dead_letter_not_found`. Takes no body.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/dead-letters/{id}/redrive", tag = "dead letters", operation_id = "redrive_dead_letter",
    params(
        ("tenant" = String, Path, description = "The tenant's name."),
        ("id" = String, Path, description = "The dead letter's id."),
    ),
    responses((status = 202, description = "It waits for its next attempt."), Problems),
    security(("key" = ["admin", "consumer"])),
)]
pub(crate) async fn redrive(State(app): State<App>, manager: Manager) -> Result<Response, Failure> {
    app.engine.endpoints().redrive(&manager.who(), &manager.tenant, manager.param("id")).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}
