//! The names of all metrics of this crate, and what they mean.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Events written to the log.
pub const EVENTS_APPENDED: &str = "tidings_events_appended_total";
/// Events that were in the log already.
pub const EVENTS_DUPLICATE: &str = "tidings_events_duplicate_total";
/// Calls of append that were turned away because a queue was full.
pub const APPENDS_OVERLOADED: &str = "tidings_appends_overloaded_total";
/// Commits to the log that failed.
pub const COMMITS_FAILED: &str = "tidings_append_commits_failed_total";
/// Seconds that one commit to the log took.
pub const COMMIT_SECONDS: &str = "tidings_append_commit_seconds";
/// Events that one commit wrote.
pub const COMMIT_EVENTS: &str = "tidings_append_commit_events";
/// Calls that one commit merged.
pub const COMMIT_CALLS: &str = "tidings_append_commit_calls";
/// Events that wait for a commit, in the partition that committed last.
pub const QUEUE_EVENTS: &str = "tidings_append_queue_events";
/// Positions that the memory of the newest events lags behind the log, all partitions together.
pub const TAIL_LAG: &str = "tidings_tail_lag_positions";
/// Events that were read from the log because another node appended them.
pub const TAIL_FILLED: &str = "tidings_tail_filled_total";
/// Failed looks at the log for events of other nodes.
pub const TAIL_FAILED: &str = "tidings_tail_failed_total";
/// Open feed readers.
pub const FEED_READERS: &str = "tidings_feed_readers";
/// Events that feed readers were given.
pub const FEED_EVENTS: &str = "tidings_feed_events_total";
/// Reads of the storage by feed readers that are behind the memory of the newest events.
pub const FEED_STORE_READS: &str = "tidings_feed_store_reads_total";
/// Look-ups of keys that had to ask the storage.
pub const KEY_MISSES: &str = "tidings_key_cache_misses_total";
/// Events that came out of an outbox into the log, by source; events that were in the log already count.
pub const OUTBOX_MATERIALIZED: &str = "tidings_outbox_materialized_total";
/// Rows that the log refused, by source, every refusal of a row that was tried again included.
pub const OUTBOX_REFUSALS: &str = "tidings_outbox_refusals_total";
/// Seconds from a row's insertion to its event being in the log, of the first row of each batch, by source.
pub const OUTBOX_DELAY: &str = "tidings_outbox_delay_seconds";
/// Seconds that the oldest waiting row has waited, by source and its own clock.
pub const OUTBOX_LAG: &str = "tidings_outbox_lag_seconds";
/// Rows that wait, by source.
pub const OUTBOX_PENDING: &str = "tidings_outbox_pending_rows";
/// Rows that were refused and are still there, by source.
pub const OUTBOX_REFUSED: &str = "tidings_outbox_refused_rows";
/// Open intents, by source.
pub const OUTBOX_INTENTS: &str = "tidings_outbox_intents";
/// Rounds that were cut short, by source and kind of failure.
pub const OUTBOX_ERRORS: &str = "tidings_outbox_errors_total";
/// Intents that were confirmed because their probe found the change, by source.
pub const INTENTS_CONFIRMED: &str = "tidings_intents_confirmed_total";
/// Intents that were discarded because their probe found that there was no change, by source.
pub const INTENTS_DISCARDED: &str = "tidings_intents_discarded_total";
/// Probes that could not tell, by source.
pub const INTENTS_UNRESOLVED: &str = "tidings_intents_unresolved_total";
/// Passes over stale intents that were cut short, by source.
pub const INTENTS_ERRORS: &str = "tidings_intents_errors_total";
/// Attempts to deliver that have ended, by outcome: `delivered`, `refused` (another status than 2xx), `failed` (no whole
/// answer).
pub const DELIVERIES: &str = "tidings_deliveries_total";
/// Seconds that one attempt to deliver took.
pub const DELIVERY_SECONDS: &str = "tidings_delivery_seconds";
/// Attempts to deliver that are under way, by partition.
pub const DELIVERIES_IN_FLIGHT: &str = "tidings_deliveries_in_flight";
/// Positions that a partition's router lags behind the newest event that is known, by partition.
pub const ROUTER_LAG: &str = "tidings_router_lag_positions";
/// Lanes that are fed from the log instead of memory: full, paused, or their circuit is open; by partition.
pub const LANES_BEHIND: &str = "tidings_lanes_behind";
/// Lanes whose circuit is open, by partition.
pub const CIRCUITS_OPEN: &str = "tidings_circuits_open";
/// Events that wait for their next attempt, by partition.
pub const RETRIES_WAITING: &str = "tidings_retries_waiting";
/// Commits of routers.
pub const ROUTE_COMMITS: &str = "tidings_router_commits_total";
/// Seconds that one commit of a router took.
pub const ROUTE_COMMIT_SECONDS: &str = "tidings_router_commit_seconds";
/// Partitions that this node took.
pub const ROUTER_CLAIMS: &str = "tidings_router_claims_total";
/// Routers of this node whose partition another node had taken.
pub const ROUTERS_FENCED: &str = "tidings_routers_fenced_total";
/// Routers that began again from the store because they could not be sure of what it holds.
pub const ROUTER_RESTARTS: &str = "tidings_router_restarts_total";

