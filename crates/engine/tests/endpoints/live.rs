//! What is done to endpoints while events are delivered to them.

use std::sync::atomic::{AtomicBool, Ordering};

use tidings_engine::endpoints::{
    DeadSearch, EndpointPatch, EndpointSettings, From, NewEndpoint, NewReplay, Outcome, ReplayState, Rotate, Wanted,
};
use tidings_event::EventId;
use tidings_event::signature::Verifier;

use super::receiver::{Receiver, Request, answer};
use super::*;
use crate::on_both;
use crate::support::{PAGE, PATIENCE, numbered, typed};

/// An engine that delivers.
async fn delivering(log: &Log) -> Bench {
    Bench::with(log, true).await
}

fn sequences(requests: &[Request]) -> Vec<u64> {
    requests.iter().map(|request| request.headers["tidings-sequence"].parse().unwrap()).collect()
}

fn ids(events: &[tidings_event::Event]) -> Vec<EventId> {
    events.iter().map(|event| event.id.clone()).collect()
}

/// Waits for the next event of a type.
async fn hear(bench: &Bench, tenant_name: &str, event_type: &str) -> Recorded {
    let selection = Arc::new(Selection::new(&[event_type.to_owned()], None).unwrap());
    let mut feed = bench.engine.feed(&tenant(tenant_name), FeedStart::Start, selection).await.unwrap();
    loop {
        let page = feed.next(PAGE, PATIENCE).await.unwrap();
        if let Some(event) = page.events.first() {
            return event.recorded.clone();
        }
    }
}

/// Waits until a commit has made something true. Commits make no noise of their own.
async fn eventually<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "it did not become true");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

fn no_retries(url: &str) -> NewEndpoint {
    let settings = EndpointSettings { retry_schedule_s: vec![0], ..EndpointSettings::default() };
    NewEndpoint { settings, types: vec!["sales.*".to_owned()], ..endpoint(url) }
}

