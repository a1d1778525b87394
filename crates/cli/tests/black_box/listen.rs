//! `tidings listen`: live events at a receiver on this machine.

use std::sync::Mutex;

use serde_json::Value;
use tidings_testkit::Process;

use crate::receiver::Receiver;
use crate::support::{PATIENCE, Server, events};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";

#[tokio::test]
async fn events_arrive_signed_and_as_an_endpoint_would_get_them() {
    let server = Server::start().await;
    server.feed(&["emit", "-"], &events("acme", 5)).await.ok();
    let receiver = Receiver::new(|_| (204, String::new())).await;
    let url = receiver.url();
    let listen = ["listen", "--tenant", "acme", "--from", "start", "--limit", "5", "--secret", SECRET, "--json", &url];
    let lines = server.run(&listen).await.lines();
    assert_eq!(lines[0]["listening"]["secret"], Value::Null, "a secret that was given is not repeated");
    assert_eq!(lines.len(), 6, "{lines:#?}");
    assert!(lines[1..].iter().all(|line| line["status"] == 204 && line["attempt"] == 1), "{lines:#?}");

    let feed = server.events("acme").await;
    let came = receiver.came();
    assert_eq!(came.len(), 5);
    for (at, (came, event)) in came.iter().zip(&feed).enumerate() {
        assert!(came.verify(SECRET), "{came:?}");
        assert_eq!(&came.json(), event);
        assert_eq!(came.header("webhook-id"), event["id"]);
        assert_eq!(came.header("tidings-sequence"), (at + 1).to_string());
        assert_eq!(came.header("tidings-previous"), if at == 0 { String::new() } else { at.to_string() });
        assert_eq!(came.header("content-type"), "application/json");
    }
}

#[tokio::test]
async fn a_secret_is_made_for_the_run_and_shown_once() {
    let server = Server::start().await;
    server.feed(&["emit", "-"], &events("acme", 1)).await.ok();
    let receiver = Receiver::new(|_| (200, String::new())).await;
    let url = receiver.url();
    let listen = ["listen", "--tenant", "acme", "--from", "start", "--limit", "1", "--json", &url];
    let lines = server.run(&listen).await.lines();
    let secret = lines[0]["listening"]["secret"].as_str().unwrap();
    assert!(receiver.came()[0].verify(secret));
}

#[tokio::test]
async fn what_fails_is_tried_again_and_then_left_out() {
    let server = Server::start().await;
    server.feed(&["emit", "-"], &events("acme", 2)).await.ok();
    // The first event is taken at its second attempt, the second never.
    let count = Mutex::new(0);
    let receiver = Receiver::new(move |_| {
        let mut count = count.lock().unwrap();
        *count += 1;
        (if *count == 2 { 200 } else { 500 }, "no".to_owned())
    })
    .await;
    let url = receiver.url();
    let listen = ["listen", "-t", "acme", "--from", "start", "--limit", "2", "--attempts", "2", "--print-body", &url];
    let ran = server.run(&listen).await;
    let shown = ran.stdout.clone();
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(shown.contains("again in 1 s") && shown.contains("given up after 2 attempts"), "{shown}");
    assert!(shown.contains("\"n\":1") && shown.contains("    no"), "{shown}");
    assert!(ran.stderr.contains("1 taken, 1 given up, 4 attempts"), "{}", ran.stderr);
    let came = receiver.came();
    assert_eq!(came.iter().map(|came| came.header("tidings-attempt")).collect::<Vec<_>>(), ["1", "2", "1", "2"]);
    assert_eq!(came[0].header("webhook-id"), came[1].header("webhook-id"));
    assert_eq!(came[0].body, came[1].body);
}

#[tokio::test]
async fn it_goes_on_after_the_server_was_away() {
    let mut server = Server::start().await;
    let receiver = Receiver::new(|_| (200, String::new())).await;
    server.feed(&["emit", "-"], &events("acme", 1)).await.ok();
    let url = receiver.url();
    let mut listen = Process::spawn(server.command(&["listen", "--tenant", "acme", "--from", "start", &url]));
    listen.line(PATIENCE, |line| line.contains("#1 ")).await;
    let (data, address) = (server.data().to_owned(), server.url.trim_start_matches("http://").to_owned());
    server.stop().await;
    listen.line(PATIENCE, |line| line.contains("trying again")).await;
    let again = Server::on(&data, &["--listen", &address], &[]).await;
    // The first of them is there already.
    again.feed(&["emit", "-"], &events("acme", 2)).await.ok();
    listen.line(PATIENCE, |line| line.contains("#2 ")).await;
    listen.terminate();
    assert_eq!(listen.wait(PATIENCE).await.code(), Some(0));
    assert_eq!(receiver.came().len(), 2, "nothing twice");
}
