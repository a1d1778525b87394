//! `tidings endpoints` and `tidings dead-letters`, against a server that delivers.

use serde_json::Value;

use crate::receiver::{Receiver, Seen};
use crate::support::{PATIENCE, Server, events};

/// A server that may deliver to this machine.
async fn server() -> Server {
    Server::start_with(&[], &[("TIDINGS_ALLOW_HTTP", "true"), ("TIDINGS_ALLOW_CIDRS", "127.0.0.1/32")]).await
}

async fn create(server: &Server, url: &str, more: &[&str]) -> (String, String) {
    let made = server.run(&[&["endpoints", "create", "acme", url, "--json"], more].concat()).await.json();
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    (text("id"), text("secret"))
}

/// Asks until the answer is as wanted.
async fn until(server: &Server, args: &[&str], wanted: impl Fn(&Value) -> bool) -> Value {
    let asked = async {
        loop {
            let answer = server.run(args).await.json();
            if wanted(&answer) {
                return answer;
            }
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| panic!("{args:?} never came to it"))
}

#[tokio::test]
async fn an_endpoint_lives_from_its_making_to_its_end() {
    let server = server().await;
    let receiver = Receiver::new(|_| (200, String::new())).await;
    let filter = "{\"filters\":[{\"field\":\"$.data.n\",\"operator\":\"gte\",\"value\":1.50}]}";
    let shown = server
        .run(&["endpoints", "create", "acme", &receiver.url(), "--types", "sales.*", "--filter", filter])
        .await
        .ok();
    assert!(shown.contains("ep_") && shown.contains("whsec_") && shown.contains("active"), "{shown}");
    let listed = server.run(&["endpoints", "list", "acme", "--json"]).await.json();
    let id = listed["data"][0]["id"].as_str().unwrap().to_owned();
    let table = server.run(&["endpoints", "list", "acme"]).await.ok();
    assert!(table.starts_with(" ENDPOINT") && table.contains(&id) && !table.contains("whsec_"), "{table}");

    let got = server.run(&["endpoints", "get", "acme", &id, "--json"]).await.ok();
    assert!(got.contains("1.50"), "the filter comes back as it was written: {got}");
    let card = server.run(&["endpoints", "get", "acme", &id]).await.ok();
    assert!(card.contains("5 min") && card.contains("sales.*"), "{card}");

    server.run(&["endpoints", "update", "acme", &id, "--no-filter", "--ordering", "strict"]).await.ok();
    assert!(server.run(&["endpoints", "pause", "acme", &id]).await.ok().contains("paused"));
    let got = server.run(&["endpoints", "get", "acme", &id, "--json"]).await.json();
    assert_eq!((&got["filter"], &got["ordering"], &got["status"]), (&Value::Null, &"strict".into(), &"paused".into()));
    assert!(server.run(&["endpoints", "resume", "acme", &id]).await.ok().contains("active"));

    server.run(&["endpoints", "delete", "acme", &id]).await.ok();
    let gone = server.run(&["endpoints", "get", "acme", &id]).await;
    assert_eq!(gone.code, Some(4), "{gone:?}");
    assert!(gone.stderr.contains("endpoint_not_found"), "{}", gone.stderr);
}

#[tokio::test]
async fn what_is_wrong_with_an_endpoint_is_said() {
    let server = server().await;
    let ran = server
        .run(&[
            "endpoints",
            "create",
            "acme",
            "https://u:geheim@a.example/",
            "--header",
            "webhook-id: 7",
            "--retry-schedule",
            "0,9999999",
        ])
        .await;
    assert_eq!(ran.code, Some(4), "{ran:?}");
    for expected in ["endpoint_invalid", "at /url", "/headers/webhook-id", "at /retry_schedule_s"] {
        assert!(ran.stderr.contains(expected), "{expected}: {}", ran.stderr);
    }
    let ran = server.run(&["endpoints", "create", "acme", "http://10.0.0.1/"]).await;
    assert!(ran.stderr.contains("url_forbidden") && ran.stderr.contains("TIDINGS_ALLOW_CIDRS"), "{}", ran.stderr);
    let ran = server.run(&["endpoints", "create", "acme", "https://a.example/", "--filter", "{"]).await;
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("--filter is not JSON"), "{}", ran.stderr);
    let ran = server.run(&["endpoints", "update", "acme", "ep_01JD8Q4M6T1V9S0Z3N7R5K2W4X"]).await;
    assert_eq!(ran.code, Some(2), "{ran:?}");
}

#[tokio::test]
async fn deliveries_are_made_shown_and_explained() {
    let server = server().await;
    let receiver = Receiver::new(|_| (200, "thank you".to_owned())).await;
    let (id, secret) = create(&server, &receiver.url(), &["--types", "sales.*"]).await;
    server.feed(&["emit", "-"], &events("acme", 3)).await.ok();
    let attempts = ["endpoints", "attempts", "acme", &id, "--json"];
    until(&server, &attempts, |found| found["data"].as_array().unwrap().len() == 3).await;
    assert!(receiver.came().iter().all(|came| came.verify(&secret)));

    let table = server.run(&["endpoints", "attempts", "acme", &id, "--status", "succeeded"]).await.ok();
    assert!(table.contains("thank you") && table.contains("#3"), "{table}");
    let stats = server.run(&["endpoints", "stats", "acme", &id]).await.ok();
    assert!(stats.contains("100.0 %") && stats.contains("closed"), "{stats}");
    let event = server.events("acme").await[0]["id"].as_str().unwrap().to_owned();
    let told = server.run(&["endpoints", "explain", "acme", &id, &event]).await.ok();
    assert!(told.starts_with("delivered"), "{told}");

    let shown = server.run(&["endpoints", "test", "acme", &id, "--type", "sales.lead.created"]).await.ok();
    assert!(shown.contains("→ the request") && shown.contains("webhook-signature:") && shown.contains("✓"), "{shown}");
    assert!(receiver.came().last().unwrap().verify(&secret));

    let rotated = server.run(&["endpoints", "rotate", "acme", &id, "--json"]).await.json();
    server.run(&["endpoints", "test", "acme", &id]).await.ok();
    let newest = receiver.came().pop().unwrap();
    assert!(newest.verify(&secret) && newest.verify(rotated["secret"].as_str().unwrap()), "both sign meanwhile");
    assert_eq!(
        server.run(&["endpoints", "secret", "acme", &id, "--json"]).await.json()["data"].as_array().unwrap().len(),
        2
    );
}

