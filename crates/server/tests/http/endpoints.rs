//! What those who manage endpoints are promised.

use serde_json::{Value, json};
use tidings_server::wire;

use crate::support::{Client, Server, event};

const SETTINGS: &str = r#"{
    "url": "https://example.com/webhooks", "types": ["sales.*", "hr.person.hired"],
    "filter": {"filters": [{"field": "$.data.amount", "operator": "gte", "value": 1500.50}]},
    "format": "cloudevents", "cloudevents_mode": "binary", "ordering": "entity", "rate_limit_per_s": 20,
    "timeout_ms": 5000, "headers": {"X-Api-Key": "the value of a header"}, "retry_schedule_s": [0, 10, 60],
    "versions": ["sales.lead.status_changed@2"], "description": "the warehouse"
}"#;

fn settings() -> Value {
    serde_json::from_str(SETTINGS).unwrap()
}

fn path(tenant: &str, endpoint: &Value) -> String {
    format!("/v1/tenants/{tenant}/endpoints/{}", endpoint["id"].as_str().unwrap())
}

async fn create(client: &Client, body: &Value) -> Value {
    client.post("/v1/tenants/acme/endpoints").json(body).send().await.expect(201).json()
}

#[tokio::test]
async fn an_endpoint_is_made_as_it_was_asked_for_and_read_as_it_was_made() {
    let server = Server::start().await;
    let consumer = server.role("consumer", &["acme"]).await;
    let made = create(&consumer, &settings()).await;
    let mut expected = settings();
    // Names of headers do not tell upper from lower case.
    expected["headers"] = json!({"x-api-key": "the value of a header"});
    for (member, value) in expected.as_object().unwrap() {
        assert_eq!(made[member], *value, "{member}");
    }
    assert_eq!((&made["status"], &made["status_reason"]), (&json!("active"), &json!(null)));
    assert!(made["id"].as_str().unwrap().starts_with("ep_"));
    assert!(made["secret"].as_str().unwrap().starts_with("whsec_"));
    assert_eq!((&made["signature"], &made["public_key"]), (&json!("v1"), &json!(null)));

    let read = consumer.get(&path("acme", &made)).send().await.expect(200).json();
    for (member, value) in read.as_object().unwrap() {
        assert_eq!(made[member], *value, "{member}");
    }
    let list: wire::EndpointList = consumer.get("/v1/tenants/acme/endpoints").send().await.expect(200).read();
    assert_eq!(serde_json::to_value(&list.data).unwrap(), json!([read]));
    assert_eq!(list.cursor, None);
}

#[tokio::test]
async fn an_endpoint_of_nothing_but_a_url_has_the_documented_defaults() {
    let server = Server::start().await;
    let mut made = create(&server.admin(), &json!({"url": "https://example.com/"})).await;
    for member in ["id", "secret", "created_at", "updated_at"] {
        assert!(!made[member].as_str().unwrap().is_empty());
        made[member] = json!("…");
    }
    insta::assert_json_snapshot!(made);
}

