//! `GET /v1/tenants/{tenant}/quarantine/{no}`: one event that is kept aside.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;

use crate::app::App;
use crate::auth::Reader;
use crate::catalog::{quarantine_no, render};
use crate::failure::Failure;
use crate::query::Query;
use crate::{json, wire};

crate::problems!(Problems: RequestInvalid, QuarantinedNotFound, StorageUnavailable);

/// Read one event in quarantine
///
/// The whole event, and the rules that it broke.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/quarantine/{no}", tag = "quarantine", operation_id = "get_quarantined",
    params(
        ("tenant" = String, Path, description = "The tenant's name."),
        ("no" = String, Path, description = "The event's number in quarantine."),
    ),
    responses((status = 200, description = "The event.", body = wire::Quarantined), Problems),
    security(("key" = ["admin", "consumer", "auditor"])),
)]
pub(crate) async fn quarantined(
    State(app): State<App>,
    reader: Reader,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    Query::parse(raw.as_deref(), &[], &[])?;
    let aside = app.engine.catalogs().aside_one(&reader.tenant, quarantine_no(&reader)?).await?;
    json::answer(StatusCode::OK, &render::quarantined(aside))
}
