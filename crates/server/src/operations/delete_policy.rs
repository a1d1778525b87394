//! `DELETE /v1/catalog/policies/{name}`: takes a policy out of the catalog.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use tidings_catalog::entry::Kind;

use crate::app::App;
use crate::auth::{Admin, Params};
use crate::catalog::change::{ChangeParameters, Named};
use crate::failure::Failure;
use crate::wire;

crate::problems!(Problems: RequestInvalid, CatalogEntryNotFound, CatalogBreaking, CatalogBusy, DefinitionInvalid,
    StorageUnavailable);

/// Delete a policy
///
/// What it said holds no longer. Its history stays. Deleting it again is answered with `catalog_entry_not_found`.
#[utoipa::path(
    delete, path = "/v1/catalog/policies/{name}", tag = "catalog", operation_id = "delete_policy",
    params(("name" = String, Path, description = "The name."), ChangeParameters),
    responses(
        (status = 200, description = "It is gone, or was only checked.", body = wire::CatalogChanged),
        Problems,
    ),
    security(("key" = ["admin"])),
)]
pub(crate) async fn delete_policy(
    State(app): State<App>,
    admin: Admin,
    params: Params,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    let named = Named { app: &app, admin, kind: Kind::Policy, name: params.get("name"), raw: raw.as_deref() };
    named.delete().await
}
