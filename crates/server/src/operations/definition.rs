//! `GET /v1/event-types/{name}/versions/{version}`: one definition.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use tidings_event::{EventType, Version};

use crate::app::App;
use crate::auth::{Caller, Params};
use crate::catalog::{Form, definition_key, not_found, render, source_of};
use crate::failure::Failure;
use crate::query::Query;
use crate::{json, wire};

crate::problems!(Problems: RequestInvalid, EventTypeNotFound, NotAcceptable);

/// Read a definition
///
/// As JSON with its defaults written out, or, with `Accept: application/yaml`, `text/yaml` or `text/plain`, byte for byte
/// as it was sent.
#[utoipa::path(
    get, path = "/v1/event-types/{name}/versions/{version}", tag = "catalog", operation_id = "get_definition",
    params(
        ("name" = String, Path, description = "The type."),
        ("version" = String, Path, description = "The version."),
    ),
    responses((status = 200, description = "The definition.", content(
        (wire::Definition = "application/json"),
        (String = "application/yaml"),
        (String = "text/yaml"),
        (String = "text/plain"),
    )), Problems),
    security(("key" = ["admin", "producer", "consumer", "auditor"])),
)]
pub(crate) async fn definition(
    State(app): State<App>,
    _caller: Caller,
    params: Params,
    headers: HeaderMap,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    Query::parse(raw.as_deref(), &[], &[])?;
    let form = Form::of(&headers)?;
    let key = definition_key(&params);
    let catalog = app.engine.catalog();
    if let Form::Source(media) = form {
        return source_of(&catalog, &key, media);
    }
    let name = EventType::parse(&key.name).ok();
    let version = Version::parse(&key.version).ok();
    let found = name.zip(version).and_then(|(name, version)| catalog.definition(&name, &version));
    json::answer(StatusCode::OK, &render::definition(found.ok_or_else(|| not_found(&key))?))
}
