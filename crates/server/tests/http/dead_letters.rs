//! What became of events that were given up.

use serde_json::{Value, json};
use tidings_server::wire;

use crate::support::{Receiver, Server, event, typed, with};

const PATH: &str = "/v1/tenants/acme/dead-letters";

/// A server with an endpoint that gave these events up, and what was given up.
async fn given_up(ids: &[&str]) -> (Server, Receiver, Value, Vec<wire::DeadLetter>) {
    let (server, receiver) = (Server::start().await, Receiver::start().await);
    receiver.answer(500);
    let body = json!({"url": receiver.url(), "retry_schedule_s": [0], "ordering": "strict"});
    let made = server.endpoint("acme", &body).await;
    for (count, id) in ids.iter().enumerate() {
        let event_type = if count % 2 == 0 { "sales.lead.created" } else { "hr.person.hired" };
        server.emit(&with(typed("acme", event_type, json!({})), json!({"id": id}))).await;
        receiver.next().await;
    }
    let mut dead = list(&server, &[]).await;
    let waiting = async {
        while dead.data.len() < ids.len() {
            dead = list(&server, &[]).await;
        }
    };
    tokio::time::timeout(crate::support::PATIENCE, waiting).await.expect("all given up in time");
    (server, receiver, made, dead.data)
}

async fn list(server: &Server, query: &[(&str, &str)]) -> wire::DeadLetterList {
    let request = query.iter().fold(server.admin().get(PATH), |request, (name, value)| request.query(name, value));
    request.send().await.expect(200).read()
}

#[tokio::test]
async fn an_event_that_no_attempt_delivered_is_a_dead_letter_that_says_why() {
    let (server, _receiver, made, dead) = given_up(&["a"]).await;
    let [letter] = dead.as_slice() else { panic!("{dead:?}") };
    assert_eq!(letter.endpoint, made["id"].as_str().unwrap());
    assert_eq!((letter.event_id.as_deref(), letter.event_type.as_deref()), (Some("a"), Some("sales.lead.created")));
    assert_eq!((letter.attempts, letter.last_status, letter.reason.as_str()), (1, Some(500), "exhausted"));
    assert!(letter.id.starts_with("dl_"));
    let one: wire::DeadLetter = server.admin().get(&format!("{PATH}/{}", letter.id)).send().await.expect(200).read();
    assert_eq!(serde_json::to_value(&one).unwrap(), serde_json::to_value(letter).unwrap());
    let told = server.await_event("acme", "tidings.delivery.dead_lettered", 1).await;
    assert_eq!(told["data"]["endpoint"], made["id"]);
    let explain = format!("/v1/tenants/acme/endpoints/{}/explain?event=a", letter.endpoint);
    assert_eq!(server.admin().get(&explain).send().await.expect(200).json()["outcome"], "dead_lettered");
}

#[tokio::test]
async fn dead_letters_are_found_by_what_they_are_and_page_by_cursor() {
    let (server, _receiver, made, dead) = given_up(&["a", "b", "c"]).await;
    let endpoint = made["id"].as_str().unwrap();
    let count = async |query: &[(&str, &str)]| list(&server, query).await.data.len();
    assert_eq!(count(&[("endpoint", endpoint)]).await, 3);
    assert_eq!(count(&[("type", "hr.person.hired")]).await, 1);
    assert_eq!(count(&[("reason", "exhausted")]).await, 3);
    assert_eq!(count(&[("reason", "expired")]).await, 0);
    assert_eq!(count(&[("since", "2020-01-01T00:00:00Z"), ("type", "sales.lead.created")]).await, 2);
    assert_eq!(count(&[("until", "2020-01-01T00:00:00Z")]).await, 0);
    for (name, value) in [("endpoint", "x"), ("type", "X"), ("reason", "tired"), ("since", "soon"), ("limit", "1001")] {
        let problem = server.admin().get(PATH).query(name, value).send().await.problem(400, "request_invalid");
        assert_eq!(problem["errors"][0]["path"], format!("query/{name}"));
    }
    let (mut found, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut query = vec![("limit", "2")];
        query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let page = list(&server, &query).await;
        found.extend(page.data.into_iter().map(|letter| letter.id));
        let Some(next) = page.cursor else { break };
        cursor = Some(next);
    }
    assert_eq!(found, dead.iter().map(|letter| letter.id.clone()).collect::<Vec<_>>());
    let cursor = cursor.unwrap();
    let other = server.admin().get(PATH).query("reason", "exhausted").query("cursor", &cursor).send().await;
    other.problem(400, "cursor_mismatch");
    let globex = server.admin().get("/v1/tenants/globex/dead-letters").query("cursor", &cursor).send().await;
    globex.problem(400, "cursor_mismatch");
}

