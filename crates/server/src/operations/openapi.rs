//! `GET /openapi.json`: this API, described.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use crate::app::App;
use crate::json;

/// Read the API's description
///
/// OpenAPI 3.1, generated from the code that serves it.
#[utoipa::path(
    get, path = "/openapi.json", tag = "operations", operation_id = "openapi",
    responses((status = 200, description = "The description.", body = serde_json::Value)),
    security(()),
)]
pub(crate) async fn openapi(State(app): State<App>) -> Response {
    json::bytes(StatusCode::OK, app.openapi.clone())
}