on_both! {
    async fn what_was_delivered_is_explained_by_its_attempt(log: Log) {
        let bench = delivering(&log).await;
        let receiver = Receiver::start(|_| answer(202, "thanks")).await;
        let id = bench.create("acme", endpoint(&receiver.url)).await.id;
        let events = numbered("acme", 3);
        let event = events[2].id.clone();
        bench.engine.append(events).await.unwrap();
        let explained = eventually(async || {
            let explained = bench.endpoints.explain(&tenant("acme"), &id, &event).await.unwrap();
            (explained.outcome == Outcome::Delivered).then_some(explained)
        }).await;
        assert_eq!(explained.attempts.len(), 1);
        assert_eq!((explained.attempts[0].status, explained.attempts[0].response.as_str()), (Some(202), "thanks"));
        let stats = eventually(async || {
            let stats = bench.endpoints.stats(&tenant("acme"), &id).await.unwrap();
            (stats.lag_events == 0).then_some(stats)
        }).await;
        assert_eq!((stats.window.attempts, stats.window.succeeded, stats.lag_seconds), (3, 3, None));
        bench.engine.shutdown().await;
    }

    async fn a_dead_letter_arrives_once_it_is_redriven(log: Log) {
        let bench = delivering(&log).await;
        let well = Arc::new(AtomicBool::new(false));
        let receiver = Receiver::start({
            let well = well.clone();
            move |_| answer(if well.load(Ordering::SeqCst) { 200 } else { 500 }, "")
        }).await;
        let id = bench.create("acme", no_retries(&receiver.url)).await.id;
        let events = numbered("acme", 1);
        bench.engine.append(events.clone()).await.unwrap();
        let told = hear(&bench, "acme", "tidings.delivery.dead_lettered").await;
        assert_eq!((data(&told)["endpoint"].as_str(), data(&told)["count"].as_u64()), (Some(id.as_str()), Some(1)));
        let all = DeadSearch { limit: 10, ..DeadSearch::default() };
        let (letters, _) = bench.endpoints.dead_letters(&tenant("acme"), all.clone()).await.unwrap();
        assert_eq!((letters.len(), letters[0].last_status), (1, Some(500)));
        assert_eq!(letters[0].event_id, ids(&events).pop());

        well.store(true, Ordering::SeqCst);
        bench.endpoints.redrive(&who(), &tenant("acme"), &letters[0].id).await.unwrap();
        receiver.received(2).await;
        assert_eq!(sequences(&receiver.requests.lock()), [1, 1]);
        let explained = eventually(async || {
            let explained = bench.endpoints.explain(&tenant("acme"), &id, &ids(&events)[0]).await.unwrap();
            (explained.outcome == Outcome::Delivered).then_some(explained)
        }).await;
        assert_eq!(explained.attempts.iter().map(|one| one.status).collect::<Vec<_>>(), [Some(200), Some(500)]);
        assert!(bench.endpoints.dead_letters(&tenant("acme"), all).await.unwrap().0.is_empty());
        bench.engine.shutdown().await;
    }

    async fn a_replay_brings_past_events_again_and_tells_when_it_is_done(log: Log) {
        let bench = delivering(&log).await;
        let receiver = Receiver::start(|_| answer(200, "")).await;
        bench.engine.append(numbered("acme", 9)).await.unwrap();
        let id = bench.create("acme", NewEndpoint { types: vec!["a.b".to_owned()], ..endpoint(&receiver.url) }).await.id;
        let new = NewReplay {
            from: From::Sequence(2),
            until: Some(tidings_engine::endpoints::Until::Sequence(8)),
            types: vec!["sales.*".to_owned()],
            ..NewReplay::default()
        };
        let replay = bench.endpoints.replay(&who(), &tenant("acme"), &id, new).await.unwrap().replay.unwrap();
        let told = hear(&bench, "$system", "tidings.replay.finished").await;
        assert_eq!(data(&told)["endpoint"].as_str(), Some(id.as_str()));
        receiver.received(7).await;
        let mut seen = sequences(&receiver.requests.lock());
        seen.sort_unstable();
        assert_eq!(seen, (2..=8).collect::<Vec<_>>());
        let done = bench.endpoints.replay_get(&tenant("acme"), &id, &replay.id).await.unwrap();
        assert_eq!((done.state, done.delivered, done.dead), (ReplayState::Done, 7, 0));
        bench.engine.shutdown().await;
    }

    async fn a_challenged_endpoint_gets_what_happened_since_it_was_made(log: Log) {
        let bench = delivering(&log).await;
        let receiver = Receiver::start(|request| {
            let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
            answer(200, body["challenge"].as_str().unwrap_or_default())
        }).await;
        let id = bench.create("acme", NewEndpoint { challenge: true, ..endpoint(&receiver.url) }).await.id;
        bench.engine.append(numbered("acme", 2)).await.unwrap();
        bench.endpoints.verify(&who(), &tenant("acme"), &id).await.unwrap();
        receiver.received(3).await;
        let requests = receiver.requests.lock().clone();
        assert!(requests[0].body.contains("tidings.endpoint.challenge"), "nothing went there before");
        let mut seen = sequences(&requests[1..]);
        seen.sort_unstable();
        assert_eq!(seen, [1, 2]);
        bench.engine.shutdown().await;
    }

    async fn a_change_holds_from_its_place_among_the_events_on(log: Log) {
        let bench = delivering(&log).await;
        let acme = tenant("acme");
        let receiver = Receiver::start(|_| answer(200, "")).await;
        let new = NewEndpoint { types: vec!["a.first".to_owned()], ..endpoint(&receiver.url) };
        let id = bench.create("acme", new).await.id;
        let pair = || vec![typed("acme", "a.first", "{}"), typed("acme", "a.second", "{}")];
        bench.engine.append(pair()).await.unwrap();
        let patch = EndpointPatch { types: Some(vec!["a.second".to_owned()]), ..EndpointPatch::default() };
        bench.endpoints.update(&who(), &acme, &id, patch).await.unwrap();
        bench.engine.append(pair()).await.unwrap();
        let patch = EndpointPatch { status: Some(Wanted::Paused), ..EndpointPatch::default() };
        bench.endpoints.update(&who(), &acme, &id, patch).await.unwrap();
        bench.engine.append(pair()).await.unwrap();
        let patch = EndpointPatch {
            types: Some(vec!["a.*".to_owned()]),
            status: Some(Wanted::Active),
            ..EndpointPatch::default()
        };
        bench.endpoints.update(&who(), &acme, &id, patch).await.unwrap();
        bench.engine.append(pair()).await.unwrap();
        receiver.received(5).await;
        let mut seen = sequences(&receiver.requests.lock());
        seen.sort_unstable();
        assert_eq!(seen, [1, 4, 6, 7, 8]);
        bench.engine.shutdown().await;
    }

    async fn a_new_secret_signs_what_is_sent_after_it(log: Log) {
        let bench = delivering(&log).await;
        let acme = tenant("acme");
        let receiver = Receiver::start(|_| answer(200, "")).await;
        let (made, old, _) = bench.endpoints.create(&who(), &acme, no_retries(&receiver.url)).await.unwrap();
        bench.engine.append(numbered("acme", 1)).await.unwrap();
        receiver.received(1).await;
        let now = Rotate { overlap_s: 0, ..Rotate::default() };
        let (new, _) = bench.endpoints.rotate(&who(), &acme, &made.id, now).await.unwrap();
        bench.engine.append(numbered("acme", 1)).await.unwrap();
        receiver.received(2).await;
        let requests = receiver.requests.lock().clone();
        let fits = |request: &Request, secret: &str| {
            let header = |name: &str| request.headers[name].as_str();
            let (id, at, signature) = (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"));
            let now_s = jiff::Timestamp::now().as_second();
            Verifier::new([secret]).unwrap().verify(id, at, signature, request.body.as_bytes(), now_s).is_ok()
        };
        assert!(fits(&requests[0], &old) && fits(&requests[1], &new));
        assert!(!fits(&requests[0], &new) && !fits(&requests[1], &old));
        bench.engine.shutdown().await;
    }
}
