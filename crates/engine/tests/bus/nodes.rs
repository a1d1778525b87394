//! What a node hears of what others append.

use tidings_engine::endpoints::{EndpointSettings, NewEndpoint, Ordering, Who};
use tidings_engine::{Engine, FeedStart, Options, Role};
use tidings_testkit::Nats;

use crate::broken::{Broken, Ear};
use crate::receiver::{Receiver, order};
use crate::support::{Log, numbered, read, reader, sequences, tenant};
use crate::world::{client, connected, hearing, nats_bus, node, node_over, partition_of, reaching, stream, until};

/// Two nodes, of which the second hears of the first by the bus alone, and all that it routes goes to a receiver.
struct Pair {
    log: Log,
    nats: Nats,
    near: Engine,
    far: Engine,
    receiver: Receiver,
}

impl Pair {
    async fn start(polling: bool) -> Self {
        let (log, nats, receiver) = (Log::postgres().await, Nats::start(), Receiver::healthy().await);
        let mut options = Options::default();
        options.node.roles.router = false;
        let near = node(&log, &nats, options).await;
        near.append(numbered("acme", 1)).await.unwrap();
        let far = node(&log, &nats, reaching(if polling { Options::default() } else { hearing() })).await;
        let new = NewEndpoint {
            url: receiver.url.clone(),
            settings: EndpointSettings { ordering: Ordering::Strict, ..EndpointSettings::default() },
            ..NewEndpoint::default()
        };
        let who = Who { key: "admin".to_owned(), role: Role::Admin };
        far.endpoints().create(&who, &tenant("acme"), new).await.unwrap();
        Self { log, nats, near, far, receiver }
    }

    /// Everything that was appended so far has reached the second node's readers and its receiver, in order.
    async fn all_arrived(&self, count: u64) {
        let mut feed = reader(&self.far, "acme", FeedStart::Start).await;
        assert_eq!(read(&mut feed, usize::try_from(count).unwrap()).await, sequences(1..=count));
        let got = self.receiver.until("everything that was appended", |got| got.len() as u64 >= count - 1).await;
        assert_eq!(order(&got), sequences(2..=count));
    }

