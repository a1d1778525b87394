//! What searching promises.

use tidings_event::{Context, ContextKind, Entity, EventType, Sequence, SourceKind};
use tidings_store::{ColumnFilter, Direction, ReadLimit, Search, Store, TypeFilter};

use crate::home::Home;
use crate::make::{ALL, append, event, ids, place, text, typed};

fn everything(columns: ColumnFilter) -> Search {
    Search { columns, after: Sequence(0), before: Sequence(u64::MAX), direction: Direction::Forward, limit: ALL }
}

async fn found(store: &dyn Store, search: Search) -> Vec<String> {
    let tenant = place(store, "acme").await;
    let rows = store.search(tenant.no, &search).await.expect("a search");
    assert!(rows.iter().all(|row| row.event.tenant == tenant.id));
    ids(&rows).into_iter().map(str::to_owned).collect()
}

pub(crate) async fn every_column_narrows_a_search(home: Home) {
    let store = home.open().await;
    let plain = || {
        let mut plain = event("acme", "plain");
        plain.entity = None;
        plain
    };
    let one = |id: &str, change: &dyn Fn(&mut tidings_event::Event)| {
        let mut event = plain();
        event.id = tidings_event::EventId::parse(id).unwrap();
        event.metadata.correlation_id = text(id);
        change(&mut event);
        event
    };
    let events = vec![
        plain(),
        one("entity", &|event| event.entity = Some(Entity { kind: text("lead"), id: text("1") })),
        one("sibling", &|event| event.entity = Some(Entity { kind: text("lead"), id: text("2") })),
        one("source", &|event| event.source.kind = SourceKind::Task),
        one("named", &|event| event.source.id = text("other")),
        one("actor", &|event| event.actor = Some(text("user_7"))),
        one("project", &|event| event.project = Some(text("emea"))),
        one("correlated", &|event| event.metadata.correlation_id = text("req_1")),
        one("caused", &|event| event.metadata.causation_id = Some(text("plain"))),
        one("context", &|event| {
            event.metadata.context = Some(Context { kind: ContextKind::User, id: text("u") });
        }),
    ];
    let mut others = events.clone();
    others.iter_mut().for_each(|event| event.tenant = tidings_event::TenantId::parse("globex").unwrap());
    append(&*store, others).await;
    append(&*store, events).await;

    let all = ColumnFilter::default;
    assert_eq!(found(&*store, everything(all())).await.len(), 10);
    let lead = || Some(text("lead"));
    for (columns, expect) in [
        (ColumnFilter { entity_kind: lead(), entity_id: Some(text("1")), ..all() }, vec!["entity"]),
        (ColumnFilter { entity_kind: lead(), ..all() }, vec!["entity", "sibling"]),
        (ColumnFilter { entity_id: Some(text("2")), ..all() }, vec!["sibling"]),
        (ColumnFilter { source_kind: Some(SourceKind::Task), ..all() }, vec!["source"]),
        (ColumnFilter { source_id: Some(text("other")), ..all() }, vec!["named"]),
        (ColumnFilter { actor: Some(text("user_7")), ..all() }, vec!["actor"]),
        (ColumnFilter { project: Some(text("emea")), ..all() }, vec!["project"]),
        (ColumnFilter { correlation_id: Some(text("req_1")), ..all() }, vec!["correlated"]),
        (ColumnFilter { causation_id: Some(text("plain")), ..all() }, vec!["caused"]),
        (ColumnFilter { context_kind: Some(ContextKind::User), ..all() }, vec!["context"]),
        (ColumnFilter { context_id: Some(text("u")), ..all() }, vec!["context"]),
        (ColumnFilter { actor: Some(text("user_7")), project: Some(text("emea")), ..all() }, vec![]),
        (ColumnFilter { actor: Some(text("user_")), ..all() }, vec![]),
        (ColumnFilter { entity_kind: lead(), entity_id: Some(text("1")), actor: Some(text("x")), ..all() }, vec![]),
        (ColumnFilter { causation_id: Some(text("plain")), entity_kind: lead(), ..all() }, vec![]),
    ] {
        assert_eq!(found(&*store, everything(columns.clone())).await, expect, "{columns:?}");
    }
}

