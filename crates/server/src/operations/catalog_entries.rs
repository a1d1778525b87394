//! `GET /v1/catalog/entries`: the sources of all entries of the catalog.

use std::ops::Bound;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use tidings_catalog::entry::{Key, Kind};

use crate::app::App;
use crate::auth::Caller;
use crate::catalog::{PageParameters, render};
use crate::cursors::List;
use crate::failure::Failure;
use crate::limits::PAGE_BYTES_MAX;
use crate::query::Query;
use crate::{json, wire};

crate::problems!(Problems: RequestInvalid, CursorInvalid, CursorMismatch);

/// List the sources of the catalog
///
/// Every definition, reference set and policy as its author wrote it, by kind, name and version, and the catalog's
/// revision with which it came.
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
    let after = after.as_deref().and_then(read_place).map_or(Bound::Unbounded, Bound::Excluded);
    let (catalog, revisions) = app.engine.catalogs().listing();
    let (mut data, mut size_bytes, mut cursor) = (Vec::new(), 0, None);
    for (key, revision) in revisions.range((after, Bound::Unbounded)) {
        let Some(source) = catalog.entry(key).and_then(|entry| entry.source.as_deref()) else { continue };
        size_bytes += source.len();
        if data.len() == limit || (!data.is_empty() && size_bytes > PAGE_BYTES_MAX) {
            cursor = data.last().map(|last| app.seal_name(List::Entries, &place(last)));
            break;
        }
        data.push(render::entry(key, source, *revision));
    }
    json::answer(StatusCode::OK, &wire::CatalogEntryList { data, cursor })
}

/// An entry's name in a cursor.
fn place(entry: &wire::CatalogEntry) -> String {
    format!("{}\n{}\n{}", entry.kind, entry.name, entry.version)
}

fn read_place(text: &str) -> Option<Key> {
    let mut parts = text.split('\n');
    let (kind, name, version) = (parts.next()?, parts.next()?, parts.next()?);
    Some(Key { kind: Kind::parse(kind)?, name: name.to_owned(), version: version.to_owned() })
}
