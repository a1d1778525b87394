//! `POST /v1/tenants/{tenant}/dead-letters/redrive`: delivers dead letters after all.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};

use crate::app::App;
use crate::auth::Manager;
use crate::endpoints::{body, parse};
use crate::failure::Failure;
use crate::{json, wire};

crate::problems!(Problems: BodyMalformed, RequestInvalid, EndpointNotFound, RequestTimeout, BodyTooLarge,
    ContentTypeUnsupported, StorageUnavailable);

/// Redrive dead letters
///
/// Each event is due at once and has its endpoint's whole schedule again. At most 100,000 at once, oldest first: where
/// that many were done, ask again. Repeating the request is safe.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/dead-letters/redrive", tag = "dead letters", operation_id = "redrive_dead_letters",
    params(("tenant" = String, Path, description = "The tenant's name.")),
    request_body(content = wire::DeadLetterFilter, description = "Which; `{}` for all of the tenant."),
    responses((status = 202, description = "How many wait for their next attempt.", body = wire::Count), Problems),
    security(("key" = ["admin", "consumer"])),
)]
pub(crate) async fn redrive_all(
    State(app): State<App>,
    manager: Manager,
    headers: HeaderMap,
    content: Body,
) -> Result<Response, Failure> {
    let content = body(&app, &headers, content, false).await?;
    let search = parse::dead_letters(&content.bytes)?;
    let count = app.engine.endpoints().redrive_all(&manager.who(), &manager.tenant, search).await?;
    json::answer(StatusCode::ACCEPTED, &wire::Count { count })
}
