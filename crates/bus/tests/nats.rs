//! The bus over real servers: every version of nats-server that is installed.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic, and says which server it speaks of")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use tidings_bus::nats::{NatsBus, NatsOptions, Servers};
use tidings_bus::{Bus, BusError, Entry, Follow, Last, Poke, Prefix, SealKey, StreamEnd};
use tidings_event::{
    Data, Event, EventId, EventType, LogId, Metadata, PartitionId, Position, Recorded, Revision, Salt, Sequence,
    Source, SourceKind, TenantId, TenantNo, Text, Timestamp, Version, digest, hash_data,
};
use tidings_testkit::Nats;
use tokio::time::timeout;

const PARTITION: PartitionId = PartitionId(3);
const REVISION: Revision = Revision(17);
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn options(url: &str) -> NatsOptions {
    NatsOptions {
        servers: Servers::parse(url).unwrap(),
        credentials: None,
        authorities: None,
        prefix: Prefix::parse("tidings").unwrap(),
        age_max: Duration::from_secs(3600),
        stream_bytes_max: 64 << 20,
        replicas: 1,
        name: "test".to_owned(),
    }
}

async fn bus_of(url: &str, log: u128) -> Arc<NatsBus> {
    NatsBus::connect(options(url), LogId(ulid::Ulid(log)), SealKey::derive(&[7; 32])).await.unwrap()
}

/// A bus that is connected.
async fn connected(url: &str, log: u128) -> Arc<NatsBus> {
    let bus = bus_of(url, log).await;
    until(|| bus.is_connected()).await;
    bus
}

/// Waits for what nobody signals.
async fn until(mut holds: impl FnMut() -> bool) {
    let looking = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, looking).await.expect("it comes true");
}

