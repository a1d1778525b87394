//! `GET /v1/tenants/{tenant}/events`: finds events.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use tidings_engine::{ColumnFilter, Direction, ReadLimit, SearchPage, SearchQuery};
use tidings_event::{ContextKind, SourceKind, TenantId, Text};
use utoipa::IntoParams;

use crate::app::{App, Shared};
use crate::auth::Reader;
use crate::cursors::QueryHash;
use crate::failure::Failure;
use crate::limits::PAGE_BYTES_MAX;
use crate::negotiate::Format;
use crate::query::{Query, refuse};
use crate::{render, wire};

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
    /// Only events of entities of this type.
    entity_type: Option<String>,
    /// Only events of the entity with this id; takes `entity_type` beside it.
    entity_id: Option<String>,
    /// Only events of sources of this kind.
    source_type: Option<String>,
    /// Only events of the source with this name.
    source_id: Option<String>,
    /// Only events that this actor caused.
    actor: Option<String>,
    /// Only events of this part of the tenant.
    project: Option<String>,
    /// Only events of this request or process.
    correlation_id: Option<String>,
    /// Only events that the event with this id led to.
    causation_id: Option<String>,
    /// Only events caused for this kind of party.
    context_type: Option<String>,
    /// Only events caused for the party with this id.
    context_id: Option<String>,
    /// Only events recorded at this moment or later (RFC 3339).
    since: Option<String>,
    /// Only events recorded before this moment (RFC 3339).
    until: Option<String>,
    /// `desc` (newest first, the default) or `asc`.
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

const KNOWN: &[&str] = &[
    "filter",
    "entity_type",
    "entity_id",
    "source_type",
    "source_id",
    "actor",
    "project",
    "correlation_id",
    "causation_id",
    "context_type",
    "context_id",
    "since",
    "until",
    "order",
    "format",
    "limit",
    "cursor",
];

/// Search events
///
/// Finds a tenant's events; all that is asked for must hold. A page may be empty although the list goes on: only a
/// cursor of `null` is its end.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/events", tag = "events", operation_id = "search_events",
    params(("tenant" = String, Path, description = "The tenant's name."), Parameters),
    responses((status = 200, description = "A page of events.", body = wire::EventList), Problems),
    security(("key" = ["admin", "consumer", "auditor"])),
)]
pub(crate) async fn search(
    State(app): State<App>,
    reader: Reader,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    let query = Query::parse(raw.as_deref(), KNOWN, &["types"])?;
    let direction = match query.get("order") {
        None | Some("desc") => Direction::Backward,
        Some("asc") => Direction::Forward,
        Some(_) => return Err(refuse("order", "parameter_malformed", "must be 'asc' or 'desc'")),
    };
    page(&app, &reader.tenant, &query, columns(&query)?, direction).await
}

/// One page of a search; also the whole of an entity's stream.
pub(super) async fn page(
    app: &Shared,
    tenant: &TenantId,
    query: &Query,
    columns: ColumnFilter,
    direction: Direction,
) -> Result<Response, Failure> {
    let format = Format::of_query(query)?.unwrap_or(Format::Native);
    let hash = QueryHash::of(query, &columns, direction);
    let cursor = query.get("cursor").map(|text| app.open_list_cursor(text, tenant, hash)).transpose()?;
    let (after, before) = match direction {
        Direction::Forward => (cursor, None),
        Direction::Backward => (None, cursor),
    };
    let asked = SearchQuery {
        columns,
        selection: app.selections.of_query(query)?,
        since: query.moment("since")?,
        until: query.moment("until")?,
        after,
        before,
        direction,
        limit: ReadLimit { events: query.limit()?, bytes: PAGE_BYTES_MAX },
    };
    let SearchPage { events, next } = app.engine.search(tenant, asked).await?;
    Ok(render::event_list(&events, format, next.map(|next| app.seal_list_cursor(next, tenant, hash)).as_deref()))
}

fn columns(query: &Query) -> Result<ColumnFilter, Failure> {
    let text = |name: &str| query.get_as(name, |value| Text::parse(value));
    let columns = ColumnFilter {
        types: Vec::new(),
        entity_kind: text("entity_type")?,
        entity_id: text("entity_id")?,
        source_kind: query.get_as("source_type", |word| {
            SourceKind::parse(word)
                .ok_or("must be 'service', 'workflow', 'task', 'integration', 'external' or 'system'")
        })?,
        source_id: text("source_id")?,
        actor: text("actor")?,
        project: text("project")?,
        correlation_id: text("correlation_id")?,
        causation_id: text("causation_id")?,
        context_kind: query
            .get_as("context_type", |word| ContextKind::parse(word).ok_or("must be 'client', 'user' or 'global'"))?,
        context_id: text("context_id")?,
    };
    if columns.entity_id.is_some() && columns.entity_kind.is_none() {
        return Err(refuse("entity_id", "parameter_incomplete", "takes 'entity_type' beside it"));
    }
    Ok(columns)
}
