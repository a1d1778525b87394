//! The statements of delivery and of the catalog, and that each finds its rows by the right index however much there was when it was
//! planned.

use std::collections::BTreeSet;

use tidings_testkit::Postgres;

use super::pool::Lease;
use super::*;

/// Each statement that reads or changes what is there, with the indexes that it goes by.
const GOES_BY: &[(&str, &[&str])] = &[
    (read::REVISION, &["partitions_pkey"]),
    (endpoints::BY_ID, &["endpoints_by_id", "lanes_pkey", "tenants_pkey"]),
    (endpoints::LIST, &["endpoints_by_id", "tenants_pkey"]),
    (endpoints::ALL, &["departures_pkey", "endpoints_pkey", "tenants_pkey"]),
    (endpoints::BOUNDS, &["endpoints_by_id", "leases_pkey", "tenants_pkey"]),
    (endpoints::UPDATE, &["endpoints_pkey"]),
    (endpoints::CANCEL_REPLAYS, &["replays_running"]),
    (endpoints::SET_REVISION, &["partitions_pkey"]),
    (leases::CLAIM, &["leases_pkey", "nodes_by_boot", "nodes_pkey"]),
    (leases::RELEASE, &["leases_pkey"]),
    (leases::ADVANCE, &["leases_pkey"]),
    (routers::GONE, &["circuits_pkey", "endpoints_deleted", "lanes_pkey", "replays_pkey", "retries_pkey"]),
    (routers::LANES, &["lanes_pkey"]),
    (routers::RETRIES, &["retries_pkey"]),
    (routers::CIRCUITS, &["circuits_pkey"]),
    (routers::CHANGED_ENDPOINTS, &["endpoints_by_revision", "tenants_pkey"]),
    (routers::CHANGED_REPLAYS, &["replays_by_revision"]),
    (routers::REDRIVES, &["redrives_pkey"]),
    (commit_route::FENCE, &["leases_pkey", "partitions_pkey"]),
    (commit_route::DELETE_LANES, &["lanes_pkey"]),
    (commit_route::DELETE_RETRIES, &["retries_pkey"]),
    (commit_route::DELETE_CIRCUITS, &["circuits_pkey"]),
    (commit_route::DELETE_REDRIVES, &["redrives_pkey"]),
    (commit_route::COUNT_REPLAYS, &["replays_pkey"]),
    (commit_route::END_REPLAYS, &["replays_pkey"]),
    (commit_route::DISABLE, &["endpoints_pkey", "partitions_pkey"]),
    (commit_route::FORGET_RETRIES, &["retries_pkey"]),
    (commit_route::FORGET_REDRIVES, &["redrives_pkey"]),
    (commit_route::FORGET_ENDPOINTS, &["endpoints_pkey"]),
    (dead::OF_TENANT, &["dead_letters_pkey", "endpoints_pkey", "events_by_sequence"]),
    (dead::OF_ENDPOINT, &["dead_letters_by_endpoint", "endpoints_pkey", "events_by_sequence"]),
    (dead::SETTLE_OF_TENANT, &["dead_letters_pkey", "endpoints_pkey", "events_by_sequence", "partitions_pkey"]),
    (
        dead::SETTLE_OF_ENDPOINT,
        &["dead_letters_by_endpoint", "endpoints_pkey", "events_by_sequence", "partitions_pkey"],
    ),
    (dead::ONE, &["dead_letters_by_endpoint"]),
    (dead::RETRY, &["endpoints_pkey", "replays_pkey", "retries_pkey"]),
    (
        dead::STATE,
        &[
            "circuits_pkey",
            "dead_letters_by_endpoint",
            "endpoints_pkey",
            "lanes_pkey",
            "leases_pkey",
            "partitions_pkey",
            "retries_pkey",
            "tenants_pkey",
        ],
    ),
    (replays::INSERT, &["endpoints_pkey", "partitions_pkey", "replays_running"]),
    (replays::CANCEL, &["partitions_pkey", "replays_pkey"]),
    (replays::BY_NO, &["replays_pkey"]),
    (replays::BY_ID, &["lanes_pkey", "replays_by_id"]),
    (replays::LIST, &["replays_by_endpoint"]),
    (attempts::NEWEST, &["attempts_19700101_pkey"]),
    (attempts::NEWEST_FAILED, &["attempts_19700101_endpoint_at_lane_sequence_attempt_idx"]),
    (
        attempts::OF_EVENT,
        &[
            "attempts_19700101_endpoint_sequence_idx",
            "attempts_19700102_endpoint_sequence_idx",
            "attempts_rest_endpoint_sequence_idx",
        ],
    ),
    (attempts::DELETE_DEAD, &["dead_letters_by_endpoint"]),
    (attempts::DELETE_ENDPOINT, &["endpoints_pkey"]),
    (attempts::FORGOTTEN, &["endpoints_deleted"]),
    (entries::REVISION, &["catalog_pkey"]),
    (entries::LOCK, &["catalog_pkey"]),
    (entries::AFTER, &["catalog_pkey", "catalog_newest_by_revision", "catalog_entries_pkey"]),
    (entries::NEWEST, &["catalog_newest_pkey", "catalog_entries_pkey"]),
    (entries::HISTORY, &["catalog_entries_by_name"]),
    (entries::HISTORY_OF_VERSION, &["catalog_entries_pkey"]),
    (entries::ADVANCE, &["catalog_pkey"]),
    (asides::LOCK_ONE, &["quarantines_pkey"]),
    (asides::LIST, &["asides_pkey"]),
    (asides::OF_TYPE, &["asides_by_type"]),
    (asides::ONE, &["asides_pkey"]),
    (asides::CLEAR, &["asides_pkey", "quarantines_pkey"]),
    (marks::LIST, &["marks_pkey"]),
    (marks::OF_TYPE, &["marks_by_type"]),
    (moves::TENANT, &["tenants_pkey"]),
    (moves::LOCK_ROUTER, &["leases_pkey"]),
    (moves::SETTLED, &["events_by_sequence", "leases_pkey", "tenants_pkey"]),
    (moves::IS_READY, &["leases_pkey", "partitions_pkey"]),
    (moves::LANES, &["endpoints_by_id", "lanes_pkey", "replays_by_endpoint"]),
    (moves::PUT_LANES, &["endpoints_by_id", "tenants_pkey"]),
    (moves::RETRIES, &["endpoints_by_id", "replays_by_endpoint", "retries_pkey"]),
    (moves::CIRCUITS, &["circuits_pkey", "endpoints_by_id", "replays_by_endpoint"]),
    (moves::REDRIVES, &["endpoints_by_id", "redrives_pkey"]),
    (moves::ENDPOINTS, &["endpoints_by_id", "partitions_pkey"]),
    (moves::REPLAYS, &["endpoints_by_id", "partitions_pkey", "replays_by_endpoint"]),
    (moves::FENCE, &["leases_pkey"]),
    (moves::LEAVE, &["partitions_pkey"]),
    (moves::ENTER, &["partitions_pkey"]),
    (moves::PLACE, &["tenants_pkey"]),
    (
        moves::VERIFY,
        &[
            "circuits_pkey",
            "endpoints_by_id",
            "lanes_pkey",
            "leases_pkey",
            "redrives_pkey",
            "replays_by_endpoint",
            "retries_pkey",
            "tenants_pkey",
        ],
    ),
    (moves::LIVES, &["tenants_pkey"]),
    (moves::REPLAY_LIVES, &["replays_pkey"]),
    (moves::NOTE_PLACE, &["tenants_pkey"]),
    (moves::copy::READ, &["events_by_sequence"]),
    (moves::copy::READ_MARKS, &["marks_pkey"]),
    (moves::copy::FOLLOWS, &["events_by_sequence"]),
    (moves::copy::LAST, &["events_by_sequence"]),
    (moves::copy::PROOF, &["events_by_sequence"]),
    (moves::copy::PROOF_OF_MARKS, &["marks_pkey"]),
    (moves::leave::PACK_ENDPOINTS, &["endpoints_by_id"]),
    (moves::leave::PACK_REPLAYS, &["endpoints_by_id", "replays_by_endpoint"]),
    (moves::leave::UNPACK_ENDPOINTS, &["endpoints_by_id", "partitions_pkey"]),
    (moves::leave::HELD, &["departures_pkey"]),
    (moves::leave::RETURN, &["partitions_pkey"]),
    (moves::leave::RELEASE, &["departures_pkey"]),
    (moves::leave::STILL_LEAVING, &["departures_pkey"]),
    (moves::leave::REMAINING, &["endpoints_by_id"]),
    (moves::leave::REPLAYS_OF, &["replays_by_endpoint"]),
    (moves::leave::CLEAR_DEAD, &["dead_letters_by_endpoint"]),
    (moves::leave::CLEAR_ENDPOINT, &["endpoints_pkey"]),
    (moves::leave::LEAVE_FOR_GOOD, &["departures_pkey", "endpoints_by_id"]),
    (moves::stand::STANDING, &["arrivals_pkey", "departures_pkey", "tenants_pkey"]),
    (moves::stand::LIVES_IN, &["tenants_pkey"]),
    (moves::stand::ENDPOINT_LEFT, &["endpoints_pkey"]),
    (moves::state::ENDPOINTS_OF, &["endpoints_by_id"]),
    (moves::state::REPLAYS_OF, &["endpoints_by_id", "replays_by_endpoint"]),
    (moves::state::LANES_OF, &["endpoints_by_id", "lanes_pkey", "replays_by_endpoint"]),
    (moves::state::CIRCUITS_OF, &["circuits_pkey", "endpoints_by_id", "replays_by_endpoint"]),
    (moves::state::RETRIES_OF, &["endpoints_by_id", "replays_by_endpoint", "retries_pkey"]),
    (moves::state::REDRIVES_OF, &["endpoints_by_id", "redrives_pkey"]),
    (moves::state::DEAD_OF, &["dead_letters_pkey", "endpoints_pkey"]),
    (
        moves::state::SUMMARY,
        &[
            "circuits_pkey",
            "dead_letters_pkey",
            "endpoints_by_id",
            "endpoints_pkey",
            "lanes_pkey",
            "redrives_pkey",
            "replays_by_endpoint",
            "replays_pkey",
            "retries_pkey",
        ],
    ),
    (moves::arrive::VERIFIED, &["arrivals_pkey"]),
    (moves::arrive::GATE, &["arrivals_pkey"]),
    (moves::arrive::TURN_AWAY, &["arrivals_pkey"]),
    (moves::arrive::STANDS, &["arrivals_pkey"]),
    (moves::arrive::RECEIVE, &["events_by_sequence", "partitions_pkey"]),
    (moves::arrive::SETTLE_DOWN, &["tenants_pkey"]),
    (moves::arrive::ARRIVE, &["arrivals_pkey"]),
    (moves::arrive::ARRIVED, &["arrivals_pkey", "endpoints_by_id", "events_by_sequence", "partitions_pkey"]),
    (moves::arrive::TIDIED, &["arrivals_pkey"]),
    (moves::arrive::ENDPOINT_HERE, &["endpoints_by_id"]),
    (quotas::LOCK, &["quotas_head_pkey"]),
    (quotas::PUT, &["quotas_head_pkey"]),
    (quotas::OF_TENANT, &["quotas_pkey"]),
    (quotas::AFTER, &["quotas_by_revision", "quotas_head_pkey"]),
    (shards::UNTOLD, &["untold_pkey"]),
    (observed::UPDATE, &["observed_pkey"]),
    (observed::INSERT, &["observed_pkey"]),
    (observed::LIST, &["observed_pkey"]),
];

