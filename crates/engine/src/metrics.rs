//! The names of all metrics of this crate, and what they mean. The reference in docs/guides/observability.md is written
//! from this table.

use std::ops::Deref;

use metrics::{Gauge, describe_counter, describe_gauge, describe_histogram};

/// What kind of metric it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only ever grows; ask for its rate.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations in buckets; ask for its quantiles.
    Histogram,
}

impl Kind {
    /// Its word, as Prometheus has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What kind it is.
    pub kind: Kind,
    /// What one of it is: `seconds`, `events`, ….
    pub unit: &'static str,
    /// Its labels. Values of labels are bounded: sources, partitions, outcomes, routes; never tenants, endpoints or keys.
    pub labels: &'static [&'static str],
    /// What it means, as one or more sentences.
    pub help: &'static str,
}

impl Metric {
    /// Tells the installed recorder what the metric means.
    pub fn describe(&self) {
        let help = self.help.trim_start();
        match self.kind {
            Kind::Counter => describe_counter!(self.name, help),
            Kind::Gauge => describe_gauge!(self.name, help),
            Kind::Histogram => describe_histogram!(self.name, help),
        }
    }
}

/// Declares metrics: a constant with the name of each, and a table of all of them. A row is the documentation, then
/// `kind CONSTANT = "name", "unit", ["label", …];`.
#[macro_export]
macro_rules! metrics_table {
    ($(#[doc = $about:literal])+ $visibility:vis const $table:ident;
     $($(#[doc = $help:literal])+ $kind:ident $name:ident = $text:literal, $unit:literal, [$($label:literal),*];)+) => {
        $($(#[doc = $help])+ $visibility const $name: &str = $text;)+

        $(#[doc = $about])+
        $visibility const $table: &[$crate::metrics::Metric] = &[$($crate::metrics::Metric {
            name: $text,
            kind: $crate::metrics_table!(@kind $kind),
            unit: $unit,
            labels: &[$($label),*],
            help: concat!($($help),+),
        }),+];
    };
    (@kind counter) => { $crate::metrics::Kind::Counter };
    (@kind gauge) => { $crate::metrics::Kind::Gauge };
    (@kind histogram) => { $crate::metrics::Kind::Histogram };
}

metrics_table! {
    /// All metrics of the engine, in the order of the reference.
    pub const METRICS;

    /// Events written to the log.
    counter EVENTS_APPENDED = "tidings_events_appended_total", "events", [];
    /// Events that were in the log already.
    counter EVENTS_DUPLICATE = "tidings_events_duplicate_total", "events", [];
    /// Calls of append that were turned away because a queue was full.
    counter APPENDS_OVERLOADED = "tidings_appends_overloaded_total", "calls", [];
    /// Calls that were refused because a tenant would have sent more than it may, by way: `events`, `intents`.
    counter QUOTA_REFUSED = "tidings_quota_refused_total", "calls", ["way"];
    /// Commits to the log that failed.
    counter COMMITS_FAILED = "tidings_append_commits_failed_total", "commits", [];
    /// Seconds that one commit to the log took.
    histogram COMMIT_SECONDS = "tidings_append_commit_seconds", "seconds", [];
    /// Events that one commit wrote.
    histogram COMMIT_EVENTS = "tidings_append_commit_events", "events", [];
    /// Calls that one commit merged.
    histogram COMMIT_CALLS = "tidings_append_commit_calls", "calls", [];
    /// Seconds from a call's events being queued to their being durable, the wait for the commit before theirs included.
    histogram APPEND_SECONDS = "tidings_append_seconds", "seconds", [];
    /// Events that wait for a commit, in the partition that committed last.
    gauge QUEUE_EVENTS = "tidings_append_queue_events", "events", [];
    /// Positions that the memory of the newest events lags behind the log, all partitions together.
    gauge TAIL_LAG = "tidings_tail_lag_positions", "positions", [];
    /// Events that were read from the log because another node appended them.
    counter TAIL_FILLED = "tidings_tail_filled_total", "events", [];
    /// Failed looks at the log for events of other nodes.
    counter TAIL_FAILED = "tidings_tail_failed_total", "reads", [];
    /// Open feed readers.
    gauge FEED_READERS = "tidings_feed_readers", "readers", [];
    /// Events that feed readers were given.
    counter FEED_EVENTS = "tidings_feed_events_total", "events", [];
    /// Reads of the storage by feed readers that are behind the memory of the newest events.
    counter FEED_STORE_READS = "tidings_feed_store_reads_total", "reads", [];
    /// Seconds that one such read took.
    histogram FEED_STORE_SECONDS = "tidings_feed_store_read_seconds", "seconds", [];
    /// Look-ups of keys that had to ask the storage.
    counter KEY_MISSES = "tidings_key_cache_misses_total", "look-ups", [];
    /// Events that came out of an outbox into the log, by source; events that were in the log already count.
    counter OUTBOX_MATERIALIZED = "tidings_outbox_materialized_total", "events", ["source"];
    /// Rows that the log refused, by source, every refusal of a row that was tried again included.
    counter OUTBOX_REFUSALS = "tidings_outbox_refusals_total", "rows", ["source"];
    /// Seconds from a row's insertion to its event being in the log, of the first row of each batch, by source.
    histogram OUTBOX_DELAY = "tidings_outbox_delay_seconds", "seconds", ["source"];
    /// Seconds that the oldest waiting row has waited, by source and its own clock.
    gauge OUTBOX_LAG = "tidings_outbox_lag_seconds", "seconds", ["source"];
    /// Rows that wait, by source.
    gauge OUTBOX_PENDING = "tidings_outbox_pending_rows", "rows", ["source"];
    /// Rows that were refused and are still there, by source.
    gauge OUTBOX_REFUSED = "tidings_outbox_refused_rows", "rows", ["source"];
    /// Open intents, by source.
    gauge OUTBOX_INTENTS = "tidings_outbox_intents", "intents", ["source"];
    /// Tenants whose rows wait because they may not send more just now, by source.
    gauge OUTBOX_HELD_BACK = "tidings_outbox_held_back_tenants", "tenants", ["source"];
    /// Rounds that were cut short, by source and kind of failure.
    counter OUTBOX_ERRORS = "tidings_outbox_errors_total", "rounds", ["source", "kind"];
    /// Intents that were confirmed because their probe found the change, by source.
    counter INTENTS_CONFIRMED = "tidings_intents_confirmed_total", "intents", ["source"];
    /// Intents that were discarded because their probe found that there was no change, by source.
    counter INTENTS_DISCARDED = "tidings_intents_discarded_total", "intents", ["source"];
    /// Probes that could not tell, by source.
    counter INTENTS_UNRESOLVED = "tidings_intents_unresolved_total", "probes", ["source"];
    /// Passes over stale intents that were cut short, by source.
    counter INTENTS_ERRORS = "tidings_intents_errors_total", "passes", ["source"];
    /// Attempts to deliver that have ended, by outcome: `delivered`, `refused` (another status than 2xx), `failed` (no whole
    /// answer).
    counter DELIVERIES = "tidings_deliveries_total", "attempts", ["outcome"];
    /// Seconds that one attempt to deliver took.
    histogram DELIVERY_SECONDS = "tidings_delivery_seconds", "seconds", [];
    /// Seconds from an event being in the log to its being delivered to an endpoint at the first attempt.
    histogram DELIVERY_DELAY = "tidings_delivery_delay_seconds", "seconds", [];
    /// Attempts to deliver that are under way, by partition.
    gauge DELIVERIES_IN_FLIGHT = "tidings_deliveries_in_flight", "attempts", ["partition"];
    /// Positions that a partition's router lags behind the newest event that is known, by partition.
    gauge ROUTER_LAG = "tidings_router_lag_positions", "positions", ["partition"];
    /// Lanes that are fed from the log instead of memory: full, paused, or their circuit is open; by partition.
    gauge LANES_BEHIND = "tidings_lanes_behind", "lanes", ["partition"];
    /// Events by which the lane that is furthest behind lags behind its tenant's newest event, whether it wants all of
    /// them or not, by partition. `GET /v1/lanes` names the lane.
    gauge LANE_LAG_EVENTS = "tidings_lane_lag_events_max", "events", ["partition"];
    /// Seconds that the oldest event in memory that is still to be delivered has been in the log, of the lane that is
    /// furthest behind, by partition.
    gauge LANE_LAG_SECONDS = "tidings_lane_lag_seconds_max", "seconds", ["partition"];
    /// Lanes by the state of their circuit (`closed`, `throttled`: the endpoint asked for a pause, `open`: it is down), by
    /// partition.
    gauge CIRCUITS = "tidings_circuits", "lanes", ["partition", "state"];
    /// Events that wait for their next attempt, by partition.
    gauge RETRIES_WAITING = "tidings_retries_waiting", "events", ["partition"];
    /// Commits of routers.
    counter ROUTE_COMMITS = "tidings_router_commits_total", "commits", [];
    /// Seconds that one commit of a router took.
    histogram ROUTE_COMMIT_SECONDS = "tidings_router_commit_seconds", "seconds", [];
    /// Leases that this node took, by role: `router`, `publisher`, `pump`.
    counter LEASE_CLAIMS = "tidings_lease_claims_total", "leases", ["role"];
    /// Leases that this node began to give back because another node shall own them, by role.
    counter LEASE_MOVES = "tidings_lease_moves_total", "leases", ["role"];
    /// Leases of this node that another node had taken, by role: its heartbeat had stopped, or its work was refused.
    counter LEASE_LOSSES = "tidings_lease_losses_total", "leases", ["role"];
    /// Leases that this node has, by role.
    gauge LEASES_HELD = "tidings_leases_held", "leases", ["role"];
    /// Nodes that beat, by the database whose clock judges it.
    gauge NODES = "tidings_nodes", "nodes", ["shard"];
    /// Seconds that one heartbeat took.
    histogram HEARTBEAT_SECONDS = "tidings_heartbeat_seconds", "seconds", [];
    /// Heartbeats that could not be written.
    counter HEARTBEATS_FAILED = "tidings_heartbeats_failed_total", "heartbeats", [];
    /// Routers that began again from the store because they could not be sure of what it holds.
    counter ROUTER_RESTARTS = "tidings_router_restarts_total", "routers", [];
    /// Whether this node runs the router of a partition: 1 or 0.
    gauge ROUTER_OWNED = "tidings_router_owned", "bool", ["partition"];
    /// Partitions that the log has.
    gauge PARTITIONS = "tidings_partitions", "partitions", [];
    /// Whether the storage committed a write when it was last tried and the node is not shutting down: 1 or 0.
    gauge READY = "tidings_ready", "bool", [];
    /// Connections to the log's database, by state: `idle`, `used`; and `waiting`, the callers that wait for one.
    gauge STORE_CONNECTIONS = "tidings_store_connections", "connections", ["state"];

    /// Events that this node wrote to the bus.
    counter BUS_PUBLISHED = "tidings_bus_published_total", "events", [];
    /// Seconds that the bus took to answer for events that were written together.
    histogram BUS_PUBLISH_SECONDS = "tidings_bus_publish_seconds", "seconds", [];
    /// Events that were written to the bus together.
    histogram BUS_PUBLISH_EVENTS = "tidings_bus_publish_events", "events", [];
    /// Positions that a partition's publisher lags behind the newest event that is known, by partition.
    gauge BUS_LAG = "tidings_bus_lag_positions", "positions", ["partition"];
    /// Publishers that began again at the end of their stream, because the bus failed or somebody else wrote there.
    counter BUS_FAILED = "tidings_bus_failed_total", "failures", [];
    /// Streams that were emptied and begun anew, because they held what the log does not say.
    counter BUS_REBUILT = "tidings_bus_rebuilt_total", "streams", [];
    /// Events of other nodes that were heard on the bus, those that memory had already included.
    counter BUS_HEARD = "tidings_bus_heard_total", "events", [];
    /// Times that what was heard did not follow what memory holds, so that the log was read.
    counter BUS_HOLES = "tidings_bus_holes_total", "holes", [];
    /// Whether there is a connection to the bus: 1 or 0. Missing where there is none configured.
    gauge BUS_CONNECTED = "tidings_bus_connected", "bool", [];

    /// Events that were written although they break rules of the catalog.
    counter EVENTS_MARKED = "tidings_catalog_marked_total", "events", [];
    /// Events that were judged, by outcome: `passed`, `refused`, `quarantined` (kept aside), `not_owned`. Passed are also those
    /// that were marked.
    counter CATALOG_JUDGED = "tidings_catalog_judged_total", "events", ["outcome"];
    /// Rules of the catalog that events broke, by the code of the violation.
    counter CATALOG_VIOLATIONS = "tidings_catalog_violations_total", "rules", ["code"];
    /// Events for which the state of their entity could not be found among its newest events, so that they passed.
    counter CATALOG_STATES_UNKNOWN = "tidings_catalog_states_unknown_total", "events", [];
    /// Seconds that it took to judge the events of one call by what they say.
    histogram CATALOG_JUDGE_SECONDS = "tidings_catalog_judge_seconds", "seconds", [];
    /// Events that were brought from the quarantine into the log.
    counter CATALOG_REDRIVEN = "tidings_catalog_redriven_total", "events", [];
    /// Events in quarantine that were discarded.
    counter CATALOG_DISCARDED = "tidings_catalog_discarded_total", "events", [];
    /// Events that a consumer wanted in another version, by outcome: `converted`, `no_chain` (no conversions lead there) and
    /// `failed`; all but the first are handed out as they are.
    counter CATALOG_CONVERTED = "tidings_catalog_converted_total", "events", ["outcome"];
    /// The revision of the catalog that this node knows.
    gauge CATALOG_REVISION = "tidings_catalog_revision", "revision", [];
    /// Entries of the catalog that this node cannot read.
    gauge CATALOG_FAULTS = "tidings_catalog_faults", "entries", [];
}

/// A gauge of something that this node has for a while, like a partition or a source: when it is gone, the gauge is at
/// zero, as there is nothing to show here.
pub(crate) struct Shown(pub(crate) Gauge);

impl Deref for Shown {
    type Target = Gauge;

    fn deref(&self) -> &Gauge {
        &self.0
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.0.set(0);
    }
}

/// Tells the installed recorder what each metric means. Call once, after the recorder was installed.
pub fn describe() {
    METRICS.iter().for_each(Metric::describe);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_kind_and_unit_and_stand_once() {
        for (index, metric) in METRICS.iter().enumerate() {
            let name = metric.name;
            assert!(name.starts_with("tidings_"), "{name}");
            assert_eq!(name.ends_with("_total"), metric.kind == Kind::Counter, "{name}");
            let seconds = name.ends_with("_seconds") || name.ends_with("_seconds_max");
            assert!(metric.kind == Kind::Counter || seconds == (metric.unit == "seconds"), "{name}");
            assert!(METRICS[..index].iter().all(|other| other.name != name), "{name} stands twice");
            assert!(metric.help.starts_with(' ') && metric.help.ends_with('.'), "{name}: {}", metric.help);
            for unbounded in ["tenant", "endpoint", "key", "event", "type", "lane"] {
                assert!(!metric.labels.contains(&unbounded), "{name} by {unbounded}");
            }
        }
    }
}
