//! What readers of the feed's streams are promised.

use serde_json::{Value, json};

use crate::support::{SECRET, Server, SseEvent, event, typed};

const FEED: &str = "/v1/tenants/acme/feed";

fn sequence(event: &SseEvent) -> u64 {
    event.json()["sequence"].as_u64().unwrap()
}

#[tokio::test]
async fn a_stream_goes_from_the_past_into_the_present_without_a_seam() {
    let server = Server::start().await;
    for n in 1..=3 {
        server.emit(&event("acme", json!({"n": n}))).await;
    }
    let mut stream = server.admin().get(FEED).stream().await;
    let begin = stream.next().await.unwrap();
    assert_eq!((begin.event.as_str(), begin.json()), ("progress", json!({"up_to_date": false})));
    assert!(!begin.id.is_empty());
    assert_eq!(stream.retry.as_deref(), Some("2000"));
    for n in 1..=3 {
        let event = stream.next().await.unwrap();
        assert_eq!((event.event.as_str(), sequence(&event)), ("event", n));
    }
    let caught_up = stream.next().await.unwrap();
    assert_eq!((caught_up.event.as_str(), caught_up.json()), ("progress", json!({"up_to_date": true})));
    for n in 4..=6 {
        server.emit(&event("acme", json!({"n": n}))).await;
        let event = stream.next().await.unwrap();
        assert_eq!((event.event.as_str(), sequence(&event)), ("event", n), "live, with nothing between");
    }
}

#[tokio::test]
async fn each_event_carries_the_cursor_to_go_on_from() {
    let server = Server::start().await;
    for n in 1..=3 {
        server.emit(&event("acme", json!({"n": n}))).await;
    }
    let mut stream = server.admin().get(FEED).stream().await;
    let first = stream.next_of("event").await;
    drop(stream);
    let page = server.admin().get(FEED).query("cursor", &first.id).send().await.expect(200).json();
    assert_eq!(page["events"][0]["sequence"], 2);
    // An EventSource that connects again repeats the URL of its first request.
    for url in [format!("{FEED}?from=start"), format!("{FEED}?cursor={}", page["cursor"].as_str().unwrap())] {
        let mut again = server.admin().get(&url).header("last-event-id", &first.id).stream().await;
        assert_eq!(sequence(&again.next_of("event").await), 2, "{url}");
    }
    let refused = server.admin().get(FEED).header("accept", "text/event-stream").header("last-event-id", "abc");
    refused.send().await.problem(400, "cursor_invalid");
}

#[tokio::test]
async fn a_progress_cursor_loses_nothing_between_two_connections() {
    let server = Server::start().await;
    server.emit(&event("acme", json!({}))).await;
    let mut stream = server.admin().get(&format!("{FEED}?from=now")).stream().await;
    let begin = stream.next().await.unwrap();
    drop(stream);
    server.emit(&event("acme", json!({}))).await;
    let mut again = server.admin().get(&format!("{FEED}?from=now")).header("last-event-id", &begin.id).stream().await;
    assert_eq!(sequence(&again.next_of("event").await), 2);
}

#[tokio::test]
async fn all_readers_of_a_tenant_see_a_live_event_and_others_do_not() {
    let server = Server::start().await;
    let mut readers = Vec::new();
    for _ in 0..10 {
        let mut reader = server.admin().get(FEED).stream().await;
        reader.next().await.unwrap();
        readers.push(reader);
    }
    let mut other = server.admin().get("/v1/tenants/globex/feed").stream().await;
    server.emit(&event("acme", json!({"n": 1}))).await;
    server.emit(&event("globex", json!({"n": 2}))).await;
    for reader in &mut readers {
        assert_eq!(reader.next_of("event").await.json()["data"], json!({"n": 1}));
    }
    assert_eq!(other.next_of("event").await.json()["data"], json!({"n": 2}), "its first event is its own");
}

#[tokio::test]
async fn a_stream_chooses_by_type_and_tells_its_progress() {
    let server = Server::start().await;
    server.emit(&typed("acme", "hr.person.hired", json!({}))).await;
    let mut stream = server.admin().get(&format!("{FEED}?types=sales.*")).stream().await;
    let begin = stream.next().await.unwrap();
    let caught_up = stream.next().await.unwrap();
    assert_eq!(caught_up.json(), json!({"up_to_date": true}));
    assert_ne!(begin.id, caught_up.id, "the cursor goes past what does not match");
    server.emit(&typed("acme", "sales.lead.created", json!({}))).await;
    assert_eq!(sequence(&stream.next_of("event").await), 2);
}

#[tokio::test]
async fn data_over_several_lines_arrives_as_the_same_document() {
    let server = Server::start().await;
    let body = "{\"type\":\"sales.lead.created\",\"tenant\":\"acme\",\"source\":{\"type\":\"service\",\"id\":\"s\"},\
        \"data\":{\n  \"a\": 1,\r\n  \"b\": \"x\\ny\"\n}}";
    server.admin().post("/v1/events").typed("application/json", body).send().await.expect(201);
    let mut stream = server.admin().get(FEED).stream().await;
    let event = stream.next_of("event").await;
    assert_eq!(event.json()["data"], json!({"a": 1, "b": "x\ny"}));
    assert!(event.data.contains("{\n  \"a\": 1,\n"), "line by line: {}", event.data);
}

#[tokio::test]
async fn a_stream_gives_cloudevents_where_that_is_asked_for() {
    let server = Server::start().await;
    server.emit(&event("acme", json!({"n": 1}))).await;
    let mut stream = server.admin().get(&format!("{FEED}?format=cloudevents")).stream().await;
    let event: Value = stream.next_of("event").await.json();
    assert_eq!((&event["specversion"], &event["tenant"]), (&json!("1.0"), &json!("acme")));
}

#[tokio::test]
async fn at_shutdown_a_stream_ends_with_its_last_cursor() {
    let mut server = Server::start().await;
    server.emit(&event("acme", json!({}))).await;
    let mut stream = server.admin().get(FEED).stream().await;
    let event = stream.next_of("event").await;
    stream.next_of("progress").await;
    server.begin_shutdown();
    let last = stream.next().await.unwrap();
    assert_eq!((last.event.as_str(), &last.id), ("progress", &event.id));
    assert_eq!(stream.next().await, None);
    server.finish().await;
}

#[tokio::test]
async fn a_stream_that_cannot_go_on_says_why_and_where_to_go_on() {
    let (server, store) = Server::start_faulty().await;
    let mut stream = server.admin().get(FEED).stream().await;
    stream.next().await.unwrap();
    stream.next().await.unwrap();
    // The tenant's first event has the reader look the tenant up, which fails.
    store.break_after_append();
    server.emit(&event("acme", json!({}))).await;
    let progress = stream.next().await.unwrap();
    let problem = stream.next().await.unwrap();
    assert_eq!((progress.event.as_str(), problem.event.as_str()), ("progress", "problem"));
    assert_eq!(problem.json()["code"], "storage_unavailable");
    assert!(!problem.data.contains(SECRET));
    assert_eq!(stream.next().await, None);
    store.set_broken(false);
    let mut again = server.admin().get(FEED).header("last-event-id", &progress.id).stream().await;
    assert_eq!(sequence(&again.next_of("event").await), 1);
}
