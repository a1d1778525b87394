//! What happens to every request before and after its operation: a request id, a place, a deadline, a net under panics,
//! counters, and the one log line of a failure. One layer, so that the hot routes pay for one.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use tidings_engine::trace::TraceContext;
use tidings_event::{ErrorCode, Mint, SystemMint};
use tokio::time::Instant;

use crate::app::App;
use crate::auth::Denied;
use crate::failure::{Cause, Failure};
use crate::limits::{EXCHANGE_TIMEOUT, LOG_CHECK_TIMEOUT, OPERATION_TIMEOUT, REQUEST_ID_CHARS_MAX, WAIT_SECONDS_MAX};
use crate::operations;

/// Names a request in the log and in its answer.
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How much of a tenant's name a line of the log repeats.
const TENANT_CHARS_MAX: usize = 255;

/// Routes that take no place among the requests: the feed takes one by itself, of the kind that fits, and operators
/// must see how a server stands that is at its limit.
fn takes_a_place(route: &str) -> bool {
    !matches!(
        route,
        operations::FEED_PATH | operations::HEALTHZ_PATH | operations::READYZ_PATH | operations::METRICS_PATH
    )
}

pub(crate) async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(request.headers());
    let method = request.method().clone();
    let told = Told::of(&request);
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or("unmatched", MatchedPath::as_str);

    let place = if takes_a_place(route) { app.admission.request().map(Some) } else { Ok(None) };
    let mut response = match place {
        Ok(_place) => run(route, next.run(request)).await,
        Err(failure) => failure.into_response(),
    };

    let status = response.status();
    if let Some(Cause(cause)) = response.extensions_mut().remove() {
        let request_id = id.to_str().unwrap_or_default();
        let (tenant, trace_id) = (told.tenant(route), told.trace_id());
        let status = status.as_u16();
        if status >= 500 {
            tracing::error!(request_id, tenant, trace_id, %method, route, status, cause, "a request failed");
        } else {
            tracing::debug!(request_id, tenant, trace_id, %method, route, status, cause, "a request was refused");
        }
    }
    tracing::debug!(
        target: "tidings_server::access",
        request_id = id.to_str().unwrap_or_default(),
        tenant = told.tenant(route),
        trace_id = told.trace_id(),
        %method,
        route,
        status = status.as_u16(),
        ms = started.elapsed().as_secs_f64() * 1e3,
        "answered"
    );
    if let Some(Denied { who, tenant }) = response.extensions_mut().remove() {
        app.engine.denied(&who, tenant.as_ref(), &format!("{method} {route}"));
    }
    app.requests.record(route, &method, status.as_u16(), started.elapsed());
    response.headers_mut().insert(X_REQUEST_ID, id);
    response
}

/// What a request says of itself that a line of the log repeats. Never its query: it may hold a cursor.
struct Told {
    uri: Uri,
    traceparent: Option<HeaderValue>,
}

impl Told {
    fn of(request: &Request) -> Self {
        Self { uri: request.uri().clone(), traceparent: request.headers().get("traceparent").cloned() }
    }

    /// The tenant in the path, as it was written there.
    fn tenant(&self, route: &str) -> Option<&str> {
        let segment = route.split('/').position(|segment| segment == "{tenant}")?;
        let tenant = self.uri.path().split('/').nth(segment)?;
        tenant.get(..tenant.len().min(TENANT_CHARS_MAX))
    }

    /// The id of the trace that the request belongs to.
    fn trace_id(&self) -> Option<String> {
        Some(TraceContext::parse(self.traceparent.as_ref()?.to_str().ok()?)?.trace.to_string())
    }
}

/// Runs an operation within its time, and answers for it when it panics.
async fn run(route: &str, operation: impl Future<Output = Response>) -> Response {
    let wait = match route {
        operations::FEED_PATH => Duration::from_secs(WAIT_SECONDS_MAX),
        operations::TEST_PATH | operations::VERIFY_PATH => EXCHANGE_TIMEOUT,
        operations::CHECK_LOG_PATH => LOG_CHECK_TIMEOUT,
        _ => Duration::ZERO,
    };
    let guarded = AssertUnwindSafe(operation).catch_unwind();
    match tokio::time::timeout(OPERATION_TIMEOUT + wait, guarded).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => Failure::internal(format!("panic: {}", panic_text(panic.as_ref()))).into_response(),
        Err(_) => Failure::new(
            ErrorCode::StorageUnavailable,
            "The request was not completed in time. What it writes may have been written all the same; \
             repeat it with the same ids.",
        )
        .caused_by("the operation took too long")
        .into_response(),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// The caller's id for the request where it is fit to be logged and sent back, else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    if let Some(given) = headers.get(X_REQUEST_ID)
        && (1..=REQUEST_ID_CHARS_MAX).contains(&given.len())
        && given.as_bytes().iter().all(u8::is_ascii_graphic)
    {
        return given.clone();
    }
    let id = SystemMint::default().id();
    HeaderValue::from_str(id.as_str()).unwrap_or(HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_answered_as_a_problem_that_tells_nothing() {
        let response = run("/v1/events", async { panic!("the secret of the day") }).await;
        assert_eq!(response.status(), 500);
        let cause = response.extensions().get::<Cause>().expect("a cause for the log");
        assert_eq!(cause.0, "panic: the secret of the day");
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.expect("a body");
        let text = String::from_utf8_lossy(&body);
        assert!(text.contains("\"internal\"") && !text.contains("secret"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_operation_that_never_ends_is_answered() {
        let response = run("/v1/events", std::future::pending()).await;
        assert_eq!(response.status(), 503);
        assert!(response.headers().contains_key("retry-after"));
    }

    #[test]
    fn a_request_id_is_taken_over_only_where_it_is_harmless() {
        let check = |given: &str, expect_same: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(X_REQUEST_ID, HeaderValue::from_bytes(given.as_bytes()).expect("a header value"));
            assert_eq!(request_id(&headers).as_bytes() == given.as_bytes(), expect_same, "{given:?}");
        };
        check("req_1", true);
        check(&"a".repeat(128), true);
        check(&"a".repeat(129), false);
        check("", false);
        check("two words", false);
        check("é", false);
    }
}
