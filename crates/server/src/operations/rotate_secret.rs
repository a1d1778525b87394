//! `POST /v1/tenants/{tenant}/endpoints/{id}/rotate`: gives an endpoint a new secret.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use tidings_engine::endpoints::EndpointError;
use tidings_event::ErrorCode;

use crate::app::App;
use crate::auth::Manager;
use crate::endpoints::{body, endpoint_id, parse, render};
use crate::failure::Failure;
use crate::{json, wire};

crate::problems!(Problems: BodyMalformed, EndpointNotFound, RequestTimeout, EndpointBusy, BodyTooLarge,
    ContentTypeUnsupported, EndpointInvalid, StorageUnavailable);

/// Rotate an endpoint's secret
///
/// The answer holds the new secret, this once. For `overlap_s` seconds every delivery is signed with the old secrets,
/// too, so that receivers can change over meanwhile. A repeated request rotates again.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/endpoints/{id}/rotate", tag = "endpoints", operation_id = "rotate_endpoint_secret",
    params(
        ("tenant" = String, Path, description = "The tenant's name."),
        ("id" = String, Path, description = "The endpoint's id."),
    ),
    request_body(content = Option<wire::NewRotation>, description = "Nothing, or how to rotate."),
    responses((status = 200, description = "The new secret.", body = wire::RotatedSecret), Problems),
    security(("key" = ["admin", "consumer"])),
)]
pub(crate) async fn rotate_secret(
    State(app): State<App>,
    manager: Manager,
    headers: HeaderMap,
    content: Body,
) -> Result<Response, Failure> {
    let id = endpoint_id(&manager)?;
    let content = body(&app, &headers, content, true).await?;
    let rotate = parse::rotation(&content.bytes)?;
    let rotated = app.engine.endpoints().rotate(&manager.who(), &manager.tenant, &id, rotate).await;
    let (secret, public_key) = rotated.map_err(refused)?;
    let signature = render::signature_of(public_key.as_deref());
    json::answer(StatusCode::OK, &wire::RotatedSecret { signature, secret, public_key })
}

fn refused(error: EndpointError) -> Failure {
    match error {
        EndpointError::LimitReached { max } => Failure::new(
            ErrorCode::EndpointBusy,
            format!(
                "The endpoint has {max} secrets that sign, which is the most at once. An 'overlap_s' of 0 ends them."
            ),
        ),
        error => error.into(),
    }
}
