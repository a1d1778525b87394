//! Moving a tenant to another partition.

use serde_json::{Value, json};
use tidings_event::TenantId;
use tidings_server::wire;

use crate::support::{Client, Server, event};

async fn partition_of(server: &Server, tenant: &str) -> u32 {
    server.engine.tenant(&TenantId::parse(tenant).unwrap()).await.unwrap().unwrap().partition.0
}

async fn move_to(admin: &Client, tenant: &str, partition: u32) -> crate::support::Answer {
    admin.post(&format!("/v1/tenants/{tenant}/move")).json(&json!({"partition": partition})).send().await
}

#[tokio::test]
async fn every_outcome_of_a_move_is_told_for_what_it_is() {
    // Nobody routes, so that what a tenant left behind stays ahead of the router.
    let (server, _other) = Server::start_sharded_without_routers().await;
    let admin = server.admin();
    let mut names = (0..).map(|n| format!("t{n}"));
    let (tenant, from) = loop {
        let name = names.next().unwrap();
        server.emit(&event(&name, json!({}))).await;
        let partition = partition_of(&server, &name).await;
        if partition < 2 {
            break (name, partition);
        }
    };
    let to = 1 - from;

    move_to(&admin, "nobody", 0).await.problem(404, "tenant_not_found");
    let stays = move_to(&admin, &tenant, from).await.expect(200);
    let shown = |moved, done, partition| wire::Move {
        tenant: tenant.clone(),
        partition,
        moved,
        done,
        copied: None,
        head: None,
    };
    assert_eq!(stays.read::<wire::Move>(), shown(false, true, from));
    for (moved, again) in [(true, false), (false, true)] {
        let answer = move_to(&admin, &tenant, to).await.expect(200);
        assert_eq!(answer.read::<wire::Move>(), shown(moved, true, to), "again: {again}");
    }
    assert_eq!(partition_of(&server, &tenant).await, to);
    let later = move_to(&admin, &tenant, from).await.expect(200);
    assert_eq!(later.read::<wire::Move>(), shown(false, false, from));

    let told = server.await_event("$system", "tidings.tenant.moved", 1).await;
    assert_eq!(
        told["data"],
        json!({"tenant": tenant, "from": from, "to": to, "by": {"key": "admin", "role": "admin"}})
    );
    let system = partition_of(&server, "$system").await;
    for (tenant, to, says) in
        [(tenant.as_str(), 99, "there is no such partition"), ("$system", 1 - system, "the system's own")]
    {
        let problem = move_to(&admin, tenant, to).await.problem(400, "request_invalid");
        let error = &problem["errors"][0];
        assert_eq!(
            (&error["path"], &error["code"]),
            (&json!("/partition"), &json!("number_out_of_range")),
            "{problem}"
        );
        assert!(error["message"].as_str().unwrap().contains(says), "{problem}");
    }
    let moved = admin.get("/v1/tenants/$system/feed?from=start").query("types", "tidings.tenant.moved").send().await;
    assert_eq!(moved.expect(200).json()["events"].as_array().unwrap().len(), 1, "what moved nothing is not told");

    // Into another database it goes in steps, each of which says how far it has come.
    let answer = loop {
        let answer = move_to(&admin, &tenant, 2).await.expect(200).read::<wire::Move>();
        assert_eq!(answer.copied.is_some(), answer.head.is_some());
        if answer.done {
            break answer;
        }
    };
    assert_eq!(answer, shown(true, true, 2));
    assert_eq!(partition_of(&server, &tenant).await, 2);
    assert_eq!(server.await_event("$system", "tidings.tenant.moved", 2).await["data"]["to"], json!(2));
}

#[tokio::test]
async fn a_move_that_makes_no_sense_is_refused_with_its_places() {
    let server = Server::start().await;
    let cases: [(Value, &str, &str); 6] = [
        (json!({}), "/partition", "member_missing"),
        (json!({"partition": null}), "/partition", "member_missing"),
        (json!({"partition": "3"}), "/partition", "member_wrong_type"),
        (json!({"partition": -1}), "/partition", "number_out_of_range"),
        (json!({"partition": 0, "to": 1}), "/to", "member_unknown"),
        (json!([]), "", "member_wrong_type"),
    ];
    for (body, path, code) in cases {
        let answer = server.admin().post("/v1/tenants/acme/move").json(&body).send().await;
        let problem = answer.problem(400, "request_invalid");
        let error = &problem["errors"][0];
        assert_eq!((&error["path"], &error["code"]), (&json!(path), &json!(code)), "{body}: {problem}");
    }
}
