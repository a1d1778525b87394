//! What is kept in one of a log's databases for the log of another comes there.
#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod support;

use std::sync::Arc;

use support::{PAGE, PATIENCE, no_source, tenant};
use tidings_engine::{Engine, FeedStart, Options, Selection};
use tidings_store::sharded::ShardOptions;
use tidings_store::{ShardNo, StoreOptions, open_sharded};
use tidings_testkit::Postgres;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_cannot_be_read_stay_and_hold_nothing_up() {
    let server = Postgres::shared();
    let (home, b) = (server.database().await, server.database().await);
    let mut options = StoreOptions::default();
    options.postgres.partitions = 2;
    let shard = ShardOptions { name: "b".to_owned(), url: b.url(), partitions: (2..4).collect(), takes_tenants: true };
    let store = open_sharded(&home.url(), &[shard], options).await.unwrap();
    let kept = |id: &str| {
        format!(r#"{{"id":"{id}","type":"tidings.endpoint.updated","version":"1","timestamp":"2026-01-01T00:00:00Z","#)
            + r#""tenant":"$system","source":{"type":"system","id":"tidings"},"data":{}}"#
    };
    // More than are taken at once, ahead of those that can be read, and one behind each of these.
    let raw = b.connect().await;
    raw.batch_execute("ALTER TABLE tidings.untold ALTER COLUMN no RESTART WITH 10").await.unwrap();
    let unreadable = "INSERT INTO tidings.untold (event) SELECT '{}' FROM generate_series(1, 150)";
    raw.batch_execute(unreadable).await.unwrap();
    for id in ["one", "two"] {
        raw.execute("INSERT INTO tidings.untold (event) VALUES ($1), ('{}')", &[&kept(id)]).await.unwrap();
    }
    let engine = Engine::start(store.clone(), vec![no_source()], Options::default()).await.unwrap();
    let all = Arc::new(Selection::all());
    let mut feed = engine.feed(&tenant("$system"), FeedStart::Start, all).await.unwrap();
    let mut told = Vec::new();
    while told.len() < 2 {
        let page = feed.next(PAGE, PATIENCE).await.unwrap();
        assert!(!page.events.is_empty(), "{told:?}");
        told.extend(page.events.iter().map(|event| event.recorded.event.id.to_string()));
    }
    assert_eq!(told, ["one", "two"]);
    // One that was given its number before and is committed after is found, too.
    raw.execute("INSERT INTO tidings.untold (no, event) OVERRIDING SYSTEM VALUE VALUES (5, $1)", &[&kept("late")])
        .await
        .unwrap();
    let waiting = async {
        loop {
            let left = store.untold(ShardNo(1), 0, 1_000).await.unwrap();
            if left.iter().all(|(_, event)| event == "{}") {
                return left.len();
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let left = tokio::time::timeout(PATIENCE, waiting).await.expect("all that can be read is told");
    assert_eq!(left, 152, "what cannot be read waits for a version that can");
    engine.shutdown().await;
}
