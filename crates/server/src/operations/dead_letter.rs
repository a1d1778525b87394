//! `GET /v1/tenants/{tenant}/dead-letters/{id}`: one dead letter.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;

use crate::app::App;
use crate::auth::Reader;
use crate::endpoints::render;
use crate::failure::Failure;
use crate::query::Query;
use crate::{json, wire};

crate::problems!(Problems: RequestInvalid, DeadLetterNotFound, StorageUnavailable);

/// Read one dead letter
///
/// Which event, at which endpoint, why and after what.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/dead-letters/{id}", tag = "dead letters", operation_id = "get_dead_letter",
    params(
        ("tenant" = String, Path, description = "The tenant's name."),
        ("id" = String, Path, description = "The dead letter's id."),
    ),
    responses((status = 200, description = "The dead letter.", body = wire::DeadLetter), Problems),
    security(("key" = ["admin", "consumer", "auditor"])),
)]
pub(crate) async fn dead_letter(
    State(app): State<App>,
    reader: Reader,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    Query::parse(raw.as_deref(), &[], &[])?;
    let row = app.engine.endpoints().dead_letter(&reader.tenant, reader.param("id")).await?;
    json::answer(StatusCode::OK, &render::dead_letter(&row))
}
