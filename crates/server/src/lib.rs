//! HTTP: from wire to domain and back, authentication, problem details, OpenAPI.
//!
//! Invariant: this crate knows no SQL and decides nothing about events; it asks the engine. Each operation is one file
//! under `operations`: request, logic and answer side by side.
#![deny(missing_docs)]

mod admission;
mod app;
mod auth;
mod body;
mod catalog;
mod connection;
mod cursors;
mod document;
mod edge;
mod endpoints;
mod failure;
mod json;
pub mod limits;
mod members;
mod negotiate;
mod operations;
mod query;
mod ratelimit;
mod render;
mod selections;
mod serve;
mod telemetry;
#[cfg(test)]
mod tests;
pub mod wire;

pub use app::ServerOptions;
pub use document::openapi;
pub(crate) use document::problems;
pub use serve::serve;
pub use telemetry::{install_metrics, metrics_reference};

use tidings_engine::Engine;

/// The HTTP API as a service, for tests and for servers that bring their own listener. [`serve`] adds the bounds that
/// lie below HTTP.
pub fn router(engine: Engine, options: ServerOptions) -> axum::Router {
    build(engine, options, admission::Bounds::default()).0
}

fn build(engine: Engine, options: ServerOptions, bounds: admission::Bounds) -> (axum::Router, app::App) {
    let (mut routes, document) = operations::routes().split_for_parts();
    if !engine.answers_calls() {
        routes = operations::state_routes().split_for_parts().0;
    }
    let document = document::complete(document);
    let app = app::assemble(engine, options, bounds, document::to_bytes(&document));
    let router = routes
        .fallback(operations::route_not_found)
        .method_not_allowed_fallback(operations::method_not_allowed)
        .layer(axum::middleware::from_fn_with_state(app::App::clone(&app), edge::guard))
        .with_state(app::App::clone(&app));
    (router, app)
}
