//! `PUT /v1/event-types/{name}/versions/{version}`: puts a definition into the catalog.

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::HeaderMap;
use tidings_catalog::entry::{Entry, Kind};

use crate::app::App;
use crate::auth::{Author, Params};
use crate::catalog::change::{CHANGE_PARAMETERS, ChangeParameters, change_one, expect_named, source};
use crate::catalog::{definition_key, parse};
use crate::failure::Failure;
use crate::query::Query;
use crate::wire;

crate::problems!(Problems: BodyMalformed, RequestInvalid, RequestTimeout, BodyTooLarge, ContentTypeUnsupported,
    CatalogBreaking, CatalogBusy, CatalogFull, DefinitionInvalid, StorageUnavailable);

/// Put a definition
///
/// Adds a version of a type, or changes it. A version is only changed in ways that break none of its consumers, by its
/// `compatibility`; anything else takes a new version, and both are served side by side. Where the check finds an
/// error nothing is changed, and the problem's `report` says what was found, with a document that shows a break; what is
/// `overridable` there is allowed with a `reason`. Putting the same source again changes nothing. A producer's key puts
/// definitions of the types that its service owns and its prefixes cover; the first definition of a type takes a prefix
/// that covers it, or an admin's key. A key that is limited to tenants puts none.
#[utoipa::path(
    put, path = "/v1/event-types/{name}/versions/{version}", tag = "catalog", operation_id = "put_definition",
    params(
        ("name" = String, Path, description = "The type."),
        ("version" = String, Path, description = "The version, a whole number from 1 on."),
        ChangeParameters,
    ),
    request_body(description = "The definition, of at most 256 KiB. It is kept byte for byte.", content(
        (wire::Definition = "application/json"),
        (String = "application/yaml"),
        (String = "text/yaml"),
    )),
    responses(
        (status = 200, description = "The definition was changed, says the same as before, or was only checked.",
            body = wire::CatalogChanged),
        (status = 201, description = "The definition was added.", body = wire::CatalogChanged),
        Problems,
    ),
    security(("key" = ["admin", "producer"])),
)]
pub(crate) async fn put_definition(
    State(app): State<App>,
    author: Author,
    params: Params,
    headers: HeaderMap,
    RawQuery(raw): RawQuery,
    body: Body,
) -> Result<Response, Failure> {
    let query = Query::parse(raw.as_deref(), CHANGE_PARAMETERS, &[])?;
    let (_room, source) = source(&app, &headers, body).await?;
    let key = definition_key(&params);
    expect_named(&key, &parse::key(Kind::Definition, &source)?)?;
    change_one(&app, &author, &query, Entry { key, source: Some(source) }).await
}
