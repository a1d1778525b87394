//! What only PostgreSQL can show: its statements and plans, and what happens when the server goes away.

use tidings_event::log::AppendPlan;
use tidings_testkit::{Postgres, PostgresOptions as ServerOptions};

use super::pool::Lease;
use super::*;
use crate::search::Driver;
use crate::{Decide, Direction, sample};

fn options() -> PostgresOptions {
    PostgresOptions { partitions: 2, connections: 4, patience: Duration::from_secs(5), ..PostgresOptions::default() }
}

fn searches() -> Vec<String> {
    let both = [Direction::Forward, Direction::Backward];
    Driver::SETS.iter().flat_map(|drivers| both.map(|direction| search::search_sql(drivers, direction))).collect()
}

#[tokio::test]
async fn every_statement_is_one_that_postgresql_understands() {
    let database = Postgres::shared().database().await;
    let store = PostgresStore::connect(&database.url(), options()).await.expect("a store");
    let lease = store.connections.writer().await.expect("a connection");
    let fixed = [
        append::LOCK,
        append::TENANT_HEADS,
        append::EXISTING,
        append::NEWEST,
        append::INSERT_MARKS,
        append::INSERT,
        append::COPY,
        append::ADVANCE_PARTITION,
        append::ADVANCE_TENANTS,
        keys::INSERT,
        keys::BY_HASH,
        keys::LIST,
        keys::REVOKE,
        quotas::PUT,
        quotas::OF_TENANT,
        quotas::AFTER,
        read::TAIL,
        read::FEED,
        read::BY_ID,
        read::NAMES,
        read::REVISION,
        read::HEADS,
        read::SEQUENCE_BEFORE,
        search::TYPES_OF_PREFIXES,
        search::CAUSED_BY,
        setup::SERVER,
        setup::SCHEMA_EXISTS,
        setup::LOG,
        setup::CREATE_LOG,
        setup::CREATE_PARTITIONS,
        setup::CREATE_LEASES,
        setup::SETTINGS,
        tenants::BY_NAMES,
        tenants::LIST,
        tenants::PLACE,
        tenants::PROBE,
    ];
    for sql in fixed.into_iter().map(str::to_owned).chain(searches()) {
        lease.prepare(&sql).await.unwrap_or_else(|error| panic!("{sql}\n{}", address::describe(&error)));
    }
}

#[tokio::test]
async fn a_tenant_that_is_held_is_not_moved_within_its_database() {
    let database = Postgres::shared().database().await;
    let store = PostgresStore::connect(&database.url(), options()).await.expect("a store");
    let name = TenantId::parse("acme").expect("a name");
    let tenant = store.place(&[(name, PartitionId(0))]).await.expect("a place").remove(0);
    // As a hold leaves it: in a partition that this database does not have.
    let held = "UPDATE tidings.tenants SET partition = 7, moves = moves + 1 WHERE name = 'acme'";
    database.connect().await.batch_execute(held).await.expect("a hold");
    let refused = store.move_within(tenant.no, PartitionId(1)).await;
    assert!(matches!(refused, Err(Error::Moved(_))), "{refused:?}");
    assert_eq!(store.partition_of(tenant.no).await.expect("an answer"), Some(PartitionId(7)));
}

