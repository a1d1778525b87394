//! What consumers are promised that are pinned to a version.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidings_catalog::entry::{Entry, Key, Kind};
use tidings_engine::catalog::Proposal;
use tidings_engine::endpoints::{
    CloudEventsMode, EndpointError, EndpointPatch, EndpointSettings, Format, NewEndpoint, Who,
};
use tidings_engine::{FeedStart, Pins, ReadLimit, Role, Selection};
use tidings_event::{Event, Version};

use crate::bench::{ACME, Bench, endpoint, who};
use crate::on_both;
use crate::receiver::{Delivery, Receiver};
use crate::support::{Log, PAGE, tenant, typed};

const WON: &str = "sales.deal.won";
const FIRST: &str = r#"
name: sales.deal.won
version: "1"
owner: sales
description: A deal was won.
lifecycle: stable
schema:
  type: object
  required: [amount]
  properties: { amount: { type: number } }
examples: [{ name: usual, data: { amount: 7 } }]
"#;
const SECOND: &str = r#"
name: sales.deal.won
version: "2"
owner: sales
description: A deal was won.
lifecycle: stable
schema:
  type: object
  required: [price]
  properties:
    price: { type: object, required: [amount], properties: { amount: { type: number }, note: { type: string } } }
examples: [{ name: usual, data: { price: { amount: 7 } } }]
upcast:
  from: "1"
  steps:
    - move: { from: /amount, to: /price/amount }
  tests:
    - { from: { amount: 7 }, to: { price: { amount: 7 } } }
"#;

async fn with_versions(log: &Log) -> Bench {
    let bench = Bench::start(log).await;
    let entry = |version: &str, source: &str| Entry {
        key: Key { kind: Kind::Definition, name: WON.to_owned(), version: version.to_owned() },
        source: Some(source.to_owned()),
    };
    let entries = vec![entry("1", FIRST), entry("2", SECOND)];
    let boss = Who { key: "admin".to_owned(), role: Role::Admin };
    let proposal = Proposal { entries, ..Proposal::default() };
    let pushed = bench.engine.catalogs().push(&boss.into(), proposal).await.unwrap();
    assert!(pushed.revision.is_some(), "{:#?}", pushed.report);
    bench
}

fn won(version: &str, data: &Value) -> Event {
    Event { version: Version::parse(version).unwrap(), ..typed(ACME, WON, &data.to_string()) }
}

