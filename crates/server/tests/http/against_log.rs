//! What is promised about definitions beside the log: what past events say about them, and who emits and reads them.

use serde_json::{Value, json};
use tidings_server::wire;

use crate::support::{Client, Server, definition, nobody, typed, with};

const CREATED: &str = "sales.deal.created";

async fn check(client: &Client, body: &Value) -> wire::LogReport {
    client.post("/v1/catalog/check-log").json(body).send().await.expect(200).read()
}

async fn lineage(client: &Client, event_type: &str) -> Vec<wire::Lineage> {
    let answer = client.get("/v1/catalog/lineage").query("type", event_type).send().await.expect(200);
    answer.read::<wire::LineageList>().data
}

#[tokio::test]
async fn past_events_that_a_definition_would_not_take_are_shown() {
    let server = Server::start().await;
    for (tenant, data) in [("acme", json!({"amount": 1})), ("acme", json!({"amount": "1"})), ("globex", json!({}))] {
        server.emit(&typed(tenant, CREATED, data)).await;
    }
    let body = json!({"definitions": [definition(CREATED)]});
    let report = check(&server.admin(), &body).await;
    let found = &report.definitions[0];
    assert_eq!((found.name.as_str(), found.matched, found.invalid), (CREATED, 3, 2));
    assert!(report.complete && report.blinded.is_empty() && report.blinded_complete, "{report:#?}");
    let sample = found.samples.iter().find(|sample| sample.tenant == "acme").unwrap();
    assert_eq!((sample.sequence, sample.violations[0].path.as_str()), (2, "/data/amount"));
    assert_eq!(sample.violations[0].code, "schema_type");

    let own = server.role("auditor", &["acme"]).await;
    let report = check(&own, &body).await;
    assert_eq!((report.definitions[0].matched, report.definitions[0].invalid), (2, 1), "its own tenants' events");
    let other = with(body.clone(), json!({"tenants": ["acme", "globex"]}));
    own.post("/v1/catalog/check-log").json(&other).send().await.problem(403, "forbidden");
    let some = check(&server.admin(), &with(body, json!({"tenants": ["globex"], "events_max": 1}))).await;
    assert_eq!((some.scanned, some.definitions[0].invalid), (1, 1));
    server.admin().get("/v1/event-types").send().await.expect(200);
}

#[tokio::test]
async fn endpoints_that_a_change_would_blind_are_named() {
    let server = Server::start().await;
    server.define(&definition(CREATED)).await;
    let filter = json!({"filters": [{"field": "$.data.amount", "operator": "gte", "value": 10}]});
    let endpoint = server.endpoint("acme", &json!({"url": nobody(), "types": [CREATED], "filter": filter})).await;
    let mut renamed = definition(CREATED);
    renamed["schema"] = json!({"type": "object", "properties": {"price": {"type": "number"}}});
    renamed["examples"] = json!([{"name": "usual", "data": {"price": 12}}]);
    let report = check(&server.admin(), &json!({"definitions": [renamed]})).await;
    let [blinded] = report.blinded.as_slice() else { panic!("{report:#?}") };
    assert_eq!((&json!(blinded.endpoint), blinded.name.as_str()), (&endpoint["id"], CREATED));
    assert_eq!((blinded.tenant.as_str(), blinded.field.as_str()), ("acme", "$.data.amount"));
    let report = check(&server.admin(), &json!({"definitions": [definition(CREATED)]})).await;
    assert!(report.blinded.is_empty(), "{report:#?}");
}

#[tokio::test]
async fn a_check_that_asks_for_too_much_or_nothing_is_refused() {
    let server = Server::start().await;
    let refused = async |body: Value, path: &str| {
        let answer = server.admin().post("/v1/catalog/check-log").json(&body).send().await;
        let problem = answer.problem(422, "definition_invalid");
        assert_eq!(problem["errors"][0]["path"], path, "{problem:#}");
    };
    let body = json!({"definitions": [definition(CREATED)]});
    refused(json!({}), "/definitions").await;
    refused(with(body.clone(), json!({"events_max": 1_000_001})), "/events_max").await;
    refused(with(body.clone(), json!({"tenants": ["a/b"]})), "/tenants/0").await;
    refused(with(body, json!({"policies": []})), "/policies").await;
}

#[tokio::test]
async fn lineage_names_who_was_seen_to_emit_and_who_subscribes() {
    let server = Server::start().await;
    server.define(&definition(CREATED)).await;
    server.emit(&typed("acme", CREATED, json!({"amount": 1}))).await;
    server.emit(&typed("acme", CREATED, json!({"amount": 2}))).await;
    let acme = json!({"url": nobody(), "types": ["sales.*"], "description": "the ledger"});
    server.endpoint("acme", &acme).await;
    server.endpoint("globex", &json!({"url": nobody(), "types": [CREATED]})).await;
    server.endpoint("globex", &json!({"url": nobody(), "types": ["hr.*"]})).await;

    let found = lineage(&server.admin(), CREATED).await;
    let [one] = found.as_slice() else { panic!("{found:#?}") };
    let [publisher] = one.observed.as_slice() else { panic!("{found:#?}") };
    assert_eq!((publisher.source.as_str(), publisher.version.as_str(), publisher.events), ("sales", "1", 2));
    let subscribers: Vec<_> = one.subscribers.iter().map(|s| (s.tenant.as_str(), s.description.as_str())).collect();
    assert_eq!(subscribers, [("acme", "the ledger"), ("globex", "")]);
    assert_eq!(one.subscribers[0].url_host.split(':').next(), Some("127.0.0.1"));

    let own = lineage(&server.role("auditor", &["acme"]).await, CREATED).await;
    let tenants: Vec<_> = own[0].subscribers.iter().map(|s| s.tenant.as_str()).collect();
    assert_eq!((tenants, own[0].observed.len()), (vec!["acme"], 0), "{own:#?}");
    let consumer = server.role("consumer", &["acme"]).await;
    consumer.get("/v1/catalog/lineage").send().await.problem(403, "forbidden");
    server.admin().get("/v1/catalog/lineage?type=Sales").send().await.problem(400, "request_invalid");
}

#[tokio::test]
async fn lineage_pages_by_type() {
    let server = Server::start().await;
    let names = ["hr.person.hired", CREATED, "sales.deal.lost"];
    for name in names {
        server.define(&definition(name)).await;
    }
    let first: wire::LineageList = server.admin().get("/v1/catalog/lineage?limit=2").send().await.expect(200).read();
    let cursor = first.cursor.unwrap();
    let next = server.admin().get("/v1/catalog/lineage?limit=2").query("cursor", &cursor).send().await.expect(200);
    let next: wire::LineageList = next.read();
    let found: Vec<_> = first.data.iter().chain(&next.data).map(|lineage| lineage.event_type.as_str()).collect();
    assert_eq!(found.iter().filter(|found| names.contains(found)).count(), 3, "{found:?}");
    assert!(found.is_sorted() && first.data.len() == 2, "{found:?}");
    assert!(first.complete && next.complete);
}
