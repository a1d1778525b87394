//! `POST /v1/tenants/{tenant}/endpoints/{id}/verify`: challenges an endpoint.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use crate::app::App;
use crate::auth::Manager;
use crate::endpoints::{endpoint_id, render};
use crate::failure::Failure;
use crate::{json, wire};

crate::problems!(Problems: EndpointNotFound, EndpointBusy, ChallengeFailed, StorageUnavailable);

/// Verify an endpoint
///
/// Sends the endpoint a signed body of type `tidings.endpoint.challenge` with a random text as `challenge`. If it answers
/// with a status from 200 to 299 and a body that holds the text, it is made active. Needed once for an endpoint that was
/// made with `challenge`, and again when its URL changes. Takes no body.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/endpoints/{id}/verify", tag = "endpoints", operation_id = "verify_endpoint",
    params(
        ("tenant" = String, Path, description = "The tenant's name."),
        ("id" = String, Path, description = "The endpoint's id."),
    ),
    responses((status = 200, description = "It answered; the exchange.", body = wire::Exchange), Problems),
    security(("key" = ["admin", "consumer"])),
)]
pub(crate) async fn verify_endpoint(State(app): State<App>, manager: Manager) -> Result<Response, Failure> {
    let exchange = app.engine.endpoints().verify(&manager.who(), &manager.tenant, &endpoint_id(&manager)?).await?;
    json::answer(StatusCode::OK, &render::exchange(exchange))
}
