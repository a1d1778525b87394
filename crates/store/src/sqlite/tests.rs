//! What only SQLite can show: its plans, and what it does when there is no room.

use rusqlite::Connection;
use tidings_event::log::AppendPlan;

use super::*;
use crate::search::Driver;
use crate::{Direction, sample};

async fn open(directory: &tempfile::TempDir) -> SqliteStore {
    let options = SqliteOptions { patience: Duration::from_millis(50), ..SqliteOptions::default() };
    SqliteStore::open(&directory.path().join("tidings.db"), options).await.expect("the store opens")
}

fn searches() -> Vec<String> {
    let drivers = Driver::SETS.concat();
    let both = [Direction::Forward, Direction::Backward];
    drivers.iter().flat_map(|driver| both.map(|direction| search::hits_sql(*driver, direction))).collect()
}

#[tokio::test]
async fn every_statement_is_one_that_sqlite_understands() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(&directory).await;
    let prepared = store.writer.call(|connection, _| {
        let fixed = [
            append::BEGIN,
            append::PARTITION_HEAD,
            read::HEADS,
            append::TENANT_HEAD,
            append::ADDRESS_OF_ID,
            append::NEWEST_OF_ENTITY,
            append::INSERT_MARK,
            append::INSERT_EVENT,
            append::ADVANCE_PARTITION,
            append::ADVANCE_TENANT,
            read::AT_ADDRESS,
            read::TAIL,
            read::FEED,
            read::TENANT_BOUNDS,
            read::TENANT_NAME,
            read::REVISION,
            read::SEQUENCE_BEFORE,
            search::TYPES_OF_PREFIX,
            search::CAUSED_BY,
            tenants::BY_NAME,
            tenants::LIST,
            tenants::PLACE,
            tenants::PROBE,
            keys::INSERT,
            keys::BY_HASH,
            keys::LIST,
            keys::REVOKE,
            quotas::ADVANCE,
            quotas::PUT,
            quotas::OF_TENANT,
            quotas::HEAD,
            quotas::AFTER,
        ];
        for sql in fixed.into_iter().map(str::to_owned).chain(searches()) {
            connection.prepare(&sql)?;
        }
        Ok(())
    });
    prepared.await.expect("all of them");
}

/// The steps of a statement's plan, as SQLite describes them.
pub(super) fn plan(connection: &Connection, sql: &str) -> String {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("a statement");
    for parameter in 1..=statement.parameter_count() {
        statement.raw_bind_parameter(parameter, 1).expect("a parameter");
    }
    let mut rows = statement.raw_query();
    let mut plan = String::new();
    while let Some(row) = rows.next().expect("a step") {
        plan += &row.get::<_, String>(3).expect("its text");
        plan.push('\n');
    }
    plan
}

#[tokio::test]
async fn every_read_of_the_log_goes_by_an_index_and_sorts_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(&directory).await;
    let plans = store.writer.call(|connection, _| {
        let mut wanted = vec![
            (append::ADDRESS_OF_ID.to_owned(), "events_by_id"),
            (append::NEWEST_OF_ENTITY.to_owned(), "events_by_entity"),
            (read::FEED.to_owned(), "events_by_sequence"),
            (read::TAIL.to_owned(), "INTEGER PRIMARY KEY"),
            (read::SEQUENCE_BEFORE.to_owned(), "events_by_sequence"),
            (search::TYPES_OF_PREFIX.to_owned(), "events_by_type"),
            (search::CAUSED_BY.to_owned(), "events_by_causation"),
        ];
        for direction in [Direction::Forward, Direction::Backward] {
            for (driver, index) in [
                (Driver::Sequence, "events_by_sequence"),
                (Driver::Id, "events_by_id"),
                (Driver::Entity, "events_by_entity"),
                (Driver::Correlation, "events_by_correlation"),
                (Driver::Causation, "events_by_causation"),
                (Driver::Type, "events_by_type"),
            ] {
                wanted.push((search::hits_sql(driver, direction), index));
            }
        }
        Ok(wanted.into_iter().map(|(sql, index)| (plan(connection, &sql), sql, index)).collect::<Vec<_>>())
    });
    for (plan, sql, index) in plans.await.expect("plans") {
        assert!(plan.contains(index), "{sql}\n{plan}");
        assert!(!plan.contains("SCAN events") && !plan.contains("B-TREE FOR ORDER"), "{sql}\n{plan}");
    }
}

