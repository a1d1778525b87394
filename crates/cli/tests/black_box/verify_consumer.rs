//! `tidings verify-consumer`: a right receiver passes, each wrong one is told what it got wrong.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use tidings_event::signature::{Secret, Verifier};

use crate::receiver::{Came, Receiver, Seen, now_s};
use crate::support::{Ran, run, tidings};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";

async fn verify(receiver: &Receiver, secret: &str, more: &[&str]) -> Ran {
    let url = receiver.url();
    run(tidings(&[&["verify-consumer", &url, "--secret", secret, "--json"], more].concat()), "").await
}

/// The checks that ended like this.
fn ended(ran: &Ran, status: &str) -> Vec<String> {
    let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:#?}"));
    let checks = report["checks"].as_array().unwrap().iter().filter(|check| check["status"] == status);
    checks.map(|check| check["id"].as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn assert_failed(ran: &Ran, expected: &[&str]) {
    assert_eq!(ended(ran, "failed"), expected, "{ran:#?}");
    assert_eq!(ran.code, Some(1), "{ran:#?}");
}

/// Verifies, and takes what it has not seen before.
fn right(secret: &str) -> impl Fn(&Came) -> (u16, String) + Send + Sync + 'static {
    let (secret, seen) = (secret.to_owned(), Seen::default());
    move |came| {
        if !came.verify(&secret) {
            return (401, String::new());
        }
        let event = came.json_leniently();
        if let Some(challenge) = event["challenge"].as_str() {
            return (200, challenge.to_owned());
        }
        (200, seen.note(came.header("webhook-id")).to_owned())
    }
}

impl Came {
    /// Its body, where numbers beyond a double make it unreadable to this library.
    fn json_leniently(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

#[tokio::test]
async fn a_right_receiver_passes_every_check() {
    let receiver = Receiver::new(right(SECRET)).await;
    let ran = verify(&receiver, SECRET, &["--state-url", &receiver.url()]).await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_eq!((ended(&ran, "failed"), ended(&ran, "warning")), (Vec::new(), Vec::new()), "{ran:#?}");
    for check in ["forgeries_without_effect", "repeat_without_effect", "concurrent_without_effect", "challenge"] {
        assert!(ended(&ran, "passed").contains(&check.to_owned()), "{check}: {ran:#?}");
    }
    // The report for people says why things matter only where they went wrong.
    let shown = run(tidings(&["verify-consumer", &receiver.url(), "--secret", SECRET]), "").await.ok();
    assert!(shown.contains("✓ refuses a signature by another secret") && shown.contains("checks passed"), "{shown}");
}

#[tokio::test]
async fn a_right_receiver_that_holds_a_public_key_passes_too() {
    let secret = Secret::ed25519([7; 32]);
    let receiver = Receiver::new(right(&secret.public().unwrap())).await;
    let ran = verify(&receiver, &secret.reveal(), &[]).await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
}

#[tokio::test]
async fn a_receiver_that_takes_events_in_order_alone_passes() {
    // As an inbox with a mark does it: early ones are told to come again, repeats are nothing.
    let mark = std::sync::Mutex::new(0_u64);
    let receiver = Receiver::new(move |came| {
        if !came.verify(SECRET) {
            return (401, String::new());
        }
        let number = |name: &str| came.header(name).parse::<u64>().unwrap_or_default();
        let (sequence, previous) = (number("tidings-sequence"), number("tidings-previous"));
        let mut mark = mark.lock().unwrap();
        if previous > *mark {
            return (503, String::new());
        }
        let is_new = sequence > *mark;
        *mark = sequence.max(*mark);
        (204, if is_new { "new".to_owned() } else { String::new() })
    })
    .await;
    let ran = verify(&receiver, SECRET, &["--state-url", &receiver.url()]).await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
}

#[tokio::test]
async fn a_receiver_that_believes_everybody_is_told_so() {
    let receiver = Receiver::new(|_| (200, "new".to_owned())).await;
    let ran = verify(&receiver, SECRET, &["--state-url", &receiver.url()]).await;
    assert_failed(
        &ran,
        &[
            "wrong_secret",
            "altered_body",
            "altered_id",
            "altered_timestamp",
            "stale_timestamp",
            "future_timestamp",
            "missing_id",
            "missing_timestamp",
            "missing_signature",
            "malformed_timestamp",
            "malformed_signature",
            "unknown_version_alone",
            "forgeries_without_effect",
            "repeat_without_effect",
            "concurrent_without_effect",
            "fresh_duplicates",
        ],
    );
}

/// What a signature should be, by hand.
fn expected(came: &Came, body: &[u8]) -> String {
    let signer = tidings_event::signature::Signer::new(&[Secret::parse(SECRET).unwrap()]);
    signer.sign(came.header("webhook-id"), came.header("webhook-timestamp").parse().unwrap_or_default(), body)
}

fn is_complete(came: &Came) -> bool {
    ["webhook-id", "webhook-timestamp", "webhook-signature"].iter().all(|name| came.headers.contains_key(*name))
}

#[tokio::test]
async fn a_receiver_that_never_looks_at_the_clock_is_told_so() {
    let receiver = Receiver::new(|came| {
        let fits = came.header("webhook-signature").split(' ').any(|one| one == expected(came, &came.body));
        (if is_complete(came) && fits { 200 } else { 401 }, String::new())
    })
    .await;
    assert_failed(&verify(&receiver, SECRET, &[]).await, &["stale_timestamp", "future_timestamp"]);
}

#[tokio::test]
async fn a_receiver_that_looks_at_the_first_signature_alone_is_told_so() {
    let receiver = Receiver::new(|came| {
        let fits = came.header("webhook-signature").split(' ').next() == Some(&expected(came, &came.body));
        let is_now = came.header("webhook-timestamp").parse::<i64>().is_ok_and(|at| (at - now_s()).abs() <= 300);
        (if is_complete(came) && fits && is_now { 200 } else { 403 }, String::new())
    })
    .await;
    assert_failed(&verify(&receiver, SECRET, &[]).await, &["rotated_keys", "unknown_version_beside"]);
}

#[tokio::test]
async fn a_receiver_that_verifies_json_which_it_wrote_again_is_told_so() {
    let receiver = Receiver::new(|came| {
        let Ok(event) = serde_json::from_slice::<Value>(&came.body) else { return (400, String::new()) };
        let written = event.to_string();
        let parts = (came.header("webhook-id"), came.header("webhook-timestamp"), came.header("webhook-signature"));
        let verifier = Verifier::new([SECRET]).unwrap();
        let fits = verifier.verify(parts.0, parts.1, parts.2, written.as_bytes(), now_s()).is_ok();
        (if fits { 200 } else { 401 }, String::new())
    })
    .await;
    let ran = verify(&receiver, SECRET, &[]).await;
    let failed = ended(&ran, "failed");
    assert!(failed.contains(&"exact_bytes".to_owned()) && failed.contains(&"big_numbers".to_owned()), "{ran:#?}");
    assert!(ended(&ran, "warning").contains(&"huge_numbers".to_owned()), "{ran:#?}");
}

#[tokio::test]
async fn a_receiver_that_is_picky_about_repeats_content_and_size_is_told_so() {
    let seen = Seen::default();
    let receiver = Receiver::new(move |came| {
        if !came.verify(SECRET) {
            return (401, String::new());
        }
        if came.body.len() > 100 * 1024 {
            return (413, String::new());
        }
        let event = came.json_leniently();
        if event["type"] != "verify.delivery.sent" || event.get("a_later_member").is_some() {
            return (400, String::new());
        }
        if seen.note(came.header("webhook-id")) == "new" { (200, String::new()) } else { (422, String::new()) }
    })
    .await;
    let ran = verify(&receiver, SECRET, &[]).await;
    let expected = [
        "duplicate",
        "retry",
        "concurrent_duplicates",
        "fresh_duplicates",
        "reordered",
        "unknown_members",
        "unknown_type",
        "large_body",
    ];
    assert_failed(&ran, &expected);
}

#[tokio::test]
async fn a_receiver_that_breaks_on_what_a_stranger_sends_is_told_so() {
    let receiver = Receiver::new(|came| {
        if came.header("webhook-timestamp").parse::<i64>().is_err() || BASE64_STANDARD.decode("").is_err() {
            return (500, String::new());
        }
        (if came.verify(SECRET) { 200 } else { 401 }, String::new())
    })
    .await;
    assert_failed(&verify(&receiver, SECRET, &[]).await, &["missing_timestamp", "malformed_timestamp"]);
}

#[tokio::test]
async fn nothing_more_is_asked_of_a_receiver_that_refuses_a_good_delivery() {
    let redirecting = Receiver::new(|_| (302, String::new())).await;
    let ran = verify(&redirecting, SECRET, &[]).await;
    assert_failed(&ran, &["good_delivery"]);
    assert!(ran.stdout.contains("a redirect, which is never followed"), "{ran:#?}");
    assert_eq!(redirecting.came().len(), 1);

    let other = Receiver::new(right("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")).await;
    let ran = verify(&other, SECRET, &[]).await;
    assert_failed(&ran, &["good_delivery"]);
    assert!(ran.stdout.contains("does it hold this secret"), "{ran:#?}");

    let nobody = format!("http://127.0.0.1:{}/", tidings_testkit::free_port());
    let ran = run(tidings(&["verify-consumer", &nobody, "--secret", SECRET, "--json"]), "").await;
    assert_failed(&ran, &["good_delivery"]);
}

#[tokio::test]
async fn a_sample_event_is_what_is_sent() {
    let receiver = Receiver::new(right(SECRET)).await;
    let sample = r#"{"type":"sales.lead.created","entity":{"type":"lead","id":"1"},"data":{"name":"Ada","amount":7}}"#;
    let ran = verify(&receiver, SECRET, &["--event", sample, "--tenant", "acme"]).await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let first = receiver.came()[0].json();
    assert_eq!((&first["type"], &first["tenant"]), (&Value::from("sales.lead.created"), &Value::from("acme")));
    assert_eq!((&first["data"]["name"], &first["entity"]["type"]), (&Value::from("Ada"), &Value::from("lead")));

    let wrong = verify(&receiver, "whsec_short", &[]).await;
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    assert!(!wrong.stderr.contains("whsec_short") && wrong.stderr.contains("--secret"), "{wrong:?}");
}
