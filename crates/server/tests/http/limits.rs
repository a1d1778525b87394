//! What tenants may send, and what they are told about it. The rates here are so low that no test waits for one.

use serde_json::{Value, json};
use tidings_server::wire;

use crate::support::{Answer, Client, Server, event, with};

/// One event a second: what is sent at once in a test is far more than comes back while it runs.
async fn limited(server: &Server, tenant: &str, events_burst: u64) {
    let limits = json!({"events_per_s": 1, "events_burst": events_burst});
    server.admin().put(&format!("/v1/tenants/{tenant}/limits")).json(&limits).send().await.expect(200);
}

fn events(tenant: &str, name: &str, count: usize) -> Vec<Value> {
    (0..count).map(|n| with(event(tenant, json!({"n": n})), json!({"id": format!("{name}-{n}")}))).collect()
}

async fn emit(client: &Client, events: &[Value]) -> Answer {
    client.post("/v1/events").json(&json!(events)).send().await
}

fn refused(answer: Answer) -> u64 {
    let seconds = field(&answer, "retry-after").unwrap_or_default().parse().unwrap_or(0);
    answer.problem(429, "rate_limited");
    assert!(seconds > 0);
    seconds
}

fn field(answer: &Answer, name: &str) -> Option<String> {
    answer.headers.get(name).map(|value| value.to_str().unwrap().to_owned())
}

async fn head(server: &Server, tenant: &str) -> u64 {
    let answer = server.admin().get(&format!("/v1/tenants/{tenant}")).send().await;
    if answer.status == 404 { 0 } else { answer.expect(200).json()["head"].as_u64().unwrap() }
}

#[tokio::test]
async fn beyond_its_quota_a_tenant_is_told_to_wait_and_nothing_is_written() {
    let server = Server::start().await;
    limited(&server, "acme", 600).await;
    let admin = server.admin();
    emit(&admin, &events("acme", "a", 600)).await.expect(201);
    let seconds = refused(emit(&admin, &events("acme", "b", 500)).await);
    assert!((300..=500).contains(&seconds), "{seconds}");
    assert_eq!(head(&server, "acme").await, 600);
    emit(&admin, &events("globex", "c", 600)).await.expect(201);
}

#[tokio::test]
async fn answers_tell_how_a_tenant_with_a_quota_stands_and_nothing_where_there_is_none() {
    let server = Server::start().await;
    limited(&server, "acme", 600).await;
    let admin = server.admin();
    let check = |answer: &Answer| {
        assert_eq!(field(answer, "ratelimit-policy").unwrap(), "\"events\";q=600;w=600;pk=:YWNtZQ==:");
        let limit = field(answer, "ratelimit").unwrap();
        let left: u64 = limit.strip_prefix("\"events\";r=").unwrap().split(';').next().unwrap().parse().unwrap();
        assert!(limit.contains(";t=") && limit.ends_with(";pk=:YWNtZQ==:"), "{limit}");
        left
    };
    let left = check(&emit(&admin, &events("acme", "a", 400)).await.expect(201));
    assert!((200..400).contains(&left), "{left}");
    assert!(check(&emit(&admin, &events("acme", "b", 600)).await) >= left);
    // An answer that is an error for another reason tells it, too: it was charged.
    let mut conflict = events("acme", "a", 1);
    conflict[0]["data"] = json!({"other": true});
    let answer = emit(&admin, &conflict).await;
    check(&answer);
    answer.problem(409, "event_id_conflict");
    let free = emit(&admin, &events("globex", "c", 1)).await.expect(201);
    assert_eq!((field(&free, "ratelimit"), field(&free, "ratelimit-policy")), (None, None));
}

#[tokio::test]
async fn a_request_over_several_tenants_is_charged_to_all_of_them_or_to_none() {
    let server = Server::start().await;
    limited(&server, "acme", 600).await;
    limited(&server, "globex", 20).await;
    let admin = server.admin();
    emit(&admin, &events("globex", "g", 20)).await.expect(201);
    for _ in 0..3 {
        let both = [events("acme", "a", 500), events("globex", "h", 15)].concat();
        refused(emit(&admin, &both).await);
    }
    assert_eq!(head(&server, "acme").await, 0);
    // Nothing of acme's was used up by that.
    emit(&admin, &events("acme", "a", 600)).await.expect(201);
}

#[tokio::test]
async fn events_that_are_in_the_log_already_are_charged_like_others() {
    let server = Server::start().await;
    limited(&server, "acme", 600).await;
    let admin = server.admin();
    let same = events("acme", "a", 400);
    emit(&admin, &same).await.expect(201);
    refused(emit(&admin, &same).await);
}

#[tokio::test]
async fn a_batch_larger_than_may_come_at_once_passes_and_is_paid_for() {
    let server = Server::start().await;
    limited(&server, "acme", 10).await;
    let admin = server.admin();
    emit(&admin, &events("acme", "a", 1_000)).await.expect(201);
    assert!(refused(emit(&admin, &events("acme", "b", 1)).await) > 800);
}

#[tokio::test]
async fn bytes_have_a_quota_of_their_own() {
    let server = Server::start().await;
    let limits = json!({"bytes_per_s": 1, "bytes_burst": 20_000});
    server.admin().put("/v1/tenants/acme/limits").json(&limits).send().await.expect(200);
    let admin = server.admin();
    let large = |id: &str| vec![with(event("acme", json!({"text": "x".repeat(15_000)})), json!({"id": id}))];
    let taken = emit(&admin, &large("a")).await.expect(201);
    assert_eq!(
        field(&taken, "ratelimit-policy").unwrap(),
        "\"bytes\";q=20000;w=20000;qu=\"content-bytes\";pk=:YWNtZQ==:"
    );
    refused(emit(&admin, &large("b")).await);
    emit(&admin, &events("acme", "c", 2)).await.expect(201);
}

