//! Endpoints that are made, changed, paused and deleted while events flow.

use tidings_engine::endpoints::{EndpointPatch, EndpointSettings, From, NewEndpoint, Ordering, Wanted};

use crate::bench::{ACME, Bench, endpoint, idle_options, options, who};
use crate::on_both;
use crate::receiver::{React, Receiver, order};
use crate::support::{Log, event, numbered, sequences, tenant, typed};

fn strict(url: &str) -> NewEndpoint {
    let settings = EndpointSettings { ordering: Ordering::Strict, ..EndpointSettings::default() };
    NewEndpoint { settings, ..endpoint(url) }
}

fn status(status: Wanted) -> EndpointPatch {
    EndpointPatch { status: Some(status), ..EndpointPatch::default() }
}

on_both! {
    async fn an_endpoint_begins_after_the_head_or_where_it_asks_to(log: Log) {
        let bench = Bench::start(&log).await;
        bench.append(numbered(ACME, 700)).await;
        let (now, start, middle) = (Receiver::healthy().await, Receiver::healthy().await, Receiver::healthy().await);
        bench.create(strict(&now.url)).await;
        bench.create(NewEndpoint { from: From::Start, ..strict(&start.url) }).await;
        bench.create(NewEndpoint { from: From::Sequence(650), ..strict(&middle.url) }).await;
        bench.append(numbered(ACME, 10)).await;
        assert_eq!(order(&now.all(701..=710).await), sequences(701..=710));
        assert_eq!(order(&start.all(1..=710).await), sequences(1..=710));
        assert_eq!(order(&middle.all(650..=710).await), sequences(650..=710));
        bench.engine.shutdown().await;
    }

    async fn a_paused_endpoint_goes_on_where_it_stopped(log: Log) {
        let bench = Bench::start(&log).await;
        let receiver = Receiver::healthy().await;
        let (created, _) = bench.create(strict(&receiver.url)).await;
        bench.append(numbered(ACME, 5)).await;
        receiver.count(5).await;
        bench.settled(&created.id).await;
        bench.update(&created.id, status(Wanted::Paused)).await;
        bench.append(numbered(ACME, 500)).await;
        let other = Receiver::healthy().await;
        bench.create(NewEndpoint { from: From::Start, ..strict(&other.url) }).await;
        other.all(1..=505).await;
        assert_eq!(receiver.got().len(), 5, "nothing while it is paused");
        bench.engine.shutdown().await;

        // It keeps its place also while nobody routes.
        let bench = Bench::start(&log).await;
        bench.update(&created.id, status(Wanted::Active)).await;
        assert_eq!(order(&receiver.all(1..=505).await), sequences(1..=505));
        bench.engine.shutdown().await;
    }

    async fn a_filter_takes_effect_exactly_at_its_sequence_however_late_events_are_routed(log: Log) {
        let store = log.store().await;
        let idle = Bench::over(&log, store.clone(), idle_options("b")).await;
        let receiver = Receiver::healthy().await;
        let types = |name: &str| vec![format!("sales.{name}.created")];
        let (created, _) = idle.create(NewEndpoint { types: types("lead"), ..strict(&receiver.url) }).await;
        let both = || vec![typed(ACME, "sales.lead.created", "{}"), typed(ACME, "sales.order.created", "{}")];
        idle.append(both()).await;
        idle.append(both()).await;
        let patch = |name: &str| EndpointPatch { types: Some(types(name)), ..EndpointPatch::default() };
        let changed = idle.update(&created.id, patch("order")).await;
        idle.append(both()).await;
        assert_eq!(changed.since.get(), 4);
        idle.update(&created.id, patch("lead")).await;
        idle.append(both()).await;
        let bench = Bench::over(&log, store, options("a")).await;
        assert_eq!(order(&receiver.all([1, 3, 6, 7]).await), [1, 3, 6, 7]);
        bench.engine.shutdown().await;
    }

    async fn a_filter_takes_effect_exactly_at_its_sequence_under_load(log: Log) {
        let bench = Bench::start(&log).await;
        let receiver = Receiver::healthy().await;
        let names = ["lead", "order"];
        let types = |name: &str| vec![format!("sales.{name}.created")];
        let (created, _) = bench.create(NewEndpoint { types: types(names[0]), ..endpoint(&receiver.url) }).await;
        let appending = tokio::spawn({
            let engine = bench.engine.clone();
            async move {
                for _ in 0..400 {
                    let events =
                        names.map(|name| typed(ACME, &format!("sales.{name}.created"), "{}")).to_vec();
                    engine.append(events).await.unwrap();
                }
            }
        });
        let mut held = vec![(0, names[0])];
        for turn in 1..=20 {
            let name = names[turn % 2];
            let patch = EndpointPatch { types: Some(types(name)), ..EndpointPatch::default() };
            held.push((bench.update(&created.id, patch).await.since.get(), name));
        }
        appending.await.unwrap();
        let wanted: Vec<u64> = (1..=800_u64)
            .filter(|sequence| {
                let (_, name) = held.iter().rev().find(|(after, _)| after < sequence).unwrap();
                // Every append writes a lead and then an order.
                *name == names[usize::from(sequence % 2 == 0)]
            })
            .collect();
        let mut got = order(&receiver.all(wanted.clone()).await);
        got.sort_unstable();
        assert_eq!(got, wanted);
        bench.engine.shutdown().await;
    }

    async fn nothing_is_sent_to_an_endpoint_that_was_deleted(log: Log) {
        let bench = Bench::start(&log).await;
        let (kept, gone) = (Receiver::healthy().await, Receiver::healthy().await);
        bench.create(strict(&kept.url)).await;
        let (deleted, _) = bench.create(strict(&gone.url)).await;
        bench.append(numbered(ACME, 3)).await;
        gone.all(1..=3).await;
        bench.endpoints.delete(&who(), &tenant(ACME), &deleted.id).await.unwrap();
        bench.append(numbered(ACME, 5)).await;
        kept.all(1..=8).await;
        assert_eq!(gone.got().len(), 3);
        bench.engine.shutdown().await;
    }

    async fn polling_alone_finds_events_and_changes_of_another_node(log: Log) {
        let store = log.store().await;
        let router = Bench::over(&log, store.clone(), options("a")).await;
        // What this one does the other hears of only by looking.
        let other = Bench::over(&log, store, idle_options("b")).await;
        let receiver = Receiver::healthy().await;
        let (created, _) = other.create(strict(&receiver.url)).await;
        other.append(numbered(ACME, 3)).await;
        assert_eq!(order(&receiver.all(1..=3).await), [1, 2, 3]);
        let types = vec!["users.*".to_owned()];
        other.update(&created.id, EndpointPatch { types: Some(types), ..EndpointPatch::default() }).await;
        other.append(vec![event(ACME, "{}"), typed(ACME, "users.user.created", "{}")]).await;
        assert_eq!(order(&receiver.all([5]).await), [1, 2, 3, 5]);
        router.engine.shutdown().await;
    }

    async fn a_new_url_holds_for_what_is_sent_from_then_on(log: Log) {
        let bench = Bench::start(&log).await;
        let (old, new) = (Receiver::start(|_| React::Answer(500)).await, Receiver::healthy().await);
        let settings = EndpointSettings { retry_schedule_s: vec![0, 1, 1, 600], ..EndpointSettings::default() };
        let (created, _) = bench.create(NewEndpoint { settings, ..endpoint(&old.url) }).await;
        bench.append(numbered(ACME, 10)).await;
        old.count(5).await;
        bench.update(&created.id, EndpointPatch { url: Some(new.url.clone()), ..EndpointPatch::default() }).await;
        new.all(1..=10).await;
        bench.settled(&created.id).await;
        bench.engine.shutdown().await;
    }
}
