//! `GET /v1/tenants/{tenant}/quarantine`: events that are kept aside.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use tidings_engine::catalog::AsideSearch;
use tidings_event::EventType;
use utoipa::IntoParams;

use crate::app::App;
use crate::auth::Reader;
use crate::catalog::render;
use crate::cursors::List;
use crate::failure::Failure;
use crate::query::Query;
use crate::{json, wire};

crate::problems!(Problems: RequestInvalid, CursorInvalid, CursorMismatch, StorageUnavailable);

/// The parameters, as they are documented.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the documentation only")]
struct Parameters {
    /// Only events of this type.
    #[param(example = "sales.lead.created")]
    r#type: Option<String>,
    /// Events of a page; a page may hold fewer.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// Where the list goes on: the cursor of the page before, with all other parameters as they were.
    cursor: Option<String>,
}

/// List events in quarantine
///
/// Events that broke the catalog's rules and are kept aside, out of the log, in the order in which they came. They stay
/// until they are redriven or discarded.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/quarantine", tag = "quarantine", operation_id = "list_quarantine",
    params(("tenant" = String, Path, description = "The tenant's name."), Parameters),
    responses((status = 200, description = "A page of events.", body = wire::QuarantinedList), Problems),
    security(("key" = ["admin", "consumer", "auditor"])),
)]
pub(crate) async fn quarantine(
    State(app): State<App>,
    reader: Reader,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    let query = Query::parse(raw.as_deref(), &["type", "limit", "cursor"], &[])?;
    let list = List::Quarantine.within(&[reader.tenant.as_str()], &query);
    let search = AsideSearch {
        event_type: query.get_as("type", |text| EventType::parse(text))?,
        cursor: query.get("cursor").map(|text| app.open_name(list, text)).transpose()?,
        limit: query.limit()?,
    };
    let (events, next) = app.engine.catalogs().aside(&reader.tenant, search).await?;
    let cursor = next.map(|next| app.seal_name(list, &next));
    let data = events.into_iter().map(render::quarantined).collect();
    json::answer(StatusCode::OK, &wire::QuarantinedList { data, cursor })
}
