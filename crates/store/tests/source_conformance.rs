//! What every outbox source promises, on both databases.
#![allow(clippy::unwrap_used)]

#[path = "source/postgres.rs"]
mod postgres;
#[path = "source/sqlite.rs"]
mod sqlite;
#[path = "source/support.rs"]
mod support;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use support::{Setup, key, on_both};
use tidings_store::{IntentAnswer, ProbeAnswer, RowProbe, SourceError, install_outbox};

on_both![
    rows_come_in_order_and_within_bounds,
    an_envelope_keeps_its_bytes,
    uncommitted_and_rolled_back_rows_never_appear,
    a_row_behind_the_floor_is_found_by_the_next_sweep,
    a_deleted_row_is_gone_and_an_intent_cannot_be_deleted,
    refused_rows_stay_out_of_the_way_until_someone_decides,
    a_source_key_is_unique,
    an_intent_appears_only_once_it_is_confirmed,
    a_confirmed_intent_goes_to_the_end_of_the_queue,
    a_discarded_intent_never_appears,
    the_same_intent_again_changes_nothing_and_another_is_told,
    intents_become_stale_by_the_clock_of_their_own_database,
    a_probe_that_could_not_tell_is_counted,
    a_row_probe_finds_rows_by_the_type_of_each_column,
    a_row_probe_that_makes_no_sense_cannot_tell,
    the_status_counts_what_is_there,
    the_clock_is_the_databases,
    a_newer_outbox_than_this_server_knows_is_left_alone,
];

async fn rows_come_in_order_and_within_bounds(setup: Setup) {
    let producer = setup.producer().await;
    assert!(setup.waiting(0).await.is_empty());
    setup.insert(&producer, &["a", "b", "c", "d", "e"]).await;
    assert_eq!(setup.waiting(0).await, ["a", "b", "c", "d", "e"]);

    let ids = setup.ids().await;
    assert!(ids.is_sorted());
    assert_eq!(setup.waiting(ids[3]).await, ["d", "e"]);
    assert_eq!(setup.source.read(0, 2, 1_000).await.unwrap().len(), 2);
    // Each envelope has ten bytes. At least one row always comes.
    assert_eq!(setup.source.read(0, 10, 25).await.unwrap().len(), 3);
    assert_eq!(setup.source.read(0, 10, 1).await.unwrap().len(), 1);
}

async fn an_envelope_keeps_its_bytes(setup: Setup) {
    let producer = setup.producer().await;
    let event = r#"{ "id":"a",  "data":{"b":1.10,"a":12345678901234567890, "u":"\u00e9ü"} }"#;
    producer.run(&format!("insert into {} (source_key, event) values ('a', '{event}')", setup.table())).await;
    assert_eq!(setup.source.read(0, 10, 1_000).await.unwrap()[0].event, event.as_bytes());
}

async fn uncommitted_and_rolled_back_rows_never_appear(setup: Setup) {
    let producer = setup.producer().await;
    for (end, expect) in [("rollback", vec![]), ("commit", vec!["a"])] {
        producer.run("begin").await;
        setup.insert(&producer, &["a"]).await;
        assert!(setup.waiting(0).await.is_empty());
        producer.run(end).await;
        assert_eq!(setup.waiting(0).await, expect);
    }
}

async fn a_row_behind_the_floor_is_found_by_the_next_sweep(setup: Setup) {
    let producer = setup.producer().await;
    if setup.is_postgres() {
        // The ids are taken in one order, the commits come in the other.
        let late = setup.producer().await;
        late.run("begin").await;
        setup.insert(&late, &["late"]).await;
        setup.insert(&producer, &["early"]).await;
        let ids = setup.ids().await;
        assert_eq!(setup.waiting(0).await, ["early"]);
        setup.source.delete(&ids).await.unwrap();
        late.run("commit").await;
        assert!(setup.waiting(ids[0] + 1).await.is_empty());
        assert_eq!(setup.waiting(0).await, ["late"]);
    } else {
        setup.insert(&producer, &["a", "b"]).await;
        let ids = setup.ids().await;
        setup.source.delete(&ids[1..]).await.unwrap();
        // An id is not used again, so that a new row is never behind the floor.
        setup.insert(&producer, &["c"]).await;
        assert_eq!(setup.waiting(ids[1] + 1).await, ["c"]);
        assert_eq!(setup.waiting(0).await, ["a", "c"]);
    }
}

