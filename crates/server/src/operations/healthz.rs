//! `GET /healthz`: the process runs.

use axum::response::Response;
use http::StatusCode;

use crate::failure::Failure;
use crate::{json, wire};

/// Check that the process runs
///
/// Open to all; asks nothing of the storage.
#[utoipa::path(
    get, path = "/healthz", tag = "operations", operation_id = "healthz",
    responses((status = 200, description = "The process runs.", body = wire::Alive)),
    security(()),
)]
pub(crate) async fn healthz() -> Result<Response, Failure> {
    let alive = wire::Alive { status: "ok".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
    json::answer(StatusCode::OK, &alive)
}
