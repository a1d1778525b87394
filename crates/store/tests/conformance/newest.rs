//! What is promised about the newest event of an entity, and about marks.

use std::sync::Arc;

use tidings_event::log::{AppendKeys, AppendPlan, EntityKey, Mark, Newest};
use tidings_event::{Entity, Event, EventType, Sequence, TenantNo, Version, Violation, violation_code as code};
use tidings_store::{Append, Appended, Decide, Error, MarkQuery, MarkRow, Store, TenantRow};

use crate::deliver::{create, put_with};
use crate::home::Home;
use crate::make::{all_of, append, event, ids, keys, moment, place, plan, text, try_append, typed};

/// The entity of all events that [`event`] makes.
fn lead(id: &str) -> Entity {
    Entity { kind: text("lead"), id: text(id) }
}

fn asked(tenant: TenantNo, id: &str, types: &[&str]) -> EntityKey {
    let types = types.iter().map(|name| EventType::parse(name).unwrap()).collect();
    EntityKey { tenant, entity: lead(id), types }
}

/// What an append that asks for entities is shown.
async fn newest(store: &dyn Store, tenant: &TenantRow, entities: Vec<EntityKey>) -> Vec<Option<Newest>> {
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let keys = AppendKeys { tenants: vec![tenant.no], ids: Vec::new(), entities: entities.clone() };
    let decide: Decide = Box::new(move |mut view| {
        let found: Vec<_> = entities.iter().map(|key| view.newest.remove(key)).collect();
        assert!(view.newest.is_empty(), "nothing is shown that was not asked for");
        tell.send(found).expect("somebody listens");
        AppendPlan::default()
    });
    store.append(tenant.partition, keys, decide).await.expect("an append");
    told.recv().expect("what was found")
}

/// Names what was found: an event's id, `-` where there is none, `?` where that is unknown.
fn named(found: &[Option<Newest>]) -> Vec<String> {
    let name = |found: &Option<Newest>| match found {
        Some(Newest::Event(event)) => event.id.to_string(),
        Some(Newest::None) | None => "-".to_owned(),
        Some(Newest::Unknown) => "?".to_owned(),
    };
    found.iter().map(name).collect()
}

pub(crate) async fn an_append_sees_the_newest_event_of_its_entity_among_the_types(home: Home) {
    let store = home.open().await;
    let (created, moved, called) = ("sales.lead.created", "sales.lead.moved", "sales.lead.called");
    let other = Event { entity: Some(lead("lead_2")), ..typed("acme", "e4", moved) };
    let kind = Event { entity: Some(Entity { kind: text("leads"), id: text("lead_1") }), ..typed("acme", "e5", moved) };
    let bare = Event { entity: None, ..typed("acme", "e6", moved) };
    let mine = [("e1", created), ("e2", moved), ("e3", called)].map(|(id, name)| typed("acme", id, name));
    let written = append(&*store, mine.into_iter().chain([other, kind, bare]).collect()).await;
    append(&*store, vec![typed("globex", "g1", moved)]).await;
    let tenant = place(&*store, "acme").await;
    let globex = place(&*store, "globex").await;
    let found = newest(
        &*store,
        &tenant,
        vec![
            asked(tenant.no, "lead_1", &[created]),
            asked(tenant.no, "lead_1", &[created, moved]),
            asked(tenant.no, "lead_1", &[called, moved, created]),
            asked(tenant.no, "lead_1", &["sales.lead.lost"]),
            asked(tenant.no, "lead_2", &[created, moved]),
            asked(tenant.no, "lead_3", &[created, moved]),
            asked(globex.no, "lead_1", &[moved]),
        ],
    )
    .await;
    assert_eq!(named(&found), ["e1", "e2", "e3", "-", "e4", "-", "g1"]);
    match &found[1] {
        Some(Newest::Event(event)) => assert_eq!(**event, written[1].event, "the event is shown whole"),
        other => panic!("{other:?}"),
    }
    assert_eq!(ids(&all_of(&*store, tenant.partition).await).len(), 7, "a look writes nothing");
}

pub(crate) async fn an_entity_of_any_name_is_found(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    let long = "ß".repeat(255);
    let names = ["'; drop table events; --", "ユーザー7", "a,b", &long, "~", " "];
    let events = names.iter().enumerate().map(|(at, name)| {
        let entity = Some(Entity { kind: text(name), id: text(name) });
        Event { entity, ..typed("acme", &format!("e{at}"), "sales.lead.moved") }
    });
    append(&*store, events.collect()).await;
    let entities = names.iter().map(|name| EntityKey {
        entity: Entity { kind: text(name), id: text(name) },
        ..asked(tenant.no, "x", &["sales.lead.moved"])
    });
    let found = newest(&*store, &tenant, entities.collect()).await;
    assert_eq!(named(&found), ["e0", "e1", "e2", "e3", "e4", "e5"]);
}