#[tokio::test]
async fn a_secret_is_shown_when_it_is_made_and_never_again() {
    let server = Server::start().await;
    let admin = server.admin();
    let own = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";
    let made = create(&admin, &json!({"url": "https://example.com/", "secret": own})).await;
    assert_eq!(made["secret"], own);
    let rotate = admin.post(&format!("{}/rotate", path("acme", &made)));
    let rotated: wire::RotatedSecret = rotate.json(&json!({"signature": "v1a"})).send().await.expect(200).read();
    assert!(rotated.secret.starts_with("whsk_") && rotated.secret != own);
    assert!(rotated.public_key.as_ref().unwrap().starts_with("whpk_"));

    let secrets = admin.get(&format!("{}/secret", path("acme", &made))).send().await.expect(200);
    let listed: wire::SecretList = secrets.read();
    let signatures: Vec<_> = listed.data.iter().map(|secret| (secret.signature, secret.expires_at.is_some())).collect();
    assert_eq!(signatures, [(wire::Signature::V1a, false), (wire::Signature::V1, true)]);
    assert_eq!(listed.data[0].public_key, rotated.public_key);

    let changed = admin.patch(&path("acme", &made)).json(&json!({"timeout_ms": 9_000})).send().await.expect(200);
    let got = admin.get(&path("acme", &made)).send().await.expect(200);
    let all = admin.get("/v1/tenants/acme/endpoints").send().await.expect(200);
    let feed = admin.get("/v1/tenants/$system/feed").send().await.expect(200);
    let own_feed = admin.get("/v1/tenants/acme/feed").send().await.expect(200);
    for answer in [&secrets, &changed, &got, &all, &feed, &own_feed] {
        for secret in [own, &rotated.secret] {
            let body = secret.split_once('_').unwrap().1;
            assert!(!answer.text().contains(body), "{}", answer.text());
        }
        assert!(!answer.text().contains("whsk_") && !answer.text().contains("whsec_"), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_rotation_says_how_long_the_old_secrets_sign() {
    let server = Server::start().await;
    let made = create(&server.admin(), &json!({"url": "https://example.com/", "signature": "v1a"})).await;
    assert!(made["secret"].as_str().unwrap().starts_with("whsk_") && made["signature"] == "v1a");
    let base = path("acme", &made);
    let rotate = async |body: &Value| server.admin().post(&format!("{base}/rotate")).json(body).send().await;
    // With no word about it, the new one signs as the old one did.
    let rotated: wire::RotatedSecret = rotate(&json!({"overlap_s": 0})).await.expect(200).read();
    assert_eq!(rotated.signature, wire::Signature::V1a);
    let secrets: wire::SecretList = server.admin().get(&format!("{base}/secret")).send().await.expect(200).read();
    assert_eq!(secrets.data.len(), 1, "with an overlap of 0 the old one ends at once");
    let problem =
        rotate(&json!({"overlap_s": 604_801, "secret": "whsec_short"})).await.problem(422, "endpoint_invalid");
    let paths: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|error| error["path"].clone()).collect();
    assert!(paths.contains(&json!("/overlap_s")) && paths.contains(&json!("/secret")), "{problem:#}");
    let empty = server.admin().post(&format!("{base}/rotate")).send().await;
    assert_eq!(empty.expect(200).read::<wire::RotatedSecret>().signature, wire::Signature::V1a);
}

#[tokio::test]
async fn all_that_is_wrong_with_an_endpoint_is_said_at_once() {
    let server = Server::start().await;
    let create = async |body: &Value| server.admin().post("/v1/tenants/acme/endpoints").json(body).send().await;
    let wrong = json!({
        "url": "ftp://example.com/", "types": ["sales.*", "Sales"], "filter": {"filters": [{"field": "amount"}]},
        "rate_limit_per_s": 0, "timeout_ms": 1, "headers": {"webhook-id": "1", "x-a": "b\r\nc: d"},
        "retry_schedule_s": [], "description": "x".repeat(256), "secret": "whsec_",
    });
    insta::assert_json_snapshot!(create(&wrong).await.problem(422, "endpoint_invalid"));
    let shape = json!({"types": "sales.*", "ordering": "backwards", "colour": "red", "id": "ep_1"});
    insta::assert_json_snapshot!(create(&shape).await.problem(422, "endpoint_invalid"));
    create(&json!([])).await.problem(422, "endpoint_invalid");
    let admin = server.admin();
    let typed = async |media: &str, body: &'static str| {
        admin.post("/v1/tenants/acme/endpoints").typed(media, body).send().await
    };
    typed("application/json", "{").await.problem(400, "body_malformed");
    typed("application/json", "").await.problem(400, "body_malformed");
    typed("application/json", r#"{"url":"https://a.example","url":"https://b.example"}"#)
        .await
        .problem(400, "body_malformed");
    typed("text/plain", "{}").await.problem(415, "content_type_unsupported");
    let long = format!(r#"{{"url":"{}"}}"#, "x".repeat(70_000));
    let answer = admin.post("/v1/tenants/acme/endpoints").typed("application/json", long).send().await;
    answer.problem(413, "body_too_large");
    let none: wire::EndpointList = admin.get("/v1/tenants/acme/endpoints").send().await.expect(200).read();
    assert!(none.data.is_empty());
}

#[tokio::test]
async fn a_url_that_may_not_be_requested_is_refused() {
    let server = Server::start().await;
    let check = async |url: &str, code: &str| {
        let answer = server.admin().post("/v1/tenants/acme/endpoints").json(&json!({"url": url})).send().await;
        let problem = answer.problem(422, "endpoint_invalid");
        assert_eq!(
            (&problem["errors"][0]["path"], &problem["errors"][0]["code"]),
            (&json!("/url"), &json!(code)),
            "{url}"
        );
    };
    check("", "url_malformed").await;
    check("/webhooks", "url_malformed").await;
    check("https://user:password@example.com/", "url_malformed").await;
    check("https://example.com/#here", "url_malformed").await;
    for url in [
        "file:///etc/passwd",
        "gopher://example.com/",
        "http://10.0.0.1/",
        "https://169.254.169.254/",
        "https://[::1]/",
    ] {
        check(url, "url_forbidden").await;
    }
    let long = format!("https://example.com/{}", "x".repeat(2_048));
    check(&long, "too_long").await;
}

#[tokio::test]
async fn a_change_changes_what_it_names_and_null_gives_the_default_back() {
    let server = Server::start().await;
    let made = create(&server.admin(), &settings()).await;
    let change = async |body: Value| server.admin().patch(&path("acme", &made)).json(&body).send().await;
    let changed = change(json!({"timeout_ms": 7_000, "description": "moved"})).await.expect(200).json();
    assert_eq!((&changed["timeout_ms"], &changed["description"]), (&json!(7_000), &json!("moved")));
    for member in ["url", "types", "filter", "format", "ordering", "rate_limit_per_s", "headers", "retry_schedule_s"] {
        assert_eq!(changed[member], made[member], "{member}");
    }
    let reset = json!({
        "types": null, "filter": null, "format": null, "cloudevents_mode": null, "ordering": null,
        "rate_limit_per_s": null, "timeout_ms": null, "headers": null, "retry_schedule_s": null, "description": null,
    });
    let plain = create(&server.admin(), &json!({"url": "https://example.com/"})).await;
    let after = change(reset.clone()).await.expect(200).json();
    for member in reset.as_object().unwrap().keys() {
        assert_eq!(after[member], plain[member], "{member}");
    }
    let nothing = change(json!({})).await.expect(200).json();
    assert_eq!(nothing, after);
    change(json!({"url": null})).await.problem(422, "endpoint_invalid");
    change(json!({"status": "disabled"})).await.problem(422, "endpoint_invalid");
    change(json!({"secret": "whsec_…"})).await.problem(422, "endpoint_invalid");
    change(json!({"timeout_ms": 1})).await.problem(422, "endpoint_invalid");
    let now = server.admin().get(&path("acme", &made)).send().await.expect(200).json();
    assert_eq!(now, after);
}

#[tokio::test]
async fn a_new_selection_holds_for_events_after_the_change() {
    let server = Server::start().await;
    let made = server.endpoint("acme", &json!({"url": "https://example.com/", "paused": true})).await;
    assert_eq!(made["since"], 0);
    let sequence = server.emit(&event("acme", json!({}))).await;
    let change = json!({"types": ["hr.*"]});
    let changed = server.admin().patch(&path("acme", &made)).json(&change).send().await.expect(200).json();
    assert_eq!(changed["since"], sequence);
}

#[tokio::test]
async fn an_endpoint_is_paused_and_goes_on() {
    let server = Server::start().await;
    let made = server.endpoint("acme", &json!({"url": "https://example.com/", "paused": true})).await;
    assert_eq!(made["status"], "paused");
    for status in ["active", "paused", "paused", "active"] {
        let change = json!({"status": status});
        let now = server.admin().patch(&path("acme", &made)).json(&change).send().await.expect(200).json();
        assert_eq!(now["status"], status);
    }
}

#[tokio::test]
async fn a_deleted_endpoint_is_gone() {
    let server = Server::start().await;
    let made = server.endpoint("acme", &json!({"url": "https://example.com/"})).await;
    let path = path("acme", &made);
    assert!(server.admin().delete(&path).send().await.expect(204).body.is_empty());
    server.admin().delete(&path).send().await.problem(404, "endpoint_not_found");
    server.admin().get(&path).send().await.problem(404, "endpoint_not_found");
    server.admin().patch(&path).json(&json!({})).send().await.problem(404, "endpoint_not_found");
    let list: wire::EndpointList = server.admin().get("/v1/tenants/acme/endpoints").send().await.expect(200).read();
    assert!(list.data.is_empty());
}

#[tokio::test]
async fn an_endpoint_is_reached_through_its_own_tenant_alone() {
    let server = Server::start().await;
    let foreign =
        server.endpoint("globex", &json!({"url": "https://example.com/", "description": "globex only"})).await;
    let consumer = server.role("consumer", &["acme"]).await;
    for (client, ids) in [
        (server.admin(), [foreign["id"].as_str().unwrap(), "ep_1"]),
        (consumer, [foreign["id"].as_str().unwrap(), "x"]),
    ] {
        for id in ids {
            let base = format!("/v1/tenants/acme/endpoints/{id}");
            for part in ["", "/secret", "/stats", "/attempts", "/replay", "/replay/rp_1"] {
                client.get(&format!("{base}{part}")).send().await.problem(404, "endpoint_not_found");
            }
            client.get(&format!("{base}/explain")).query("event", "a").send().await.problem(404, "endpoint_not_found");
            client.patch(&base).json(&json!({"timeout_ms": 1_000})).send().await.problem(404, "endpoint_not_found");
            client.post(&format!("{base}/rotate")).send().await.problem(404, "endpoint_not_found");
            client.post(&format!("{base}/verify")).send().await.problem(404, "endpoint_not_found");
            client.post(&format!("{base}/test")).send().await.problem(404, "endpoint_not_found");
            let replay = json!({"from": "start"});
            client.post(&format!("{base}/replay")).json(&replay).send().await.problem(404, "endpoint_not_found");
            client.delete(&format!("{base}/replay/rp_1")).send().await.problem(404, "endpoint_not_found");
            client.delete(&base).send().await.problem(404, "endpoint_not_found");
        }
    }
    let untouched = server.admin().get(&path("globex", &foreign)).send().await.expect(200).json();
    assert_eq!(untouched["timeout_ms"], 15_000);
}

#[tokio::test]
async fn an_auditor_sees_which_headers_are_sent_and_not_their_values() {
    let server = Server::start().await;
    let made = create(&server.admin(), &settings()).await;
    let auditor = server.role("auditor", &["acme"]).await;
    for path in [path("acme", &made), "/v1/tenants/acme/endpoints".to_owned()] {
        let seen = auditor.get(&path).send().await.expect(200);
        assert!(!seen.text().contains("the value of a header"), "{}", seen.text());
        assert!(seen.text().contains(r#""x-api-key":"***""#), "{}", seen.text());
    }
}

#[tokio::test]
async fn endpoints_page_by_cursors_that_belong_to_their_tenant() {
    let server = Server::start().await;
    let mut made = Vec::new();
    for n in 0..5 {
        let body = json!({"url": format!("https://example.com/{n}")});
        made.push(server.endpoint("acme", &body).await["id"].as_str().unwrap().to_owned());
        server.endpoint("globex", &body).await;
    }
    let (mut found, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut request = server.admin().get("/v1/tenants/acme/endpoints").query("limit", "2");
        if let Some(cursor) = &cursor {
            request = request.query("cursor", cursor);
        }
        let page: wire::EndpointList = request.send().await.expect(200).read();
        assert!(page.data.len() <= 2);
        found.extend(page.data.into_iter().map(|endpoint| endpoint.id));
        match page.cursor {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    assert_eq!(found, made);
    let cursor = cursor.unwrap();
    let elsewhere = server.admin().get("/v1/tenants/globex/endpoints").query("cursor", &cursor).send().await;
    elsewhere.problem(400, "cursor_mismatch");
    let other = server.admin().get("/v1/tenants/acme/dead-letters").query("cursor", &cursor).send().await;
    other.problem(400, "cursor_mismatch");
    let forged = server.admin().get("/v1/tenants/acme/endpoints").query("cursor", "abc").send().await;
    forged.problem(400, "cursor_invalid");
}

#[tokio::test]
async fn changes_are_told_with_who_made_them() {
    let server = Server::start().await;
    let consumer = server.role("consumer", &["acme"]).await;
    let made = create(&consumer, &json!({"url": "https://example.com/"})).await;
    consumer.delete(&path("acme", &made)).send().await.expect(204);
    for event_type in ["tidings.endpoint.created", "tidings.endpoint.deleted"] {
        let event = server.await_event("$system", event_type, 1).await;
        assert_eq!((&event["data"]["endpoint"], &event["data"]["tenant"]), (&made["id"], &json!("acme")));
        assert_eq!(event["data"]["by"]["role"], "consumer", "{event:#}");
    }
    // Who may change keys is told, too.
    server.await_event("$system", "tidings.key.created", 1).await;
}

#[tokio::test]
async fn a_refusal_is_told_to_the_operator() {
    let server = Server::start().await;
    let auditor = server.role("auditor", &["acme"]).await;
    let body = json!({"url": "https://example.com/"});
    auditor.post("/v1/tenants/acme/endpoints").json(&body).send().await.problem(403, "forbidden");
    let event = server.await_event("$system", "tidings.access.denied", 1).await;
    assert_eq!(event["data"]["by"]["role"], "auditor", "{event:#}");
}
