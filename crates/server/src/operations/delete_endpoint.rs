//! `DELETE /v1/tenants/{tenant}/endpoints/{id}`: ends an endpoint.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::app::App;
use crate::auth::Manager;
use crate::endpoints::endpoint_id;
use crate::failure::Failure;

crate::problems!(Problems: EndpointNotFound, StorageUnavailable);

/// Delete an endpoint
///
/// Nothing is delivered to it from now on; requests under way may still arrive. What waited for it, its replays and its
/// dead letters go with it. Deleting it again is answered with `endpoint_not_found`.
#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}/endpoints/{id}", tag = "endpoints", operation_id = "delete_endpoint",
    params(
        ("tenant" = String, Path, description = "The tenant's name."),
        ("id" = String, Path, description = "The endpoint's id."),
    ),
    responses((status = 204, description = "It is gone."), Problems),
    security(("key" = ["admin", "consumer"])),
)]
pub(crate) async fn delete_endpoint(State(app): State<App>, manager: Manager) -> Result<Response, Failure> {
    app.engine.endpoints().delete(&manager.who(), &manager.tenant, &endpoint_id(&manager)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