/// Statements that only add, that run about once an hour, or whose table is bounded and read whole.
const OTHERS: &[&str] = &[
    endpoints::INSERT,
    endpoints::PUT_LANES,
    commit_route::INSERT_ATTEMPTS,
    commit_route::COPY_ATTEMPTS,
    commit_route::PUT_RETRIES,
    commit_route::PUT_CIRCUITS,
    commit_route::PUT_DEAD,
    attempts::PARTS,
    attempts::TRY_LOCK,
    attempts::DELETE_REST,
    attempts::DELETE_REPLAYS,
    entries::INSERT,
    entries::PUT_NEWEST,
    asides::LOCK,
    asides::PUT,
    asides::ADD,
    observed::LOCK,
    observed::TRIM,
    shards::NAMES,
    shards::LOCK,
    shards::LIST,
    shards::OWN,
    shards::REGISTER,
    shards::ADD_PARTITIONS,
    shards::JOINED,
    shards::ADOPT,
    shards::PARTITION_OF,
    shards::HEADS,
    shards::TOLD,
    shards::INSERT_UNTOLD,
    moves::copy::TAKE,
    moves::copy::TAKE_MARKS,
    moves::leave::HOLD,
    moves::leave::LEFT,
    moves::leave::CLEAR_REPLAYS,
    moves::stand::STALLED,
    moves::state::ENDPOINT_NUMBERS,
    moves::state::REPLAY_NUMBERS,
    moves::state::TAKE_ENDPOINTS,
    moves::state::TAKE_REPLAYS,
    moves::state::TAKE_LANES,
    moves::state::TAKE_CIRCUITS,
    moves::state::TAKE_RETRIES,
    moves::state::TAKE_REDRIVES,
    moves::state::TAKE_DEAD,
    moves::arrive::EXPECT,
    moves::arrive::PREPARE,
    moves::arrive::NEWEST_ATTEMPTS,
    moves::arrive::TAKE_ATTEMPTS,
    leases::BEAT,
    leases::CREATE,
    leases::LEAVE,
    leases::LIST,
    leases::MASTER_CHECK,
];