async fn a_deleted_row_is_gone_and_an_intent_cannot_be_deleted(setup: Setup) {
    let producer = setup.producer().await;
    setup.insert(&producer, &["a", "b", "c"]).await;
    let ids = setup.ids().await;
    setup.source.delete(&[ids[0], ids[2]]).await.unwrap();
    setup.source.delete(&[ids[0]]).await.unwrap();
    setup.source.delete(&[]).await.unwrap();
    assert_eq!(setup.waiting(0).await, ["b"]);

    setup.source.append_intent(&key("i"), b"{}", None).await.unwrap();
    setup.source.delete(&(0..100).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(setup.source.status().await.unwrap().intents, 1);
}

async fn refused_rows_stay_out_of_the_way_until_someone_decides(setup: Setup) {
    let (producer, source) = (setup.producer().await, &setup.source);
    setup.insert(&producer, &["a", "b", "c", "d"]).await;
    let ids = setup.ids().await;
    let reasons = [(ids[0], "first".to_owned()), (ids[1], "zero \0".to_owned()), (ids[2], "third".to_owned())];
    source.refuse(&reasons).await.unwrap();
    assert_eq!(setup.waiting(0).await, ["d"]);

    let refused = source.refused(0, 2).await.unwrap();
    assert_eq!(refused.iter().map(|refused| refused.row.source_key.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((refused[0].attempts, refused[0].error.as_str()), (1, "first"));
    let rest = source.refused(refused[1].row.id, 10).await.unwrap();
    assert_eq!(rest.len(), 1);

    assert!(source.retry(ids[0], None).await.unwrap());
    assert!(source.retry(ids[1], Some(br#"{"id":"b", "mended":true}"#)).await.unwrap());
    assert!(source.discard_refused(ids[2]).await.unwrap());
    let rows = source.read(0, 10, 1_000).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.source_key.as_str()).collect::<Vec<_>>(), ["a", "b", "d"]);
    assert_eq!(rows[1].event, br#"{"id":"b", "mended":true}"#);

    // A second refusal counts on.
    source.refuse(&[(ids[0], "again".to_owned())]).await.unwrap();
    assert_eq!(source.refused(0, 10).await.unwrap()[0].attempts, 2);
    // What is not refused is neither retried nor discarded.
    for id in [ids[2], ids[3], 4_711] {
        assert!(!source.retry(id, None).await.unwrap());
        assert!(!source.discard_refused(id).await.unwrap());
    }
}

async fn a_source_key_is_unique(setup: Setup) {
    let producer = setup.producer().await;
    setup.insert(&producer, &["a"]).await;
    let insert = format!("insert into {} (source_key, event) values ('a', '{{}}')", setup.table());
    assert!(producer.try_run(&insert).await.is_err());
    assert!(!setup.source.append_intent(&key("a"), b"{}", None).await.unwrap());
    assert_eq!(setup.waiting(0).await, ["a"]);
}

async fn an_intent_appears_only_once_it_is_confirmed(setup: Setup) {
    let source = &setup.source;
    assert!(source.append_intent(&key("i"), br#"{"id":"i"}"#, Some(br#"{"kind":"http"}"#)).await.unwrap());
    assert!(setup.waiting(0).await.is_empty());
    assert!(source.row(&key("i")).await.unwrap().is_some());
    assert_eq!(source.confirm_intent(&key("i")).await.unwrap(), IntentAnswer::Done);
    assert_eq!(source.confirm_intent(&key("i")).await.unwrap(), IntentAnswer::AlreadyConfirmed);
    assert_eq!(source.discard_intent(&key("i")).await.unwrap(), IntentAnswer::AlreadyConfirmed);
    let rows = source.read(0, 10, 1_000).await.unwrap();
    assert_eq!((rows.len(), rows[0].event.as_slice()), (1, br#"{"id":"i"}"#.as_slice()));
    source.delete(&[rows[0].id]).await.unwrap();
    assert_eq!(source.confirm_intent(&key("i")).await.unwrap(), IntentAnswer::Absent);
    assert!(source.row(&key("i")).await.unwrap().is_none());
}

async fn a_confirmed_intent_goes_to_the_end_of_the_queue(setup: Setup) {
    let producer = setup.producer().await;
    setup.source.append_intent(&key("intent"), b"{}", None).await.unwrap();
    setup.insert(&producer, &["a"]).await;
    let floor = setup.ids().await[0] + 1;
    setup.source.confirm_intent(&key("intent")).await.unwrap();
    assert_eq!(setup.waiting(0).await, ["a", "intent"]);
    assert_eq!(setup.waiting(floor).await, ["intent"]);
    setup.insert(&producer, &["b"]).await;
    assert_eq!(setup.waiting(0).await, ["a", "intent", "b"]);
}

async fn a_discarded_intent_never_appears(setup: Setup) {
    let source = &setup.source;
    source.append_intent(&key("i"), b"{}", None).await.unwrap();
    assert_eq!(source.discard_intent(&key("i")).await.unwrap(), IntentAnswer::Done);
    assert_eq!(source.discard_intent(&key("i")).await.unwrap(), IntentAnswer::Absent);
    assert_eq!(source.confirm_intent(&key("i")).await.unwrap(), IntentAnswer::Absent);
    assert!(setup.waiting(0).await.is_empty());
}

async fn the_same_intent_again_changes_nothing_and_another_is_told(setup: Setup) {
    let event = |amount: u32, timestamp: &str| {
        let event = json!({"id": "i", "type": "a.b", "tenant": "t", "timestamp": timestamp,
            "source": {"type": "service", "id": "s"}, "data": {"amount": amount}});
        event.to_string().into_bytes()
    };
    let source = &setup.source;
    let again = |event: Vec<u8>| async move { source.append_intent(&key("i"), &event, None).await.unwrap() };
    assert!(again(event(1, "2026-03-15T10:00:00Z")).await);
    assert!(again(event(1, "2026-03-15T10:00:01Z")).await);
    assert!(!again(event(2, "2026-03-15T10:00:00Z")).await);
}

async fn intents_become_stale_by_the_clock_of_their_own_database(setup: Setup) {
    let producer = setup.producer().await;
    for (name, age, probe) in [
        ("own_old", 100, r#"'{"stale_after_s":60}'"#),
        ("own_young", 100, r#"'{"stale_after_s":3000}'"#),
        ("default_old", 400, "null"),
        ("default_young", 200, r#"'{"kind":"http"}'"#),
        ("odd_is_default", 400, r#"'{"stale_after_s":"soon"}'"#),
        ("huge", 400, r#"'{"stale_after_s":1e300}'"#),
        ("negative", 0, r#"'{"stale_after_s":-5}'"#),
    ] {
        let sql = format!(
            "insert into {} (source_key, state, event, probe, created_at) values ('{name}', 'intent', '{{}}', {probe}, {})",
            setup.table(),
            setup.ago(age)
        );
        producer.run(&sql).await;
    }
    setup.insert(&producer, &["confirmed"]).await;
    let stale = setup.source.stale_intents(0, 300, 10).await.unwrap();
    let names: Vec<&str> = stale.iter().map(|intent| intent.source_key.as_str()).collect();
    assert_eq!(names, ["own_old", "default_old", "odd_is_default", "negative"]);
    assert_eq!(
        (stale[0].probe.as_slice(), stale[1].probe.as_slice()),
        (br#"{"stale_after_s":60}"#.as_slice(), b"{}".as_slice())
    );

    let page = setup.source.stale_intents(0, 300, 1).await.unwrap();
    let next = setup.source.stale_intents(page[0].id, 300, 1).await.unwrap();
    assert_eq!(next[0].source_key, "default_old");
}

async fn a_probe_that_could_not_tell_is_counted(setup: Setup) {
    setup.source.append_intent(&key("i"), b"{}", Some(br#"{"stale_after_s":0}"#)).await.unwrap();
    let intent = setup.source.stale_intents(0, 300, 10).await.unwrap().remove(0);
    assert_eq!(intent.attempts, 0);
    assert_eq!(setup.source.count_unresolved(intent.id, "no answer").await.unwrap(), 1);
    assert_eq!(setup.source.count_unresolved(intent.id, "no answer").await.unwrap(), 2);
    assert_eq!(setup.source.stale_intents(0, 300, 10).await.unwrap()[0].attempts, 2);
    assert_eq!(setup.source.count_unresolved(4_711, "no row").await.unwrap(), 0);

    // The reason goes with the intent; the event that comes of it was not refused.
    setup.source.confirm_intent(&key("i")).await.unwrap();
    assert_eq!(setup.waiting(0).await, ["i"]);
}

fn probe(table: &str, key: Value, revision: Option<(&str, i64)>) -> RowProbe {
    let key: BTreeMap<String, Value> = serde_json::from_value(key).unwrap();
    RowProbe { table: table.to_owned(), key, revision: revision.map(|(column, least)| (column.to_owned(), least)) }
}

const UUID: &str = "0b9d5a2e-8f4c-4f0e-9a52-2d5c3c1f7e11";

async fn with_orders(setup: &Setup) {
    let types = if setup.is_postgres() {
        ("bigint", "uuid", "varchar(10)", "boolean", "numeric(10,2)")
    } else {
        ("integer", "text", "varchar(10)", "boolean", "numeric")
    };
    let sql = format!(
        "create table orders (id {} primary key, ref {} not null, name {}, paid {}, price {}, rev int, \"Odd \"\"Name\" int); \
         insert into orders values (7, '{UUID}', 'lead', true, 1.50, 3, 9); \
         create table lines (order_id int, no int, primary key (order_id, no)); insert into lines values (7, 2)",
        types.0, types.1, types.2, types.3, types.4
    );
    setup.producer().await.run(&sql).await;
}

async fn a_row_probe_finds_rows_by_the_type_of_each_column(setup: Setup) {
    with_orders(&setup).await;
    let schema = if setup.is_postgres() { "public" } else { "main" };
    for (exists, table, key, revision) in [
        (true, "orders", json!({"id": 7}), None),
        (true, "orders", json!({"id": "7"}), None),
        (false, "orders", json!({"id": 8}), None),
        (false, "orders", json!({"id": "8"}), None),
        (true, "orders", json!({"ref": UUID}), None),
        (false, "orders", json!({"ref": UUID.replace('0', "1")}), None),
        (true, "orders", json!({"name": "lead"}), None),
        (false, "orders", json!({"name": "leader and more than ten"}), None),
        (false, "orders", json!({"name": "' or '1'='1"}), None),
        (true, "orders", json!({"paid": true}), None),
        (false, "orders", json!({"paid": false}), None),
        (true, "orders", json!({"price": 1.5}), None),
        (true, "orders", json!({"id": 7, "rev": 3}), None),
        (true, "orders", json!({"id": 7}), Some(("rev", 3))),
        (true, "orders", json!({"id": 7}), Some(("rev", 2))),
        (false, "orders", json!({"id": 7}), Some(("rev", 4))),
        (true, "orders", json!({"Odd \"Name": 9}), None),
        (true, "lines", json!({"order_id": 7, "no": 2}), None),
        (false, "lines", json!({"order_id": 7, "no": 3}), None),
        (true, &format!("{schema}.orders"), json!({"id": 7}), None),
    ] {
        let probe = probe(table, key, revision);
        let expect = if exists { ProbeAnswer::Exists } else { ProbeAnswer::Missing };
        assert_eq!(setup.source.probe_row(&probe).await.unwrap(), expect, "{probe:?}");
    }
}

async fn a_row_probe_that_makes_no_sense_cannot_tell(setup: Setup) {
    with_orders(&setup).await;
    for (table, key, revision) in [
        ("nowhere", json!({"id": 7}), None),
        ("nowhere.orders", json!({"id": 7}), None),
        ("a.b.orders", json!({"id": 7}), None),
        ("", json!({"id": 7}), None),
        ("orders; drop table orders", json!({"id": 7}), None),
        ("orders\" where true --", json!({"id": 7}), None),
        ("orders", json!({}), None),
        ("orders", json!({"nothing": 7}), None),
        ("orders", json!({"id\" = 7 or \"id": 7}), None),
        ("orders", json!({"id": "seven"}), None),
        ("orders", json!({"id": 1.5}), None),
        ("orders", json!({"id": null}), None),
        ("orders", json!({"id": [7]}), None),
        ("orders", json!({"id": 7}), Some(("nothing", 1))),
        ("orders", json!({"id": 7}), Some(("name", 1))),
        (setup.table(), json!({"source_key": "a"}), None),
        ("tidings_outbox_meta", json!({"version": 1}), None),
        ("sqlite_master", json!({"name": "orders"}), None),
        ("pg_class", json!({"relname": "orders"}), None),
        ("information_schema.tables", json!({"table_name": "orders"}), None),
    ] {
        let probe = probe(table, key, revision);
        let answer = setup.source.probe_row(&probe).await.unwrap();
        assert!(matches!(answer, ProbeAnswer::CannotTell(_)), "{probe:?}: {answer:?}");
    }
    assert_eq!(setup.source.probe_row(&probe("orders", json!({"id": 7}), None)).await.unwrap(), ProbeAnswer::Exists);
}

async fn the_status_counts_what_is_there(setup: Setup) {
    let producer = setup.producer().await;
    let empty = setup.source.status().await.unwrap();
    assert_eq!((empty.version, empty.pending, empty.oldest_pending), (1, 0, None));
    setup.insert(&producer, &["a", "b", "c"]).await;
    let rows = setup.source.read(0, 10, 1_000).await.unwrap();
    setup.source.refuse(&[(rows[0].id, "no".to_owned())]).await.unwrap();
    setup.source.append_intent(&key("i"), b"{}", None).await.unwrap();
    let status = setup.source.status().await.unwrap();
    assert_eq!((status.pending, status.intents, status.refused), (2, 1, 1));
    let before = async |id| setup.source.waiting_before(id).await.unwrap();
    assert_eq!((before(i64::MIN).await, before(rows[1].id).await, before(i64::MAX).await), (0, 0, 2));
    assert_eq!(status.oldest_pending, Some(rows[1].created_at));
}

async fn the_clock_is_the_databases(setup: Setup) {
    let producer = setup.producer().await;
    let before = setup.source.clock().await.unwrap();
    setup.insert(&producer, &["a"]).await;
    let created = setup.source.read(0, 1, 1).await.unwrap()[0].created_at;
    assert!(before <= created && created <= setup.source.clock().await.unwrap());
}

async fn a_newer_outbox_than_this_server_knows_is_left_alone(setup: Setup) {
    let meta = if setup.is_postgres() { "tidings.outbox_meta" } else { "tidings_outbox_meta" };
    setup.producer().await.run(&format!("update {meta} set version = 7")).await;
    assert!(matches!(setup.source.read(0, 1, 1).await, Err(SourceError::NotInstalled(_))));
    assert!(matches!(install_outbox(&setup.url).await, Err(SourceError::NotInstalled(_))));
}

async fn says_so_without_an_outbox_and_works_with_one(setup: Setup) {
    let error = setup.source.read(0, 1, 1).await.unwrap_err();
    assert!(matches!(error, SourceError::NotInstalled(_)), "{error:?}");
    install_outbox(&setup.url).await.unwrap();
    assert!(setup.waiting(0).await.is_empty());
    setup.source.append_intent(&key("i"), b"{}", None).await.unwrap();
    install_outbox(&setup.url).await.unwrap();
    assert_eq!(setup.source.status().await.unwrap().intents, 1);
}

#[tokio::test]
async fn a_file_without_an_outbox_says_so_and_works_with_one() {
    says_so_without_an_outbox_and_works_with_one(Setup::empty_sqlite()).await;
}

#[tokio::test]
async fn a_database_without_an_outbox_says_so_and_works_with_one() {
    says_so_without_an_outbox_and_works_with_one(Setup::empty_postgres().await).await;
}
