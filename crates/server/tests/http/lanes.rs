//! `GET /v1/lanes`.

use std::time::Duration;

use serde_json::{Value, json};
use tidings_server::wire;

use crate::support::{PATIENCE, Server, event, nobody};

#[tokio::test]
async fn the_lanes_that_are_behind_are_listed_with_the_worst_first() {
    let server = Server::start().await;
    let admin = server.admin();
    let none: wire::LaneList = admin.get("/v1/lanes").send().await.expect(200).read();
    assert!(none.data.is_empty() && none.cursor.is_none());
    let mut endpoints = Vec::new();
    for (tenant, events) in [("acme", 3), ("globex", 30)] {
        let made = server.endpoint(tenant, &json!({"url": nobody(), "types": ["*"]})).await;
        endpoints.push((tenant.to_owned(), made["id"].as_str().unwrap().to_owned()));
        let events: Vec<Value> = (0..events).map(|n| event(tenant, json!({"n": n}))).collect();
        admin.post("/v1/events").json(&json!(events)).send().await.expect(201);
    }
    let both = async {
        loop {
            // They are shown every few seconds, which nothing signals.
            let list: wire::LaneList = admin.get("/v1/lanes").send().await.expect(200).read();
            if list.data.len() == 2 {
                return list.data;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let lanes = tokio::time::timeout(PATIENCE, both).await.expect("both are behind");
    assert!(lanes[0].lag_events >= lanes[1].lag_events, "{lanes:?}");
    let mut named: Vec<_> = lanes.iter().map(|lane| (lane.tenant.clone(), lane.endpoint.clone())).collect();
    named.sort();
    assert_eq!(named, endpoints);
    for lane in &lanes {
        assert!(!lane.is_replay && lane.partition == 0 && lane.lag_events + lane.retries > 0, "{lane:?}");
        assert!(["closed", "open", "throttled"].contains(&lane.circuit.as_str()), "{lane:?}");
    }
    admin.get("/v1/lanes?limit=1").send().await.problem(400, "request_invalid");
    server.anyone().get("/v1/lanes").send().await.expect(401);
    server.role("auditor", &["acme"]).await.get("/v1/lanes").send().await.problem(403, "forbidden");
    server.role("auditor", &[]).await.get("/v1/lanes").send().await.expect(200);
}