/// Rows of every table of delivery and of the catalog, from the number that was reached to the next.
fn fill(from: usize, to: usize) -> String {
    let rows = format!("generate_series({from} + 1, {to}) n");
    format!(
        "INSERT INTO tidings.tenants (name, partition, created_at) SELECT 't' || n, n % 2, 0 FROM {rows}; \
         INSERT INTO tidings.endpoints (id, tenant_no, partition, revision, status, url, selections, settings, secrets, \
           created_at, updated_at) SELECT 'ep' || n, n, 0, n, \
           (ARRAY['active', 'deleted', 'active'])[n % 3 + 1], '', '[]', '', '', 0, 0 FROM {rows}; \
         INSERT INTO tidings.lanes SELECT 0, n, n, 0 FROM {rows}; \
         INSERT INTO tidings.retries SELECT 0, n % 10 + 1, n, 0, 0 FROM {rows}; \
         INSERT INTO tidings.circuits SELECT 0, n, 'open', 0, 0, 0, 0 FROM {rows}; \
         INSERT INTO tidings.dead_letters SELECT 1, n, n % 10, 0, NULL, 'expired', 0 FROM {rows}; \
         INSERT INTO tidings.redrives SELECT 0, n % 10, n FROM {rows}; \
         INSERT INTO tidings.replays (id, endpoint, tenant_no, partition, revision, state, after_sequence, \
           upto_sequence, types, created_at, ended_at) \
           SELECT 'r' || n, n % 10, 1, 0, n, CASE WHEN n % 2 = 0 THEN 'running' ELSE 'done' END, 0, 0, '[]', 0, \
           CASE WHEN n % 2 = 0 THEN NULL ELSE 0 END FROM {rows}; \
         INSERT INTO tidings.catalog_entries SELECT 'definition', 'a' || n % 10, n, n, '', '', NULL, 0 FROM {rows}; \
         INSERT INTO tidings.catalog_newest SELECT 'definition', 'a' || n % 10, n, n FROM {rows}; \
         INSERT INTO tidings.quarantines SELECT 't' || n, 0 FROM {rows}; \
         INSERT INTO tidings.asides (tenant, event_id, hash, type, version, event, reasons, sender, at) \
           SELECT 't' || n % 10, n, sha256(n::text::bytea), 'a' || n % 5, '1', '', '', '', 0 FROM {rows}; \
         INSERT INTO tidings.marks SELECT 1, n, 'a' || n % 5, '1', '' FROM {rows}; \
         INSERT INTO tidings.departures SELECT n, repeat('0', 26), 0, 1, false, 0 FROM {rows}; \
         INSERT INTO tidings.arrivals SELECT n, repeat('0', 26), 0, 1, 0, false, 0 FROM {rows}; \
         INSERT INTO tidings.quotas SELECT 't' || n, n, n, n, n, n, 'k', 0 FROM {rows}; \
         INSERT INTO tidings.untold (event) SELECT '{{}}' FROM {rows}; \
         INSERT INTO tidings.observed SELECT 'a' || n, '1', 'service', 's', 1, 0, 0 FROM {rows}; \
         INSERT INTO tidings.attempts SELECT n % 10, n, n % 10, n, 1, 0, CASE WHEN n % 5 = 0 THEN 500 ELSE 200 END \
           FROM {rows}"
    )
}

