//! One log in several databases: what belongs together, where things lie, and what a database that is down takes along.

#![allow(clippy::unwrap_used, reason = "a promise that is broken ends its test")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tidings_event::log::{AppendKeys, AppendPlan};
use tidings_event::{PartitionId, Position, Revision, Sequence, TenantId};
use tidings_store::postgres::PostgresOptions;
use tidings_store::sharded::ShardOptions;
use tidings_store::{Decide, Error, MoveOutcome, ReadLimit, Result, ShardNo, Store, StoreOptions, open_sharded};
use tidings_testkit::{Database, Postgres};

const ALL: ReadLimit = ReadLimit { events: 1_000, bytes: usize::MAX };

fn options() -> StoreOptions {
    let postgres = PostgresOptions { partitions: 2, connections: 4, ..PostgresOptions::default() };
    StoreOptions { postgres, ..StoreOptions::default() }
}

fn shard(name: &str, database: &Database, partitions: impl IntoIterator<Item = u32>) -> ShardOptions {
    let partitions: BTreeSet<u32> = partitions.into_iter().collect();
    ShardOptions { name: name.to_owned(), url: database.url(), partitions, takes_tenants: true }
}

async fn open(home: &Database, shards: &[ShardOptions]) -> Result<Arc<dyn Store>> {
    open_sharded(&home.url(), shards, options()).await
}

async fn refused(home: &Database, shards: &[ShardOptions]) -> String {
    match open(home, shards).await {
        Err(error @ Error::Unusable(_)) => error.to_string(),
        other => panic!("{:?}", other.err()),
    }
}

fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

