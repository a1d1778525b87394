//! What is promised about the catalog.

use std::sync::Arc;

use tidings_event::{Event, Position, Sequence};
use tidings_store::{
    Append, CatalogOutcome, CatalogRevision, CatalogSlice, Decide, EntryChange, EntryKey, EntryRow, Error,
    HistoryPlace, HistoryQuery, HistorySlice, KeyRow, ReadLimit, Role, Store, TenantRow,
};

use crate::deliver::{appending, claim, commit_with, create, nothing, put_with};
use crate::home::Home;
use crate::make::{all_of, append, event, ids, keys, moment, place, place_in};

fn key(name: &str, version: &str) -> EntryKey {
    let kind = if version.is_empty() { "set" } else { "definition" };
    EntryKey { kind: kind.to_owned(), name: name.to_owned(), version: version.to_owned() }
}

fn change(name: &str, version: &str, source: &str) -> EntryChange {
    EntryChange { key: key(name, version), source: Some(source.to_owned()), reason: None }
}

/// Changes the catalog, which must be at the revision.
async fn make(store: &dyn Store, expected: u64, changes: Vec<EntryChange>) -> CatalogRevision {
    match store.change_catalog(CatalogRevision(expected), changes, "key_1", moment(5), Vec::new()).await {
        Ok(CatalogOutcome::Changed { revision, .. }) => revision,
        other => panic!("{other:?}"),
    }
}

/// A piece, short: each entry's name and revision.
fn short(slice: &CatalogSlice) -> (Vec<String>, u64, u64) {
    let name = |row: &EntryRow| format!("{}{}@{}", row.key.name, row.key.version, row.revision.0);
    (slice.rows.iter().map(name).collect(), slice.upto.0, slice.head.0)
}

async fn read(store: &dyn Store, after: u64, limit: usize) -> (Vec<String>, u64, u64) {
    short(&store.catalog(CatalogRevision(after), limit).await.expect("a piece"))
}

fn query(kind: &str, name: &str, version: Option<&str>, events: usize, bytes: usize) -> HistoryQuery {
    let (kind, name, version) = (kind.to_owned(), name.to_owned(), version.map(str::to_owned));
    HistoryQuery { kind, name, version, after: HistoryPlace::default(), limit: ReadLimit { events, bytes } }
}

/// All of a history.
async fn history(store: &dyn Store, kind: &str, name: &str, version: Option<&str>) -> Vec<EntryRow> {
    let slice = store.catalog_history(&query(kind, name, version, 1_000, 1_000_000)).await.expect("a history");
    assert!(slice.complete);
    slice.rows
}

/// A history page by page: each revision's version, revision and source.
async fn pages(store: &dyn Store, mut query: HistoryQuery) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    loop {
        let HistorySlice { rows, complete } = store.catalog_history(&query).await.expect("a page");
        let Some(last) = rows.last() else {
            assert!(complete);
            return pages;
        };
        query.after = HistoryPlace { revision: last.revision, version: last.key.version.clone() };
        pages.push(rows.iter().map(said).collect());
        if complete {
            return pages;
        }
    }
}

