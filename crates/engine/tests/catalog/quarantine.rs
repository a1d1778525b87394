//! What becomes of events in quarantine.

use tidings_engine::catalog::{CatalogError, Redriven};
use tidings_event::{EventType, Sequence};

use super::*;
use crate::on_both;
use crate::support::{Failure, Log};

const KEPT: &str = "{name: all, known: quarantine}";

fn quarantined(answer: Result<Vec<Receipt>, AppendError>) -> Vec<(usize, String)> {
    let Err(AppendError::Quarantined { violations }) = answer else { panic!("{answer:?}") };
    broken(&violations).into_iter().map(|(index, _, code)| (index, code.to_owned())).collect()
}

async fn told(engine: &Engine) -> Vec<(String, serde_json::Value)> {
    let events = log_of(engine, "$system").await;
    let quarantine = events.iter().filter(|event| event.event.event_type.as_str().starts_with("tidings.quarantine."));
    quarantine.map(|event| (event.event.event_type.to_string(), data(event))).collect()
}

on_both! {
    async fn an_event_in_quarantine_never_enters_the_log_until_it_is_redriven_and_then_exactly_once(log: Log) {
        let (engine, store) = log.faulty(tidings_engine::Options::default()).await;
        push(&engine, &[CREATED, KEPT]).await;
        let bad = created(-1);
        assert_eq!(quarantined(emit(&engine, vec![created(1), bad.clone()]).await), [(1, "schema_range".to_owned())]);
        assert_eq!(quarantined(emit(&engine, vec![bad.clone()]).await), [(0, "schema_range".to_owned())]);
        // Who names no timestamp gets another one each time.
        let again = Event { timestamp: tidings_event::Timestamp::from_micros(0), ..bad.clone() };
        assert_eq!(quarantined(emit(&engine, vec![again]).await), [(0, "schema_range".to_owned())]);
        assert!(log_of(&engine, "acme").await.is_empty(), "nothing of the requests is written");
        let kept = aside(&engine).await;
        assert_eq!(kept.len(), 1, "the same event is kept once");
        assert_eq!((kept[0].event_id.as_str(), kept[0].sender.as_str()), (bad.id.as_str(), "admin"));
        assert_eq!(kept[0].reasons[0].path, "/data/number");
        assert_eq!(kept[0].event.as_bytes(), bad.to_json());

        // As long as the rules stand it stays.
        let (catalogs, acme, no) = (engine.catalogs(), tenant("acme"), kept[0].no);
        let answer = catalogs.redrive(&boss(), &acme, no, false).await.unwrap();
        assert!(matches!(&answer, Redriven::Kept(violations) if violations[0].code == "schema_range"), "{answer:?}");
        assert!(log_of(&engine, "acme").await.is_empty() && aside(&engine).await.len() == 1);

        // A crash between the log and the quarantine repeats nothing.
        push(&engine, &["{name: all, known: off}"]).await;
        store.fail_next_aside(Failure::BeforeCommit);
        catalogs.redrive(&boss(), &acme, no, false).await.unwrap_err();
        assert_eq!((log_of(&engine, "acme").await.len(), aside(&engine).await.len()), (1, 1));
        let answer = catalogs.redrive(&boss(), &acme, no, false).await.unwrap();
        assert_eq!(answer, Redriven::Appended(Receipt { sequence: Sequence(1), duplicate: true }));
        assert_eq!((log_of(&engine, "acme").await.len(), aside(&engine).await.len()), (1, 0));
        assert_eq!(log_of(&engine, "acme").await[0].event, bad);
        let gone = catalogs.redrive(&boss(), &acme, no, false).await;
        assert!(matches!(gone, Err(CatalogError::QuarantinedNotFound)), "{gone:?}");
        let told = told(&engine).await;
        assert_eq!((told.len(), told[0].0.as_str(), &told[0].1["count"]), (1, "tidings.quarantine.redriven", &1.into()));
        assert_eq!(told[0].1["by"]["key"], "admin");
        engine.shutdown().await;
    }

    async fn an_event_is_redriven_as_it_is_when_a_person_wants_that_and_marked(log: Log) {
        let engine = log.engine().await;
        push(&engine, &[CREATED, MOVED, KEPT]).await;
        quarantined(emit(&engine, vec![created(-1)]).await);
        quarantined(emit(&engine, vec![moved("a", "won")]).await);
        let kept = aside(&engine).await;
        for one in &kept {
            let answer = engine.catalogs().redrive(&boss(), &tenant("acme"), one.no, true).await.unwrap();
            assert!(matches!(answer, Redriven::Appended(_)), "{answer:?}");
        }
        let codes: Vec<&str> = marks(&engine).await.iter().map(|mark| mark.reasons[0].code).collect();
        assert_eq!(codes, ["initial_state_forbidden", "schema_range"], "newest first");
        assert!(aside(&engine).await.is_empty());
        engine.shutdown().await;
    }

    async fn an_event_whose_state_does_not_fit_is_put_aside_and_can_come_later(log: Log) {
        let engine = log.engine().await;
        push(&engine, &[MOVED, KEPT]).await;
        assert_eq!(
            quarantined(emit(&engine, vec![moved("b", "new"), moved("a", "won")]).await),
            [(1, "initial_state_forbidden".to_owned())]
        );
        assert!(log_of(&engine, "acme").await.is_empty());
        emit(&engine, vec![moved("a", "new")]).await.unwrap();
        let no = aside(&engine).await[0].no;
        let answer = engine.catalogs().redrive(&boss(), &tenant("acme"), no, false).await.unwrap();
        assert_eq!(answer, Redriven::Appended(Receipt { sequence: Sequence(2), duplicate: false }));
        engine.shutdown().await;
    }

    async fn where_one_event_is_refused_none_is_put_aside(log: Log) {
        let engine = log.engine().await;
        push(&engine, &[CREATED, MOVED, "{name: created, types: sales.lead.created, known: quarantine}"]).await;
        let bad_move = Event { data: tidings_event::Data::trusted("{}"), ..moved("a", "new") };
        let refused = emit(&engine, vec![created(-1), bad_move]).await;
        let Err(AppendError::Rejected { violations }) = refused else { panic!("{refused:?}") };
        assert_eq!(broken(&violations).len(), 2, "all that is wrong is told");
        assert!(aside(&engine).await.is_empty() && log_of(&engine, "acme").await.is_empty());
        engine.shutdown().await;
    }

    async fn a_full_quarantine_refuses(log: Log) {
        let (engine, store) = log.faulty(tidings_engine::Options::default()).await;
        push(&engine, &[CREATED, KEPT]).await;
        store.quarantine_full.store(true, std::sync::atomic::Ordering::SeqCst);
        let refused = emit(&engine, vec![created(-1)]).await;
        let Err(AppendError::Rejected { violations }) = refused else { panic!("{refused:?}") };
        let codes: Vec<&str> = violations[0].1.iter().map(|violation| violation.code).collect();
        assert_eq!(codes, ["schema_range", "quarantine_full"]);
        engine.shutdown().await;
    }

    async fn many_are_redriven_in_order_and_many_discarded(log: Log) {
        let engine = log.engine().await;
        push(&engine, &[CREATED, MOVED, KEPT]).await;
        for number in 1..=120 {
            quarantined(emit(&engine, vec![created(-number)]).await);
        }
        for lead in ["a", "b"] {
            quarantined(emit(&engine, vec![moved(lead, "won")]).await);
        }
        let (catalogs, acme) = (engine.catalogs(), tenant("acme"));
        // Pages, by type.
        let of = |name: &str| AsideSearch { event_type: Some(EventType::parse(name).unwrap()), limit: 100, cursor: None };
        let (first, cursor) = catalogs.aside(&acme, of("sales.lead.created")).await.unwrap();
        let rest = AsideSearch { cursor, ..of("sales.lead.created") };
        let (second, none) = catalogs.aside(&acme, rest).await.unwrap();
        assert_eq!((first.len(), second.len(), none), (100, 20, None));

        push(&engine, &["{name: all, types: sales.lead.created, known: off}", "{name: moved, types: sales.lead.moved, known: quarantine}"]).await;
        let answer = catalogs.redrive_all(&boss(), &acme, AsideSearch::default(), false).await.unwrap();
        assert_eq!((answer.redriven, answer.kept, answer.cursor), (120, 2, None));
        let numbers: Vec<i64> = log_of(&engine, "acme").await.iter().map(|event| data(event)["number"].as_i64().unwrap()).collect();
        assert_eq!(numbers, (1..=120).map(|number| -number).collect::<Vec<_>>());
        assert_eq!(aside(&engine).await.len(), 2);
        let answer = catalogs.discard_all(&boss(), &acme, of("sales.lead.created")).await.unwrap();
        assert_eq!(answer.discarded, 0);
        catalogs.discard(&boss(), &acme, aside(&engine).await[0].no).await.unwrap();
        let answer = catalogs.discard_all(&boss(), &acme, AsideSearch::default()).await.unwrap();
        assert_eq!((answer.discarded, answer.more), (1, false));
        assert!(aside(&engine).await.is_empty());
        let told = told(&engine).await;
        let counts: Vec<(&str, i64)> =
            told.iter().map(|(name, said)| (name.as_str(), said["count"].as_i64().unwrap())).collect();
        let discarded = "tidings.quarantine.discarded";
        assert_eq!(counts, [("tidings.quarantine.redriven", 120), (discarded, 1), (discarded, 1)]);
        engine.shutdown().await;
    }

    async fn what_was_redriven_is_told_even_if_nobody_waits_for_the_answer(log: Log) {
        let (engine, store) = log.faulty(tidings_engine::Options::default()).await;
        push(&engine, &[CREATED, KEPT]).await;
        for number in 1..=3 {
            quarantined(emit(&engine, vec![created(-number)]).await);
        }
        push(&engine, &["{name: all, known: off}"]).await;
        let first = aside(&engine).await[0].no;
        for (one, count) in [(true, 1), (false, 2)] {
            store.hold();
            let catalogs = engine.catalogs();
            let asking = tokio::spawn(async move {
                if one {
                    catalogs.redrive(&boss(), &tenant("acme"), first, true).await.map(drop)
                } else {
                    catalogs.redrive_all(&boss(), &tenant("acme"), AsideSearch::default(), true).await.map(drop)
                }
            });
            store.held().await;
            asking.abort();
            assert!(asking.await.unwrap_err().is_cancelled());
            store.let_go();
            let selection = Selection::new(&["tidings.quarantine.redriven".to_owned()], None).unwrap();
            let mut feed = engine.feed(&tenant("$system"), FeedStart::Start, Arc::new(selection)).await.unwrap();
            let mut told = Vec::new();
            while told.len() < if one { 1 } else { 2 } {
                let page = feed.next(support::PAGE, support::PATIENCE).await.unwrap();
                told.extend(page.events.iter().map(|event| data(&event.recorded)["count"].as_i64().unwrap()));
            }
            assert_eq!(told.last(), Some(&count));
        }
        assert!(aside(&engine).await.is_empty());
        engine.shutdown().await;
    }

    async fn an_event_that_cannot_be_read_any_more_holds_up_no_other(log: Log) {
        let engine = log.engine().await;
        push(&engine, &[CREATED, KEPT]).await;
        quarantined(emit(&engine, vec![created(-1)]).await);
        quarantined(emit(&engine, vec![created(-2)]).await);
        let store = log.store().await;
        let row = store.aside_one(&tenant("acme"), aside(&engine).await[0].no).await.unwrap().unwrap();
        store.clear_aside(&tenant("acme"), &[row.no]).await.unwrap();
        let broken = tidings_store::Aside { event: "{".to_owned(), ..row };
        assert!(store.put_aside(&[broken], 10).await.unwrap());
        quarantined(emit(&engine, vec![created(-3)]).await);
        push(&engine, &["{name: all, known: off}"]).await;
        let (catalogs, acme) = (engine.catalogs(), tenant("acme"));
        let answer = catalogs.redrive_all(&boss(), &acme, AsideSearch::default(), false).await.unwrap();
        assert_eq!((answer.redriven, answer.kept, answer.cursor), (2, 1, None));
        let no = aside(&engine).await[0].no;
        let answer = catalogs.redrive(&boss(), &acme, no, true).await.unwrap();
        assert!(matches!(&answer, Redriven::Kept(violations) if violations[0].code == "rule_not_judged"), "{answer:?}");
        catalogs.discard(&boss(), &acme, no).await.unwrap();
        engine.shutdown().await;
    }

    async fn an_event_that_is_taken_as_it_is_is_marked_with_all_that_is_wrong_and_no_more_than_a_mark_holds(log: Log) {
        let engine = log.engine().await;
        let typed = MOVED.replace("to: { type: string }", "to: { type: string }\n    n: { type: integer }");
        let members: Vec<String> = (0..30).map(|n| format!("m{n}")).collect();
        let required = format!("required: [to, {}]", members.join(", "));
        let example = format!("data: {{ to: won, {}: 1 }}", members.join(": 1, "));
        let demanding = MOVED.replace("required: [to]", &required).replace("data: { to: won }", &example);
        let rows = [
            ("1", typed, vec!["schema_type", "initial_state_forbidden"]),
            ("2", demanding, vec!["schema_required"; 20]),
        ];
        for (version, source, codes) in rows {
            push(&engine, &[&source.replace("\"1\"", &format!("\"{version}\"")), KEPT]).await;
            let data = tidings_event::Data::trusted(r#"{"to":"won","n":"x"}"#);
            let event = Event { version: version.parse().unwrap(), data, ..moved("a", "won") };
            quarantined(emit(&engine, vec![event]).await);
            let no = aside(&engine).await[0].no;
            let answer = engine.catalogs().redrive(&boss(), &tenant("acme"), no, true).await.unwrap();
            assert!(matches!(answer, Redriven::Appended(_)), "{answer:?}");
            let found: Vec<&str> = marks(&engine).await[0].reasons.iter().map(|reason| reason.code).collect();
            assert_eq!(found, codes);
        }
        engine.shutdown().await;
    }

    async fn a_page_of_large_events_is_bounded_by_its_bytes(log: Log) {
        let engine = log.engine().await;
        push(&engine, &[CREATED, KEPT]).await;
        let large = |number: i32| {
            support::event("acme", &format!("{{\"number\":{number},\"text\":\"{}\"}}", "x".repeat(200_000)))
        };
        for number in 1..=12 {
            quarantined(emit(&engine, vec![large(-number)]).await);
        }
        let (mut pages, mut cursor) = (Vec::new(), None);
        loop {
            let search = AsideSearch { limit: 100, cursor, ..AsideSearch::default() };
            let (page, next) = engine.catalogs().aside(&tenant("acme"), search).await.unwrap();
            pages.push(page.len());
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(pages, [5, 5, 2]);
        push(&engine, &["{name: all, known: off}"]).await;
        let answer = engine.catalogs().redrive_all(&boss(), &tenant("acme"), AsideSearch::default(), false).await;
        assert_eq!(answer.unwrap().redriven, 12);
        engine.shutdown().await;
    }

    async fn one_tenants_quarantine_is_not_anothers(log: Log) {
        let engine = log.engine().await;
        push(&engine, &[CREATED, KEPT]).await;
        quarantined(emit(&engine, vec![created(-1)]).await);
        let (no, globex) = (aside(&engine).await[0].no, tenant("globex"));
        let catalogs = engine.catalogs();
        assert!(matches!(catalogs.aside_one(&globex, no).await, Err(CatalogError::QuarantinedNotFound)));
        assert!(matches!(catalogs.redrive(&boss(), &globex, no, true).await, Err(CatalogError::QuarantinedNotFound)));
        assert!(matches!(catalogs.discard(&boss(), &globex, no).await, Err(CatalogError::QuarantinedNotFound)));
        assert!(catalogs.aside_one(&tenant("acme"), no).await.is_ok());
        engine.shutdown().await;
    }
}
