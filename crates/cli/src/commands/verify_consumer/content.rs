//! What events may hold, and grow to hold: none of it is a reason to refuse one.

use std::fmt::Write as _;

use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::report::{Group, Outcome, Report};
use super::sender::{Draft, Sender, accepted};
use crate::commands::webhook::Webhook;
use crate::failure::Failure;

/// Bytes that an event's data may have.
const DATA_BYTES_MAX: usize = 256 * 1024;

/// An odd event, and why it is a legal one.
struct Oddity {
    id: &'static str,
    title: &'static str,
    why: &'static str,
    /// Whether refusing it may be right for a receiver with a schema of its own.
    soft: bool,
    make: fn(Draft) -> Webhook,
}

const ODDITIES: &[Oddity] = &[
    Oddity {
        id: "exact_bytes",
        title: "verifies the bytes as they came, however they are spaced",
        why: "The signature is over the body's bytes. Whoever parses the body and writes it again verifies another text.",
        soft: false,
        make: |draft| draft.webhook_with(respaced(&draft)),
    },
    Oddity {
        id: "unknown_members",
        title: "accepts members and headers that it does not know",
        why: "Later versions add members. They never change or drop what is there.",
        soft: false,
        make: |mut draft| {
            draft.envelope.insert("a_later_member".to_owned(), json!({"of": ["any", {"kind": null}]}));
            draft.data().insert("a_later_member".to_owned(), json!([]));
            let mut webhook = draft.webhook();
            let name = HeaderName::from_static("tidings-a-later-header");
            webhook.more.push((name, HeaderValue::from_static("some value")));
            webhook
        },
    },
    Oddity {
        id: "unknown_type",
        title: "accepts a type that it does not know, and passes it over",
        why: "An endpoint that wants 'sales.*' gets new types as they are invented. Refused, each would be tried for days.",
        soft: false,
        make: |mut draft| {
            draft.envelope.insert("type".to_owned(), json!("verify.type_of_tomorrow.came_up"));
            draft.envelope.insert("data".to_owned(), json!({"of": "another kind"}));
            draft.webhook()
        },
    },
    Oddity {
        id: "unknown_version",
        title: "accepts a version that it does not know",
        why: "A producer may publish a new version before every receiver knows it. Refused, events would pile up and be given up.",
        soft: true,
        make: |mut draft| {
            draft.envelope.insert("version".to_owned(), json!("99"));
            draft.webhook()
        },
    },
    Oddity {
        id: "few_members",
        title: "accepts an event without entity, actor and project",
        why: "They are optional.",
        soft: true,
        make: |mut draft| {
            draft.envelope.remove("entity");
            draft.webhook()
        },
    },
    Oddity {
        id: "unicode",
        title: "accepts all of Unicode",
        why: "Names are in every script. Data may hold any code point, escaped or not.",
        soft: false,
        make: |mut draft| {
            draft
                .data()
                .insert("näme".to_owned(), json!("Ünïcödé — 你好, שלום, 👩‍👩‍👧 \u{202e}left\u{0} \u{fffd}\u{2028}"));
            let body = Value::Object(draft.envelope.clone()).to_string();
            // A pair of surrogates as escapes says the same as the character.
            draft.webhook_with(body.replace('\u{1f467}', "\\ud83d\\udc67"))
        },
    },
    Oddity {
        id: "big_numbers",
        title: "accepts numbers that a double cannot hold exactly",
        why: "Numbers are decimals of any length. A receiver may round them, but must not break on them.",
        soft: false,
        make: |draft| {
            numbers(
                draft,
                "[9007199254740993, -9223372036854775809, 18446744073709551616, 0.1000000000000000055511151231257827, 1E-400]",
            )
        },
    },
    Oddity {
        id: "huge_numbers",
        title: "accepts numbers beyond the range of a double",
        why: "1e400 is a JSON number and can be stored. Many parsers refuse it, and with it the whole event.",
        soft: true,
        make: |draft| numbers(draft, "[1e400, -1e400]"),
    },
    Oddity {
        id: "deep",
        title: "accepts data that is nested 60 deep",
        why: "An event may be nested 64 levels deep.",
        soft: true,
        make: |mut draft| {
            let deep = (0..58).fold(json!(1), |inner, _| json!([inner]));
            draft.data().insert("deep".to_owned(), deep);
            draft.webhook()
        },
    },
    Oddity {
        id: "large_body",
        title: "accepts an event with 256 KiB of data",
        why: "That is as large as data can be. Many frameworks stop at 100 KiB unless they are told.",
        soft: false,
        make: |mut draft| {
            let size = Value::Object(draft.data().clone()).to_string().len();
            let around = ",\"fill\":\"\"".len();
            let fill = "x".repeat(DATA_BYTES_MAX.saturating_sub(size + around));
            draft.data().insert("fill".to_owned(), Value::from(fill));
            draft.webhook()
        },
    },
];

