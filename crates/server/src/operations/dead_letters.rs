//! `GET /v1/tenants/{tenant}/dead-letters`: events that were given up.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use tidings_engine::endpoints::{DeadReason, DeadSearch};
use tidings_event::{EndpointId, EventType};
use utoipa::IntoParams;

use crate::app::App;
use crate::auth::Reader;
use crate::cursors::List;
use crate::endpoints::render;
use crate::failure::Failure;
use crate::query::Query;
use crate::{json, wire};

crate::problems!(Problems: RequestInvalid, CursorInvalid, CursorMismatch, EndpointNotFound, StorageUnavailable);

/// The parameters, as they are documented.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the documentation only")]
struct Parameters {
    /// Only those of the endpoint with this id.
    endpoint: Option<String>,
    /// Only events of this type.
    #[param(example = "sales.lead.created")]
    r#type: Option<String>,
    /// Only those given up for this reason: `exhausted`, `expired` or `undeliverable`.
    #[param(pattern = "^(exhausted|expired|undeliverable)$")]
    reason: Option<String>,
    /// Only those given up at this moment or later (RFC 3339).
    since: Option<String>,
    /// Only those given up before this moment (RFC 3339).
    until: Option<String>,
    /// Dead letters of a page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// Where the list goes on: the cursor of the page before, with all other parameters as they were.
    cursor: Option<String>,
}

const KNOWN: &[&str] = &["endpoint", "type", "reason", "since", "until", "limit", "cursor"];

/// List dead letters
///
/// Events that an endpoint did not take as often as its schedule allows, oldest sequence first. They stay until they are
/// redriven, discarded, or their endpoint is deleted.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/dead-letters", tag = "dead letters", operation_id = "list_dead_letters",
    params(("tenant" = String, Path, description = "The tenant's name."), Parameters),
    responses((status = 200, description = "A page of dead letters.", body = wire::DeadLetterList), Problems),
    security(("key" = ["admin", "consumer", "auditor"])),
)]
pub(crate) async fn dead_letters(
    State(app): State<App>,
    reader: Reader,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    let query = Query::parse(raw.as_deref(), KNOWN, &[])?;
    let list = List::DeadLetters.within(&[reader.tenant.as_str()], &query);
    let search = DeadSearch {
        endpoint: query.get_as("endpoint", |text| EndpointId::parse(text))?,
        reason: query.get_as("reason", |word| {
            DeadReason::parse(word).ok_or("must be 'exhausted', 'expired' or 'undeliverable'")
        })?,
        event_type: query.get_as("type", |text| EventType::parse(text))?,
        since: query.moment("since")?,
        until: query.moment("until")?,
        cursor: query.get("cursor").map(|text| app.open_name(list, text)).transpose()?,
        limit: query.limit()?,
    };
    let (rows, next) = app.engine.endpoints().dead_letters(&reader.tenant, search).await?;
    let cursor = next.map(|next| app.seal_name(list, &next));
    json::answer(StatusCode::OK, &wire::DeadLetterList { data: rows.iter().map(render::dead_letter).collect(), cursor })
}
