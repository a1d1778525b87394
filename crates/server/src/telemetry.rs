//! What the server counts of itself. Labels are routes, methods and statuses, never a tenant's or a key's name.

pub(crate) mod ingest;
pub(crate) mod process;

use std::collections::HashMap;
use std::sync::{OnceLock, PoisonError, RwLock};
use std::time::Duration;

use http::Method;
use metrics::{Counter, Histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tidings_engine::metrics::{Kind, Metric};

/// Upper bounds of the histogram buckets for durations, in seconds: from a tenth of a millisecond to a long poll.
const SECONDS_BUCKETS: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0,
];

/// The same for counts: calls, events.
const COUNT_BUCKETS: &[f64] =
    &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0, 2_048.0, 4_096.0, 8_192.0];

tidings_engine::metrics_table! {
    /// All metrics of the server, in the order of the reference.
    pub(crate) const SERVER_METRICS;

    /// Answered requests. Routes are those of the API, not paths.
    counter HTTP_REQUESTS = "tidings_http_requests_total", "requests", ["route", "method", "status"];
    /// Seconds from a request's head to the head of its answer; for waiting feed readers the wait is part of it.
    histogram HTTP_SECONDS = "tidings_http_request_seconds", "seconds", ["route", "method"];
    /// Feed readers that wait or stream.
    gauge HTTP_STREAMS = "tidings_http_streams", "readers", [];
    /// Open connections.
    gauge HTTP_CONNECTIONS = "tidings_http_connections", "connections", [];
    /// Always 1; its labels say what runs: the version, and the log's database (`sqlite` or `postgres`).
    gauge BUILD_INFO = "tidings_build_info", "1", ["version", "backend"];
    /// Processor time that the process has used, in user and system mode. Linux only, as are the next four.
    counter PROCESS_CPU = "process_cpu_seconds_total", "seconds", [];
    /// Memory of the process that is in RAM.
    gauge PROCESS_MEMORY = "process_resident_memory_bytes", "bytes", [];
    /// Open file descriptors: files and connections.
    gauge PROCESS_FDS = "process_open_fds", "descriptors", [];
    /// The most file descriptors that the process may have open.
    gauge PROCESS_FDS_MAX = "process_max_fds", "descriptors", [];
    /// When the process started, in seconds since 1970.
    gauge PROCESS_START = "process_start_time_seconds", "seconds", [];
}

/// All metrics of the engine and the server, in the order of the reference.
pub fn metrics_reference() -> impl Iterator<Item = &'static Metric> {
    tidings_engine::metrics::METRICS.iter().chain(SERVER_METRICS)
}

/// Installs the process's metrics recorder, once, and gives the handle that renders what it collected.
///
/// Call it before the engine starts: what counted before has counted for nothing. Where another recorder is
/// installed already, that one keeps counting and the handle renders nothing.
pub fn install_metrics() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let recorder = builder().build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another metrics recorder is installed; /metrics will be empty");
        }
        metrics_reference().for_each(Metric::describe);
        handle
    })
}

/// Durations and counts have buckets of their own.
fn builder() -> PrometheusBuilder {
    let counts = metrics_reference().filter(|metric| metric.kind == Kind::Histogram && metric.unit != "seconds");
    let builder =
        PrometheusBuilder::new().set_buckets(SECONDS_BUCKETS).expect("the buckets are a constant that is not empty");
    counts.fold(builder, |builder, metric| {
        builder
            .set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), COUNT_BUCKETS)
            .expect("the buckets are a constant that is not empty")
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
        let seconds = metrics::histogram!(HTTP_SECONDS, &labels);
        let [route_label, method_label] = labels;
        let labels = [route_label, method_label, ("status", status.to_string())];
        let count = metrics::counter!(HTTP_REQUESTS, &labels);
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