/// Asks until the broker answers.
async fn end_of(bus: &NatsBus, partition: PartitionId) -> StreamEnd {
    let asking = async {
        loop {
            match bus.end(partition).await {
                Ok(end) => return end,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    timeout(PATIENCE, asking).await.expect("the broker answers")
}

fn event(position: u64, text: &str) -> Recorded {
    let word = Text::parse("x").unwrap();
    let event = Event {
        id: EventId::parse(format!("e{position}")).unwrap(),
        event_type: EventType::parse("sales.lead.created").unwrap(),
        version: Version::first(),
        timestamp: Timestamp::from_micros(1_700_000_000_000_000),
        tenant: TenantId::parse("acme inc.").unwrap(),
        project: None,
        source: Source { kind: SourceKind::Service, id: word.clone() },
        entity: None,
        actor: None,
        data: Data::parse(format!(r#"{{"text":"{text}"}}"#)).unwrap(),
        metadata: Metadata { correlation_id: word, causation_id: None, context: None, traceparent: None },
    };
    let (sequence, recorded_at, salt) = (Sequence(position), Timestamp::from_micros(5), Salt([9; 16]));
    let digest = digest(&event, sequence, recorded_at, &hash_data(&salt, &event.data));
    let (position, tenant_no) = (Position(position), TenantNo(1));
    Recorded { event, tenant_no, partition: PARTITION, position, sequence, recorded_at, salt, digest }
}

async fn publish(bus: &dyn Bus, behind: u64, events: &[Recorded]) -> Result<u64, BusError> {
    let json: Vec<Bytes> = events.iter().map(|event| Bytes::from(event.to_json())).collect();
    let entries: Vec<Entry<'_>> = events.iter().zip(&json).map(|(recorded, json)| Entry { recorded, json }).collect();
    bus.publish(PARTITION, behind, REVISION, &entries).await
}

fn events(positions: std::ops::RangeInclusive<u64>) -> Vec<Recorded> {
    positions.map(|position| event(position, "some text")).collect()
}

async fn heard(follow: &mut dyn Follow, count: usize) -> Vec<u64> {
    let mut positions = Vec::new();
    while positions.len() < count {
        let next = timeout(PATIENCE, follow.next()).await.expect("something is published").unwrap();
        assert_eq!(next.revision, REVISION);
        positions.extend(next.events.iter().map(|recorded| recorded.position.get()));
    }
    positions
}

/// Runs a test against every server that is installed.
async fn with_each(test: impl AsyncFn(&Nats)) {
    for program in Nats::programs() {
        println!("with {}", program.display());
        test(&Nats::start_program(&program, "")).await;
    }
}

fn ends(message: u64, first: u64, last: u64) -> StreamEnd {
    let last = Last::Event { position: Position(last), digest: event(last, "some text").digest };
    StreamEnd { message, first: Some(Position(first)), last }
}

fn empty(message: u64) -> StreamEnd {
    StreamEnd { message, first: None, last: Last::None }
}

#[tokio::test]
async fn a_stream_holds_what_was_published_in_order_and_says_where_it_ends() {
    with_each(async |nats| {
        let bus = connected(&nats.url(), 1).await;
        assert_eq!(end_of(&bus, PARTITION).await, empty(0));
        let number = publish(&*bus, 0, &events(1..=300)).await.unwrap();
        assert_eq!(number, 300);
        assert_eq!(publish(&*bus, number, &events(301..=301)).await, Ok(301));
        assert_eq!(end_of(&bus, PARTITION).await, ends(301, 1, 301));
        assert_eq!(end_of(&bus, PartitionId(4)).await, empty(0));

        // A plain client sees native JSON, one subject for each tenant and type.
        let client = async_nats::connect(nats.url()).await.unwrap();
        let stream = async_nats::jetstream::new(client).get_stream("TIDINGS-EVENTS-3").await.unwrap();
        for number in [1, 2, 300, 301] {
            let message = stream.get_raw_message(number).await.unwrap();
            assert_eq!(message.subject.as_str(), "tidings.events.3.acme%20inc%2E.sales.lead.created");
            assert_eq!(message.payload, event(number, "some text").to_json());
            assert_eq!(message.headers.get("Tidings-Position").unwrap().as_str(), number.to_string());
            let id = format!("{}:3:{number}", ulid::Ulid(1));
            assert_eq!(message.headers.get("Nats-Msg-Id").unwrap().as_str(), id);
        }
    })
    .await;
}

#[tokio::test]
async fn a_publisher_that_does_not_know_the_streams_end_writes_nothing() {
    with_each(async |nats| {
        let (new, old) = (connected(&nats.url(), 1).await, connected(&nats.url(), 1).await);
        end_of(&new, PARTITION).await;
        assert_eq!(publish(&*new, 0, &events(1..=10)).await, Ok(10));
        for (behind, positions) in [(0, 1..=3), (5, 7..=30), (9, 11..=30), (11, 12..=12)] {
            assert_eq!(publish(&*old, behind, &events(positions)).await, Err(BusError::Moved));
        }
        assert_eq!(end_of(&new, PARTITION).await, ends(10, 1, 10));
        assert_eq!(publish(&*old, 10, &events(11..=12)).await, Ok(12));
        assert_eq!(publish(&*new, 10, &events(11..=11)).await, Err(BusError::Moved));
        assert_eq!(end_of(&new, PARTITION).await.message, 12);
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_was_deleted_or_emptied_is_found_and_can_begin_anew() {
    with_each(async |nats| {
        let bus = connected(&nats.url(), 1).await;
        end_of(&bus, PARTITION).await;
        publish(&*bus, 0, &events(1..=10)).await.unwrap();
        let client = async_nats::jetstream::new(async_nats::connect(nats.url()).await.unwrap());

        client.delete_stream("TIDINGS-EVENTS-3").await.unwrap();
        assert_eq!(publish(&*bus, 10, &events(11..=11)).await, Err(BusError::Moved));
        assert_eq!(end_of(&bus, PARTITION).await, empty(0));
        assert_eq!(publish(&*bus, 0, &events(11..=20)).await, Ok(10));

        // What was in it just now can be written again.
        assert_eq!(bus.clear(PARTITION).await, Ok(10));
        assert_eq!(end_of(&bus, PARTITION).await, empty(10));
        let again = async {
            let (mut behind, mut next) = (10, 11);
            while publish(&*bus, behind, &events(next..=20)).await.is_err() {
                let end = end_of(&bus, PARTITION).await;
                behind = end.message;
                if let Last::Event { position, .. } = end.last {
                    next = position.get() + 1;
                }
                if next > 20 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, again).await.expect("the broker forgets the ids of what it holds no more");
        assert_eq!(end_of(&bus, PARTITION).await, ends(20, 11, 20));

        // Its last messages are gone one by one.
        let stream = client.get_stream("TIDINGS-EVENTS-3").await.unwrap();
        for number in [19, 20] {
            stream.delete_message(number).await.unwrap();
        }
        assert_eq!(end_of(&bus, PARTITION).await, ends(20, 11, 18));
    })
    .await;
}

#[tokio::test]
async fn a_stream_of_another_log_is_known_as_foreign() {
    with_each(async |nats| {
        let (bus, other) = (connected(&nats.url(), 1).await, connected(&nats.url(), 2).await);
        end_of(&other, PARTITION).await;
        publish(&*other, 0, &events(1..=2)).await.unwrap();
        assert_eq!(end_of(&bus, PARTITION).await, StreamEnd { message: 2, first: None, last: Last::Foreign });
        assert_eq!(publish(&*bus, 2, &events(3..=3)).await, Ok(3));
        let client = async_nats::connect(nats.url()).await.unwrap();
        let subject = "tidings.events.3.acme.sales.lead.created";
        async_nats::jetstream::new(client).publish(subject, "{}".into()).await.unwrap().await.unwrap();
        assert_eq!(end_of(&bus, PARTITION).await, StreamEnd { message: 4, first: None, last: Last::Foreign });
    })
    .await;
}

#[tokio::test]
async fn nodes_hear_events_of_their_own_log_alone() {
    with_each(async |nats| {
        let (bus, node, other) =
            (connected(&nats.url(), 1).await, connected(&nats.url(), 1).await, connected(&nats.url(), 2).await);
        end_of(&bus, PARTITION).await;
        let mut follow = node.follow(PARTITION).await.unwrap();
        let mut own = bus.follow(PARTITION).await.unwrap();
        // A subscription is in force once the broker has answered something that was asked after it.
        end_of(&node, PARTITION).await;
        publish(&*other, 0, &events(1..=2)).await.unwrap();
        let forger = async_nats::jetstream::new(async_nats::connect(nats.url()).await.unwrap());
        for _ in 0..3 {
            let forged = forger.publish("tidings.events.3.acme.sales.lead.created", "{}".into()).await.unwrap();
            forged.await.unwrap();
        }
        let number = end_of(&bus, PARTITION).await.message;
        publish(&*bus, number, &events(1..=700)).await.unwrap();
        let expected: Vec<u64> = (1..=700).collect();
        assert_eq!(heard(&mut *follow, 700).await, expected);
        publish(&*node, number + 700, &events(701..=701)).await.unwrap();
        assert_eq!(heard(&mut *own, 1).await, [701], "nobody hears itself");
    })
    .await;
}

#[tokio::test]
async fn pokes_reach_the_other_nodes_of_the_log_and_nobody_else() {
    with_each(async |nats| {
        let (bus, node, other) =
            (connected(&nats.url(), 1).await, connected(&nats.url(), 1).await, connected(&nats.url(), 2).await);
        let (mut own, mut pokes, mut others) = (bus.pokes(), node.pokes(), other.pokes());
        for bus in [&node, &other] {
            end_of(bus, PARTITION).await;
        }
        let told = [Poke::Keys, Poke::Partition(PARTITION, Position(9)), Poke::Source("shop".to_owned())];
        bus.poke(&told);
        for poke in told {
            assert_eq!(timeout(PATIENCE, pokes.recv()).await.expect("it arrives").unwrap(), poke);
        }
        node.poke(&[Poke::Leases]);
        assert_eq!(timeout(PATIENCE, own.recv()).await.expect("it arrives").unwrap(), Poke::Leases);
        assert!(own.try_recv().is_err() && others.try_recv().is_err());
    })
    .await;
}

#[tokio::test]
async fn without_a_server_every_call_fails_at_once_and_with_one_the_connection_comes_by_itself() {
    with_each(async |nats| {
        nats.kill9();
        let bus = bus_of(&nats.url(), 1).await;
        let mut follow = bus.follow(PARTITION).await.unwrap();
        assert!(!bus.is_connected());
        for _ in 0..10_000 {
            bus.poke(&[Poke::Catalog]);
        }
        let calls = async {
            assert!(matches!(bus.end(PARTITION).await, Err(BusError::Unavailable(_))));
            assert!(matches!(publish(&*bus, 0, &events(1..=1)).await, Err(BusError::Unavailable(_))));
            assert!(matches!(bus.clear(PARTITION).await, Err(BusError::Unavailable(_))));
            let health = bus.health().await;
            assert!(!health.connected && health.warnings.len() == 1);
        };
        timeout(PATIENCE, calls).await.expect("nothing waits for a connection");

        nats.restart();
        until(|| bus.is_connected()).await;
        end_of(&bus, PARTITION).await;
        publish(&*connected(&nats.url(), 1).await, 0, &events(1..=2)).await.unwrap();
        assert_eq!(heard(&mut *follow, 2).await, [1, 2]);

        nats.kill9();
        until(|| !bus.is_connected()).await;
        nats.restart();
        until(|| bus.is_connected()).await;
        assert_eq!(end_of(&bus, PARTITION).await, ends(2, 1, 2), "the stream was kept");
        assert_eq!(publish(&*bus, 2, &events(3..=3)).await, Ok(3));
    })
    .await;
}

#[tokio::test]
async fn a_server_that_stands_still_holds_nothing_up_for_long() {
    with_each(async |nats| {
        let bus = connected(&nats.url(), 1).await;
        end_of(&bus, PARTITION).await;
        nats.freeze();
        let calls = async {
            assert!(matches!(bus.end(PARTITION).await, Err(BusError::Unavailable(_))));
            assert!(matches!(publish(&*bus, 0, &events(1..=5)).await, Err(BusError::Unavailable(_))));
            bus.health().await;
            bus.close().await;
        };
        timeout(PATIENCE, calls).await.expect("every call is bounded");
        nats.thaw();
    })
    .await;
}

#[tokio::test]
async fn users_passwords_and_tokens_are_signed_in_with_and_wrong_ones_are_waited_out() {
    for program in Nats::programs() {
        let signed = "authorization: { users: [ { user: tidings, password: \"s3cr%t\" } ] }";
        let nats = Nats::start_program(&program, signed);
        let with = |who: &str| format!("nats://{who}@127.0.0.1:{}", nats.port());
        let bus = connected(&with("tidings:s3cr%25t"), 1).await;
        end_of(&bus, PARTITION).await;
        let wrong = bus_of(&with("tidings:wrong"), 1).await;
        assert!(matches!(wrong.end(PARTITION).await, Err(BusError::Unavailable(_))));

        let nats = Nats::start_program(&program, "authorization: { token: \"t0ken\" }");
        let bus = connected(&format!("nats://t0ken@127.0.0.1:{}", nats.port()), 1).await;
        end_of(&bus, PARTITION).await;
    }
}

#[tokio::test]
async fn the_brokers_durability_is_told_as_far_as_the_broker_tells_it() {
    with_each(async |nats| {
        let bus = connected(&nats.url(), 1).await;
        for partition in [0, 3] {
            end_of(&bus, PartitionId(partition)).await;
        }
        let health = bus.health().await;
        let setting =
            |name: &str| health.settings.iter().find(|(setting, _)| setting == name).map(|(_, value)| value.as_str());
        assert!(health.connected && setting("version").is_some_and(|version| version.starts_with('2')));
        assert_eq!((setting("storage"), setting("replicas")), (Some("file"), Some("1")));
        assert_eq!(setting("sync_interval"), Some("unknown"));
        assert!(health.warnings.iter().any(|warning| warning.contains("2 minutes")), "{:?}", health.warnings);
    })
    .await;
    for program in Nats::programs() {
        let without = Nats::start_program(&program, "jetstream: disabled");
        let bus = connected(&without.url(), 1).await;
        assert!(matches!(bus.end(PARTITION).await, Err(BusError::Unavailable(_))));
        let health = bus.health().await;
        assert!(health.settings.contains(&("jetstream".to_owned(), "off".to_owned())), "{health:?}");
    }
}

#[tokio::test]
async fn an_event_that_is_too_large_for_the_broker_keeps_its_place_without_its_body() {
    for program in Nats::programs() {
        let nats = Nats::start_program(&program, "max_payload: 4096");
        let bus = connected(&nats.url(), 1).await;
        end_of(&bus, PARTITION).await;
        let events = [event(1, "some text"), event(2, &"x".repeat(8_000)), event(3, "some text")];
        assert_eq!(publish(&*bus, 0, &events).await, Ok(3));
        let mut messages = async_nats::jetstream::new(async_nats::connect(nats.url()).await.unwrap())
            .get_stream("TIDINGS-EVENTS-3")
            .await
            .unwrap()
            .create_consumer(async_nats::jetstream::consumer::pull::Config::default())
            .await
            .unwrap()
            .messages()
            .await
            .unwrap()
            .take(3);
        let mut bodies = Vec::new();
        while let Some(message) = messages.next().await {
            let message = message.unwrap();
            let headers = message.headers.clone().unwrap();
            bodies.push((message.payload.len(), headers.get("Tidings-Omitted").map(|value| value.to_string())));
        }
        let whole = events[0].to_json().len();
        assert_eq!(bodies, [(whole, None), (0, Some("max_payload".to_owned())), (whole, None)]);
    }
}
