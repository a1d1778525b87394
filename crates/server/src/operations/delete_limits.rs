//! `DELETE /v1/tenants/{tenant}/limits`: gives a tenant the defaults back.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use tidings_engine::OwnQuota;

use super::limits::render;
use super::put_limits::tenant;
use crate::app::App;
use crate::auth::{Admin, Params};
use crate::failure::Failure;
use crate::{json, wire};

crate::problems!(Problems: RequestInvalid, StorageUnavailable);

/// Give a tenant the default limits
///
/// It has none of its own from now on. Deleting them again changes nothing.
#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}/limits", tag = "tenants", operation_id = "delete_limits",
    params(("tenant" = String, Path, description = "The tenant's name.")),
    responses((status = 200, description = "Its limits from now on.", body = wire::Limits), Problems),
    security(("key" = ["admin"])),
)]
pub(crate) async fn delete_limits(State(app): State<App>, admin: Admin, params: Params) -> Result<Response, Failure> {
    let tenant = tenant(&params)?;
    let quota = app.engine.set_quota(&admin.who(), &tenant, OwnQuota::default()).await?;
    json::answer(StatusCode::OK, &render(&tenant, quota))
}
