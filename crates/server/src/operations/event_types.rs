//! `GET /v1/event-types`: the types of events that the catalog has.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use tidings_catalog::definition::{Definition, Stage};
use utoipa::IntoParams;

use crate::app::App;
use crate::auth::Caller;
use crate::catalog::render;
use crate::cursors::{List, cut};
use crate::failure::Failure;
use crate::query::Query;
use crate::{json, wire};

crate::problems!(Problems: RequestInvalid, CursorInvalid, CursorMismatch);

/// The parameters, as they are documented.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the documentation only")]
struct Parameters {
    /// Only types that this service owns.
    #[param(example = "sales")]
    owner: Option<String>,
    /// Only types that have a version in this stage: `draft`, `stable` or `deprecated`.
    #[param(pattern = "^(draft|stable|deprecated)$")]
    stage: Option<String>,
    /// Only types whose name begins so.
    #[param(example = "sales.")]
    prefix: Option<String>,
    /// Types of a page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// Where the list goes on: the cursor of the page before, with all other parameters as they were.
    cursor: Option<String>,
}

const KNOWN: &[&str] = &["owner", "stage", "prefix", "limit", "cursor"];

/// List event types
///
/// By name, each with its owner and all its versions.
#[utoipa::path(
    get, path = "/v1/event-types", tag = "catalog", operation_id = "list_event_types",
    params(Parameters),
    responses((status = 200, description = "A page of types.", body = wire::EventTypeList), Problems),
    security(("key" = ["admin", "producer", "consumer", "auditor"])),
)]
pub(crate) async fn event_types(
    State(app): State<App>,
    _caller: Caller,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    let query = Query::parse(raw.as_deref(), KNOWN, &[])?;
    let limit = query.limit()?;
    let stage = query.get_as("stage", |word| Stage::parse(word).ok_or("must be 'draft', 'stable' or 'deprecated'"))?;
    let list = List::EventTypes.within(&[], &query);
    let after = query.get("cursor").map(|text| app.open_name(list, text)).transpose()?;
    let (owner, prefix) = (query.get("owner"), query.get("prefix").unwrap_or_default());
    let catalog = app.engine.catalog();
    let wanted: Vec<&Arc<Definition>> = catalog
        .definitions()
        .filter(|definition| definition.name.as_str().starts_with(prefix))
        .filter(|definition| after.as_deref().is_none_or(|after| definition.name.as_str() > after))
        .collect();
    let mut data: Vec<wire::EventType> = wanted
        .chunk_by(|one, other| one.name == other.name)
        .filter(|versions| stage.is_none_or(|stage| render::has_stage(versions, stage)))
        .filter_map(|versions| render::event_type(&catalog, versions))
        .filter(|event_type| owner.is_none_or(|owner| event_type.owner == owner))
        .take(limit + 1)
        .collect();
    let cursor = cut(&mut data, limit).map(|last| app.seal_name(list, &last.name));
    json::answer(StatusCode::OK, &wire::EventTypeList { data, cursor })
}
