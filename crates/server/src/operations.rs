//! The operations, one file each, and where they are served.

mod asyncapi;
mod attempts;
mod backtest;
mod cancel_replay;
mod catalog_entries;
mod change_catalog;
mod check_log;
mod confirm_intent;
mod create_endpoint;
mod create_intent;
mod create_key;
mod create_replay;
mod dead_letter;
mod dead_letters;
mod definition;
mod definition_history;
mod delete_definition;
mod delete_endpoint;
mod delete_limits;
mod delete_policy;
mod delete_set;
mod discard;
mod discard_all;
mod discard_intent;
mod discard_quarantine;
mod discard_quarantined;
mod discard_refused;
mod emit;
mod endpoint;
mod endpoint_secret;
mod endpoint_stats;
mod endpoints;
mod entity_events;
mod event;
mod event_type;
mod event_type_history;
mod event_types;
mod explain;
mod feed;
mod healthz;
mod key;
mod keys;
mod lanes;
mod limits;
mod lineage;
mod metrics;
mod move_tenant;
mod nodes;
mod openapi;
mod outbox_sources;
mod policies;
mod policy;
mod put_definition;
mod put_limits;
mod put_policy;
mod put_set;
mod quarantine;
mod quarantined;
mod readyz;
mod redrive;
mod redrive_all;
mod redrive_quarantine;
mod redrive_quarantined;
mod refused_rows;
mod replay;
mod replays;
mod retry_refused;
mod revoke_key;
mod rotate_secret;
mod search;
mod set;
mod sets;
mod tenant;
mod tenants;
mod test_endpoint;
mod trace;
mod try_event;
mod update_endpoint;
mod verify_endpoint;
mod violations;

use http::Method;
use http::Uri;
use tidings_event::ErrorCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::failure::Failure;

/// Where a tenant's feed is.
pub(crate) const FEED_PATH: &str = "/v1/tenants/{tenant}/feed";
/// Where an endpoint is sent a sample.
pub(crate) const TEST_PATH: &str = "/v1/tenants/{tenant}/endpoints/{id}/test";
/// Where an endpoint is challenged.
pub(crate) const VERIFY_PATH: &str = "/v1/tenants/{tenant}/endpoints/{id}/verify";
/// Where definitions are held against past events.
pub(crate) const CHECK_LOG_PATH: &str = "/v1/catalog/check-log";
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
        .routes(routes!(event_types::event_types))
        .routes(routes!(event_type::event_type))
        .routes(routes!(event_type_history::event_type_history))
        .routes(routes!(definition::definition, put_definition::put_definition, delete_definition::delete_definition))
        .routes(routes!(definition_history::definition_history))
        .routes(routes!(change_catalog::change_catalog))
        .routes(routes!(catalog_entries::catalog_entries))
        .routes(routes!(sets::sets))
        .routes(routes!(set::set, put_set::put_set, delete_set::delete_set))
        .routes(routes!(policies::policies))
        .routes(routes!(policy::policy, put_policy::put_policy, delete_policy::delete_policy))
        .routes(routes!(check_log::check_log))
        .routes(routes!(lineage::lineage))
        .routes(routes!(try_event::try_event))
        .routes(routes!(asyncapi::asyncapi))
        .routes(routes!(quarantine::quarantine))
        .routes(routes!(redrive_quarantine::redrive_quarantine))
        .routes(routes!(discard_quarantine::discard_quarantine))
        .routes(routes!(quarantined::quarantined, discard_quarantined::discard_quarantined))
        .routes(routes!(redrive_quarantined::redrive_quarantined))
        .routes(routes!(violations::violations))
        .routes(routes!(endpoints::endpoints, create_endpoint::create_endpoint))
        .routes(routes!(backtest::backtest))
        .routes(routes!(endpoint::endpoint, update_endpoint::update_endpoint, delete_endpoint::delete_endpoint))
        .routes(routes!(endpoint_secret::endpoint_secret))
        .routes(routes!(rotate_secret::rotate_secret))
        .routes(routes!(verify_endpoint::verify_endpoint))
        .routes(routes!(test_endpoint::test_endpoint))
        .routes(routes!(endpoint_stats::endpoint_stats))
        .routes(routes!(attempts::attempts))
        .routes(routes!(explain::explain))
        .routes(routes!(replays::replays, create_replay::create_replay))
        .routes(routes!(replay::replay, cancel_replay::cancel_replay))
        .routes(routes!(dead_letters::dead_letters))
        .routes(routes!(redrive_all::redrive_all))
        .routes(routes!(discard_all::discard_all))
        .routes(routes!(dead_letter::dead_letter, discard::discard))
        .routes(routes!(redrive::redrive))
        .routes(routes!(outbox_sources::outbox_sources))
        .routes(routes!(refused_rows::refused_rows))
        .routes(routes!(discard_refused::discard_refused))
        .routes(routes!(retry_refused::retry_refused))
        .routes(routes!(tenants::tenants))
        .routes(routes!(tenant::tenant))
        .routes(routes!(move_tenant::move_tenant))
        .routes(routes!(limits::limits, put_limits::put_limits, delete_limits::delete_limits))
        .routes(routes!(keys::keys, create_key::create_key))
        .routes(routes!(key::key, revoke_key::revoke_key))
        .routes(routes!(nodes::nodes))
        .routes(routes!(openapi::openapi))
        .merge(state_routes())
}

/// How the process stands: all that a node serves which answers no calls.
pub(crate) fn state_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(lanes::lanes))
        .routes(routes!(healthz::healthz))
        .routes(routes!(readyz::readyz))
        .routes(routes!(metrics::metrics))
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