pub(crate) async fn beyond_the_look_back_the_newest_event_is_unknown(home: Home) {
    let store = home.open().await;
    let called = |ids: std::ops::Range<u32>| -> Vec<Event> {
        ids.map(|at| typed("acme", &format!("c{at}"), "sales.lead.called")).collect()
    };
    let wanted = |tenant: &TenantRow| {
        vec![
            asked(tenant.no, "lead_1", &["sales.lead.moved"]),
            asked(tenant.no, "lead_1", &["sales.lead.lost"]),
            asked(tenant.no, "lead_1", &["sales.lead.called"]),
        ]
    };
    append(&*store, vec![typed("acme", "moved", "sales.lead.moved")]).await;
    append(&*store, called(0..254)).await;
    let tenant = place(&*store, "acme").await;
    assert_eq!(named(&newest(&*store, &tenant, wanted(&tenant)).await), ["moved", "-", "c253"]);
    append(&*store, called(254..255)).await;
    let found = newest(&*store, &tenant, wanted(&tenant)).await;
    assert_eq!(named(&found), ["moved", "?", "c254"], "the last that is looked at may be the one");
    append(&*store, called(255..256)).await;
    assert_eq!(named(&newest(&*store, &tenant, wanted(&tenant)).await), ["?", "?", "c255"]);
}

/// Appends an event whose id counts up from that of the newest of its entity.
async fn count_up(store: &dyn Store, tenant: &TenantRow) {
    let key = asked(tenant.no, "lead_1", &["sales.lead.moved"]);
    let keys = AppendKeys { tenants: vec![tenant.no], ids: Vec::new(), entities: vec![key.clone()] };
    let no = tenant.no;
    let decide: Decide = Box::new(move |view| {
        let number = match view.newest.get(&key) {
            Some(Newest::Event(event)) => event.id.as_str().parse::<u32>().expect("a number") + 1,
            _ => 1,
        };
        plan(&view, no, vec![typed("acme", &number.to_string(), "sales.lead.moved")], moment(0))
    });
    store.append(tenant.partition, keys, decide).await.expect("an append");
}

