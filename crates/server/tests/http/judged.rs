//! What becomes of events that the catalog judges.

use serde_json::{Value, json};
use tidings_server::wire;

use crate::support::{Answer, Client, Server, definition, typed, with};

const CREATED: &str = "sales.deal.created";

fn deal(data: Value) -> Value {
    typed("acme", CREATED, data)
}

async fn emit(client: &Client, body: &Value) -> Answer {
    client.post("/v1/events").json(body).send().await
}

/// Paths and codes of what is wrong.
fn wrong(problem: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    problem["errors"].as_array().unwrap().iter().map(|e| (text(&e["path"]), text(&e["code"]))).collect()
}

fn pair(path: &str, code: &str) -> (String, String) {
    (path.to_owned(), code.to_owned())
}

async fn head(server: &Server) -> u64 {
    let answer = server.admin().get("/v1/tenants/acme").send().await;
    if answer.status == 404 { 0 } else { answer.json()["head"].as_u64().unwrap() }
}

#[tokio::test]
async fn an_event_that_breaks_its_schema_is_refused_with_the_path_and_nothing_is_written() {
    let server = Server::start().await;
    server.define(&definition(CREATED)).await;
    let problem = emit(&server.admin(), &deal(json!({"amount": "12"}))).await.problem(422, "event_rejected");
    assert_eq!(wrong(&problem), [pair("/data/amount", "schema_type")]);
    let batch = json!([deal(json!({"amount": 1})), deal(json!({})), deal(json!({"amount": 2}))]);
    let problem = emit(&server.admin(), &batch).await.problem(422, "event_rejected");
    assert_eq!(wrong(&problem), [pair("/1/data/amount", "schema_required")]);
    assert_eq!(head(&server).await, 0, "a request is judged as a whole");
    emit(&server.admin(), &deal(json!({"amount": 12}))).await.expect(201);
}

#[tokio::test]
async fn an_event_without_a_version_gets_the_current_one() {
    let server = Server::start().await;
    server.define(&definition(CREATED)).await;
    let mut second = with(definition(CREATED), json!({"version": "2"}));
    second["schema"]["required"] = json!(["amount", "currency"]);
    second["schema"]["properties"]["currency"] = json!({"type": "string"});
    second["examples"] = json!([{"name": "usual", "data": {"amount": 12, "currency": "EUR"}}]);
    server.define(&second).await;
    emit(&server.admin(), &deal(json!({"amount": 1}))).await.problem(422, "event_rejected");
    let answer = emit(&server.admin(), &deal(json!({"amount": 1, "currency": "EUR"}))).await.expect(201).json();
    let id = answer["results"][0]["id"].as_str().unwrap();
    let read: wire::RecordedEvent =
        server.admin().get(&format!("/v1/tenants/acme/events/{id}")).send().await.expect(200).read();
    assert_eq!(read.version, "2");
    // The version before is served beside it.
    emit(&server.admin(), &with(deal(json!({"amount": 1})), json!({"version": "1"}))).await.expect(201);
    // A CloudEvent names no version either.
    let cloud = json!({"specversion": "1.0", "id": "c", "source": "/service/sales", "type": CREATED, "tenant": "acme",
        "data": {"amount": 1}});
    let cloud = server.admin().post("/v1/events").typed("application/cloudevents+json", cloud.to_string());
    let problem = cloud.send().await.problem(422, "event_rejected");
    assert_eq!(wrong(&problem), [pair("/data/currency", "schema_required")]);
}

#[tokio::test]
async fn modes_say_what_becomes_of_an_event_that_breaks_a_rule() {
    let server = Server::start().await;
    server.define(&definition(CREATED)).await;
    let bad = |id: &str| with(deal(json!({"amount": "12"})), json!({"id": id}));

    server.policy(&json!({"name": "gentle", "tenant": "acme", "types": "sales.*", "known": "observe"})).await;
    emit(&server.admin(), &bad("observed")).await.expect(201);
    let marked: wire::MarkedEventList =
        server.admin().get("/v1/tenants/acme/violations").send().await.expect(200).read();
    assert_eq!((marked.data[0].sequence, marked.data[0].violations[0].path.as_str()), (1, "/data/amount"));
    assert_eq!(marked.data[0].violations[0].code, "schema_type");

    server.policy(&json!({"name": "gentle", "tenant": "acme", "types": "sales.*", "known": "quarantine"})).await;
    let batch = json!([with(deal(json!({"amount": 1})), json!({"id": "good"})), bad("kept")]);
    let problem = emit(&server.admin(), &batch).await.problem(422, "event_quarantined");
    assert_eq!(wrong(&problem), [pair("/1/data/amount", "schema_type")]);
    let kept: wire::QuarantinedList = server.admin().get("/v1/tenants/acme/quarantine").send().await.expect(200).read();
    let ids: Vec<_> = kept.data.iter().map(|aside| aside.event_id.as_str()).collect();
    assert_eq!((ids, head(&server).await), (vec!["kept"], 1), "only what is bad is kept, and nothing is written");

    server.policy(&json!({"name": "gentle", "tenant": "acme", "types": "sales.*", "known": "off"})).await;
    emit(&server.admin(), &bad("off")).await.expect(201);
    // Another tenant's events are judged strictly, as ever.
    let other = with(bad("other"), json!({"tenant": "globex"}));
    emit(&server.admin(), &other).await.problem(422, "event_rejected");
}

