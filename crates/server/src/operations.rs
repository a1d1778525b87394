//! The operations, one file each, and where they are served.

mod confirm_intent;
mod create_intent;
mod create_key;
mod discard_intent;
mod discard_refused;
mod emit;
mod entity_events;
mod event;
mod feed;
mod healthz;
mod key;
mod keys;
mod metrics;
mod openapi;
mod outbox_sources;
mod readyz;
mod refused_rows;
mod retry_refused;
mod revoke_key;
mod search;
mod tenant;
mod tenants;
mod trace;

use http::Method;
use http::Uri;
use tidings_event::ErrorCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::failure::Failure;

/// Where a tenant's feed is.
pub(crate) const FEED_PATH: &str = "/v1/tenants/{tenant}/feed";
/// Where the process says that it runs.
pub(crate) const HEALTHZ_PATH: &str = "/healthz";
/// Where the server says whether it takes requests.
pub(crate) const READYZ_PATH: &str = "/readyz";
/// Where the counters are.
pub(crate) const METRICS_PATH: &str = "/metrics";

/// All operations with their documentation.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(emit::emit))
        .routes(routes!(search::search))
        .routes(routes!(event::event))
        .routes(routes!(trace::trace))
        .routes(routes!(entity_events::entity_events))
        .routes(routes!(feed::feed))
        .routes(routes!(create_intent::create_intent))
        .routes(routes!(discard_intent::discard_intent))
        .routes(routes!(confirm_intent::confirm_intent))
        .routes(routes!(outbox_sources::outbox_sources))
        .routes(routes!(refused_rows::refused_rows))
        .routes(routes!(discard_refused::discard_refused))
        .routes(routes!(retry_refused::retry_refused))
        .routes(routes!(tenants::tenants))
        .routes(routes!(tenant::tenant))
        .routes(routes!(keys::keys, create_key::create_key))
        .routes(routes!(key::key, revoke_key::revoke_key))
        .routes(routes!(healthz::healthz))
        .routes(routes!(readyz::readyz))
        .routes(routes!(metrics::metrics))
        .routes(routes!(openapi::openapi))
}

pub(crate) async fn route_not_found(uri: Uri) -> Failure {
    let path: String = uri.path().chars().take(200).collect();
    Failure::new(ErrorCode::RouteNotFound, format!("Nothing is served at '{path}'."))
}

/// The router adds the `Allow` header.
pub(crate) async fn method_not_allowed(method: Method) -> Failure {
    let method: String = method.as_str().chars().take(20).collect();
    Failure::new(ErrorCode::MethodNotAllowed, format!("The path does not take {method}; 'Allow' says what it takes."))
}
