//! `GET /v1/tenants/{tenant}/endpoints/{id}/attempts`: what was tried.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use tidings_engine::endpoints::{AttemptSearch, AttemptStatus};
use tidings_event::EventId;
use utoipa::IntoParams;

use crate::app::App;
use crate::auth::Reader;
use crate::cursors::List;
use crate::endpoints::{endpoint_id, render};
use crate::failure::Failure;
use crate::query::Query;
use crate::{json, wire};

crate::problems!(Problems: RequestInvalid, CursorInvalid, CursorMismatch, EndpointNotFound, EventNotFound,
    StorageUnavailable);

/// The parameters, as they are documented.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the documentation only")]
struct Parameters {
    /// `succeeded`, `failed`, a status like `404` or a class like `5xx`.
    status: Option<String>,
    /// Only attempts begun at this moment or later (RFC 3339).
    since: Option<String>,
    /// Only attempts begun before this moment (RFC 3339).
    until: Option<String>,
    /// Only attempts of the event with this id.
    event: Option<String>,
    /// Attempts of a page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// Where the list goes on: the cursor of the page before, with all other parameters as they were.
    cursor: Option<String>,
}

const KNOWN: &[&str] = &["status", "since", "until", "event", "limit", "cursor"];

/// List attempts
///
/// Every attempt to deliver to the endpoint, by replays too, newest first: status or failure, duration, the first bytes
/// of the answer. They are kept for a time that the server's configuration states.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/endpoints/{id}/attempts", tag = "endpoints", operation_id = "list_attempts",
    params(
        ("tenant" = String, Path, description = "The tenant's name."),
        ("id" = String, Path, description = "The endpoint's id."),
        Parameters,
    ),
    responses((status = 200, description = "A page of attempts.", body = wire::AttemptList), Problems),
    security(("key" = ["admin", "consumer", "auditor"])),
)]
pub(crate) async fn attempts(
    State(app): State<App>,
    reader: Reader,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    let query = Query::parse(raw.as_deref(), KNOWN, &[])?;
    let id = endpoint_id(&reader)?;
    let list = List::Attempts.within(&[reader.tenant.as_str(), id.as_str()], &query);
    let search = AttemptSearch {
        status: query.get_as("status", |text| {
            AttemptStatus::parse(text).ok_or("must be 'succeeded', 'failed', a status like '404' or a class like '5xx'")
        })?,
        since: query.moment("since")?,
        until: query.moment("until")?,
        event: query.get_as("event", |text| EventId::parse(text))?,
        cursor: query.get("cursor").map(|text| app.open_name(list, text)).transpose()?,
        limit: query.limit()?,
    };
    let (rows, next) = app.engine.endpoints().attempts(&reader.tenant, &id, search).await?;
    let cursor = next.map(|next| app.seal_name(list, &next));
    json::answer(StatusCode::OK, &wire::AttemptList { data: rows.iter().map(render::attempt).collect(), cursor })
}
