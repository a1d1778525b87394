//! `DELETE /v1/event-types/{name}/versions/{version}`: takes a definition out of the catalog.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use tidings_catalog::entry::Entry;

use crate::app::App;
use crate::auth::{Author, Params};
use crate::catalog::change::{CHANGE_PARAMETERS, ChangeParameters, change_one, expect_there};
use crate::catalog::definition_key;
use crate::failure::Failure;
use crate::query::Query;
use crate::wire;

crate::problems!(Problems: RequestInvalid, EventTypeNotFound, CatalogBreaking, CatalogBusy, DefinitionInvalid,
    StorageUnavailable);

/// Delete a definition
///
/// A draft goes as it is; a deprecated version that is past its sunset goes with a `reason`. Its history stays. Deleting
/// it again is answered with `event_type_not_found`.
#[utoipa::path(
    delete, path = "/v1/event-types/{name}/versions/{version}", tag = "catalog", operation_id = "delete_definition",
    params(
        ("name" = String, Path, description = "The type."),
        ("version" = String, Path, description = "The version."),
        ChangeParameters,
    ),
    responses(
        (status = 200, description = "The definition is gone, or was only checked.", body = wire::CatalogChanged),
        Problems,
    ),
    security(("key" = ["admin", "producer"])),
)]
pub(crate) async fn delete_definition(
    State(app): State<App>,
    author: Author,
    params: Params,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    let query = Query::parse(raw.as_deref(), CHANGE_PARAMETERS, &[])?;
    let key = definition_key(&params);
    expect_there(&app, &key)?;
    change_one(&app, &author, &query, Entry { key, source: None }).await
}