#[tokio::test]
async fn unknown_types_and_versions_are_taken_unless_a_policy_says_otherwise() {
    let server = Server::start().await;
    server.define(&definition(CREATED)).await;
    let unknown = typed("acme", "sales.offer.created", json!({}));
    let version = with(deal(json!({})), json!({"version": "7"}));
    emit(&server.admin(), &unknown).await.expect(201);
    emit(&server.admin(), &version).await.expect(201);
    server.policy(&json!({"name": "closed", "unknown": "strict"})).await;
    let problem = emit(&server.admin(), &unknown).await.problem(422, "event_rejected");
    assert_eq!(wrong(&problem), [pair("/type", "type_unknown")]);
    let problem = emit(&server.admin(), &version).await.problem(422, "event_rejected");
    assert_eq!(wrong(&problem), [pair("/version", "version_unknown")]);
}

#[tokio::test]
async fn rules_sets_and_moves_are_judged_too() {
    let server = Server::start().await;
    let currencies = json!({"name": "currencies", "description": "What is paid in.", "values": ["EUR"]});
    server.admin().put("/v1/catalog/sets/currencies").json(&currencies).send().await.expect(201);
    let moved = json!({
        "name": "sales.deal.moved", "version": "1", "owner": "sales", "description": "A deal moved on.",
        "entity": {"type": "deal", "id": "/deal_id"},
        "schema": {"type": "object", "required": ["deal_id", "to", "currency"], "properties": {
            "deal_id": {"type": "string"}, "to": {"type": "string"}, "currency": {"type": "string"}}},
        "examples": [{"name": "usual", "data": {"deal_id": "d1", "to": "new", "currency": "EUR"}}],
        "rules": [{"name": "known_currency", "check": "data.currency in sets.currencies", "message": "not taken here"}],
        "transitions": [{"field": "/to", "initial": ["new"], "moves": {"new": ["won", "lost"]}}],
    });
    server.define(&moved).await;
    let event = |to: &str, currency: &str| {
        let event = typed("acme", "sales.deal.moved", json!({"deal_id": "d1", "to": to, "currency": currency}));
        with(event, json!({"entity": {"type": "deal", "id": "d1"}}))
    };
    let check = async |to: &str, currency: &str, expect: &str| {
        let problem = emit(&server.admin(), &event(to, currency)).await.problem(422, "event_rejected");
        assert_eq!(problem["errors"][0]["code"], expect, "{problem:#}");
    };
    check("new", "USD", "rule_failed").await;
    check("won", "EUR", "initial_state_forbidden").await;
    emit(&server.admin(), &event("new", "EUR")).await.expect(201);
    emit(&server.admin(), &event("won", "EUR")).await.expect(201);
    check("new", "EUR", "transition_forbidden").await;
    let currencies = json!({"name": "currencies", "description": "What is paid in.", "values": ["EUR", "USD"]});
    server.admin().put("/v1/catalog/sets/currencies").json(&currencies).send().await.expect(200);
    check("lost", "USD", "transition_forbidden").await;
}

#[tokio::test]
async fn an_event_that_is_in_the_log_is_a_duplicate_even_if_it_would_be_refused_now() {
    let server = Server::start().await;
    let early = with(deal(json!({})), json!({"id": "early", "version": "1"}));
    emit(&server.admin(), &early).await.expect(201);
    server.define(&definition(CREATED)).await;
    let again = emit(&server.admin(), &early).await.expect(201).json();
    assert_eq!(again["results"][0]["duplicate"], true);
    emit(&server.admin(), &with(early, json!({"id": "late"}))).await.problem(422, "event_rejected");
}

