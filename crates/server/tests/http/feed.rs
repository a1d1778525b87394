//! What readers of the feed's pages are promised.

use serde_json::{Value, json};
use tidings_event::{Cursor, CursorKey, FilterHash, LogId, Sequence, TenantId};
use tidings_server::wire;

use crate::support::{Answer, Client, MASTER_KEY, PATIENCE, Server, event, typed};

const FEED: &str = "/v1/tenants/acme/feed";

async fn fill(server: &Server, events: u64) {
    let batch: Vec<Value> = (1..=events).map(|n| event("acme", json!({"n": n}))).collect();
    for part in batch.chunks(1_000) {
        server.admin().post("/v1/events").json(&json!(part)).send().await.expect(201);
    }
}

fn sequences(page: &Value) -> Vec<u64> {
    page["events"].as_array().unwrap().iter().map(|event| event["sequence"].as_u64().unwrap()).collect()
}

async fn page(reader: &Client, query: &[(&str, &str)]) -> Answer {
    query.iter().fold(reader.get(FEED), |request, (name, value)| request.query(name, value)).send().await
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_overlap() {
    let server = Server::start().await;
    fill(&server, 2_345).await;
    let (mut seen, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut query = vec![("limit", "1000")];
        query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let answer = page(&server.admin(), &query).await.expect(200);
        answer.read::<wire::FeedPage>();
        let body = answer.json();
        seen.extend(sequences(&body));
        cursor = Some(body["cursor"].as_str().unwrap().to_owned());
        if body["up_to_date"] == true {
            break;
        }
    }
    assert_eq!(seen, (1..=2_345).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_feed_begins_where_the_reader_says() {
    let server = Server::start().await;
    fill(&server, 5).await;
    let fourth = page(&server.admin(), &[("from", "4")]).await.expect(200).json();
    let moment = fourth["events"][0]["recorded_at"].as_str().unwrap();
    let check = async |query: &[(&str, &str)], expect: &[u64]| {
        let body = page(&server.admin(), query).await.expect(200).json();
        assert_eq!(sequences(&body), expect, "{query:?}");
    };
    check(&[], &[1, 2, 3, 4, 5]).await;
    check(&[("from", "start"), ("limit", "2")], &[1, 2]).await;
    check(&[("from", "0"), ("limit", "1")], &[1]).await;
    check(&[("from", "1"), ("limit", "1")], &[1]).await;
    check(&[("from", "4")], &[4, 5]).await;
    check(&[("from", "6")], &[]).await;
    check(&[("from", "now")], &[]).await;
    check(&[("from", "2000-01-01T00:00:00Z")], &[1, 2, 3, 4, 5]).await;
    check(&[("from", "2999-01-01T00:00:00+02:00")], &[]).await;
    // All five were recorded in one commit.
    check(&[("from", moment)], &[1, 2, 3, 4, 5]).await;
    page(&server.admin(), &[("from", "7")]).await.problem(409, "log_rewound");
}

#[tokio::test]
async fn a_tenant_without_events_has_an_empty_feed_that_fills() {
    let server = Server::start().await;
    let body = page(&server.admin(), &[("from", "now")]).await.expect(200).json();
    assert_eq!((&body["events"], &body["up_to_date"]), (&json!([]), &json!(true)));
    fill(&server, 1).await;
    let body = page(&server.admin(), &[("cursor", body["cursor"].as_str().unwrap())]).await.expect(200).json();
    assert_eq!(sequences(&body), [1]);
}

#[tokio::test]
async fn a_reader_that_waits_is_answered_by_the_next_event() {
    let server = Server::start().await;
    fill(&server, 1).await;
    let cursor = page(&server.admin(), &[]).await.expect(200).json()["cursor"].as_str().unwrap().to_owned();
    let reader = server.admin();
    let waiting = tokio::spawn(async move { page(&reader, &[("cursor", &cursor), ("wait", "60")]).await });
    fill(&server, 1).await;
    let body = waiting.await.unwrap().expect(200).json();
    assert_eq!(sequences(&body), [2]);
    assert_eq!(body["up_to_date"], true);
}

#[tokio::test]
async fn a_wait_that_ends_without_an_event_is_an_empty_page() {
    let server = Server::start().await;
    let body = page(&server.admin(), &[("wait", "1")]).await.expect(200).json();
    assert_eq!((&body["events"], &body["up_to_date"]), (&json!([]), &json!(true)));
}

#[tokio::test]
async fn a_reader_that_waits_is_answered_when_the_server_shuts_down() {
    let mut server = Server::start().await;
    fill(&server, 1).await;
    let reader = server.admin();
    let waiting = tokio::spawn(async move { page(&reader, &[("from", "now"), ("wait", "60")]).await });
    let waits = async {
        while !server.anyone().get("/metrics").send().await.text().contains("tidings_http_streams 1") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waits).await.expect("the reader waits");
    server.begin_shutdown();
    let body = waiting.await.unwrap().expect(200).json();
    assert_eq!(body["events"], json!([]));
    assert!(!body["cursor"].as_str().unwrap().is_empty());
    server.finish().await;
}

#[tokio::test]
async fn types_and_filters_choose_events_and_progress_goes_past_the_others() {
    let server = Server::start().await;
    for n in 1..=4 {
        let kind = if n % 2 == 0 { "hr.person.hired" } else { "sales.lead.created" };
        server.emit(&typed("acme", kind, json!({"amount": n}))).await;
    }
    let check = async |query: &[(&str, &str)], expect: &[u64]| {
        let body = page(&server.admin(), query).await.expect(200).json();
        assert_eq!(sequences(&body), expect, "{query:?}");
        assert_eq!(body["up_to_date"], true);
        let mut next = query.to_vec();
        let cursor = body["cursor"].as_str().unwrap();
        next.push(("cursor", cursor));
        assert_eq!(sequences(&page(&server.admin(), &next).await.expect(200).json()), [0; 0]);
    };
    check(&[("types", "sales.*")], &[1, 3]).await;
    check(&[("types", "sales.*,hr.person.hired")], &[1, 2, 3, 4]).await;
    check(&[("types", "sales.*"), ("types", "hr.person.hired")], &[1, 2, 3, 4]).await;
    check(&[("types", "sales.offer.made")], &[]).await;
    let filter = r#"{"filters":[{"field":"$.data.amount","operator":"gte","value":3}]}"#;
    check(&[("filter", filter)], &[3, 4]).await;
    check(&[("types", "sales.*"), ("filter", filter)], &[3]).await;
}

#[tokio::test]
async fn wrong_parameters_are_refused_by_name() {
    let server = Server::start().await;
    let check = async |query: &[(&str, &str)], code: &str, paths: &[&str]| {
        let problem = page(&server.admin(), query).await.problem(400, code);
        let found: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|e| e["path"].as_str().unwrap()).collect();
        assert_eq!(found, paths, "{problem:#}");
    };
    check(&[("colour", "red"), ("size", "1")], "request_invalid", &["query/colour", "query/size"]).await;
    check(&[("limit", "0")], "request_invalid", &["query/limit"]).await;
    check(&[("limit", "1001")], "request_invalid", &["query/limit"]).await;
    check(&[("limit", "ten")], "request_invalid", &["query/limit"]).await;
    check(&[("limit", "1"), ("limit", "2")], "request_invalid", &["query/limit"]).await;
    check(&[("wait", "61")], "request_invalid", &["query/wait"]).await;
    check(&[("wait", "-1")], "request_invalid", &["query/wait"]).await;
    check(&[("from", "yesterday")], "request_invalid", &["query/from"]).await;
    check(&[("from", "start"), ("cursor", "abc")], "request_invalid", &["query/from"]).await;
    check(&[("format", "xml")], "request_invalid", &["query/format"]).await;
    check(&[("cursor", "abc")], "cursor_invalid", &[]).await;
    let filter = r#"{"filters":[{"field":"data","operator":"equals","value":1}]}"#;
    check(&[("filter", filter)], "filter_invalid", &["query/filters/0/field"]).await;
    let many = vec!["sales.*"; 101].join(",");
    check(&[("types", &many)], "request_invalid", &["query/types"]).await;
    let long = "a".repeat(20_000);
    check(&[("filter", &long)], "request_invalid", &["query/filter"]).await;

    let broken = server.admin().get(&format!("{FEED}?limit=%ff")).send().await.problem(400, "request_invalid");
    insta::assert_json_snapshot!(broken);
}

#[tokio::test]
async fn a_cursor_works_only_for_its_tenant_and_filter() {
    let server = Server::start().await;
    fill(&server, 1).await;
    let cursor = page(&server.admin(), &[]).await.expect(200).json()["cursor"].as_str().unwrap().to_owned();
    let of_sales = page(&server.admin(), &[("types", "sales.*")]).await.expect(200).json();
    let of_sales = of_sales["cursor"].as_str().unwrap();
    page(&server.admin(), &[("cursor", &cursor), ("types", "sales.*")]).await.problem(400, "cursor_mismatch");
    page(&server.admin(), &[("cursor", of_sales)]).await.problem(400, "cursor_mismatch");
    let other = server.admin().get("/v1/tenants/globex/feed").query("cursor", &cursor).send().await;
    insta::assert_json_snapshot!(other.problem(400, "cursor_mismatch"));
    let mut forged = cursor.clone().into_bytes();
    forged[40] = if forged[40] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    insta::assert_json_snapshot!(page(&server.admin(), &[("cursor", &forged)]).await.problem(400, "cursor_invalid"));
}

#[tokio::test]
async fn a_cursor_of_another_log_is_refused_and_never_moved() {
    let server = Server::start().await;
    fill(&server, 3).await;
    let acme = TenantId::parse("acme").unwrap();
    let seal = |log: LogId, sequence: u64| {
        let cursor = Cursor::new(log, &acme, Sequence(sequence), FilterHash::default());
        CursorKey::derive(&MASTER_KEY).seal(&cursor)
    };
    let other_log = Server::start().await.engine.log().id;
    let problem = page(&server.admin(), &[("cursor", &seal(other_log, 1))]).await.problem(409, "log_rewound");
    insta::assert_json_snapshot!(problem);
    let beyond_the_end = seal(server.engine.log().id, 4);
    page(&server.admin(), &[("cursor", &beyond_the_end)]).await.problem(409, "log_rewound");
    let at_the_end = seal(server.engine.log().id, 3);
    page(&server.admin(), &[("cursor", &at_the_end)]).await.expect(200);
}

#[tokio::test]
async fn a_cursor_below_the_floor_is_answered_with_the_oldest_cursor() {
    let (server, store) = Server::start_faulty().await;
    fill(&server, 5).await;
    let first = page(&server.admin(), &[("limit", "1")]).await.expect(200).json();
    store.set_floor(3);
    let expired = page(&server.admin(), &[("cursor", first["cursor"].as_str().unwrap())]).await;
    let mut problem = expired.problem(410, "cursor_expired");
    let oldest = problem["oldest_cursor"].as_str().unwrap().to_owned();
    let body = page(&server.admin(), &[("cursor", &oldest)]).await.expect(200).json();
    assert_eq!(sequences(&body), [4, 5]);
    problem["oldest_cursor"] = "(a cursor)".into();
    insta::assert_json_snapshot!(problem);
    let body = page(&server.admin(), &[("from", "start")]).await.expect(200).json();
    assert_eq!(sequences(&body), [4, 5]);
    page(&server.admin(), &[("from", "2")]).await.problem(410, "cursor_expired");
}

#[tokio::test]
async fn a_page_is_given_as_cloudevents_where_that_is_asked_for() {
    let server = Server::start().await;
    fill(&server, 2).await;
    let body = page(&server.admin(), &[("format", "cloudevents")]).await.expect(200).json();
    assert_eq!(body["events"][0]["specversion"], "1.0");
    assert_eq!(body["events"][0]["source"], "/service/sales");

    let batch =
        server.admin().get(FEED).header("accept", "application/cloudevents-batch+json").send().await.expect(200);
    assert_eq!(batch.headers["content-type"], "application/cloudevents-batch+json");
    assert_eq!(batch.headers["tidings-cursor"], body["cursor"].as_str().unwrap());
    assert_eq!(batch.headers["tidings-up-to-date"], "true");
    assert_eq!(batch.json(), body["events"]);

    let refused = server.admin().get(FEED).header("accept", "image/png").send().await;
    insta::assert_json_snapshot!(refused.problem(406, "not_acceptable"));
}

#[tokio::test]
async fn a_reader_that_is_pinned_to_a_version_gets_events_in_it() {
    let server = Server::start().await;
    let definition = |version: u32, member: &str, upcast: Value| {
        json!({
            "name": "sales.deal.won", "version": version, "owner": "sales", "description": "A deal was won.",
            "lifecycle": "stable", "upcast": upcast,
            "schema": {"type": "object", "required": [member], "properties": {member: {"type": "number"}}},
            "examples": [{"name": "usual", "data": {member: 7}}],
        })
    };
    let mut first = definition(1, "amount", Value::Null);
    first.as_object_mut().unwrap().remove("upcast");
    let upcast = json!({
        "from": "1", "steps": [{"move": {"from": "/amount", "to": "/total"}}],
        "tests": [{"from": {"amount": 7}, "to": {"total": 7}}],
    });
    for (version, definition) in [("1", first), ("2", definition(2, "total", upcast))] {
        let path = format!("/v1/event-types/sales.deal.won/versions/{version}");
        server.admin().put(&path).json(&definition).send().await.expect(201);
    }
    let mut sent = typed("acme", "sales.deal.won", json!({"amount": 7}));
    sent["version"] = json!("1");
    server.admin().post("/v1/events").json(&sent).send().await.expect(201);

    let pinned = page(&server.admin(), &[("versions", "sales.deal.won@2")]).await.expect(200).json();
    let event = &pinned["events"][0];
    assert_eq!((&event["version"], &event["data"]), (&json!("2"), &json!({"total": 7})));
    assert_eq!(event["metadata"]["converted_from"], "1");
    let plain = page(&server.admin(), &[]).await.expect(200).json();
    assert_eq!((&plain["events"][0]["version"], &plain["events"][0]["data"]), (&json!("1"), &json!({"amount": 7})));
    assert_eq!(plain["events"][0]["metadata"]["converted_from"], Value::Null);
    // The cursor of one goes on with the other: it is the same log.
    let cursor = pinned["cursor"].as_str().unwrap();
    page(&server.admin(), &[("cursor", cursor), ("versions", "sales.deal.won@1,chat.message.sent@3")])
        .await
        .expect(200);
    for wrong in ["sales.deal.won", "sales.*@2", "sales.deal.won@1,sales.deal.won@2"] {
        let refused = page(&server.admin(), &[("versions", wrong)]).await;
        let problem = refused.expect(400).json();
        assert_eq!(problem["errors"][0]["path"], "query/versions", "{wrong}");
    }
}
