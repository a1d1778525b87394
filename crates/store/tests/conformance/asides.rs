//! What is promised about events that are kept aside, and about who was seen to emit what.

use std::sync::Arc;

use tidings_event::{EventId, EventType, SourceKind, TenantId, Version};
use tidings_store::{Aside, AsideQuery, ObservedRow, Store};

use crate::home::Home;
use crate::make::{moment, text};

fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

fn aside(owner: &str, id: &str, event: &str) -> Aside {
    Aside {
        no: 0,
        tenant: tenant(owner),
        event_id: EventId::parse(id).unwrap(),
        content: [1; 32],
        event_type: EventType::parse("sales.lead.moved").unwrap(),
        version: Version::first(),
        event: event.to_owned(),
        reasons: "[]".to_owned(),
        sender: "key_1".to_owned(),
        at: moment(1),
    }
}

async fn list(store: &dyn Store, owner: &str, event_type: Option<&str>, after: i64, limit: usize) -> Vec<Aside> {
    let event_type = event_type.map(|name| EventType::parse(name).unwrap());
    store.aside(&tenant(owner), &AsideQuery { event_type, after, limit }).await.expect("events")
}

async fn all(store: &dyn Store, owner: &str) -> Vec<Aside> {
    list(store, owner, None, 0, 1_000).await
}

pub(crate) async fn an_event_put_aside_is_read_back_as_it_was_written(home: Home) {
    let store = home.open().await;
    let full = Aside {
        version: Version::parse("2024 β").unwrap(),
        event: "{\"data\":{\"ü\":\"\\u0000'; drop table asides; --\"}}".to_owned(),
        reasons: r#"[{"path":"/data/ü","code":"rule_failed","message":"✓"}]"#.to_owned(),
        sender: "source/Ärzte \"GmbH\"".to_owned(),
        at: moment(-1),
        ..aside("Ärzte \"GmbH\"", "e'1", "")
    };
    assert!(store.put_aside(&[full.clone(), aside("acme", "e1", "{}")], 10).await.unwrap());
    let found = all(&*store, "Ärzte \"GmbH\"").await;
    assert_eq!(found, [Aside { no: found[0].no, ..full }]);
    assert!(found[0].no > 0);
    assert_eq!(store.aside_one(&found[0].tenant, found[0].no).await.unwrap().as_ref(), Some(&found[0]));
    assert_eq!(store.aside_one(&tenant("acme"), found[0].no).await.unwrap(), None, "it is another tenant's");
    assert_eq!(all(&*store, "acme").await.len(), 1);
    assert!(all(&*store, "globex").await.is_empty());
    assert!(store.put_aside(&[], 0).await.unwrap());
}

pub(crate) async fn the_same_event_is_put_aside_once_with_the_newest_reasons(home: Home) {
    let store = home.open().await;
    let first = aside("acme", "e1", "{\"timestamp\":1}");
    assert!(store.put_aside(&[first.clone(), aside("acme", "e2", "{}")], 10).await.unwrap());
    // Sent again it has another timestamp, and another version where it named none.
    let event = "{\"timestamp\":2}".to_owned();
    let later = Aside { event, reasons: "[1]".to_owned(), sender: "key_2".to_owned(), at: moment(9), ..first.clone() };
    let other = Aside { content: [2; 32], ..first.clone() };
    let last = Aside { reasons: "[2]".to_owned(), ..later.clone() };
    assert!(store.put_aside(&[later.clone(), other.clone(), last], 10).await.unwrap());
    let found = all(&*store, "acme").await;
    let short: Vec<(&str, [u8; 32], &str)> =
        found.iter().map(|row| (row.event_id.as_str(), row.content, row.reasons.as_str())).collect();
    assert_eq!(short, [("e1", [1; 32], "[2]"), ("e2", [1; 32], "[]"), ("e1", [2; 32], "[]")]);
    let kept = Aside { no: found[0].no, reasons: "[2]".to_owned(), ..first.clone() };
    assert_eq!(found[0], kept, "the first one stays as it is");
    // The reasons are those of the version that is kept.
    let judged = Aside { version: Version::parse("2").unwrap(), reasons: "[3]".to_owned(), ..later };
    assert!(store.put_aside(&[judged], 3).await.unwrap());
    assert_eq!(all(&*store, "acme").await[0], kept);
    assert_eq!(all(&*store, "acme").await.len(), 3);
    // The same event of another tenant is another event.
    assert!(store.put_aside(&[aside("globex", "e1", "{\"timestamp\":1}")], 10).await.unwrap());
    assert_eq!(all(&*store, "globex").await.len(), 1);
}

