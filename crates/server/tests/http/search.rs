//! What callers of search, entity streams and traces are promised.

use serde_json::{Value, json};
use tidings_server::wire;

use crate::support::{Server, event, typed, with};

const EVENTS: &str = "/v1/tenants/acme/events";

/// Ten events: five of a lead, five of an offer; the amounts are 1 to 10.
async fn filled() -> Server {
    let server = Server::start().await;
    let events: Vec<Value> = (1..=10)
        .map(|n| {
            let (kind, entity) = if n % 2 == 1 { ("sales.lead.created", "lead") } else { ("sales.offer.made", "offer") };
            let members = json!({
                "id": format!("e{n}"), "actor": format!("user_{}", n % 3), "project": if n > 5 { "emea" } else { "apac" },
                "entity": {"type": entity, "id": "one/two"},
                "metadata": {"correlation_id": format!("req_{}", n / 4), "causation_id": format!("e{}", n / 2)},
            });
            with(typed("acme", kind, json!({"amount": n})), members)
        })
        .collect();
    for event in &events {
        server.emit(event).await;
    }
    server
}

fn amounts(body: &Value) -> Vec<u64> {
    body["data"].as_array().unwrap().iter().map(|event| event["data"]["amount"].as_u64().unwrap()).collect()
}

/// All pages of a search, read with a small limit.
async fn search(server: &Server, path: &str, query: &[(&str, &str)]) -> Vec<u64> {
    let (mut found, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut request = server.admin().get(path).query("limit", "3");
        for (name, value) in query {
            request = request.query(name, value);
        }
        if let Some(cursor) = &cursor {
            request = request.query("cursor", cursor);
        }
        let answer = request.send().await.expect(200);
        answer.read::<wire::EventList>();
        let body = answer.json();
        found.extend(amounts(&body));
        cursor = body["cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return found;
        }
    }
}

#[tokio::test]
async fn a_search_finds_what_holds_all_that_is_asked_for() {
    let server = filled().await;
    let second = server.admin().get(&format!("{EVENTS}/e2")).send().await.expect(200).json();
    let moment = second["recorded_at"].as_str().unwrap();
    let filter = r#"{"filters":[{"field":"$.data.amount","operator":"lt","value":4}]}"#;
    let check = async |query: &[(&str, &str)], expect: &[u64]| {
        assert_eq!(search(&server, EVENTS, query).await, expect, "{query:?}");
    };
    check(&[], &[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]).await;
    check(&[("order", "asc")], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]).await;
    check(&[("types", "sales.lead.*")], &[9, 7, 5, 3, 1]).await;
    check(&[("types", "sales.lead.created"), ("order", "asc")], &[1, 3, 5, 7, 9]).await;
    check(&[("entity_type", "offer"), ("entity_id", "one/two")], &[10, 8, 6, 4, 2]).await;
    check(&[("actor", "user_0")], &[9, 6, 3]).await;
    check(&[("project", "apac"), ("types", "sales.offer.*")], &[4, 2]).await;
    check(&[("correlation_id", "req_1")], &[7, 6, 5, 4]).await;
    check(&[("causation_id", "e2")], &[5, 4]).await;
    check(&[("source_type", "service"), ("source_id", "sales"), ("limit", "3")][..2], &[10, 9, 8, 7, 6, 5, 4, 3, 2, 1])
        .await;
    check(&[("source_type", "task")], &[]).await;
    check(&[("filter", filter)], &[3, 2, 1]).await;
    check(&[("since", moment), ("until", "2999-01-01T00:00:00Z"), ("filter", filter)], &[3, 2]).await;
    check(&[("until", "2000-01-01T00:00:00Z")], &[]).await;
}

#[tokio::test]
async fn a_search_of_a_tenant_without_events_finds_nothing() {
    let server = Server::start().await;
    assert_eq!(search(&server, "/v1/tenants/nobody/events", &[]).await, [0; 0]);
}

