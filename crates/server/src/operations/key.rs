//! `GET /v1/keys/{id}`: one key.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use tidings_engine::{KeyRow, Role};
use tidings_event::ErrorCode;

use crate::app::App;
use crate::auth::{Admin, Params};
use crate::failure::Failure;
use crate::query::Query;
use crate::{json, wire};

crate::problems!(Problems: RequestInvalid, KeyNotFound, StorageUnavailable);

/// Read one key
///
/// Without its secret.
#[utoipa::path(
    get, path = "/v1/keys/{id}", tag = "keys", operation_id = "get_key",
    params(("id" = String, Path, description = "The key's id.")),
    responses((status = 200, description = "The key.", body = wire::Key), Problems),
    security(("key" = ["admin"])),
)]
pub(crate) async fn key(
    State(app): State<App>,
    _admin: Admin,
    params: Params,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    Query::parse(raw.as_deref(), &[], &[])?;
    let row = app.engine.key(params.get("id")).await?.ok_or_else(not_found)?;
    json::answer(StatusCode::OK, &render(&row))
}

pub(super) fn not_found() -> Failure {
    Failure::new(ErrorCode::KeyNotFound, "There is no key with this id.")
}

pub(super) fn render(row: &KeyRow) -> wire::Key {
    wire::Key {
        id: row.id.clone(),
        role: match row.role {
            Role::Admin => wire::Role::Admin,
            Role::Producer => wire::Role::Producer,
            Role::Consumer => wire::Role::Consumer,
            Role::Auditor => wire::Role::Auditor,
        },
        tenants: row.tenants.iter().map(ToString::to_string).collect(),
        type_prefixes: row.type_prefixes.clone(),
        service: row.service.as_ref().map(ToString::to_string),
        description: row.description.clone(),
        created_at: row.created_at.to_string(),
        expires_at: row.expires_at.map(|moment| moment.to_string()),
        revoked_at: row.revoked_at.map(|moment| moment.to_string()),
    }
}
