//! What holds across openings, and what the database itself holds.

use tidings_event::{Position, Sequence};
use tidings_store::Error;

use crate::home::{Home, PARTITIONS};
use crate::make::{all_of, append, event, ids, place};

pub(crate) async fn reopening_finds_the_same_log(home: Home) {
    let store = home.open().await;
    let log = store.log();
    assert_eq!(log.partitions, PARTITIONS);
    let written = append(&*store, vec![event("acme", "a"), event("acme", "b")]).await;
    store.close().await;
    drop(store);
    let store = home.open().await;
    assert_eq!(store.log(), log);
    assert_eq!(all_of(&*store, written[0].partition).await, written);
    assert_eq!(append(&*store, vec![event("acme", "c")]).await[0].position, Position(3));
}

pub(crate) async fn two_stores_on_one_log_see_each_other(home: Home) {
    let (one, other) = tokio::join!(home.open(), home.open());
    assert_eq!(one.log(), other.log());
    for round in 0..5 {
        append(&*one, vec![event("acme", &format!("{round}-one"))]).await;
        append(&*other, vec![event("acme", &format!("{round}-other"))]).await;
    }
    // At the same time, each with half of the ids that the other has.
    let batch = |from: usize| (from..from + 40).map(|at| event("acme", &format!("b{at}"))).collect::<Vec<_>>();
    let (left, right) = tokio::join!(append(&*one, batch(0)), append(&*other, batch(20)));
    assert_eq!(left.len() + right.len(), 60);
    let rows = all_of(&*one, left[0].partition).await;
    assert_eq!(rows, all_of(&*other, left[0].partition).await);
    assert!(rows.iter().zip(1..).all(|(row, number)| row.sequence == Sequence(number)));
    assert_eq!(place(&*other, "acme").await.head, Sequence(70));
}

pub(crate) async fn the_database_refuses_to_change_the_log(home: Home) {
    let store = home.open().await;
    append(&*store, vec![event("acme", "a"), event("acme", "b")]).await;
    for sql in [
        "UPDATE events SET sequence = 7 WHERE event_id = 'b'",
        "UPDATE events SET type = 'a.b'",
        "UPDATE events SET data = '{}' WHERE event_id = 'a'",
        "UPDATE events SET data = NULL, salt = NULL, actor = 'me'",
        "UPDATE events SET recorded_at = recorded_at + 1",
        "UPDATE events SET digest = salt",
        "DELETE FROM events",
        "DELETE FROM events WHERE event_id = 'a'",
        "UPDATE partitions SET position = position - 1 WHERE position > 0",
        "UPDATE partitions SET recorded_at = recorded_at - 1 WHERE position > 0",
        "DELETE FROM partitions WHERE position > 0",
        "UPDATE partitions SET revision = revision - 1 WHERE position > 0",
        "UPDATE tenants SET sequence = 0",
        "UPDATE tenants SET floor = 99",
        "UPDATE tenants SET partition = 1",
        "UPDATE tenants SET name = 'other'",
        "DELETE FROM tenants",
    ] {
        assert!(home.raw(sql).await.is_err(), "{sql}");
    }
    assert_eq!(ids(&all_of(&*store, place(&*store, "acme").await.partition).await), ["a", "b"]);
    // What retention may do: take a payload with its salt, and whole rows at or below the floor.
    home.raw("UPDATE events SET data = NULL, salt = NULL WHERE event_id = 'a'").await.unwrap();
    home.raw("UPDATE tenants SET floor = 1").await.unwrap();
    assert!(home.raw("UPDATE tenants SET floor = 0").await.is_err());
    home.raw("DELETE FROM events WHERE event_id = 'a'").await.unwrap();
    assert!(home.raw("DELETE FROM events WHERE event_id = 'b'").await.is_err());
}

