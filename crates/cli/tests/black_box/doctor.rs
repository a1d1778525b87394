//! `tidings doctor`: what is wrong is said, and the exit code says it too.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;
use tidings_testkit::free_port;

use crate::support::{Ran, Server, run, tidings};

fn found<'a>(report: &'a Value, what: &str) -> Vec<&'a Value> {
    report["checks"].as_array().unwrap().iter().filter(|check| check["check"] == what).collect()
}

fn report(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap()
}

#[tokio::test]
async fn a_healthy_server_passes_from_inside_and_outside() {
    let mut server = Server::start().await;
    let data = server.data().to_str().unwrap().to_owned();
    let local = run(tidings(&["doctor", "--data-dir", &data, "--json"]), "").await.json();
    assert_eq!(found(&local, "server").len(), 2, "the lock, and the answer over HTTP: {local:#}");
    assert_eq!(found(&local, "durability")[0]["status"], "ok", "{local:#}");
    assert!(found(&local, "source platform").iter().all(|check| check["status"] == "ok"), "{local:#}");
    let remote = server.run(&["doctor", "--json"]).await.json();
    assert_eq!(found(&remote, "storage")[0]["status"], "ok", "{remote:#}");
    assert_eq!(found(&local, "master key")[0]["status"], "ok", "{local:#}");
    assert_eq!(found(&local, "webhooks")[0]["found"], "to public addresses only, https only", "{local:#}");
    assert!(found(&local, "router")[0]["found"].as_str().unwrap().contains("as node-"), "{local:#}");
    server.stop().await;
    let stopped = run(tidings(&["doctor", "--data-dir", &data]), "").await.ok();
    assert!(stopped.contains("none runs on this data directory"), "{stopped}");
}

#[tokio::test]
async fn a_weaker_durability_is_a_warning() {
    let server = Server::start_with(&["--sqlite-synchronous", "normal"], &[]).await;
    let remote = server.run(&["doctor", "--json"]).await.json();
    assert_eq!(found(&remote, "durability")[0]["status"], "warning", "{remote:#}");
}

#[tokio::test]
async fn what_opens_the_way_to_private_networks_is_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = tidings(&["doctor", "--json", "--data-dir", dir.path().join("data").to_str().unwrap()]);
    command.env("TIDINGS_ALLOW_CIDRS", "10.1.0.0/16,169.254.0.0/16").env("TIDINGS_ALLOW_HTTP", "true");
    command.env("TIDINGS_EGRESS_PROXY", "http://u:geheim@proxy:3128");
    command.env("TIDINGS_MASTER_KEY", "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=");
    let ran = run(command, "").await;
    assert!(!ran.stdout.contains("geheim"), "{}", ran.stdout);
    let report = report(&ran);
    let webhooks: Vec<&str> = found(&report, "webhooks").iter().map(|check| check["found"].as_str().unwrap()).collect();
    assert_eq!(webhooks.len(), 3, "{report:#}");
    assert!(webhooks[0].contains("metadata service") && webhooks[1].contains("plain http"), "{report:#}");
    assert!(webhooks[2].contains("10.1.0.0/16") && webhooks[2].contains("u:****@proxy"), "{report:#}");
    assert_eq!(found(&report, "master key")[0]["status"], "warning", "{report:#}");
}

#[tokio::test]
async fn what_is_broken_fails_the_check() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let data = dir.path().to_str().unwrap();
    let nowhere = format!("postgres://u:geheim@127.0.0.1:{}/d", free_port());
    let mut command = tidings(&["doctor", "--data-dir", data, "--json", "--database-url", &nowhere]);
    command.env("TIDINGS_SOURCES", format!("shop={}", dir.path().join("none.db").display()));
    let ran = run(command, "").await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let report = report(&ran);
    for what in ["data directory", "database", "source shop"] {
        assert_eq!(found(&report, what)[0]["status"], "failed", "{what}: {report:#}");
    }
    assert!(!ran.stdout.contains("geheim"));
    assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none(), "a check makes nothing");

    let away = run(tidings(&["doctor", "--url", &format!("http://127.0.0.1:{}", free_port())]), "").await;
    assert_eq!(away.code, Some(1), "{away:?}");
}

#[tokio::test]
async fn a_role_that_no_node_has_is_a_warning() {
    let server = Server::start_with(&["--roles", "api"], &[]).await;
    let remote = server.run(&["doctor", "--json"]).await.json();
    let told: Vec<&str> = found(&remote, "nodes").iter().map(|check| check["found"].as_str().unwrap()).collect();
    assert!(told.iter().any(|text| text.contains("role router")), "{remote:#}");
    assert!(told.iter().any(|text| text.contains("role pump")), "{remote:#}");
    let whole = Server::start().await.run(&["doctor", "--json"]).await.json();
    assert_eq!(found(&whole, "nodes")[0]["status"], "ok", "{whole:#}");
}