#[tokio::test]
async fn a_test_that_fails_is_shown_and_ends_with_1() {
    let server = server().await;
    let receiver = Receiver::new(|_| (503, "not today".to_owned())).await;
    let (id, _) = create(&server, &receiver.url(), &[]).await;
    let ran = server.run(&["endpoints", "test", "acme", &id]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.contains("← 503") && ran.stdout.contains("not today"), "{}", ran.stdout);
}

#[tokio::test]
async fn a_challenge_makes_an_endpoint_active() {
    let server = server().await;
    let receiver = Receiver::new(|came| (200, came.json()["challenge"].as_str().unwrap_or_default().to_owned())).await;
    let (id, _) = create(&server, &receiver.url(), &["--challenge"]).await;
    let table = server.run(&["endpoints", "list", "acme"]).await.ok();
    assert!(table.contains("disabled (unverified)"), "{table}");
    assert!(server.run(&["endpoints", "verify", "acme", &id]).await.ok().contains("has answered the challenge"));
    assert_eq!(server.run(&["endpoints", "get", "acme", &id, "--json"]).await.json()["status"], "active");
}

#[tokio::test]
async fn dead_letters_are_listed_redriven_and_discarded() {
    let server = server().await;
    // Takes nothing the first time.
    let seen = Seen::default();
    let receiver = Receiver::new(move |came| {
        (if seen.note(came.header("webhook-id")) == "new" { 400 } else { 200 }, String::new())
    })
    .await;
    let (id, _) = create(&server, &receiver.url(), &["--retry-schedule", "0"]).await;
    server.feed(&["emit", "-"], &events("acme", 3)).await.ok();
    let list = ["dead-letters", "list", "acme", "--endpoint", &id, "--json"];
    let found = until(&server, &list, |found| found["data"].as_array().unwrap().len() == 3).await;
    let dead = |at: usize| found["data"][at]["id"].as_str().unwrap().to_owned();
    let table = server.run(&["dead-letters", "list", "acme", "--reason", "exhausted"]).await.ok();
    assert!(table.contains(&dead(0)) && table.contains("400"), "{table}");
    assert_eq!(server.run(&["dead-letters", "get", "acme", &dead(0)]).await.json()["sequence"], 1);

    server.run(&["dead-letters", "discard", "acme", &dead(0)]).await.ok();
    server.run(&["dead-letters", "redrive", "acme", &dead(1)]).await.ok();
    let left = server.run(&["dead-letters", "redrive", "acme", "--all", "--endpoint", &id]).await.ok();
    assert_eq!(left.trim(), "1 dead letters are due again");
    let attempts = ["endpoints", "attempts", "acme", &id, "--status", "succeeded", "--json"];
    let taken = until(&server, &attempts, |found| found["data"].as_array().unwrap().len() == 2).await;
    assert_eq!(taken["data"][0]["attempt"], taken["data"][1]["attempt"]);
    assert_eq!(server.run(&list).await.json()["data"].as_array().unwrap().len(), 0);

    let neither = server.run(&["dead-letters", "redrive", "acme"]).await;
    assert_eq!(neither.code, Some(2), "one or --all: {neither:?}");
}

#[tokio::test]
async fn past_events_are_counted_tried_and_sent_again() {
    let server = server().await;
    let receiver = Receiver::new(|_| (200, String::new())).await;
    server.feed(&["emit", "-"], &events("acme", 20)).await.ok();
    let filter = "{\"filters\":[{\"field\":\"$.data.n\",\"operator\":\"gte\",\"value\":15}]}";
    let tried = server.run(&["endpoints", "backtest", "acme", "--filter", filter, "--limit", "2"]).await;
    assert!(tried.stderr.contains("5 of 20 events match"), "{tried:?}");
    assert_eq!(tried.ok().lines().count(), 2);

    let (id, _) = create(&server, &receiver.url(), &[]).await;
    let start = ["endpoints", "replay", "start", "acme", &id, "--from", "11"];
    let counted = server.run(&[&start[..], &["--until", "13", "--dry-run"]].concat()).await.ok();
    assert!(counted.starts_with("3 events would be sent"), "{counted}");
    let done = server.run(&[&start[..], &["--until", "13", "--follow", "--json"]].concat()).await.json();
    assert_eq!((&done["state"], &done["delivered"]), (&"done".into(), &3.into()), "{done:#}");
    let sequences: Vec<String> =
        receiver.came().iter().map(|came| came.header("tidings-sequence").to_owned()).collect();
    assert_eq!(sequences.len(), 3, "{sequences:?}");

    let replay = done["id"].as_str().unwrap();
    let cancelled = server.run(&["endpoints", "replay", "cancel", "acme", &id, replay, "--json"]).await.json();
    assert_eq!(cancelled["state"], "done", "one that has ended stays as it is");
    assert!(server.run(&["endpoints", "replay", "list", "acme", &id]).await.ok().contains(replay));
    assert!(server.run(&["endpoints", "replay", "status", "acme", &id, replay]).await.ok().contains("#11 to #13"));
}
