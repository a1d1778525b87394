//! `GET /v1/catalog/asyncapi.json`: the catalog as an AsyncAPI document.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use tidings_catalog::generate::{Options, Target, generate};
use tidings_catalog::judge::Catalog;
use tidings_event::ErrorCode;
use tokio::task::spawn_blocking;

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
    let (catalog, revisions) = app.engine.catalogs().listing();
    // Held while it is written, so that many who ask at once wait for one document; also where whoever asked first has
    // gone, since it is written to its end all the same.
    let mut written = Arc::clone(&app.asyncapi).lock_owned().await;
    if let Some((of, document)) = written.as_ref()
        && Arc::ptr_eq(of, &revisions)
    {
        return Ok(json::bytes(StatusCode::OK, document.clone()));
    }
    // As many definitions as a catalog may hold take a while to write.
    let writing = spawn_blocking(move || {
        let document = write(&catalog)?;
        *written = Some((revisions, document.clone()));
        Ok::<_, Failure>(document)
    });
    Ok(json::bytes(StatusCode::OK, writing.await.map_err(Failure::internal)??))
}

fn write(catalog: &Catalog) -> Result<Bytes, Failure> {
    let definitions: Vec<_> = catalog.definitions().cloned().collect();
    if definitions.is_empty() {
        return Err(Failure::new(ErrorCode::EventTypeNotFound, "The catalog has no event types yet."));
    }
    let files = generate(Target::Asyncapi, &definitions, &Options::default()).map_err(|findings| {
        let found: Vec<_> = findings.into_iter().map(|finding| finding.message).collect();
        Failure::internal(found.join("; "))
    })?;
    let document = files.into_iter().next().ok_or_else(|| Failure::internal("no document was generated"))?;
    Ok(document.text.into())
}