#[tokio::test]
async fn every_read_of_the_log_goes_by_its_index_whenever_it_was_planned() {
    let database = Postgres::shared().database().await;
    let store = PostgresStore::connect(&database.url(), options()).await.expect("a store");
    let lease = store.connections.writer().await.expect("a connection");
    let wanted = [
        (append::EXISTING.to_owned(), vec!["events_by_id"]),
        (append::NEWEST.to_owned(), vec!["events_by_entity", "events_by_sequence"]),
        (read::TAIL.to_owned(), vec!["events_pkey"]),
        (read::FEED.to_owned(), vec!["events_by_sequence"]),
        (read::SEQUENCE_BEFORE.to_owned(), vec!["events_by_sequence"]),
        (search::CAUSED_BY.to_owned(), vec!["events_by_causation", "events_by_sequence"]),
        (search::TYPES_OF_PREFIXES.to_owned(), vec!["events_by_type", "events_by_type"]),
        (read::BY_ID.to_owned(), vec!["events_by_id"]),
        (
            search::search_sql(&[Driver::Sequence], Direction::Backward),
            vec!["events_by_sequence", "events_by_sequence"],
        ),
        (search::search_sql(&[Driver::Entity], Direction::Forward), vec!["events_by_entity", "events_by_sequence"]),
        (
            search::search_sql(&[Driver::Correlation, Driver::Id], Direction::Forward),
            vec!["events_by_correlation", "events_by_id", "events_by_sequence"],
        ),
        (
            search::search_sql(&[Driver::Causation], Direction::Backward),
            vec!["events_by_causation", "events_by_sequence"],
        ),
        (search::search_sql(&[Driver::Type], Direction::Backward), vec!["events_by_type", "events_by_sequence"]),
    ];
    // A plan is kept as long as its connection, so it must be right however small the table was when it was made.
    let mut written = 0;
    for rows in [0_usize, 1, 40, 100, 160, 240, 400] {
        let ids: Vec<String> = (written..rows).map(|n| format!("event-{n:020}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        if !ids.is_empty() {
            sample::append(&store, sample::events(&ids, 100)).await.expect("an append");
        }
        written = rows;
        check_plans(&lease, &format!("p{rows}"), &wanted).await;
        lease.batch_execute("ANALYZE tidings.events").await.expect("statistics");
        check_plans(&lease, &format!("a{rows}"), &wanted).await;
    }
}

/// Plans each statement anew and compares the indexes that it goes by.
async fn check_plans(lease: &Lease, name: &str, wanted: &[(String, Vec<&str>)]) {
    for (at, (sql, indexes)) in wanted.iter().enumerate() {
        let statement = lease.prepare(sql).await.expect("a statement");
        let nulls = vec!["NULL"; statement.params().len()].join(", ");
        lease.batch_execute(&format!("PREPARE {name}_{at} AS {sql}")).await.expect("a statement");
        let plan = lease.simple_query(&format!("EXPLAIN EXECUTE {name}_{at} ({nulls})")).await.expect("a plan");
        let plan: Vec<&str> = plan
            .iter()
            .filter_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
                _ => None,
            })
            .collect();
        let plan = plan.join("\n");
        let scans: Vec<&str> = plan
            .lines()
            .filter_map(|line| line.split_once(" on events"))
            .map(|(scan, _)| scan.rsplit(' ').next().unwrap_or_default())
            .collect();
        assert_eq!(&scans, indexes, "{name}: {sql}\n{plan}");
    }
}

fn nothing() -> Decide {
    Box::new(|_| AppendPlan::default())
}

