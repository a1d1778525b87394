//! `DELETE /v1/tenants/{tenant}/quarantine/{no}`: gives an event in quarantine up for good.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::app::App;
use crate::auth::Manager;
use crate::catalog::quarantine_no;
use crate::failure::Failure;

crate::problems!(Problems: QuarantinedNotFound, StorageUnavailable);

/// Discard an event in quarantine
///
/// It never was in the log, and will not be. Discarding it again is answered with `quarantined_not_found`.
#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}/quarantine/{no}", tag = "quarantine", operation_id = "discard_quarantined",
    params(
        ("tenant" = String, Path, description = "The tenant's name."),
        ("no" = String, Path, description = "The event's number in quarantine."),
    ),
    responses((status = 204, description = "It is gone."), Problems),
    security(("key" = ["admin", "consumer"])),
)]
pub(crate) async fn discard_quarantined(State(app): State<App>, manager: Manager) -> Result<Response, Failure> {
    app.engine.catalogs().discard(&manager.who(), &manager.tenant, quarantine_no(&manager)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
