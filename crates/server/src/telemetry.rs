//! What the server counts of itself. Labels are routes, methods and statuses, never a tenant's or a key's name.

use std::collections::HashMap;
use std::sync::{OnceLock, PoisonError, RwLock};
use std::time::Duration;

use http::Method;
use metrics::{Counter, Histogram, Unit};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// Upper bounds of the histogram buckets for durations, in seconds: from a tenth of a millisecond to a long poll.
const SECONDS_BUCKETS: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0,
];

/// Installs the process's metrics recorder, once, and gives the handle that renders what it collected.
///
/// Call it before the engine starts: what counted before has counted for nothing. Where another recorder is
/// installed already, that one keeps counting and the handle renders nothing.
pub fn install_metrics() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let builder = PrometheusBuilder::new()
            .set_buckets(SECONDS_BUCKETS)
            .expect("the buckets are a constant that is not empty");
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another metrics recorder is installed; /metrics will be empty");
        }
        metrics::describe_counter!("tidings_http_requests_total", "Answered requests by route, method and status.");
        metrics::describe_histogram!(
            "tidings_http_request_seconds",
            Unit::Seconds,
            "Time from a request's head to the head of its answer; for waiting feed readers the wait is part of it."
        );
        metrics::describe_gauge!("tidings_http_streams", "Feed readers that wait or stream.");
        metrics::describe_gauge!("tidings_http_connections", "Open connections.");
        handle
    })
}

/// Counters by method and status.
type ByAnswer = HashMap<(&'static str, u16), (Counter, Histogram)>;

/// Counters that were looked up before, by route.
#[derive(Default)]
pub(crate) struct Requests {
    by_route: RwLock<HashMap<Box<str>, ByAnswer>>,
}

impl Requests {
    /// Counts an answered request.
    pub(crate) fn record(&self, route: &str, method: &Method, status: u16, took: Duration) {
        let key = (method_label(method), status);
        {
            let by_route = self.by_route.read().unwrap_or_else(PoisonError::into_inner);
            if let Some((count, seconds)) = by_route.get(route).and_then(|of_route| of_route.get(&key)) {
                count.increment(1);
                seconds.record(took.as_secs_f64());
                return;
            }
        }
        let labels = [("route", route.to_owned()), ("method", key.0.to_owned())];
        let seconds = metrics::histogram!("tidings_http_request_seconds", &labels);
        let [route_label, method_label] = labels;
        let labels = [route_label, method_label, ("status", status.to_string())];
        let count = metrics::counter!("tidings_http_requests_total", &labels);
        count.increment(1);
        seconds.record(took.as_secs_f64());
        let mut by_route = self.by_route.write().unwrap_or_else(PoisonError::into_inner);
        by_route.entry(route.into()).or_default().insert(key, (count, seconds));
    }
}

/// The method as a label: callers can invent methods, but not labels.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
