//! `GET /v1/catalog/entries`: the sources of all entries of the catalog.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;

use crate::app::App;
use crate::auth::Caller;
use crate::catalog::{PageParameters, render};
use crate::cursors::List;
use crate::failure::Failure;
use crate::query::Query;
use crate::{json, wire};

crate::problems!(Problems: RequestInvalid, CursorInvalid, CursorMismatch, StorageUnavailable);

/// List the sources of the catalog
///
/// Every definition, reference set and policy as its author wrote it, in the order in which they were changed last.
/// Entries that were changed by one change are on one page.
#[utoipa::path(
    get, path = "/v1/catalog/entries", tag = "catalog", operation_id = "list_catalog_entries",
    params(PageParameters),
    responses((status = 200, description = "A page of entries.", body = wire::CatalogEntryList), Problems),
    security(("key" = ["admin", "producer", "consumer", "auditor"])),
)]
pub(crate) async fn catalog_entries(
    State(app): State<App>,
    _caller: Caller,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    let query = Query::parse(raw.as_deref(), &["limit", "cursor"], &[])?;
    let limit = query.limit()?;
    let after = query.get("cursor").map(|text| app.open_name(List::Entries, text)).transpose()?;
    let after = after.and_then(|text| text.parse().ok()).unwrap_or(0);
    let page = app.engine.catalogs().entries(after, limit).await?;
    let data = page.entries.into_iter().filter_map(render::entry).collect();
    let cursor = (page.upto < page.head).then(|| app.seal_name(List::Entries, &page.upto.to_string()));
    json::answer(StatusCode::OK, &wire::CatalogEntryList { data, cursor })
}
