//! `POST /v1/tenants/{tenant}/endpoints/{id}/test`: sends an endpoint a sample.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};

use crate::app::App;
use crate::auth::Manager;
use crate::endpoints::{body, endpoint_id, parse, render};
use crate::failure::Failure;
use crate::{json, wire};

crate::problems!(Problems: BodyMalformed, EndpointNotFound, RequestTimeout, EndpointBusy, BodyTooLarge,
    ContentTypeUnsupported, EndpointInvalid, StorageUnavailable);

/// Test an endpoint
///
/// Sends one signed sample now, whatever the endpoint's status and circuit, and shows the whole exchange. The answer is
/// 200 also where the endpoint failed: see `succeeded`. Nothing enters the log, and the test counts as no attempt.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/endpoints/{id}/test", tag = "endpoints", operation_id = "test_endpoint",
    params(
        ("tenant" = String, Path, description = "The tenant's name."),
        ("id" = String, Path, description = "The endpoint's id."),
    ),
    request_body(content = Option<wire::TestSample>, description = "Nothing, or what the sample shall be."),
    responses((status = 200, description = "The exchange.", body = wire::Exchange), Problems),
    security(("key" = ["admin", "consumer"])),
)]
pub(crate) async fn test_endpoint(
    State(app): State<App>,
    manager: Manager,
    headers: HeaderMap,
    content: Body,
) -> Result<Response, Failure> {
    let id = endpoint_id(&manager)?;
    let content = body(&app, &headers, content, true).await?;
    let event_type = parse::test(&content.bytes)?;
    let exchange = app.engine.endpoints().test(&manager.tenant, &id, event_type).await?;
    json::answer(StatusCode::OK, &render::exchange(exchange))
}
