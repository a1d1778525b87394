//! Crashes, lost answers and lost leases: nothing is lost, and repeated only what was under way.

use std::sync::Arc;
use std::time::Duration;

use tidings_engine::endpoints::{EndpointSettings, NewEndpoint, Ordering};
use tokio::runtime::Runtime;

use crate::bench::{ACME, Bench, endpoint, options};
use crate::on_both;
use crate::receiver::{React, Receiver, order};
use crate::support::{Failure, FaultyStore, Log, event, numbered, sequences};

fn strict(url: &str) -> NewEndpoint {
    let settings = EndpointSettings { ordering: Ordering::Strict, ..EndpointSettings::default() };
    NewEndpoint { settings, ..endpoint(url) }
}

/// A process of its own, as far as tasks go.
fn process() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Everything stops where it is, and is gone.
async fn kill(process: Runtime) {
    tokio::task::spawn_blocking(move || process.shutdown_timeout(Duration::from_secs(20))).await.unwrap();
}

on_both! {
    async fn a_crash_loses_nothing_and_repeats_little(log: Log) {
        let log = Arc::new(log);
        let receiver = Receiver::healthy().await;
        let mut created = None;
        let mut appended = 0;
        for round in 0..5 {
            let life = process();
            let (log, url, known) = (log.clone(), receiver.url.clone(), created.clone());
            let id = life
                .spawn(async move {
                    let bench = Bench::start(&log).await;
                    let id = match known {
                        Some(id) => id,
                        None => bench.create(endpoint(&url)).await.0.id,
                    };
                    bench.append(numbered(ACME, 300)).await;
                    id
                })
                .await
                .unwrap();
            created = Some(id);
            appended += 300;
            // Some of them are delivered, some recorded, some under way.
            receiver.count(appended - 300 + 50 * (round + 1)).await;
            kill(life).await;
        }
        let bench = Bench::start(&log).await;
        let got = receiver.all(1..=appended as u64).await;
        let repeated = got.len() - appended;
        assert!(repeated <= 5 * 2_048, "{repeated} repeated");
        bench.settled(&created.unwrap()).await;
        bench.engine.shutdown().await;
    }

    async fn events_that_wait_for_a_retry_survive_a_crash(log: Log) {
        let log = Arc::new(log);
        let receiver = Receiver::start(|delivery| React::Answer(if delivery.sequence == 2 { 500 } else { 200 })).await;
        let life = process();
        let (shared, url) = (log.clone(), receiver.url.clone());
        let id = life
            .spawn(async move {
                let bench = Bench::start(&shared).await;
                let settings = EndpointSettings { retry_schedule_s: vec![0, 1, 0], ..EndpointSettings::default() };
                let (created, _) = bench.create(NewEndpoint { settings, ..endpoint(&url) }).await;
                bench.append(numbered(ACME, 3)).await;
                bench.until("the attempts", || bench.attempts(&created.id), |all| all.len() == 3).await;
                created.id
            })
            .await
            .unwrap();
        kill(life).await;
        receiver.react(|_| React::Answer(200));
        let bench = Bench::start(&log).await;
        let got = receiver.until("the retry", |got| got.last().is_some_and(|one| one.attempt == 2)).await;
        assert_eq!(got.last().unwrap().sequence, 2);
        bench.settled(&id).await;
        bench.engine.shutdown().await;
    }

    async fn a_commit_that_was_not_written_is_written_again(log: Log) {
        let store = FaultyStore::over(log.store().await);
        let bench = Bench::over(&log, store.clone(), options("a")).await;
        let receiver = Receiver::healthy().await;
        let (created, _) = bench.create(strict(&receiver.url)).await;
        for _ in 0..3 {
            store.fail_next_route(Failure::BeforeCommit);
        }
        bench.append(numbered(ACME, 20)).await;
        receiver.all(1..=20).await;
        let attempts = bench.until("the attempts", || bench.attempts(&created.id), |all| all.len() == 20).await;
        assert_eq!(attempts.len(), 20);
        assert_eq!(order(&receiver.got()), sequences(1..=20), "none is sent twice");
        bench.engine.shutdown().await;
    }

    async fn a_router_that_is_not_sure_begins_again_and_loses_nothing(log: Log) {
        for failure in [Failure::AfterCommit, Failure::Panic] {
            let store = FaultyStore::over(log.store().await);
            let bench = Bench::over(&log, store.clone(), options("a")).await;
            let receiver = Receiver::healthy().await;
            let (created, _) = bench.create(endpoint(&receiver.url)).await;
            bench.append(numbered("globex", 1)).await;
            store.fail_next_route(failure);
            bench.append(vec![event(ACME, "{}")]).await;
            let failed = || async { store.route_failures_left() };
            bench.until("the failure", failed, |left| *left == 0).await;
            bench.append(numbered(ACME, 20)).await;
            let first = created.since.get() + 1;
            receiver.all(first..=first + 20).await;
            bench.settled(&created.id).await;
            bench.engine.shutdown().await;
        }
    }

    async fn a_shutdown_records_what_was_delivered(log: Log) {
        let receiver = Receiver::healthy().await;
        let bench = Bench::start(&log).await;
        bench.create(strict(&receiver.url)).await;
        bench.append(numbered(ACME, 200)).await;
        receiver.count(100).await;
        bench.engine.shutdown().await;
        let bench = Bench::over(&log, log.store().await, options("another")).await;
        assert_eq!(order(&receiver.all(1..=200).await), sequences(1..=200), "each once");
        bench.engine.shutdown().await;
    }

    async fn a_router_that_lost_its_partition_writes_nothing(log: Log) {
        let store = log.store().await;
        let faulty = FaultyStore::over(store.clone());
        let mut slow = options("slow");
        slow.node.lease = Duration::from_millis(500);
        slow.node.beat = Duration::from_secs(3_600);
        let first = Bench::over(&log, faulty.clone(), slow).await;
        let receiver = Receiver::healthy().await;
        let (created, _) = first.create(endpoint(&receiver.url)).await;
        let stood = first.attempts(&created.id).await.len();
        faulty.hold_routes();
        first.append(vec![event(ACME, "{}")]).await;
        receiver.count(1).await;
        faulty.held_routes().await;

        let second = Bench::over(&log, store.clone(), options("quick")).await;
        receiver.count(2).await;
        second.until("the second's attempt", || second.attempts(&created.id), |all| all.len() == stood + 1).await;
        faulty.let_routes_go();
        faulty.fenced().await;
        assert_eq!(second.attempts(&created.id).await.len(), stood + 1, "the first one's attempt is not recorded");
        second.append(numbered(ACME, 5)).await;
        receiver.all(1..=6).await;
        second.settled(&created.id).await;
        first.engine.shutdown().await;
        second.engine.shutdown().await;
        store.close().await;
    }
}