#[tokio::test]
async fn a_type_of_the_catalog_is_emitted_by_its_owner_alone() {
    let server = Server::start().await;
    server.define(&definition(CREATED)).await;
    let good = deal(json!({"amount": 1}));
    let (sales, hr) = (server.service("sales").await, server.service("hr").await);
    let nameless = server.role("producer", &["acme"]).await;
    emit(&sales, &good).await.expect(201);
    let part = with(good.clone(), json!({"source": {"type": "service", "id": "sales.eu"}}));
    emit(&sales, &part).await.expect(201);
    let check = async |client: &Client, event: &Value, expect: &str| {
        let problem = emit(client, event).await.problem(403, "forbidden");
        assert!(wrong(&problem).iter().any(|(_, code)| code == expect), "{problem:#}");
    };
    check(&nameless, &good, "key_without_service").await;
    // In another's name, and in its own but of another's type.
    check(&hr, &good, "source_not_own").await;
    let foreign = with(good.clone(), json!({"source": {"type": "service", "id": "hr"}}));
    check(&hr, &foreign, "type_not_owned").await;
    check(&server.admin(), &foreign, "type_not_owned").await;
    // Whatever the mode.
    server.policy(&json!({"name": "open", "known": "off"})).await;
    check(&nameless, &good, "key_without_service").await;
    // Types that nobody owns are everybody's, in the own name.
    emit(&nameless, &typed("acme", "ops.job.finished", json!({}))).await.expect(201);
    check(&hr, &typed("acme", "ops.job.finished", json!({})), "source_not_own").await;
    let told = server.await_event("$system", "tidings.catalog.ownership_violated", 1).await;
    assert_eq!(told["data"]["type"], CREATED, "{told:#}");
}

#[tokio::test]
async fn an_intent_is_judged_when_it_is_made() {
    let server = Server::start().await;
    server.define(&definition(CREATED)).await;
    let intent = |data: Value| json!({"event": with(deal(data), json!({"id": "intended"}))});
    let post = |body: Value| server.admin().post("/v1/intents").json(&body);
    let problem = post(intent(json!({"amount": "12"}))).send().await.problem(422, "event_rejected");
    assert_eq!(wrong(&problem), [pair("/event/data/amount", "schema_type")]);
    post(intent(json!({"amount": 12}))).send().await.expect(201);
    server.admin().post("/v1/intents/intended/confirm").send().await.success();
    let page = server.admin().get("/v1/tenants/acme/feed").query("wait", "60").send().await.expect(200).json();
    assert_eq!(page["events"][0]["version"], "1");
}

#[tokio::test]
async fn an_event_can_be_tried_without_writing_it() {
    let server = Server::start().await;
    server.define(&definition(CREATED)).await;
    let attempt = async |event: &Value| -> wire::Trial {
        server.admin().post("/v1/catalog/try").json(event).send().await.expect(200).read()
    };
    let good = attempt(&deal(json!({"amount": 1}))).await;
    assert_eq!((good.outcome.as_str(), good.version.as_str(), good.known), ("accepted", "1", true));
    let bad = attempt(&deal(json!({}))).await;
    assert_eq!((bad.outcome.as_str(), bad.mode.as_str()), ("rejected", "strict"));
    assert_eq!(bad.violations[0].path, "/data/amount");
    let unknown = attempt(&typed("acme", "ops.job.finished", json!({}))).await;
    assert_eq!((unknown.outcome.as_str(), unknown.known), ("accepted", false));
    assert_eq!(head(&server).await, 0);
    server.admin().post("/v1/catalog/try").json(&json!({})).send().await.problem(422, "event_invalid");
    let producer = server.role("producer", &["globex"]).await;
    producer.post("/v1/catalog/try").json(&deal(json!({}))).send().await.problem(403, "forbidden");
}

#[tokio::test]
async fn a_catalog_lives_as_well_on_postgresql() {
    let server = Server::start_on_postgres().await;
    server.define(&definition(CREATED)).await;
    let mut broken = definition(CREATED);
    broken["schema"]["properties"]["amount"] = json!({"type": "string"});
    broken["examples"] = json!([{"name": "usual", "data": {"amount": "12"}}]);
    let path = crate::support::path_of(&broken);
    server.admin().put(&path).json(&broken).send().await.problem(409, "catalog_breaking");
    let bad = |id: &str| with(deal(json!({"amount": "12"})), json!({"id": id}));
    emit(&server.admin(), &bad("refused")).await.problem(422, "event_rejected");
    server.policy(&json!({"name": "mode", "known": "quarantine"})).await;
    emit(&server.admin(), &bad("kept")).await.problem(422, "event_quarantined");
    server.policy(&json!({"name": "mode", "known": "observe"})).await;
    emit(&server.admin(), &bad("marked")).await.expect(201);
    let redrive = server.admin().post("/v1/tenants/acme/quarantine/redrive").json(&json!({}));
    let done: wire::Redriven = redrive.send().await.expect(200).read();
    assert_eq!((done.redriven, done.kept), (1, 0));
    let marked: wire::MarkedEventList =
        server.admin().get("/v1/tenants/acme/violations").send().await.expect(200).read();
    let sequences: Vec<_> = marked.data.iter().map(|marked| marked.sequence).collect();
    assert_eq!((sequences, head(&server).await), (vec![2, 1], 2));
    let history = server.admin().get(&format!("{path}/history")).send().await.expect(200).json();
    assert_eq!(history["data"].as_array().unwrap().len(), 1);
}
