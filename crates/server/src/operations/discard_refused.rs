//! `DELETE /v1/outbox/refused/{source}/{id}`: gives a refused row up.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::retry_refused::{not_found, row_id};
use crate::app::App;
use crate::auth::{Admin, Params};
use crate::failure::Failure;

crate::problems!(Problems: SourceNotFound, OutboxRowNotFound, SourceUnavailable);

/// Discard a refused row
///
/// Deletes the row from its outbox for good: its event will never be in the log.
#[utoipa::path(
    delete, path = "/v1/outbox/refused/{source}/{id}", tag = "outbox", operation_id = "discard_refused_row",
    params(
        ("source" = String, Path, description = "The source's name."),
        ("id" = i64, Path, description = "The row's id."),
    ),
    responses((status = 204, description = "The row is gone."), Problems),
    security(("key" = ["admin"])),
)]
pub(crate) async fn discard_refused(
    State(app): State<App>,
    _admin: Admin,
    params: Params,
) -> Result<Response, Failure> {
    let id = row_id(&params)?;
    if app.engine.discard_refused(params.get("source"), id).await? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(not_found(id))
    }
}
