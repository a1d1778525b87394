//! Endpoints that fail, are slow, or ask for less: they hurt nobody but themselves, and lose nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering as Memory};

use tidings_engine::endpoints::{CircuitState, EndpointSettings, NewEndpoint, Ordering};
use tidings_event::delivery::Failure;
use tidings_event::{Entity, Event, Text};

use crate::bench::{ACME, Bench, endpoint, impatient, options};
use crate::on_both;
use crate::receiver::{React, Receiver, order, summary};
use crate::support::{Log, event, numbered, sequences, tenant};

on_both! {
    async fn a_dead_endpoint_stands_still_and_catches_up_in_order(log: Log) {
        let bench = Bench::start(&log).await;
        let mut receiver = Receiver::healthy().await;
        let settings = EndpointSettings { ordering: Ordering::Entity, ..EndpointSettings::default() };
        let (created, _) = bench.create(NewEndpoint { settings, ..endpoint(&receiver.url) }).await;
        bench.append(of_entities(20)).await;
        receiver.count(20).await;
        receiver.go_down().await;
        bench.append(of_entities(2_000)).await;
        bench.told(ACME, "tidings.endpoint.circuit_opened", 1).await;
        bench.append(of_entities(20)).await;
        let stats = || async { bench.endpoints.stats(&tenant(ACME), &created.id).await.unwrap() };
        let open = bench.until("the circuit", stats, |stats| stats.circuit == CircuitState::Open).await;
        assert!(open.lag_events > 1_000, "{}", open.lag_events);
        assert!(open.retries < 100, "nothing is copied for an event that waits: {}", open.retries);
        receiver.come_back().await;
        bench.told(ACME, "tidings.endpoint.circuit_closed", 1).await;
        // Between the two lies the event that tells of the circuit, which the endpoint did not ask for.
        let got = receiver.all((1..=2_020).chain(2_022..=2_041)).await;
        for entity in 0..20 {
            let id = format!(r#""id":"lead_{entity}""#);
            let of_entity = got.iter().filter(|one| String::from_utf8_lossy(&one.body).contains(&id));
            let sequences: Vec<u64> = of_entity.map(|one| one.sequence).collect();
            assert_eq!(sequences.len(), 102, "each once");
            assert!(sequences.is_sorted(), "{sequences:?}");
        }
        bench.settled(&created.id).await;
        assert!(bench.dead().await.is_empty());
        bench.engine.shutdown().await;
    }

    async fn a_strict_endpoint_that_was_down_gets_everything_in_order(log: Log) {
        let bench = Bench::start(&log).await;
        let mut receiver = Receiver::healthy().await;
        let settings = EndpointSettings {
            ordering: Ordering::Strict,
            // Enough attempts without a pause to open the circuit, and a span in which nothing is given up.
            retry_schedule_s: vec![0, 0, 0, 0, 0, 0, 600],
            ..EndpointSettings::default()
        };
        bench.create(NewEndpoint { settings, types: vec!["sales.*".to_owned()], ..endpoint(&receiver.url) }).await;
        receiver.go_down().await;
        bench.append(numbered(ACME, 600)).await;
        bench.told(ACME, "tidings.endpoint.circuit_opened", 1).await;
        receiver.come_back().await;
        let got = receiver.all(1..=600).await;
        assert_eq!(order(&got), sequences(1..=600), "each once, in order");
        bench.engine.shutdown().await;
    }

    async fn an_endpoint_that_hangs_delays_no_other(log: Log) {
        let bench = Bench::start(&log).await;
        let (hanging, healthy) = (Receiver::start(|_| React::Hang).await, Receiver::healthy().await);
        let (stuck, _) = bench.create(endpoint(&hanging.url)).await;
        bench.create(endpoint(&healthy.url)).await;
        for batch in numbered(ACME, 3_000).chunks(100) {
            bench.append(batch.to_vec()).await;
        }
        // The other one has answered nothing until the end.
        healthy.all(1..=3_000).await;
        assert!(!hanging.got().is_empty());
        assert!(bench.attempts(&stuck.id).await.is_empty());
        drop(hanging);
        bench.engine.shutdown().await;
    }

    async fn an_endpoint_that_asks_for_a_pause_is_left_alone(log: Log) {
        let bench = Bench::start(&log).await;
        let asked = Arc::new(AtomicBool::new(false));
        let receiver = Receiver::start({
            let asked = asked.clone();
            move |_| {
                if asked.swap(true, Memory::SeqCst) {
                    React::Answer(200)
                } else {
                    React::With(429, "retry-after", "2", "slow down")
                }
            }
        })
        .await;
        let settings = EndpointSettings {
            ordering: Ordering::Strict,
            retry_schedule_s: vec![0, 0, 5],
            ..EndpointSettings::default()
        };
        let (created, _) = bench.create(NewEndpoint { settings, ..endpoint(&receiver.url) }).await;
        bench.append(numbered(ACME, 1)).await;
        let stats = || async { bench.endpoints.stats(&tenant(ACME), &created.id).await.unwrap() };
        bench.until("the pause", stats, |stats| stats.circuit == CircuitState::Throttled).await;
        bench.append(numbered(ACME, 3)).await;
        assert_eq!(receiver.got().len(), 1, "nothing is sent while the pause lasts");
        let got = receiver.count(5).await;
        assert_eq!(summary(&got), [(1, 1), (1, 2), (2, 1), (3, 1), (4, 1)]);
        bench.settled(&created.id).await;
        bench.engine.shutdown().await;
    }

    async fn what_an_endpoint_answers_is_kept_with_the_attempt(log: Log) {
        let bench = Bench::start(&log).await;
        let receiver = Receiver::start(|delivery| match delivery.sequence {
            1 => React::With(302, "location", "http://127.0.0.1:1/", "elsewhere"),
            2 => React::Break,
            _ => React::With(200, "x-answer", "yes", "thanks"),
        })
        .await;
        let (created, _) = bench.create(impatient(&receiver.url, 1)).await;
        bench.append(numbered(ACME, 3)).await;
        bench.until("the dead letters", || bench.dead(), |dead| dead.len() == 2).await;
        bench.until("the attempts", || bench.attempts(&created.id), |attempts| attempts.len() == 3).await;
        let search = tidings_engine::endpoints::AttemptSearch { limit: 10, ..Default::default() };
        let (attempts, _) = bench.endpoints.attempts(&tenant(ACME), &created.id, search).await.unwrap();
        let of = |sequence| attempts.iter().find(|one| one.sequence.get() == sequence).unwrap();
        assert_eq!((of(1).status, of(1).response.as_str()), (Some(302), "elsewhere"));
        assert_eq!((of(2).status, of(2).failure), (None, Some(Failure::Reset)));
        assert_eq!((of(3).status, of(3).response.as_str()), (Some(200), "thanks"));
        bench.engine.shutdown().await;
    }

    async fn an_endpoint_whose_address_is_no_longer_allowed_fails_and_nothing_is_sent(log: Log) {
        let receiver = Receiver::healthy().await;
        let bench = Bench::start(&log).await;
        let (created, _) = bench.create(endpoint(&receiver.url)).await;
        bench.engine.shutdown().await;
        let mut strict = options("a");
        strict.egress.allow_http = false;
        let bench = Bench::over(&log, log.store().await, strict).await;
        bench.append(vec![event(ACME, "{}")]).await;
        let attempts = bench.until("the attempt", || bench.attempts(&created.id), |all| !all.is_empty()).await;
        assert_eq!(attempts[0], (1, 1, None));
        assert!(receiver.got().is_empty());
        bench.engine.shutdown().await;
    }
}

/// Events of twenty entities in turn.
fn of_entities(count: usize) -> Vec<Event> {
    let of = |number: usize| {
        let id = Text::parse(format!("lead_{}", number % 20)).unwrap();
        Event { entity: Some(Entity { kind: Text::parse("lead").unwrap(), id }), ..event(ACME, "{}") }
    };
    (0..count).map(of).collect()
}
