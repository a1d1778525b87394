//! `POST /v1/tenants/{tenant}/quarantine/discard`: gives events in quarantine up for good.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};

use crate::app::App;
use crate::auth::Manager;
use crate::catalog::parse;
use crate::endpoints::body;
use crate::failure::Failure;
use crate::{json, wire};

crate::problems!(Problems: BodyMalformed, RequestInvalid, RequestTimeout, BodyTooLarge, ContentTypeUnsupported,
    StorageUnavailable);

/// Discard events in quarantine
///
/// They never were in the log, and will not be. As many as fit into one request: where `more` is true, ask again.
/// Repeating the request is safe.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/quarantine/discard", tag = "quarantine", operation_id = "discard_quarantine",
    params(("tenant" = String, Path, description = "The tenant's name.")),
    request_body(content = wire::QuarantineFilter, description = "Which; `{}` for all of the tenant."),
    responses((status = 200, description = "How many are gone.", body = wire::Discarded), Problems),
    security(("key" = ["admin", "consumer"])),
)]
pub(crate) async fn discard_quarantine(
    State(app): State<App>,
    manager: Manager,
    headers: HeaderMap,
    content: Body,
) -> Result<Response, Failure> {
    let content = body(&app, &headers, content, false).await?;
    let search = parse::quarantine_filter(&content.bytes)?;
    let done = app.engine.catalogs().discard_all(&manager.who(), &manager.tenant, search).await?;
    json::answer(StatusCode::OK, &wire::Discarded { count: done.discarded, more: done.more })
}