#[tokio::test]
async fn a_server_that_stops_is_not_available_and_comes_back() {
    let server = Postgres::start();
    let database = server.database().await;
    let store = PostgresStore::connect(&database.url(), options()).await.expect("a store");
    let log = store.log();
    store.append(PartitionId(0), AppendKeys::default(), nothing()).await.expect("an append");
    server.kill9();
    for _ in 0..8 {
        let failed = store.append(PartitionId(0), AppendKeys::default(), nothing()).await;
        assert!(matches!(failed, Err(Error::Unavailable { ambiguous: false, .. })), "{failed:?}");
        assert!(matches!(sample::head(&store).await, Err(Error::Unavailable { .. })));
        assert!(matches!(store.probe_write().await, Err(Error::Unavailable { .. })));
    }
    let refused = PostgresStore::connect(&database.url(), options()).await.err();
    assert!(matches!(refused, Some(Error::Unavailable { ambiguous: false, .. })), "{refused:?}");
    server.restart();
    store.probe_write().await.expect("a write");
    store.append(PartitionId(0), AppendKeys::default(), nothing()).await.expect("an append");
    assert_eq!(PostgresStore::connect(&database.url(), options()).await.expect("a store").log(), log);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_lost_while_deciding_is_certainly_nothing() {
    let database = Postgres::shared().database().await;
    let store = Arc::new(PostgresStore::connect(&database.url(), options()).await.expect("a store"));
    let admin = database.connect().await;
    let (inside, entered) = tokio::sync::oneshot::channel();
    let (gate, opened) = std::sync::mpsc::sync_channel::<()>(1);
    let decide: Decide = Box::new(move |_| {
        let _ = inside.send(());
        let _ = opened.recv();
        AppendPlan::default()
    });
    let shared = Arc::clone(&store);
    let append = tokio::spawn(async move { shared.append(PartitionId(0), AppendKeys::default(), decide).await });
    entered.await.expect("the decision began");
    let ended = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity \
                 WHERE datname = current_database() AND application_name = 'tidings' AND state <> 'idle'";
    assert_eq!(admin.query(ended, &[]).await.expect("a word with the server").len(), 1);
    gate.send(()).expect("the decision waits");
    let failed = append.await.expect("a task");
    assert!(matches!(failed, Err(Error::Unavailable { ambiguous: false, .. })), "{failed:?}");
    store.append(PartitionId(0), AppendKeys::default(), nothing()).await.expect("another connection");
}

/// A few rows, which go as arrays, and many, which are copied.
fn both_ways() -> [Vec<String>; 2] {
    [2, 300].map(|count| (0..count).map(|at| format!("e{at}")).collect())
}

/// Makes the database do something for each new row; `kind` says when.
async fn on_insert(database: &tidings_testkit::Database, kind: &str, body: &str) {
    let sql = format!(
        "CREATE FUNCTION tidings.spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NEW; END $$; \
         CREATE {kind} FOR EACH ROW EXECUTE FUNCTION tidings.spoil()"
    );
    database.connect().await.batch_execute(&sql).await.expect("a trigger");
}

#[tokio::test]
async fn a_connection_lost_during_the_commit_is_ambiguous() {
    for ids in both_ways() {
        let database = Postgres::shared().database().await;
        let store = PostgresStore::connect(&database.url(), options()).await.expect("a store");
        let at_commit = "CONSTRAINT TRIGGER spoil AFTER INSERT ON tidings.events DEFERRABLE INITIALLY DEFERRED";
        on_insert(&database, at_commit, "PERFORM pg_terminate_backend(pg_backend_pid());").await;
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let lost = sample::append(&store, sample::events(&ids, 10)).await;
        assert!(matches!(lost, Err(Error::Unavailable { ambiguous: true, .. })), "{lost:?}");
        assert_eq!(sample::head(&store).await.expect("another connection"), Position(0));
    }
}

#[tokio::test]
async fn rows_that_the_database_refuses_leave_nothing_and_that_is_certain() {
    for ids in both_ways() {
        let database = Postgres::shared().database().await;
        let store = PostgresStore::connect(&database.url(), options()).await.expect("a store");
        let refuse = "IF NEW.event_id = 'e1' THEN RAISE EXCEPTION 'no' USING ERRCODE = 'check_violation'; END IF;";
        on_insert(&database, "TRIGGER spoil BEFORE INSERT ON tidings.events", refuse).await;
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        // More often than there are connections: each must come back clean.
        for _ in 0..6 {
            let refused = sample::append(&store, sample::events(&ids, 10)).await;
            assert!(matches!(refused, Err(Error::Broken(_))), "{refused:?}");
        }
        assert_eq!(sample::head(&store).await.expect("a head"), Position(0));
        let tenant = store.tenant(&sample::tenant()).await.expect("an answer").expect("a tenant");
        assert_eq!(tenant.head, Sequence(0));
        let appended = sample::append(&store, sample::events(&["fine"], 10)).await.expect("an append");
        assert_eq!(appended.rows[0].position, Position(1));
    }
}

#[tokio::test]
async fn no_room_at_the_server_is_not_available() {
    let database = Postgres::shared().database().await;
    let store = PostgresStore::connect(&database.url(), options()).await.expect("a store");
    let full = "RAISE EXCEPTION 'no space left on device' USING ERRCODE = 'disk_full';";
    on_insert(&database, "TRIGGER spoil BEFORE INSERT ON tidings.events", full).await;
    let refused = sample::append(&store, sample::events(&["e1"], 10)).await;
    assert!(matches!(refused, Err(Error::Unavailable { ambiguous: false, .. })), "{refused:?}");
    database.connect().await.batch_execute("DROP TRIGGER spoil ON tidings.events").await.expect("room");
    sample::append(&store, sample::events(&["e1"], 10)).await.expect("an append");
}

#[tokio::test]
async fn a_database_that_takes_no_writes_is_refused_with_the_reason() {
    let database = Postgres::shared().database().await;
    let admin = database.connect().await;
    let name = database.name();
    admin
        .batch_execute(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on"))
        .await
        .expect("a setting");
    let refused = PostgresStore::connect(&database.url(), options()).await.err().expect("a refusal");
    assert!(matches!(&refused, Error::Unusable(reason) if reason.contains("read_only")), "{refused}");
}

#[tokio::test]
async fn a_database_in_another_encoding_is_refused_with_the_reason() {
    let server = Postgres::shared();
    let database = server.database().await;
    let admin = database.connect().await;
    let name = format!("{}_latin", database.name());
    let create = format!("CREATE DATABASE {name} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
    admin.batch_execute(&create).await.expect("a database");
    let url = database.url().replace(database.name(), &name);
    let refused = PostgresStore::connect(&url, options()).await.err().expect("a refusal");
    assert!(matches!(&refused, Error::Unusable(reason) if reason.contains("LATIN1")), "{refused}");
    admin.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await.expect("gone");
}

#[tokio::test]
async fn weak_settings_are_named_and_warned_of() {
    let settings = ["fsync", "full_page_writes", "synchronous_commit"].map(|name| (name.to_owned(), "off".to_owned()));
    let server = Postgres::start_with(ServerOptions { settings: settings.to_vec(), ..ServerOptions::default() });
    let database = server.database().await;
    let store = PostgresStore::connect(&database.url(), options()).await.expect("a store");
    let durability = store.durability().await.expect("an answer");
    assert_eq!(durability.settings, settings);
    assert_eq!(durability.warnings.len(), 3);
}

#[tokio::test]
async fn a_flood_of_reads_leaves_connections_for_writes() {
    let database = Postgres::shared().database().await;
    let store = PostgresStore::connect(&database.url(), options()).await.expect("a store");
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(store.connections.reader().await.expect("a reader"));
    }
    store.probe_write().await.expect("a write finds a connection");
    drop(held);
    sample::head(&store).await.expect("a reader again");
}
