//! The tables: which figures stand where, and which of them are cause for concern.

use super::view::{Quantiles, View};
use crate::term::tame;

/// What a figure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Strong,
    Faint,
    Good,
    Warn,
    Bad,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) tone: Tone,
}

/// A table.
pub(super) struct Section {
    pub(super) title: String,
    /// Names of columns, and whether they hold numbers.
    pub(super) head: Vec<(&'static str, bool)>,
    pub(super) rows: Vec<Vec<Cell>>,
    /// What is said where there are no rows.
    pub(super) empty: &'static str,
}

impl Section {
    /// Whether any column has a name.
    pub(super) fn is_named(&self) -> bool {
        self.head.iter().any(|(name, _)| !name.is_empty())
    }
}

fn cell(text: impl Into<String>, tone: Tone) -> Cell {
    Cell { text: text.into(), tone }
}

fn plain(text: impl Into<String>) -> Cell {
    cell(text, Tone::Plain)
}

/// A number that is best at zero.
fn concern(value: f64, text: String, warn: f64, bad: f64) -> Cell {
    let tone = match value {
        _ if value >= bad => Tone::Bad,
        _ if value >= warn => Tone::Warn,
        _ if value == 0.0 => Tone::Faint,
        _ => Tone::Plain,
    };
    cell(text, tone)
}

/// What the whole is.
pub(super) fn headline(view: &View) -> Vec<Cell> {
    let head = &view.headline;
    let nodes = if head.nodes == 1 { "1 node".to_owned() } else { format!("{} nodes", head.nodes) };
    let nodes = match head.nodes_not_seen {
        0 => plain(nodes),
        more => cell(format!("{} of {} nodes", head.nodes, head.nodes + more), Tone::Warn),
    };
    let mut cells = vec![cell("Tidings", Tone::Strong), nodes];
    cells.push(match (head.nodes_silent, head.nodes_not_ready) {
        (0, 0) => cell("ready", Tone::Good),
        (0, some) => cell(format!("{some} not ready"), Tone::Bad),
        (some, _) => cell(format!("{some} not answering"), Tone::Bad),
    });
    cells.push(plain(head.backend.clone()));
    cells.push(cell(
        format!("v{}", head.versions.join(", v")),
        if head.versions.len() > 1 { Tone::Warn } else { Tone::Faint },
    ));
    let circuits = &view.circuits;
    let open = format!(
        "circuits open {}/{}",
        count(circuits.open),
        count(circuits.closed + circuits.throttled + circuits.open)
    );
    cells.push(concern(circuits.open, open, 1.0, f64::INFINITY));
    cells.push(concern(head.tail_lag, format!("tail lag {}", count(head.tail_lag)), 1_000.0, 10_000.0));
    cells.push(plain(format!("readers {}", count(head.feed_readers))));
    cells
}

pub(super) fn rates(view: &View) -> Section {
    let rates = &view.rates;
    let row = |name: &str, value: f64, bad: bool| {
        let value =
            if bad { concern(value, rate(value), f64::MIN_POSITIVE, f64::INFINITY) } else { plain(rate(value)) };
        vec![plain(name), value]
    };
    let mut rows = vec![
        row("events in", rates.appended, false),
        row("of outboxes", rates.from_outboxes, false),
        row("duplicates", rates.duplicates, false),
        row("delivered", rates.delivered, false),
        row("not delivered", rates.not_delivered, true),
        row("to readers", rates.feed_events, false),
        row("requests", rates.requests, false),
        row("to the bus", rates.to_bus, false),
        row("turned away", rates.overloaded, true),
        row("beyond quotas", rates.over_quota, true),
        row("failed commits", rates.commits_failed, true),
    ];
    let batch = rates.commit_events.map_or("-".to_owned(), |mean| format!("{mean:.1}"));
    rows.push(vec![plain("events a commit"), plain(batch)]);
    Section { title: "A second".to_owned(), head: vec![("", false), ("", true)], rows, empty: "" }
}

pub(super) fn latencies(view: &View) -> Section {
    let of = &view.latencies;
    let row = |name: &str, quantiles: Quantiles| {
        let each = quantiles.map_or([None; 3], |each| each.map(Some));
        let cells = each.map(|value| value.map_or_else(|| cell("-", Tone::Faint), |value| plain(seconds(value))));
        std::iter::once(plain(name)).chain(cells).collect()
    };
    let rows = vec![
        row("append", of.append),
        row("  of which commit", of.commit),
        row("outbox to log", of.outbox),
        row("log to delivered", of.delivery_delay),
        row("one attempt", of.delivery),
        row("HTTP request", of.request),
    ];
    let head = vec![("", false), ("p50", true), ("p95", true), ("p99", true)];
    Section { title: "Latency".to_owned(), head, rows, empty: "" }
}

pub(super) fn outboxes(view: &View) -> Section {
    let row = |of: &super::view::Outbox| {
        vec![
            plain(tame(&of.source)),
            concern(of.lag_seconds, seconds(of.lag_seconds), 5.0, 60.0),
            plain(count(of.pending)),
            concern(of.refused, count(of.refused), 1.0, f64::INFINITY),
            plain(count(of.intents)),
            plain(rate(of.rate)),
        ]
    };
    let head = vec![
        ("source", false),
        ("lag", true),
        ("rows", true),
        ("refused", true),
        ("intents", true),
        ("a second", true),
    ];
    Section {
        title: "Outboxes".to_owned(),
        head,
        rows: view.outboxes.iter().map(row).collect(),
        empty: "none is pumped by the nodes that answer",
    }
}

pub(super) fn partitions(view: &View) -> Section {
    let row = |of: &super::view::Partition| {
        let owner = of.owner.as_ref();
        vec![
            plain(of.partition.to_string()),
            owner.map_or_else(|| cell("nobody", Tone::Bad), |owner| plain(tame(owner))),
            concern(of.router_lag, count(of.router_lag), 1_000.0, 10_000.0),
            plain(count(of.in_flight)),
            concern(of.lanes_behind, count(of.lanes_behind), 1.0, f64::INFINITY),
            concern(of.lane_lag_events, count(of.lane_lag_events), 1_000.0, 100_000.0),
            concern(of.lane_lag_seconds, seconds(of.lane_lag_seconds), 60.0, 3_600.0),
            plain(count(of.retries)),
            concern(of.open, count(of.open), 1.0, f64::INFINITY),
        ]
    };
    let head = vec![
        ("#", true),
        ("owner", false),
        ("lag", true),
        ("in flight", true),
        ("behind", true),
        ("worst", true),
        ("oldest", true),
        ("retries", true),
        ("open", true),
    ];
    let title = format!("Partitions ({})", view.partitions.len());
    Section { title, head, rows: view.partitions.iter().map(row).collect(), empty: "not known yet" }
}

pub(super) fn lanes(view: &View) -> Section {
    let row = |of: &super::view::Lane| {
        let circuit = match of.circuit.as_str() {
            "open" => Tone::Bad,
            "throttled" => Tone::Warn,
            _ => Tone::Plain,
        };
        let age =
            of.lag_seconds.map_or_else(|| cell("-", Tone::Faint), |age| concern(age, seconds(age), 60.0, 3_600.0));
        vec![
            plain(tame(&of.tenant)),
            plain(format!("{}{}", of.endpoint, if of.is_replay { " (replay)" } else { "" })),
            concern(of.lag_events as f64, count(of.lag_events as f64), 1_000.0, 100_000.0),
            age,
            cell(of.circuit.clone(), circuit),
            plain(of.in_flight.to_string()),
            plain(of.retries.to_string()),
        ]
    };
    let head = vec![
        ("tenant", false),
        ("endpoint", false),
        ("behind", true),
        ("oldest", true),
        ("circuit", false),
        ("in flight", true),
        ("retries", true),
    ];
    Section {
        title: "Lanes that are behind".to_owned(),
        head,
        rows: view.lanes.iter().map(row).collect(),
        empty: if view.complete { "none" } else { "not known: this takes an admin's key (TIDINGS_KEY)" },
    }
}

pub(super) fn nodes(view: &View) -> Section {
    let row = |of: &super::view::NodeRow| {
        let state = match (&of.problem, of.ready) {
            (Some(_), _) => cell("no answer", Tone::Bad),
            (None, false) => cell("not ready", Tone::Bad),
            (None, true) => cell("ready", Tone::Good),
        };
        vec![
            plain(tame(&of.name)),
            state,
            plain(seconds(of.uptime_seconds)),
            plain(count(of.partitions)),
            plain(rate(of.appended)),
            plain(rate(of.requests)),
            plain(count(of.connections)),
            plain(count(of.feed_readers)),
            plain(bytes(of.memory_bytes)),
            plain(format!("{:.0} %", of.cpu * 100.0)),
            plain(count(of.fds)),
            cell(tame(&of.version), Tone::Faint),
            cell(tame(&of.roles), Tone::Faint),
        ]
    };
    let head = vec![
        ("node", false),
        ("state", false),
        ("up", true),
        ("parts", true),
        ("events/s", true),
        ("req/s", true),
        ("conns", true),
        ("readers", true),
        ("memory", true),
        ("cpu", true),
        ("fds", true),
        ("version", false),
        ("roles", false),
    ];
    let title = match view.headline.nodes_not_seen {
        0 => "Nodes".to_owned(),
        more => format!("Nodes ({more} more: set `advertise` there, or name them with --node)"),
    };
    Section { title, head, rows: view.nodes.iter().map(row).collect(), empty: "none" }
}

/// A count: whole below ten thousand, then with a letter.
fn count(value: f64) -> String {
    // The sum of nothing is -0.
    let value = value.abs();
    match value {
        _ if value < 10_000.0 => format!("{value:.0}"),
        _ if value < 1e6 => format!("{:.1}k", value / 1e3),
        _ if value < 1e9 => format!("{:.1}M", value / 1e6),
        _ => format!("{:.1}G", value / 1e9),
    }
}

fn rate(value: f64) -> String {
    if value > 0.0 && value < 10.0 { format!("{value:.1}") } else { count(value) }
}

fn bytes(value: f64) -> String {
    const MIB: f64 = 1_048_576.0;
    if value >= 1_024.0 * MIB { format!("{:.1} GiB", value / MIB / 1_024.0) } else { format!("{:.0} MiB", value / MIB) }
}

/// Seconds in the unit that fits.
pub(super) fn seconds(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        _ if value < 0.000_995 => format!("{:.0} µs", value * 1e6),
        _ if value < 0.099_5 => format!("{:.1} ms", value * 1e3),
        _ if value < 0.995 => format!("{:.0} ms", value * 1e3),
        _ if value < 100.0 => format!("{value:.1} s"),
        _ if value < 6_000.0 => format!("{:.0} min", value / 60.0),
        _ if value < 172_800.0 => format!("{:.0} h", value / 3_600.0),
        _ => format!("{:.0} d", value / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_have_their_unit() {
        let check = |shown: String, expect: &str| assert_eq!(shown, expect);
        check(seconds(0.000_25), "250 µs");
        check(seconds(0.012_34), "12.3 ms");
        check(seconds(0.5), "500 ms");
        check(seconds(61.0), "61.0 s");
        check(seconds(600.0), "10 min");
        check(seconds(86_400.0), "24 h");
        check(count(9_999.0), "9999");
        check(count(12_345.0), "12.3k");
        check(rate(0.25), "0.2");
        check(bytes(3.0 * 1_073_741_824.0), "3.0 GiB");
    }
}