/// Events that were written although they break rules of the catalog.
pub const EVENTS_MARKED: &str = "tidings_catalog_marked_total";
/// Events that were judged, by outcome: `passed`, `refused`, `quarantined` (kept aside), `not_owned`. Passed are also those
/// that were marked.
pub const CATALOG_JUDGED: &str = "tidings_catalog_judged_total";
/// Rules of the catalog that events broke, by the code of the violation.
pub const CATALOG_VIOLATIONS: &str = "tidings_catalog_violations_total";
/// Events for which the state of their entity could not be found among its newest events, so that they passed.
pub const CATALOG_STATES_UNKNOWN: &str = "tidings_catalog_states_unknown_total";
/// Seconds that it took to judge the events of one call by what they say.
pub const CATALOG_JUDGE_SECONDS: &str = "tidings_catalog_judge_seconds";
/// Events that were brought from the quarantine into the log.
pub const CATALOG_REDRIVEN: &str = "tidings_catalog_redriven_total";
/// Events in quarantine that were discarded.
pub const CATALOG_DISCARDED: &str = "tidings_catalog_discarded_total";
/// Events that a consumer wanted in another version, by outcome: `converted`, `no_chain` (no conversions lead there) and
/// `failed`; all but the first are handed out as they are.
pub const CATALOG_CONVERTED: &str = "tidings_catalog_converted_total";
/// The revision of the catalog that this node knows.
pub const CATALOG_REVISION: &str = "tidings_catalog_revision";
/// Entries of the catalog that this node cannot read.
pub const CATALOG_FAULTS: &str = "tidings_catalog_faults";