pub(crate) async fn taking_nothing_away_leaves_no_trace(home: Home) {
    let store = home.open().await;
    assert_eq!(store.clear_aside(&tenant("nobody"), &[1, 2]).await.unwrap(), 0);
    home.raw("INSERT INTO quarantines (tenant, events) VALUES ('nobody', 0)").await.expect("there is no such row yet");
}

pub(crate) async fn a_full_quarantine_takes_nothing_of_a_request(home: Home) {
    let store = home.open().await;
    let three: Vec<Aside> = (0..3).map(|at| aside("acme", &format!("e{at}"), "{}")).collect();
    assert!(store.put_aside(&three, 3).await.unwrap());
    let request = [aside("globex", "g1", "{}"), aside("acme", "e9", "{}"), aside("zeta", "z1", "{}")];
    assert!(!store.put_aside(&request, 3).await.unwrap());
    assert!(all(&*store, "globex").await.is_empty() && all(&*store, "zeta").await.is_empty());
    assert_eq!(all(&*store, "acme").await.len(), 3);
    // What is there already needs no room.
    let again = Aside { reasons: "[1]".to_owned(), ..three[0].clone() };
    assert!(store.put_aside(&[again.clone(), aside("globex", "g1", "{}")], 3).await.unwrap());
    assert!(
        !store.put_aside(&[Aside { reasons: "[2]".to_owned(), ..again }, aside("acme", "e9", "{}")], 3).await.unwrap()
    );
    let found = all(&*store, "acme").await;
    assert_eq!(found[0].reasons, "[1]", "nothing of a request that was not taken is written");
    // What is taken away makes room.
    assert_eq!(store.clear_aside(&tenant("acme"), &[found[1].no]).await.unwrap(), 1);
    assert!(store.put_aside(&[aside("acme", "e9", "{}")], 3).await.unwrap());
    assert!(!store.put_aside(&[aside("acme", "e10", "{}")], 3).await.unwrap());
}

pub(crate) async fn events_kept_aside_are_listed_by_number_and_taken_away_once(home: Home) {
    let store = home.open().await;
    for at in 0..6 {
        let name = if at % 2 == 0 { "sales.lead.created" } else { "sales.lead.moved" };
        let event_type = EventType::parse(name).unwrap();
        let one = Aside { event_type, ..aside("acme", &format!("e{at}"), "{}") };
        assert!(store.put_aside(&[one, aside("globex", &format!("g{at}"), "{}")], 100).await.unwrap());
    }
    let found = all(&*store, "acme").await;
    let nos: Vec<i64> = found.iter().map(|row| row.no).collect();
    assert!(nos.is_sorted());
    let ids = |rows: Vec<Aside>| rows.iter().map(|row| row.event_id.to_string()).collect::<Vec<_>>();
    assert_eq!(ids(found), ["e0", "e1", "e2", "e3", "e4", "e5"]);
    assert_eq!(ids(list(&*store, "acme", None, nos[1], 2).await), ["e2", "e3"]);
    assert_eq!(ids(list(&*store, "acme", Some("sales.lead.moved"), 0, 10).await), ["e1", "e3", "e5"]);
    assert_eq!(ids(list(&*store, "acme", Some("sales.lead.moved"), nos[1], 1).await), ["e3"]);
    assert_eq!(ids(list(&*store, "acme", Some("sales.lead.mov"), 0, 10).await), [""; 0]);

    let strangers = all(&*store, "globex").await;
    let asked = [nos[0], nos[3], nos[3], strangers[0].no, i64::MAX];
    assert_eq!(store.clear_aside(&tenant("acme"), &asked).await.unwrap(), 2);
    assert_eq!(store.clear_aside(&tenant("acme"), &asked).await.unwrap(), 0);
    assert_eq!(store.clear_aside(&tenant("nobody"), &nos).await.unwrap(), 0);
    assert_eq!(ids(all(&*store, "acme").await), ["e1", "e2", "e4", "e5"]);
    assert_eq!(all(&*store, "globex").await.len(), 6);
    assert_eq!(store.clear_aside(&tenant("acme"), &nos).await.unwrap(), 4);
    assert!(store.put_aside(&[aside("acme", "e9", "{}")], 1).await.unwrap(), "all of the room is back");
    assert!(all(&*store, "acme").await[0].no > nos[5], "no number is given twice");
}

pub(crate) async fn many_at_once_never_exceed_a_quarantines_bound(home: Home) {
    let store = home.open().await;
    let other = home.open().await;
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let store = Arc::clone(if task % 2 == 0 { &store } else { &other });
            tokio::spawn(async move {
                let mut taken = 0;
                for round in 0..5 {
                    // Tenants in both orders, and one event that all of them bring.
                    let mut events = vec![
                        aside("acme", &format!("{task}-{round}"), "{}"),
                        aside("globex", &format!("{task}-{round}"), "{}"),
                        aside("acme", "shared", "{}"),
                    ];
                    if task % 3 == 0 {
                        events.reverse();
                    }
                    taken += usize::from(store.put_aside(&events, 21).await.expect("an answer"));
                }
                taken
            })
        })
        .collect();
    let mut taken = 0;
    for task in tasks {
        taken += task.await.expect("a task");
    }
    assert_eq!(taken, 20);
    assert_eq!(all(&*store, "acme").await.len(), 21);
    assert_eq!(all(&*store, "globex").await.len(), 20);
}

