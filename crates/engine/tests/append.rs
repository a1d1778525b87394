//! What callers of append are promised.
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy does not see that macros make these")]

mod support;

use std::sync::atomic::Ordering;

use support::{Failure, Log, event, numbered, read, reader, sequences, tenant};
use tidings_engine::{AppendError, AppendOptions, Engine, FeedStart, IdTaken, Options, Receipt};
use tidings_event::{Data, Event, Sequence};
use tokio::task::JoinHandle;

fn spawn(engine: &Engine, events: Vec<Event>) -> JoinHandle<Result<Vec<Receipt>, AppendError>> {
    let engine = engine.clone();
    tokio::spawn(async move { engine.append(events).await })
}

/// Waits until so many events wait for a commit.
async fn queued(engine: &Engine, events: usize) {
    while engine.appender().waiting() < events {
        tokio::task::yield_now().await;
    }
}

fn numbers(receipts: &[Receipt]) -> Vec<u64> {
    receipts.iter().map(|receipt| receipt.sequence.get()).collect()
}

on_both! {
    async fn sequences_of_a_tenant_have_no_gaps_and_duplicates_keep_their_first(log: Log) {
        let engine = log.engine().await;
        let events = numbered("acme", 3);
        assert_eq!(numbers(&engine.append(events.clone()).await.unwrap()), [1, 2, 3]);
        let again = engine.append(events.clone()).await.unwrap();
        assert_eq!(numbers(&again), [1, 2, 3]);
        assert!(again.iter().all(|receipt| receipt.duplicate));
        let mut mixed = numbered("acme", 1);
        mixed.extend(events);
        assert_eq!(numbers(&engine.append(mixed).await.unwrap()), [4, 1, 2, 3]);
        engine.shutdown().await;
    }

    async fn calls_that_come_during_a_commit_share_the_next_one(log: Log) {
        let (engine, store) = log.faulty(Options::default()).await;
        store.hold();
        let first = spawn(&engine, numbered("acme", 1));
        store.held().await;
        let mut others = Vec::new();
        for waiting in 1..=20 {
            others.push(spawn(&engine, numbered("acme", 1)));
            queued(&engine, waiting).await;
        }
        store.let_go();
        assert_eq!(numbers(&first.await.unwrap().unwrap()), [1]);
        let mut given = Vec::new();
        for other in others {
            given.extend(numbers(&other.await.unwrap().unwrap()));
        }
        given.sort_unstable();
        assert_eq!(given, sequences(2..=21));
        assert_eq!(store.appends.load(Ordering::SeqCst), 2);
        engine.shutdown().await;
    }

    async fn a_conflict_leaves_the_other_calls_of_its_commit_alone(log: Log) {
        let (engine, store) = log.faulty(Options::default()).await;
        let taken = event("acme", r#"{"amount":1}"#);
        engine.append(vec![taken.clone()]).await.unwrap();
        store.hold();
        let _first = spawn(&engine, numbered("acme", 1));
        store.held().await;
        let before = spawn(&engine, numbered("acme", 1));
        queued(&engine, 1).await;
        let other = Event { data: Data::trusted(r#"{"amount":2}"#), ..taken };
        let conflicting = spawn(&engine, vec![event("acme", "{}"), other]);
        queued(&engine, 3).await;
        let behind = spawn(&engine, numbered("acme", 1));
        queued(&engine, 4).await;
        store.let_go();
        match conflicting.await.unwrap() {
            Err(AppendError::Conflict { indexes }) => assert_eq!(indexes, [1]),
            answer => panic!("{answer:?}"),
        }
        // Calls that run at once may be queued in any order.
        let mut given = numbers(&before.await.unwrap().unwrap());
        given.extend(numbers(&behind.await.unwrap().unwrap()));
        given.sort_unstable();
        assert_eq!(given, [3, 4], "nothing of the conflicting call was written");
        engine.shutdown().await;
    }

    async fn a_batch_over_tenants_keeps_its_order_and_is_atomic_for_each(log: Log) {
        let engine = log.engine().await;
        let names = ["acme", "globex", "initech", "umbrella", "hooli"];
        let batch: Vec<Event> = (0..50).map(|number| event(names[number % 5], &format!(r#"{{"n":{number}}}"#))).collect();
        let receipts = engine.append(batch.clone()).await.unwrap();
        let expected: Vec<u64> = (0..50).map(|number| number / 5 + 1).collect();
        assert_eq!(numbers(&receipts), expected);

        let mut second: Vec<Event> = batch.iter().take(5).cloned().map(|event| Event { data: Data::trusted("{}"), ..event }).collect();
        for index in [0, 1, 3, 4] {
            second[index] = event(names[index], "{}");
        }
        second.push(event("initech", "{}"));
        match engine.append(second).await {
            Err(AppendError::Conflict { indexes }) => assert_eq!(indexes, [2]),
            answer => panic!("{answer:?}"),
        }
        for name in names {
            let head = engine.tenant(&tenant(name)).await.unwrap().unwrap().head;
            assert_eq!(head, Sequence(if name == "initech" { 10 } else { 11 }), "{name}");
        }
        engine.shutdown().await;
    }

    async fn events_that_stand_for_themselves_are_not_held_up_by_one_that_conflicts(log: Log) {
        let engine = log.engine().await;
        let taken = event("acme", r#"{"amount":1}"#);
        engine.append(vec![taken.clone()]).await.unwrap();
        let other = Event { data: Data::trusted("{}"), ..taken.clone() };
        let events = vec![event("acme", "{}"), other, event("globex", "{}"), taken, event("acme", "{}")];
        let outcomes = engine.appender().append_each(events).await.unwrap();
        let receipt = |sequence, duplicate| Ok(Receipt { sequence: Sequence(sequence), duplicate });
        assert_eq!(
            outcomes,
            [receipt(2, false), Err(IdTaken), receipt(1, false), receipt(1, true), receipt(3, false)]
        );
        engine.shutdown().await;
    }

    async fn an_append_whose_answer_was_lost_is_completed_by_a_retry_without_a_second_row(log: Log) {
        let (engine, store) = log.faulty(Options::default()).await;
        let events = numbered("acme", 3);
        let mut feed = reader(&engine, "acme", FeedStart::Start).await;
        store.fail_next(Failure::AfterCommit);
        match engine.append(events.clone()).await {
            Err(AppendError::Store(tidings_store::Error::Unavailable { ambiguous: true, .. })) => {}
            answer => panic!("{answer:?}"),
        }
        assert_eq!(read(&mut feed, 3).await, [1, 2, 3], "readers get what was committed, whoever was told");
        let again = engine.append(events).await.unwrap();
        assert_eq!(numbers(&again), [1, 2, 3]);
        engine.shutdown().await;
    }

    async fn what_was_acknowledged_survives_a_shutdown_amid_appends(log: Log) {
        let engine = log.engine().await;
        engine.append(numbered("acme", 1)).await.unwrap();
        let calls: Vec<_> = (0..200).map(|_| spawn(&engine, numbered("acme", 3))).collect();
        engine.shutdown().await;
        let mut acknowledged = vec![1];
        let mut refused = 0;
        for call in calls {
            match call.await.unwrap() {
                Ok(receipts) => acknowledged.extend(numbers(&receipts)),
                Err(AppendError::ShuttingDown) => refused += 1,
                Err(error) => panic!("{error:?}"),
            }
        }
        acknowledged.sort_unstable();
        assert_eq!(acknowledged.len() + 3 * refused, 601);
        assert!(matches!(engine.append(numbered("acme", 1)).await, Err(AppendError::ShuttingDown)));

        let engine = log.engine().await;
        let mut feed = reader(&engine, "acme", FeedStart::Start).await;
        assert_eq!(read(&mut feed, acknowledged.len()).await, acknowledged);
        assert_eq!(acknowledged, sequences(1..=acknowledged.len() as u64));
        engine.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_turns_calls_away_and_takes_them_again_once_it_is_drained() {
    let log = Log::sqlite();
    let append = AppendOptions { queue_events: 10, ..AppendOptions::default() };
    let (engine, store) = log.faulty(Options { append, ..Options::default() }).await;
    store.hold();
    let first = spawn(&engine, numbered("acme", 1));
    store.held().await;
    let waiting = spawn(&engine, numbered("acme", 10));
    queued(&engine, 10).await;
    assert!(matches!(engine.append(numbered("acme", 1)).await, Err(AppendError::Overloaded)));
    store.let_go();
    first.await.unwrap().unwrap();
    waiting.await.unwrap().unwrap();
    assert_eq!(numbers(&engine.append(numbered("acme", 1)).await.unwrap()), [12]);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failure_of_the_storage_appends_succeed_by_themselves() {
    let log = Log::sqlite();
    let (engine, store) = log.faulty(Options::default()).await;
    let events = numbered("acme", 2);
    store.fail_next(Failure::BeforeCommit);
    store.fail_next(Failure::Panic);
    for ambiguous in [false, true] {
        match engine.append(events.clone()).await {
            Err(AppendError::Store(tidings_store::Error::Unavailable { .. })) if !ambiguous => {}
            Err(AppendError::Store(tidings_store::Error::Broken(_))) if ambiguous => {}
            answer => panic!("{answer:?}"),
        }
    }
    assert_eq!(numbers(&engine.append(events).await.unwrap()), [1, 2]);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_in_a_failed_commit_is_told() {
    let log = Log::sqlite();
    let (engine, store) = log.faulty(Options::default()).await;
    store.hold();
    let first = spawn(&engine, numbered("acme", 1));
    store.held().await;
    let calls: Vec<_> = (0..5).map(|_| spawn(&engine, numbered("acme", 1))).collect();
    queued(&engine, 5).await;
    store.fail_next(Failure::BeforeCommit);
    store.fail_next(Failure::BeforeCommit);
    store.let_go();
    assert!(matches!(first.await.unwrap(), Err(AppendError::Store(_))));
    for call in calls {
        assert!(matches!(call.await.unwrap(), Err(AppendError::Store(_))));
    }
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_database_was_away_appends_and_readers_go_on_by_themselves() {
    let server = tidings_testkit::Postgres::start();
    let log = Log::postgres_on(&server).await;
    let engine = log.engine().await;
    let mut feed = reader(&engine, "acme", FeedStart::Start).await;
    engine.append(numbered("acme", 1)).await.unwrap();
    assert_eq!(read(&mut feed, 1).await, [1]);

    server.kill9();
    let events = numbered("acme", 2);
    assert!(matches!(engine.append(events.clone()).await, Err(AppendError::Store(_))));
    server.restart();
    // The first tries may still meet connections of the old server.
    let receipts = loop {
        match engine.append(events.clone()).await {
            Ok(receipts) => break receipts,
            Err(AppendError::Store(tidings_store::Error::Unavailable { .. })) => tokio::task::yield_now().await,
            Err(error) => panic!("{error:?}"),
        }
    };
    assert_eq!(numbers(&receipts), [2, 3]);
    assert_eq!(read(&mut feed, 2).await, [2, 3]);
    engine.shutdown().await;
}
