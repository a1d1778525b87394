//! What a running server tells Prometheus, and what is built on it.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use crate::receiver::Receiver;
use crate::support::{Server, events};

const GUIDE: &str = include_str!("../../../../docs/guides/observability.md");
const DASHBOARD: &str = include_str!("../../../../deploy/grafana/tidings.json");
const RULES: &str = include_str!("../../../../deploy/alerts/tidings.rules.yaml");

/// Posts with the server's key and gives the answer's status.
pub(crate) async fn post(server: &Server, path: &str, headers: &[(&str, &str)], body: &str) -> u16 {
    let mut request =
        Request::post(format!("{}{path}", server.url)).header("authorization", format!("Bearer {}", server.key()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let client = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.request(request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()).await.unwrap();
    answer.status().as_u16()
}

/// What `/metrics` says.
pub(crate) async fn scrape(server: &Server) -> String {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let answer = client.get(format!("{}/metrics", server.url).parse().unwrap()).await.unwrap();
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// The value of a series; zero where there is none.
pub(crate) fn metric(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.trim().parse().unwrap())
}

/// The names in the guide's table.
fn documented() -> BTreeSet<&'static str> {
    let rows = GUIDE
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .filter(|(_, rest)| ["counter", "gauge", "histogram"].iter().any(|kind| rest.starts_with(kind)));
    rows.map(|(name, _)| name).collect()
}

/// Names of metrics in an expression or a file of them.
fn used(text: &str) -> BTreeSet<&str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = text.split(|c| !is_name(c));
    let is_metric = |word: &&str| word.starts_with("tidings_") || word.starts_with("process_");
    words
        .filter(is_metric)
        .map(|word| {
            let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end));
            of_histogram.filter(|name| documented().contains(name)).unwrap_or(word)
        })
        .collect()
}

#[tokio::test]
async fn every_metric_of_a_running_server_is_documented_with_its_labels() {
    let env = [("TIDINGS_ALLOW_HTTP", "true"), ("TIDINGS_ALLOW_CIDRS", "127.0.0.0/8")];
    let server = Server::start_with(&[], &env).await;
    let receiver = Receiver::new(|_| (200, String::new())).await;
    server.run(&["endpoints", "create", "acme", &receiver.url(), "--types", "sales.*"]).await.ok();
    server.feed(&["emit", "-"], &events("acme", 20)).await.ok();
    server.wait_for("acme", 20).await;
    let text = scrape(&server).await;
    let documented = documented();
    let emitted: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let unknown: Vec<_> = emitted.difference(&documented).collect();
    assert!(unknown.is_empty(), "not in the table: {unknown:?}");
    for expected in ["tidings_append_seconds", "tidings_http_requests_total", "process_open_fds", "tidings_build_info"]
    {
        assert!(emitted.contains(expected), "{expected} is not there:\n{text}");
    }
    let undescribed: Vec<_> = emitted.iter().filter(|name| !text.contains(&format!("# HELP {name} "))).collect();
    assert!(undescribed.is_empty(), "without a meaning: {undescribed:?}");
    assert!(!text.contains("acme"), "no tenant is named");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, rest)) = line.split_once('{') else { continue };
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let family = family.filter(|name| documented.contains(name)).unwrap_or(name);
        let row = GUIDE.lines().find(|row| row.starts_with(&format!("| `{family}` |"))).unwrap();
        let labels =
            rest.rsplit_once('}').unwrap().0.split("\",").filter_map(|label| label.split_once('=')).map(|(k, _)| k);
        for label in labels.filter(|label| *label != "le") {
            assert!(row.contains(&format!("`{label}`")), "{family} has the label {label}: {row}");
        }
    }
}

#[test]
fn dashboard_and_alerts_use_metrics_that_there_are() {
    let documented = documented();
    for (what, text) in [("dashboard", DASHBOARD), ("alerts", RULES)] {
        let used = used(text);
        assert!(used.len() > 15, "{what}: {used:?}");
        let unknown: Vec<_> = used.difference(&documented).collect();
        assert!(unknown.is_empty(), "{what}: {unknown:?}");
    }
}

#[test]
fn every_alert_has_its_line_in_the_guide() {
    let alerts: Vec<&str> = RULES.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() >= 12, "{alerts:?}");
    for alert in alerts {
        assert!(GUIDE.contains(&format!("### {alert}")), "{alert} has no runbook");
        assert!(RULES.contains(&format!("observability.md#{}", alert.to_lowercase())), "{alert} does not link to it");
    }
}
