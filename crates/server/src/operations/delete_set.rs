//! `DELETE /v1/catalog/sets/{name}`: takes a reference set out of the catalog.

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

/// Delete a reference set
///
/// A set that a rule looks into cannot go before the rule. Its history stays. Deleting it again is answered with `catalog_entry_not_found`.
#[utoipa::path(
    delete, path = "/v1/catalog/sets/{name}", tag = "catalog", operation_id = "delete_set",
    params(("name" = String, Path, description = "The name."), ChangeParameters),
    responses(
        (status = 200, description = "It is gone, or was only checked.", body = wire::CatalogChanged),
        Problems,
    ),
    security(("key" = ["admin"])),
)]
pub(crate) async fn delete_set(
    State(app): State<App>,
    admin: Admin,
    params: Params,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    let named = Named { app: &app, admin, kind: Kind::Set, name: params.get("name"), raw: raw.as_deref() };
    named.delete().await
}