fn said(row: &EntryRow) -> String {
    format!("{} {} {}", row.key.version, row.revision.0, row.source.as_deref().unwrap_or("gone"))
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

pub(crate) async fn a_catalog_begins_empty(home: Home) {
    let store = home.open().await;
    assert_eq!(store.catalog_revision().await.unwrap(), CatalogRevision(0));
    assert_eq!(read(&*store, 0, 10).await, (Vec::new(), 0, 0));
    assert!(history(&*store, "definition", "sales.lead.created", None).await.is_empty());
    assert!(store.catalog_newest("definition", "sales.lead.created").await.unwrap().is_empty());
}

pub(crate) async fn a_change_is_read_back_as_it_was_written(home: Home) {
    let store = home.open().await;
    let source = "name: ü\n\tdescription: \"'; drop table catalog; -- ✓ \\u0000\"\r\n  \n";
    let changes = vec![
        EntryChange { reason: Some("weil ß\n".to_owned()), ..change("a.b", "1", source) },
        EntryChange { source: None, ..change("currencies", "", "") },
    ];
    let outcome = store.change_catalog(CatalogRevision(0), changes.clone(), "key_ß", moment(-7), Vec::new()).await;
    let Ok(CatalogOutcome::Changed { revision, appended }) = outcome else { panic!("{outcome:?}") };
    assert_eq!((revision, appended.len()), (CatalogRevision(1), 0));
    assert_eq!(store.catalog_revision().await.unwrap(), CatalogRevision(1));
    let row = |change: &EntryChange| EntryRow {
        key: change.key.clone(),
        revision: CatalogRevision(1),
        source: change.source.clone(),
        by: "key_ß".to_owned(),
        reason: change.reason.clone(),
        at: moment(-7),
    };
    let rows: Vec<EntryRow> = changes.iter().map(row).collect();
    let expected = CatalogSlice { rows: rows.clone(), upto: CatalogRevision(1), head: CatalogRevision(1) };
    assert_eq!(store.catalog(CatalogRevision(0), 10).await.unwrap(), expected);
    assert_eq!(history(&*store, "definition", "a.b", Some("1")).await, rows[..1]);
    assert_eq!(history(&*store, "set", "currencies", Some("")).await, rows[1..]);
}

pub(crate) async fn every_revision_of_an_entry_is_kept(home: Home) {
    let store = home.open().await;
    make(&*store, 0, vec![change("a.b", "1", "one"), change("a.b", "2", "two"), change("a.bc", "1", "x")]).await;
    make(&*store, 1, vec![change("a.b", "2", "two again")]).await;
    make(&*store, 2, vec![EntryChange { source: None, ..change("a.b", "1", "") }, change("a", "", "set")]).await;
    make(&*store, 3, vec![change("a.b", "1", "one again")]).await;
    let told = async |kind: &str, name: &str, version: Option<&str>| {
        history(&*store, kind, name, version).await.iter().map(said).collect::<Vec<_>>()
    };
    assert_eq!(
        told("definition", "a.b", None).await,
        ["1 1 one", "2 1 two", "2 2 two again", "1 3 gone", "1 4 one again"]
    );
    assert_eq!(told("definition", "a.b", Some("2")).await, ["2 1 two", "2 2 two again"]);
    assert_eq!(told("definition", "a.b", Some("3")).await, [""; 0]);
    assert_eq!(told("set", "a.b", None).await, [""; 0]);
    assert_eq!(told("set", "a", None).await, [" 3 set"]);
}

pub(crate) async fn a_history_is_read_by_place_up_to_its_limits(home: Home) {
    let store = home.open().await;
    make(&*store, 0, vec![change("a.b", "1", "one"), change("a.b", "2", "two"), change("a.bc", "1", "x")]).await;
    make(&*store, 1, vec![change("a.b", "2", "2222"), change("a.a", "1", "x")]).await;
    make(&*store, 2, vec![EntryChange { source: None, ..change("a.b", "1", "") }]).await;
    make(&*store, 3, vec![change("a.b", "1", "1"), change("a.b", "10", "10"), change("a.b", "2", "2")]).await;
    let all = ["1 1 one", "2 1 two", "2 2 2222", "1 3 gone", "1 4 1", "10 4 10", "2 4 2"];
    for limit in 1..=8 {
        let pages = pages(&*store, query("definition", "a.b", None, limit, 1_000)).await;
        assert_eq!(pages.concat(), all, "{limit}");
        assert!(pages.iter().rev().skip(1).all(|page| page.len() == limit), "{limit}: {pages:?}");
    }
    for limit in 1..=5 {
        assert_eq!(
            pages(&*store, query("definition", "a.b", Some("1"), limit, 1_000)).await.concat(),
            ["1 1 one", "1 3 gone", "1 4 1"]
        );
    }
    // In bytes of sources; but one revision at least.
    let by_bytes = pages(&*store, query("definition", "a.b", None, 1_000, 7)).await;
    assert_eq!(by_bytes, [&all[..2], &all[2..6], &all[6..]]);
    let one_by_one = pages(&*store, query("definition", "a.b", None, 1_000, 0)).await;
    assert_eq!(one_by_one, all.map(|one| [one]));
    assert_eq!(
        pages(&*store, query("definition", "a.b", Some("2"), 0, 0)).await,
        [["2 1 two"], ["2 2 2222"], ["2 4 2"]]
    );
    let beyond = HistoryPlace { revision: CatalogRevision(u64::MAX), version: String::new() };
    let beyond = HistoryQuery { after: beyond, ..query("definition", "a.b", None, 10, 10) };
    assert!(pages(&*store, beyond).await.is_empty());
}

pub(crate) async fn the_newest_of_each_version_is_told_even_if_it_is_gone(home: Home) {
    let store = home.open().await;
    make(&*store, 0, vec![change("a.b", "1", "one"), change("a.b", "2", "two"), change("a.bc", "1", "x")]).await;
    make(&*store, 1, vec![EntryChange { source: None, ..change("a.b", "2", "") }, change("a.b", "10", "ten")]).await;
    make(&*store, 2, vec![change("a.b", "1", "one again"), change("a.a", "1", "x")]).await;
    let newest = async |kind: &str, name: &str| {
        store.catalog_newest(kind, name).await.expect("rows").iter().map(said).collect::<Vec<_>>()
    };
    assert_eq!(newest("definition", "a.b").await, ["1 3 one again", "10 2 ten", "2 2 gone"]);
    assert_eq!(newest("set", "a.b").await, [""; 0]);
    assert_eq!(newest("definition", "a").await, [""; 0]);
}

pub(crate) async fn a_catalog_is_read_in_pieces_of_what_is_newest(home: Home) {
    let store = home.open().await;
    make(&*store, 0, ["a", "b", "c"].map(|name| change(name, "", "1")).to_vec()).await;
    make(&*store, 1, vec![change("a", "", "2")]).await;
    make(
        &*store,
        2,
        vec![change("d", "", "1"), change("a", "", "3"), EntryChange { source: None, ..change("b", "", "") }],
    )
    .await;
    make(&*store, 3, vec![change("e", "", "1")]).await;
    for limit in [0, 1, 2, 3] {
        assert_eq!(read(&*store, 0, limit).await.0, names(&["c@1"]));
        let after = read(&*store, 0, limit).await.1;
        // A change that is larger than what was asked for comes whole and alone.
        assert_eq!(read(&*store, after, limit).await.0[..3], names(&["a@3", "b@3", "d@3"]));
    }
    assert_eq!(read(&*store, 1, 3).await, (names(&["a@3", "b@3", "d@3"]), 3, 4));
    assert_eq!(read(&*store, 1, 1).await, (names(&["a@3", "b@3", "d@3"]), 3, 4));
    assert_eq!(read(&*store, 0, 4).await, (names(&["c@1", "a@3", "b@3", "d@3"]), 3, 4));
    assert_eq!(read(&*store, 0, 5).await, (names(&["c@1", "a@3", "b@3", "d@3", "e@4"]), 4, 4));
    assert_eq!(read(&*store, 3, 100).await, (names(&["e@4"]), 4, 4));
    assert_eq!(read(&*store, 4, 100).await, (Vec::new(), 4, 4));
}

pub(crate) async fn of_many_changes_at_once_one_is_made_and_the_others_are_stale(home: Home) {
    let store = home.open().await;
    let other = home.open().await;
    for round in 0..5 {
        let changers: Vec<_> = (0..8)
            .map(|number| {
                let store = Arc::clone(if number % 2 == 0 { &store } else { &other });
                tokio::spawn(async move {
                    let changes = vec![change("a", "", &format!("{round}-{number}"))];
                    store.change_catalog(CatalogRevision(round), changes, "key", moment(0), Vec::new()).await
                })
            })
            .collect();
        let mut made = 0;
        for changer in changers {
            match changer.await.expect("a changer").expect("an outcome") {
                CatalogOutcome::Changed { revision, .. } => {
                    assert_eq!(revision, CatalogRevision(round + 1));
                    made += 1;
                }
                CatalogOutcome::Stale { head } => assert_eq!(head, CatalogRevision(round + 1)),
            }
        }
        assert_eq!(made, 1);
    }
    assert_eq!(history(&*store, "set", "a", None).await.len(), 5);
    assert_eq!(store.catalog_revision().await.unwrap(), CatalogRevision(5));
}

pub(crate) async fn a_change_must_name_entries_each_once(home: Home) {
    let store = home.open().await;
    for changes in [Vec::new(), vec![change("a", "", "1"), change("a", "", "2")], vec![change("", "", "1")]] {
        let refused = store.change_catalog(CatalogRevision(0), changes, "key", moment(0), Vec::new()).await;
        assert!(matches!(refused, Err(Error::Broken(_))), "{refused:?}");
    }
    assert_eq!(store.catalog_revision().await.unwrap(), CatalogRevision(0));
    make(&*store, 0, vec![change("a", "", "1"), change("a", "1", "2")]).await;
}

pub(crate) async fn what_is_appended_with_a_change_of_the_catalog_is_written_with_it_or_not_at_all(home: Home) {
    // A change of the catalog is told at home alone.
    if home.is_sharded() {
        return;
    }
    let store = home.open().await;
    let tenants = [place_in(&*store, "acme", 2).await, place_in(&*store, "$system", 0).await];
    let appends = |name: &str| -> Vec<Append> {
        let both = tenants.iter().enumerate();
        both.map(|(at, row)| appending(row, vec![event(row.id.as_str(), &format!("{name}{at}"))])).collect()
    };
    let changed = |expected: u64, appends: Vec<Append>| {
        let store = Arc::clone(&store);
        async move {
            let changes = vec![change("a", "", "1")];
            store.change_catalog(CatalogRevision(expected), changes, "key", moment(0), appends).await
        }
    };
    let Ok(CatalogOutcome::Changed { revision, appended }) = changed(0, appends("a")).await else { panic!() };
    assert_eq!(revision, CatalogRevision(1));
    let rows: Vec<&str> = appended.iter().flat_map(|appended| ids(&appended.plan.rows)).collect();
    assert_eq!(rows, ["a0", "a1"], "in the order given");
    assert_eq!(ids(&all_of(&*store, tenants[0].partition).await), ["a0"]);
    assert_eq!(ids(&all_of(&*store, tenants[1].partition).await), ["a1"]);

    let stale = changed(0, appends("b")).await.expect("an outcome");
    assert!(matches!(stale, CatalogOutcome::Stale { head: CatalogRevision(1) }), "{stale:?}");
    for _ in 0..10 {
        let mut failing = appends("c");
        failing.push(failing_append(&tenants[0]));
        let failed = changed(1, failing).await;
        assert!(matches!(failed, Err(Error::Broken(_))), "{failed:?}");
    }
    assert_eq!(store.catalog_revision().await.unwrap(), CatalogRevision(1));
    assert_eq!(history(&*store, "set", "a", None).await.len(), 1);
    assert_eq!(ids(&all_of(&*store, tenants[0].partition).await), ["a0"]);
    changed(1, appends("d")).await.expect("a change");
}

fn failing_append(tenant: &TenantRow) -> Append {
    let decide: Decide = Box::new(|_| panic!("this panic belongs to the test"));
    Append { partition: tenant.partition, keys: keys(tenant.no, &[]), decide }
}

pub(crate) async fn a_dropped_change_of_the_catalog_leaves_all_or_nothing(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    for round in 0..10 {
        let before = store.catalog_revision().await.unwrap();
        let (inside, entered) = tokio::sync::oneshot::channel();
        let (gate, opened) = std::sync::mpsc::sync_channel::<()>(1);
        let Append { partition, keys, decide } = appending(&tenant, vec![event("acme", &format!("e{round}"))]);
        let decide: Decide = Box::new(move |view| {
            let _ = inside.send(());
            // Until the caller is gone; then its end of the channel is, too.
            let _ = opened.recv();
            decide(view)
        });
        let shared = Arc::clone(&store);
        let caller = tokio::spawn(async move {
            let appends = vec![Append { partition, keys, decide }];
            let changes = vec![change("a", "", &round.to_string())];
            shared.change_catalog(before, changes, "key", moment(0), appends).await.map(drop)
        });
        entered.await.expect("the decision began");
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        drop(gate);
        // A change that comes after must wait for what was left behind.
        let probe = vec![change("probe", "", "1")];
        let outcome = store.change_catalog(before, probe, "key", moment(0), Vec::new()).await.expect("an outcome");
        let written = all_of(&*store, partition).await.iter().any(|row| row.event.id.as_str() == format!("e{round}"));
        assert_eq!(matches!(outcome, CatalogOutcome::Stale { .. }), written);
    }
}

pub(crate) async fn changes_of_the_catalog_do_not_wait_in_a_circle_with_others(home: Home) {
    // A change of the catalog is told at home alone.
    if home.is_sharded() {
        return;
    }
    let store = home.open().await;
    let mut tenants = Vec::new();
    for partition in 0..4 {
        tenants.push(place_in(&*store, &format!("t{partition}"), partition).await);
    }
    let appends = |tenants: Vec<TenantRow>, name: String| -> Vec<Append> {
        let one = |(at, row): (usize, &TenantRow)| {
            let events: Vec<Event> = vec![event(row.id.as_str(), &format!("{name}-{at}"))];
            appending(row, events)
        };
        tenants.iter().enumerate().map(one).collect()
    };
    let mut tasks = Vec::new();
    for number in 0..4_u32 {
        let mut order = tenants.clone();
        order.rotate_left(number as usize);
        let (one, with) = (Arc::clone(&store), order.clone());
        tasks.push(tokio::spawn(async move {
            for round in 0..10 {
                let mut expected = one.catalog_revision().await.expect("a revision");
                loop {
                    let changes = vec![change(&format!("set{number}"), "", &round.to_string())];
                    let told = appends(with.clone(), format!("catalog-{number}-{round}"));
                    match one.change_catalog(expected, changes, "key", moment(0), told).await.expect("an outcome") {
                        CatalogOutcome::Changed { .. } => break,
                        CatalogOutcome::Stale { head } => expected = head,
                    }
                }
            }
        }));
        let (row, claimed) = (create(&*store, &tenants[number as usize], 1).await, claim(&*store, number).await);
        order.reverse();
        let (one, with) = (Arc::clone(&store), order);
        tasks.push(tokio::spawn(async move {
            for round in 0..10 {
                let told = appends(with.clone(), format!("change-{number}-{round}"));
                put_with(&*one, row.clone(), told).await.expect("a change");
                let told = appends(with.clone(), format!("commit-{number}-{round}"));
                commit_with(&*one, &nothing(number, claimed), told).await;
            }
        }));
    }
    for task in tasks {
        task.await.expect("a task");
    }
    let total: u64 = store.heads().await.unwrap().iter().map(|head| head.position.get()).sum();
    assert_eq!(total, 4 * 10 * 3 * 4);
    assert_eq!(store.catalog_revision().await.unwrap(), CatalogRevision(40));
}

pub(crate) async fn the_database_refuses_to_change_the_catalogs_history(home: Home) {
    let store = home.open().await;
    make(&*store, 0, vec![change("a", "", "1")]).await;
    for sql in [
        "UPDATE catalog_entries SET source = 'other'",
        "UPDATE catalog_entries SET revision = 2",
        "DELETE FROM catalog_entries",
        "INSERT INTO catalog_entries SELECT * FROM catalog_entries",
        "UPDATE catalog_newest SET revision = 0",
        "DELETE FROM catalog_newest",
        "UPDATE catalog SET revision = 0",
        "DELETE FROM catalog",
        "INSERT INTO catalog (only_row, revision) VALUES (2, 0)",
        "INSERT INTO marks (tenant_no, sequence, type, version, reasons) VALUES (1, 0, 'a.b', '1', '[]')",
        "INSERT INTO quarantines (tenant, events) VALUES ('acme', -1)",
        "INSERT INTO observed (type, version, source_kind, source_id, events, first_at, last_at) \
         VALUES ('a.b', '1', 'king', 's', 1, 0, 0)",
    ] {
        assert!(home.raw(sql).await.is_err(), "{sql}");
    }
    if store.backend() == tidings_store::Backend::Postgres {
        assert!(home.raw("TRUNCATE catalog_entries").await.is_err());
    }
    assert_eq!(read(&*store, 0, 10).await, (names(&["a@1"]), 1, 1));
}

pub(crate) async fn a_log_from_before_the_catalog_keeps_everything(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    let written = append(&*store, (0..3).map(|at| event("acme", &format!("e{at}"))).collect()).await;
    let row = create(&*store, &tenant, 1).await;
    let old = KeyRow {
        id: "k1".to_owned(),
        hash: [1; 32],
        role: Role::Producer,
        tenants: vec![tenant.id.clone()],
        type_prefixes: vec!["sales.".to_owned()],
        service: None,
        description: "of before".to_owned(),
        created_at: moment(1),
        expires_at: None,
        revoked_at: None,
    };
    store.insert_key(&old).await.unwrap();
    store.close().await;
    drop(store);
    home.forget_the_catalog().await;
    assert!(home.raw("SELECT revision FROM catalog").await.is_err());

    let store = home.open().await;
    assert_eq!(all_of(&*store, tenant.partition).await, written);
    assert_eq!(store.endpoint(tenant.no, &row.id).await.unwrap(), Some(row));
    assert_eq!(store.keys(None, 10).await.unwrap(), [old]);
    assert_eq!(place(&*store, "acme").await.head, Sequence(3));
    assert_eq!(append(&*store, vec![event("acme", "after")]).await[0].position, Position(4));
    make(&*store, 0, vec![change("a", "", "1")]).await;
    // A server of the version before writes its keys without a service.
    let hash = if store.backend() == tidings_store::Backend::Postgres { "'\\x" } else { "x'" };
    let insert = format!(
        "INSERT INTO keys (id, hash, role, tenants, type_prefixes, description, created_at) \
         SELECT 'k2', {hash}{}', role, tenants, type_prefixes, description, created_at FROM keys",
        "02".repeat(32)
    );
    home.raw(&insert).await.expect("a key");
    assert_eq!(store.key_by_hash(&[2; 32]).await.unwrap().expect("a key").service, None);
}
