//! A tenant moves while everything goes on: nothing is lost, nothing comes out of order, readers notice nothing.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tidings_engine::endpoints::{EndpointSettings, NewEndpoint, Ordering};
use tidings_engine::{FeedStart, MoveOutcome, Selection};
use tidings_event::PartitionId;

use crate::bench::{ACME, Bench, endpoint, options};
use crate::receiver::{React, Receiver, order};
use crate::support::{Log, PAGE, PATIENCE, administrator, event, numbered, tenant};

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
                Ok(MoveOutcome::Later) => tokio::time::sleep(Duration::from_millis(20)).await,
                Ok(other) => panic!("{other:?}"),
                // Waited too long for a lock, or moved by another: it is asked again, as by hand.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.expect("a move");
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
    // A reader on each node, from before the first move to the end.
    let readers: Vec<_> = [&bench, &other]
        .map(|node| {
            let node = node.clone();
            tokio::spawn(async move {
                let all = Arc::new(Selection::all());
                let mut feed = node.engine.feed(&tenant(ACME), FeedStart::Start, all).await.unwrap();
                let mut seen = Vec::new();
                while seen.iter().filter(|(kind, _)| *kind).count() < 4 * EACH + 1 {
                    let page = feed.next(PAGE, PATIENCE).await.unwrap();
                    assert!(!page.events.is_empty() || !page.up_to_date, "waited in vain after {:?}", seen.last());
                    let kind = |one: &tidings_event::Event| !one.event_type.is_reserved();
                    seen.extend(page.events.iter().map(|one| (kind(&one.recorded.event), one.recorded.sequence.get())));
                }
                seen.into_iter().map(|(_, sequence)| sequence).collect::<Vec<u64>>()
            })
        })
        .into();
    let producers: Vec<_> = (0..4)
        .map(|producer| {
            let node = if producer % 2 == 0 { bench.clone() } else { other.clone() };
            tokio::spawn(async move {
                for _ in 0..EACH {
                    node.engine.append(vec![event(ACME, "{}")]).await.expect("an append waits for a move");
                }
            })
        })
        .collect();
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
