//! What several nodes of one log promise of their catalog.

use std::sync::atomic::Ordering;

use tidings_engine::{CatalogOptions, Options};
use tidings_event::{SourceKind, Timestamp};
use tidings_store::{CatalogRevision, EntryChange, EntryKey};

use super::*;
use crate::on_both;
use crate::support::{FaultyStore, Log, PATIENCE};

fn eager() -> Options {
    Options {
        catalog: CatalogOptions { poll: Duration::from_millis(5), ..CatalogOptions::default() },
        ..Options::default()
    }
}

/// Waits until the node has looked for changes so many times more.
async fn looked(store: &FaultyStore, times: usize) {
    let mut revisions = store.revisions.subscribe();
    let wanted = *revisions.borrow() + times;
    let waiting = revisions.wait_for(|seen| *seen >= wanted);
    drop(tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap());
}

on_both! {
    async fn a_change_on_one_node_is_obeyed_by_the_other_within_its_poll(log: Log) {
        let store = log.store().await;
        let watched = FaultyStore::over(store.clone());
        let (one, two) = (log.engine_over(store, eager()).await, log.engine_over(watched.clone(), eager()).await);
        emit(&two, vec![created(-1)]).await.unwrap();
        push(&one, &[CREATED]).await;
        assert!(emit(&one, vec![created(-1)]).await.is_err(), "the node itself obeys before it answers");
        // One look may have begun before the change; the one after it has been taken over when a third one begins.
        looked(&watched, 3).await;
        assert!(emit(&two, vec![created(-1)]).await.is_err());
        push(&two, &["{name: all, known: off}"]).await;
        emit(&two, vec![created(-1)]).await.unwrap();
        one.shutdown().await;
        two.shutdown().await;
    }

    async fn what_is_known_holds_on_while_changes_cannot_be_asked_for(log: Log) {
        let (engine, store) = log.faulty(eager()).await;
        push(&engine, &[CREATED]).await;
        store.catalog_down.store(true, Ordering::SeqCst);
        looked(&store, 3).await;
        assert!(emit(&engine, vec![created(-1)]).await.is_err());
        emit(&engine, vec![created(1)]).await.unwrap();
        let health = engine.health().await;
        assert!(health.catalog.problem.is_some() && health.catalog.revision == 1, "{:?}", health.catalog);
        store.catalog_down.store(false, Ordering::SeqCst);
        looked(&store, 3).await;
        engine.shutdown().await;
    }

    async fn nothing_is_taken_in_before_the_catalog_is_known(log: Log) {
        let store = FaultyStore::over(log.store().await);
        let engine = log.engine_over(store.clone(), eager()).await;
        push(&engine, &[CREATED]).await;
        store.catalog_down.store(true, Ordering::SeqCst);
        let platform = support::no_source();
        assert!(Engine::start(store.clone(), vec![platform], eager()).await.is_err());
        store.catalog_down.store(false, Ordering::SeqCst);
        let fresh = log.engine_over(store.clone(), eager()).await;
        assert!(emit(&fresh, vec![created(-1)]).await.is_err());
        fresh.shutdown().await;
        engine.shutdown().await;
    }

    async fn changes_on_several_nodes_at_once_are_all_made_or_say_that_they_are_not(log: Log) {
        let store = log.store().await;
        let (one, two) = (log.engine_over(store.clone(), eager()).await, log.engine_over(store, eager()).await);
        let policy = |name: &str| Proposal { entries: vec![entry(&format!("{{name: {name}, types: {name}.*, unknown: observe}}"))], ..Proposal::default() };
        for round in 0..10 {
            let (a, b) = (format!("a{round}"), format!("b{round}"));
            let (catalogs, boss) = ((one.catalogs(), two.catalogs()), boss().into());
            let (a, b) = tokio::join!(
                catalogs.0.push(&boss, policy(&a)),
                catalogs.1.push(&boss, policy(&b))
            );
            let mut made = [a.unwrap().revision.unwrap(), b.unwrap().revision.unwrap()];
            made.sort_unstable();
            assert_eq!(made, [2 * round + 1, 2 * round + 2]);
        }
        let page = one.catalogs().entries(0, 1_000).await.unwrap();
        assert_eq!((page.entries.len(), page.upto, page.head), (20, 20, 20));
        assert_eq!(log_of(&one, "$system").await.len(), 20, "each is told once");
        one.shutdown().await;
        two.shutdown().await;
    }

    async fn a_node_that_starts_knows_the_newest_of_each_entry_and_nothing_else(log: Log) {
        let store = log.store().await;
        let change = |name: String, is_there: bool, at: u64| EntryChange {
            key: EntryKey { kind: "policy".to_owned(), name: name.clone(), version: String::new() },
            source: is_there.then(|| format!("{{name: {name}, types: a{at}.*, unknown: observe}}")),
            reason: None,
        };
        let changes: [Vec<EntryChange>; 4] = [
            (0..300).map(|at| change(format!("p{at}"), true, 1)).collect(),
            (0..300).map(|at| change(format!("p{at}"), true, 2)).collect(),
            (0..300).map(|at| change(format!("q{at}"), true, 3)).collect(),
            vec![change("p0".to_owned(), false, 4), change("q0".to_owned(), true, 4)],
        ];
        let at = Timestamp::from_micros(0);
        for (revision, changes) in (0..).zip(changes) {
            store.change_catalog(CatalogRevision(revision), changes, "somebody", at, vec![]).await.unwrap();
        }
        let engine = log.engine_over(store, eager()).await;
        let (catalog, revisions) = engine.catalogs().listing();
        let of = |name: &str| revisions.get(&Key::policy(name)).copied();
        assert_eq!([of("p0"), of("p1"), of("p299"), of("q0"), of("q1")], [None, Some(2), Some(2), Some(4), Some(3)]);
        assert_eq!((revisions.len(), catalog.policies().count()), (599, 599));
        let health = engine.health().await.catalog;
        assert_eq!((health.revision, health.faults.len()), (4, 0));
        engine.shutdown().await;
    }

    async fn what_a_node_cannot_read_counts_as_unknown_and_is_named(log: Log) {
        let store = log.store().await;
        let change = |name: &str, source: &str| EntryChange {
            key: EntryKey { kind: "definition".to_owned(), name: name.to_owned(), version: "1".to_owned() },
            source: Some(source.to_owned()),
            reason: None,
        };
        let newer = CREATED.replace("owner:", "something_of_a_newer_version: true\nowner:");
        let later = EntryKey { kind: "wish".to_owned(), name: "a".to_owned(), version: String::new() };
        let changes = vec![
            change("sales.lead.created", &newer),
            change("sales.lead.moved", MOVED),
            EntryChange { key: later, source: Some("{}".to_owned()), reason: None },
        ];
        let at = Timestamp::from_micros(0);
        store.change_catalog(CatalogRevision(0), changes, "somebody", at, vec![]).await.unwrap();
        let engine = log.engine_over(store, eager()).await;
        emit(&engine, vec![created(-1)]).await.unwrap();
        assert!(emit(&engine, vec![moved("a", "won")]).await.is_err());
        let health = engine.health().await.catalog;
        assert_eq!((health.revision, health.faults.len(), health.faults[0].0.as_str()), (1, 1, "sales.lead.created@1"));
        engine.shutdown().await;
    }

    async fn who_emits_what_is_stored_at_the_end_at_the_latest(log: Log) {
        let store = log.store().await;
        let engine = log.engine_over(store.clone(), Options::default()).await;
        emit(&engine, vec![created(1), created(2)]).await.unwrap();
        emit(&engine, vec![created(3), moved("a", "new")]).await.unwrap();
        let import = Event { source: tidings_event::Source { kind: SourceKind::Task, id: Text::parse("import").unwrap() }, ..created(4) };
        emit(&engine, vec![import]).await.unwrap();
        push(&engine, &[CREATED]).await;
        engine.shutdown().await;
        let store = log.store().await;
        let seen = store.observed(None, 100).await.unwrap();
        let seen: Vec<(&str, &str, u64)> =
            seen.iter().map(|row| (row.event_type.as_str(), row.source_id.as_str(), row.events)).collect();
        assert_eq!(seen, [
            ("sales.lead.created", "sales", 3),
            ("sales.lead.created", "import", 1),
            ("sales.lead.moved", "sales", 1),
        ]);
        store.close().await;
    }
}
