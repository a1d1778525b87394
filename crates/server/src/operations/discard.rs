//! `DELETE /v1/tenants/{tenant}/dead-letters/{id}`: gives a dead letter up for good.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::app::App;
use crate::auth::Manager;
use crate::failure::Failure;

crate::problems!(Problems: DeadLetterNotFound, StorageUnavailable);

/// Discard a dead letter
///
/// The event stays in the log, but is not delivered to the endpoint. A dead letter that was discarded before is
/// answered with `dead_letter_not_found`.
#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}/dead-letters/{id}", tag = "dead letters", operation_id = "discard_dead_letter",
    params(
        ("tenant" = String, Path, description = "The tenant's name."),
        ("id" = String, Path, description = "The dead letter's id."),
    ),
    responses((status = 204, description = "It is gone."), Problems),
    security(("key" = ["admin", "consumer"])),
)]
pub(crate) async fn discard(State(app): State<App>, manager: Manager) -> Result<Response, Failure> {
    app.engine.endpoints().discard(&manager.who(), &manager.tenant, manager.param("id")).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
