//! What an outbox in an SQLite file promises besides.

use std::collections::HashSet;

use crate::support::{Setup, key};
use tidings_store::{ProbeAnswer, RowProbe, SourceError, install_outbox, open_source};

#[tokio::test]
async fn a_missing_file_is_unavailable_until_it_is_there_and_a_replaced_one_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("later.db");
    let url = format!("sqlite://{}", path.display());
    let source = open_source(&url).unwrap();
    assert!(matches!(source.read(0, 1, 1).await, Err(SourceError::Unavailable(_))));
    assert!(!path.exists());
    install_outbox(&url).await.unwrap();
    source.append_intent(&key("i"), b"{}", None).await.unwrap();
    assert_eq!(source.status().await.unwrap().intents, 1);

    let other = directory.path().join("other.db");
    install_outbox(other.to_str().unwrap()).await.unwrap();
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
    }
    std::fs::rename(other, path).unwrap();
    assert_eq!(source.status().await.unwrap().intents, 0);
}

#[tokio::test]
async fn a_commit_of_another_is_a_change_and_a_delete_of_our_own_is_none() {
    let setup = Setup::empty_sqlite().installed().await;
    let producer = setup.producer().await;
    assert!(setup.source.changed().await.unwrap());
    assert!(!setup.source.changed().await.unwrap());
    setup.insert(&producer, &["a"]).await;
    assert!(setup.source.changed().await.unwrap());
    let ids = setup.ids().await;
    setup.source.delete(&ids).await.unwrap();
    assert!(!setup.source.changed().await.unwrap());
    setup.source.append_intent(&key("i"), b"{}", None).await.unwrap();
    assert!(setup.source.changed().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_is_read_once_while_producers_write_without_pause() {
    const PRODUCERS: usize = 3;
    const ROWS: usize = 400;
    let setup = Setup::empty_sqlite().installed().await;
    let mut producers = Vec::new();
    for producer in 0..PRODUCERS {
        let crate::support::Producer::Sqlite(connection) = setup.producer().await else { unreachable!() };
        producers.push(std::thread::spawn(move || {
            for row in 0..ROWS {
                let sql = "insert into tidings_outbox (source_key, event) values (?1, '{}')";
                connection.execute(sql, [format!("{producer}-{row}")]).unwrap();
            }
        }));
    }
    let mut seen = HashSet::new();
    while seen.len() < PRODUCERS * ROWS {
        let rows = setup.source.read(0, 100, 1_000_000).await.unwrap();
        let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
        for row in rows {
            assert!(seen.insert(row.source_key));
        }
        setup.source.delete(&ids).await.unwrap();
    }
    for producer in producers {
        producer.join().unwrap();
    }
    assert!(setup.waiting(0).await.is_empty());
}

#[tokio::test]
async fn a_column_that_keeps_values_as_they_come_is_not_proof_of_absence() {
    let setup = Setup::empty_sqlite().installed().await;
    setup.producer().await.run("create table t (id blob, any_id); insert into t values (x'01', '7')").await;
    let ask = |column: &str, value: serde_json::Value| {
        let probe = RowProbe { table: "t".into(), key: [(column.to_owned(), value)].into(), revision: None };
        let source = setup.source.clone();
        async move { source.probe_row(&probe).await.unwrap() }
    };
    assert_eq!(ask("any_id", "7".into()).await, ProbeAnswer::Exists);
    assert!(matches!(ask("any_id", 7.into()).await, ProbeAnswer::CannotTell(_)));
    assert!(matches!(ask("id", "01".into()).await, ProbeAnswer::CannotTell(_)));
}

#[tokio::test]
async fn the_table_refuses_rows_that_are_no_events() {
    let setup = Setup::empty_sqlite().installed().await;
    let producer = setup.producer().await;
    for values in [
        "('', 'confirmed', '{}')",
        "('a.b', 'confirmed', '{}')",
        "('a b', 'confirmed', '{}')",
        "('ä', 'confirmed', '{}')",
        "('a', 'done', '{}')",
        "('a', 'confirmed', '[]')",
        "('a', 'confirmed', '{')",
        "('a', 'confirmed', x'7b7d')",
    ] {
        let sql = format!("insert into tidings_outbox (source_key, state, event) values {values}");
        assert!(producer.try_run(&sql).await.is_err(), "{values}");
    }
    producer.run("insert into tidings_outbox (source_key, event) values ('a-b_~!', '{}')").await;
}

#[tokio::test]
async fn a_row_whose_created_at_is_nonsense_is_read_all_the_same() {
    let setup = Setup::empty_sqlite().installed().await;
    let producer = setup.producer().await;
    producer
        .run("insert into tidings_outbox (source_key, event, created_at) values ('a', '{}', '9999-99-99T99Z'); \
              insert into tidings_outbox (source_key, state, event, created_at) values ('i', 'intent', '{}', '9999-99-99T99Z')")
        .await;
    assert_eq!(setup.waiting(0).await, ["a"]);
    assert_eq!(setup.source.stale_intents(0, 300, 10).await.unwrap().len(), 1);
}
