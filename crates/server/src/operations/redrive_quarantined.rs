//! `POST /v1/tenants/{tenant}/quarantine/{no}/redrive`: takes an event out of quarantine into the log.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use tidings_engine::catalog::Redriven;
use tidings_event::ErrorCode;
use utoipa::IntoParams;

use crate::app::App;
use crate::auth::Manager;
use crate::catalog::{expect_as_is, quarantine_no};
use crate::failure::Failure;
use crate::members::refusal;
use crate::query::Query;
use crate::{json, wire};

crate::problems!(Problems: RequestInvalid, QuarantinedNotFound, EventIdConflict, EventRejected, StorageUnavailable);

/// The parameters, as they are documented.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the documentation only")]
struct Parameters {
    /// Whether the event is taken as it is, whatever rules it breaks. Takes an admin's key.
    #[param(default = false)]
    as_is: Option<bool>,
}

/// Redrive an event out of quarantine
///
/// The event is judged again, by the catalog as it is now. Where it is in order it enters the log; where it still
/// breaks a rule it stays, and the problem `event_rejected` says which rule. Redriving again is answered with
/// `quarantined_not_found`. Takes no body.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/quarantine/{no}/redrive", tag = "quarantine",
    operation_id = "redrive_quarantined",
    params(
        ("tenant" = String, Path, description = "The tenant's name."),
        ("no" = String, Path, description = "The event's number in quarantine."),
        Parameters,
    ),
    responses((status = 200, description = "It is in the log.", body = wire::Receipt), Problems),
    security(("key" = ["admin", "consumer"])),
)]
pub(crate) async fn redrive_quarantined(
    State(app): State<App>,
    manager: Manager,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    let query = Query::parse(raw.as_deref(), &["as_is"], &[])?;
    let as_is = query.flag("as_is")?;
    expect_as_is(&manager, as_is)?;
    let (catalogs, no) = (app.engine.catalogs(), quarantine_no(&manager)?);
    let aside = catalogs.aside_one(&manager.tenant, no).await?;
    let receipt = match catalogs.redrive(&manager.who(), &manager.tenant, no, as_is).await? {
        Redriven::Appended(receipt) => receipt,
        Redriven::Kept(violations) => return Err(refusal(ErrorCode::EventRejected, violations)),
    };
    let (sequence, duplicate) = (receipt.sequence.get(), receipt.duplicate);
    let (id, tenant) = (aside.event_id.to_string(), manager.tenant.to_string());
    json::answer(StatusCode::OK, &wire::Receipt { id, tenant, sequence, duplicate })
}
