//! `GET /v1/outbox/sources`: the outboxes that are read, and how they stand.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use futures_util::future::join_all;
use http::StatusCode;
use tidings_engine::{Error, OutboxStatus, SourceError};

use crate::app::App;
use crate::auth::Admin;
use crate::failure::Failure;
use crate::query::Query;
use crate::{json, wire};

crate::problems!(Problems: RequestInvalid);

/// List outbox sources
///
/// Every configured source with its waiting and refused rows. A source that cannot be asked says so in its `status`.
#[utoipa::path(
    get, path = "/v1/outbox/sources", tag = "outbox", operation_id = "list_outbox_sources",
    responses((status = 200, description = "The sources.", body = wire::OutboxSourceList), Problems),
    security(("key" = ["admin"])),
)]
pub(crate) async fn outbox_sources(
    State(app): State<App>,
    _admin: Admin,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    Query::parse(raw.as_deref(), &[], &[])?;
    let names = app.engine.sources();
    let statuses = join_all(names.iter().map(|name| app.engine.source_status(name))).await;
    let data = names.into_iter().zip(statuses).map(|(name, status)| source(name, status)).collect();
    json::answer(StatusCode::OK, &wire::OutboxSourceList { data, cursor: None })
}

fn source(name: String, status: Result<OutboxStatus, Error>) -> wire::OutboxSource {
    let (status, outbox) = match status {
        Ok(status) => ("ok", Some(outbox(&status))),
        Err(error) => {
            tracing::debug!(source = name, %error, "a source could not be asked how it stands");
            match error {
                Error::Source(SourceError::Unavailable(_)) => ("unavailable", None),
                Error::Source(SourceError::NotInstalled(_)) => ("not_installed", None),
                _ => ("failed", None),
            }
        }
    };
    wire::OutboxSource { name, status: status.to_owned(), outbox }
}

fn outbox(status: &OutboxStatus) -> wire::Outbox {
    wire::Outbox {
        version: status.version,
        pending: status.pending,
        oldest_pending_at: status.oldest_pending.map(|moment| moment.to_string()),
        intents: status.intents,
        refused: status.refused,
    }
}
