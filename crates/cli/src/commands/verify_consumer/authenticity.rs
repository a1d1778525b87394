//! What a stranger could send: none of it may be believed.

use super::report::{Group, Outcome, Report};
use super::sender::{Sender, accepted, refused};
use crate::commands::webhook::{Webhook, now_s};
use crate::failure::Failure;

/// Seconds by which a timestamp is off: twice of what Standard Webhooks tolerates.
const OFF_S: i64 = 600;

/// How a good webhook is spoiled.
struct Forgery {
    id: &'static str,
    title: &'static str,
    why: &'static str,
    spoil: fn(&Sender, Webhook) -> Webhook,
}

const FORGERIES: &[Forgery] = &[
    Forgery {
        id: "wrong_secret",
        title: "refuses a signature by another secret",
        why: "Whoever knows the URL could make it do things.",
        spoil: |sender, mut webhook| {
            webhook.sign(&sender.stranger, now_s());
            webhook
        },
    },
    Forgery {
        id: "altered_body",
        title: "refuses a body that was changed after signing",
        why: "The signature must be checked over the bytes that came, before anything is made of them.",
        spoil: |sender, webhook| {
            let mut webhook = sender.signed(webhook);
            let text = String::from_utf8_lossy(&webhook.body).replacen("\"version\":\"1\"", "\"version\":\"7\"", 1);
            // A sample without a version is changed where it ends.
            webhook.body = if text.as_bytes() == webhook.body { format!("{text} ") } else { text }.into();
            webhook
        },
    },
    Forgery {
        id: "altered_id",
        title: "refuses an id that was changed after signing",
        why: "Repeats are told by the id: with another one an old delivery could be played again.",
        spoil: |sender, webhook| {
            let mut webhook = sender.signed(webhook);
            webhook.id = Some(ulid::Ulid::generate().to_string());
            webhook
        },
    },
    Forgery {
        id: "altered_timestamp",
        title: "refuses a timestamp that was changed after signing",
        why: "The timestamp is what bounds how long a delivery that somebody caught can be played again.",
        spoil: |sender, webhook| {
            let mut webhook = sender.signed(webhook);
            // Seconds away from the one that was signed, and well within what is tolerated.
            webhook.timestamp = Some((now_s() + 30).to_string());
            webhook
        },
    },
    Forgery {
        id: "stale_timestamp",
        title: "refuses a well signed delivery of ten minutes ago",
        why: "Somebody who caught a delivery could play it again at any time. More than 5 minutes are too many.",
        spoil: |sender, mut webhook| {
            webhook.sign(&sender.signer, now_s() - OFF_S);
            webhook
        },
    },
    Forgery {
        id: "future_timestamp",
        title: "refuses a well signed delivery of ten minutes ahead",
        why: "It could be played again until its time has come and passed.",
        spoil: |sender, mut webhook| {
            webhook.sign(&sender.signer, now_s() + OFF_S);
            webhook
        },
    },
    Forgery {
        id: "missing_id",
        title: "refuses a delivery without webhook-id",
        why: "What is missing cannot have been signed.",
        spoil: |sender, webhook| Webhook { id: None, ..sender.signed(webhook) },
    },
    Forgery {
        id: "missing_timestamp",
        title: "refuses a delivery without webhook-timestamp",
        why: "What is missing cannot have been signed.",
        spoil: |sender, webhook| Webhook { timestamp: None, ..sender.signed(webhook) },
    },
    Forgery {
        id: "missing_signature",
        title: "refuses a delivery without webhook-signature",
        why: "Whoever knows the URL could make it do things.",
        spoil: |sender, webhook| Webhook { signature: None, ..sender.signed(webhook) },
    },
    Forgery {
        id: "malformed_timestamp",
        title: "refuses a timestamp that is no number",
        why: "It must refuse (4xx), not break (5xx): anyone can send this.",
        spoil: |sender, webhook| Webhook { timestamp: Some("yesterday".to_owned()), ..sender.signed(webhook) },
    },
    Forgery {
        id: "malformed_signature",
        title: "refuses signatures that are none",
        why: "It must refuse (4xx), not break (5xx): anyone can send this.",
        spoil: |sender, webhook| Webhook {
            signature: Some("v1 v1, ,x v1,%%% nonsense".to_owned()),
            ..sender.signed(webhook)
        },
    },
    Forgery {
        id: "unknown_version_alone",
        title: "refuses a signature of a version that it does not know",
        why: "A version that it cannot check is no signature to it, whatever follows.",
        spoil: |sender, webhook| {
            let mut webhook = sender.signed(webhook);
            webhook.signature = webhook.signature.map(|text| text.replacen("v1a,", "v9,", 1).replacen("v1,", "v9,", 1));
            webhook
        },
    },
];

pub(super) async fn check(sender: &mut Sender, report: &mut Report) -> Result<(), Failure> {
    report.group(Group::Authenticity)?;
    let before = sender.settled_state().await;
    for forgery in FORGERIES {
        let webhook = sender.forged("one").webhook();
        let answer = sender.send((forgery.spoil)(sender, webhook)).await?;
        report.add(forgery.id, forgery.title, forgery.why, refused(&answer))?;
    }
    if let (Some(before), Some(after)) = (before, sender.settled_state().await) {
        let outcome = if before == after {
            Outcome::passed("the state is as it was")
        } else {
            Outcome::failed("the state has changed")
        };
        let why = "The signature must be checked before anything else is done, whatever is answered then.";
        report.add("forgeries_without_effect", "does nothing with what it refuses", why, outcome)?;
    }
    let good = sender.good()?;
    let answer = sender.send(good).await?;
    report.add(
        "good_after_forgeries",
        "accepts the next good delivery after them",
        "Whoever can make it refuse good ones by sending bad ones can switch it off.",
        accepted(&answer),
    )
}
