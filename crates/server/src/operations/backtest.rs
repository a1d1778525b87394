//! `POST /v1/tenants/{tenant}/endpoints/backtest`: tries a selection on past events.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};

use crate::app::App;
use crate::auth::Reader;
use crate::endpoints::{body, parse};
use crate::failure::Failure;
use crate::{json, render, wire};

crate::problems!(Problems: BodyMalformed, RequestTimeout, BodyTooLarge, ContentTypeUnsupported, EndpointInvalid,
    RateLimited, StorageUnavailable);

/// Back-test a selection
///
/// What `types` and `filter` would have found among past events, before an endpoint is made with them: how many, and
/// the newest of them. Nothing is sent and nothing is kept.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/endpoints/backtest", tag = "endpoints", operation_id = "backtest_selection",
    params(("tenant" = String, Path, description = "The tenant's name.")),
    request_body(content = wire::BacktestQuery, description = "The selection and the range."),
    responses((status = 200, description = "What it would have found.", body = wire::Backtest), Problems),
    security(("key" = ["admin", "consumer", "auditor"])),
)]
pub(crate) async fn backtest(
    State(app): State<App>,
    reader: Reader,
    headers: HeaderMap,
    content: Body,
) -> Result<Response, Failure> {
    let content = body(&app, &headers, content, false).await?;
    let query = parse::backtest(&content.bytes)?;
    let _place = app.admission.scan(&reader.tenant)?;
    let found = app.engine.endpoints().backtest(&reader.tenant, query).await?;
    let mut out = b"{\"scanned\":".to_vec();
    json::write_number(found.scanned, &mut out);
    out.extend_from_slice(b",\"matched\":");
    json::write_number(found.matched, &mut out);
    out.extend_from_slice(if found.complete { b",\"complete\":true" } else { b",\"complete\":false" });
    out.extend_from_slice(b",\"sample\":");
    render::array(&found.sample, &mut out, |event, out| out.extend_from_slice(event));
    out.push(b'}');
    Ok(json::bytes(StatusCode::OK, out))
}