pub(crate) async fn the_database_refuses_rows_that_break_its_rules(home: Home) {
    let store = home.open().await;
    append(&*store, vec![event("acme", "a")]).await;
    for sql in [
        "INSERT INTO meta SELECT 2, log_id, created_at, probed_at FROM meta",
        "INSERT INTO keys (id, hash, role, tenants, type_prefixes, description, created_at) \
         SELECT 'k', digest, 'king', '[]', '[]', '', 0 FROM events",
        "UPDATE events SET data = NULL",
        "UPDATE events SET salt = NULL",
        "INSERT INTO tenants (name, partition, created_at) SELECT name, partition, 0 FROM tenants",
        "UPDATE partitions SET revision = -1",
        "INSERT INTO leases (role, slot) VALUES ('router', '0')",
        "INSERT INTO leases (role, slot) VALUES ('king', '0')",
        "UPDATE leases SET epoch = -1",
        "UPDATE leases SET node = 'a'",
        "UPDATE leases SET slot = '9' WHERE slot = '0'",
        "UPDATE meta SET master_check = salt FROM events",
        "INSERT INTO lanes (partition, lane, tenant_no, settled) VALUES (0, 0, 1, 0)",
        "INSERT INTO circuits (partition, lane, state, since, until, probes, last) VALUES (0, 1, 'closed', 0, 0, 0, 0)",
        "INSERT INTO dead_letters (tenant_no, sequence, endpoint, attempts, reason, died_at) \
         VALUES (1, 1, 1, 0, 'tired', 0)",
        "INSERT INTO replays (id, endpoint, tenant_no, partition, revision, state, after_sequence, upto_sequence, \
         types, created_at) VALUES ('r', 1, 1, 0, 1, 'done', 0, 0, '[]', 0)",
    ] {
        assert!(home.raw(sql).await.is_err(), "{sql}");
    }
}

pub(crate) async fn a_closed_store_is_not_available(home: Home) {
    let store = home.open().await;
    append(&*store, vec![event("acme", "a")]).await;
    store.close().await;
    store.close().await;
    assert!(matches!(store.probe_write().await, Err(Error::Unavailable { ambiguous: false, .. })));
    assert!(matches!(store.heads().await, Err(Error::Unavailable { .. })));
}

pub(crate) async fn durability_names_its_settings(home: Home) {
    let store = home.open().await;
    store.probe_write().await.unwrap();
    let durability = store.durability().await.unwrap();
    let names: Vec<&str> = durability.settings.iter().map(|(name, _)| name.as_str()).collect();
    match store.backend() {
        tidings_store::Backend::Sqlite => {
            assert_eq!(names, ["journal_mode", "synchronous"]);
            assert_eq!(durability.warnings, Vec::<String>::new());
        }
        tidings_store::Backend::Postgres => {
            assert_eq!(names, ["fsync", "full_page_writes", "synchronous_commit"]);
        }
    }
}

/// One step more than any version has, which needs servers to know the step that is given.
async fn a_later_step(home: &Home, needs: u32) {
    home.open().await.close().await;
    home.raw(
        "INSERT INTO schema_history (version, name, applied_on, checksum) \
         SELECT 9999, name, applied_on, checksum FROM schema_history WHERE version = 1",
    )
    .await
    .unwrap();
    home.raw(&format!("UPDATE meta SET needs_step = {needs}")).await.unwrap();
}

pub(crate) async fn a_log_of_a_newer_version_is_refused(home: Home) {
    a_later_step(&home, 9999).await;
    let refused = home.try_open().await.err().expect("a refusal");
    assert!(matches!(refused, Error::Unusable(_)), "{refused}");
    assert!(refused.to_string().contains("newer"), "{refused}");
}

pub(crate) async fn a_log_that_a_newer_version_only_expanded_is_used(home: Home) {
    let log = home.open().await;
    let id = log.log().id;
    log.close().await;
    a_later_step(&home, 7).await;
    let store = home.open().await;
    assert_eq!(store.log().id, id);
    store.probe_write().await.unwrap();
    store.close().await;
}