async fn append_big(store: &SqliteStore, id: &str) -> Result<AppendPlan> {
    sample::append(store, sample::events(&[id], 100_000)).await
}

async fn set_pages_max(store: &SqliteStore, pages: i64) {
    let set = store.writer.call(move |connection, _| {
        connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
        Ok(())
    });
    set.await.expect("a setting");
}

#[tokio::test]
async fn a_full_disk_is_not_available_and_passes_once_there_is_room() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(&directory).await;
    append_big(&store, "first").await.expect("room");
    set_pages_max(&store, 1).await;
    for at in 0..3 {
        let refused = append_big(&store, &format!("refused{at}")).await;
        assert!(matches!(refused, Err(Error::Unavailable { ambiguous: false, .. })), "{refused:?}");
    }
    assert_eq!(sample::head(&store).await.expect("reads go on"), Position(1));
    set_pages_max(&store, 1_000_000).await;
    assert_eq!(append_big(&store, "second").await.expect("room again").rows[0].position, Position(2));
}

#[tokio::test]
async fn another_process_that_holds_the_file_makes_writes_unavailable_but_not_reads() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(&directory).await;
    append_big(&store, "first").await.expect("a write");
    let other = Connection::open(directory.path().join("tidings.db")).expect("the file");
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let refused = append_big(&store, "second").await;
    assert!(matches!(refused, Err(Error::Unavailable { ambiguous: false, .. })), "{refused:?}");
    assert_eq!(sample::head(&store).await.expect("reads go on"), Position(1));
    other.execute_batch("ROLLBACK").expect("the lock goes");
    append_big(&store, "second").await.expect("a write again");
}

#[tokio::test]
async fn writes_beyond_the_queue_are_refused_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = SqliteOptions { queue: 1, ..SqliteOptions::default() };
    let store = SqliteStore::open(&directory.path().join("tidings.db"), options).await.expect("the store opens");
    let (inside, entered) = tokio::sync::oneshot::channel();
    let (gate, opened) = std::sync::mpsc::sync_channel::<()>(1);
    let busy = store.writer.call(move |_, _| {
        let _ = inside.send(());
        let _ = opened.recv();
        Ok(())
    });
    let others = async {
        entered.await.expect("the writer is busy");
        let (waiting, refused) = futures_util::join!(store.probe_write(), async {
            let refused = store.probe_write().await;
            gate.send(()).expect("the writer waits");
            refused
        });
        waiting.expect("the one that waited");
        assert!(matches!(refused, Err(Error::Unavailable { ambiguous: false, .. })), "{refused:?}");
    };
    let (busy, ()) = futures_util::join!(busy, others);
    busy.expect("the first");
}

#[tokio::test]
async fn a_weaker_setting_is_named_and_warned_of() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = SqliteOptions { synchronous: Synchronous::Normal, ..SqliteOptions::default() };
    let store = SqliteStore::open(&directory.path().join("tidings.db"), options).await.expect("the store opens");
    let durability = store.durability().await.expect("an answer");
    assert!(durability.settings.contains(&("synchronous".to_owned(), "NORMAL".to_owned())));
    assert_eq!(durability.warnings.len(), 1);
}

#[tokio::test]
async fn what_is_no_database_is_unusable() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("tidings.db");
    std::fs::write(&path, "this is a text, and a long one so that it is longer than a header would be".repeat(20))
        .expect("a file");
    let refused = SqliteStore::open(&path, SqliteOptions::default()).await.err().expect("a refusal");
    assert!(matches!(refused, Error::Unusable(_)), "{refused}");
    let nowhere = directory.path().join("no/such/directory/tidings.db");
    let refused = SqliteStore::open(&nowhere, SqliteOptions::default()).await.err().expect("a refusal");
    assert!(matches!(refused, Error::Unusable(_)), "{refused}");
}

#[tokio::test]
async fn only_the_owner_can_read_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(&directory).await;
    append_big(&store, "first").await.expect("a write");
    for name in ["tidings.db", "tidings.db-wal"] {
        let mode = std::fs::metadata(directory.path().join(name)).expect("a file").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }
}
