//! `GET /v1/catalog/lineage`: who publishes and who subscribes.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use tidings_engine::catalog::Lineages;
use tidings_event::EventType;
use utoipa::IntoParams;

use crate::app::App;
use crate::auth::Inspector;
use crate::catalog::render;
use crate::cursors::{List, cut};
use crate::failure::Failure;
use crate::query::Query;
use crate::{json, wire};

crate::problems!(Problems: RequestInvalid, CursorInvalid, CursorMismatch, RateLimited, StorageUnavailable);

/// The parameters, as they are documented.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the documentation only")]
struct Parameters {
    /// Only this type.
    #[param(example = "sales.lead.created")]
    r#type: Option<String>,
    /// Types of a page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// Where the list goes on: the cursor of the page before, with all other parameters as they were.
    cursor: Option<String>,
}

/// Read who publishes and who subscribes
///
/// By type: which sources were seen to emit it, in which versions and how often, and which endpoints select it. Types
/// that were seen and are not in the catalog are listed, too. An auditor who is limited to tenants is shown their
/// endpoints alone, and no sources: those are counted over all tenants.
#[utoipa::path(
    get, path = "/v1/catalog/lineage", tag = "catalog", operation_id = "get_lineage",
    params(Parameters),
    responses((status = 200, description = "A page of types.", body = wire::LineageList), Problems),
    security(("key" = ["admin", "auditor"])),
)]
pub(crate) async fn lineage(
    State(app): State<App>,
    inspector: Inspector,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    let query = Query::parse(raw.as_deref(), &["type", "limit", "cursor"], &[])?;
    let limit = query.limit()?;
    let event_type = query.get_as("type", |text| EventType::parse(text))?;
    let list = List::Lineage.within(&[], &query);
    let after = query.get("cursor").map(|text| app.open_name(list, text)).transpose()?;
    let _place = app.admission.scan_of_all()?;
    let Lineages { mut types, complete } =
        app.engine.catalogs().lineage(event_type.as_ref(), inspector.tenants()).await?;
    if inspector.tenants().is_some() {
        let catalog = app.engine.catalog();
        types.iter_mut().for_each(|lineage| lineage.observed.clear());
        // That a type was seen at all is known of every tenant's events.
        types.retain(|lineage| !lineage.subscribers.is_empty() || catalog.current(&lineage.event_type).is_some());
    }
    types.sort_by(|one, other| one.event_type.cmp(&other.event_type));
    let later = types.into_iter().filter(|l| after.as_deref().is_none_or(|after| l.event_type.as_str() > after));
    let mut data: Vec<wire::Lineage> = later.take(limit + 1).map(render::lineage).collect();
    let cursor = cut(&mut data, limit).map(|last| app.seal_name(list, &last.event_type));
    json::answer(StatusCode::OK, &wire::LineageList { data, cursor, complete })
}
