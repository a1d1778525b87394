//! What administrators are promised: keys, tenants, health.

use serde_json::{Value, json};
use tidings_server::wire;

use crate::support::{Client, Server, event};

async fn all_pages(client: &Client, path: &str, member: &str) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let mut request = client.get(path).query("limit", "2");
        if let Some(cursor) = cursor.as_str() {
            request = request.query("cursor", cursor);
        }
        let body = request.send().await.expect(200).json();
        let data = body["data"].as_array().unwrap();
        assert!(data.len() <= 2);
        found.extend(data.iter().map(|entry| entry[member].as_str().unwrap().to_owned()));
        cursor = body["cursor"].clone();
        if cursor.is_null() {
            return found;
        }
    }
}

#[tokio::test]
async fn a_key_is_shown_once_and_opens_what_it_says() {
    let server = Server::start().await;
    let request = json!({
        "role": "consumer", "tenants": ["acme"], "description": "the dashboard", "expires_at": "2999-01-01T00:00:00Z",
    });
    let answer = server.admin().post("/v1/keys").json(&request).send().await.expect(201);
    let created: wire::CreatedKey = answer.read();
    assert!(created.key.starts_with("tdk_"));
    let path = format!("/v1/keys/{}", created.row.id);
    let read = server.admin().get(&path).send().await.expect(200);
    assert!(!read.text().contains(&created.key));
    let key: wire::Key = read.read();
    assert_eq!((key.role, key.description.as_str()), (wire::Role::Consumer, "the dashboard"));
    assert_eq!(key.expires_at.as_deref(), Some("2999-01-01T00:00:00.000Z"));
    server.holder(&created.key).get("/v1/tenants/acme/feed").send().await.expect(200);
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once_and_stays_in_the_list() {
    let server = Server::start().await;
    let created = server.admin().post("/v1/keys").json(&json!({"role": "auditor"})).send().await.expect(201).json();
    let holder = server.holder(created["key"].as_str().unwrap());
    holder.get("/v1/tenants").send().await.expect(200);
    let path = format!("/v1/keys/{}", created["id"].as_str().unwrap());
    let revoked: wire::Key = server.admin().delete(&path).send().await.expect(200).read();
    assert!(revoked.revoked_at.is_some());
    holder.get("/v1/tenants").send().await.problem(401, "unauthenticated");
    let again: wire::Key = server.admin().delete(&path).send().await.expect(200).read();
    assert_eq!(again.revoked_at, revoked.revoked_at);
    let list: wire::KeyList = server.admin().get("/v1/keys").send().await.expect(200).read();
    assert_eq!(list.data.len(), 1);
}

#[tokio::test]
async fn keys_that_are_not_there_are_not_found() {
    let server = Server::start().await;
    for id in ["nothing", "01JD8Q4M6T1V9S0Z3N7R5K2W4X", "00000000000000000000000000"] {
        server.admin().get(&format!("/v1/keys/{id}")).send().await.problem(404, "key_not_found");
        server.admin().delete(&format!("/v1/keys/{id}")).send().await.problem(404, "key_not_found");
    }
}

#[tokio::test]
async fn a_bad_request_for_a_key_says_all_that_is_wrong() {
    let server = Server::start().await;
    let create =
        async |body: &str| server.admin().post("/v1/keys").typed("application/json", body.to_owned()).send().await;
    let body = r#"{"role":"consumer","tenants":["a/b","c"],"type_prefixes":["Sales"],"expires_at":"soon"}"#;
    insta::assert_json_snapshot!(create(body).await.problem(400, "request_invalid"));
    insta::assert_json_snapshot!(create(r#"{"role":"king"}"#).await.problem(400, "request_invalid"));
    insta::assert_json_snapshot!(create(r#"{"role":"admin","colour":1}"#).await.problem(400, "request_invalid"));
    create("{").await.problem(400, "body_malformed");
    let typed = server.admin().post("/v1/keys").typed("text/plain", "{}").send().await;
    typed.problem(415, "content_type_unsupported");
}

#[tokio::test]
async fn lists_page_by_cursors_that_belong_to_them() {
    let server = Server::start().await;
    for name in ["e", "d", "c", "b", "a"] {
        server.emit(&event(name, json!({}))).await;
        server.admin().post("/v1/keys").json(&json!({"role": "admin"})).send().await.expect(201);
    }
    // That keys were made is told to the tenant of Tidings itself.
    server.await_event("$system", "tidings.key.created", 5).await;
    let tenants = all_pages(&server.admin(), "/v1/tenants", "tenant").await;
    assert_eq!(tenants, ["$system", "a", "b", "c", "d", "e"]);
    let keys = all_pages(&server.admin(), "/v1/keys", "id").await;
    assert!(keys.len() == 5 && keys.is_sorted(), "{keys:?}");
    let auditor = server.role("auditor", &["e", "c", "b", "z"]).await;
    assert_eq!(all_pages(&auditor, "/v1/tenants", "tenant").await, ["b", "c", "e"]);

    let body = server.admin().get("/v1/tenants?limit=1").send().await.expect(200).json();
    let cursor = body["cursor"].as_str().unwrap();
    server.admin().get("/v1/keys").query("cursor", cursor).send().await.problem(400, "cursor_mismatch");
    server.admin().get("/v1/keys").query("cursor", "abc").send().await.problem(400, "cursor_invalid");
    let (_, seal) = cursor.split_once('.').unwrap();
    let forged = server.admin().get("/v1/tenants").query("cursor", &format!("Yg.{seal}")).send().await;
    forged.problem(400, "cursor_mismatch");
}

#[tokio::test]
async fn readiness_names_the_durability_in_force() {
    let server = Server::start().await;
    let answer = server.anyone().get("/readyz").send().await.expect(200);
    let readiness: wire::Readiness = answer.read();
    assert_eq!((readiness.status.as_str(), readiness.backend.as_str()), ("ready", "sqlite"));
    let durability = readiness.durability.unwrap();
    assert!(!durability.settings.is_empty(), "{}", answer.text());
    let alive: wire::Alive = server.anyone().get("/healthz").send().await.expect(200).read();
    assert_eq!(alive.status, "ok");
}

#[tokio::test]
async fn readiness_of_a_server_on_postgresql_names_its_settings() {
    let server = Server::start_on_postgres().await;
    let answer = server.anyone().get("/readyz").send().await.expect(200);
    let readiness: wire::Readiness = answer.read();
    assert_eq!((readiness.status.as_str(), readiness.backend.as_str()), ("ready", "postgresql"));
    let settings = readiness.durability.unwrap().settings;
    assert!(settings.contains_key("synchronous_commit"), "{}", answer.text());
}

#[tokio::test]
async fn metrics_count_requests_by_route_method_and_status() {
    let server = Server::start().await;
    server.emit(&event("acme", json!({}))).await;
    server.anyone().get("/no/such/place").send().await.problem(404, "route_not_found");
    let text = server.anyone().get("/metrics").send().await.expect(200).text();
    for line in [
        r#"tidings_http_requests_total{route="/v1/events",method="POST",status="201"}"#,
        r#"tidings_http_requests_total{route="unmatched",method="GET",status="404"}"#,
        r#"tidings_http_request_seconds_count{route="/v1/events",method="POST"}"#,
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}
