//! What producers without an outbox of their own are promised.

use serde_json::{Value, json};
use tidings_server::wire;

use crate::support::{Server, event, with};

fn intent(tenant: &str, id: &str) -> Value {
    json!({
        "event": with(event(tenant, json!({"n": 1})), json!({"id": id})),
        "probe": {"kind": "row", "scope": "platform", "table": "orders", "key": {"id": "order_1"}},
        "stale_after_s": 600,
    })
}

#[tokio::test]
async fn a_confirmed_intent_enters_the_log_without_anyone_acting() {
    let server = Server::start().await;
    let created = server.admin().post("/v1/intents").json(&intent("acme", "order-1")).send().await.expect(201);
    assert_eq!(created.json(), json!({"source_key": "order-1", "state": "intent"}));
    created.read::<wire::IntentState>();
    let before = server.admin().get("/v1/tenants/acme/feed").send().await.expect(200).json();
    assert_eq!(before["events"], json!([]), "an intent is no event");
    for _ in 0..2 {
        let confirmed = server.admin().post("/v1/intents/order-1/confirm").send().await.expect(200).json();
        assert_eq!(confirmed, json!({"source_key": "order-1", "state": "confirmed"}));
    }
    let page = server.admin().get("/v1/tenants/acme/feed").query("wait", "60").send().await.expect(200).json();
    assert_eq!(page["events"][0]["id"], "order-1");
    server.admin().delete("/v1/intents/order-1").send().await.problem(409, "intent_conflict");
}

#[tokio::test]
async fn a_discarded_intent_is_gone() {
    let server = Server::start().await;
    server.admin().post("/v1/intents").json(&intent("acme", "order-1")).send().await.expect(201);
    server.admin().delete("/v1/intents/order-1").send().await.expect(204);
    server.admin().delete("/v1/intents/order-1").send().await.problem(404, "intent_not_found");
    server.admin().post("/v1/intents/order-1/confirm").send().await.problem(404, "intent_not_found");
}

#[tokio::test]
async fn repeating_an_intent_is_safe_and_other_content_is_a_conflict() {
    let server = Server::start().await;
    let mut first = intent("acme", "order-1");
    first["event"]["timestamp"] = "2026-03-15T10:00:00Z".into();
    for _ in 0..2 {
        server.admin().post("/v1/intents").json(&first).send().await.expect(201);
    }
    let mut other = first.clone();
    other["event"]["data"] = json!({"n": 2});
    let problem = server.admin().post("/v1/intents").json(&other).send().await.problem(409, "intent_conflict");
    insta::assert_json_snapshot!(problem);
}

#[tokio::test]
async fn a_bad_intent_says_what_is_wrong_and_where() {
    let server = Server::start().await;
    let check = async |body: Value, status: u16, code: &str, path: &str| {
        let problem = server.admin().post("/v1/intents").json(&body).send().await.problem(status, code);
        assert_eq!(problem["errors"][0]["path"].as_str().unwrap_or_default(), path, "{problem:#}");
    };
    check(json!({"event": {"type": "sales.lead.created"}}), 422, "event_invalid", "/event/tenant").await;
    check(with(intent("acme", "a"), json!({"probe": {"kind": "dream"}})), 400, "request_invalid", "/probe/kind").await;
    let no_table = json!({"kind": "row", "key": {"id": 1}});
    check(with(intent("acme", "a"), json!({"probe": no_table})), 400, "request_invalid", "/probe/table").await;
    let stale = with(intent("acme", "a"), json!({"stale_after_s": 0}));
    check(stale, 400, "request_invalid", "/stale_after_s").await;
    check(with(intent("acme", "a"), json!({"extra": 1})), 400, "request_invalid", "").await;
    check(json!({"probe": {}}), 400, "request_invalid", "").await;
    server.admin().post("/v1/intents").typed("application/json", "{").send().await.problem(400, "body_malformed");
    server.admin().post("/v1/intents/a.b/confirm").send().await.problem(400, "request_invalid");
}

#[tokio::test]
async fn a_producer_cannot_touch_the_intents_of_others() {
    let server = Server::start().await;
    let (acme, globex) = (server.role("producer", &["acme"]).await, server.role("producer", &["globex"]).await);
    acme.post("/v1/intents").json(&intent("globex", "order-1")).send().await.problem(403, "forbidden");
    globex.post("/v1/intents").json(&intent("globex", "order-1")).send().await.expect(201);
    let stranger = acme.post("/v1/intents/order-1/confirm").send().await;
    let missing = acme.post("/v1/intents/order-1/confirm").send().await;
    assert_eq!(stranger.body, missing.body);
    stranger.problem(404, "intent_not_found");
    acme.delete("/v1/intents/order-1").send().await.problem(404, "intent_not_found");
    globex.post("/v1/intents/order-1/confirm").send().await.expect(200);
    // Also once its event is in the log, whose it was is remembered.
    let page = server.admin().get("/v1/tenants/globex/feed").query("wait", "60").send().await.expect(200).json();
    assert_eq!(page["events"][0]["id"], "order-1");
    globex.post("/v1/intents/order-1/confirm").send().await.expect(200);
    acme.post("/v1/intents/order-1/confirm").send().await.problem(404, "intent_not_found");
}

#[tokio::test]
async fn a_service_touches_only_intents_that_it_could_have_written() {
    let server = Server::start().await;
    let (sales, billing) = (server.service("sales").await, server.service("billing").await);
    let nameless = server.key(&json!({"role": "producer"})).await;
    sales.post("/v1/intents").json(&intent("acme", "order-1")).send().await.expect(201);
    sales.post("/v1/intents").json(&intent("acme", "order-2")).send().await.expect(201);
    let check = async |key: &crate::support::Client| {
        key.post("/v1/intents/order-1/confirm").send().await.problem(404, "intent_not_found");
        key.delete("/v1/intents/order-1").send().await.problem(404, "intent_not_found");
    };
    check(&billing).await;
    // Once its type is in the catalog it is its owner's alone.
    server
        .define(&crate::support::with(
            crate::support::definition("sales.lead.created"),
            json!({
                "schema": {"type": "object"}, "examples": [{"name": "usual", "data": {"n": 1}}]
            }),
        ))
        .await;
    check(&nameless).await;
    sales.delete("/v1/intents/order-2").send().await.expect(204);
    sales.post("/v1/intents/order-1/confirm").send().await.expect(200);
    let page = server.admin().get("/v1/tenants/acme/feed").query("wait", "60").send().await.expect(200).json();
    assert_eq!(page["events"][0]["id"], "order-1");
    // Also once its event is in the log.
    check(&billing).await;
    sales.post("/v1/intents/order-1/confirm").send().await.expect(200);
}