fn seen(name: &str, source: &str, events: u64, first_at: i64, last_at: i64) -> ObservedRow {
    ObservedRow {
        event_type: EventType::parse(name).unwrap(),
        version: Version::first(),
        source_kind: SourceKind::Service,
        source_id: text(source),
        events,
        first_at: moment(first_at),
        last_at: moment(last_at),
    }
}

pub(crate) async fn what_was_seen_adds_up(home: Home) {
    let store = home.open().await;
    let b = "b.b";
    store.observe(&[seen(b, "s", 2, 5, 6), seen("a.a", "ß'", 1, 0, 0), seen(b, "s", 3, 4, 5)], 10).await.unwrap();
    let external = ObservedRow { source_kind: SourceKind::External, ..seen(b, "s", 1, 1, 1) };
    let second = ObservedRow { version: Version::parse("2 β").unwrap(), ..seen(b, "s", 7, 7, 7) };
    store.observe(&[second.clone(), external.clone(), seen(b, "s", 10, 9, 9)], 10).await.unwrap();
    store.observe(&[seen(b, "s", 1, 3, 3)], 10).await.unwrap();
    store.observe(&[], 10).await.unwrap();
    let all = [seen("a.a", "ß'", 1, 0, 0), external, seen(b, "s", 16, 3, 9), second];
    assert_eq!(store.observed(None, 100).await.unwrap(), all);
    assert_eq!(store.observed(None, 2).await.unwrap(), all[..2]);
    let of_b = store.observed(Some(&EventType::parse(b).unwrap()), 100).await.unwrap();
    assert_eq!(of_b, all[1..]);
    assert!(store.observed(Some(&EventType::parse("b.bb").unwrap()), 100).await.unwrap().is_empty());
    store.observe(&[seen("a.a", "ß'", u64::MAX, 0, 0)], 10).await.unwrap();
    assert_eq!(store.observed(None, 1).await.unwrap()[0].events, i64::MAX as u64, "a count stays at its end");
}

pub(crate) async fn of_too_many_publishers_those_seen_last_are_kept(home: Home) {
    let store = home.open().await;
    store.observe(&(0..4).map(|at| seen("a.a", &format!("s{at}"), 1, 0, at)).collect::<Vec<_>>(), 4).await.unwrap();
    let sources = async || -> Vec<String> {
        let rows = store.observed(None, 100).await.expect("rows");
        rows.iter().map(|row| format!("{} {}", row.source_id, row.events)).collect()
    };
    // Who is seen again stays; what was seen the longest ago makes room.
    store.observe(&[seen("a.a", "s0", 1, 9, 9), seen("b.b", "new", 5, 10, 10)], 4).await.unwrap();
    assert_eq!(sources().await, ["s0 2", "s2 1", "s3 1", "new 5"]);
    // What was seen before all others finds no room.
    store.observe(&[seen("a.a", "old", 1, 0, 1)], 4).await.unwrap();
    assert_eq!(sources().await, ["s0 2", "s2 1", "s3 1", "new 5"]);
    // More than there is room for at once.
    store
        .observe(&(0..9).map(|at| seen("c.c", &format!("c{at}"), 1, 20, 20 + at)).collect::<Vec<_>>(), 4)
        .await
        .unwrap();
    assert_eq!(sources().await, ["c5 1", "c6 1", "c7 1", "c8 1"]);
}

pub(crate) async fn only_so_many_publishers_are_kept_however_many_write_at_once(home: Home) {
    let store = home.open().await;
    let other = home.open().await;
    let tasks: Vec<_> = (0..6)
        .map(|task| {
            let store = Arc::clone(if task % 2 == 0 { &store } else { &other });
            tokio::spawn(async move {
                for round in 0..5 {
                    let rows: Vec<ObservedRow> = (0..4)
                        .map(|at| seen("a.a", &format!("{task}-{round}-{at}"), 1, 0, 0))
                        .chain([seen("a.a", "shared", 1, 1, 1)])
                        .collect();
                    store.observe(&rows, 50).await.expect("an answer");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a task");
    }
    let rows = store.observed(None, 1_000).await.unwrap();
    assert_eq!(rows.len(), 50);
    let shared: Vec<u64> = rows.iter().filter(|row| row.source_id.as_str() == "shared").map(|row| row.events).collect();
    assert_eq!(shared, [30]);
}
