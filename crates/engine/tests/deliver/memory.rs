//! Events that memory does not hold: they come from the log, and nobody sees a difference.

use std::sync::atomic::Ordering as Memory;

use tidings_engine::endpoints::{
    EndpointPatch, EndpointSettings, From, NewEndpoint, NewReplay, Ordering, Until, Wanted,
};

use crate::bench::{ACME, Bench, endpoint, idle_options, options, who};
use crate::on_both;
use crate::receiver::{React, Receiver, order};
use crate::support::{FaultyStore, Log, event, numbered, sequences, tenant, typed};

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

    async fn a_lane_that_stood_still_for_longer_than_events_are_kept_goes_on_with_those_that_are(log: Log) {
        let before = Bench::start(&log).await;
        let (receiver, other) = (Receiver::healthy().await, Receiver::healthy().await);
        before.create(strict(&other.url)).await;
        before.append(numbered(ACME, 10)).await;
        let (created, _) =
            before.create(NewEndpoint { from: From::Start, paused: true, ..strict(&receiver.url) }).await;
        let new = NewReplay {
            from: From::Start,
            until: Some(Until::Sequence(3)),
            types: Vec::new(),
            filter: None,
            rate_per_s: None,
            dry_run: false,
        };
        let started = before.endpoints.replay(&who(), &tenant(ACME), &created.id, new).await.unwrap();
        let replay = started.replay.unwrap();
        // The router is past all of them when the next one begins.
        other.all(1..=10).await;
        before.engine.shutdown().await;
        let faulty = FaultyStore::over(log.store().await);
        faulty.floor.store(5, Memory::SeqCst);
        let bench = Bench::over(&log, faulty, options("a")).await;
        let status = Some(Wanted::Active);
        bench.update(&created.id, EndpointPatch { status, ..EndpointPatch::default() }).await;
        let got = receiver.all(6..=10).await;
        assert_eq!(order(&got), sequences(6..=10), "each once, in order");
        // Nothing is left of what the replay was for.
        let asked = || async { bench.endpoints.replay_get(&tenant(ACME), &created.id, &replay.id).await.unwrap() };
        let ended = bench.until("the replay to end", asked, |one| one.ended_at.is_some()).await;
        assert_eq!((ended.delivered, ended.dead), (0, 0));
        bench.engine.shutdown().await;
    }
}