#[tokio::test]
async fn a_redriven_dead_letter_is_delivered_after_all() {
    let (server, receiver, _made, dead) = given_up(&["a"]).await;
    receiver.answer(200);
    let path = format!("{PATH}/{}", dead[0].id);
    assert!(server.admin().post(&format!("{path}/redrive")).send().await.expect(202).body.is_empty());
    assert_eq!(receiver.next().await.header("webhook-id"), "a");
    server.admin().get(&path).send().await.problem(404, "dead_letter_not_found");
    server.admin().post(&format!("{path}/redrive")).send().await.problem(404, "dead_letter_not_found");
    assert!(list(&server, &[]).await.data.is_empty());
}

#[tokio::test]
async fn a_discarded_dead_letter_is_gone_and_its_event_stays() {
    let (server, _receiver, _made, dead) = given_up(&["a"]).await;
    let path = format!("{PATH}/{}", dead[0].id);
    assert!(server.admin().delete(&path).send().await.expect(204).body.is_empty());
    server.admin().delete(&path).send().await.problem(404, "dead_letter_not_found");
    server.admin().get("/v1/tenants/acme/events/a").send().await.expect(200);
}

#[tokio::test]
async fn many_are_redriven_or_discarded_by_what_they_are() {
    let (server, receiver, _made, _dead) = given_up(&["a", "b", "c"]).await;
    receiver.answer(200);
    let post = async |what: &str, body: Value| server.admin().post(&format!("{PATH}/{what}")).json(&body).send().await;
    let none: wire::Count = post("redrive", json!({"until": "2020-01-01T00:00:00Z"})).await.expect(202).read();
    assert_eq!(none.count, 0);
    let discarded: wire::Count = post("discard", json!({"type": "hr.person.hired"})).await.expect(200).read();
    assert_eq!(discarded.count, 1);
    let redriven: wire::Count = post("redrive", json!({})).await.expect(202).read();
    assert_eq!(redriven.count, 2);
    let mut got =
        [receiver.next().await.header("webhook-id").to_owned(), receiver.next().await.header("webhook-id").to_owned()];
    got.sort();
    assert_eq!(got, ["a", "c"]);
    let again: wire::Count = post("redrive", json!({})).await.expect(202).read();
    assert_eq!(again.count, 0);

    post("discard", json!({"colour": "red", "reason": "tired"})).await.problem(400, "request_invalid");
    let nothing = server.admin().post(&format!("{PATH}/discard")).send().await;
    nothing.problem(400, "body_malformed");
}

#[tokio::test]
async fn a_dead_letter_is_reached_through_its_own_tenant_alone() {
    let (server, _receiver, made, dead) = given_up(&["a"]).await;
    server.emit(&event("globex", json!({}))).await;
    for id in [dead[0].id.as_str(), "dl_1", "x"] {
        let path = format!("/v1/tenants/globex/dead-letters/{id}");
        server.admin().get(&path).send().await.problem(404, "dead_letter_not_found");
        server.admin().post(&format!("{path}/redrive")).send().await.problem(404, "dead_letter_not_found");
        server.admin().delete(&path).send().await.problem(404, "dead_letter_not_found");
    }
    let all = server.admin().post("/v1/tenants/globex/dead-letters/discard").json(&json!({})).send().await;
    assert_eq!(all.expect(200).read::<wire::Count>().count, 0);
    let foreign = json!({"endpoint": made["id"]});
    let answer = server.admin().post("/v1/tenants/globex/dead-letters/redrive").json(&foreign).send().await;
    answer.problem(404, "endpoint_not_found");
    assert_eq!(list(&server, &[]).await.data.len(), 1);
}
