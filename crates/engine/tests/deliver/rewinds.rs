//! A database that fails over to a replica that was behind, and gives the places of events that it lost to others.

use std::sync::Arc;
use std::sync::atomic::Ordering as Atomic;
use std::time::Duration;

use tidings_core::pace::Bounds;
use tidings_engine::{Options, TailOptions};
use tidings_event::Event;

use crate::bench::{ACME, Bench, endpoint, idle_options, options};
use crate::receiver::{Delivery, Receiver};
use crate::support::{FaultyStore, Log, event, numbered, sequences};

fn polling(busy: Duration) -> Options {
    let bounds = Bounds { busy, linger: Duration::ZERO, idle: busy };
    Options { tail: TailOptions { poll: Some(bounds), ..TailOptions::default() }, ..options("a") }
}

/// Events of the log's second life.
fn second_life(count: usize) -> Vec<Event> {
    (0..count).map(|_| event(ACME, r#"{"life":2}"#)).collect()
}

fn of_second_life(got: &[Delivery]) -> Vec<u64> {
    let second = got.iter().filter(|one| String::from_utf8_lossy(&one.body).contains(r#""life":2"#));
    let mut sequences: Vec<u64> = second.map(|one| one.sequence).collect();
    sequences.sort_unstable();
    sequences.dedup();
    sequences
}

/// A node that has delivered ten events, and the log as it was after the fifth.
async fn ten_of_which_five_will_be_lost(options: Options) -> (Log, Bench, Arc<FaultyStore>, Receiver, Log) {
    let log = Log::sqlite();
    let store = FaultyStore::over(log.store().await);
    let bench = Bench::over(&log, store.clone(), options).await;
    let receiver = Receiver::healthy().await;
    let (created, _) = bench.create(endpoint(&receiver.url)).await;
    bench.append(numbered(ACME, 5)).await;
    receiver.all(sequences(1..=5)).await;
    bench.settled(&created.id).await;
    let replica = log.copy();
    bench.append(numbered(ACME, 5)).await;
    receiver.all(sequences(1..=10)).await;
    bench.settled(&created.id).await;
    (log, bench, store, receiver, replica)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_took_the_places_of_lost_events_while_nobody_could_look_is_delivered() {
    let (_log, bench, store, receiver, replica) =
        ten_of_which_five_will_be_lost(polling(Duration::from_millis(2))).await;
    store.deaf.store(true, Atomic::SeqCst);
    store.unheard().await;
    // The log is longer again than this node knew it before anybody looks at it.
    let other = replica.engine_with(idle_options("b")).await;
    other.append(second_life(8)).await.unwrap();
    other.shutdown().await;
    store.fail_over_to(replica.store().await);
    store.deaf.store(false, Atomic::SeqCst);
    let want = sequences(6..=13);
    receiver.until("the second life", |got| of_second_life(got) == want).await;
    bench.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_appended_here_to_the_places_of_lost_events_is_delivered() {
    let never = polling(Duration::from_secs(24 * 60 * 60));
    let (_log, bench, store, receiver, replica) = ten_of_which_five_will_be_lost(never).await;
    store.fail_over_to(replica.store().await);
    bench.append(second_life(8)).await;
    let want = sequences(6..=13);
    receiver.until("the second life", |got| of_second_life(got) == want).await;
    bench.engine.shutdown().await;
}
