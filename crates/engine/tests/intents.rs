//! What two-step emission promises.
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy does not see that macros make these")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use support::{Log, PAGE, admin, event, numbered, read, reader, tenant};
use tidings_core::reconcile::Stored;
use tidings_engine::{Engine, Error, FeedStart, IntentAnswer, IntentState, PLATFORM, Selection};
use tidings_event::{Data, Event};

async fn create(engine: &Engine, event: &Event) -> Result<IntentState, Error> {
    engine.create_intent(&admin(), event.clone(), &Stored::default()).await
}

/// The sequences that a tenant has, by event id.
async fn on_the_feed(engine: &Engine) -> Vec<String> {
    let mut feed = engine.feed(&tenant("acme"), FeedStart::Start, Arc::new(Selection::all())).await.unwrap();
    let page = feed.next(PAGE, Duration::ZERO).await.unwrap();
    page.events.iter().map(|event| event.recorded.event.id.to_string()).collect()
}

on_both! {
    async fn an_intent_is_on_the_feed_once_it_is_confirmed_and_not_before(log: Log) {
        let engine = log.engine_with_outbox().await;
        let intended = event("acme", r#"{"amount":1.10}"#);
        assert_eq!(create(&engine, &intended).await.unwrap(), IntentState::Intent);
        assert_eq!(create(&engine, &intended).await.unwrap(), IntentState::Intent, "writing it again changes nothing");
        // An event that was emitted later passes the intent.
        engine.append(numbered("acme", 1)).await.unwrap();
        let mut feed = reader(&engine, "acme", FeedStart::Start).await;
        assert_eq!(read(&mut feed, 1).await, [1]);
        assert_eq!(engine.source_status(PLATFORM).await.unwrap().intents, 1);

        assert_eq!(engine.confirm_intent(&intended.id).await.unwrap(), IntentAnswer::Done);
        assert_eq!(read(&mut feed, 1).await, [2]);
        let recorded = engine.event(&tenant("acme"), &intended.id).await.unwrap().unwrap();
        assert_eq!(recorded.event, intended);
        assert_eq!(engine.confirm_intent(&intended.id).await.unwrap(), IntentAnswer::AlreadyConfirmed);
        assert_eq!(engine.discard_intent(&intended.id).await.unwrap(), IntentAnswer::AlreadyConfirmed);
        assert_eq!(create(&engine, &intended).await.unwrap(), IntentState::Confirmed);
        engine.shutdown().await;
    }

    async fn a_discarded_intent_never_appears(log: Log) {
        let engine = log.engine_with_outbox().await;
        let (discarded, confirmed) = (event("acme", "{}"), event("acme", "{}"));
        create(&engine, &discarded).await.unwrap();
        create(&engine, &confirmed).await.unwrap();
        assert_eq!(engine.discard_intent(&discarded.id).await.unwrap(), IntentAnswer::Done);
        assert_eq!(engine.discard_intent(&discarded.id).await.unwrap(), IntentAnswer::Absent);
        assert_eq!(engine.confirm_intent(&discarded.id).await.unwrap(), IntentAnswer::Absent);
        assert_eq!(engine.confirm_intent(&confirmed.id).await.unwrap(), IntentAnswer::Done);
        let mut feed = reader(&engine, "acme", FeedStart::Start).await;
        assert_eq!(read(&mut feed, 1).await, [1]);
        assert_eq!(on_the_feed(&engine).await, [confirmed.id.to_string()]);
        engine.shutdown().await;
    }

    async fn an_intent_whose_id_is_taken_is_refused_before_it_can_be_confirmed(log: Log) {
        let engine = log.engine_with_outbox().await;
        let intended = event("acme", r#"{"amount":1}"#);
        let other = Event { data: Data::trusted(r#"{"amount":2}"#), ..intended.clone() };
        create(&engine, &intended).await.unwrap();
        assert!(matches!(create(&engine, &other).await, Err(Error::IntentConflict)), "by another intent");
        let recorded = event("acme", r#"{"amount":1}"#);
        engine.append(vec![recorded.clone()]).await.unwrap();
        let other = Event { data: Data::trusted(r#"{"amount":2}"#), ..recorded.clone() };
        assert!(matches!(create(&engine, &other).await, Err(Error::IntentConflict)), "by an event of the log");
        assert_eq!(create(&engine, &recorded).await.unwrap(), IntentState::Confirmed);
        engine.shutdown().await;
    }

    async fn what_was_confirmed_before_a_shutdown_is_in_the_log_after_a_start(log: Log) {
        let engine = log.engine_with_outbox().await;
        let events: Vec<Event> = numbered("acme", 20);
        for event in &events {
            create(&engine, event).await.unwrap();
            engine.confirm_intent(&event.id).await.unwrap();
        }
        engine.shutdown().await;
        assert!(matches!(create(&engine, &events[0]).await, Err(Error::ShuttingDown)));
        assert!(matches!(engine.confirm_intent(&events[0].id).await, Err(Error::ShuttingDown)));
        let engine = log.engine_with_outbox().await;
        let mut feed = reader(&engine, "acme", FeedStart::Start).await;
        read(&mut feed, 20).await;
        let expected: Vec<String> = events.iter().map(|event| event.id.to_string()).collect();
        assert_eq!(on_the_feed(&engine).await, expected, "each once, in the order of the outbox");
        engine.shutdown().await;
    }

    async fn a_source_that_is_not_configured_is_named_as_such(log: Log) {
        let engine = log.engine_with_outbox().await;
        assert_eq!(engine.sources(), [PLATFORM]);
        assert!(matches!(engine.refused("shop", 0, 10).await, Err(Error::SourceNotFound)));
        assert!(matches!(engine.source_status("shop").await, Err(Error::SourceNotFound)));
        assert!(engine.refused(PLATFORM, 0, 10).await.unwrap().is_empty());
        assert!(!engine.retry_refused(PLATFORM, 1, None).await.unwrap());
        assert!(!engine.discard_refused(PLATFORM, 1).await.unwrap());
        engine.shutdown().await;
    }
}
