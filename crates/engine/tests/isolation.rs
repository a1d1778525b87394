//! What neighbours are promised: one tenant's flood neither keeps others out nor lets them wait for all of it.
#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use support::{FaultyStore, Log, event, numbered, reader, tenant};
use tidings_engine::{AppendError, AppendOptions, Engine, FeedStart, Options, Receipt};
use tidings_event::{Event, PartitionId, Sequence};
use tokio::task::JoinHandle;

type Call = JoinHandle<Result<Vec<Receipt>, AppendError>>;

fn spawn(engine: &Engine, events: Vec<Event>) -> Call {
    let engine = engine.clone();
    tokio::spawn(async move { engine.append(events).await })
}

/// A small queue, and commits of a fraction of it.
fn tight() -> Options {
    let append = AppendOptions { queue_events: 400, commit_events_max: 40, ..AppendOptions::default() };
    Options { append, ..Options::default() }
}

/// Tenants that live in one partition, which have been seen.
async fn neighbours<const N: usize>(engine: &Engine) -> [String; N] {
    let mut of: BTreeMap<PartitionId, Vec<String>> = BTreeMap::new();
    for n in 0.. {
        let name = format!("neighbour-{n}");
        engine.append(vec![event(&name, "{}")]).await.unwrap();
        let place = engine.tenant(&tenant(&name)).await.unwrap().unwrap().partition;
        let found = of.entry(place).or_default();
        found.push(name);
        if let Ok(found) = found.clone().try_into() {
            return found;
        }
    }
    unreachable!("names do not end")
}

/// Has a commit under way that waits, so that all that comes now is queued.
async fn stop(engine: &Engine, store: &Arc<FaultyStore>, tenant_name: &str) -> Call {
    store.hold();
    let first = spawn(engine, numbered(tenant_name, 1));
    store.held().await;
    first
}

/// Many callers of one tenant at once, until the queue has turned `refusals` of them away.
async fn flood(engine: &Engine, tenant_name: &str, callers: usize) -> (Vec<Call>, usize) {
    let calls: Vec<Call> = (0..callers).map(|_| spawn(engine, numbered(tenant_name, 2))).collect();
    // Each is either queued or turned away.
    let mut refused = 0;
    let mut waiting = Vec::new();
    let mut calls = calls;
    loop {
        let mut left = Vec::new();
        for call in calls {
            if call.is_finished() {
                assert!(matches!(call.await.unwrap(), Err(AppendError::Overloaded)));
                refused += 1;
            } else {
                left.push(call);
            }
        }
        calls = left;
        if calls.len() * 2 <= engine.appender().waiting() {
            waiting.append(&mut calls);
            return (waiting, refused);
        }
        tokio::task::yield_now().await;
    }
}

/// Where an event of a tenant stands in its partition.
async fn position(engine: &Engine, tenant_name: &str, sequence: Sequence) -> u64 {
    let before = Sequence(sequence.get() - 1);
    let mut reader = reader(engine, tenant_name, FeedStart::After(before)).await;
    let page = reader.next(support::PAGE, support::PATIENCE).await.unwrap();
    page.events.first().unwrap().recorded.position.get()
}

on_both! {
    async fn isolation_a_flood_of_one_tenant_keeps_no_neighbour_out(log: Log) {
        let (engine, store) = log.faulty(tight()).await;
        let [noisy, quiet, third] = neighbours(&engine).await;
        let first = stop(&engine, &store, &noisy).await;
        let (flooding, refused) = flood(&engine, &noisy, 400).await;
        assert!(refused > 0, "the flood fills what it may have");
        // All of them at once, as many events as the flood has left free.
        let queued = engine.appender().waiting();
        let neighbours: Vec<Call> =
            (0..40).flat_map(|_| [spawn(&engine, numbered(&quiet, 1)), spawn(&engine, numbered(&third, 1))]).collect();
        while engine.appender().waiting() < queued + neighbours.len() {
            assert!(!neighbours.iter().any(Call::is_finished), "a neighbour was turned away");
            tokio::task::yield_now().await;
        }
        store.let_go();
        first.await.unwrap().unwrap();
        for call in neighbours.into_iter().chain(flooding) {
            call.await.unwrap().unwrap();
        }
        engine.shutdown().await;
    }

    async fn isolation_a_neighbour_waits_for_its_turn_and_not_for_all_of_a_flood(log: Log) {
        let (engine, store) = log.faulty(tight()).await;
        let [noisy, quiet] = neighbours(&engine).await;
        let first = stop(&engine, &store, &noisy).await;
        let (flooding, _) = flood(&engine, &noisy, 400).await;
        let queued = engine.appender().waiting();
        let neighbour = spawn(&engine, numbered(&quiet, 1));
        while engine.appender().waiting() <= queued {
            assert!(!neighbour.is_finished(), "the neighbour was turned away");
            tokio::task::yield_now().await;
        }
        store.let_go();
        let began = position(&engine, &noisy, first.await.unwrap().unwrap()[0].sequence).await;
        let came = position(&engine, &quiet, neighbour.await.unwrap().unwrap()[0].sequence).await;
        assert!(came - began <= 40, "the neighbour came {} events after it asked", came - began);
        let mut last = 0;
        for call in flooding {
            last = last.max(position(&engine, &noisy, call.await.unwrap().unwrap()[0].sequence).await);
        }
        assert!(last - began > 150, "there was no flood: {} events", last - began);
        engine.shutdown().await;
    }

    async fn a_tenants_own_order_holds_in_a_queue_that_is_shared(log: Log) {
        let (engine, store) = log.faulty(tight()).await;
        let [one, other] = neighbours(&engine).await;
        let first = stop(&engine, &store, &one).await;
        // Each is queued before the next one is made: it is polled here, and nowhere else.
        let mut calls = Vec::new();
        for number in 0..30 {
            for name in [&one, &other] {
                let events = vec![event(name, &format!("{{\"number\":{number}}}"))];
                let mut call = Box::pin(engine.append(events));
                assert!(futures_util::poll!(&mut call).is_pending());
                calls.push(call);
            }
        }
        assert_eq!(engine.appender().waiting(), 60);
        store.let_go();
        first.await.unwrap().unwrap();
        for call in calls {
            call.await.unwrap();
        }
        for (name, before) in [(&one, 2), (&other, 1)] {
            let mut reader = reader(&engine, name, FeedStart::After(Sequence(before))).await;
            let mut numbers = Vec::new();
            while numbers.len() < 30 {
                let page = reader.next(support::PAGE, support::PATIENCE).await.unwrap();
                numbers.extend(page.events.iter().map(|event| event.recorded.event.data.as_bytes().to_vec()));
            }
            let expect: Vec<_> = (0..30).map(|number| format!("{{\"number\":{number}}}").into_bytes()).collect();
            assert_eq!(numbers, expect);
        }
        engine.shutdown().await;
    }
}
