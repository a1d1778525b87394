//! `GET /v1/catalog/sets/{name}`: one reference set.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use tidings_catalog::entry::{Key, Kind};
use tidings_catalog::source::set_value;

use crate::app::App;
use crate::auth::{Caller, Params};
use crate::catalog::{Form, not_found, source_of};
use crate::failure::Failure;
use crate::query::Query;
use crate::{json, wire};

crate::problems!(Problems: RequestInvalid, CatalogEntryNotFound, NotAcceptable);

/// Read one reference set
///
/// As JSON, or, with `Accept: application/yaml`, `text/yaml` or `text/plain`, byte for byte as it was sent.
#[utoipa::path(
    get, path = "/v1/catalog/sets/{name}", tag = "catalog", operation_id = "get_set",
    params(("name" = String, Path, description = "The name.")),
    responses((status = 200, description = "The reference set.", content(
        (wire::ReferenceSet = "application/json"),
        (String = "application/yaml"),
        (String = "text/yaml"),
        (String = "text/plain"),
    )), Problems),
    security(("key" = ["admin", "producer", "consumer", "auditor"])),
)]
pub(crate) async fn set(
    State(app): State<App>,
    _caller: Caller,
    params: Params,
    headers: HeaderMap,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    Query::parse(raw.as_deref(), &[], &[])?;
    let form = Form::of(&headers)?;
    let key = Key { kind: Kind::Set, name: params.get("name").to_owned(), version: String::new() };
    let catalog = app.engine.catalog();
    if let Form::Source(media) = form {
        return source_of(&catalog, &key, media);
    }
    let found = catalog.sets().find(|set| set.name == key.name).ok_or_else(|| not_found(&key))?;
    json::answer(StatusCode::OK, &set_value(found))
}
