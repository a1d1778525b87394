//! What a server at its limits answers; the limits are too high to be met from outside.

use std::sync::Arc;

use axum::body::Body;
use http::{Request, StatusCode};
use tidings_engine::{Engine, NamedSource, Options};
use tidings_event::CursorKey;
use tidings_store::source::sqlite::SqliteSource;
use tidings_store::{StoreOptions, open_store};
use tower::ServiceExt;

use crate::ServerOptions;
use crate::admission::Bounds;

const KEY: &str = "an-admin-key-of-the-tests-32-characters";

struct Limited {
    router: axum::Router,
    _directory: tempfile::TempDir,
}

impl Limited {
    async fn new(bounds: Bounds) -> Self {
        use sha2::Digest;

        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", directory.path().join("tidings.db").display());
        let store = open_store(&url, StoreOptions::default()).await.unwrap();
        let platform = SqliteSource::open(&directory.path().join("outbox.db"));
        platform.install().await.unwrap();
        let platform = NamedSource { name: "platform".to_owned(), source: Arc::new(platform), service: None };
        let engine = Engine::start(store, vec![platform], Options::default()).await.unwrap();
        let options = ServerOptions {
            admin_keys: vec![sha2::Sha256::digest(KEY).into()],
            cursor_key: CursorKey::derive(&[7; 32]),
        };
        let (router, _) = crate::build(engine, options, bounds);
        Self { router, _directory: directory }
    }

    async fn call(&self, method: &str, path: &str, body: &'static str) -> (StatusCode, String) {
        let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {KEY}"));
        let response = self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let status = response.status();
        assert_eq!(response.headers().contains_key("retry-after"), matches!(status.as_u16(), 429 | 503));
        assert!(response.headers().contains_key("x-request-id"));
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn check(&self, method: &str, path: &str, body: &'static str, status: u16, text: &str) {
        let (found, answer) = self.call(method, path, body).await;
        assert!(found.as_u16() == status && answer.contains(text), "{method} {path}: {found} {answer}");
    }
}

const EVENT: &str = r#"{"type":"sales.lead.created","tenant":"acme","source":{"type":"service","id":"s"},"data":{}}"#;

#[tokio::test]
async fn a_server_at_its_limit_of_requests_says_so_and_still_shows_how_it_stands() {
    let limited = Limited::new(Bounds { requests: 0, ..Bounds::default() }).await;
    limited.check("POST", "/v1/events", EVENT, 503, "overloaded").await;
    limited.check("GET", "/v1/tenants/acme/feed", "", 503, "overloaded").await;
    limited.check("GET", "/v1/tenants/acme/feed?wait=1", "", 200, "up_to_date").await;
    for path in ["/healthz", "/readyz", "/metrics"] {
        limited.check("GET", path, "", 200, "").await;
    }
}

#[tokio::test]
async fn a_server_at_its_limit_of_readers_still_gives_pages() {
    let limited = Limited::new(Bounds { streams: 0, ..Bounds::default() }).await;
    limited.check("GET", "/v1/tenants/acme/feed?wait=1", "", 503, "overloaded").await;
    limited.check("GET", "/v1/tenants/acme/feed", "", 200, "up_to_date").await;
}

#[tokio::test]
async fn a_tenant_at_its_limit_of_readers_is_told_so() {
    let limited = Limited::new(Bounds { tenant_streams: 0, ..Bounds::default() }).await;
    limited.check("GET", "/v1/tenants/acme/feed?wait=1", "", 429, "rate_limited").await;
}

#[tokio::test]
async fn bodies_beyond_the_memory_for_them_are_overload_and_nothing_is_written() {
    let limited = Limited::new(Bounds { bodies_bytes: 10, ..Bounds::default() }).await;
    limited.check("POST", "/v1/events", EVENT, 503, "overloaded").await;
    limited.check("GET", "/v1/tenants/acme", "", 404, "tenant_not_found").await;
}

#[tokio::test]
async fn looks_through_past_events_are_bounded_for_all_and_for_each_tenant() {
    let path = "/v1/tenants/acme/endpoints/backtest";
    let limited = Limited::new(Bounds { scans: 0, ..Bounds::default() }).await;
    limited.check("POST", path, "{}", 503, "overloaded").await;
    let limited = Limited::new(Bounds { tenant_scans: 0, ..Bounds::default() }).await;
    limited.check("POST", path, "{}", 429, "rate_limited").await;
    let limited = Limited::new(Bounds::default()).await;
    limited.check("POST", path, "{}", 200, "matched").await;
}

#[tokio::test]
async fn checks_against_the_log_are_bounded_like_other_looks_through_past_events() {
    const BODY: &str = r#"{"definitions":[{"name":"sales.lead.created","version":"1","owner":"s","schema":{}}]}"#;
    let path = "/v1/catalog/check-log";
    let limited = Limited::new(Bounds { scans: 0, ..Bounds::default() }).await;
    limited.check("POST", path, BODY, 503, "overloaded").await;
    let limited = Limited::new(Bounds { tenant_scans: 0, ..Bounds::default() }).await;
    limited.check("POST", path, BODY, 429, "looks through all that the log holds").await;
}
