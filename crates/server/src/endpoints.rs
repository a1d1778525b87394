//! Endpoints, their deliveries and dead letters between wire and domain: what several operations share.

pub(crate) mod parse;
pub(crate) mod render;

use http::HeaderMap;
use tidings_engine::endpoints::EndpointError;
use tidings_event::{EndpointId, ErrorCode};

use crate::app::Shared;
use crate::auth::Reader;
use crate::body::{Collected, collect, expect_json};
use crate::failure::{Failure, below};
use crate::limits::SETTINGS_BODY_BYTES_MAX;
use crate::members::refusal;

/// The endpoint's id in the path. One that cannot be an id is one that is not there.
pub(crate) fn endpoint_id(reader: &Reader) -> Result<EndpointId, Failure> {
    EndpointId::parse(reader.param("id")).map_err(|_| EndpointError::NotFound.into())
}

/// Takes in a body that holds settings. It must be JSON, unless it may be left out and is.
pub(crate) async fn body(
    app: &Shared,
    headers: &HeaderMap,
    body: axum::body::Body,
    may_be_empty: bool,
) -> Result<Collected, Failure> {
    if !may_be_empty {
        expect_json(headers)?;
    }
    let collected = collect(&app.admission, headers, body, SETTINGS_BODY_BYTES_MAX).await?;
    if may_be_empty && !collected.bytes.trim_ascii().is_empty() {
        expect_json(headers)?;
    }
    Ok(collected)
}

impl From<EndpointError> for Failure {
    fn from(error: EndpointError) -> Self {
        let code = error.code();
        match error {
            EndpointError::NotFound => Self::new(code, "The tenant has no endpoint with this id."),
            EndpointError::Invalid(violations) => refusal(code, violations),
            EndpointError::LimitReached { max } => {
                Self::new(code, format!("The tenant has {max} endpoints, which is the most that one tenant may have."))
            }
            EndpointError::Busy(reason) | EndpointError::Challenge { reason } => Self::new(code, reason),
            EndpointError::EventNotFound => Self::new(code, "The tenant has no event with this id."),
            EndpointError::DeadLetterNotFound => Self::new(code, "The tenant has no dead letter with this id."),
            EndpointError::ReplayNotFound => Self::new(code, "The endpoint has no replay with this id."),
            EndpointError::Expired { oldest } => {
                Self::new(code, format!("Events before sequence {oldest} were erased."))
            }
            EndpointError::Cursor => Self::new(ErrorCode::CursorInvalid, "The cursor was not made for this list."),
            EndpointError::Store(_) | EndpointError::ShuttingDown => below(code, &error),
        }
    }
}
