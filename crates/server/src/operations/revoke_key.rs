//! `DELETE /v1/keys/{id}`: has a key refused from now on.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use super::key::{not_found, render};
use crate::app::App;
use crate::auth::{Admin, Params};
use crate::failure::Failure;
use crate::{json, wire};

crate::problems!(Problems: KeyNotFound, StorageUnavailable);

/// Revoke a key
///
/// The key is refused from now on; on other nodes within seconds. It stays in the list. Revoking again changes
/// nothing.
#[utoipa::path(
    delete, path = "/v1/keys/{id}", tag = "keys", operation_id = "revoke_key",
    params(("id" = String, Path, description = "The key's id.")),
    responses((status = 200, description = "The revoked key.", body = wire::Key), Problems),
    security(("key" = ["admin"])),
)]
pub(crate) async fn revoke_key(State(app): State<App>, admin: Admin, params: Params) -> Result<Response, Failure> {
    let row = app.engine.revoke_key(&admin.who(), params.get("id")).await?.ok_or_else(not_found)?;
    json::answer(StatusCode::OK, &render(&row))
}
