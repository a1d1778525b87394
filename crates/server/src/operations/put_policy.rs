//! `PUT /v1/catalog/policies/{name}`: puts a policy into the catalog.

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::HeaderMap;
use tidings_catalog::entry::Kind;

use crate::app::App;
use crate::auth::{Admin, Params};
use crate::catalog::change::{ChangeParameters, Named};
use crate::failure::Failure;
use crate::wire;

crate::problems!(Problems: BodyMalformed, RequestInvalid, RequestTimeout, BodyTooLarge, ContentTypeUnsupported,
    CatalogBreaking, CatalogBusy, CatalogFull, DefinitionInvalid, StorageUnavailable);

/// Put a policy
///
/// Adds it or changes it. It holds at once: on this node before the answer, on others within seconds.
#[utoipa::path(
    put, path = "/v1/catalog/policies/{name}", tag = "catalog", operation_id = "put_policy",
    params(("name" = String, Path, description = "The name."), ChangeParameters),
    request_body(description = "The policy, of at most 256 KiB. It is kept byte for byte.", content(
        (wire::Policy = "application/json"),
        (String = "application/yaml"),
        (String = "text/yaml"),
    )),
    responses(
        (status = 200, description = "It was changed, says the same as before, or was only checked.",
            body = wire::CatalogChanged),
        (status = 201, description = "It was added.", body = wire::CatalogChanged),
        Problems,
    ),
    security(("key" = ["admin"])),
)]
pub(crate) async fn put_policy(
    State(app): State<App>,
    admin: Admin,
    params: Params,
    headers: HeaderMap,
    RawQuery(raw): RawQuery,
    body: Body,
) -> Result<Response, Failure> {
    let named = Named { app: &app, admin, kind: Kind::Policy, name: params.get("name"), raw: raw.as_deref() };
    named.put(&headers, body).await
}
