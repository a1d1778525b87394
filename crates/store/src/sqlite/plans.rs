//! The statements of delivery and of the catalog, and that each finds its rows by an index.

use super::*;

/// Each statement that reads or changes what is there, with an index that it goes by.
const GOES_BY: &[(&str, &str)] = &[
    (endpoints::BY_ID, "endpoints_by_id"),
    (endpoints::LIST, "endpoints_by_id"),
    (endpoints::ALL, "INTEGER PRIMARY KEY"),
    (endpoints::COUNT, "endpoints_by_id"),
    (endpoints::BOUNDS, "INTEGER PRIMARY KEY"),
    (endpoints::SETTLED, "PRIMARY KEY"),
    (endpoints::UPDATE, "INTEGER PRIMARY KEY"),
    (endpoints::CANCEL_REPLAYS, "replays_running"),
    (endpoints::BUMP, "INTEGER PRIMARY KEY"),
    (read::REVISION, "INTEGER PRIMARY KEY"),
    (leases::CLAIM, "nodes_by_boot"),
    (leases::RELEASE, "PRIMARY KEY"),
    (leases::ADVANCE, "PRIMARY KEY"),
    (leases::FORGET, "nodes_by_boot"),
    (routers::GONE, "endpoints_deleted"),
    (routers::LANES, "PRIMARY KEY"),
    (routers::RETRIES, "PRIMARY KEY"),
    (routers::CIRCUITS, "PRIMARY KEY"),
    (routers::CHANGED_ENDPOINTS, "endpoints_by_revision"),
    (routers::CHANGED_REPLAYS, "replays_by_revision"),
    (routers::REDRIVEN_ENDPOINTS, "PRIMARY KEY"),
    (routers::REDRIVES, "PRIMARY KEY"),
    (commit_route::FENCE, "PRIMARY KEY"),
    (commit_route::DELETE_LANE, "PRIMARY KEY"),
    (commit_route::DELETE_RETRY, "PRIMARY KEY"),
    (commit_route::DELETE_CIRCUIT, "PRIMARY KEY"),
    (commit_route::DELETE_REDRIVE, "PRIMARY KEY"),
    (commit_route::COUNT_REPLAY, "INTEGER PRIMARY KEY"),
    (commit_route::END_REPLAY, "INTEGER PRIMARY KEY"),
    (commit_route::DISABLE, "INTEGER PRIMARY KEY"),
    (commit_route::FORGET_RETRIES, "PRIMARY KEY"),
    (commit_route::FORGET_REDRIVES, "PRIMARY KEY"),
    (commit_route::FORGET_ENDPOINT, "INTEGER PRIMARY KEY"),
    (dead::OF_TENANT, "SEARCH d USING PRIMARY KEY"),
    (dead::OF_ENDPOINT, "dead_letters_by_endpoint"),
    (dead::ONE, "dead_letters_by_endpoint"),
    (dead::DELETE, "PRIMARY KEY"),
    (dead::PARTITION_OF_ENDPOINT, "INTEGER PRIMARY KEY"),
    (dead::PARTITION_OF_REPLAY, "INTEGER PRIMARY KEY"),
    (dead::RETRY, "PRIMARY KEY"),
    (dead::STATE, "dead_letters_by_endpoint"),
    (replays::CANCEL, "INTEGER PRIMARY KEY"),
    (replays::BY_NO, "INTEGER PRIMARY KEY"),
    (replays::BY_ID, "replays_by_id"),
    (replays::LIST, "replays_by_endpoint"),
    (attempts::OF_DAY, "SEARCH a USING PRIMARY KEY"),
    (attempts::FAILED_OF_DAY, "attempts_failed"),
    (attempts::OF_EVENT, "attempts_by_sequence"),
    (attempts::DAY_BEFORE, "SEARCH"),
    (attempts::FIRST_DAY, "SEARCH"),
    (attempts::DELETE, "SEARCH attempts USING PRIMARY KEY"),
    (attempts::DELETE_DEAD, "dead_letters_by_endpoint"),
    (attempts::DELETE_REPLAYS, "replays_by"),
    (attempts::DELETE_ENDPOINT, "INTEGER PRIMARY KEY"),
    (attempts::FORGOTTEN, "endpoints_deleted"),
    (entries::REVISION, "INTEGER PRIMARY KEY"),
    (entries::AFTER, "catalog_newest_by_revision"),
    (entries::NEWEST, "SEARCH n USING PRIMARY KEY"),
    (entries::HISTORY, "catalog_entries_by_name"),
    (entries::HISTORY_OF_VERSION, "catalog_entries_by_key"),
    (entries::ADVANCE, "INTEGER PRIMARY KEY"),
    (asides::COUNT, "PRIMARY KEY"),
    (asides::SUBTRACT, "PRIMARY KEY"),
    (asides::RENEW, "asides_by_event"),
    (asides::LIST, "asides_by_tenant"),
    (asides::OF_TYPE, "asides_by_type"),
    (asides::ONE, "INTEGER PRIMARY KEY"),
    (asides::DELETE, "INTEGER PRIMARY KEY"),
    (marks::LIST, "PRIMARY KEY"),
    (marks::OF_TYPE, "marks_by_type"),
    (observed::UPDATE, "PRIMARY KEY"),
    (observed::LIST, "PRIMARY KEY"),
];

/// Statements that only add, or whose table is bounded and read whole.
const OTHERS: &[&str] = &[
    endpoints::INSERT,
    endpoints::PUT_LANE,
    commit_route::INSERT_ATTEMPT,
    commit_route::PUT_RETRY,
    commit_route::PUT_CIRCUIT,
    commit_route::PUT_DEAD,
    dead::PUT_REDRIVE,
    replays::INSERT,
    entries::INSERT,
    entries::PUT_NEWEST,
    asides::ADD,
    asides::INSERT,
    observed::COUNT,
    observed::INSERT,
    observed::TRIM,
    leases::BEAT,
    leases::SWEEP,
    leases::MEMBERS,
    leases::CREATE,
    leases::LEAVE,
    leases::LIST,
    leases::MASTER_CHECK,
];

/// Tables of which no statement may look at all rows.
const TABLES: &[&str] = &[
    "endpoints",
    "leases",
    "lanes",
    "retries",
    "circuits",
    "dead_letters",
    "redrives",
    "replays",
    "attempts",
    "catalog",
    "catalog_entries",
    "catalog_newest",
    "n",
    "quarantines",
    "asides",
    "marks",
    "observed",
    "d",
    "e",
    "a",
    "r",
    "v",
    "t",
    "p",
    "l",
    "c",
];

#[tokio::test]
async fn every_statement_of_delivery_and_catalog_goes_by_its_index_and_sorts_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("tidings.db");
    let store = SqliteStore::open(&path, SqliteOptions::default()).await.expect("the store opens");
    let plans = store.writer.call(|connection, _| {
        for sql in OTHERS {
            connection.prepare(sql)?;
        }
        Ok(GOES_BY.iter().map(|(sql, index)| (tests::plan(connection, sql), *sql, *index)).collect::<Vec<_>>())
    });
    for (plan, sql, index) in plans.await.expect("plans") {
        assert!(plan.contains(index), "{sql}\n{plan}");
        let scans = |line: &str| TABLES.iter().any(|table| line == format!("SCAN {table}"));
        assert!(!plan.lines().any(scans) && !plan.contains("B-TREE FOR ORDER"), "{sql}\n{plan}");
    }
}
