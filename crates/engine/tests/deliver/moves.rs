//! A tenant moves while everything goes on: nothing is lost, nothing comes out of order, readers notice nothing.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tidings_engine::endpoints::{EndpointSettings, NewEndpoint, Ordering};
use tidings_engine::{FeedStart, MoveOutcome, Selection, verify_log};
use tidings_event::PartitionId;
use tidings_store::sharded::ShardOptions;
use tidings_store::{Store, StoreOptions, open_sharded};
use tidings_testkit::{Database, Postgres};
use tokio::task::JoinHandle;

use crate::bench::{ACME, Bench, endpoint, options};
use crate::receiver::{React, Receiver, order};
use crate::support::{Log, PAGE, PATIENCE, administrator, event, no_source, numbered, tenant};

fn strict(url: &str) -> NewEndpoint {
    let settings = EndpointSettings { ordering: Ordering::Strict, ..EndpointSettings::default() };
    NewEndpoint { settings, ..endpoint(url) }
}

/// The sequences in the order in which each came first.
fn first_seen(sequences: &[u64]) -> Vec<u64> {
    let mut seen = HashSet::new();
    sequences.iter().copied().filter(|sequence| seen.insert(*sequence)).collect()
}

async fn move_to(bench: &Bench, partition: u32) {
    let asked = async {
        loop {
            match bench.engine.move_tenant(&administrator(), &tenant(ACME), PartitionId(partition)).await {
                Ok(MoveOutcome::Moved { .. } | MoveOutcome::Already) => return,
                Ok(MoveOutcome::Later | MoveOutcome::Copying { .. }) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Ok(other) => panic!("{other:?}"),
                // Waited too long for a lock, or moved by another: it is asked again, as by hand.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.expect("a move");
}

/// Reads a tenant's feed until so many events of its own came; the sequences of all that came.
async fn reader(node: Arc<Bench>, count: usize) -> Vec<u64> {
    let all = Arc::new(Selection::all());
    let mut feed = node.engine.feed(&tenant(ACME), FeedStart::Start, all).await.unwrap();
    let mut seen = Vec::new();
    while seen.iter().filter(|(kind, _)| *kind).count() < count {
        let page = feed.next(PAGE, PATIENCE).await.unwrap();
        assert!(!page.events.is_empty() || !page.up_to_date, "waited in vain after {:?}", seen.last());
        let kind = |one: &tidings_event::Event| !one.event_type.is_reserved();
        seen.extend(page.events.iter().map(|one| (kind(&one.recorded.event), one.recorded.sequence.get())));
    }
    seen.into_iter().map(|(_, sequence)| sequence).collect()
}

async fn producer(node: Arc<Bench>, events: usize) {
    for _ in 0..events {
        node.engine.append(vec![event(ACME, "{}")]).await.expect("an append waits for a move");
    }
}

/// A reader on each node, from now on, until so many events came.
fn readers(nodes: &[&Arc<Bench>], count: usize) -> Vec<JoinHandle<Vec<u64>>> {
    nodes.iter().map(|node| tokio::spawn(reader((*node).clone(), count))).collect()
}

/// Four producers, in turn on each node, of so many events each.
fn producers(nodes: &[&Arc<Bench>], each: usize) -> Vec<JoinHandle<()>> {
    nodes.iter().cycle().take(4).map(|node| tokio::spawn(producer((*node).clone(), each))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_moves_back_and_forth_under_load_and_nothing_is_lost_or_out_of_order() {
    const EACH: usize = 120;
    let log = Log::postgres().await;
    let receiver = Receiver::healthy().await;
    let bench = Arc::new(Bench::start(&log).await);
    let other = Arc::new(Bench::over(&log, log.store().await, options("b")).await);
    bench.append(numbered(ACME, 1)).await;
    let (created, _) = bench.create(strict(&receiver.url)).await;
    let first = created.since.get() + 1;
    let readers = readers(&[&bench, &other], 4 * EACH + 1);
    let producers = producers(&[&bench, &other], EACH);
    // Each move comes once something was delivered after the one before.
    for round in 0..8_u32 {
        let node = if round % 3 == 0 { &other } else { &bench };
        move_to(node, [3, 7, 3, 0][round as usize % 4]).await;
        receiver.count(20 * (round as usize + 1)).await;
    }
    for task in producers {
        task.await.unwrap();
    }
    let last = first + 4 * EACH as u64 - 1;
    receiver.all(first..=last).await;
    let came = first_seen(&order(&receiver.got()));
    assert_eq!(came[..4 * EACH], (first..=last).collect::<Vec<u64>>(), "in order, each from its first coming");
    for reader in readers {
        let seen = tokio::time::timeout(PATIENCE, reader).await.expect("the reader ends").unwrap();
        assert_eq!(seen, (1..=seen.len() as u64).collect::<Vec<u64>>(), "without a gap or a repetition");
    }
    bench.settled(&created.id).await;
    bench.engine.shutdown().await;
    other.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_behind_a_failure_moves_along_and_survives_a_crash() {
    let log = Log::postgres().await;
    let receiver = Receiver::start(|delivery| React::Answer(if delivery.sequence >= 3 { 500 } else { 200 })).await;
    let bench = Bench::start(&log).await;
    bench.append(numbered(ACME, 1)).await;
    let settings =
        EndpointSettings { ordering: Ordering::Strict, retry_schedule_s: vec![1; 20], ..EndpointSettings::default() };
    let (created, _) = bench.create(NewEndpoint { settings, ..endpoint(&receiver.url) }).await;
    let first = created.since.get() + 1;
    bench.append(numbered(ACME, 30)).await;
    receiver.until("a failure", |got| got.iter().any(|one| one.sequence >= 3)).await;
    move_to(&bench, 5).await;
    // It dies in the middle of what comes after.
    drop(bench);
    let next = Bench::over(&log, log.store().await, options("b")).await;
    move_to(&next, 9).await;
    receiver.react(|_| React::Answer(200));
    receiver.all(first..first + 30).await;
    next.append(numbered(ACME, 1)).await;
    receiver.all(first..=first + 30).await;
    let came = first_seen(&order(&receiver.got()));
    assert_eq!(came, (first..=first + 30).collect::<Vec<u64>>());
    next.settled(&created.id).await;
    next.engine.shutdown().await;
}

/// A log in two databases: home has partitions 0 to 3, the shard 4 to 7.
struct Two {
    home: Database,
    shard: Database,
}

impl Two {
    async fn new() -> Self {
        let server = Postgres::shared();
        Self { home: server.database().await, shard: server.database().await }
    }

    async fn store(&self) -> Arc<dyn Store> {
        let mut options = StoreOptions::default();
        options.postgres.partitions = 4;
        let shard = ShardOptions {
            name: "b".to_owned(),
            url: self.shard.url(),
            partitions: (4..8).collect(),
            takes_tenants: true,
        };
        open_sharded(&self.home.url(), &[shard], options).await.unwrap()
    }

    async fn node(&self, name: &str) -> Bench {
        let engine = tidings_engine::Engine::start(self.store().await, vec![no_source()], options(name)).await.unwrap();
        Bench { endpoints: engine.endpoints(), engine }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_moves_between_databases_under_load_and_nothing_is_lost_or_out_of_order() {
    const EACH: usize = 100;
    let two = Two::new().await;
    let receiver = Receiver::healthy().await;
    let (bench, other) = (Arc::new(two.node("a").await), Arc::new(two.node("b").await));
    bench.append(numbered(ACME, 1)).await;
    let (created, _) = bench.create(strict(&receiver.url)).await;
    let first = created.since.get() + 1;
    let readers = readers(&[&bench, &other], 4 * EACH + 1);
    let producers = producers(&[&bench, &other], EACH);
    // Each move comes once something was delivered after the one before.
    let places = [5, 2, 6, 1, 5];
    for (round, partition) in places.into_iter().enumerate() {
        let node = if round % 2 == 0 { &other } else { &bench };
        move_to(node, partition).await;
        receiver.count(20 * (round + 1)).await;
    }
    for task in producers {
        task.await.unwrap();
    }
    let last = first + 4 * EACH as u64 - 1;
    receiver.all(first..=last).await;
    let came = first_seen(&order(&receiver.got()));
    assert_eq!(came[..4 * EACH], (first..=last).collect::<Vec<u64>>(), "in order, each from its first coming");
    for reader in readers {
        let seen = tokio::time::timeout(PATIENCE, reader).await.expect("the reader ends").unwrap();
        assert_eq!(seen, (1..=seen.len() as u64).collect::<Vec<u64>>(), "without a gap or a repetition");
    }
    bench.settled(&created.id).await;
    let moves = bench.told("$system", "tidings.tenant.moved", places.len()).await;
    assert_eq!(moves.len(), places.len());
    let verified = verify_log(&*two.store().await, |_, _| {}).await.unwrap();
    assert_eq!((verified.faults_in_all, verified.faults), (0, Vec::new()));
    bench.engine.shutdown().await;
    other.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_behind_a_failure_moves_into_another_database_and_a_move_that_stands_still_is_finished() {
    let two = Two::new().await;
    let receiver = Receiver::start(|delivery| React::Answer(if delivery.sequence >= 3 { 500 } else { 200 })).await;
    let bench = two.node("a").await;
    bench.append(numbered(ACME, 1)).await;
    let settings =
        EndpointSettings { ordering: Ordering::Strict, retry_schedule_s: vec![1; 20], ..EndpointSettings::default() };
    let (created, _) = bench.create(NewEndpoint { settings, ..endpoint(&receiver.url) }).await;
    let first = created.since.get() + 1;
    bench.append(numbered(ACME, 30)).await;
    receiver.until("a failure", |got| got.iter().any(|one| one.sequence >= 3)).await;
    move_to(&bench, 5).await;
    assert!(!bench.attempts(&created.id).await.is_empty(), "its newest attempts went along");

    // The database that it shall go to fails while it is held, and again when it is asked what became of it.
    let home = two.home.connect().await;
    let fails = |table: &str, operation: &str| {
        format!(
            "CREATE TRIGGER fail BEFORE {operation} ON tidings.{table} FOR EACH ROW EXECUTE FUNCTION tidings.fail();"
        )
    };
    let sql = "CREATE FUNCTION tidings.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
               RAISE EXCEPTION 'as the test asked' USING ERRCODE = '57P03'; END $$;"
        .to_owned()
        + &fails("arrivals", "UPDATE OF arrived")
        + &fails("arrivals", "DELETE").replace("fail BEFORE", "fail_too BEFORE");
    home.batch_execute(&sql).await.unwrap();
    let refused = bench.engine.move_tenant(&administrator(), &tenant(ACME), PartitionId(2)).await;
    assert!(refused.is_err(), "{refused:?}");
    let shard = two.shard.connect().await;
    let held: i64 = shard.query_one("SELECT count(*) FROM tidings.departures", &[]).await.unwrap().get(0);
    assert_eq!(held, 1);
    // Its log is read, and nothing is taken in.
    let all = Arc::new(Selection::all());
    let mut feed = bench.engine.feed(&tenant(ACME), FeedStart::Start, all).await.unwrap();
    assert!(!feed.next(PAGE, PATIENCE).await.unwrap().events.is_empty());
    assert!(bench.engine.append(numbered(ACME, 1)).await.is_err());
    drop(bench);
    home.batch_execute("DROP TRIGGER fail ON tidings.arrivals; DROP TRIGGER fail_too ON tidings.arrivals")
        .await
        .unwrap();

    // Nobody asks again, but the node that comes next sees to it.
    let next = two.node("b").await;
    receiver.react(|_| React::Answer(200));
    receiver.all(first..first + 30).await;
    next.append(numbered(ACME, 1)).await;
    receiver.all(first..=first + 30).await;
    let came = first_seen(&order(&receiver.got()));
    assert_eq!(came, (first..=first + 30).collect::<Vec<u64>>());
    assert_eq!(next.engine.tenant(&tenant(ACME)).await.unwrap().unwrap().partition, PartitionId(2));
    next.settled(&created.id).await;
    next.engine.shutdown().await;
}
