//! Sending past events again, and trying selections on them.

use serde_json::{Value, json};
use tidings_server::wire;

use crate::support::{Receiver, Server, event, typed, with};

/// A server with three past events, and an endpoint made after them.
async fn past() -> (Server, Receiver, String) {
    let (server, receiver) = (Server::start().await, Receiver::start().await);
    for (id, amount) in [("a", 1), ("b", 2), ("c", 3)] {
        server.emit(&with(event("acme", json!({"amount": amount})), json!({"id": id}))).await;
    }
    let made = server.endpoint("acme", &json!({"url": receiver.url()})).await;
    (server, receiver, format!("/v1/tenants/acme/endpoints/{}/replay", made["id"].as_str().unwrap()))
}

fn amount_from(value: u32) -> Value {
    json!({"filters": [{"field": "$.data.amount", "operator": "gte", "value": value}]})
}

#[tokio::test]
async fn a_replay_sends_the_matching_events_of_its_range_again() {
    let (server, receiver, path) = past().await;
    let body = json!({"from": 1, "until": 3, "filter": amount_from(2), "rate_per_s": 1_000});
    let started: wire::ReplayStarted = server.admin().post(&path).json(&body).send().await.expect(201).read();
    let replay = started.replay.unwrap();
    assert_eq!((replay.first, replay.last, replay.state.as_str()), (1, 3, "running"));
    let mut got =
        [receiver.next().await.header("webhook-id").to_owned(), receiver.next().await.header("webhook-id").to_owned()];
    got.sort();
    assert_eq!(got, ["b", "c"]);
    server.await_event("$system", "tidings.replay.finished", 1).await;
    let done: wire::Replay = server.admin().get(&format!("{path}/{}", replay.id)).send().await.expect(200).read();
    assert_eq!((done.state.as_str(), done.delivered, done.dead), ("done", 2, 0));
    assert!(done.ended_at.is_some());
    let list: wire::ReplayList = server.admin().get(&path).send().await.expect(200).read();
    assert_eq!(list.data.len(), 1);
    server.admin().get(&format!("{path}/rp_1")).send().await.problem(404, "replay_not_found");
    server.admin().delete(&format!("{path}/rp_1")).send().await.problem(404, "replay_not_found");
}

#[tokio::test]
async fn a_dry_run_counts_and_sends_nothing() {
    let (server, receiver, path) = past().await;
    let count = async |body: Value| -> wire::ReplayStarted {
        server.admin().post(&path).json(&body).send().await.expect(200).read()
    };
    let all = count(json!({"from": "start", "dry_run": true})).await;
    assert_eq!((all.count, all.complete, all.replay.is_none()), (Some(3), true, true));
    let some = count(json!({"from": 2, "filter": amount_from(3), "dry_run": true})).await;
    assert_eq!(some.count, Some(1));
    let timed = count(json!({"from": "2020-01-01T00:00:00Z", "types": ["hr.*"], "dry_run": true})).await;
    assert_eq!(timed.count, Some(0));
    assert_eq!(receiver.waiting().await, 0);
    let list: wire::ReplayList = server.admin().get(&path).send().await.expect(200).read();
    assert!(list.data.is_empty());
}

#[tokio::test]
async fn a_cancelled_replay_sends_no_more_and_stays_in_the_list() {
    let (server, receiver, path) = past().await;
    receiver.answer(500);
    let body = json!({"from": "start"});
    let started: wire::ReplayStarted = server.admin().post(&path).json(&body).send().await.expect(201).read();
    let one = format!("{path}/{}", started.replay.unwrap().id);
    let cancelled: wire::Replay = server.admin().delete(&one).send().await.expect(200).read();
    assert_eq!(cancelled.state, "cancelled");
    let again: wire::Replay = server.admin().delete(&one).send().await.expect(200).read();
    assert_eq!(again.ended_at, cancelled.ended_at);
    let list: wire::ReplayList = server.admin().get(&path).send().await.expect(200).read();
    assert_eq!(list.data[0].state, "cancelled");
}

#[tokio::test]
async fn what_is_wrong_with_a_replay_is_said() {
    let (server, _receiver, path) = past().await;
    let check = async |body: Value, at: &str| {
        let problem = server.admin().post(&path).json(&body).send().await.problem(422, "endpoint_invalid");
        assert_eq!(problem["errors"][0]["path"], at, "{body}: {problem:#}");
    };
    check(json!({}), "/from").await;
    check(json!({"from": "now"}), "/from").await;
    check(json!({"from": "someday"}), "/from").await;
    check(json!({"from": 1, "until": "later"}), "/until").await;
    check(json!({"from": 3, "until": 2}), "/until").await;
    check(json!({"from": "start", "until": "2021-01-01T00:00:00Z"}), "/until").await;
    check(json!({"from": 1, "types": ["Nope"]}), "/types/0").await;
    check(json!({"from": 1, "rate_per_s": 0}), "/rate_per_s").await;
    check(json!({"from": 1, "speed": 9}), "/speed").await;
}

#[tokio::test]
async fn a_back_test_shows_what_a_selection_would_have_found() {
    let (server, _receiver, _path) = past().await;
    server.emit(&typed("acme", "hr.person.hired", json!({"amount": 5}))).await;
    let consumer = server.role("consumer", &["acme"]).await;
    let path = "/v1/tenants/acme/endpoints/backtest";
    let test =
        async |body: Value| -> wire::Backtest { consumer.post(path).json(&body).send().await.expect(200).read() };
    let found = test(json!({"types": ["sales.*"], "filter": amount_from(2), "limit": 1})).await;
    assert_eq!((found.scanned, found.matched, found.complete), (4, 2, true));
    assert_eq!(found.sample.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), ["c"]);
    assert_eq!(test(json!({})).await.matched, 4);
    assert_eq!(test(json!({"until": "2020-01-01T00:00:00Z"})).await.matched, 0);
    let wrong = json!({"types": ["Nope"], "filter": {"filters": [{"field": "$["}]}});
    let problem = consumer.post(path).json(&wrong).send().await.problem(422, "endpoint_invalid");
    assert_eq!(problem["errors"][0]["path"], "/types/0", "{problem:#}");
    assert_eq!(problem["errors"].as_array().unwrap().len(), 2, "{problem:#}");
    consumer.post(path).json(&json!({"limit": 101})).send().await.problem(422, "endpoint_invalid");
    let foreign = consumer.post("/v1/tenants/globex/endpoints/backtest").json(&json!({})).send().await;
    foreign.problem(403, "forbidden");
}
