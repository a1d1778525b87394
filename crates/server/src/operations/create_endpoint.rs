//! `POST /v1/tenants/{tenant}/endpoints`: makes an endpoint.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};

use crate::app::App;
use crate::auth::Manager;
use crate::endpoints::{body, parse, render};
use crate::failure::Failure;
use crate::{json, wire};

crate::problems!(Problems: BodyMalformed, RequestTimeout, EndpointLimit, RangeExpired, BodyTooLarge,
    ContentTypeUnsupported, EndpointInvalid, StorageUnavailable);

/// Create an endpoint
///
/// Every event that matches `types` and `filter` is delivered to it, from now on or from where `from` says: signed by
/// Standard Webhooks 1.0.0, at least once. The answer holds the secret, this once. A repeated request makes another
/// endpoint.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/endpoints", tag = "endpoints", operation_id = "create_endpoint",
    params(("tenant" = String, Path, description = "The tenant's name.")),
    request_body(content = wire::NewEndpoint, description = "What the endpoint shall be; only `url` is required."),
    responses((status = 201, description = "The endpoint and its secret.", body = wire::CreatedEndpoint), Problems),
    security(("key" = ["admin", "consumer"])),
)]
pub(crate) async fn create_endpoint(
    State(app): State<App>,
    manager: Manager,
    headers: HeaderMap,
    content: Body,
) -> Result<Response, Failure> {
    let content = body(&app, &headers, content, false).await?;
    let endpoints = app.engine.endpoints();
    let new = parse::new_endpoint(&content.bytes, |new| endpoints.violations(new))?;
    let (endpoint, secret, public_key) = endpoints.create(&manager.who(), &manager.tenant, new).await?;
    let answer = wire::CreatedEndpoint {
        endpoint: render::endpoint(&endpoint, true),
        signature: render::signature_of(public_key.as_deref()),
        secret,
        public_key,
    };
    json::answer(StatusCode::CREATED, &answer)
}
