//! `GET /v1/tenants/{tenant}/entities/{type}/{id}/events`: an entity's stream.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use tidings_engine::{ColumnFilter, Direction};
use tidings_event::Text;
use utoipa::IntoParams;

use super::search::page;
use crate::app::App;
use crate::auth::{Reader, invalid_param};
use crate::failure::Failure;
use crate::query::{Query, refuse};
use crate::wire;

crate::problems!(Problems: RequestInvalid, FilterInvalid, CursorInvalid, CursorMismatch, LogRewound, StorageUnavailable);

/// The parameters, as they are documented.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the documentation only")]
struct Parameters {
    /// Only events of these types: `sales.lead.created`, `sales.*` or `*`; separated by commas.
    #[param(example = "sales.*")]
    types: Option<String>,
    /// Only events that match this pattern, a JSON object.
    #[param(example = r#"{"filters":[{"field":"$.data.amount","operator":"gte","value":1500}]}"#)]
    filter: Option<String>,
    /// Only events recorded at this moment or later (RFC 3339).
    since: Option<String>,
    /// Only events recorded before this moment (RFC 3339).
    until: Option<String>,
    /// `asc` (oldest first, the default) or `desc`.
    #[param(pattern = "^(asc|desc)$")]
    order: Option<String>,
    /// `native` (the default) or `cloudevents`.
    #[param(pattern = "^(native|cloudevents)$")]
    format: Option<String>,
    /// Events of a page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// Where the list goes on: the cursor of the page before, with all other parameters as they were.
    cursor: Option<String>,
}

const KNOWN: &[&str] = &["filter", "since", "until", "order", "format", "limit", "cursor"];

/// Read an entity's events
///
/// All events of one entity in the order in which they happened to it. A page may be empty although the list goes on:
/// only a cursor of `null` is its end.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/entities/{type}/{id}/events", tag = "events", operation_id = "entity_events",
    params(
        ("tenant" = String, Path, description = "The tenant's name."),
        ("type" = String, Path, description = "The entity's type."),
        ("id" = String, Path, description = "The entity's id; a `/` in it is written `%2F`."),
        Parameters,
    ),
    responses((status = 200, description = "A page of events.", body = wire::EventList), Problems),
    security(("key" = ["admin", "consumer", "auditor"])),
)]
pub(crate) async fn entity_events(
    State(app): State<App>,
    reader: Reader,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    let query = Query::parse(raw.as_deref(), KNOWN, &["types"])?;
    let direction = match query.get("order") {
        None | Some("asc") => Direction::Forward,
        Some("desc") => Direction::Backward,
        Some(_) => return Err(refuse("order", "parameter_malformed", "must be 'asc' or 'desc'")),
    };
    let text = |name| Text::parse(reader.param(name)).map_err(|error| invalid_param(name, "text_malformed", &error));
    let columns =
        ColumnFilter { entity_kind: Some(text("type")?), entity_id: Some(text("id")?), ..ColumnFilter::default() };
    page(&app, &reader.tenant, &query, columns, direction).await
}
