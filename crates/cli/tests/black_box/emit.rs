//! `tidings emit`: one event, many events, and doing it again.

use tidings_testkit::{Process, free_port};

use crate::support::{ONE, PATIENCE, Server, event, events, run, tidings};

#[tokio::test]
async fn one_event_is_written_and_its_data_keeps_its_bytes() {
    let server = Server::start().await;
    let args = [&ONE[..], &["--id", "mine", "--entity", "lead/42"]].concat();
    assert_eq!(server.run(&args).await.ok(), "mine  acme #1\n");
    assert_eq!(server.run(&args).await.ok(), "mine  acme #1 (was there already)\n");
    let shown = server.run(&["events", "get", "acme", "mine", "--json"]).await.ok();
    assert!(shown.contains("\"data\":{\"n\": 1.50}"), "{shown}");
}

#[tokio::test]
async fn many_tenants_keep_the_order_of_their_lines() {
    let server = Server::start().await;
    let lines: String = (0..2_000).map(|number| event(["a", "b", "c", "d", "e"][number % 5], number) + "\n").collect();
    let summary = server.feed(&["emit", "-", "--json", "--batch", "50"], &lines).await.json();
    assert_eq!(summary["written"], 2_000);
    for tenant in ["a", "b", "c", "d", "e"] {
        let numbers: Vec<u64> =
            server.events(tenant).await.iter().map(|event| event["data"]["n"].as_u64().unwrap()).collect();
        assert_eq!(numbers.len(), 400);
        assert!(numbers.is_sorted(), "{tenant}: {numbers:?}");
    }
}

#[tokio::test]
async fn running_it_again_writes_only_what_is_missing() {
    let server = Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("events.ndjson");
    let all = events("acme", 700);
    // What a run that was cut off would have written: everything up to some line.
    let half = all.lines().take(300).map(|line| format!("{line}\n")).collect::<String>();
    std::fs::write(&file, half).unwrap();
    let path = file.to_str().unwrap();
    assert_eq!(server.run(&["emit", path, "--json"]).await.json()["written"], 300);
    std::fs::write(&file, all).unwrap();
    let summary = server.run(&["emit", path, "--json"]).await.json();
    assert_eq!((summary["written"].as_u64(), summary["duplicates"].as_u64()), (Some(400), Some(300)));
    assert_eq!(server.events("acme").await.len(), 700);
}

#[tokio::test]
async fn a_killed_run_is_completed_by_the_same_command() {
    let server = Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("events.ndjson");
    std::fs::write(&file, events("acme", 3_000)).unwrap();
    let path = file.to_str().unwrap().to_owned();
    let mut killed = Process::spawn(server.command(&["emit", &path, "--batch", "5"]));
    server.wait_for("acme", 20).await;
    killed.kill9();
    server.run(&["emit", &path]).await.ok();
    let numbers: Vec<u64> =
        server.events("acme").await.iter().map(|event| event["data"]["n"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..3_000).collect::<Vec<u64>>());
}

#[tokio::test]
async fn refused_lines_are_named_and_the_rest_goes_on_if_asked() {
    let server = Server::start().await;
    let mut lines: Vec<String> = (0..40).map(|number| event("acme", number)).collect();
    lines[6] = lines[6].replace("sales.lead.created", "Sales");
    lines[20] = "not json".to_owned();
    lines[39] = lines[39].replace("\"data\":{\"n\":39}", "\"data\":[]");
    let input = lines.join("\n");
    let ran = server.feed(&["emit", "-", "--keep-going"], &input).await;
    assert_eq!(ran.code, Some(5), "{ran:?}");
    for number in ["line 7:", "line 21:", "line 40:"] {
        assert!(ran.stderr.contains(number), "{}", ran.stderr);
    }
    assert!(ran.stderr.contains("37 written"), "{}", ran.stderr);
    assert_eq!(server.events("acme").await.len(), 37);
}

#[tokio::test]
async fn nothing_behind_a_refused_line_is_sent_unless_asked() {
    let server = Server::start().await;
    let mut lines: Vec<String> = (0..40).map(|number| event("acme", number)).collect();
    lines[6] = lines[6].replace("sales.lead.created", "Sales");
    let ran = server.feed(&["emit", "-"], &lines.join("\n")).await;
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(ran.stderr.contains("line 7:"), "{}", ran.stderr);
    assert_eq!(server.events("acme").await.len(), 6);
}

#[tokio::test]
async fn a_server_that_is_away_for_a_moment_is_waited_for() {
    let port = format!("127.0.0.1:{}", free_port());
    let key = "an-admin-key-of-forty-characters-or-more";
    let mut command = tidings(&ONE);
    command.env("TIDINGS_URL", format!("http://{port}")).env("TIDINGS_KEY", key);
    let waiting = tokio::spawn(run(command, ""));
    let _server = Server::start_with(&["--listen", &port], &[("TIDINGS_ADMIN_KEY", key)]).await;
    assert!(waiting.await.unwrap().ok().ends_with("acme #1\n"));
}

#[tokio::test]
async fn exit_codes_tell_what_failed() {
    let server = Server::start().await;
    let with = |url: &str, key: Option<&str>, more: &[&str]| {
        let mut command = tidings(&[&ONE[..], more].concat());
        command.env("TIDINGS_URL", url).envs(key.map(|key| ("TIDINGS_KEY", key))).current_dir(server.data());
        run(command, "")
    };
    let nowhere = format!("http://127.0.0.1:{}", free_port());
    let unreachable = with(&nowhere, Some("k"), &["--retry-for", "0"]).await;
    assert_eq!(unreachable.code, Some(3), "{unreachable:?}");
    let refused = with(&server.url, Some("wrong"), &[]).await;
    assert_eq!(refused.code, Some(4), "{refused:?}");
    assert!(refused.stderr.contains("unauthenticated"), "{}", refused.stderr);
    assert_eq!(with(&server.url, Some("k"), &["--nonsense"]).await.code, Some(2));
    let invalid = server.run(&[&ONE[..7], &["--data", "[]"]].concat()).await;
    assert_eq!(invalid.code, Some(4), "{invalid:?}");
    assert!(invalid.stderr.contains("at /data"), "{}", invalid.stderr);
    let for_machines = server.run(&[&ONE[..7], &["--data", "[]", "--json"]].concat()).await;
    let error: serde_json::Value = serde_json::from_str(&for_machines.stderr).unwrap();
    assert_eq!(error["error"]["problem"]["errors"][0]["path"], "/data", "{error}");
}

#[tokio::test]
async fn without_a_key_the_local_one_is_pointed_at() {
    let server = Server::start().await;
    let mut command = tidings(&ONE);
    command.env("TIDINGS_URL", &server.url).env("TIDINGS_DATA_DIR", server.data());
    let ran = run(command, "").await;
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains(&format!("export TIDINGS_KEY=$(cat {}", server.data().display())), "{}", ran.stderr);
}

#[tokio::test]
async fn an_interrupted_run_says_how_to_go_on() {
    let server = Server::start().await;
    let mut command = server.command(&["emit", "-"]);
    command.env("TIDINGS_LOG", "info");
    let mut emit = Process::spawn(command);
    let mut input = emit.stdin().unwrap();
    std::io::Write::write_all(&mut input, events("acme", 10).as_bytes()).unwrap();
    server.wait_for("acme", 10).await;
    emit.terminate();
    emit.line(PATIENCE, |line| line.contains("10 written")).await;
    emit.line(PATIENCE, |line| line.contains("the same command goes on")).await;
    assert_eq!(emit.wait(PATIENCE).await.code(), Some(130));
}