/// Tells the installed recorder what each metric means. Call once, after the recorder was installed.
pub fn describe() {
    describe_counter!(EVENTS_APPENDED, Unit::Count, "Events written to the log");
    describe_counter!(EVENTS_DUPLICATE, Unit::Count, "Events sent again that the log held already");
    describe_counter!(APPENDS_OVERLOADED, Unit::Count, "Appends turned away because a queue was full");
    describe_counter!(COMMITS_FAILED, Unit::Count, "Commits to the log that failed");
    describe_histogram!(COMMIT_SECONDS, Unit::Seconds, "Duration of one commit to the log");
    describe_histogram!(COMMIT_EVENTS, Unit::Count, "Events written by one commit");
    describe_histogram!(COMMIT_CALLS, Unit::Count, "Calls merged into one commit");
    describe_gauge!(QUEUE_EVENTS, Unit::Count, "Events waiting in the partition that committed last");
    describe_gauge!(TAIL_LAG, Unit::Count, "Positions that memory lags behind the log");
    describe_counter!(TAIL_FILLED, Unit::Count, "Events of other nodes read from the log");
    describe_counter!(TAIL_FAILED, Unit::Count, "Failed looks at the log for events of other nodes");
    describe_gauge!(FEED_READERS, Unit::Count, "Open feed readers");
    describe_counter!(FEED_EVENTS, Unit::Count, "Events given to feed readers");
    describe_counter!(FEED_STORE_READS, Unit::Count, "Storage reads by feed readers that are behind memory");
    describe_counter!(KEY_MISSES, Unit::Count, "Key look-ups that asked the storage");
    describe_counter!(OUTBOX_MATERIALIZED, Unit::Count, "Events that came out of an outbox into the log");
    describe_counter!(OUTBOX_REFUSALS, Unit::Count, "Outbox rows that the log refused");
    describe_histogram!(OUTBOX_DELAY, Unit::Seconds, "Time from a row's insertion to its event being in the log");
    describe_gauge!(OUTBOX_LAG, Unit::Seconds, "How long the oldest waiting outbox row has waited");
    describe_gauge!(OUTBOX_PENDING, Unit::Count, "Outbox rows that wait");
    describe_gauge!(OUTBOX_REFUSED, Unit::Count, "Outbox rows that were refused and are still there");
    describe_gauge!(OUTBOX_INTENTS, Unit::Count, "Open intents");
    describe_counter!(OUTBOX_ERRORS, Unit::Count, "Rounds of a pump that were cut short by a failure");
    describe_counter!(INTENTS_CONFIRMED, Unit::Count, "Intents confirmed by their probe");
    describe_counter!(INTENTS_DISCARDED, Unit::Count, "Intents discarded by their probe");
    describe_counter!(INTENTS_UNRESOLVED, Unit::Count, "Probes of intents that could not tell");
    describe_counter!(INTENTS_ERRORS, Unit::Count, "Passes over stale intents that were cut short by a failure");
    describe_counter!(DELIVERIES, Unit::Count, "Attempts to deliver that have ended");
    describe_histogram!(DELIVERY_SECONDS, Unit::Seconds, "Duration of one attempt to deliver");
    describe_gauge!(DELIVERIES_IN_FLIGHT, Unit::Count, "Attempts to deliver that are under way");
    describe_gauge!(ROUTER_LAG, Unit::Count, "Positions that a partition's router lags behind");
    describe_gauge!(LANES_BEHIND, Unit::Count, "Lanes that are fed from the log instead of memory");
    describe_gauge!(CIRCUITS_OPEN, Unit::Count, "Lanes whose circuit is open");
    describe_gauge!(RETRIES_WAITING, Unit::Count, "Events that wait for their next attempt");
    describe_counter!(ROUTE_COMMITS, Unit::Count, "Commits of routers");
    describe_histogram!(ROUTE_COMMIT_SECONDS, Unit::Seconds, "Duration of one commit of a router");
    describe_counter!(ROUTER_CLAIMS, Unit::Count, "Partitions that this node took");
    describe_counter!(ROUTERS_FENCED, Unit::Count, "Routers whose partition another node had taken");
    describe_counter!(ROUTER_RESTARTS, Unit::Count, "Routers that began again from the store");
    describe_counter!(EVENTS_MARKED, Unit::Count, "Events written although they break rules of the catalog");
    describe_counter!(CATALOG_JUDGED, Unit::Count, "Events judged by the catalog");
    describe_counter!(CATALOG_VIOLATIONS, Unit::Count, "Rules of the catalog that events broke");
    describe_counter!(CATALOG_STATES_UNKNOWN, Unit::Count, "Events whose entity's state could not be found");
    describe_histogram!(CATALOG_JUDGE_SECONDS, Unit::Seconds, "Duration of judging the events of one call");
    describe_counter!(CATALOG_REDRIVEN, Unit::Count, "Events brought from the quarantine into the log");
    describe_counter!(CATALOG_DISCARDED, Unit::Count, "Events in quarantine that were discarded");
    describe_counter!(CATALOG_CONVERTED, Unit::Count, "Events that a consumer wanted in another version");
    describe_gauge!(CATALOG_REVISION, Unit::Count, "The revision of the catalog that this node knows");
    describe_gauge!(CATALOG_FAULTS, Unit::Count, "Entries of the catalog that this node cannot read");
}
