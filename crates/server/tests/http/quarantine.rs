//! What becomes of events that are kept aside.

use serde_json::{Value, json};
use tidings_server::wire;

use crate::support::{Server, definition, typed, with};

const CREATED: &str = "sales.deal.created";

/// Puts events aside: one for each piece of data, with the ids `e0`, `e1` and so on.
async fn aside(server: &Server, data: &[Value]) -> Vec<i64> {
    server.define(&definition(CREATED)).await;
    server.policy(&json!({"name": "aside", "known": "quarantine"})).await;
    for (n, data) in data.iter().enumerate() {
        let fixed = json!({"id": format!("e{n}"), "timestamp": "2026-03-15T10:00:00Z"});
        let event = with(typed("acme", CREATED, data.clone()), fixed);
        server.admin().post("/v1/events").json(&event).send().await.problem(422, "event_quarantined");
    }
    list(server).await.into_iter().map(|aside| aside.no).collect()
}

async fn list(server: &Server) -> Vec<wire::Quarantined> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let mut request = server.admin().get("/v1/tenants/acme/quarantine?limit=2");
        if let Some(cursor) = cursor {
            request = request.query("cursor", cursor);
        }
        let page: wire::QuarantinedList = request.send().await.expect(200).read();
        found.extend(page.data);
        let Some(next) = page.cursor else { return found };
        cursor = Some(&*next.leak());
    }
}

/// Lets the definition take a text for an amount, too.
async fn mend(server: &Server) {
    let mut mended = definition(CREATED);
    mended["schema"]["properties"]["amount"] = json!({"type": ["number", "string"]});
    let path = crate::support::path_of(&mended);
    server.admin().put(&path).query("reason", "as they send it").json(&mended).send().await.expect(200);
}

#[tokio::test]
async fn an_event_in_quarantine_is_shown_whole_with_the_reasons() {
    let server = Server::start().await;
    let nos = aside(&server, &[json!({"amount": "1"}), json!({"amount": "2"}), json!({"amount": "3"})]).await;
    assert!(nos.len() == 3 && nos.is_sorted(), "{nos:?}");
    let path = format!("/v1/tenants/acme/quarantine/{}", nos[1]);
    let one: wire::Quarantined = server.admin().get(&path).send().await.expect(200).read();
    assert_eq!((one.event_id.as_str(), one.event_type.as_str(), one.sender.as_str()), ("e1", CREATED, "admin"));
    assert_eq!((one.violations[0].path.as_str(), one.violations[0].code.as_str()), ("/data/amount", "schema_type"));
    let event: Value = serde_json::from_str(one.event.get()).unwrap();
    assert_eq!((&event["data"], &event["version"]), (&json!({"amount": "2"}), &json!("1")));
    let none = server.admin().get("/v1/tenants/acme/quarantine?type=ops.job.finished").send().await.expect(200);
    assert_eq!(none.json()["data"], json!([]));
    let other = format!("/v1/tenants/globex/quarantine/{}", nos[1]);
    server.admin().get(&other).send().await.problem(404, "quarantined_not_found");
    server.admin().get("/v1/tenants/acme/quarantine/one").send().await.problem(404, "quarantined_not_found");
    // Sending it again keeps one.
    let fixed = json!({"id": "e0", "timestamp": "2026-03-15T10:00:00Z"});
    let again = with(typed("acme", CREATED, json!({"amount": "1"})), fixed);
    server.admin().post("/v1/events").json(&again).send().await.problem(422, "event_quarantined");
    assert_eq!(list(&server).await.len(), 3);
}

#[tokio::test]
async fn a_mended_definition_lets_an_event_into_the_log() {
    let server = Server::start().await;
    let no = aside(&server, &[json!({"amount": "1"})]).await[0];
    let path = format!("/v1/tenants/acme/quarantine/{no}/redrive");
    let consumer = server.role("consumer", &["acme"]).await;
    let problem = consumer.post(&path).send().await.problem(422, "event_rejected");
    assert_eq!(problem["errors"][0]["path"], "/data/amount", "{problem:#}");
    mend(&server).await;
    let receipt: wire::Receipt = consumer.post(&path).send().await.expect(200).read();
    assert_eq!((receipt.id.as_str(), receipt.sequence, receipt.duplicate), ("e0", 1, false));
    consumer.post(&path).send().await.problem(404, "quarantined_not_found");
    let read = server.admin().get("/v1/tenants/acme/events/e0").send().await.expect(200).json();
    assert_eq!(read["data"], json!({"amount": "1"}));
}

#[tokio::test]
async fn only_an_admin_has_events_taken_as_they_are_and_they_are_marked() {
    let server = Server::start().await;
    let no = aside(&server, &[json!({"amount": "1"})]).await[0];
    let path = format!("/v1/tenants/acme/quarantine/{no}/redrive?as_is=true");
    let consumer = server.role("consumer", &["acme"]).await;
    consumer.post(&path).send().await.problem(403, "forbidden");
    let all = consumer.post("/v1/tenants/acme/quarantine/redrive").json(&json!({"as_is": true}));
    all.send().await.problem(403, "forbidden");
    let receipt: wire::Receipt = server.admin().post(&path).send().await.expect(200).read();
    let marked: wire::MarkedEventList = consumer.get("/v1/tenants/acme/violations").send().await.expect(200).read();
    assert_eq!(marked.data[0].sequence, receipt.sequence);
    server.admin().post("/v1/tenants/acme/quarantine/1/redrive?as_is=1").send().await.problem(400, "request_invalid");
}

#[tokio::test]
async fn events_are_redriven_together_and_those_that_still_break_a_rule_stay() {
    let server = Server::start().await;
    aside(&server, &[json!({"amount": "1"}), json!({}), json!({"amount": "3"})]).await;
    mend(&server).await;
    let redrive = |body: Value| server.admin().post("/v1/tenants/acme/quarantine/redrive").json(&body);
    let none: wire::Redriven = redrive(json!({"type": "ops.job.finished"})).send().await.expect(200).read();
    assert_eq!((none.redriven, none.kept), (0, 0));
    let done: wire::Redriven = redrive(json!({})).send().await.expect(200).read();
    assert_eq!((done.redriven, done.kept, done.cursor), (2, 1, None));
    let left: Vec<_> = list(&server).await.into_iter().map(|aside| aside.event_id).collect();
    assert_eq!(left, ["e1"]);
    redrive(json!({"colour": "red"})).send().await.problem(400, "request_invalid");
    redrive(json!({"cursor": "abc"})).send().await.problem(400, "cursor_invalid");
}

#[tokio::test]
async fn a_discarded_event_is_gone_for_good() {
    let server = Server::start().await;
    let nos = aside(&server, &[json!({}), json!({}), json!({})]).await;
    let path = format!("/v1/tenants/acme/quarantine/{}", nos[0]);
    server.admin().delete(&path).send().await.expect(204);
    server.admin().delete(&path).send().await.problem(404, "quarantined_not_found");
    let discard = |body: Value| server.admin().post("/v1/tenants/acme/quarantine/discard").json(&body);
    let done: wire::Discarded = discard(json!({"type": CREATED})).send().await.expect(200).read();
    assert_eq!((done.count, done.more), (2, false));
    assert!(list(&server).await.is_empty());
    server.admin().get("/v1/tenants/acme").send().await.problem(404, "tenant_not_found");
}
