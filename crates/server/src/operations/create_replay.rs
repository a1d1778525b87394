//! `POST /v1/tenants/{tenant}/endpoints/{id}/replay`: sends past events again.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use tidings_engine::endpoints::EndpointError;
use tidings_event::ErrorCode;

use crate::app::App;
use crate::auth::Manager;
use crate::endpoints::{body, endpoint_id, parse, render};
use crate::failure::Failure;
use crate::{json, wire};

crate::problems!(Problems: BodyMalformed, EndpointNotFound, RequestTimeout, EndpointBusy, RangeExpired, BodyTooLarge,
    ContentTypeUnsupported, EndpointInvalid, RateLimited, StorageUnavailable);

/// Start a replay
///
/// Sends the matching events of a range to the endpoint, in a lane of its own, so that live deliveries go on beside it.
/// It survives restarts. With `dry_run` the events are only counted. A repeated request starts another replay.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/endpoints/{id}/replay", tag = "endpoints", operation_id = "create_replay",
    params(
        ("tenant" = String, Path, description = "The tenant's name."),
        ("id" = String, Path, description = "The endpoint's id."),
    ),
    request_body(content = wire::NewReplay, description = "Which events; only `from` is required."),
    responses(
        (status = 200, description = "How many events it would be.", body = wire::ReplayStarted),
        (status = 201, description = "The replay is under way.", body = wire::ReplayStarted),
        Problems,
    ),
    security(("key" = ["admin", "consumer"])),
)]
pub(crate) async fn create_replay(
    State(app): State<App>,
    manager: Manager,
    headers: HeaderMap,
    content: Body,
) -> Result<Response, Failure> {
    let id = endpoint_id(&manager)?;
    let content = body(&app, &headers, content, false).await?;
    let new = parse::new_replay(&content.bytes)?;
    let _place = new.dry_run.then(|| app.admission.scan(&manager.tenant)).transpose()?;
    let started = app.engine.endpoints().replay(&manager.who(), &manager.tenant, &id, new).await.map_err(refused)?;
    let status = if started.replay.is_some() { StatusCode::CREATED } else { StatusCode::OK };
    let answer = wire::ReplayStarted {
        count: started.count,
        scanned: started.scanned,
        complete: started.complete,
        replay: started.replay.as_ref().map(render::replay),
    };
    json::answer(status, &answer)
}

fn refused(error: EndpointError) -> Failure {
    match error {
        EndpointError::LimitReached { max } => Failure::new(
            ErrorCode::EndpointBusy,
            format!("The endpoint has {max} running replays, which is the most at once."),
        ),
        error => error.into(),
    }
}
