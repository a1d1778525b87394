//! What those who change the catalog are promised.

use std::collections::BTreeMap;

use tidings_catalog::entry::Mode;
use tidings_catalog::report::{Change, Severity};
use tidings_engine::catalog::CatalogError;

use super::*;
use crate::on_both;
use crate::support::Log;

fn proposal(sources: &[&str]) -> Proposal {
    Proposal { entries: sources.iter().map(|source| entry(source)).collect(), ..Proposal::default() }
}

fn errors(pushed: &Pushed) -> usize {
    let findings = pushed.report.entries.iter().flat_map(|entry| &entry.findings);
    findings.filter(|finding| finding.severity == Severity::Error).count()
}

/// The same type with another meaning of its member.
fn breaking() -> String {
    CREATED.replace("type: integer, minimum: 0", "type: string").replace("number: 1", "number: one")
}

on_both! {
    async fn a_change_is_told_in_the_transaction_that_makes_it(log: Log) {
        let engine = log.engine().await;
        assert_eq!(push(&engine, &[CREATED, MOVED]).await.revision, Some(1));
        let told = log_of(&engine, "$system").await;
        assert_eq!((told.len(), told[0].event.event_type.as_str()), (1, "tidings.catalog.changed"));
        let said = data(&told[0]);
        assert_eq!((&said["revision"], &said["count"], &said["by"]["key"]), (&1.into(), &2.into(), &"admin".into()));
        assert_eq!(
            said["entries"][0],
            serde_json::json!({ "kind": "definition", "name": "sales.lead.created", "version": "1", "change": "added" })
        );
        // What says the same as before changes nothing and tells nobody.
        let again = engine.catalogs().push(&boss(), None, proposal(&[CREATED, MOVED])).await.unwrap();
        assert_eq!((again.revision, again.report.entries[0].change), (None, Change::Unchanged));
        assert_eq!(log_of(&engine, "$system").await.len(), 1);
        engine.shutdown().await;
    }

    async fn a_dry_run_and_a_change_with_errors_write_nothing(log: Log) {
        let engine = log.engine().await;
        let dry = Proposal { dry_run: true, ..proposal(&[CREATED]) };
        let pushed = engine.catalogs().push(&boss(), None, dry).await.unwrap();
        assert_eq!((pushed.revision, errors(&pushed)), (None, 0));
        assert_eq!(pushed.report.entries[0].change, Change::Added);
        let wrong = CREATED.replace("type: object", "type: nothing");
        let wrong = Entry { source: Some(wrong), ..entry(CREATED) };
        let both = Proposal { entries: vec![entry(MOVED), wrong], ..Proposal::default() };
        let pushed = engine.catalogs().push(&boss(), None, both).await.unwrap();
        assert!(pushed.revision.is_none() && errors(&pushed) > 0, "{:#?}", pushed.report);
        assert_eq!(engine.catalogs().entries(0, 10).await.unwrap().head, 0);
        assert!(log_of(&engine, "$system").await.is_empty());
        engine.shutdown().await;
    }

    async fn a_breaking_change_is_refused_unless_a_reason_allows_it_and_the_reason_is_kept(log: Log) {
        let engine = log.engine().await;
        push(&engine, &[CREATED]).await;
        let refused = engine.catalogs().push(&boss(), None, proposal(&[&breaking()])).await.unwrap();
        assert!(refused.revision.is_none() && errors(&refused) > 0, "{:#?}", refused.report);
        let key = entry(CREATED).key;
        let overrides = BTreeMap::from([(key.clone(), "nobody reads it yet".to_owned())]);
        let allowed = Proposal { overrides, ..proposal(&[&breaking()]) };
        let made = engine.catalogs().push(&boss(), None, allowed).await.unwrap();
        assert_eq!((made.revision, errors(&made)), (Some(2), 0), "{:#?}", made.report);
        let history = engine.catalogs().history(Kind::Definition, "sales.lead.created", None).await.unwrap();
        let kept: Vec<(u64, Option<&str>, &str)> =
            history.iter().map(|one| (one.revision, one.reason.as_deref(), one.by.as_str())).collect();
        assert_eq!(kept, [(1, None, "admin"), (2, Some("nobody reads it yet"), "admin")]);
        assert_eq!(history[0].entry.source.as_deref(), Some(CREATED), "byte for byte as it was given");
        assert_eq!(data(&log_of(&engine, "$system").await[1])["entries"][0]["reason"], "nobody reads it yet");
        engine.shutdown().await;
    }

    async fn a_service_changes_what_it_owns_before_and_after_and_nothing_else(log: Log) {
        let engine = log.engine().await;
        let producer = Who { key: "key_1".to_owned(), role: Role::Producer };
        let (sales, billing) = (Text::parse("sales").unwrap(), Text::parse("billing").unwrap());
        let catalogs = engine.catalogs();
        let push_as = async |service: Option<&Text>, sources: &[&str]| catalogs.push(&producer, service, proposal(sources)).await;
        let refused = |answer: Result<Pushed, CatalogError>| {
            let Err(CatalogError::NotOwned(violations)) = answer else { panic!("{answer:?}") };
            violations[0].code
        };
        assert_eq!(refused(push_as(None, &[CREATED]).await), "key_without_service");
        assert_eq!(refused(push_as(Some(&billing), &[CREATED]).await), "type_not_owned");
        assert_eq!(refused(push_as(Some(&sales), &["{name: all, known: off}"]).await), "type_not_owned");
        assert_eq!(push_as(Some(&sales), &[CREATED]).await.unwrap().revision, Some(1));
        // Neither taken over nor given away.
        let given = CREATED.replace("owner: sales", "owner: billing");
        assert_eq!(refused(push_as(Some(&billing), &[&given]).await), "type_not_owned");
        assert_eq!(refused(push_as(Some(&sales), &[&given]).await), "type_not_owned");
        // Nor by way of another version.
        let second = given.replace("\"1\"", "\"2\"");
        assert_eq!(refused(push_as(Some(&billing), &[&second]).await), "type_not_owned");
        engine.shutdown().await;
    }

    async fn an_event_can_be_tried_without_being_taken(log: Log) {
        let engine = log.engine().await;
        push(&engine, &[CREATED, MOVED, "{name: moved, types: sales.lead.moved, known: quarantine}"]).await;
        emit(&engine, vec![moved("a", "new"), moved("a", "won")]).await.unwrap();
        let tried = async |event: Event| {
            let trial = engine.catalogs().try_event(&event).await.unwrap();
            (trial.mode, trial.violations.first().map(|first| first.code), trial.taken, trial.state_judged)
        };
        assert_eq!(tried(created(1)).await, (Mode::Strict, None, true, false));
        assert_eq!(tried(created(-1)).await, (Mode::Strict, Some("schema_range"), false, false));
        assert_eq!(tried(moved("a", "lost")).await, (Mode::Quarantine, Some("transition_forbidden"), false, true));
        assert_eq!(tried(moved("b", "new")).await, (Mode::Quarantine, None, true, true));
        assert_eq!(tried(support::typed("acme", "sales.lead.lost", "{}")).await, (Mode::Off, None, true, false));
        let mut foreign = created(1);
        foreign.source.id = Text::parse("billing").unwrap();
        assert_eq!(tried(foreign).await, (Mode::Strict, Some("type_not_owned"), false, false));
        assert_eq!(log_of(&engine, "acme").await.len(), 2);
        assert!(aside(&engine).await.is_empty());
        engine.shutdown().await;
    }

    async fn a_change_that_is_too_large_is_not_looked_at(log: Log) {
        let engine = log.engine().await;
        let many = (0..1_001).map(|n| entry(&format!("{{name: p{n}, known: off}}"))).collect();
        let answer = engine.catalogs().push(&boss(), None, Proposal { entries: many, ..Proposal::default() }).await;
        assert!(matches!(answer, Err(CatalogError::TooLarge { max: 1_000, .. })), "{answer:?}");
        engine.shutdown().await;
    }
}
