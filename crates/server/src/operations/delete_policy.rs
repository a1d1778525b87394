//! `DELETE /v1/catalog/policies/{name}`: takes a policy out of the catalog.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use tidings_catalog::entry::{Entry, Key, Kind};

use crate::app::App;
use crate::auth::{Admin, Params};
use crate::catalog::change::{CHANGE_PARAMETERS, ChangeParameters, change_one, expect_there};
use crate::failure::Failure;
use crate::query::Query;
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
    let query = Query::parse(raw.as_deref(), CHANGE_PARAMETERS, &[])?;
    let key = Key { kind: Kind::Policy, name: params.get("name").to_owned(), version: String::new() };
    expect_there(&app, &key)?;
    change_one(&app, &admin.into(), &query, Entry { key, source: None }).await
}
