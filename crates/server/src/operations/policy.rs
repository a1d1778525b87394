//! `GET /v1/catalog/policies/{name}`: one policy.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use tidings_catalog::entry::{Key, Kind};
use tidings_catalog::source::policy_value;

use crate::app::App;
use crate::auth::{Caller, Params};
use crate::catalog::{Form, not_found, source_of};
use crate::failure::Failure;
use crate::query::Query;
use crate::{json, wire};

crate::problems!(Problems: RequestInvalid, CatalogEntryNotFound, NotAcceptable);

/// Read one policy
///
/// As JSON, or, with `Accept: application/yaml`, `text/yaml` or `text/plain`, byte for byte as it was sent.
#[utoipa::path(
    get, path = "/v1/catalog/policies/{name}", tag = "catalog", operation_id = "get_policy",
    params(("name" = String, Path, description = "The name.")),
    responses((status = 200, description = "The policy.", content(
        (wire::Policy = "application/json"),
        (String = "application/yaml"),
        (String = "text/yaml"),
        (String = "text/plain"),
    )), Problems),
    security(("key" = ["admin", "producer", "consumer", "auditor"])),
)]
pub(crate) async fn policy(
    State(app): State<App>,
    _caller: Caller,
    params: Params,
    headers: HeaderMap,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    Query::parse(raw.as_deref(), &[], &[])?;
    let form = Form::of(&headers)?;
    let key = Key { kind: Kind::Policy, name: params.get("name").to_owned(), version: String::new() };
    let catalog = app.engine.catalog();
    if let Form::Source(media) = form {
        return source_of(&catalog, &key, media);
    }
    let found = catalog.policies().find(|policy| policy.name == key.name).ok_or_else(|| not_found(&key))?;
    json::answer(StatusCode::OK, &policy_value(found))
}
