//! `tidings demo`: it works, again, and beside another server.

use std::net::TcpListener;

use serde_json::Value;
use tidings_testkit::Process;

use crate::support::{PATIENCE, run, tidings};

fn demo(seconds: &str, args: &[&str]) -> std::process::Command {
    let mut command = tidings(&[&["demo"][..], args].concat());
    command.env("DEMO_SECONDS", seconds);
    command
}

#[tokio::test]
async fn the_feed_gives_exactly_what_the_shop_committed_also_while_the_usual_port_is_taken() {
    // Taken by us, or by someone else already: either way it is not free.
    let _taken = TcpListener::bind("127.0.0.1:7411");
    let verdict: Value = run(demo("3", &["--json"]), "").await.json();
    assert_eq!(verdict["ok"], true, "{verdict}");
    assert!(verdict["committed"].as_u64().unwrap() > 20, "{verdict}");
    assert!(verdict["rolled_back"].as_u64().unwrap() > 0, "{verdict}");
    for figure in ["missing", "phantoms", "gaps", "repeated", "out_of_order"] {
        assert_eq!(verdict[figure], 0, "{verdict}");
    }
    let webhooks = &verdict["webhooks"];
    assert_eq!(webhooks["delivered"], verdict["committed"], "{verdict}");
    for figure in ["undelivered", "phantoms", "signatures_refused", "out_of_order", "dead_letters", "unsettled"] {
        assert_eq!(webhooks[figure], 0, "{verdict}");
    }
    assert!(webhooks["down_us"].as_u64().unwrap() > 0, "{verdict}");
    assert!(webhooks["attempts"].as_u64() >= webhooks["delivered"].as_u64(), "{verdict}");
}

#[tokio::test]
async fn it_shows_its_figures_and_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let mut command = demo("1", &[]);
        command.env("TMPDIR", temporary.path());
        let shown = run(command, "").await.ok();
        assert!(shown.contains("✓ committed") && shown.contains("✓ out of order"), "{shown}");
        assert!(shown.contains("✓ delivered") && shown.contains("✓ forged"), "{shown}");
        assert!(std::fs::read_dir(temporary.path()).unwrap().next().is_none());
    }
}

#[tokio::test]
async fn a_directory_that_is_not_empty_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("mine"), "").unwrap();
    let ran = run(demo("1", &["--data-dir", dir.path().to_str().unwrap()]), "").await;
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(dir.path().join("mine").exists());
}

#[tokio::test]
async fn an_interrupted_demo_takes_its_processes_and_files_with_it() {
    let temporary = tempfile::tempdir().unwrap();
    let mut command = demo("600", &[]);
    command.env("TMPDIR", temporary.path());
    let mut demo = Process::spawn(command);
    demo.line(PATIENCE, |line| line.contains("on the feed")).await;
    demo.terminate();
    assert_eq!(demo.wait(PATIENCE).await.code(), Some(130));
    assert!(std::fs::read_dir(temporary.path()).unwrap().next().is_none());
}

#[tokio::test]
async fn an_empty_demo_seconds_counts_as_none_and_a_wrong_one_is_named() {
    let ran = run(demo("soon", &[]), "").await;
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("DEMO_SECONDS: 'soon' is not a whole number"), "{}", ran.stderr);
    run(demo("", &["--seconds", "1", "--json"]), "").await.ok();
}
