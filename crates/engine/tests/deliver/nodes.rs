//! Several nodes on one log: what one has of it, and what happens when it comes, goes, dies or sleeps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering as Atomic;
use std::time::Duration;

use tidings_engine::endpoints::{EndpointSettings, NewEndpoint, Ordering};
use tidings_engine::{LeaseRole, Nodes, Options};
use tokio::runtime::Runtime;

use crate::bench::{Bench, endpoint, options, who};
use crate::receiver::{Receiver, order};
use crate::support::{FaultyStore, Log, numbered, sequences, tenant};

const TENANTS: usize = 8;
const PARTITIONS: usize = 16;

/// A node whose lease is short.
fn quick(node: &str) -> Options {
    let mut options = options(node);
    options.node.lease = Duration::from_millis(900);
    options.node.beat = Duration::from_millis(200);
    options
}

/// How many nodes answer calls.
async fn serving(bench: &Bench) -> usize {
    bench.engine.nodes().await.unwrap().nodes.iter().filter(|node| node.member.serves.api()).count()
}

async fn node(log: &Log, name: &str) -> Bench {
    Bench::over(log, log.store().await, quick(name)).await
}

/// A node that a slow machine does not take for dead: what it owns it gives back, or has for ever.
async fn steady(log: &Log, name: &str) -> Bench {
    let mut options = quick(name);
    options.node.lease = Duration::from_secs(3_600);
    Bench::over(log, log.store().await, options).await
}

/// Tenants, each with a receiver that wants its events one after the other.
struct World {
    receivers: BTreeMap<String, Receiver>,
    appended: usize,
}

impl World {
    async fn new(bench: &Bench) -> Self {
        let mut receivers = BTreeMap::new();
        for number in 0..TENANTS {
            let (name, receiver) = (format!("tenant{number}"), Receiver::healthy().await);
            let settings = EndpointSettings { ordering: Ordering::Strict, ..EndpointSettings::default() };
            let new = NewEndpoint { settings, ..endpoint(&receiver.url) };
            bench.endpoints.create(&who(), &tenant(&name), new).await.unwrap();
            receivers.insert(name, receiver);
        }
        Self { receivers, appended: 0 }
    }

    /// Appends events of every tenant.
    async fn append(&mut self, bench: &Bench, count: usize) {
        for name in self.receivers.keys() {
            bench.append(numbered(name, count)).await;
        }
        self.appended += count;
    }

    /// Waits for everything that was appended; the order in which each came first.
    async fn all(&self) -> Vec<Vec<u64>> {
        let mut came = Vec::new();
        for receiver in self.receivers.values() {
            let got = receiver.all(1..=self.appended as u64).await;
            came.push(order(&got));
        }
        came
    }

    /// All came, in order, each once.
    async fn all_once(&self) {
        for came in self.all().await {
            assert_eq!(came, sequences(1..=self.appended as u64));
        }
    }

    /// All came, in order but for what was sent again.
    async fn all_in_order(&self) {
        for came in self.all().await {
            let mut seen = BTreeSet::new();
            let first: Vec<u64> = came.into_iter().filter(|sequence| seen.insert(*sequence)).collect();
            assert_eq!(first, sequences(1..=self.appended as u64));
        }
    }
}

/// How many routers each node has.
fn routers(nodes: &Nodes) -> BTreeMap<String, usize> {
    let count =
        |node: &tidings_engine::Node| node.leases.iter().filter(|lease| lease.role == LeaseRole::Router).count();
    nodes.nodes.iter().map(|node| (node.member.node.clone(), count(node))).collect()
}

/// Waits until these nodes, and no others, route everything, each no more than its share.
async fn spread(bench: &Bench, names: &[&str]) -> BTreeMap<String, usize> {
    let share = PARTITIONS.div_ceil(names.len());
    let ask = || async { routers(&bench.engine.nodes().await.unwrap()) };
    let wanted = |routers: &BTreeMap<String, usize>| {
        routers.keys().map(String::as_str).eq(names.iter().copied())
            && routers.values().sum::<usize>() == PARTITIONS
            && routers.values().all(|count| *count <= share)
    };
    bench.until("the partitions to be spread", ask, wanted).await
}

