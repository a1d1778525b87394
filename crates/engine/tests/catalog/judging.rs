//! What becomes of events that break rules.

use tidings_catalog::mint::CurrentMint;
use tidings_engine::FeedStart;
use tidings_event::{Mint, SystemMint};

use super::*;
use crate::on_both;
use crate::support::{Failure, Log, PATIENCE};

on_both! {
    async fn a_refused_event_leaves_nothing(log: Log) {
        let engine = log.engine().await;
        push(&engine, &[CREATED]).await;
        let refused = emit(&engine, vec![created(1), created(-1), created(2)]).await;
        let Err(AppendError::Rejected { violations }) = refused else { panic!("{refused:?}") };
        assert_eq!(broken(&violations), [(1, "/data/number", "schema_range")]);
        assert_eq!(log_of(&engine, "acme").await.len(), 0);
        assert!(aside(&engine).await.is_empty() && marks(&engine).await.is_empty());
        assert_eq!(emit(&engine, vec![created(1)]).await.unwrap()[0].sequence.get(), 1);
        engine.shutdown().await;
    }

    async fn one_bad_event_among_many_is_found_wherever_it_stands(log: Log) {
        let engine = log.engine().await;
        push(&engine, &[CREATED]).await;
        for bad in [0_usize, 63, 64, 150, 199] {
            let events = (0..200).map(|n| created(if n == bad { -1 } else { 1 })).collect();
            let refused = emit(&engine, events).await;
            let Err(AppendError::Rejected { violations }) = refused else { panic!("{refused:?}") };
            assert_eq!(broken(&violations), [(bad, "/data/number", "schema_range")]);
        }
        let receipts = emit(&engine, (0..200).map(created).collect()).await.unwrap();
        let sequences: Vec<u64> = receipts.iter().map(|receipt| receipt.sequence.get()).collect();
        assert_eq!(sequences, (1..=200).collect::<Vec<_>>(), "in the order given");
        engine.shutdown().await;
    }

    async fn an_observed_event_is_marked_in_the_same_transaction(log: Log) {
        let (engine, store) = log.faulty(tidings_engine::Options::default()).await;
        push(&engine, &[CREATED, "{name: lenient, known: observe}"]).await;
        let bad = created(-1);
        // Neither the event nor its mark, or both.
        store.fail_next(Failure::BeforeCommit);
        assert!(emit(&engine, vec![bad.clone()]).await.is_err());
        assert!(marks(&engine).await.is_empty() && log_of(&engine, "acme").await.is_empty());
        store.fail_next(Failure::AfterCommit);
        assert!(emit(&engine, vec![created(1), bad.clone()]).await.is_err());
        let found = marks(&engine).await;
        assert_eq!((found.len(), found[0].sequence.get(), found[0].reasons[0].code), (1, 2, "schema_range"));
        // Sent again it is a duplicate, and not marked again.
        assert!(emit(&engine, vec![bad]).await.unwrap()[0].duplicate);
        assert_eq!(marks(&engine).await.len(), 1);
        engine.shutdown().await;
    }

    async fn of_two_concurrent_moves_from_one_state_exactly_one_is_taken(log: Log) {
        let engine = log.engine().await;
        push(&engine, &[MOVED]).await;
        for round in 0..20 {
            let lead = format!("lead_{round}");
            emit(&engine, vec![moved(&lead, "new")]).await.unwrap();
            let (won, lost) =
                tokio::join!(emit(&engine, vec![moved(&lead, "won")]), emit(&engine, vec![moved(&lead, "lost")]));
            let refused = match (won, lost) {
                (Ok(_), Err(AppendError::Rejected { violations }))
                | (Err(AppendError::Rejected { violations }), Ok(_)) => violations,
                both => panic!("{both:?}"),
            };
            assert_eq!(broken(&refused), [(0, "/data/to", "transition_forbidden")]);
        }
        assert_eq!(log_of(&engine, "acme").await.len(), 40);
        engine.shutdown().await;
    }

    async fn a_whole_life_may_come_in_one_request_but_not_a_wrong_one(log: Log) {
        let engine = log.engine().await;
        push(&engine, &[MOVED]).await;
        let life = |states: &[&str]| states.iter().map(|state| moved("a", state)).collect::<Vec<_>>();
        let refused = emit(&engine, life(&["new", "won", "lost"])).await;
        let Err(AppendError::Rejected { violations }) = refused else { panic!("{refused:?}") };
        assert_eq!(broken(&violations), [(2, "/data/to", "transition_forbidden")]);
        let refused = emit(&engine, life(&["won"])).await;
        let Err(AppendError::Rejected { violations }) = refused else { panic!("{refused:?}") };
        assert_eq!(broken(&violations), [(0, "/data/to", "initial_state_forbidden")]);
        assert_eq!(log_of(&engine, "acme").await.len(), 0);
        emit(&engine, life(&["new", "lost", "new", "won"])).await.unwrap();
        engine.shutdown().await;
    }

    async fn a_duplicate_of_an_accepted_event_is_answered_as_such_after_the_rules_were_tightened(log: Log) {
        let engine = log.engine().await;
        let old = created(-1);
        emit(&engine, vec![old.clone()]).await.unwrap();
        for mode in ["strict", "quarantine"] {
            push(&engine, &[CREATED, &format!("{{name: all, known: {mode}}}")]).await;
            let receipts = emit(&engine, vec![created(1), old.clone()]).await.unwrap();
            assert_eq!((receipts[1].sequence.get(), receipts[1].duplicate), (1, true));
            // One that the log does not hold is stopped, and of the old one nothing is said.
            let Err(error) = emit(&engine, vec![old.clone(), created(-2)]).await else { panic!("it was taken") };
            let (AppendError::Rejected { violations } | AppendError::Quarantined { violations }) = error else {
                panic!("{error:?}")
            };
            assert_eq!(broken(&violations), [(1, "/data/number", "schema_range")]);
            // The same id with other content is no duplicate.
            let other = Event { id: old.id.clone(), ..created(-3) };
            assert!(emit(&engine, vec![other]).await.is_err());
        }
        engine.shutdown().await;
    }

    async fn a_duplicate_of_an_accepted_event_is_answered_as_such_after_its_type_went_to_another_service(log: Log) {
        let engine = log.engine().await;
        let old = created(1);
        engine.emit(&nameless(), vec![old.clone()]).await.unwrap();
        push(&engine, &[&CREATED.replace("owner: sales", "owner: billing")]).await;
        // Whoever speaks in another's name never emitted it.
        let refused = engine.emit(&service("billing"), vec![old.clone()]).await;
        let Err(AppendError::NotOwned { violations }) = refused else { panic!("{refused:?}") };
        assert_eq!(broken(&violations), [(0, "/source/id", "source_not_own")]);
        for emitter in [nameless(), service("sales"), admin()] {
            let receipts = engine.emit(&emitter, vec![old.clone()]).await.unwrap();
            assert_eq!((receipts[0].sequence.get(), receipts[0].duplicate), (1, true), "{emitter:?}");
            // One that the log does not hold is refused, and of the old one nothing is said.
            let refused = engine.emit(&emitter, vec![old.clone(), created(2)]).await;
            let Err(AppendError::NotOwned { violations }) = refused else { panic!("{refused:?}") };
            assert_eq!(broken(&violations)[0].0, 1);
            assert_eq!(violations.len(), 1);
        }
        assert_eq!(log_of(&engine, "acme").await.len(), 1);
        engine.shutdown().await;
    }

    async fn nobody_emits_on_behalf_of_another(log: Log) {
        let engine = log.engine().await;
        push(&engine, &[CREATED]).await;
        let of = |source: &str, event: Event| {
            let mut event = event;
            event.source.id = Text::parse(source).unwrap();
            event
        };
        let rows = [
            (service("sales"), of("sales", created(1)), None),
            (service("sales"), of("sales.import", created(1)), None),
            (service("sales"), of("billing", created(1)), Some("source_not_own")),
            (service("billing"), of("billing", created(1)), Some("type_not_owned")),
            (service("billing"), of("sales", created(1)), Some("source_not_own")),
            (service("billing"), of("sales", support::typed("acme", "sales.lead.unknown", "{}")), Some("source_not_own")),
            (nameless(), of("sales", created(1)), Some("key_without_service")),
            (nameless(), support::typed("acme", "sales.lead.unknown", "{}"), None),
            (admin(), of("sales", created(1)), None),
            (admin(), of("billing", created(1)), Some("type_not_owned")),
        ];
        for (emitter, event, expected) in rows {
            // Whatever else is in the request, and whatever mode holds.
            let answer = engine.emit(&emitter, vec![event.clone()]).await;
            match (answer, expected) {
                (Ok(_), None) => {}
                (Err(AppendError::NotOwned { violations }), Some(code)) => assert_eq!(broken(&violations)[0].2, code),
                (answer, expected) => panic!("{answer:?} instead of {expected:?} for {emitter:?} {event:?}"),
            }
        }
        assert_eq!(log_of(&engine, "acme").await.len(), 4);
        engine.shutdown().await;
    }

    async fn emitting_on_behalf_of_another_is_told_once_a_minute_for_each_key_and_type(log: Log) {
        let engine = log.engine().await;
        push(&engine, &[CREATED, MOVED]).await;
        let mut feed = engine
            .feed(
                &tenant("$system"),
                FeedStart::Start,
                Arc::new(Selection::new(&["tidings.catalog.ownership_violated".to_owned()], None).unwrap()),
            )
            .await
            .unwrap();
        let mut told = Vec::new();
        for event in [created(1), created(2), moved("a", "new")] {
            engine.emit(&nameless(), vec![event]).await.unwrap_err();
        }
        while told.len() < 2 {
            let page = feed.next(support::PAGE, PATIENCE).await.unwrap();
            told.extend(page.events.iter().map(|event| data(&event.recorded)));
        }
        told.sort_by_key(|said| said["type"].to_string());
        for (said, event_type) in told.iter().zip(["sales.lead.created", "sales.lead.moved"]) {
            assert_eq!(said["type"], event_type);
            assert_eq!((&said["key"], &said["owner"], &said["tenant"]), (&"key_nameless".into(), &"sales".into(), &"acme".into()));
            assert_eq!(said["source"]["id"], "sales");
        }
        engine.emit(&nameless(), vec![created(3)]).await.unwrap_err();
        engine.emit(&service("billing"), vec![created(3)]).await.unwrap_err();
        while told.len() < 3 {
            let page = feed.next(support::PAGE, PATIENCE).await.unwrap();
            told.extend(page.events.iter().map(|event| data(&event.recorded)));
        }
        assert_eq!(told[2]["key"], "key_billing");
        engine.shutdown().await;
        // Nothing was on its way any more.
        let engine = log.engine().await;
        let events = log_of(&engine, "$system").await;
        assert_eq!(events.iter().filter(|event| event.event.event_type.as_str().ends_with("violated")).count(), 3);
        engine.shutdown().await;
    }

    async fn unknown_types_and_versions_are_judged_by_their_own_mode(log: Log) {
        let engine = log.engine().await;
        push(&engine, &[CREATED]).await;
        let unknown = || support::typed("acme", "sales.lead.lost", "{}");
        let version_9 = || Event { version: "9".parse().unwrap(), ..created(-1) };
        emit(&engine, vec![unknown(), version_9()]).await.unwrap();
        for (mode, elsewhere) in [("observe", "strict"), ("quarantine", "off"), ("strict", "observe")] {
            push(&engine, &[
                &format!("{{name: all, unknown: {elsewhere}}}"),
                &format!("{{name: acme, tenant: acme, types: sales.*, unknown: {mode}}}"),
            ]).await;
            for (event, code) in [(unknown(), "type_unknown"), (version_9(), "version_unknown")] {
                let before = marks(&engine).await.len();
                let code_of = |violations: &[(usize, Vec<Violation>)]| violations[0].1[0].code;
                match (mode, emit(&engine, vec![event]).await) {
                    ("observe", Ok(_)) => assert_eq!(marks(&engine).await.len(), before + 1),
                    ("quarantine", Err(AppendError::Quarantined { violations }))
                    | ("strict", Err(AppendError::Rejected { violations })) => assert_eq!(code_of(&violations), code),
                    (mode, answer) => panic!("{mode}: {answer:?}"),
                }
            }
        }
        assert_eq!(aside(&engine).await.len(), 2);
        engine.shutdown().await;
    }

    async fn a_version_that_is_not_given_is_the_current_one(log: Log) {
        let engine = log.engine().await;
        let version = |engine: &Engine| {
            let mut mint = CurrentMint { given: SystemMint::default(), catalog: &engine.catalog() };
            mint.version(&created(1).event_type).to_string()
        };
        assert_eq!(version(&engine), "1");
        push(&engine, &[CREATED]).await;
        let draft = CREATED.replace("\"1\"", "\"2\"").replace("lifecycle: stable", "lifecycle: draft");
        push(&engine, &[&draft]).await;
        assert_eq!(version(&engine), "1", "a draft is not current yet");
        push(&engine, &[&CREATED.replace("\"1\"", "\"2\"")]).await;
        assert_eq!(version(&engine), "2");
        engine.shutdown().await;
    }

    async fn tidings_own_events_are_never_judged(log: Log) {
        let engine = log.engine().await;
        push(&engine, &["{name: all, unknown: strict}"]).await;
        push(&engine, &[CREATED]).await;
        let told = log_of(&engine, "$system").await;
        assert_eq!(told.len(), 2);
        assert!(told.iter().all(|event| event.event.event_type.as_str() == "tidings.catalog.changed"));
        engine.shutdown().await;
    }
}
