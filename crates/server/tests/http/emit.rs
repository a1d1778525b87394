//! What callers of `POST /v1/events` are promised.

use serde_json::{Value, json};
use tidings_server::wire;

use crate::support::{Server, event, typed, with};

#[tokio::test]
async fn an_event_comes_out_of_the_feed_as_it_went_in() {
    let server = Server::start().await;
    let body = r#"{"type":"sales.lead.created", "tenant":"acme", "id":"lead-1", "version":"3",
        "timestamp":"2026-03-15T10:00:00Z", "project":"emea", "source":{"type":"workflow","id":"sales"},
        "entity":{"type":"lead","id":"lead_42"}, "actor":"user_7",
        "data":{ "b":1.0, "a":12345678901234567890, "text":"\u00e9" },
        "metadata":{"correlation_id":"req_9f","causation_id":"lead-0","context":{"type":"client","id":"client_1"},
        "traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}}"#;
    let answer = server.admin().post("/v1/events").typed("application/json", body).send().await.expect(201);
    assert_eq!(
        answer.json(),
        json!({"results": [{"id": "lead-1", "tenant": "acme", "sequence": 1, "duplicate": false}]})
    );
    answer.read::<wire::Receipts>();

    let page = server.admin().get("/v1/tenants/acme/feed").send().await.expect(200);
    let page: wire::FeedPage = page.read();
    let read = &page.events[0];
    assert_eq!(read.data.get(), r#"{ "b":1.0, "a":12345678901234567890, "text":"\u00e9" }"#, "kept byte for byte");
    let mut read = serde_json::to_value(read).unwrap();
    assert!(read["recorded_at"].as_str().unwrap().ends_with('Z'));
    read["recorded_at"] = "(now)".into();
    insta::assert_json_snapshot!(read);
}

#[tokio::test]
async fn what_a_producer_leaves_out_is_given_and_reported() {
    let server = Server::start().await;
    let answer = server.admin().post("/v1/events").json(&event("acme", json!({}))).send().await.expect(201).json();
    let id = answer["results"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(id.len(), 26, "a ULID: {id}");
    let read: wire::RecordedEvent =
        server.admin().get(&format!("/v1/tenants/acme/events/{id}")).send().await.expect(200).read();
    assert_eq!((read.version.as_str(), read.metadata.correlation_id.as_str()), ("1", id.as_str()));
}

#[tokio::test]
async fn sending_the_same_again_is_answered_as_a_duplicate_with_the_first_sequence() {
    let server = Server::start().await;
    let batch = json!([
        with(event("acme", json!({"n": 1})), json!({"id": "a"})),
        with(event("acme", json!({"n": 2})), json!({"id": "b"})),
    ]);
    let send = async |batch: &Value| server.admin().post("/v1/events").json(batch).send().await.expect(201).json();
    assert_eq!(
        send(&batch).await["results"][1],
        json!({"id": "b", "tenant": "acme", "sequence": 2, "duplicate": false})
    );
    let again = send(&batch).await;
    assert_eq!(again["results"][0], json!({"id": "a", "tenant": "acme", "sequence": 1, "duplicate": true}));
    assert_eq!(again["results"][1], json!({"id": "b", "tenant": "acme", "sequence": 2, "duplicate": true}));
    let tenant = server.admin().get("/v1/tenants/acme").send().await.expect(200).json();
    assert_eq!(tenant["head"], 2, "nothing was written again");
}

#[tokio::test]
async fn an_id_with_other_content_is_a_conflict_and_nothing_is_written() {
    let server = Server::start().await;
    server.emit(&with(event("acme", json!({"n": 1})), json!({"id": "a"}))).await;
    let batch = json!([
        with(event("acme", json!({})), json!({"id": "new"})),
        with(event("acme", json!({"n": 2})), json!({"id": "a"})),
    ]);
    let problem = server.admin().post("/v1/events").json(&batch).send().await.problem(409, "event_id_conflict");
    insta::assert_json_snapshot!(problem);
    server.admin().get("/v1/tenants/acme/events/new").send().await.problem(404, "event_not_found");
}

#[tokio::test]
async fn a_request_is_judged_as_a_whole() {
    let server = Server::start().await;
    let batch = json!([
        with(event("acme", json!({})), json!({"id": "good"})),
        {"type": "Lead", "tenant": "a/b", "source": {"type": "human", "id": ""}, "data": [], "sequence": 4, "extra": 1},
    ]);
    let problem = server.admin().post("/v1/events").json(&batch).send().await.problem(422, "event_invalid");
    insta::assert_json_snapshot!(problem);
    server.admin().get("/v1/tenants/acme").send().await.problem(404, "tenant_not_found");
}

#[tokio::test]
async fn a_batch_over_several_tenants_carries_its_own_ids() {
    let server = Server::start().await;
    let without = json!([event("acme", json!({})), event("globex", json!({}))]);
    let problem = server.admin().post("/v1/events").json(&without).send().await.problem(422, "event_ids_required");
    insta::assert_json_snapshot!(problem);
    let with_ids = json!([
        with(event("acme", json!({})), json!({"id": "a"})),
        with(event("globex", json!({})), json!({"id": "a"})),
        with(event("acme", json!({})), json!({"id": "b"})),
    ]);
    let answer = server.admin().post("/v1/events").json(&with_ids).send().await.expect(201).json();
    let sequences: Vec<_> = answer["results"].as_array().unwrap().iter().map(|r| &r["sequence"]).collect();
    assert_eq!(sequences, [1, 1, 2]);
}

#[tokio::test]
async fn a_batch_of_one_tenant_needs_no_ids() {
    let server = Server::start().await;
    let batch: Vec<_> = (0..1_000).map(|n| event("acme", json!({"n": n}))).collect();
    let answer = server.admin().post("/v1/events").json(&json!(batch)).send().await.expect(201).json();
    assert_eq!(answer["results"][999]["sequence"], 1_000);
    let batch: Vec<_> = (0..1_001).map(|n| event("acme", json!({"n": n}))).collect();
    server.admin().post("/v1/events").json(&json!(batch)).send().await.problem(413, "batch_too_large");
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused() {
    let server = Server::start().await;
    let check = async |media: &str, body: &'static str, status: u16, code: &str| {
        let answer = server.admin().post("/v1/events").typed(media, body).send().await;
        answer.problem(status, code);
    };
    check("application/json", "", 400, "body_malformed").await;
    check("application/json", "{", 400, "body_malformed").await;
    check("application/json", "{} {}", 400, "body_malformed").await;
    check("application/json", "7", 422, "event_invalid").await;
    check("application/json", "[]", 422, "event_invalid").await;
    check("application/json", r#"{"a":1,"a":2}"#, 422, "event_invalid").await;
    check("application/json; charset=latin1", "{}", 415, "content_type_unsupported").await;
    check("text/plain", "{}", 415, "content_type_unsupported").await;
    check("application/x-www-form-urlencoded", "a=b", 415, "content_type_unsupported").await;
    check("application/cloudevents+xml", "<a/>", 415, "content_type_unsupported").await;
    let encoded = server.admin().post("/v1/events").typed("application/json", "{}").header("content-encoding", "gzip");
    encoded.send().await.problem(415, "content_type_unsupported");
}

#[tokio::test]
async fn a_producer_emits_only_for_its_tenants_and_types() {
    let server = Server::start().await;
    let request = json!({"role": "producer", "tenants": ["acme"], "type_prefixes": ["sales."]});
    let key = server.admin().post("/v1/keys").json(&request).send().await.expect(201).json();
    let producer = server.holder(key["key"].as_str().unwrap());
    producer.post("/v1/events").json(&event("acme", json!({}))).send().await.expect(201);

    let batch = json!([
        with(event("acme", json!({})), json!({"id": "a"})),
        with(event("globex", json!({})), json!({"id": "b"})),
        with(typed("acme", "hr.person.hired", json!({})), json!({"id": "c"})),
        with(typed("acme", "salesforce.lead.created", json!({})), json!({"id": "d"})),
    ]);
    let problem = producer.post("/v1/events").json(&batch).send().await.problem(403, "forbidden");
    insta::assert_json_snapshot!(problem);
    let tenant = server.admin().get("/v1/tenants/acme").send().await.expect(200).json();
    assert_eq!(tenant["head"], 1, "nothing of the refused batch was written");
}

#[tokio::test]
async fn cloudevents_are_taken_structured_batched_and_in_binary_mode() {
    let server = Server::start().await;
    let cloud_event = |id: &str| {
        json!({
            "specversion": "1.0", "id": id, "source": "/service/sales", "type": "sales.lead.created", "tenant": "acme",
            "subject": "lead/lead_42", "datacontenttype": "application/json", "data": {"n": 1},
        })
    };
    let admin = server.admin();
    let structured = admin.post("/v1/events").typed("application/cloudevents+json", cloud_event("a").to_string());
    assert_eq!(structured.send().await.expect(201).json()["results"][0]["sequence"], 1);

    let batch = json!([cloud_event("a"), cloud_event("b")]).to_string();
    let batch = admin.post("/v1/events").typed("application/cloudevents-batch+json; charset=UTF-8", batch);
    let results = batch.send().await.expect(201).json();
    assert_eq!(results["results"][0]["duplicate"], true, "the same event in another form: {results}");

    let binary = admin
        .post("/v1/events")
        .typed("application/json", r#"{"n": 1}"#)
        .header("ce-specversion", "1.0")
        .header("ce-id", "c")
        .header("ce-source", "/service/sales")
        .header("ce-type", "sales.lead.created")
        .header("ce-subject", "lead/lead_42")
        .header("ce-tenant", "acme");
    assert_eq!(binary.send().await.expect(201).json()["results"][0]["sequence"], 3);

    let read: wire::RecordedEvent = admin.get("/v1/tenants/acme/events/c").send().await.expect(200).read();
    let entity = read.entity.unwrap();
    assert_eq!((entity.r#type.as_str(), entity.id.as_str(), read.data.get()), ("lead", "lead_42", r#"{"n": 1}"#));

    let bad = admin.post("/v1/events").typed("application/cloudevents+json", r#"{"specversion":"0.3"}"#);
    bad.send().await.problem(422, "event_invalid");
}

#[tokio::test]
async fn an_event_is_readable_once_it_is_acknowledged_on_postgresql_too() {
    let server = Server::start_on_postgres().await;
    for n in 1..=20_u64 {
        assert_eq!(server.emit(&event("acme", json!({"n": n}))).await, n);
        let page = server.admin().get("/v1/tenants/acme/feed").query("from", &n.to_string()).send().await.expect(200);
        assert_eq!(page.json()["events"][0]["sequence"], n);
    }
}
