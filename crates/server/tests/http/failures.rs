//! What callers get when something is wrong with the request's frame, or with the server.

use http::Method;
use serde_json::json;

use crate::support::{Document, SECRET, Server, event};

#[tokio::test]
async fn an_unknown_path_is_a_problem() {
    let server = Server::start().await;
    for path in ["/", "/v1", "/v1/event", "/v1/tenants/acme/feed/", "/v2/events"] {
        server.admin().get(path).send().await.problem(404, "route_not_found");
    }
    server.admin().get("/v1/tenants//feed").send().await.problem(400, "request_invalid");
    insta::assert_json_snapshot!(server.admin().get("/v1/nothing").send().await.problem(404, "route_not_found"));
}

#[tokio::test]
async fn a_method_that_a_path_does_not_take_is_a_problem_that_names_those_it_takes() {
    let server = Server::start().await;
    let check = async |method: Method, path: &str, allow: &str| {
        let answer = server.admin().request(method, path).send().await;
        assert_eq!(answer.headers["allow"], allow, "{path}");
        answer.problem(405, "method_not_allowed")
    };
    let problem = check(Method::PUT, "/v1/events", "POST").await;
    insta::assert_json_snapshot!(problem);
    check(Method::POST, "/v1/tenants/acme/feed", "GET,HEAD").await;
    check(Method::PATCH, "/v1/keys", "GET,HEAD,POST").await;
    check(Method::GET, "/v1/intents/a", "DELETE").await;
    check(Method::OPTIONS, "/healthz", "GET,HEAD").await;
}

#[tokio::test]
async fn every_operation_refuses_parameters_that_it_does_not_know() {
    let server = Server::start().await;
    for operation in Document::get().operations() {
        if operation.method != Method::GET || operation.roles.is_empty() {
            continue;
        }
        let path = operation.path.replace("{tenant}", "acme").replace("{type}", "lead").replace("{id}", "1");
        let path = path.replace("{replay}", "1").replace("{no}", "1");
        let path = path.replace("{name}", "sales.deal.created").replace("{version}", "1");
        let answer = server.admin().get(&path).query("colour", "red").send().await;
        let problem = answer.problem(400, "request_invalid");
        assert_eq!(problem["errors"][0]["path"], "query/colour", "{}", operation.id);
        assert_eq!(problem["errors"][0]["code"], "parameter_unknown", "{}", operation.id);

        // And knows all that it documents.
        let parameters = operation.json["parameters"].as_array().cloned().unwrap_or_default();
        for parameter in parameters.iter().filter(|parameter| parameter["in"] == "query") {
            let name = parameter["name"].as_str().unwrap();
            let answer = server.admin().get(&path).query(name, "\u{1}").send().await;
            assert!(!answer.text().contains("parameter_unknown"), "{} documents {name}", operation.id);
        }
    }
}

#[tokio::test]
async fn a_request_id_is_echoed_or_made() {
    let server = Server::start().await;
    let answer = server.admin().get("/v1/nothing").header("x-request-id", "req_1").send().await;
    assert_eq!(answer.headers["x-request-id"], "req_1");
    let made = server.admin().get("/healthz").header("x-request-id", "two words").send().await;
    assert_eq!(made.headers["x-request-id"].len(), 26, "a ULID");
}

#[tokio::test]
async fn a_broken_storage_is_a_problem_that_tells_nothing_of_it() {
    let (server, store) = Server::start_faulty().await;
    let consumer = server.role("consumer", &["acme"]).await;
    store.set_broken(true);
    let emit = server.admin().post("/v1/events").json(&event("acme", json!({}))).send().await;
    insta::assert_json_snapshot!(emit.problem(503, "storage_unavailable"));
    for path in [
        "/v1/tenants",
        "/v1/tenants/acme",
        "/v1/tenants/acme/feed",
        "/v1/tenants/acme/events",
        "/v1/tenants/acme/events/a",
        "/v1/tenants/acme/events/a/trace",
        "/v1/tenants/acme/entities/a/b/events",
        "/v1/tenants/acme/endpoints",
        "/v1/tenants/acme/endpoints/ep_01JD8Q4M6T1V9S0Z3N7R5K2W4X",
        "/v1/tenants/acme/endpoints/ep_01JD8Q4M6T1V9S0Z3N7R5K2W4X/stats",
        "/v1/tenants/acme/dead-letters",
        "/v1/tenants/acme/quarantine",
        "/v1/tenants/acme/quarantine/1",
        "/v1/tenants/acme/violations",
        "/v1/event-types/sales.deal.created/history",
        "/v1/catalog/lineage",
        "/v1/keys",
    ] {
        let answer = server.admin().get(path).send().await;
        assert!(!answer.text().contains(SECRET), "{}", answer.text());
        answer.problem(503, "storage_unavailable");
    }
    // A key that is not in the cache cannot be judged.
    consumer.get("/v1/tenants/acme/feed").send().await.problem(503, "storage_unavailable");
    // A look from just before may be told for a second.
    let ready = loop {
        let answer = server.anyone().get("/readyz").send().await;
        if answer.status != 200 {
            break answer.expect(503);
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert_eq!((&ready.json()["status"], &ready.json()["durability"]), (&json!("storage_unavailable"), &json!(null)));
    assert!(!ready.text().contains(SECRET));
    server.anyone().get("/healthz").send().await.expect(200);

    store.set_broken(false);
    server.emit(&event("acme", json!({}))).await;
    consumer.get("/v1/tenants/acme/feed").send().await.expect(200);
}
