//! Looking at a log as it is, and giving it a new id while nobody uses it.

#![allow(clippy::unwrap_used, reason = "a promise that is broken ends its test")]

use tidings_store::postgres::PostgresOptions;
use tidings_store::sharded::ShardOptions;
use tidings_store::{Error, Renewed, StoreOptions, open_sharded, open_store, renew_log};
use tidings_testkit::{Database, Postgres};

fn options() -> StoreOptions {
    let postgres = PostgresOptions { partitions: 2, connections: 4, ..PostgresOptions::default() };
    StoreOptions { postgres, ..StoreOptions::default() }
}

fn shard(database: &Database, partitions: std::ops::Range<u32>) -> ShardOptions {
    let (name, partitions) = ("b".to_owned(), partitions.collect());
    ShardOptions { name, url: database.url(), partitions, takes_tenants: true }
}

async fn count(database: &Database, what: &str) -> i64 {
    database.connect().await.query_one(&format!("SELECT count(*) FROM {what}"), &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_only_looks_makes_no_log_no_shard_and_no_partition() {
    let server = Postgres::shared();
    let (home, b) = (server.database().await, server.database().await);
    let look = async |shards: &[ShardOptions]| match open_sharded(&home.url(), shards, options().existing()).await {
        Ok(store) => {
            store.heads().await.unwrap();
            let partitions = store.log().partitions;
            store.close().await;
            Ok(partitions)
        }
        Err(error) => Err(error),
    };
    assert!(matches!(look(&[]).await, Err(Error::Unusable(_))), "there is no log");
    assert_eq!(count(&home, "pg_namespace WHERE nspname = 'tidings'").await, 0);

    open_store(&home.url(), options()).await.unwrap().close().await;
    assert_eq!(look(&[]).await.unwrap(), 2);
    assert!(matches!(look(&[shard(&b, 2..4)]).await, Err(Error::Behind(_))), "a shard that nobody added");
    assert_eq!(count(&home, "tidings.shards").await, 0);
    assert_eq!(count(&b, "pg_namespace WHERE nspname = 'tidings'").await, 0);

    open_sharded(&home.url(), &[shard(&b, 2..4)], options()).await.unwrap().close().await;
    assert_eq!(look(&[shard(&b, 2..4)]).await.unwrap(), 4);
    assert!(matches!(look(&[shard(&b, 2..6)]).await, Err(Error::Behind(_))), "a range that grew");
    assert_eq!((count(&home, "tidings.shard_partitions").await, count(&b, "tidings.partitions").await), (2, 2));

    let last = "DELETE FROM tidings.schema_history WHERE version = (SELECT max(version) FROM tidings.schema_history)";
    let steps = count(&home, "tidings.schema_history").await;
    home.connect().await.batch_execute(last).await.unwrap();
    assert!(matches!(look(&[shard(&b, 2..4)]).await, Err(Error::Behind(_))), "a schema of an older version");
    assert_eq!(count(&home, "tidings.schema_history").await, steps - 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_came_while_a_renewal_waited_keeps_its_log() {
    let database = Postgres::shared().database().await;
    open_store(&database.url(), options()).await.unwrap().close().await;
    let log = async || -> String {
        database.connect().await.query_one("SELECT log_id FROM tidings.meta", &[]).await.unwrap().get(0)
    };
    let before = log().await;
    // As a node does that starts: it holds the lock, and beats before it lets go.
    let mut client = database.connect().await;
    let starting = client.transaction().await.unwrap();
    starting.execute("SELECT pg_advisory_xact_lock($1)", &[&i64::from_be_bytes(*b"tidings!")]).await.unwrap();
    let url = database.url();
    let renewal = tokio::spawn(async move { renew_log(&[url]).await });
    let looker = database.connect().await;
    let waits = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database \
                 WHERE d.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted";
    while looker.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        tokio::task::yield_now().await;
    }
    let beat = "INSERT INTO tidings.nodes (id, boot, serves, version, started_at, seen_at) \
                SELECT 'n', repeat('0', 26), '{}', '', now, now \
                FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) c (now)";
    looker.batch_execute(beat).await.unwrap();
    starting.commit().await.unwrap();
    assert_eq!(renewal.await.unwrap().unwrap(), Renewed::InUse(vec!["n".to_owned()]));
    assert_eq!(log().await, before);
    looker.batch_execute("DELETE FROM tidings.nodes").await.unwrap();
    assert!(matches!(renew_log(&[database.url()]).await.unwrap(), Renewed::Done { .. }));
    assert_ne!(log().await, before);
}
