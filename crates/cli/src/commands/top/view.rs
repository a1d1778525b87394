//! What is shown: figures of all nodes together, and tables.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::Value;
use tidings_engine::metrics as names;

use super::nodes::{Node, Nodes};
use super::scrape::Scrape;

/// One moment.
#[derive(Debug, Default, Serialize)]
pub(super) struct View {
    /// One line about the whole.
    pub(super) headline: Headline,
    /// Events a second, and other rates.
    pub(super) rates: Rates,
    /// Seconds: the median, and what 95 and 99 of 100 stay below.
    pub(super) latencies: Latencies,
    pub(super) outboxes: Vec<Outbox>,
    pub(super) partitions: Vec<Partition>,
    pub(super) lanes: Vec<Lane>,
    pub(super) circuits: Circuits,
    pub(super) nodes: Vec<NodeRow>,
    /// Whether the server told which nodes there are and which lanes are behind.
    pub(super) complete: bool,
    #[serde(skip)]
    pub(super) history: Vec<(f64, f64)>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Headline {
    pub(super) nodes: usize,
    /// Nodes of the log that are not looked at: they told no address of their own, or answer no calls.
    pub(super) nodes_not_seen: usize,
    pub(super) nodes_silent: usize,
    pub(super) nodes_not_ready: usize,
    pub(super) backend: String,
    pub(super) versions: Vec<String>,
    pub(super) feed_readers: f64,
    pub(super) tail_lag: f64,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Rates {
    pub(super) appended: f64,
    pub(super) duplicates: f64,
    pub(super) from_outboxes: f64,
    pub(super) overloaded: f64,
    pub(super) delivered: f64,
    pub(super) not_delivered: f64,
    pub(super) feed_events: f64,
    pub(super) requests: f64,
    pub(super) commits_failed: f64,
    pub(super) lease_moves: f64,
    pub(super) commit_events: Option<f64>,
    pub(super) over_quota: f64,
    pub(super) to_bus: f64,
}

/// Median, 95th, 99th.
pub(super) type Quantiles = Option<[f64; 3]>;

#[derive(Debug, Default, Serialize)]
pub(super) struct Latencies {
    pub(super) append: Quantiles,
    pub(super) commit: Quantiles,
    pub(super) outbox: Quantiles,
    pub(super) delivery_delay: Quantiles,
    pub(super) delivery: Quantiles,
    pub(super) request: Quantiles,
}

#[derive(Debug, Serialize)]
pub(super) struct Outbox {
    pub(super) source: String,
    pub(super) lag_seconds: f64,
    pub(super) pending: f64,
    pub(super) refused: f64,
    pub(super) intents: f64,
    pub(super) rate: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct Partition {
    pub(super) partition: u64,
    pub(super) owner: Option<String>,
    pub(super) router_lag: f64,
    pub(super) lanes_behind: f64,
    pub(super) lane_lag_events: f64,
    pub(super) lane_lag_seconds: f64,
    pub(super) in_flight: f64,
    pub(super) retries: f64,
    pub(super) open: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct Lane {
    pub(super) tenant: String,
    pub(super) endpoint: String,
    pub(super) is_replay: bool,
    pub(super) partition: u64,
    pub(super) lag_events: u64,
    pub(super) lag_seconds: Option<f64>,
    pub(super) circuit: String,
    pub(super) in_flight: u64,
    pub(super) retries: u64,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Circuits {
    pub(super) closed: f64,
    pub(super) throttled: f64,
    pub(super) open: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct NodeRow {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) ready: bool,
    pub(super) problem: Option<String>,
    pub(super) version: String,
    pub(super) roles: String,
    pub(super) partitions: f64,
    pub(super) appended: f64,
    pub(super) requests: f64,
    pub(super) connections: f64,
    pub(super) feed_readers: f64,
    pub(super) memory_bytes: f64,
    pub(super) cpu: f64,
    pub(super) fds: f64,
    pub(super) uptime_seconds: f64,
}

const ALL: [f64; 3] = [0.5, 0.95, 0.99];

impl View {
    /// What the nodes last said.
    pub(super) fn of(nodes: &Nodes) -> Self {
        let said: Vec<&Scrape> = nodes.all.iter().filter_map(Node::now).collect();
        let span = nodes.recent();
        let sum = |name: &str, labels: &[(&str, &str)]| said.iter().map(|one| one.sum(name, labels)).sum::<f64>();
        let rate = |name: &str| span.rate(name, &[]);
        let delivered = span.rate(names::DELIVERIES, &[("outcome", "delivered")]);
        let rates = Rates {
            appended: rate(names::EVENTS_APPENDED),
            duplicates: rate(names::EVENTS_DUPLICATE),
            from_outboxes: rate(names::OUTBOX_MATERIALIZED),
            overloaded: rate(names::APPENDS_OVERLOADED),
            delivered,
            not_delivered: (rate(names::DELIVERIES) - delivered).max(0.0),
            feed_events: rate(names::FEED_EVENTS),
            requests: rate("tidings_http_requests_total"),
            commits_failed: rate(names::COMMITS_FAILED),
            lease_moves: rate(names::LEASE_MOVES),
            commit_events: span.mean(names::COMMIT_EVENTS),
            over_quota: rate(names::QUOTA_REFUSED),
            to_bus: rate(names::BUS_PUBLISHED),
        };
        let of = |name: &str| span.quantiles(name, ALL);
        let latencies = Latencies {
            append: of(names::APPEND_SECONDS),
            commit: of(names::COMMIT_SECONDS),
            outbox: of(names::OUTBOX_DELAY),
            delivery_delay: of(names::DELIVERY_DELAY),
            delivery: of(names::DELIVERY_SECONDS),
            request: of("tidings_http_request_seconds"),
        };
        let circuit = |state: &str| sum(names::CIRCUITS, &[("state", state)]);
        let versions: BTreeSet<String> =
            said.iter().filter_map(|one| one.label("tidings_build_info", "version")).map(str::to_owned).collect();
        let rows: Vec<NodeRow> = nodes.all.iter().map(|node| row(node, nodes.members.as_ref())).collect();
        let members = nodes.members.as_ref().and_then(|members| members["data"].as_array()).map_or(0, Vec::len);
        Self {
            headline: Headline {
                nodes: nodes.all.len(),
                nodes_not_seen: members.saturating_sub(nodes.all.len()),
                nodes_silent: rows.iter().filter(|row| row.problem.is_some()).count(),
                nodes_not_ready: rows.iter().filter(|row| row.problem.is_none() && !row.ready).count(),
                backend: said
                    .iter()
                    .find_map(|one| one.label("tidings_build_info", "backend"))
                    .unwrap_or_default()
                    .to_owned(),
                versions: versions.into_iter().collect(),
                feed_readers: sum(names::FEED_READERS, &[]),
                tail_lag: said.iter().map(|one| one.max(names::TAIL_LAG)).fold(0.0, f64::max),
            },
            rates,
            latencies,
            outboxes: outboxes(&said, |source| span.rate(names::OUTBOX_MATERIALIZED, &[("source", source)])),
            partitions: partitions(nodes, &said),
            lanes: lanes(nodes),
            circuits: Circuits { closed: circuit("closed"), throttled: circuit("throttled"), open: circuit("open") },
            nodes: rows,
            complete: nodes.members.is_some(),
            history: nodes.history.iter().copied().collect(),
        }
    }
}

/// Whoever pumps a source knows it best; a node that stopped doing so may still show what it saw last.
fn outboxes(said: &[&Scrape], rate: impl Fn(&str) -> f64) -> Vec<Outbox> {
    let mut names_of: BTreeMap<String, ()> = BTreeMap::new();
    for one in said {
        names_of.extend(one.by(names::OUTBOX_PENDING, "source").into_keys().map(|source| (source, ())));
    }
    let max =
        |name: &str, source: &str| said.iter().map(|one| one.sum(name, &[("source", source)])).fold(0.0, f64::max);
    let of = |source: String| Outbox {
        lag_seconds: max(names::OUTBOX_LAG, &source),
        pending: max(names::OUTBOX_PENDING, &source),
        refused: max(names::OUTBOX_REFUSED, &source),
        intents: max(names::OUTBOX_INTENTS, &source),
        rate: rate(&source),
        source,
    };
    let mut all: Vec<Outbox> = names_of.into_keys().map(of).collect();
    all.sort_by(|left, right| right.lag_seconds.total_cmp(&left.lag_seconds));
    all
}

fn partitions(nodes: &Nodes, said: &[&Scrape]) -> Vec<Partition> {
    let count = said.iter().map(|one| one.max(names::PARTITIONS)).fold(0.0, f64::max) as u64;
    (0..count)
        .map(|partition| {
            let number = partition.to_string();
            let labels = [("partition", number.as_str())];
            let sum = |name: &str| said.iter().map(|one| one.sum(name, &labels)).sum();
            let routes = |node: &&Node| node.now().is_some_and(|one| one.sum(names::ROUTER_OWNED, &labels) > 0.0);
            let owner = owner(nodes.members.as_ref(), &number)
                .or_else(|| nodes.all.iter().find(routes).map(|node| name(node, nodes.members.as_ref())));
            Partition {
                partition,
                owner,
                router_lag: sum(names::ROUTER_LAG),
                lanes_behind: sum(names::LANES_BEHIND),
                lane_lag_events: sum(names::LANE_LAG_EVENTS),
                lane_lag_seconds: sum(names::LANE_LAG_SECONDS),
                in_flight: sum(names::DELIVERIES_IN_FLIGHT),
                retries: sum(names::RETRIES_WAITING),
                open: said
                    .iter()
                    .map(|one| one.sum(names::CIRCUITS, &[("partition", &number), ("state", "open")]))
                    .sum(),
            }
        })
        .collect()
}

/// Who has a partition's lease, by what the database says.
fn owner(members: Option<&Value>, partition: &str) -> Option<String> {
    let routes = |lease: &Value| lease["role"] == "router" && lease["slot"] == partition;
    let owns = |member: &&Value| member["leases"].as_array().is_some_and(|leases| leases.iter().any(routes));
    members?["data"].as_array()?.iter().find(owns)?["id"].as_str().map(str::to_owned)
}

fn lanes(nodes: &Nodes) -> Vec<Lane> {
    let now = now_s();
    let text = |lane: &Value, member: &str| lane[member].as_str().unwrap_or_default().to_owned();
    let number = |lane: &Value, member: &str| lane[member].as_u64().unwrap_or(0);
    let of = |lane: &Value| Lane {
        tenant: text(lane, "tenant"),
        endpoint: text(lane, "endpoint"),
        is_replay: lane["is_replay"] == true,
        partition: number(lane, "partition"),
        lag_events: number(lane, "lag_events"),
        lag_seconds: lane["oldest_recorded_at"]
            .as_str()
            .and_then(|text| text.parse::<jiff::Timestamp>().ok())
            .map(|oldest| (now - oldest.as_microsecond() as f64 / 1e6).max(0.0)),
        circuit: text(lane, "circuit"),
        in_flight: number(lane, "in_flight"),
        retries: number(lane, "retries"),
    };
    let mut all: Vec<Lane> = nodes.all.iter().flat_map(|node| &node.lanes).map(of).collect();
    all.sort_by(|left, right| {
        let age = |lane: &Lane| lane.lag_seconds.unwrap_or(0.0);
        right.lag_events.cmp(&left.lag_events).then_with(|| age(right).total_cmp(&age(left)))
    });
    all
}

fn row(node: &Node, members: Option<&Value>) -> NodeRow {
    let none = Scrape::default();
    let said = node.now().unwrap_or(&none);
    let rate = |name: &str| node.pair().map_or(0.0, |pair| super::scrape::Span { pairs: vec![pair] }.rate(name, &[]));
    let started = said.sum("process_start_time_seconds", &[]);
    let roles = member(node, members).and_then(|member| member["roles"].as_array());
    let roles = roles.into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(" ");
    NodeRow {
        name: name(node, members),
        url: crate::config::mask::mask_url(&node.url),
        ready: said.sum(names::READY, &[]) > 0.0,
        problem: node.problem.clone(),
        version: said.label("tidings_build_info", "version").unwrap_or_default().to_owned(),
        roles,
        partitions: said.sum(names::ROUTER_OWNED, &[]),
        appended: rate(names::EVENTS_APPENDED),
        requests: rate("tidings_http_requests_total"),
        connections: said.sum("tidings_http_connections", &[]),
        feed_readers: said.sum(names::FEED_READERS, &[]),
        memory_bytes: said.sum("process_resident_memory_bytes", &[]),
        cpu: rate("process_cpu_seconds_total"),
        fds: said.sum("process_open_fds", &[]),
        uptime_seconds: if started > 0.0 { (now_s() - started).max(0.0) } else { 0.0 },
    }
}

/// What the database says of a node.
fn member<'a>(node: &Node, members: Option<&'a Value>) -> Option<&'a Value> {
    let listed = members?["data"].as_array()?;
    let address = |member: &Value| member["address"].as_str().unwrap_or_default().trim_end_matches('/').to_owned();
    let bare = node.url.split_once("://").map_or(node.url.as_str(), |(_, rest)| rest);
    let by_address = listed.iter().find(|member| {
        let address = address(member);
        !address.is_empty() && (address == node.url || address == bare)
    });
    by_address.or_else(|| listed.first().filter(|_| listed.len() == 1))
}

/// A node's name: as the database has it, else where it is.
fn name(node: &Node, members: Option<&Value>) -> String {
    let known = member(node, members).and_then(|member| member["id"].as_str());
    let bare = node.url.split_once("://").map_or(node.url.as_str(), |(_, rest)| rest);
    known.unwrap_or(bare).to_owned()
}

fn now_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
