//! `POST /v1/tenants/{tenant}/quarantine/redrive`: takes events out of quarantine into the log.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};

use crate::app::App;
use crate::auth::Manager;
use crate::catalog::{expect_as_is, parse};
use crate::cursors::{List, Within};
use crate::endpoints::body;
use crate::failure::Failure;
use crate::{json, wire};

crate::problems!(Problems: BodyMalformed, RequestInvalid, CursorInvalid, CursorMismatch, RequestTimeout, BodyTooLarge,
    ContentTypeUnsupported, StorageUnavailable);

/// Redrive events out of quarantine
///
/// Each event is judged again, by the catalog as it is now, in the order in which they came. Those in order enter the
/// log; the others stay. As many as fit into one request: where `cursor` is not `null`, send it along to go on.
/// Repeating the request is safe.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/quarantine/redrive", tag = "quarantine", operation_id = "redrive_quarantine",
    params(("tenant" = String, Path, description = "The tenant's name.")),
    request_body(content = wire::QuarantineRedrive, description = "Which; `{}` for all of the tenant."),
    responses((status = 200, description = "What became of them.", body = wire::Redriven), Problems),
    security(("key" = ["admin", "consumer"])),
)]
pub(crate) async fn redrive_quarantine(
    State(app): State<App>,
    manager: Manager,
    headers: HeaderMap,
    content: Body,
) -> Result<Response, Failure> {
    let content = body(&app, &headers, content, false).await?;
    let parse::Redrive { mut search, as_is } = parse::redrive(&content.bytes)?;
    expect_as_is(&manager, as_is)?;
    let event_type = search.event_type.as_ref().map_or("", |event_type| event_type.as_str());
    let list: Within = List::Redrive.of(&[manager.tenant.as_str(), event_type]);
    search.cursor = search.cursor.map(|text| app.open_name(list, &text)).transpose()?;
    let done = app.engine.catalogs().redrive_all(&manager.who(), &manager.tenant, search, as_is).await?;
    let cursor = done.cursor.map(|next| app.seal_name(list, &next));
    json::answer(StatusCode::OK, &wire::Redriven { redriven: done.redriven, kept: done.kept, cursor })
}