/// The steps of a statement's generic plan.
async fn plan(lease: &Lease, name: &str, sql: &str) -> String {
    let statement = lease.prepare(sql).await.unwrap_or_else(|error| panic!("{sql}\n{}", address::describe(&error)));
    // Numbers that rise, so that a span of time is none that holds nothing.
    let values = statement.params().iter().enumerate().map(|(at, kind)| match kind.kind() {
        tokio_postgres::types::Kind::Array(_) => format!("'{{{at}}}'"),
        _ if *kind == tokio_postgres::types::Type::BOOL => "true".to_owned(),
        _ => format!("'{at}'"),
    });
    let values = values.collect::<Vec<_>>().join(", ");
    lease.batch_execute(&format!("PREPARE {name} AS {sql}")).await.expect("a statement");
    let execute = if values.is_empty() { name.to_owned() } else { format!("{name} ({values})") };
    let steps = lease.simple_query(&format!("EXPLAIN EXECUTE {execute}")).await.expect("a plan");
    let text = |message: &tokio_postgres::SimpleQueryMessage| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    };
    steps.iter().filter_map(text).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn every_statement_of_delivery_and_catalog_goes_by_its_index_whenever_it_was_planned() {
    let database = Postgres::shared().database().await;
    let options = PostgresOptions {
        partitions: 2,
        connections: 4,
        patience: Duration::from_secs(5),
        ..PostgresOptions::default()
    };
    let store = PostgresStore::connect(&database.url(), options).await.expect("a store");
    let lease = store.connections.writer().await.expect("a connection");
    let start = Timestamp::from_micros(0);
    attempts::keep(&store.connections, start, start).await.expect("room");
    let (mut written, mut wrong) = (0, Vec::new());
    for rows in [0_usize, 1, 30, 300, 3_000] {
        lease.batch_execute(&fill(written, rows)).await.expect("rows");
        written = rows;
        for analyzed in [false, true] {
            if analyzed {
                lease.batch_execute("ANALYZE").await.expect("statistics");
            }
            for (at, (sql, wanted)) in GOES_BY.iter().enumerate() {
                let plan = plan(&lease, &format!("p{rows}_{analyzed}_{at}"), sql).await;
                let indexes: BTreeSet<&str> =
                    plan.lines().filter_map(|line| line.split(" using ").nth(1)?.split(' ').next()).collect();
                let wanted: BTreeSet<&str> = wanted.iter().copied().collect();
                if indexes != wanted || plan.contains("Seq Scan") || plan.contains("Sort  (") {
                    wrong.push(format!("{rows} rows, analyzed: {analyzed}, wanted {wanted:?}: {sql}\n{plan}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    for sql in OTHERS {
        lease.prepare(sql).await.unwrap_or_else(|error| panic!("{sql}\n{}", address::describe(&error)));
    }
}
