//! What each driver's module promises to a producer.
#![cfg(all(feature = "rusqlite", feature = "tokio-postgres", feature = "sqlx"))]
#![allow(clippy::unwrap_used)]

use tidings_event::{Data, Entity, Event, EventType, Source, SourceKind, SystemMint, TenantId, Text, parse_event};
use tidings_outbox::{Error, IntentOutcome, Probe};
use tidings_testkit::{Database, Postgres};

fn event(data: &str) -> Event {
    let mut event = Event::new(
        EventType::parse("sales.lead.created").unwrap(),
        TenantId::parse("acme").unwrap(),
        Source { kind: SourceKind::Service, id: Text::parse("sales").unwrap() },
        Data::parse(data.to_owned()).unwrap(),
        &mut SystemMint::default(),
    );
    event.entity = Some(Entity { kind: Text::parse("lead").unwrap(), id: Text::parse("lead_42").unwrap() });
    event
}

fn parsed(stored: &str) -> Event {
    parse_event(stored.as_bytes(), &mut SystemMint::default()).unwrap()
}

mod rusqlite {
    use ::rusqlite::Connection;
    use tidings_outbox::rusqlite as outbox;

    use super::*;

    fn installed() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        outbox::install(&mut connection).unwrap();
        outbox::install(&mut connection).unwrap();
        connection
    }

    fn states(connection: &Connection) -> Vec<(String, String)> {
        let mut statement = connection.prepare("select source_key, state from tidings_outbox order by id").unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn an_event_is_committed_with_its_transaction_or_not_at_all() {
        let mut connection = installed();
        let event = event(r#"{ "a": 1.0 }"#);
        let tx = connection.transaction().unwrap();
        outbox::append(&tx, &event).unwrap();
        drop(tx);
        assert!(states(&connection).is_empty());
        let mut tx = connection.transaction().unwrap();
        outbox::append(&tx.savepoint().unwrap(), &event).unwrap();
        assert_eq!(states(&tx).len(), 0, "a savepoint that is dropped is rolled back");
        outbox::append(&tx, &event).unwrap();
        tx.commit().unwrap();
        let stored: String = connection.query_row("select event from tidings_outbox", [], |row| row.get(0)).unwrap();
        assert_eq!(parsed(&stored), event);
    }

    #[test]
    fn the_same_event_again_changes_nothing_and_another_is_told() {
        let mut connection = installed();
        let tx = connection.transaction().unwrap();
        let first = event(r#"{"a":1}"#);
        outbox::append(&tx, &first).unwrap();
        outbox::append(&tx, &Event { timestamp: tidings_event::Timestamp::from_micros(1), ..first.clone() }).unwrap();
        let other = Event { data: Data::parse(r#"{"a":2}"#.to_owned()).unwrap(), ..first.clone() };
        assert!(matches!(outbox::append(&tx, &other), Err(Error::SourceKeyTaken(key)) if key == first.id));
        assert_eq!(states(&tx).len(), 1);
        let large = Event { data: Data::trusted(vec![b' '; 262_145]), ..first };
        assert!(matches!(outbox::append(&tx, &large), Err(Error::DataTooLarge { bytes: 262_145, .. })));
    }

    #[test]
    fn an_intent_is_confirmed_or_discarded_once() {
        let mut connection = installed();
        let tx = connection.transaction().unwrap();
        let (kept, dropped, plain) = (event("{}"), event("{}"), event("{}"));
        let probe = Probe::row("shop", "orders").key("id", 1);
        outbox::append_intent(&tx, &kept, Some(&probe)).unwrap();
        outbox::append_intent(&tx, &kept, Some(&probe)).unwrap();
        outbox::append_intent(&tx, &dropped, None).unwrap();
        outbox::append(&tx, &plain).unwrap();
        assert_eq!(outbox::confirm_intent(&tx, &kept.id).unwrap(), IntentOutcome::Done);
        assert_eq!(outbox::confirm_intent(&tx, &kept.id).unwrap(), IntentOutcome::AlreadyConfirmed);
        assert_eq!(outbox::discard_intent(&tx, &kept.id).unwrap(), IntentOutcome::AlreadyConfirmed);
        assert_eq!(outbox::discard_intent(&tx, &dropped.id).unwrap(), IntentOutcome::Done);
        assert_eq!(outbox::confirm_intent(&tx, &dropped.id).unwrap(), IntentOutcome::Absent);
        let confirmed = |event: &Event| (event.id.to_string(), "confirmed".to_owned());
        assert_eq!(states(&tx), [confirmed(&plain), confirmed(&kept)]);
    }

    #[test]
    fn a_database_without_tables_says_so() {
        let mut connection = Connection::open_in_memory().unwrap();
        assert_eq!(outbox::version(&connection).unwrap(), None);
        let tx = connection.transaction().unwrap();
        assert!(matches!(outbox::append(&tx, &event("{}")), Err(Error::NotInstalled)));
        let tenant = TenantId::parse("acme").unwrap();
        assert!(matches!(outbox::inbox::mark(&tx, "c", &tenant), Err(Error::NotInstalled)));
        drop(tx);
        outbox::install(&mut connection).unwrap();
        assert_eq!(outbox::version(&connection).unwrap(), Some(1));
        connection.execute_batch("update tidings_outbox_meta set version = 9").unwrap();
        assert!(matches!(outbox::install(&mut connection), Err(Error::TooNew { installed: 9, known: 1 })));
    }
}

async fn states(database: &Database) -> Vec<(String, String)> {
    let client = database.connect().await;
    let rows = client.query("select source_key, state from tidings.outbox order by id", &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

async fn stored(database: &Database) -> String {
    let client = database.connect().await;
    client.query_one("select event::text from tidings.outbox", &[]).await.unwrap().get(0)
}

mod tokio_postgres {
    use tidings_outbox::tokio_postgres as outbox;

    use super::*;

    async fn installed() -> (Database, ::tokio_postgres::Client) {
        let database = Postgres::shared().database().await;
        let mut client = database.connect().await;
        outbox::install(&mut client).await.unwrap();
        (database, client)
    }

    #[tokio::test]
    async fn an_event_is_committed_with_its_transaction_or_not_at_all() {
        let (database, mut client) = installed().await;
        let event = event(r#"{ "a": 1.0 }"#);
        let tx = client.transaction().await.unwrap();
        outbox::append(&tx, &event).await.unwrap();
        tx.rollback().await.unwrap();
        assert!(states(&database).await.is_empty());
        let tx = client.transaction().await.unwrap();
        outbox::append(&tx, &event).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(parsed(&stored(&database).await), event);
    }

    #[tokio::test]
    async fn an_append_is_on_its_way_when_it_was_polled_once() {
        let (database, mut client) = installed().await;
        let event = event("{}");
        let tx = client.transaction().await.unwrap();
        {
            let mut append = std::pin::pin!(outbox::append(&tx, &event));
            let polled = futures_util::poll!(&mut append);
            assert!(polled.is_pending());
            // Never polled again: the answer of a later statement proves that the first was sent before it.
            let row = tx.query_one("select count(*) from tidings.outbox", &[]).await.unwrap();
            assert_eq!(row.get::<_, i64>(0), 1);
        }
        tx.commit().await.unwrap();
        assert_eq!(states(&database).await.len(), 1);
    }

    #[tokio::test]
    async fn the_same_event_again_changes_nothing_and_another_leaves_the_transaction_usable() {
        let (database, mut client) = installed().await;
        let tx = client.transaction().await.unwrap();
        let first = event(r#"{"a":1}"#);
        outbox::append(&tx, &first).await.unwrap();
        outbox::append(&tx, &Event { timestamp: tidings_event::Timestamp::from_micros(1), ..first.clone() })
            .await
            .unwrap();
        let other = Event { data: Data::parse(r#"{"a":2}"#.to_owned()).unwrap(), ..first.clone() };
        assert!(matches!(outbox::append(&tx, &other).await, Err(Error::SourceKeyTaken(key)) if key == first.id));
        let large = Event { data: Data::trusted(vec![b' '; 262_145]), ..first };
        assert!(matches!(outbox::append(&tx, &large).await, Err(Error::DataTooLarge { .. })));
        tx.commit().await.unwrap();
        assert_eq!(states(&database).await.len(), 1);
    }

    #[tokio::test]
    async fn many_events_keep_their_order_and_a_taken_key_is_told() {
        let (database, mut client) = installed().await;
        let events: Vec<Event> = (0..50).map(|n| event(&format!(r#"{{"n":{n}}}"#))).collect();
        let tx = client.transaction().await.unwrap();
        outbox::append_all(&tx, &events).await.unwrap();
        outbox::append_all(&tx, &events[10..]).await.unwrap();
        outbox::append_all(&tx, &[]).await.unwrap();
        let fresh = event("{}");
        outbox::append_all(&tx, &[fresh.clone(), fresh.clone(), events[0].clone()]).await.unwrap();
        let other = Event { data: Data::parse(r#"{"n":-1}"#.to_owned()).unwrap(), ..events[3].clone() };
        assert!(matches!(outbox::append_all(&tx, &[event("{}"), other]).await, Err(Error::SourceKeyTaken(_))));
        tx.commit().await.unwrap();
        let keys: Vec<String> = states(&database).await.into_iter().map(|(key, _)| key).collect();
        let expect: Vec<String> = events.iter().chain([&fresh]).map(|event| event.id.to_string()).collect();
        assert_eq!(keys[..51], expect[..]);
    }

    #[tokio::test]
    async fn an_intent_is_confirmed_or_discarded_once() {
        let (database, mut client) = installed().await;
        let tx = client.transaction().await.unwrap();
        let (kept, dropped, plain) = (event("{}"), event("{}"), event("{}"));
        let probe = Probe::http("https://shop.example/orders/1").stale_after_s(10);
        outbox::append_intent(&tx, &kept, Some(&probe)).await.unwrap();
        outbox::append_intent(&tx, &kept, Some(&probe)).await.unwrap();
        outbox::append_intent(&tx, &dropped, None).await.unwrap();
        outbox::append(&tx, &plain).await.unwrap();
        assert_eq!(outbox::confirm_intent(&tx, &kept.id).await.unwrap(), IntentOutcome::Done);
        assert_eq!(outbox::confirm_intent(&tx, &kept.id).await.unwrap(), IntentOutcome::AlreadyConfirmed);
        assert_eq!(outbox::discard_intent(&tx, &kept.id).await.unwrap(), IntentOutcome::AlreadyConfirmed);
        assert_eq!(outbox::discard_intent(&tx, &dropped.id).await.unwrap(), IntentOutcome::Done);
        assert_eq!(outbox::confirm_intent(&tx, &dropped.id).await.unwrap(), IntentOutcome::Absent);
        tx.commit().await.unwrap();
        let confirmed = |event: &Event| (event.id.to_string(), "confirmed".to_owned());
        assert_eq!(states(&database).await, [confirmed(&plain), confirmed(&kept)]);
    }

    #[tokio::test]
    async fn a_database_without_tables_says_so() {
        let database = Postgres::shared().database().await;
        let mut client = database.connect().await;
        assert_eq!(outbox::version(&client).await.unwrap(), None);
        let tx = client.transaction().await.unwrap();
        assert!(matches!(outbox::append(&tx, &event("{}")).await, Err(Error::NotInstalled)));
    }

    #[tokio::test]
    async fn a_waker_sends_the_last_hint_too() {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1_000);
        let waker = tidings_outbox::Waker::start(move || {
            let sender = sender.clone();
            async move { sender.send(()).await.unwrap() }
        });
        for _ in 0..3 {
            // Many wakes in one go are one hint; each after the last hint was seen is another.
            (0..100).for_each(|_| waker.wake());
            receiver.recv().await.unwrap();
        }
        assert!(receiver.len() <= 1);
    }
}

mod sqlx {
    use ::sqlx::PgPool;
    use tidings_outbox::inbox::{Acceptance, Delivery};
    use tidings_outbox::sqlx as outbox;

    use super::*;

    async fn installed() -> (Database, PgPool) {
        let database = Postgres::shared().database().await;
        let pool = PgPool::connect(&database.url()).await.unwrap();
        assert_eq!(outbox::version(&pool).await.unwrap(), None);
        outbox::install(&pool).await.unwrap();
        outbox::install(&pool).await.unwrap();
        assert_eq!(outbox::version(&pool).await.unwrap(), Some(1));
        (database, pool)
    }

    #[tokio::test]
    async fn an_event_is_committed_with_its_transaction_or_not_at_all() {
        let (database, pool) = installed().await;
        let event = event(r#"{ "a": 1.0 }"#);
        let mut tx = pool.begin().await.unwrap();
        outbox::append(&mut tx, &event).await.unwrap();
        tx.rollback().await.unwrap();
        assert!(states(&database).await.is_empty());
        let mut tx = pool.begin().await.unwrap();
        outbox::append(&mut tx, &event).await.unwrap();
        outbox::append(&mut tx, &event).await.unwrap();
        let other = Event { data: Data::parse(r#"{"a":2}"#.to_owned()).unwrap(), ..event.clone() };
        assert!(matches!(outbox::append(&mut tx, &other).await, Err(Error::SourceKeyTaken(_))));
        tx.commit().await.unwrap();
        assert_eq!(parsed(&stored(&database).await), event);
        outbox::notify(&pool).await.unwrap();
    }

    #[tokio::test]
    async fn an_intent_is_confirmed_or_discarded_once() {
        let (_database, pool) = installed().await;
        let mut tx = pool.begin().await.unwrap();
        let (kept, dropped) = (event("{}"), event("{}"));
        outbox::append_intent(&mut tx, &kept, Some(&Probe::platform_row("orders").key("id", 1))).await.unwrap();
        outbox::append_intent(&mut tx, &dropped, None).await.unwrap();
        assert_eq!(outbox::confirm_intent(&mut tx, &kept.id).await.unwrap(), IntentOutcome::Done);
        assert_eq!(outbox::confirm_intent(&mut tx, &kept.id).await.unwrap(), IntentOutcome::AlreadyConfirmed);
        assert_eq!(outbox::discard_intent(&mut tx, &dropped.id).await.unwrap(), IntentOutcome::Done);
        assert_eq!(outbox::discard_intent(&mut tx, &dropped.id).await.unwrap(), IntentOutcome::Absent);
    }

    #[tokio::test]
    async fn the_inbox_judges_by_its_mark() {
        let (_database, pool) = installed().await;
        let tenant = TenantId::parse("acme").unwrap();
        let mut tx = pool.begin().await.unwrap();
        assert!(matches!(outbox::inbox::mark(&mut tx, "c", &tenant).await, Err(Error::NotInstalled)));
        tx.rollback().await.unwrap();
        outbox::inbox::install(&pool).await.unwrap();

        let mut tx = pool.begin().await.unwrap();
        for (sequence, previous, expect) in [
            (5, Some("3"), Acceptance::Early { after: tidings_event::Sequence(0) }),
            (3, None, Acceptance::Fresh),
            (3, None, Acceptance::Duplicate),
            (5, Some("3"), Acceptance::Fresh),
            (9, Some("7"), Acceptance::Early { after: tidings_event::Sequence(5) }),
        ] {
            let delivery = Delivery::from_headers(&sequence.to_string(), previous).unwrap();
            assert_eq!(outbox::inbox::accept(&mut tx, "c", &tenant, delivery).await.unwrap(), expect);
        }
        outbox::inbox::advance(&mut tx, "c", &tenant, tidings_event::Sequence(8), Some("cursor")).await.unwrap();
        outbox::inbox::advance(&mut tx, "c", &tenant, tidings_event::Sequence(2), Some("older")).await.unwrap();
        outbox::inbox::begin_at(&mut tx, "c", &tenant, tidings_event::Sequence(1)).await.unwrap();
        let mark = outbox::inbox::mark(&mut tx, "c", &tenant).await.unwrap().unwrap();
        assert_eq!((mark.sequence.get(), mark.cursor.as_deref()), (8, Some("cursor")));
        outbox::inbox::forget(&mut tx, "c", &tenant).await.unwrap();
        assert_eq!(outbox::inbox::mark(&mut tx, "c", &tenant).await.unwrap(), None);
    }
}