#[tokio::test]
async fn a_searchs_cursor_belongs_to_its_question() {
    let server = filled().await;
    let ask = async |query: &[(&str, &str)]| {
        let request =
            query.iter().fold(server.admin().get(EVENTS), |request, (name, value)| request.query(name, value));
        request.send().await
    };
    let body = ask(&[("limit", "1"), ("types", "sales.lead.*")]).await.expect(200).json();
    let cursor = body["cursor"].as_str().unwrap();
    let next = ask(&[("limit", "2"), ("types", "sales.lead.*"), ("cursor", cursor)]).await.expect(200).json();
    assert_eq!(amounts(&next), [7, 5]);
    ask(&[("limit", "1"), ("cursor", cursor)]).await.problem(400, "cursor_mismatch");
    ask(&[("types", "sales.lead.*"), ("order", "asc"), ("cursor", cursor)]).await.problem(400, "cursor_mismatch");
    let feed = server.admin().get("/v1/tenants/acme/feed").query("types", "sales.lead.*").query("cursor", cursor);
    feed.send().await.problem(400, "cursor_mismatch");
}

#[tokio::test]
async fn wrong_parameters_of_a_search_are_refused() {
    let server = Server::start().await;
    let check = async |query: &[(&str, &str)], path: &str| {
        let request =
            query.iter().fold(server.admin().get(EVENTS), |request, (name, value)| request.query(name, value));
        let problem = request.send().await.problem(400, "request_invalid");
        assert_eq!(problem["errors"][0]["path"], path, "{problem:#}");
    };
    check(&[("order", "random")], "query/order").await;
    check(&[("source_type", "human")], "query/source_type").await;
    check(&[("context_type", "human")], "query/context_type").await;
    check(&[("since", "yesterday")], "query/since").await;
    check(&[("entity_id", "lead_1")], "query/entity_id").await;
    check(&[("actor", "a\u{7}")], "query/actor").await;
    check(&[("wait", "1")], "query/wait").await;
}

#[tokio::test]
async fn an_entitys_stream_is_in_order() {
    let server = filled().await;
    let path = "/v1/tenants/acme/entities/lead/one%2Ftwo/events";
    assert_eq!(search(&server, path, &[]).await, [1, 3, 5, 7, 9]);
    assert_eq!(search(&server, path, &[("order", "desc")]).await, [9, 7, 5, 3, 1]);
    assert_eq!(search(&server, "/v1/tenants/acme/entities/lead/other/events", &[]).await, [0; 0]);
}

#[tokio::test]
async fn one_event_is_read_natively_or_as_a_cloudevent() {
    let server = filled().await;
    let native = server.admin().get(&format!("{EVENTS}/e1")).send().await.expect(200);
    assert_eq!(native.read::<wire::RecordedEvent>().sequence, 1);
    for request in [
        server.admin().get(&format!("{EVENTS}/e1")).header("accept", "application/cloudevents+json"),
        server.admin().get(&format!("{EVENTS}/e1?format=cloudevents")),
    ] {
        let answer = request.send().await.expect(200);
        assert_eq!(answer.headers["content-type"], "application/cloudevents+json");
        assert_eq!(answer.read::<wire::CloudEvent>().subject.as_deref(), Some("lead/one%2Ftwo"));
    }
    server.admin().get(&format!("{EVENTS}/nothing")).send().await.problem(404, "event_not_found");
    server.admin().get(&format!("{EVENTS}/a.b")).send().await.problem(400, "request_invalid");
}

#[tokio::test]
async fn a_trace_shows_causes_before_effects_with_their_depth() {
    let server = filled().await;
    let answer = server.admin().get(&format!("{EVENTS}/e2/trace")).send().await.expect(200);
    let trace: wire::Trace = answer.read();
    assert_eq!((trace.event_id.as_str(), trace.truncated), ("e2", false));
    let nodes: Vec<_> = trace.nodes.iter().map(|node| (node.depth, node.event.id.as_str())).collect();
    assert_eq!(
        nodes,
        [(0, "e1"), (1, "e2"), (2, "e4"), (3, "e8"), (3, "e9"), (2, "e5"), (3, "e10"), (1, "e3"), (2, "e6"), (2, "e7"),]
    );
    server.admin().get(&format!("{EVENTS}/nothing/trace")).send().await.problem(404, "event_not_found");
}

#[tokio::test]
async fn events_of_one_tenant_are_not_found_in_another() {
    let server = filled().await;
    server.emit(&with(event("globex", json!({"amount": 99})), json!({"id": "g1"}))).await;
    server.admin().get(&format!("{EVENTS}/g1")).send().await.problem(404, "event_not_found");
    assert_eq!(search(&server, "/v1/tenants/globex/events", &[]).await, [99]);
}
