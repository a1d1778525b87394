//! `GET /v1/outbox/refused`: outbox rows that the log refused.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use serde_json::value::RawValue;
use tidings_engine::{Error, Refused};
use tidings_event::{ErrorCode, Problem};
use utoipa::IntoParams;

use crate::app::{App, Shared};
use crate::auth::Admin;
use crate::cursors::{List, cut};
use crate::failure::Failure;
use crate::query::Query;
use crate::{json, wire};

crate::problems!(Problems: RequestInvalid, CursorInvalid, CursorMismatch, SourceNotFound, SourceUnavailable);

/// The parameters, as they are documented.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the documentation only")]
struct Parameters {
    /// Only rows of this source; of all that can be reached otherwise.
    source: Option<String>,
    /// Rows of a page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// Where the list goes on: the cursor of the page before.
    cursor: Option<String>,
}

/// List refused rows
///
/// Rows that the log refused stay in their outbox, out of the way of the rest, until they are retried or discarded.
#[utoipa::path(
    get, path = "/v1/outbox/refused", tag = "outbox", operation_id = "list_refused_rows",
    params(Parameters),
    responses((status = 200, description = "A page of rows.", body = wire::RefusedRowList), Problems),
    security(("key" = ["admin"])),
)]
pub(crate) async fn refused_rows(
    State(app): State<App>,
    _admin: Admin,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    let query = Query::parse(raw.as_deref(), &["source", "limit", "cursor"], &[])?;
    let limit = query.limit()?;
    let after = query.get("cursor").map(|text| open(&app, text)).transpose()?;
    let names = match query.get("source") {
        Some(name) => vec![name.to_owned()],
        None => app.engine.sources(),
    };
    let only = names.len() == 1;
    // The cursor names the source in which the list goes on; those before it are done.
    let first = after.as_ref().and_then(|(source, _)| names.iter().position(|name| name == source)).unwrap_or(0);
    let mut data = Vec::new();
    for name in names.iter().skip(first) {
        let after = after.as_ref().filter(|(source, _)| source == name).map_or(0, |(_, id)| *id);
        match app.engine.refused(name, after, limit + 1 - data.len()).await {
            Ok(rows) => data.extend(rows.into_iter().map(|row| render(name, row))),
            // One source that is down does not hide the others' rows; asked for alone it is an error.
            Err(Error::Source(error)) if !only => tracing::debug!(source = name, %error, "a source was left out"),
            Err(error) => return Err(error.into()),
        }
        if data.len() > limit {
            break;
        }
    }
    let cursor =
        cut(&mut data, limit).map(|row| app.seal_name(List::RefusedRows, &format!("{}\n{}", row.id, row.source)));
    json::answer(StatusCode::OK, &wire::RefusedRowList { data, cursor })
}

/// The source and the row's id in a cursor.
fn open(app: &Shared, text: &str) -> Result<(String, i64), Failure> {
    let name = app.open_name(List::RefusedRows, text)?;
    let parts = name.split_once('\n').and_then(|(id, source)| Some((source.to_owned(), id.parse().ok()?)));
    parts.ok_or_else(|| Failure::new(ErrorCode::CursorInvalid, "The cursor was not made by this server."))
}

fn render(source: &str, refused: Refused) -> wire::RefusedRow {
    let reason = match serde_json::from_str::<Problem>(&refused.error) {
        Ok(problem) => wire::RefusalReason {
            code: problem.code.as_str().to_owned(),
            detail: problem.detail,
            errors: problem.errors.into_iter().map(violation).collect(),
        },
        // Whoever owns the database can write there what they like.
        Err(_) => wire::RefusalReason { code: "unknown".to_owned(), detail: refused.error, errors: Vec::new() },
    };
    wire::RefusedRow {
        source: source.to_owned(),
        id: refused.row.id,
        source_key: refused.row.source_key,
        event: raw(&refused.row.event),
        created_at: refused.row.created_at.to_string(),
        attempts: refused.attempts,
        error: reason,
    }
}

fn violation(violation: tidings_event::Violation) -> wire::Violation {
    wire::Violation { path: violation.path, code: violation.code.to_owned(), message: violation.message }
}

/// The envelope as it stands in the row; as a string where it is not JSON.
fn raw(event: &[u8]) -> Box<RawValue> {
    let text = String::from_utf8_lossy(event).into_owned();
    RawValue::from_string(text.clone())
        .or_else(|_| serde_json::value::to_raw_value(&text))
        .expect("a string can always be written as JSON")
}