pub(crate) async fn types_are_found_exactly_and_by_prefix(home: Home) {
    let store = home.open().await;
    let types = ["sales.lead.created", "sales.lead.lost", "sales.lead_x.created", "salesy.a.b", "crm.lead.created"];
    let mut events: Vec<_> =
        types.iter().enumerate().map(|(at, name)| typed("acme", &format!("e{at}"), name)).collect();
    // More types than a prefix is resolved to.
    events.extend((0..300).map(|at| typed("acme", &format!("m{at}"), &format!("many.t{at}.done"))));
    append(&*store, events).await;
    append(&*store, vec![typed("globex", "g", "sales.lead.created")]).await;
    let exact = |name: &str| TypeFilter::Exact(EventType::parse(name).unwrap());
    let prefix = |text: &str| TypeFilter::Prefix(text.to_owned());
    for (wanted, expect) in [
        (vec![exact("sales.lead.created")], vec!["e0"]),
        (vec![prefix("sales.")], vec!["e0", "e1", "e2"]),
        (vec![prefix("sales")], vec!["e0", "e1", "e2", "e3"]),
        (vec![prefix("sales.lead_")], vec!["e2"]),
        (vec![prefix("sales.lead."), exact("sales.lead.lost"), exact("crm.lead.created")], vec!["e0", "e1", "e4"]),
        (vec![prefix("nothing."), exact("no.such")], vec![]),
        (vec![prefix("%")], vec![]),
        (vec![prefix("ä")], vec![]),
    ] {
        let columns = ColumnFilter { types: wanted.clone(), ..ColumnFilter::default() };
        assert_eq!(found(&*store, everything(columns)).await, expect, "{wanted:?}");
        // The same as a residue beside another column that drives.
        let columns = ColumnFilter {
            types: wanted.clone(),
            entity_kind: Some(text("lead")),
            entity_id: Some(text("lead_1")),
            ..ColumnFilter::default()
        };
        assert_eq!(found(&*store, everything(columns)).await, expect, "{wanted:?} of an entity");
    }
    for wide in ["", "many."] {
        let columns = ColumnFilter { types: vec![prefix(wide)], ..ColumnFilter::default() };
        let count = if wide.is_empty() { 305 } else { 300 };
        assert_eq!(found(&*store, everything(columns)).await.len(), count);
    }
    let hundred = (0..100).map(|at| exact(&format!("many.t{at}.done"))).collect();
    let columns = ColumnFilter { types: hundred, ..ColumnFilter::default() };
    assert_eq!(found(&*store, everything(columns)).await.len(), 100);
}

pub(crate) async fn a_correlation_finds_the_event_that_began_it(home: Home) {
    let store = home.open().await;
    let mut follow = event("acme", "follow");
    follow.metadata.correlation_id = text("root");
    let mut apart = event("acme", "apart");
    apart.metadata.correlation_id = text("elsewhere");
    append(&*store, vec![event("acme", "root"), apart, follow]).await;
    let columns = |id: &str| ColumnFilter { correlation_id: Some(text(id)), ..ColumnFilter::default() };
    assert_eq!(found(&*store, everything(columns("root"))).await, ["root", "follow"]);
    let backward = Search { direction: Direction::Backward, ..everything(columns("root")) };
    assert_eq!(found(&*store, backward).await, ["follow", "root"]);
    let one = Search { limit: ReadLimit { events: 1, bytes: 1_000 }, ..everything(columns("root")) };
    assert_eq!(found(&*store, one).await, ["root"]);
    // It names another correlation, so its own id is none.
    assert!(found(&*store, everything(columns("apart"))).await.is_empty());
}

pub(crate) async fn a_search_reads_both_ways_between_its_bounds(home: Home) {
    let store = home.open().await;
    append(&*store, (1..=9).map(|at| typed("acme", &format!("e{at}"), ["a.b", "a.c"][at % 2])).collect()).await;
    let types = [TypeFilter::Prefix("a.".to_owned())].to_vec();
    for columns in [ColumnFilter::default(), ColumnFilter { types, ..ColumnFilter::default() }] {
        let base = Search { after: Sequence(2), before: Sequence(8), ..everything(columns) };
        assert_eq!(found(&*store, base.clone()).await, ["e3", "e4", "e5", "e6", "e7"]);
        let backward = Search { direction: Direction::Backward, ..base.clone() };
        assert_eq!(found(&*store, backward.clone()).await, ["e7", "e6", "e5", "e4", "e3"]);
        let limit = ReadLimit { events: 2, bytes: usize::MAX };
        assert_eq!(found(&*store, Search { limit, ..base.clone() }).await, ["e3", "e4"]);
        assert_eq!(found(&*store, Search { limit, ..backward.clone() }).await, ["e7", "e6"]);
        let limit = ReadLimit { events: 100, bytes: 25 };
        assert_eq!(found(&*store, Search { limit, ..base.clone() }).await, ["e3", "e4"]);
        assert_eq!(found(&*store, Search { limit, ..backward }).await, ["e7", "e6"]);
        let nothing = Search { after: Sequence(5), before: Sequence(6), ..base };
        assert!(found(&*store, nothing).await.is_empty());
    }
}

pub(crate) async fn effects_are_found_by_their_causes(home: Home) {
    let store = home.open().await;
    let caused = |id: &str, cause: &str| {
        let mut event = event("acme", id);
        event.metadata.causation_id = Some(text(cause));
        event
    };
    let events = vec![event("acme", "a"), caused("b", "a"), caused("c", "b"), caused("d", "a"), caused("e", "c")];
    append(&*store, events).await;
    let tenant = place(&*store, "acme").await;
    let ask = async |causes: &[&str], limit: usize| {
        let causes: Vec<_> = causes.iter().map(|cause| text(cause)).collect();
        let rows = store.caused_by(tenant.no, &causes, limit).await.expect("an answer");
        ids(&rows).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(ask(&["a"], 100).await, ["b", "d"]);
    assert_eq!(ask(&["c", "a", "a"], 100).await, ["b", "d", "e"]);
    assert_eq!(ask(&["a", "b", "c"], 3).await, ["b", "c", "d"]);
    assert!(ask(&[], 100).await.is_empty());
    assert!(ask(&["a"], 0).await.is_empty());
    assert!(ask(&["nobody"], 100).await.is_empty());
}
