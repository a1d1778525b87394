//! `tidings tail` and `tidings events`: what comes out.

use serde_json::Value;
use tidings_testkit::Process;

use crate::support::{PATIENCE, Server, events};

fn sequences(events: &[Value]) -> Vec<u64> {
    events.iter().map(|event| event["sequence"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn a_cursor_file_goes_on_where_the_last_run_ended() {
    let server = Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("acme.cursor");
    let tail = ["tail", "acme", "--from", "start", "--json", "--limit", "4", "--cursor-file", file.to_str().unwrap()];
    server.feed(&["emit", "-"], &events("acme", 8)).await.ok();
    assert_eq!(sequences(&server.run(&tail).await.lines()), [1, 2, 3, 4]);
    assert_eq!(sequences(&server.run(&tail).await.lines()), [5, 6, 7, 8]);
}

#[tokio::test]
async fn events_appear_as_they_are_written() {
    let server = Server::start().await;
    let mut tail = Process::spawn(server.command(&["tail", "--tenant", "acme", "--from", "start"]));
    for number in 1..=3 {
        server
            .run(&[
                "emit",
                "--tenant",
                "acme",
                "--type",
                "sales.lead.created",
                "--source",
                "service/sales",
                "--entity",
                "lead/42",
                "--data",
                "{}",
            ])
            .await
            .ok();
        let line = tail.line(PATIENCE, move |line| line.contains(&format!("#{number} "))).await;
        assert!(line.contains("sales.lead.created") && line.contains("lead/42"), "{line}");
    }
}

#[tokio::test]
async fn types_and_patterns_choose() {
    let server = Server::start().await;
    server.feed(&["emit", "-"], &events("acme", 10)).await.ok();
    server
        .run(&[
            "emit",
            "--tenant",
            "acme",
            "--type",
            "billing.invoice.paid",
            "--source",
            "service/billing",
            "--data",
            "{\"n\":100}",
        ])
        .await
        .ok();
    let choose = async |args: &[&str]| {
        let args = [&["tail", "acme", "--from", "start", "--no-follow", "--json"][..], args].concat();
        sequences(&server.run(&args).await.lines())
    };
    assert_eq!(choose(&["--types", "billing.*"]).await, [11]);
    let filter = r#"{"filters":[{"field":"$.data.n","operator":"gte","value":8}]}"#;
    assert_eq!(choose(&["--filter", filter]).await, [9, 10, 11]);
    assert_eq!(choose(&["--filter", filter, "--types", "sales.*"]).await, [9, 10]);
    let wrong = server.run(&["tail", "acme", "--filter", "{\"filters\":1}"]).await;
    assert_eq!(wrong.code, Some(4), "{wrong:?}");
    assert!(wrong.stderr.contains("filter_invalid"), "{}", wrong.stderr);
}

#[tokio::test]
async fn search_pages_through_all_in_either_order() {
    let server = Server::start().await;
    server.feed(&["emit", "-"], &events("acme", 1_200)).await.ok();
    let all = server.run(&["events", "search", "acme", "--order", "asc", "--all", "--json"]).await.lines();
    assert_eq!(sequences(&all), (1..=1_200).collect::<Vec<u64>>());
    let newest = server.run(&["events", "search", "acme", "--limit", "3", "--json"]).await.lines();
    assert_eq!(sequences(&newest), [1_200, 1_199, 1_198]);
    let none = server.run(&["events", "search", "acme", "--entity", "lead/none"]).await;
    assert!(none.stderr.contains("no events"), "{none:?}");
}

#[tokio::test]
async fn a_trace_is_a_tree() {
    let server = Server::start().await;
    let emit = async |id: &str, cause: Option<&str>| {
        let mut args = vec![
            "emit",
            "--tenant",
            "acme",
            "--type",
            "sales.lead.created",
            "--source",
            "service/sales",
            "--data",
            "{}",
            "--id",
            id,
        ];
        args.extend(cause.iter().flat_map(|cause| ["--causation-id", cause, "--correlation-id", "one"]));
        server.run(&args).await.ok();
    };
    emit("root", None).await;
    emit("left", Some("root")).await;
    emit("leaf", Some("left")).await;
    emit("right", Some("root")).await;
    let drawn = server.run(&["events", "trace", "acme", "leaf"]).await.ok();
    let shape: Vec<&str> =
        drawn.lines().map(|line| line.split(|c: char| c.is_ascii_digit()).next().unwrap().trim_end()).collect();
    assert_eq!(shape, ["", "  ├─", "▶ │  └─", "  └─"], "{drawn}");
    let missing = server.run(&["events", "get", "acme", "none"]).await;
    assert_eq!(missing.code, Some(4));
    assert!(missing.stderr.contains("event_not_found"), "{}", missing.stderr);
}