/// A change that writes nothing but proves that it can.
async fn probe(store: &dyn Store, partition: u32) -> Result<()> {
    let decide: Decide = Box::new(|_| AppendPlan::default());
    store.append(PartitionId(partition), AppendKeys::default(), decide).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn databases_that_do_not_belong_together_are_refused() {
    let server = Postgres::shared();
    let (home, b, other) = (server.database().await, server.database().await, server.database().await);
    let store = open(&home, &[shard("b", &b, 2..4)]).await.unwrap();
    assert_eq!(store.log().partitions, 4);
    store.close().await;

    for (shards, expect) in [
        (vec![], "has shards that the configuration does not name: b"),
        (vec![shard("c", &b, 2..4)], "shard 'b' that the configuration does not name"),
        (vec![shard("b", &b, 2..3)], "holds partition 3, which is missing from its range"),
        (vec![shard("b", &other, 2..4)], "holds no log, although it did"),
        (vec![shard("b", &home, 2..4)], "is the log's home"),
        (vec![shard("b", &b, 2..4), shard("c", &b, 4..6)], "is shard number 1"),
    ] {
        let reason = refused(&home, &shards).await;
        assert!(reason.contains(expect), "{reason}");
    }
    // A shard is not a home, and another log's database is no shard of this one.
    let reason = refused(&b, &[]).await;
    assert!(reason.contains("a shard of a log whose home is another database"), "{reason}");
    let foreign = server.database().await;
    open(&foreign, &[]).await.unwrap().close().await;
    let reason = refused(&home, &[shard("b", &b, 2..4), shard("d", &foreign, 6..8), shard("c", &other, 4..6)]).await;
    assert!(reason.contains("holds another log"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_and_partitions_are_added_and_tenants_stay_where_they_are() {
    let server = Postgres::shared();
    let (home, b) = (server.database().await, server.database().await);
    let store = open(&home, &[]).await.unwrap();
    let old = store.place(&[(tenant("old"), PartitionId(1))]).await.unwrap().remove(0);
    store.close().await;

    // Named, but nobody is placed there yet: so every node can learn of it first.
    let closed = ShardOptions { takes_tenants: false, ..shard("b", &b, 2..4) };
    let early = open(&home, &[closed]).await.unwrap();
    let placed = early.place(&[(tenant("early"), PartitionId(3)), (tenant("old"), PartitionId(3))]).await.unwrap();
    assert_eq!((placed[0].partition, placed[1].partition), (PartitionId(1), old.partition));

    let store = open(&home, &[shard("b", &b, 2..4)]).await.unwrap();
    let new = store.place(&[(tenant("new"), PartitionId(3)), (tenant("$system"), PartitionId(3))]).await.unwrap();
    assert_eq!(new[0].partition, PartitionId(3));
    assert!(new[1].partition < PartitionId(2), "the system's own is at home");
    assert_ne!(new[0].no, old.no);
    // The node that was there before finds it too.
    assert_eq!(early.tenant(&tenant("new")).await.unwrap().unwrap(), new[0]);
    let names: Vec<String> = store.tenants(None, 10).await.unwrap().iter().map(|row| row.id.to_string()).collect();
    assert_eq!(names, ["$system", "early", "new", "old"]);

    let grown = open(&home, &[shard("b", &b, 2..6)]).await.unwrap();
    assert_eq!(grown.log().partitions, 6);
    let far = grown.place(&[(tenant("far"), PartitionId(5))]).await.unwrap().remove(0);
    assert_eq!(far.partition, PartitionId(5));
    let unknown = store.tenant(&tenant("far")).await;
    assert!(matches!(unknown, Err(Error::Unavailable { .. })), "{unknown:?}");
    assert_eq!(grown.heads().await.unwrap().len(), 6);
    for store in [early, store, grown] {
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_whose_placing_broke_off_is_taken_in_by_whoever_asks_next() {
    let server = Postgres::shared();
    let (home, b) = (server.database().await, server.database().await);
    let store = open(&home, &[shard("b", &b, 2..4)]).await.unwrap();
    home.connect()
        .await
        .batch_execute("INSERT INTO tidings.tenants (name, partition, created_at) VALUES ('half', 2, 7)")
        .await
        .unwrap();
    let row = store.tenant(&tenant("half")).await.unwrap().unwrap();
    assert_eq!((row.partition, row.head), (PartitionId(2), Sequence(0)));
    let slice = store.feed(row.no, Sequence(0), ALL).await.unwrap();
    assert_eq!(slice.head, Sequence(0));
    assert_eq!(store.place(&[(tenant("half"), PartitionId(0))]).await.unwrap()[0], row);
    assert!(matches!(store.move_tenant(row.no, PartitionId(3)).await.unwrap(), MoveOutcome::Moved { .. }));
    assert_eq!(store.tenant(&tenant("half")).await.unwrap().unwrap().partition, PartitionId(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_down_takes_its_own_partitions_down_and_no_others() {
    let server = Postgres::shared();
    let home = server.database().await;
    let away = Postgres::start();
    let b = away.database().await;
    let shards = [shard("b", &b, 2..4)];
    let store = open(&home, &shards).await.unwrap();
    let there = store.place(&[(tenant("there"), PartitionId(2))]).await.unwrap().remove(0);
    let here = store.place(&[(tenant("here"), PartitionId(0))]).await.unwrap().remove(0);
    away.kill9();

    let late = open(&home, &shards).await.expect("home answers, and that suffices");
    for store in [&store, &late] {
        probe(&**store, 0).await.unwrap();
        store.probe_write().await.unwrap();
        assert_eq!(store.tenant(&here.id).await.unwrap().unwrap(), here);
        assert!(matches!(probe(&**store, 2).await, Err(Error::Unavailable { .. })));
        assert!(matches!(store.tenant(&there.id).await, Err(Error::Unavailable { .. })));
        assert_eq!(store.heads_of(ShardNo(0)).await.unwrap().len(), 2);
        assert!(store.heads_of(ShardNo(1)).await.is_err());
        let states = store.shard_states().await;
        let down: Vec<&str> =
            states.iter().filter(|state| state.problem.is_some()).map(|state| state.name.as_str()).collect();
        assert_eq!(down, ["b"]);
        store.keep_attempts(here.created_at, here.created_at).await.expect("the others have room");
        // Anybody may read the warnings.
        let warnings = store.durability().await.unwrap().warnings;
        assert!(
            warnings.contains(&"shard 'b': how safe its acknowledgements are is not known now".to_owned()),
            "{warnings:?}"
        );
    }

    away.restart();
    store.tenant(&there.id).await.unwrap();
    probe(&*store, 2).await.unwrap();
    // The one that never reached it opens it when it is asked for again; it answers with its last failure for a second.
    let opened = async {
        while late.tail(PartitionId(2), Position(0), ALL).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, opened).await.expect("the database is opened");
    assert_eq!(late.routing(PartitionId(2), Revision(0)).await.unwrap().revision, Revision(0));
}

/// Longer than anything here takes; a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

async fn in_time<T>(answer: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, answer).await.expect("an answer")
}

async fn down(store: &dyn Store) -> Vec<String> {
    let states = in_time(store.shard_states()).await;
    states.into_iter().filter(|state| state.problem.is_some()).map(|state| state.name).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_hangs_is_told_and_keeps_nobody_waiting_for_it() {
    let hanging = Postgres::start();
    for home_hangs in [true, false] {
        let server = Postgres::shared();
        let home = if home_hangs { hanging.database().await } else { server.database().await };
        let b = if home_hangs { server.database().await } else { hanging.database().await };
        // So that who connects to it gives up soon.
        let shards = [ShardOptions { url: format!("{}?connect_timeout=1", b.url()), ..shard("b", &b, 2..4) }];
        let store = open(&home, &shards).await.unwrap();
        let here = store.place(&[(tenant("here"), PartitionId(0))]).await.unwrap().remove(0);
        assert_eq!(down(&*store).await, [""; 0]);

        hanging.freeze();
        if home_hangs {
            assert_eq!(down(&*store).await, ["home"]);
            in_time(probe(&*store, 2)).await.expect("the shard goes on");
            hanging.thaw();
        } else {
            assert_eq!(down(&*store).await, ["b"]);
            let late = in_time(open(&home, &shards)).await.expect("home answers, and that suffices");
            assert_eq!(down(&*late).await, ["b"]);
            in_time(probe(&*late, 0)).await.expect("home goes on");
            assert_eq!(in_time(late.tenant(&here.id)).await.unwrap().unwrap(), here);
            // Nobody stands in a queue behind the one who tries to open it.
            let calls = (0..50).map(|_| async {
                let refused = late.tail(PartitionId(2), Position(0), ALL).await;
                assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
            });
            in_time(futures_util::future::join_all(calls)).await;
            hanging.thaw();
            let opened = async {
                while late.tail(PartitionId(2), Position(0), ALL).await.is_err() {
                    tokio::task::yield_now().await;
                }
            };
            in_time(opened).await;
            assert_eq!(down(&*late).await, [""; 0]);
        }
        let back = async { while !down(&*store).await.is_empty() {} };
        in_time(back).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_would_fence_nobody_or_leave_something_behind_is_not_made() {
    let database = Postgres::shared().database().await;
    let store = open(&database, &[]).await.unwrap();
    let acme = store.place(&[(tenant("acme"), PartitionId(0))]).await.unwrap().remove(0);
    let admin = database.connect().await;
    let no = acme.no.get();
    let sql = format!(
        "INSERT INTO tidings.endpoints (id, tenant_no, partition, revision, status, url, selections, settings, secrets, \
         created_at, updated_at) VALUES ('ep', {no}, 0, 1, 'active', '', \
         '[{{\"after\":0,\"position\":0,\"types\":[]}}]', '', '', 0, 0); \
         INSERT INTO tidings.lanes SELECT 0, no, {no}, 0 FROM tidings.endpoints"
    );
    admin.batch_execute(&sql).await.unwrap();
    admin
        .batch_execute(
            "CREATE FUNCTION tidings.idle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$",
        )
        .await
        .unwrap();
    for table in ["leases", "lanes"] {
        // As if the statement that fences the routers, or the one that takes the lanes along, were not there.
        let idle = format!(
            "CREATE TRIGGER idle BEFORE UPDATE ON tidings.{table} FOR EACH ROW EXECUTE FUNCTION tidings.idle()"
        );
        if table == "leases" {
            admin.batch_execute("UPDATE tidings.leases SET node = 'n', boot = repeat('0', 26)").await.unwrap();
        }
        admin.batch_execute(&idle).await.unwrap();
        let refused = store.move_tenant(acme.no, PartitionId(1)).await;
        assert!(matches!(refused, Err(Error::Broken(_))), "{table}: {refused:?}");
        assert_eq!(store.tenant(&acme.id).await.unwrap().unwrap().partition, PartitionId(0));
        admin.batch_execute(&format!("DROP TRIGGER idle ON tidings.{table}")).await.unwrap();
    }
    assert!(matches!(store.move_tenant(acme.no, PartitionId(1)).await.unwrap(), MoveOutcome::Moved { .. }));
}
