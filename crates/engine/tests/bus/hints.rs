//! Hints between nodes.

use std::collections::BTreeSet;

use tidings_bus::{Bus, Poke};
use tidings_engine::endpoints::Who;
use tidings_engine::{FeedStart, NewKey, Options, Role};
use tidings_event::PartitionId;
use tidings_testkit::Nats;
use tokio::time::timeout;

use crate::broken::{Broken, Ear};
use crate::support::{Log, PATIENCE, numbered, read, reader, sequences};
use crate::world::{connected, hearing, nats_bus, node, node_over, partition_of};

#[tokio::test(flavor = "multi_thread")]
async fn everything_arrives_when_every_hint_is_lost() {
    let (log, nats) = (Log::postgres().await, Nats::start());
    let near = node(&log, &nats, Options::default()).await;
    near.append(numbered("acme", 1)).await.unwrap();
    let store = log.store().await;
    let bus = nats_bus(&nats, store.log().id).await;
    connected(&*bus).await;
    // The connection seems to be in order; only nothing ever comes of it.
    let far = node_over(&log, store, Broken::over(bus, Ear::Deaf, false), Options::default()).await;
    let mut feed = reader(&far, "acme", FeedStart::Start).await;
    near.append(numbered("acme", 100)).await.unwrap();
    assert_eq!(read(&mut feed, 101).await, sequences(1..=101));
    near.shutdown().await;
    far.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hint_alone_makes_a_node_look() {
    let (log, nats) = (Log::postgres().await, Nats::start());
    let near = node(&log, &nats, Options::default()).await;
    near.append(numbered("acme", 1)).await.unwrap();
    let store = log.store().await;
    let bus = nats_bus(&nats, store.log().id).await;
    connected(&*bus).await;
    let far = node_over(&log, store, Broken::over(bus, Ear::Deaf, true), hearing()).await;
    let mut feed = reader(&far, "acme", FeedStart::Start).await;
    assert_eq!(read(&mut feed, 1).await, [1]);
    for round in 0..10_u64 {
        near.append(numbered("acme", 3)).await.unwrap();
        assert_eq!(read(&mut feed, 3).await, sequences(2 + round * 3..=4 + round * 3));
    }
    near.shutdown().await;
    far.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_hints_at_what_others_keep_in_memory() {
    let (log, nats) = (Log::sqlite(), Nats::start());
    let store = log.store().await;
    let listener = nats_bus(&nats, store.log().id).await;
    connected(&*listener).await;
    let mut pokes = listener.pokes();
    let _answered = listener.end(PartitionId(9)).await;
    let own = nats_bus(&nats, store.log().id).await;
    connected(&*own).await;
    let engine = node_over(&log, store, own, Options::default()).await;
    let who = Who { key: "admin".to_owned(), role: Role::Admin };
    let new = NewKey {
        role: Role::Consumer,
        tenants: Vec::new(),
        type_prefixes: Vec::new(),
        service: None,
        description: String::new(),
        expires_at: None,
    };
    engine.append(numbered("acme", 3)).await.unwrap();
    let (key, _) = engine.create_key(&who, new).await.unwrap();
    engine.revoke_key(&who, &key.id).await.unwrap();
    engine.poke_source("platform").unwrap();
    let partition = partition_of(&engine, "acme").await;
    engine.shutdown().await;
    let mut missing: BTreeSet<&str> = ["partition", "source", "keys", "leases"].into();
    while !missing.is_empty() {
        let poke = timeout(PATIENCE, pokes.recv()).await.unwrap_or_else(|_| panic!("no hint at {missing:?}")).unwrap();
        missing.remove(match poke {
            Poke::Partition(of, _) if of == partition => "partition",
            Poke::Source(name) if name == "platform" => "source",
            Poke::Keys => "keys",
            Poke::Leases => "leases",
            _ => "",
        });
    }
}
