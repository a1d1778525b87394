//! `GET /v1/event-types/{name}`: one event type.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use tidings_catalog::definition::Definition;
use tidings_catalog::entry::{Key, Kind};

use crate::app::App;
use crate::auth::{Caller, Params};
use crate::catalog::{not_found, render};
use crate::failure::Failure;
use crate::query::Query;
use crate::{json, wire};

crate::problems!(Problems: RequestInvalid, EventTypeNotFound);

/// Read one event type
///
/// Its owner and all its versions.
#[utoipa::path(
    get, path = "/v1/event-types/{name}", tag = "catalog", operation_id = "get_event_type",
    params(("name" = String, Path, description = "The type.")),
    responses((status = 200, description = "The type.", body = wire::EventType), Problems),
    security(("key" = ["admin", "producer", "consumer", "auditor"])),
)]
pub(crate) async fn event_type(
    State(app): State<App>,
    _caller: Caller,
    params: Params,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    Query::parse(raw.as_deref(), &[], &[])?;
    let name = params.get("name");
    let catalog = app.engine.catalog();
    let versions: Vec<&Arc<Definition>> =
        catalog.definitions().filter(|definition| definition.name.as_str() == name).collect();
    let missing = || not_found(&Key { kind: Kind::Definition, name: name.to_owned(), version: String::new() });
    json::answer(StatusCode::OK, &render::event_type(&catalog, &versions).ok_or_else(missing)?)
}
