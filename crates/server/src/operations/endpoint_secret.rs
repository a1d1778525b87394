//! `GET /v1/tenants/{tenant}/endpoints/{id}/secret`: what signs deliveries to an endpoint.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;

use crate::app::App;
use crate::auth::Reader;
use crate::endpoints::{endpoint_id, render};
use crate::failure::Failure;
use crate::query::Query;
use crate::{json, wire};

crate::problems!(Problems: RequestInvalid, EndpointNotFound, StorageUnavailable);

/// List an endpoint's secrets
///
/// Which secrets sign deliveries now, and with `v1a` the public keys that verify them. A secret's value is shown only
/// when it is made.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/endpoints/{id}/secret", tag = "endpoints", operation_id = "list_endpoint_secrets",
    params(
        ("tenant" = String, Path, description = "The tenant's name."),
        ("id" = String, Path, description = "The endpoint's id."),
    ),
    responses((status = 200, description = "The secrets.", body = wire::SecretList), Problems),
    security(("key" = ["admin", "consumer", "auditor"])),
)]
pub(crate) async fn endpoint_secret(
    State(app): State<App>,
    reader: Reader,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    Query::parse(raw.as_deref(), &[], &[])?;
    let secrets = app.engine.endpoints().secrets(&reader.tenant, &endpoint_id(&reader)?).await?;
    json::answer(StatusCode::OK, &wire::SecretList { data: secrets.iter().map(render::secret).collect(), cursor: None })
}