pub(crate) async fn of_many_appends_at_once_each_sees_the_event_of_the_one_before(home: Home) {
    let store = home.open().await;
    let other = home.open().await;
    let tenant = place(&*store, "acme").await;
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let store = Arc::clone(if writer % 2 == 0 { &store } else { &other });
            let tenant = tenant.clone();
            tokio::spawn(async move {
                for _ in 0..10 {
                    count_up(&*store, &tenant).await;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("a writer");
    }
    let rows = all_of(&*store, tenant.partition).await;
    let numbers: Vec<u32> = ids(&rows).iter().map(|id| id.parse().unwrap()).collect();
    assert_eq!(numbers, (1..=80).collect::<Vec<u32>>());
}

pub(crate) async fn what_a_transaction_appends_first_is_the_newest_for_what_it_appends_then(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    append(&*store, vec![typed("acme", "before", "sales.lead.moved")]).await;
    let row = create(&*store, &tenant, 1).await;
    let key = asked(tenant.no, "lead_1", &["sales.lead.moved"]);
    let (tell, told) = std::sync::mpsc::sync_channel(2);
    let appends = ["first", "second"].map(|id| {
        let (key, tell, no) = (key.clone(), tell.clone(), tenant.no);
        let keys = AppendKeys { tenants: vec![no], ids: Vec::new(), entities: vec![key.clone()] };
        let decide: Decide = Box::new(move |view| {
            tell.send(view.newest.get(&key).cloned()).expect("somebody listens");
            plan(&view, no, vec![typed("acme", id, "sales.lead.moved")], moment(0))
        });
        Append { partition: tenant.partition, keys, decide }
    });
    put_with(&*store, row, appends.into()).await.expect("a change");
    let found: Vec<Option<Newest>> = told.try_iter().collect();
    assert_eq!(named(&found), ["before", "first"]);
}

fn violations(message: &str) -> Arc<[Violation]> {
    let one = |code| Violation { path: "/data/to".to_owned(), code, message: message.to_owned() };
    [one(code::RULE_FAILED), one(code::TRANSITION_FORBIDDEN)].into()
}

/// An append that marks each row whose id begins with `m`.
fn marking(tenant: &TenantRow, events: Vec<Event>) -> Append {
    let (no, keys) = (tenant.no, keys(tenant.no, &events));
    let decide: Decide = Box::new(move |view| {
        let mut plan = plan(&view, no, events, moment(0));
        let marked = plan.rows.iter().enumerate().filter(|(_, row)| row.event.id.as_str().starts_with('m'));
        plan.marks =
            marked.map(|(row, recorded)| Mark { row, violations: violations(recorded.event.id.as_str()) }).collect();
        plan
    });
    Append { partition: tenant.partition, keys, decide }
}

async fn append_marking(store: &dyn Store, tenant: &TenantRow, events: Vec<Event>) -> tidings_store::Result<Appended> {
    let Append { partition, keys, decide } = marking(tenant, events);
    store.append(partition, keys, decide).await
}

async fn marks(store: &dyn Store, tenant: TenantNo, event_type: Option<&str>, before: u64, limit: usize) -> Vec<u64> {
    let event_type = event_type.map(|name| EventType::parse(name).unwrap());
    let query = MarkQuery { event_type, before: Sequence(before), limit };
    store.marks(tenant, &query).await.expect("marks").iter().map(|row| row.sequence.get()).collect()
}

pub(crate) async fn a_mark_is_written_with_its_row_however_many_there_are(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    let mut second = typed("acme", "m1", "sales.lead.moved");
    second.version = Version::parse("2024 β").unwrap();
    append_marking(&*store, &tenant, vec![event("acme", "a"), second]).await.expect("an append");
    let query = MarkQuery { event_type: None, before: Sequence(u64::MAX), limit: 10 };
    let rows = store.marks(tenant.no, &query).await.unwrap();
    let expected = MarkRow {
        tenant: tenant.no,
        sequence: Sequence(2),
        event_type: EventType::parse("sales.lead.moved").unwrap(),
        version: Version::parse("2024 β").unwrap(),
        reasons: serde_json::to_string(&*violations("m1")).unwrap(),
    };
    assert_eq!(rows, [expected]);
    // A larger batch may take another way into the database.
    let many = (0..300).map(|at| event("acme", &format!("{}{at}", if at % 3 == 0 { 'm' } else { 'x' }))).collect();
    append_marking(&*store, &tenant, many).await.expect("an append");
    assert_eq!(marks(&*store, tenant.no, None, u64::MAX, 1_000).await.len(), 101);
    // And within the transaction of something else.
    let row = create(&*store, &tenant, 1).await;
    put_with(&*store, row, vec![marking(&tenant, vec![event("acme", "mark")])]).await.expect("a change");
    assert_eq!(marks(&*store, tenant.no, None, u64::MAX, 1).await, [303]);
}

pub(crate) async fn marks_are_found_newest_first_by_what_is_asked(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    for at in 0..6 {
        let name = if at % 2 == 0 { "sales.lead.created" } else { "sales.lead.moved" };
        append_marking(&*store, &tenant, vec![typed("acme", &format!("m{at}"), name)]).await.expect("an append");
    }
    let stranger = place(&*store, "globex").await;
    append_marking(&*store, &stranger, vec![event("globex", "m")]).await.expect("an append");
    let no = tenant.no;
    assert_eq!(marks(&*store, no, None, u64::MAX, 100).await, [6, 5, 4, 3, 2, 1]);
    assert_eq!(marks(&*store, no, None, 5, 2).await, [4, 3]);
    assert_eq!(marks(&*store, no, Some("sales.lead.moved"), u64::MAX, 100).await, [6, 4, 2]);
    assert_eq!(marks(&*store, no, Some("sales.lead.moved"), 6, 1).await, [4]);
    assert_eq!(marks(&*store, no, Some("sales.lead"), u64::MAX, 100).await, [0_u64; 0]);
    assert_eq!(marks(&*store, stranger.no, None, u64::MAX, 100).await, [1]);
}

pub(crate) async fn a_plan_that_marks_what_it_does_not_write_is_refused_and_leaves_nothing(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    for rows in [vec![2], vec![0, 0], vec![1, 0]] {
        let (no, events) = (tenant.no, vec![event("acme", "a"), event("acme", "b")]);
        let asked = keys(no, &events);
        let decide: Decide = Box::new(move |view| {
            let mut plan = plan(&view, no, events, moment(0));
            plan.marks = rows.into_iter().map(|row| Mark { row, violations: violations("x") }).collect();
            plan
        });
        let refused = store.append(tenant.partition, asked, decide).await;
        assert!(matches!(refused, Err(Error::Broken(_))), "{refused:?}");
    }
    assert!(all_of(&*store, tenant.partition).await.is_empty());
    assert!(marks(&*store, tenant.no, None, u64::MAX, 100).await.is_empty());
    try_append(&*store, &tenant, vec![event("acme", "a")], moment(0)).await.expect("an append");
}