pub(super) async fn check(sender: &mut Sender, report: &mut Report) -> Result<(), Failure> {
    report.group(Group::Content)?;
    for oddity in ODDITIES {
        let draft = sender.next("three");
        let webhook = sender.signed((oddity.make)(draft));
        let answer = sender.send(webhook).await?;
        let outcome = accepted(&answer);
        let outcome = if oddity.soft { outcome.softened() } else { outcome };
        report.add(oddity.id, oddity.title, oddity.why, outcome)?;
    }
    challenge(sender, report).await
}

/// The challenge is needed only for endpoints that are made with it.
async fn challenge(sender: &mut Sender, report: &mut Report) -> Result<(), Failure> {
    let text = ulid::Ulid::generate().to_string();
    let body = json!({"type": "tidings.endpoint.challenge", "timestamp": jiff::Timestamp::now().to_string(), "challenge": text});
    let webhook = Webhook { id: Some(format!("challenge_{text}")), attempt: 1, ..Webhook::default() };
    let webhook = sender.signed(Webhook { body: body.to_string().into(), ..webhook });
    let answer = sender.send(webhook).await?;
    let is_given_back = answer
        .as_ref()
        .is_ok_and(|answer| answer.is_success() && String::from_utf8_lossy(&answer.body).contains(&text));
    let outcome = if is_given_back {
        Outcome::passed("it was given back")
    } else {
        Outcome::noted("not given back, which only endpoints made with --challenge need")
    };
    let why = "An endpoint that is made with a challenge delivers nothing before the receiver has answered it.";
    report.add("challenge", "answers an ownership challenge", why, outcome)
}

/// The event with an array of numbers that no `Value` could hold.
fn numbers(mut draft: Draft, array: &str) -> Webhook {
    const MARK: &str = "numbers stand here";
    draft.data().insert("numbers".to_owned(), Value::from(MARK));
    let body = Value::Object(draft.envelope.clone()).to_string();
    draft.webhook_with(body.replacen(&format!("\"{MARK}\""), array, 1))
}

/// The same JSON, written as no library writes it.
fn respaced(draft: &Draft) -> String {
    let mut body = String::from("{\n");
    for (at, (name, value)) in draft.envelope.iter().rev().enumerate() {
        let comma = if at == 0 { "  " } else { " ,\t" };
        // A letter as an escape, and a number with a fraction that says nothing.
        let name = name.replacen('e', "\\u0065", 1);
        write!(body, "{comma}\"{name}\" :  {value}\r\n").expect("a String takes every write");
    }
    body.push_str(" }\n");
    body
}

#[cfg(test)]
mod tests {
    use super::super::sender::{Sender, Template};
    use super::*;
    use crate::commands::webhook::fresh_secret;
    use crate::http::outward::Receiver;

    #[test]
    fn every_oddity_is_json_that_can_be_an_event() {
        let receiver = Receiver::new("http://127.0.0.1:1/", std::time::Duration::from_secs(1)).unwrap();
        let template = Template::of("acme", &Value::Null).unwrap();
        let mut sender = Sender::new(receiver, None, &fresh_secret(), template);
        for oddity in ODDITIES {
            let body = (oddity.make)(sender.next("three")).body;
            let read: Result<&serde_json::value::RawValue, _> = serde_json::from_slice(&body);
            assert!(read.is_ok(), "{}: {}", oddity.id, String::from_utf8_lossy(&body));
            if oddity.id != "huge_numbers" {
                let read: Value = serde_json::from_slice(&body).unwrap();
                let data = read["data"].to_string();
                assert!(data.len() <= DATA_BYTES_MAX, "{}", oddity.id);
                assert_eq!(oddity.id == "large_body", data.len() == DATA_BYTES_MAX, "{}: {}", oddity.id, data.len());
            }
        }
    }
}
