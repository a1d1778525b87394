//! What those who change the catalog are promised.

use std::collections::BTreeMap;

use tidings_catalog::entry::Mode;
use tidings_catalog::report::{Change, Severity};
use tidings_engine::catalog::{Author, CatalogError, HistorySearch};

use super::*;
use crate::on_both;
use crate::support::{Log, admin};

fn proposal(sources: &[&str]) -> Proposal {
    Proposal { entries: sources.iter().map(|source| entry(source)).collect(), ..Proposal::default() }
}

fn errors(pushed: &Pushed) -> usize {
    let findings = pushed.report.entries.iter().flat_map(|entry| &entry.findings);
    findings.filter(|finding| finding.severity == Severity::Error).count()
}

/// The holder of a producer's key of a service.
fn author(service: &str, type_prefixes: &[&str]) -> Author {
    let who = Who { key: format!("key_{service}"), role: Role::Producer };
    let type_prefixes = type_prefixes.iter().map(|prefix| (*prefix).to_owned()).collect();
    Author { who, service: Some(Text::parse(service).unwrap()), type_prefixes, tenants: Vec::new() }
}

/// Why a change was refused to its author.
fn refused(answer: Result<Pushed, CatalogError>) -> &'static str {
    let Err(CatalogError::NotOwned(violations)) = answer else { panic!("{answer:?}") };
    violations[0].code
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
        let again = engine.catalogs().push(&boss().into(), proposal(&[CREATED, MOVED])).await.unwrap();
        assert_eq!((again.revision, again.report.entries[0].change), (None, Change::Unchanged));
        assert_eq!(log_of(&engine, "$system").await.len(), 1);
        engine.shutdown().await;
    }

    async fn a_dry_run_and_a_change_with_errors_write_nothing(log: Log) {
        let engine = log.engine().await;
        let dry = Proposal { dry_run: true, ..proposal(&[CREATED]) };
        let pushed = engine.catalogs().push(&boss().into(), dry).await.unwrap();
        assert_eq!((pushed.revision, errors(&pushed)), (None, 0));
        assert_eq!(pushed.report.entries[0].change, Change::Added);
        let wrong = CREATED.replace("type: object", "type: nothing");
        let wrong = Entry { source: Some(wrong), ..entry(CREATED) };
        let both = Proposal { entries: vec![entry(MOVED), wrong], ..Proposal::default() };
        let pushed = engine.catalogs().push(&boss().into(), both).await.unwrap();
        assert!(pushed.revision.is_none() && errors(&pushed) > 0, "{:#?}", pushed.report);
        assert_eq!(engine.catalogs().entries(0, 10).await.unwrap().head, 0);
        assert!(log_of(&engine, "$system").await.is_empty());
        engine.shutdown().await;
    }

    async fn a_breaking_change_is_refused_unless_a_reason_allows_it_and_the_reason_is_kept(log: Log) {
        let engine = log.engine().await;
        push(&engine, &[CREATED]).await;
        let refused = engine.catalogs().push(&boss().into(), proposal(&[&breaking()])).await.unwrap();
        assert!(refused.revision.is_none() && errors(&refused) > 0, "{:#?}", refused.report);
        let key = entry(CREATED).key;
        let overrides = BTreeMap::from([(key.clone(), "nobody reads it yet".to_owned())]);
        let allowed = Proposal { overrides, ..proposal(&[&breaking()]) };
        let made = engine.catalogs().push(&boss().into(), allowed).await.unwrap();
        assert_eq!((made.revision, errors(&made)), (Some(2), 0), "{:#?}", made.report);
        let search = HistorySearch { after: None, limit: 10, bytes: 1_000_000 };
        let history = engine.catalogs().history(Kind::Definition, "sales.lead.created", None, search).await.unwrap();
        assert!(history.complete);
        let history = history.revisions;
        let kept: Vec<(u64, Option<&str>, &str)> =
            history.iter().map(|one| (one.revision, one.reason.as_deref(), one.by.as_str())).collect();
        assert_eq!(kept, [(1, None, "admin"), (2, Some("nobody reads it yet"), "admin")]);
        assert_eq!(history[0].entry.source.as_deref(), Some(CREATED), "byte for byte as it was given");
        assert_eq!(data(&log_of(&engine, "$system").await[1])["entries"][0]["reason"], "nobody reads it yet");
        engine.shutdown().await;
    }

    async fn a_change_is_checked_against_all_revisions_of_its_version_and_the_newest_of_others(log: Log) {
        let engine = log.engine().await;
        // Many revisions of one version, of which only the first promised a number.
        push(&engine, &[CREATED]).await;
        let reason = |source: &str| BTreeMap::from([(entry(source).key, "nobody reads it yet".to_owned())]);
        for round in 0..3 {
            let described = CREATED.replace("A lead was created.", &format!("A lead was created, {round}."));
            push(&engine, &[&described]).await;
        }
        let refused = engine.catalogs().push(&boss().into(), proposal(&[&breaking()])).await.unwrap();
        assert!(refused.revision.is_none() && errors(&refused) > 0, "{:#?}", refused.report);
        // A version that was there leaves no hole.
        let draft = CREATED.replace("\"1\"", "\"2\"").replace("lifecycle: stable", "lifecycle: draft");
        push(&engine, &[&draft]).await;
        let gone = Proposal { entries: vec![Entry { source: None, ..entry(&draft) }], overrides: reason(&draft), ..Proposal::default() };
        assert!(engine.catalogs().push(&boss().into(), gone).await.unwrap().revision.is_some());
        let third = draft.replace("\"2\"", "\"3\"");
        push(&engine, &[&third]).await;
        let fifth = engine.catalogs().push(&boss().into(), proposal(&[&draft.replace("\"2\"", "\"5\"")])).await.unwrap();
        let codes: Vec<_> = fifth.report.entries[0].findings.iter().map(|finding| finding.code).collect();
        assert!(codes.contains(&"version_hole"), "{codes:?}");
        engine.shutdown().await;
    }

    async fn a_service_changes_what_it_owns_before_and_after_and_nothing_else(log: Log) {
        let engine = log.engine().await;
        let catalogs = engine.catalogs();
        let push_as = async |author: &Author, sources: &[&str]| catalogs.push(author, proposal(sources)).await;
        let (sales, billing) = (author("sales", &["sales."]), author("billing", &["sales."]));
        let nameless = Author { service: None, ..sales.clone() };
        assert_eq!(refused(push_as(&nameless, &[CREATED]).await), "key_without_service");
        assert_eq!(refused(push_as(&billing, &[CREATED]).await), "type_not_owned");
        assert_eq!(refused(push_as(&sales, &["{name: all, known: off}"]).await), "type_not_owned");
        assert_eq!(push_as(&sales, &[CREATED]).await.unwrap().revision, Some(1));
        // Neither taken over nor given away.
        let given = CREATED.replace("owner: sales", "owner: billing");
        assert_eq!(refused(push_as(&billing, &[&given]).await), "type_not_owned");
        assert_eq!(refused(push_as(&sales, &[&given]).await), "type_not_owned");
        // Nor by way of another version.
        let second = given.replace("\"1\"", "\"2\"");
        assert_eq!(refused(push_as(&billing, &[&second]).await), "type_not_owned");
        engine.shutdown().await;
    }

    async fn a_service_defines_only_what_its_key_covers_and_no_type_that_is_not_in_the_catalog_yet_without_a_prefix(log: Log) {
        let engine = log.engine().await;
        let push_as = async |author: Author| engine.catalogs().push(&author, proposal(&[CREATED])).await;
        assert_eq!(refused(push_as(author("sales", &["billing.", "sale", "sales.lead.crea"])).await), "type_forbidden");
        let limited = Author { tenants: vec![tenant("acme")], ..author("sales", &["sales."]) };
        assert_eq!(refused(push_as(limited.clone()).await), "tenant_forbidden");
        // What nobody has defined yet others may emit already: it is not for whoever comes first.
        assert_eq!(refused(push_as(author("sales", &[])).await), "type_forbidden");
        assert_eq!(push_as(author("sales", &["sales.lead"])).await.unwrap().revision, Some(1));
        // Once it is there, what its owner may change is not limited by prefixes that its key does not have.
        let gentle = CREATED.replace("A lead was created.", "A lead came in.");
        let changed = engine.catalogs().push(&author("sales", &[]), proposal(&[&gentle])).await.unwrap();
        assert_eq!(changed.revision, Some(2));
        assert_eq!(refused(push_as(limited).await), "tenant_forbidden");
        engine.shutdown().await;
    }

    async fn a_definition_that_cannot_be_read_is_replaced_by_an_admin_alone(log: Log) {
        let store = log.store().await;
        let key = tidings_store::EntryKey {
            kind: "definition".to_owned(),
            name: "sales.lead.created".to_owned(),
            version: "1".to_owned(),
        };
        let unreadable = tidings_store::EntryChange { key, source: Some("from: the future".to_owned()), reason: None };
        let at = support::event("acme", "{}").timestamp;
        store.change_catalog(tidings_store::CatalogRevision(0), vec![unreadable], "admin", at, Vec::new()).await.unwrap();
        let engine = log.engine_over(store, tidings_engine::Options::default()).await;
        let sales = author("sales", &["sales."]);
        assert_eq!(refused(engine.catalogs().push(&sales, proposal(&[CREATED])).await), "type_not_owned");
        let second = CREATED.replace("\"1\"", "\"2\"");
        assert_eq!(refused(engine.catalogs().push(&sales, proposal(&[&second])).await), "type_not_owned");
        push(&engine, &[CREATED]).await;
        let gentle = CREATED.replace("A lead was created.", "A lead came in.");
        assert_eq!(engine.catalogs().push(&sales, proposal(&[&gentle])).await.unwrap().revision, Some(3));
        engine.shutdown().await;
    }

    async fn names_and_reasons_that_no_database_can_keep_are_refused(log: Log) {
        let engine = log.engine().await;
        let key = entry(CREATED).key;
        let named = |name: &str| Key { name: name.to_owned(), ..key.clone() };
        let removed = Proposal { entries: vec![Entry { key: named("a\0b"), source: None }], ..Proposal::default() };
        let reason = |text: &str| Proposal {
            overrides: BTreeMap::from([(key.clone(), text.to_owned())]),
            ..proposal(&[CREATED])
        };
        for proposal in [removed, reason("a\0b"), reason("a\nb")] {
            let answer = engine.catalogs().push(&boss().into(), proposal).await;
            assert!(matches!(answer, Err(CatalogError::ControlCharacter)), "{answer:?}");
        }
        // The longest that are allowed can all be told.
        let long = "\u{1F427}".repeat(tidings_engine::catalog::REASON_CHARS_MAX);
        let sources: Vec<String> =
            (0..120).map(|n| CREATED.replace("lead.created", &format!("{}{n}.created", "lead".repeat(40)))).collect();
        let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
        let mut many = proposal(&sources);
        many.overrides = many.entries.iter().map(|entry| (entry.key.clone(), long.clone())).collect();
        let pushed = engine.catalogs().push(&boss().into(), many).await.unwrap();
        assert_eq!(pushed.revision, Some(1), "{:#?}", pushed.report);
        let told = data(&log_of(&engine, "$system").await[0]);
        assert_eq!((told["entries"].as_array().unwrap().len(), &told["count"]), (100, &120.into()));
        engine.shutdown().await;
    }

    async fn an_event_can_be_tried_without_being_taken(log: Log) {
        let engine = log.engine().await;
        push(&engine, &[CREATED, MOVED, "{name: moved, types: sales.lead.moved, known: quarantine}"]).await;
        emit(&engine, vec![moved("a", "new"), moved("a", "won")]).await.unwrap();
        let tried = async |event: Event| {
            let trial = engine.catalogs().try_event(&admin(), &event).await.unwrap();
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
        // Whoever tries gets the answer that it would get.
        for (emitter, code) in [(nameless(), "key_without_service"), (service("billing"), "source_not_own")] {
            let trial = engine.catalogs().try_event(&emitter, &created(1)).await.unwrap();
            assert_eq!((trial.taken, trial.violations[0].code), (false, code));
            assert!(matches!(engine.emit(&emitter, vec![created(1)]).await, Err(AppendError::NotOwned { .. })));
        }
        assert_eq!(log_of(&engine, "acme").await.len(), 2);
        assert!(aside(&engine).await.is_empty());
        engine.shutdown().await;
    }

    async fn a_trial_looks_as_far_back_as_an_append(log: Log) {
        let engine = log.engine().await;
        push(&engine, &[MOVED]).await;
        emit(&engine, vec![moved("a", "new"), moved("a", "won")]).await.unwrap();
        let other = |_| {
            let Event { entity, .. } = moved("a", "new");
            Event { entity, ..support::typed("acme", "sales.lead.called", "{}") }
        };
        emit(&engine, (0..255).map(other).collect()).await.unwrap();
        let tried = async || engine.catalogs().try_event(&admin(), &moved("a", "new")).await.unwrap();
        let trial = tried().await;
        assert_eq!((trial.taken, trial.violations[0].code), (false, "transition_forbidden"));
        assert!(emit(&engine, vec![moved("a", "new")]).await.is_err());
        emit(&engine, vec![other(0)]).await.unwrap();
        assert!(tried().await.taken, "beyond that the state is not known");
        emit(&engine, vec![moved("a", "new")]).await.unwrap();
        engine.shutdown().await;
    }

    async fn a_change_that_is_too_large_is_not_looked_at(log: Log) {
        let engine = log.engine().await;
        let many = (0..1_001).map(|n| entry(&format!("{{name: p{n}, known: off}}"))).collect();
        let answer = engine.catalogs().push(&boss().into(), Proposal { entries: many, ..Proposal::default() }).await;
        assert!(matches!(answer, Err(CatalogError::TooLarge { max: 1_000, .. })), "{answer:?}");
        engine.shutdown().await;
    }
}
