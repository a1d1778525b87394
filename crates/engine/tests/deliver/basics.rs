//! Delivered, signed, in order; retried, given up, redriven.

use std::sync::atomic::{AtomicU32, Ordering as Memory};

use tidings_engine::endpoints::{EndpointSettings, NewEndpoint, NewReplay, Ordering};
use tidings_event::delivery::DeadReason;
use tidings_event::signature::Verifier;
use tidings_event::{Entity, Mint, SystemMint, Text};

use crate::bench::{ACME, Bench, endpoint, impatient, who};
use crate::on_both;
use crate::receiver::{React, Receiver, order, summary};
use crate::support::{Log, event, numbered, sequences, tenant, typed};

on_both! {
    async fn every_event_is_delivered_signed_and_in_order(log: Log) {
        let bench = Bench::start(&log).await;
        let receiver = Receiver::healthy().await;
        bench.append(vec![event(ACME, r#"{"before":true}"#)]).await;
        let settings = EndpointSettings { ordering: Ordering::Strict, ..EndpointSettings::default() };
        let (_, secret) = bench.create(NewEndpoint { settings, ..endpoint(&receiver.url) }).await;
        for batch in numbered(ACME, 50).chunks(7) {
            bench.append(batch.to_vec()).await;
        }
        let got = receiver.count(50).await;
        assert_eq!(order(&got), sequences(2..=51), "those after its creation, each once");
        let verifier = Verifier::new([secret.as_str()]).unwrap();
        let now_s = SystemMint::default().now().as_micros() / 1_000_000;
        for delivery in &got {
            let header = |name: &str| delivery.headers[name].as_str();
            verifier
                .verify(
                    header("webhook-id"),
                    header("webhook-timestamp"),
                    header("webhook-signature"),
                    &delivery.body,
                    now_s,
                )
                .unwrap();
            let body: serde_json::Value = serde_json::from_slice(&delivery.body).unwrap();
            assert_eq!(body["sequence"], delivery.sequence);
            assert_eq!(body["data"]["number"], delivery.sequence - 2);
        }
        let previous: Vec<Option<u64>> = got.iter().skip(1).map(|delivery| delivery.previous).collect();
        assert_eq!(previous, (2..=50).map(Some).collect::<Vec<_>>());
        bench.engine.shutdown().await;
    }

    async fn an_endpoint_gets_what_it_asked_for_and_no_more(log: Log) {
        let bench = Bench::start(&log).await;
        let (sales, large) = (Receiver::healthy().await, Receiver::healthy().await);
        bench.append(vec![event("globex", "{}")]).await;
        bench.create(NewEndpoint { types: vec!["sales.*".to_owned()], ..endpoint(&sales.url) }).await;
        let filter = r#"{"filters":[{"field":"$.data.number","operator":"gte","value":7}]}"#;
        bench.create(NewEndpoint { filter: Some(filter.to_owned()), ..endpoint(&large.url) }).await;
        bench.append(vec![event("globex", r#"{"number":100}"#)]).await;
        for number in 0..10 {
            let name = if number % 2 == 0 { "sales.lead.created" } else { "users.user.created" };
            bench.append(vec![typed(ACME, name, &format!("{{\"number\":{number}}}"))]).await;
        }
        assert_eq!(sorted(order(&sales.count(5).await)), [1, 3, 5, 7, 9]);
        assert_eq!(sorted(order(&large.count(3).await)), [8, 9, 10]);
        bench.engine.shutdown().await;
    }

    async fn a_failed_event_is_tried_again_and_the_others_go_on(log: Log) {
        let bench = Bench::start(&log).await;
        let receiver = Receiver::start(|delivery| {
            React::Answer(if delivery.sequence == 2 && delivery.attempt < 3 { 500 } else { 204 })
        })
        .await;
        let (created, _) = bench.create(impatient(&receiver.url, 5)).await;
        bench.append(numbered(ACME, 5)).await;
        let got = receiver.count(7).await;
        let of_second: Vec<(u64, u32)> = summary(&got).into_iter().filter(|(sequence, _)| *sequence == 2).collect();
        assert_eq!(of_second, [(2, 1), (2, 2), (2, 3)]);
        let ids: Vec<&str> =
            got.iter().filter(|one| one.sequence == 2).map(|one| one.headers["webhook-id"].as_str()).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "the same id over all attempts");
        bench.settled(&created.id).await;
        let attempts =
            bench.until("the attempts", || bench.attempts(&created.id), |attempts| attempts.len() == 7).await;
        let mut of_second: Vec<_> = attempts.into_iter().filter(|(sequence, ..)| *sequence == 2).collect();
        of_second.reverse();
        assert_eq!(of_second, [(2, 1, Some(500)), (2, 2, Some(500)), (2, 3, Some(204))]);
        assert!(bench.dead().await.is_empty());
        bench.engine.shutdown().await;
    }

    async fn an_event_that_is_given_up_is_told_and_delivered_when_it_is_redriven(log: Log) {
        let bench = Bench::start(&log).await;
        let receiver = Receiver::start(|delivery| React::Answer(if delivery.sequence == 3 { 400 } else { 200 })).await;
        let (created, _) = bench.create(impatient(&receiver.url, 2)).await;
        bench.append(numbered(ACME, 4)).await;
        let dead = bench.until("the dead letter", || bench.dead(), |dead| !dead.is_empty()).await;
        assert_eq!(dead.len(), 1);
        assert_eq!((dead[0].sequence.get(), dead[0].attempts, dead[0].reason), (3, 2, DeadReason::Exhausted));
        assert_eq!(dead[0].last_status, Some(400));
        for name in [ACME, "$system"] {
            let told = bench.told(name, "tidings.delivery.dead_lettered", 1).await;
            let data: serde_json::Value = serde_json::from_slice(told[0].event.data.as_bytes()).unwrap();
            assert_eq!(data["endpoint"], created.id.as_str());
            assert_eq!((&data["count"], &data["sequences"][0]), (&1.into(), &3.into()));
        }
        receiver.react(|_| React::Answer(200));
        bench.endpoints.redrive(&who(), &tenant(ACME), &dead[0].id).await.unwrap();
        let got = receiver.until("the redriven event", |got| summary(got).ends_with(&[(3, 1)])).await;
        assert_eq!(got.len(), 6, "{:?}", summary(&got));
        bench.settled(&created.id).await;
        assert!(bench.dead().await.is_empty());
        bench.engine.shutdown().await;
    }

    async fn an_endpoint_that_is_gone_is_disabled_and_keeps_its_place(log: Log) {
        let bench = Bench::start(&log).await;
        let receiver = Receiver::start(|_| React::Answer(410)).await;
        let settings = EndpointSettings { ordering: Ordering::Strict, ..EndpointSettings::default() };
        let (created, _) = bench.create(NewEndpoint { settings, ..endpoint(&receiver.url) }).await;
        bench.append(numbered(ACME, 3)).await;
        bench.told(ACME, "tidings.endpoint.disabled", 1).await;
        let disabled = bench.endpoints.get(&tenant(ACME), &created.id).await.unwrap();
        assert_eq!(disabled.status_reason.as_deref(), Some("gone"));
        receiver.react(|_| React::Answer(200));
        bench.append(numbered(ACME, 2)).await;
        let patch = tidings_engine::endpoints::EndpointPatch {
            status: Some(tidings_engine::endpoints::Wanted::Active),
            ..Default::default()
        };
        let before = receiver.got().len();
        bench.update(&created.id, patch).await;
        let last = receiver.until("the last event", |got| got.last().is_some_and(|one| one.sequence >= 6)).await;
        let after: Vec<u64> = order(&last[before..]).into_iter().filter(|sequence| *sequence != 4).collect();
        // Sequence 4 tells of the disabling, and the endpoint did not ask for such events.
        assert_eq!(after, [1, 2, 3, 5, 6]);
        bench.engine.shutdown().await;
    }

    async fn events_of_one_entity_stay_in_order_while_one_of_them_fails(log: Log) {
        let bench = Bench::start(&log).await;
        static FAILED: AtomicU32 = AtomicU32::new(0);
        let receiver = Receiver::start(|delivery| {
            let fails = delivery.sequence == 1 && delivery.attempt <= 2;
            FAILED.fetch_add(u32::from(fails), Memory::SeqCst);
            React::Answer(if fails { 500 } else { 200 })
        })
        .await;
        let settings = EndpointSettings {
            ordering: Ordering::Entity,
            retry_schedule_s: vec![0, 0, 0, 0],
            ..EndpointSettings::default()
        };
        bench.create(NewEndpoint { settings, ..endpoint(&receiver.url) }).await;
        let events = (0..60)
            .map(|number| {
                let mut event = event(ACME, "{}");
                let id = Text::parse(format!("lead_{}", number % 3)).unwrap();
                event.entity = Some(Entity { kind: Text::parse("lead").unwrap(), id });
                event
            })
            .collect();
        bench.append(events).await;
        let got = receiver.all(1..=60).await;
        for entity in 0..3 {
            let mut of_entity: Vec<u64> =
                order(&got).into_iter().filter(|sequence| (sequence - 1) % 3 == entity).collect();
            of_entity.dedup();
            assert!(of_entity.is_sorted(), "{of_entity:?}");
        }
        bench.engine.shutdown().await;
    }

    async fn a_replay_delivers_the_past_once_more_and_ends(log: Log) {
        let bench = Bench::start(&log).await;
        let receiver = Receiver::healthy().await;
        let (created, _) = bench.create(endpoint(&receiver.url)).await;
        bench.append(numbered(ACME, 20)).await;
        receiver.count(20).await;
        let new = NewReplay {
            from: tidings_engine::endpoints::From::Sequence(5),
            until: Some(tidings_engine::endpoints::Until::Sequence(14)),
            types: Vec::new(),
            filter: None,
            rate_per_s: None,
            dry_run: false,
        };
        let started = bench.endpoints.replay(&who(), &tenant(ACME), &created.id, new).await.unwrap();
        let got = receiver.count(30).await;
        assert_eq!(sorted(order(&got[20..])), sequences(5..=14));
        bench.told("$system", "tidings.replay.finished", 1).await;
        let id = started.replay.unwrap().id;
        let replay = bench.endpoints.replay_get(&tenant(ACME), &created.id, &id).await.unwrap();
        assert_eq!(replay.delivered, 10);
        bench.engine.shutdown().await;
    }
}

fn sorted(mut sequences: Vec<u64>) -> Vec<u64> {
    sequences.sort_unstable();
    sequences
}