/// Versions 1 and 2, a type that is not pinned, and an event of version 1 that version 2 cannot say.
fn mixed() -> Vec<Event> {
    vec![
        won("1", &json!({"amount": 7})),
        won("2", &json!({"price": {"amount": 8}})),
        typed(ACME, "chat.message.sent", r#"{"amount":9}"#),
        won("1", &json!({"nothing": true})),
    ]
}

/// What an event says to who is pinned: its version, its data, and what it was converted from.
fn told(event: &Value) -> (Value, Value, Value) {
    (event["version"].clone(), event["data"].clone(), event["metadata"]["converted_from"].clone())
}

fn expected() -> [(Value, Value, Value); 4] {
    [
        (json!("2"), json!({"price": {"amount": 7}}), json!("1")),
        (json!("2"), json!({"price": {"amount": 8}}), Value::Null),
        (json!("1"), json!({"amount": 9}), Value::Null),
        (json!("1"), json!({"nothing": true}), Value::Null),
    ]
}

fn pinned(url: &str, settings: EndpointSettings) -> NewEndpoint {
    NewEndpoint { settings: EndpointSettings { versions: vec![format!("{WON}@2")], ..settings }, ..endpoint(url) }
}

fn sorted(mut got: Vec<Delivery>) -> Vec<Delivery> {
    got.sort_by_key(|delivery| delivery.sequence);
    got
}

on_both! {
    async fn a_pinned_endpoint_gets_every_event_in_the_version_that_it_understands(log: Log) {
        let bench = with_versions(&log).await;
        let receiver = Receiver::healthy().await;
        let (made, _) = bench.create(pinned(&receiver.url, EndpointSettings::default())).await;
        assert_eq!(made.settings.versions, [format!("{WON}@2")]);
        bench.append(mixed()).await;
        let got = sorted(receiver.count(4).await);
        let bodies: Vec<_> = got.iter().map(|one| told(&serde_json::from_slice(&one.body).unwrap())).collect();
        assert_eq!(bodies, expected());

        // Without the pin they come as they were sent.
        let patch = EndpointPatch { versions: Some(Vec::new()), ..EndpointPatch::default() };
        assert!(bench.update(&made.id, patch).await.settings.versions.is_empty());
        bench.append(vec![won("1", &json!({"amount": 10}))]).await;
        let got = sorted(receiver.count(5).await);
        let last: Value = serde_json::from_slice(&got[4].body).unwrap();
        assert_eq!(told(&last), (json!("1"), json!({"amount": 10}), Value::Null));
        bench.engine.shutdown().await;
    }

    async fn a_pinned_feed_gives_every_event_in_the_version_that_its_reader_understands(log: Log) {
        let bench = with_versions(&log).await;
        bench.append(mixed()).await;
        let pins = Pins::parse(&[format!("{WON}@2")]).unwrap();
        let open = async || bench.engine.feed(&tenant(ACME), FeedStart::Start, Arc::new(Selection::all())).await.unwrap();
        let page = open().await.pinned(pins.clone()).next(PAGE, Duration::ZERO).await.unwrap();
        let events: Vec<_> =
            page.events.iter().map(|event| told(&serde_json::from_slice(event.native()).unwrap())).collect();
        assert_eq!(events, expected());
        let plain = open().await.next(PAGE, Duration::ZERO).await.unwrap();
        for (pinned, plain) in page.events.iter().zip(&plain.events) {
            assert_eq!(pinned.recorded.digest, plain.recorded.digest, "the proof speaks of the original");
        }

        // Where converted events take more room than there is, the rest is left for the next page.
        let mut reader = open().await.pinned(pins);
        let small = ReadLimit { events: 10, bytes: 30 };
        let mut sequences = Vec::new();
        loop {
            let page = reader.next(small, Duration::ZERO).await.unwrap();
            sequences.extend(page.events.iter().map(|event| event.recorded.sequence.get()));
            assert_eq!(page.after, reader.after());
            if page.up_to_date {
                break;
            }
        }
        assert_eq!(sequences, [1, 2, 3, 4]);
        bench.engine.shutdown().await;
    }

    async fn a_converted_cloud_event_says_what_it_was_converted_from(log: Log) {
        let bench = with_versions(&log).await;
        let (structured, binary) = (Receiver::healthy().await, Receiver::healthy().await);
        let settings = |cloudevents_mode| EndpointSettings {
            format: Format::Cloudevents,
            cloudevents_mode,
            ..EndpointSettings::default()
        };
        bench.create(pinned(&structured.url, settings(CloudEventsMode::Structured))).await;
        bench.create(pinned(&binary.url, settings(CloudEventsMode::Binary))).await;
        bench.append(vec![won("1", &json!({"amount": 7}))]).await;
        let got: Value = serde_json::from_slice(&structured.count(1).await[0].body).unwrap();
        assert_eq!((&got["convertedfrom"], &got["data"]), (&json!("1"), &json!({"price": {"amount": 7}})));
        assert!(got["dataschema"].as_str().unwrap().ends_with("/2"), "{got}");
        let got = binary.count(1).await;
        assert_eq!(got[0].headers["ce-convertedfrom"], "1");
        assert_eq!(got[0].body, r#"{"price":{"amount":7}}"#);
        bench.engine.shutdown().await;
    }

    async fn what_is_no_pin_is_refused(log: Log) {
        let bench = Bench::start(&log).await;
        let settings =
            EndpointSettings { versions: vec![format!("{WON}@2"), "sales.*@1".to_owned()], ..EndpointSettings::default() };
        let new = NewEndpoint { settings, ..endpoint("http://127.0.0.1:4711/hook") };
        let Err(EndpointError::Invalid(violations)) = bench.endpoints.create(&who(), &tenant(ACME), new).await else {
            panic!("it must be refused");
        };
        let places: Vec<_> = violations.iter().map(|violation| violation.path.as_str()).collect();
        assert_eq!(places, ["/versions/1"]);
        bench.engine.shutdown().await;
    }
}
