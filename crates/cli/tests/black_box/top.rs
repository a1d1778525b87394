//! `tidings top`, without a terminal.

use serde_json::Value;
use tidings_testkit::Postgres;

use crate::receiver::Receiver;
use crate::support::{Server, events, run, tidings};

#[tokio::test]
async fn one_frame_tells_of_rates_outboxes_partitions_lanes_and_nodes() {
    let env = [("TIDINGS_ALLOW_HTTP", "true"), ("TIDINGS_ALLOW_CIDRS", "127.0.0.0/8")];
    let server = Server::start_with(&[], &env).await;
    let receiver = Receiver::new(|_| (500, String::new())).await;
    server.run(&["endpoints", "create", "acme", &receiver.url(), "--types", "sales.*"]).await.ok();
    server.feed(&["emit", "-"], &events("acme", 50)).await.ok();
    let text = server.run(&["top", "--once"]).await.ok();
    for expected in [
        "Tidings  1 node",
        "sqlite",
        "A second",
        "events in",
        "beyond quotas",
        "to the bus",
        "platform",
        "Partitions (1)",
        "memory",
        "p99",
    ] {
        assert!(text.contains(expected), "{expected}:\n{text}");
    }
    assert!(!text.contains("nobody"), "the partition has an owner:\n{text}");
    let told: Value = server.run(&["top", "--once", "--json"]).await.json();
    assert_eq!((told["headline"]["nodes"].as_u64(), told["complete"].as_bool()), (Some(1), Some(true)));
    assert!(told["nodes"][0]["memory_bytes"].as_f64().unwrap() > 1e6);
}

#[tokio::test]
async fn without_a_key_it_shows_what_metrics_tell_and_says_what_is_missing() {
    let server = Server::start().await;
    let text = run(tidings(&["top", "--once", "--url", &server.url]), "").await.ok();
    assert!(text.contains("events in") && text.contains("takes an admin's key"), "{text}");
}

#[tokio::test]
async fn a_node_that_does_not_answer_is_named_and_none_at_all_is_a_failure() {
    let server = Server::start().await;
    let nobody = "http://127.0.0.1:9";
    let text = server.run(&["top", "--once", "--node", &server.url, "--node", nobody]).await.ok();
    assert!(text.contains("2 nodes") && text.contains("1 not answering") && text.contains("no answer"), "{text}");
    let ran = run(tidings(&["top", "--once", "--url", nobody]), "").await;
    assert_eq!(ran.code, Some(3), "{ran:?}");
}

#[tokio::test]
async fn nodes_that_tell_no_address_of_their_own_are_counted_and_one_that_is_told_is_found() {
    let database = Postgres::shared().database().await;
    let (dir, url) = (tempfile::tempdir().unwrap(), database.url());
    let master = ("TIDINGS_MASTER_KEY", "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=");
    let env = [("TIDINGS_DATABASE_URL", url.as_str()), master];
    let everywhere = ["--listen", "0.0.0.0:0"];
    let first = Server::on(&dir.path().join("1"), &everywhere, &env).await;
    let told = [&everywhere[..], &["--advertise", "http://tidings-1.example:7411/"]].concat();
    let _second = Server::on(&dir.path().join("2"), &told, &env).await;
    // A node knows of another from its own next heartbeat on.
    let nodes = loop {
        let nodes = first.run(&["nodes", "--json"]).await.json();
        if nodes["data"].as_array().unwrap().len() == 2 {
            break nodes;
        }
    };
    let listed = nodes["data"].as_array().unwrap();
    let addresses: Vec<&str> = listed.iter().filter_map(|node| node["address"].as_str()).collect();
    assert_eq!(addresses, ["http://tidings-1.example:7411"], "{nodes:#}");
    let text = first.run(&["top", "--once"]).await.ok();
    assert!(text.contains("1 of 2 nodes") && text.contains("set `advertise` there"), "{text}");
}
