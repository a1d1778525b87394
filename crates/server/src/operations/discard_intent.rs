//! `DELETE /v1/intents/{key}`: the change has not happened.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use tidings_engine::IntentAnswer;
use tidings_event::{ErrorCode, EventId};

use super::confirm_intent::{not_found, own_key};
use crate::app::App;
use crate::auth::{Params, Producer};
use crate::failure::Failure;

crate::problems!(Problems: IntentNotFound, IntentConflict, SourceUnavailable);

/// Discard an intent
///
/// The change has not happened, and will not: nothing is written. An intent that was confirmed cannot be discarded.
#[utoipa::path(
    delete, path = "/v1/intents/{key}", tag = "intents", operation_id = "discard_intent",
    params(("key" = String, Path, description = "The intent's source key.")),
    responses((status = 204, description = "The intent is gone."), Problems),
    security(("key" = ["admin", "producer"])),
)]
pub(crate) async fn discard_intent(
    State(app): State<App>,
    producer: Producer,
    params: Params,
) -> Result<Response, Failure> {
    let key = own_key(&app, &producer, &params).await?;
    match app.engine.discard_intent(&key).await? {
        IntentAnswer::Done => Ok(StatusCode::NO_CONTENT.into_response()),
        IntentAnswer::AlreadyConfirmed => Err(confirmed(&key)),
        IntentAnswer::Absent => Err(not_found(&key)),
    }
}

fn confirmed(key: &EventId) -> Failure {
    Failure::new(ErrorCode::IntentConflict, format!("The intent '{key}' is confirmed: its event is a fact."))
}
