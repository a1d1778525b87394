//! `GET /v1/catalog/asyncapi.json`: the catalog as an AsyncAPI document.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use tidings_catalog::generate::{Options, Target, generate};

use crate::app::App;
use crate::auth::Caller;
use crate::failure::Failure;
use crate::json;
use crate::query::Query;

crate::problems!(Problems: RequestInvalid, EventTypeNotFound);

/// Read the catalog as an AsyncAPI document
///
/// AsyncAPI 3.0: the event types as messages with their schemas and examples. A catalog without types has none.
#[utoipa::path(
    get, path = "/v1/catalog/asyncapi.json", tag = "catalog", operation_id = "get_asyncapi",
    responses((status = 200, description = "The document.", body = serde_json::Value), Problems),
    security(("key" = ["admin", "producer", "consumer", "auditor"])),
)]
pub(crate) async fn asyncapi(
    State(app): State<App>,
    _caller: Caller,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    Query::parse(raw.as_deref(), &[], &[])?;
    let definitions: Vec<_> = app.engine.catalog().definitions().cloned().collect();
    if definitions.is_empty() {
        return Err(Failure::new(tidings_event::ErrorCode::EventTypeNotFound, "The catalog has no event types yet."));
    }
    let options = Options::default();
    // As many definitions as a catalog may hold take a while to write.
    let files = tokio::task::spawn_blocking(move || generate(Target::Asyncapi, &definitions, &options)).await;
    let files = files.map_err(Failure::internal)?.map_err(|findings| {
        let found: Vec<_> = findings.into_iter().map(|finding| finding.message).collect();
        Failure::internal(found.join("; "))
    })?;
    let document = files.into_iter().next().ok_or_else(|| Failure::internal("no document was generated"))?;
    Ok(json::bytes(StatusCode::OK, document.text))
}