/// A process of its own, as far as tasks go.
fn process() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_alone_owns_everything_at_once() {
    let log = Log::postgres().await;
    let mut lone = options("a");
    // No second heartbeat comes to its help.
    lone.node.lease = Duration::from_secs(3_600);
    lone.node.beat = Duration::from_secs(3_600);
    let bench = Bench::over(&log, log.store().await, lone).await;
    spread(&bench, &["a"]).await;
    let nodes = bench.engine.nodes().await.unwrap();
    assert_eq!(nodes.nodes.len(), 1);
    let member = &nodes.nodes[0].member;
    assert!(member.serves.api() && member.serves.sources.contains("platform"));
    let pumps = nodes.nodes[0].leases.iter().filter(|lease| lease.role == LeaseRole::Pump);
    assert_eq!(pumps.map(|lease| lease.slot.as_str()).collect::<Vec<_>>(), ["platform"]);
    bench.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_joins_takes_its_share_and_every_event_arrives_once_and_in_order() {
    let log = Log::postgres().await;
    let one = steady(&log, "one").await;
    let mut world = World::new(&one).await;
    spread(&one, &["one"]).await;
    world.append(&one, 40).await;
    let two = steady(&log, "two").await;
    world.append(&two, 40).await;
    spread(&one, &["one", "two"]).await;
    let three = steady(&log, "three").await;
    world.append(&three, 40).await;
    let routers = spread(&two, &["one", "three", "two"]).await;
    assert!(routers["three"] >= PARTITIONS - 2 * PARTITIONS.div_ceil(3));
    world.append(&one, 40).await;
    world.all_once().await;
    assert_eq!(serving(&three).await, 3);
    for bench in [one, two, three] {
        bench.engine.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_has_that_leaves_goes_on_elsewhere_and_every_event_arrives_once() {
    let log = Log::postgres().await;
    let (one, two) = (steady(&log, "one").await, steady(&log, "two").await);
    // The others would wait for an hour if it gave nothing back.
    let three = steady(&log, "three").await;
    let mut world = World::new(&one).await;
    spread(&one, &["one", "three", "two"]).await;
    world.append(&one, 60).await;
    three.engine.shutdown().await;
    world.append(&one, 20).await;
    world.all_once().await;
    spread(&two, &["one", "two"]).await;
    for bench in [one, two] {
        bench.engine.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_had_that_died_goes_on_elsewhere_and_nothing_is_lost() {
    let log = Arc::new(Log::postgres().await);
    let one = node(&log, "one").await;
    let mut world = World::new(&one).await;
    let life = process();
    let shared = log.clone();
    let two = life.spawn(async move { node(&shared, "two").await }).await.unwrap();
    spread(&one, &["one", "two"]).await;
    world.append(&one, 60).await;
    // Everything of it stops where it is.
    tokio::task::spawn_blocking(move || life.shutdown_timeout(Duration::from_secs(20))).await.unwrap();
    drop(two);
    world.append(&one, 20).await;
    world.all_in_order().await;
    spread(&one, &["one"]).await;
    one.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_beat_starts_nothing_new_and_loses_what_it_had() {
    let log = Log::postgres().await;
    let faulty = FaultyStore::over(log.store().await);
    let mute = Bench::over(&log, faulty.clone(), quick("mute")).await;
    let mut world = World::new(&mute).await;
    spread(&mute, &["mute"]).await;
    world.append(&mute, 10).await;
    world.all_once().await;
    faulty.mute.store(true, Atomic::SeqCst);
    let heir = node(&log, "heir").await;
    // As soon as its last heartbeat is too old the other one owns everything.
    spread(&heir, &["heir"]).await;
    world.append(&heir, 30).await;
    world.all_once().await;
    // It may beat again: it finds what it lost, and takes its share anew.
    faulty.mute.store(false, Atomic::SeqCst);
    spread(&heir, &["heir", "mute"]).await;
    world.append(&mute, 30).await;
    world.all_once().await;
    for bench in [mute, heir] {
        bench.engine.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_started_again_under_its_name_owns_everything_at_once() {
    let log = Arc::new(Log::postgres().await);
    for _round in 0..2 {
        let life = process();
        let shared = log.clone();
        life.spawn(async move {
            let mut slow = options("one");
            slow.node.lease = Duration::from_secs(3_600);
            let bench = Bench::over(&shared, shared.store().await, slow).await;
            spread(&bench, &["one"]).await;
        })
        .await
        .unwrap();
        tokio::task::spawn_blocking(move || life.shutdown_timeout(Duration::from_secs(20))).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_that_a_node_does_not_have_it_takes_nothing_of() {
    let log = Log::postgres().await;
    let mut idle = quick("idle");
    idle.node.roles.router = false;
    idle.node.roles.pump = false;
    idle.node.roles.api = false;
    let idle = Bench::over(&log, log.store().await, idle).await;
    let busy = node(&log, "busy").await;
    let ask = || async { routers(&idle.engine.nodes().await.unwrap()) };
    let all = |routers: &BTreeMap<String, usize>| routers.get("busy") == Some(&PARTITIONS);
    idle.until("the one to have all", ask, all).await;
    assert_eq!(serving(&busy).await, 1);
    assert!(!idle.engine.answers_calls());
    let nodes = busy.engine.nodes().await.unwrap();
    assert!(nodes.nodes.iter().find(|node| node.member.node == "idle").unwrap().leases.is_empty());
    for bench in [idle, busy] {
        bench.engine.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_another_master_key_is_refused() {
    let log = Log::postgres().await;
    node(&log, "one").await.engine.shutdown().await;
    let mut other = quick("two");
    other.deliver.master = [8; 32];
    let store = log.store().await;
    let start =
        |options: Options| tidings_engine::Engine::start(store.clone(), vec![crate::support::no_source()], options);
    let refused = start(other.clone()).await.err().expect("a refusal");
    assert!(refused.to_string().contains("another master key"), "{refused}");
    other.deliver.replace_master = true;
    start(other).await.unwrap().shutdown().await;
}
