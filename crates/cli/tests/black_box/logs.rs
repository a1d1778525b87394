//! What a server logs, and what it never does.

use crate::receiver::Receiver;
use crate::support::{PATIENCE, Server};

const PAYLOAD: &str = "payload-mark-77aa";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// All that our own code says, down to the last word.
const EVERYTHING: &str = "info,tidings=trace,tidings_engine=trace,tidings_server=trace,tidings_store=trace,\
     tidings_core=trace,tidings_event=trace,tidings_bus=trace";

#[tokio::test]
async fn no_payload_and_no_secret_is_logged_at_any_level() {
    let env = [
        ("TIDINGS_LOG", EVERYTHING),
        ("TIDINGS_ALLOW_HTTP", "true"),
        ("TIDINGS_ALLOW_CIDRS", "127.0.0.0/8"),
        ("TIDINGS_OTLP_HEADERS", "x-token=otlp-secret-mark"),
        ("TIDINGS_OTLP_ENDPOINT", "http://127.0.0.1:9"),
    ];
    let mut server = Server::start_with(&[], &env).await;
    // It fails with a body of its own, which is kept with the attempt and not logged.
    let receiver = Receiver::new(|_| (500, "answer-mark-91".to_owned())).await;
    let url = format!("{}?token=url-secret-mark", receiver.url());
    let created = server
        .run(&[
            "endpoints",
            "create",
            "acme",
            &url,
            "--types",
            "sales.*",
            "--header",
            "x-api: header-secret-mark",
            "--json",
        ])
        .await
        .json();
    let good = format!(
        r#"{{"id":"e1","type":"sales.lead.created","tenant":"acme","source":{{"type":"service","id":"sales"}},"data":{{"a":"{PAYLOAD}"}},"metadata":{{"traceparent":"00-{TRACE}-00f067aa0ba902b7-01"}}}}"#
    );
    let json = [("content-type", "application/json"), ("x-request-id", "req-77")];
    assert_eq!(crate::measures::post(&server, "/v1/events", &json, &good).await, 201);
    // The same id with other content, broken JSON, an event that breaks rules.
    let other = good.replace(PAYLOAD, &format!("{PAYLOAD}-other"));
    assert_eq!(crate::measures::post(&server, "/v1/events", &json, &other).await, 409);
    assert_eq!(crate::measures::post(&server, "/v1/events", &json, &good[..good.len() - 9]).await, 400);
    assert_eq!(
        crate::measures::post(&server, "/v1/events", &json, &good.replace("sales.lead.created", "x")).await,
        422
    );
    server.wait_for("acme", 1).await;
    // The first attempt is stored once it has failed.
    let endpoint = created["id"].as_str().unwrap();
    let attempted =
        async { while server.run(&["endpoints", "attempts", "acme", endpoint, "--json"]).await.lines().is_empty() {} };
    tokio::time::timeout(PATIENCE, attempted).await.unwrap();
    let key = server.key();
    server.stop().await;
    let log = server.process.output().last(2_000);
    assert!(log.contains("tidings_server::access") && log.contains("req-77"), "requests are logged:\n{log}");
    assert!(log.contains(TRACE), "a request that says its trace is logged with it");
    let secret = created["secret"].as_str().unwrap();
    let marks =
        [PAYLOAD, "answer-mark-91", "url-secret-mark", "header-secret-mark", "otlp-secret-mark", secret, key.as_str()];
    for mark in marks {
        let line = log.lines().find(|line| line.contains(mark));
        assert_eq!(line, None, "{mark} is in the log");
    }
}