    async fn end(self) {
        self.near.shutdown().await;
        self.far.shutdown().await;
        drop(self.log);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_appends_reaches_readers_and_routers_of_another_without_polling() {
    let pair = Pair::start(false).await;
    let mut feed = reader(&pair.far, "acme", FeedStart::Now).await;
    for (round, batch) in (0_u64..).zip(numbered("acme", 100).chunks(10)) {
        pair.near.append(batch.to_vec()).await.unwrap();
        assert_eq!(read(&mut feed, 10).await, sequences(2 + round * 10..=11 + round * 10));
    }
    pair.all_arrived(101).await;
    pair.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_stream_is_emptied_or_deleted_in_the_middle() {
    let pair = Pair::start(false).await;
    let partition = partition_of(&pair.near, "acme").await;
    for round in 0..6 {
        pair.near.append(numbered("acme", 50)).await.unwrap();
        until("there is a stream", async || stream(&pair.nats, partition).await.is_some()).await;
        if round % 2 == 0 {
            stream(&pair.nats, partition).await.unwrap().purge().await.unwrap();
        } else {
            let jetstream = async_nats::jetstream::new(client(&pair.nats).await);
            jetstream.delete_stream(format!("TIDINGS-EVENTS-{partition}")).await.unwrap();
        }
    }
    pair.all_arrived(301).await;
    pair.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_broker_dies_and_comes_back_empty() {
    let pair = Pair::start(true).await;
    for round in 0..4 {
        pair.near.append(numbered("acme", 25)).await.unwrap();
        pair.nats.kill9();
        if round % 2 == 1 {
            pair.nats.wipe();
        }
        pair.near.append(numbered("acme", 25)).await.unwrap();
        if round < 3 {
            pair.nats.restart();
        }
    }
    // It is gone for good, and everything goes on.
    pair.all_arrived(201).await;
    pair.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_broker_stands_still() {
    let pair = Pair::start(true).await;
    pair.near.append(numbered("acme", 25)).await.unwrap();
    pair.nats.freeze();
    pair.near.append(numbered("acme", 25)).await.unwrap();
    pair.all_arrived(51).await;
    pair.nats.thaw();
    pair.near.append(numbered("acme", 25)).await.unwrap();
    pair.all_arrived(76).await;
    pair.end().await;
}

/// A node that hears the given part of what is published, and nothing else: not even hints, and it never polls.
async fn with_ear(ear: Ear) {
    let (log, nats) = (Log::postgres().await, Nats::start());
    let near = node(&log, &nats, Options::default()).await;
    near.append(numbered("acme", 1)).await.unwrap();
    let store = log.store().await;
    let bus = nats_bus(&nats, store.log().id).await;
    connected(&*bus).await;
    let mut options = hearing();
    options.node.roles.publisher = false;
    let far = node_over(&log, store, Broken::over(bus, ear, false), options).await;
    let mut feed = reader(&far, "acme", FeedStart::Start).await;
    assert_eq!(read(&mut feed, 1).await, [1]);
    // The last event must be heard: nothing else would tell of it.
    let mut count = 1;
    for size in [1_usize, 7, 50, 3, 200, 1, 1] {
        near.append(numbered("acme", size)).await.unwrap();
        count += size as u64;
    }
    let mut got = vec![1];
    while got.len() as u64 != count {
        let until_next = async { read(&mut feed, 1).await };
        match tokio::time::timeout(std::time::Duration::from_millis(200), until_next).await {
            Ok(next) => got.extend(next),
            // What was lost at the end is found with the next event.
            Err(_) => {
                near.append(numbered("acme", 1)).await.unwrap();
                count += 1;
            }
        }
    }
    assert_eq!(got, sequences(1..=count));
    near.shutdown().await;
    far.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_in_what_is_heard_is_read_from_the_log() {
    with_ear(Ear::Patchy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_heard_twice_or_backwards_is_taken_once_and_in_order() {
    with_ear(Ear::Dizzy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_another_log_or_anybody_else_publishes_is_taken() {
    let nats = Nats::start();
    // Two logs that share everything: names, partition, positions, and even the master key.
    let (ours, theirs) = (Log::sqlite(), Log::sqlite());
    let near = node(&ours, &nats, hearing()).await;
    let other = node(&theirs, &nats, hearing()).await;
    near.append(numbered("acme", 5)).await.unwrap();
    let mut feed = reader(&near, "acme", FeedStart::Start).await;
    assert_eq!(read(&mut feed, 5).await, sequences(1..=5));
    // Their next positions are just those that would follow ours.
    other.append(numbered("acme", 30)).await.unwrap();
    let forger = client(&nats).await;
    for _ in 0..10 {
        forger.publish("tidings.events.0.acme.sales.lead.created", r#"{"id":"forged"}"#.into()).await.unwrap();
    }
    forger.flush().await.unwrap();
    let partition = partition_of(&other, "acme").await;
    until("theirs is published", async || stream(&nats, partition).await.is_some()).await;
    near.append(numbered("acme", 5)).await.unwrap();
    let mut own = Vec::new();
    while own.len() < 5 {
        let page = feed.next(crate::support::PAGE, crate::support::PATIENCE).await.unwrap();
        own.extend(page.events.iter().map(|event| event.recorded.clone()));
    }
    let store = ours.store().await;
    let slice = store.tail(partition, tidings_event::Position(0), crate::support::PAGE).await.unwrap();
    let logged: Vec<_> =
        slice.events.into_iter().filter(|event| event.event.tenant == tenant("acme")).skip(5).collect();
    assert_eq!(own, logged);
    near.shutdown().await;
    other.shutdown().await;
}
