//! Events that memory does not hold: they come from the log, and nobody sees a difference.

use tidings_engine::endpoints::{EndpointPatch, EndpointSettings, From, NewEndpoint, Ordering, Wanted};

use crate::bench::{ACME, Bench, endpoint, idle_options, options};
use crate::on_both;
use crate::receiver::{React, Receiver, order};
use crate::support::{Log, event, numbered, sequences, typed};

fn strict(url: &str) -> NewEndpoint {
    let settings = EndpointSettings { ordering: Ordering::Strict, ..EndpointSettings::default() };
    NewEndpoint { settings, ..endpoint(url) }
}

on_both! {
    async fn a_backlog_that_memory_does_not_hold_is_delivered_from_the_log(log: Log) {
        let store = log.store().await;
        let idle = Bench::over(&log, store.clone(), idle_options("b")).await;
        let (all, some) = (Receiver::healthy().await, Receiver::healthy().await);
        idle.create(strict(&all.url)).await;
        let types = vec!["users.*".to_owned()];
        idle.create(NewEndpoint { types, ..strict(&some.url) }).await;
        for _ in 0..10 {
            idle.append(numbered(ACME, 299)).await;
            idle.append(vec![typed(ACME, "users.user.created", "{}")]).await;
        }
        let mut tiny = options("a");
        tiny.tail.ring_bytes = 16 * 4_096;
        let bench = Bench::over(&log, store, tiny).await;
        let rare: Vec<u64> = (1..=10).map(|turn| turn * 300).collect();
        assert_eq!(order(&some.all(rare.clone()).await), rare);
        assert_eq!(order(&all.all(1..=3_000).await), sequences(1..=3_000));
        // Live from here on.
        bench.append(numbered(ACME, 10)).await;
        assert_eq!(order(&all.all(3_001..=3_010).await), sequences(1..=3_010));
        bench.engine.shutdown().await;
    }

    async fn large_events_are_read_again_when_they_are_sent(log: Log) {
        let mut tiny = options("a");
        tiny.tail.ring_bytes = 16 * 4_096;
        let bench = Bench::over(&log, log.store().await, tiny).await;
        let receiver = Receiver::healthy().await;
        bench.create(strict(&receiver.url)).await;
        let large = |number: usize| event(ACME, &format!("{{\"n\":{number},\"text\":\"{}\"}}", "x".repeat(200_000)));
        for number in 1..=20 {
            bench.append(vec![large(number)]).await;
        }
        let got = receiver.all(1..=20).await;
        assert_eq!(order(&got), sequences(1..=20));
        assert!(got.iter().all(|one| one.body.len() > 200_000));
        bench.engine.shutdown().await;
    }

    async fn a_lane_that_pauses_in_the_midst_of_a_backlog_goes_on_from_there(log: Log) {
        let bench = Bench::start(&log).await;
        bench.append(numbered(ACME, 3_000)).await;
        let receiver = Receiver::start(|_| React::Answer(200)).await;
        let (created, _) = bench.create(NewEndpoint { from: From::Start, ..strict(&receiver.url) }).await;
        for (count, status) in [(300, Wanted::Paused), (300, Wanted::Active), (1_000, Wanted::Paused)] {
            receiver.count(count).await;
            bench.update(&created.id, EndpointPatch { status: Some(status), ..EndpointPatch::default() }).await;
        }
        bench.append(numbered(ACME, 100)).await;
        let status = Some(Wanted::Active);
        bench.update(&created.id, EndpointPatch { status, ..EndpointPatch::default() }).await;
        let got = receiver.all(1..=3_100).await;
        assert_eq!(order(&got), sequences(1..=3_100), "each once, in order");
        bench.engine.shutdown().await;
    }
}
