//! `POST /v1/tenants/{tenant}/dead-letters/discard`: gives dead letters up for good.

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

/// Discard dead letters
///
/// The events stay in the log, but are not delivered. At most 100,000 at once, oldest first: where that many
/// were done, ask again. Repeating the request is safe.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/dead-letters/discard", tag = "dead letters", operation_id = "discard_dead_letters",
    params(("tenant" = String, Path, description = "The tenant's name.")),
    request_body(content = wire::DeadLetterFilter, description = "Which; `{}` for all of the tenant."),
    responses((status = 200, description = "How many are gone.", body = wire::Count), Problems),
    security(("key" = ["admin", "consumer"])),
)]
pub(crate) async fn discard_all(
    State(app): State<App>,
    manager: Manager,
    headers: HeaderMap,
    content: Body,
) -> Result<Response, Failure> {
    let content = body(&app, &headers, content, false).await?;
    let search = parse::dead_letters(&content.bytes)?;
    let count = app.engine.endpoints().discard_all(&manager.who(), &manager.tenant, search).await?;
    json::answer(StatusCode::OK, &wire::Count { count })
}
