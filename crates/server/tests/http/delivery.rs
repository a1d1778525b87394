//! What a receiver and those who look after it see of deliveries.

use serde_json::{Value, json};
use tidings_event::signature::Verifier;
use tidings_server::wire;

use crate::support::{Client, Received, Receiver, Server, event, nobody, typed, with};

fn verify(received: &Received, key: &str) -> bool {
    let timestamp = received.header("webhook-timestamp");
    let now_s = timestamp.parse().unwrap();
    let verifier = Verifier::new([key]).unwrap();
    let (id, signature) = (received.header("webhook-id"), received.header("webhook-signature"));
    verifier.verify(id, timestamp, signature, &received.body, now_s).is_ok()
}

fn base(endpoint: &Value) -> String {
    format!("/v1/tenants/acme/endpoints/{}", endpoint["id"].as_str().unwrap())
}

/// Asks until the answer is as wanted; the server answers from what is durable, which trails a delivery by a tick.
async fn until(client: &Client, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let asking = async {
        loop {
            let answer = client.get(path).send().await.expect(200).json();
            if wanted(&answer) {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::support::PATIENCE, asking).await.expect("the answer in time")
}

#[tokio::test]
async fn a_matching_event_arrives_signed_and_can_be_accounted_for() {
    let (server, receiver) = (Server::start().await, Receiver::start().await);
    let body = json!({"url": receiver.url(), "types": ["sales.*"], "headers": {"x-api-key": "k"},
        "filter": {"filters": [{"field": "$.data.amount", "operator": "gte", "value": 10}]}});
    let made = server.endpoint("acme", &body).await;
    server.emit(&with(event("acme", json!({"amount": 9})), json!({"id": "small"}))).await;
    server.emit(&with(typed("acme", "hr.person.hired", json!({"amount": 99})), json!({"id": "other"}))).await;
    let sequence = server.emit(&with(event("acme", json!({"amount": 10})), json!({"id": "wanted"}))).await;

    let received = receiver.next().await;
    assert_eq!(received.header("webhook-id"), "wanted");
    assert_eq!(received.header("tidings-sequence"), sequence.to_string());
    assert_eq!(received.header("tidings-attempt"), "1");
    assert_eq!(received.header("x-api-key"), "k");
    assert_eq!(received.json()["data"], json!({"amount": 10}));
    assert!(verify(&received, made["secret"].as_str().unwrap()));

    let admin = server.admin();
    let base = base(&made);
    let attempts = until(&admin, &format!("{base}/attempts"), |page| page["data"] != json!([])).await;
    let attempts: wire::AttemptList = serde_json::from_value(attempts).unwrap();
    let [attempt] = attempts.data.as_slice() else { panic!("{attempts:?}") };
    assert_eq!((attempt.event_id.as_deref(), attempt.sequence), (Some("wanted"), sequence));
    assert_eq!((attempt.attempt, attempt.status, attempt.replay), (1, Some(200), false));

    let explain = async |event: &str| -> wire::Explanation {
        admin.get(&format!("{base}/explain")).query("event", event).send().await.expect(200).read()
    };
    assert_eq!(explain("wanted").await.outcome, "delivered");
    let small = explain("small").await;
    assert_eq!(small.outcome, "filtered");
    let filter = small.filter.unwrap();
    assert_eq!((filter.index, filter.field.as_str(), filter.operator.as_str()), (0, "$.data.amount", "gte"));
    assert_eq!(filter.found, ["9"]);
    assert_eq!(explain("other").await.outcome, "filtered");
    let missing = admin.get(&format!("{base}/explain")).query("event", "nowhere").send().await;
    missing.problem(404, "event_not_found");
    let problem = admin.get(&format!("{base}/explain")).send().await.problem(400, "request_invalid");
    assert_eq!(problem["errors"][0]["code"], "parameter_missing");

    let stats = until(&admin, &format!("{base}/stats"), |stats| stats["lag_events"] == 0).await;
    let stats: wire::EndpointStats = serde_json::from_value(stats).unwrap();
    assert_eq!((stats.retries, stats.dead_letters, stats.circuit.as_str()), (0, 0, "closed"));
    assert_eq!((stats.window.attempts, stats.window.succeeded, stats.window.success_rate), (1, 1, Some(1.0)));
    assert!(stats.window.latency_ms.unwrap().max > 0.0 && stats.last_success_at.is_some());
}

#[tokio::test]
async fn attempts_are_found_by_status_event_and_time_and_page_by_cursor() {
    let (server, receiver) = (Server::start().await, Receiver::start().await);
    receiver.answer(500);
    let made = server.endpoint("acme", &json!({"url": receiver.url(), "retry_schedule_s": [0]})).await;
    for id in ["a", "b", "c"] {
        server.emit(&with(event("acme", json!({})), json!({"id": id}))).await;
        server.await_event("acme", "tidings.delivery.dead_lettered", 1).await;
    }
    let admin = server.admin();
    let path = format!("{}/attempts", base(&made));
    until(&admin, &path, |page| page["data"].as_array().unwrap().len() == 3).await;
    let found = async |name: &str, value: &str| -> usize {
        let page: wire::AttemptList = admin.get(&path).query(name, value).send().await.expect(200).read();
        page.data.len()
    };
    for (name, value, count) in [
        ("status", "failed", 3),
        ("status", "succeeded", 0),
        ("status", "500", 3),
        ("status", "5xx", 3),
        ("status", "404", 0),
        ("event", "b", 1),
        ("since", "2020-01-01T00:00:00Z", 3),
        ("until", "2020-01-01T00:00:00Z", 0),
    ] {
        assert_eq!(found(name, value).await, count, "{name}={value}");
    }
    for (name, value) in [("status", "6xx"), ("status", "bad"), ("since", "soon"), ("event", "a.b"), ("limit", "0")] {
        admin.get(&path).query(name, value).send().await.problem(400, "request_invalid");
    }
    let (mut ids, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut request = admin.get(&path).query("limit", "1").query("status", "failed");
        if let Some(cursor) = &cursor {
            request = request.query("cursor", cursor);
        }
        let page: wire::AttemptList = request.send().await.expect(200).read();
        ids.extend(page.data.into_iter().map(|attempt| attempt.event_id.unwrap()));
        let Some(next) = page.cursor else { break };
        cursor = Some(next);
    }
    assert_eq!(ids, ["c", "b", "a"]);
    // A cursor is of one question.
    let answer = admin.get(&path).query("cursor", &cursor.unwrap()).send().await;
    answer.problem(400, "cursor_mismatch");
}

#[tokio::test]
async fn a_test_sends_a_signed_sample_and_shows_the_exchange() {
    let (server, receiver) = (Server::start().await, Receiver::start().await);
    let made = server.endpoint("acme", &json!({"url": receiver.url(), "paused": true})).await;
    let test = format!("{}/test", base(&made));
    let exchange: wire::Exchange = server.admin().post(&test).send().await.expect(200).read();
    let received = receiver.next().await;
    assert!(verify(&received, made["secret"].as_str().unwrap()));
    assert!(exchange.succeeded && exchange.status == Some(200) && exchange.failure.is_none());
    assert_eq!(exchange.request_body.as_bytes(), received.body);
    assert_eq!(exchange.response_body, exchange.request_body);
    assert!(exchange.request_headers.iter().any(|(name, _)| name == "webhook-signature"));

    receiver.answer(503);
    let named = server.admin().post(&test).json(&json!({"type": "hr.person.hired"})).send().await;
    let exchange: wire::Exchange = named.expect(200).read();
    assert!(!exchange.succeeded && exchange.status == Some(503));
    assert_eq!(receiver.next().await.json()["type"], "hr.person.hired");
    let wrong = server.admin().post(&test).json(&json!({"type": "Nope"})).send().await;
    wrong.problem(422, "endpoint_invalid");

    let nobody = server.endpoint("acme", &json!({"url": nobody()})).await;
    let exchange: wire::Exchange =
        server.admin().post(&format!("{}/test", base(&nobody))).send().await.expect(200).read();
    assert_eq!((exchange.status, exchange.failure.as_deref()), (None, Some("refused")));
}

#[tokio::test]
async fn an_endpoint_with_a_challenge_gets_nothing_before_it_has_answered() {
    let (server, receiver) = (Server::start().await, Receiver::start().await);
    let made = server.endpoint("acme", &json!({"url": receiver.url(), "challenge": true})).await;
    assert_eq!((&made["status"], &made["status_reason"]), (&json!("disabled"), &json!("unverified")));
    server.emit(&with(event("acme", json!({})), json!({"id": "first"}))).await;
    let verify = format!("{}/verify", base(&made));
    receiver.answer(404);
    server.admin().post(&verify).send().await.problem(422, "challenge_failed");
    assert_eq!(receiver.next().await.json()["type"], "tidings.endpoint.challenge");
    receiver.answer(200);
    let exchange: wire::Exchange = server.admin().post(&verify).send().await.expect(200).read();
    assert!(exchange.succeeded);
    receiver.next().await;
    let now = server.admin().get(&base(&made)).send().await.expect(200).json();
    assert_eq!((&now["status"], &now["status_reason"]), (&json!("active"), &json!(null)));
    // What came meanwhile is delivered now.
    assert_eq!(receiver.next().await.header("webhook-id"), "first");
}

#[tokio::test]
async fn deliveries_are_signed_with_every_secret_while_they_overlap() {
    let (server, receiver) = (Server::start().await, Receiver::start().await);
    let made = server.endpoint("acme", &json!({"url": receiver.url()})).await;
    let rotate = server.admin().post(&format!("{}/rotate", base(&made))).json(&json!({"signature": "v1a"}));
    let rotated: wire::RotatedSecret = rotate.send().await.expect(200).read();
    server.emit(&event("acme", json!({}))).await;
    let received = receiver.next().await;
    assert!(verify(&received, made["secret"].as_str().unwrap()));
    assert!(verify(&received, rotated.public_key.as_deref().unwrap()));
}

#[tokio::test]
async fn events_can_be_delivered_as_cloudevents_and_from_the_beginning() {
    let (server, receiver) = (Server::start().await, Receiver::start().await);
    server.emit(&with(event("acme", json!({"n": 1})), json!({"id": "past"}))).await;
    let body = json!({"url": receiver.url(), "format": "cloudevents", "cloudevents_mode": "binary", "from": "start"});
    server.endpoint("acme", &body).await;
    let received = receiver.next().await;
    assert_eq!((received.header("ce-id"), received.header("webhook-id")), ("past", "past"));
    assert_eq!(received.json(), json!({"n": 1}));
}

#[tokio::test]
async fn a_paused_endpoint_gets_nothing_and_then_all_that_it_missed() {
    let (server, receiver) = (Server::start().await, Receiver::start().await);
    let paused = server.endpoint("acme", &json!({"url": receiver.url(), "paused": true, "ordering": "strict"})).await;
    let witness = Receiver::start().await;
    server.endpoint("acme", &json!({"url": witness.url(), "ordering": "strict"})).await;
    for id in ["a", "b", "c"] {
        server.emit(&with(event("acme", json!({})), json!({"id": id}))).await;
        assert_eq!(witness.next().await.header("webhook-id"), id);
    }
    assert_eq!(receiver.waiting().await, 0);
    let resume = json!({"status": "active"});
    server.admin().patch(&base(&paused)).json(&resume).send().await.expect(200);
    for id in ["a", "b", "c"] {
        assert_eq!(receiver.next().await.header("webhook-id"), id);
    }
}

#[tokio::test]
async fn what_tidings_tells_of_itself_can_be_subscribed_to() {
    let (server, receiver) = (Server::start().await, Receiver::start().await);
    let body = json!({"url": receiver.url(), "types": ["tidings.endpoint.created"], "ordering": "strict"});
    let own = server.endpoint("$system", &body).await;
    let other = server.endpoint("acme", &json!({"url": nobody()})).await;
    for made in [own, other] {
        let told = receiver.next().await.json();
        assert_eq!((&told["type"], &told["data"]["endpoint"]), (&json!("tidings.endpoint.created"), &made["id"]));
        assert_eq!(told["data"]["by"], json!({"key": "admin", "role": "admin"}));
    }
}
