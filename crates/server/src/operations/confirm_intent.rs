//! `POST /v1/intents/{key}/confirm`: the change has happened.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use tidings_engine::IntentAnswer;
use tidings_event::{ErrorCode, EventId};

use crate::app::{App, Shared};
use crate::auth::{Params, Producer, invalid_param};
use crate::failure::Failure;
use crate::{json, wire};

crate::problems!(Problems: IntentNotFound, SourceUnavailable);

/// Confirm an intent
///
/// The change has happened: its event enters the log without anyone acting. Confirming again is answered alike, for
/// some minutes also after the event has entered the log.
#[utoipa::path(
    post, path = "/v1/intents/{key}/confirm", tag = "intents", operation_id = "confirm_intent",
    params(("key" = String, Path, description = "The intent's source key.")),
    responses((status = 200, description = "The intent is confirmed.", body = wire::IntentState), Problems),
    security(("key" = ["admin", "producer"])),
)]
pub(crate) async fn confirm_intent(
    State(app): State<App>,
    producer: Producer,
    params: Params,
) -> Result<Response, Failure> {
    let key = own_key(&app, &producer, &params).await?;
    match app.engine.confirm_intent(&key).await? {
        IntentAnswer::Done | IntentAnswer::AlreadyConfirmed => {
            let answer = wire::IntentState { source_key: key.to_string(), state: "confirmed".to_owned() };
            json::answer(StatusCode::OK, &answer)
        }
        IntentAnswer::Absent => Err(not_found(&key)),
    }
}

/// The path's source key, if its intent is one that the caller could have written. Another's intent is answered as if it were
/// not there.
pub(super) async fn own_key(app: &Shared, producer: &Producer, params: &Params) -> Result<EventId, Failure> {
    let key = EventId::parse(params.get("key")).map_err(|error| invalid_param("key", "id_malformed", &error))?;
    if producer.is_admin() {
        return Ok(key);
    }
    let owner = app.engine.intent_owner(&key).await?;
    let own = owner.is_some_and(|owner| {
        producer.opens(&owner.tenant, &owner.event_type) && app.engine.owns_intent(&producer.emitter(), &owner)
    });
    if own { Ok(key) } else { Err(not_found(&key)) }
}

pub(super) fn not_found(key: &EventId) -> Failure {
    Failure::new(
        ErrorCode::IntentNotFound,
        format!("There is no intent with the source key '{key}': never written, discarded, or in the log by now."),
    )
}
