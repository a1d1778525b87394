//! `POST /v1/catalog/changes`: changes many entries of the catalog at once.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};

use crate::app::App;
use crate::auth::Author;
use crate::body::{collect, expect_json};
use crate::catalog::change::change;
use crate::catalog::parse;
use crate::failure::Failure;
use crate::limits::CATALOG_BODY_BYTES_MAX;
use crate::{json, wire};

crate::problems!(Problems: BodyMalformed, RequestTimeout, BodyTooLarge, ContentTypeUnsupported, CatalogBreaking,
    CatalogBusy, CatalogFull, DefinitionInvalid, StorageUnavailable);

/// Change the catalog
///
/// Puts and removes up to 1,000 definitions, reference sets and policies, all of them or none. They are checked
/// together, as the catalog would be after the change. Where an error is found nothing is changed, and the problem's
/// `report` says what was found; what is `overridable` there is allowed by an override with a reason. With `dry_run` it
/// is only checked. Repeating a change changes nothing more. A producer's key changes definitions of the types that its
/// service owns and its prefixes cover; the first definition of a type takes a prefix that covers it, or an admin's key.
/// A key that is limited to tenants changes none.
#[utoipa::path(
    post, path = "/v1/catalog/changes", tag = "catalog", operation_id = "change_catalog",
    request_body(content = wire::CatalogChange, description = "The change, of at most 8 MiB."),
    responses(
        (status = 200, description = "The change was made, changes nothing, or was only checked.",
            body = wire::CatalogChanged),
        Problems,
    ),
    security(("key" = ["admin", "producer"])),
)]
pub(crate) async fn change_catalog(
    State(app): State<App>,
    author: Author,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    expect_json(&headers)?;
    let body = collect(&app.admission, &headers, body, CATALOG_BODY_BYTES_MAX).await?;
    let proposal = parse::change(&body.bytes)?;
    json::answer(StatusCode::OK, &change(&app, &author, proposal).await?)
}
