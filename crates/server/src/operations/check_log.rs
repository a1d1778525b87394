//! `POST /v1/catalog/check-log`: holds definitions against past events and live endpoints.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};

use crate::app::App;
use crate::auth::Inspector;
use crate::body::{collect, expect_json};
use crate::catalog::{parse, render};
use crate::failure::Failure;
use crate::limits::CATALOG_BODY_BYTES_MAX;
use crate::{json, wire};

crate::problems!(Problems: BodyMalformed, RequestTimeout, BodyTooLarge, ContentTypeUnsupported, DefinitionInvalid,
    RateLimited, StorageUnavailable);

/// Check definitions against the log
///
/// Which past events the definitions would not take, with samples, and which live endpoints have a filter that could
/// find nothing any more. Nothing is changed. An auditor sees its own tenants.
#[utoipa::path(
    post, path = "/v1/catalog/check-log", tag = "catalog", operation_id = "check_log",
    request_body(content = wire::LogCheck, description = "The definitions and where to look, of at most 8 MiB."),
    responses((status = 200, description = "What was found.", body = wire::LogReport), Problems),
    security(("key" = ["admin", "auditor"])),
)]
pub(crate) async fn check_log(
    State(app): State<App>,
    inspector: Inspector,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    expect_json(&headers)?;
    let body = collect(&app.admission, &headers, body, CATALOG_BODY_BYTES_MAX).await?;
    let (entries, mut search) = parse::log_check(&body.bytes)?;
    for tenant in search.tenants.iter().flatten() {
        inspector.check(tenant)?;
    }
    if search.tenants.is_none() {
        search.tenants = inspector.tenants().map(<[_]>::to_vec);
    }
    let _place = app.admission.scan_of_all()?;
    let report = app.engine.catalogs().check_log(&entries, search).await?;
    json::answer(StatusCode::OK, &render::log_report(report))
}