#[tokio::test]
async fn intents_have_quotas_of_their_own() {
    let server = Server::start().await;
    limited(&server, "acme", 2).await;
    let admin = server.admin();
    emit(&admin, &events("acme", "a", 100)).await.expect(201);
    refused(emit(&admin, &events("acme", "b", 2)).await);
    let intent = async |id: &str| {
        let intent = json!({"event": with(event("acme", json!({})), json!({"id": id}))});
        admin.post("/v1/intents").json(&intent).send().await
    };
    let made = intent("i-1").await.expect(201);
    assert_eq!(field(&made, "ratelimit-policy").unwrap(), "\"intents\";q=2;w=2;pk=:YWNtZQ==:");
    // Sooner or later one comes before a second has brought it back.
    let mut n = 0;
    let answer = loop {
        n += 1;
        let answer = intent(&format!("j-{n}")).await;
        if answer.status != 201 {
            break answer;
        }
    };
    refused(answer);
}

#[tokio::test]
async fn an_administrator_says_what_a_tenant_may_send_and_its_readers_see_it() {
    let server = Server::start().await;
    let admin = server.admin();
    let (consumer, auditor) = (server.role("consumer", &["acme"]).await, server.role("auditor", &[]).await);
    let path = "/v1/tenants/acme/limits";
    let read: wire::Limits = consumer.get(path).send().await.expect(200).read();
    assert_eq!((read.own, read.changed_by, read.in_force.events_per_s), (wire::TenantLimits::default(), None, 0));

    let body = json!({"events_per_s": 7, "bytes_per_s": null, "bytes_burst": 9});
    let set: wire::Limits = admin.put(path).json(&body).send().await.expect(200).read();
    let own = wire::TenantLimits { events_per_s: Some(7), bytes_burst: Some(9), ..wire::TenantLimits::default() };
    assert_eq!((&set.own, set.changed_by.as_deref()), (&own, Some("admin")));
    let in_force = wire::LimitsInForce { events_per_s: 7, events_burst: 7, bytes_per_s: 0, bytes_burst: 0 };
    assert_eq!(set.in_force, in_force);
    assert_eq!(auditor.get(path).send().await.expect(200).read::<wire::Limits>(), set);
    let told = server.await_event("$system", "tidings.tenant.limits_changed", 1).await;
    assert_eq!((&told["data"]["tenant"], &told["data"]["events_per_s"]), (&json!("acme"), &json!(7)));
    for client in [&consumer, &auditor] {
        client.put(path).json(&json!({})).send().await.problem(403, "forbidden");
        client.delete(path).send().await.problem(403, "forbidden");
    }

    let cleared: wire::Limits = admin.delete(path).send().await.expect(200).read();
    assert_eq!((&cleared.own, cleared.in_force.events_per_s), (&wire::TenantLimits::default(), 0));
    assert_eq!(admin.delete(path).send().await.expect(200).read::<wire::Limits>(), cleared);
}

#[tokio::test]
async fn limits_that_are_what_they_were_change_nothing_and_are_not_told() {
    let server = Server::start().await;
    let admin = server.admin();
    let path = "/v1/tenants/acme/limits";
    for nothing in [admin.delete(path), admin.put(path).json(&json!({}))] {
        let read: wire::Limits = nothing.send().await.expect(200).read();
        assert_eq!((read.own, read.changed_by, read.changed_at), (wire::TenantLimits::default(), None, None));
    }
    let mut changes = 0;
    for body in [json!({"events_per_s": 7}), json!({"events_per_s": 8}), json!({})] {
        let set: wire::Limits = admin.put(path).json(&body).send().await.expect(200).read();
        changes += 1;
        for again in [admin.put(path).json(&body), admin.get(path)] {
            assert_eq!(again.send().await.expect(200).read::<wire::Limits>(), set);
        }
    }
    let feed = admin.get("/v1/tenants/$system/feed?from=start").query("types", "tidings.tenant.limits_changed");
    let told = feed.send().await.expect(200).json();
    assert_eq!(told["events"].as_array().unwrap().len(), changes, "{told}");
}

#[tokio::test]
async fn limits_that_make_no_sense_are_refused_with_their_places() {
    let server = Server::start().await;
    let cases = [
        (json!({"events_per_s": -1}), "/events_per_s"),
        (json!({"events_per_s": 1.5}), "/events_per_s"),
        (json!({"bytes_burst": "many"}), "/bytes_burst"),
        (json!({"events_per_s": 10_000_001}), "/events_per_s"),
        (json!({"per_s": 1}), "/per_s"),
        (json!([]), ""),
    ];
    for (body, path) in cases {
        let answer = server.admin().put("/v1/tenants/acme/limits").json(&body).send().await;
        let problem = answer.problem(400, "request_invalid");
        assert_eq!(problem["errors"][0]["path"], path, "{body}: {problem}");
    }
}

#[tokio::test]
async fn a_change_gives_nobody_anything_at_once_and_holds_at_once() {
    let server = Server::start().await;
    limited(&server, "acme", 10).await;
    let admin = server.admin();
    emit(&admin, &events("acme", "a", 1_000)).await.expect(201);
    limited(&server, "acme", 500).await;
    refused(emit(&admin, &events("acme", "b", 100)).await);
    admin.put("/v1/tenants/acme/limits").json(&json!({"events_per_s": 0})).send().await.expect(200);
    emit(&admin, &events("acme", "b", 100)).await.expect(201);
}
