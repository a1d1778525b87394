//! `GET /metrics`: the counters.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use crate::app::App;
use crate::json;
use crate::telemetry::process;

/// Read the counters
///
/// In the Prometheus text format. Open to all: no tenant, key or event is named in it.
#[utoipa::path(
    get, path = "/metrics", tag = "operations", operation_id = "metrics",
    responses((status = 200, description = "The counters.", body = String, content_type = "text/plain")),
    security(()),
)]
pub(crate) async fn metrics(State(app): State<App>) -> Response {
    json::typed(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", {
        process::observe(app.engine.backend());
        app.metrics.render()
    })
}
