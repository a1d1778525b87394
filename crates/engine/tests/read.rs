//! What search, trace, keys and health promise.
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy does not see that macros make these")]

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use support::{Log, PAGE, event, numbered, tenant, typed};
use tidings_engine::endpoints::Who;
use tidings_engine::{ColumnFilter, Direction, Engine, NewKey, Options, ReadLimit, Role, SearchQuery, Selection};
use tidings_event::{Entity, Event, Sequence, Text, Timestamp};

fn query(direction: Direction, events: usize) -> SearchQuery {
    SearchQuery {
        columns: ColumnFilter::default(),
        selection: Arc::new(Selection::all()),
        since: None,
        until: None,
        after: None,
        before: None,
        direction,
        limit: ReadLimit { events, ..PAGE },
    }
}

/// Follows a search to its end; the sequences of each page.
async fn pages(engine: &Engine, mut query: SearchQuery) -> Vec<Vec<u64>> {
    let mut pages = Vec::new();
    loop {
        let page = engine.search(&tenant("acme"), query.clone()).await.unwrap();
        pages.push(page.events.iter().map(|event| event.sequence.get()).collect());
        match (page.next, query.direction) {
            (None, _) => return pages,
            (next, Direction::Forward) => query.after = next,
            (next, Direction::Backward) => query.before = next,
        }
    }
}

fn text(text: &str) -> Text {
    Text::parse(text).unwrap()
}

fn caused_by(cause: &Event) -> Event {
    let mut event = event("acme", "{}");
    event.metadata.causation_id = Some(text(cause.id.as_str()));
    event
}

async fn trace(engine: &Engine, of: &Event) -> (Vec<u64>, bool) {
    let trace = engine.trace(&tenant("acme"), &of.id).await.unwrap().unwrap();
    (trace.events.iter().map(|event| event.sequence.get()).collect(), trace.truncated)
}

fn admin() -> Who {
    Who { key: "admin".to_owned(), role: Role::Admin }
}

on_both! {
    async fn a_search_pages_through_everything_once_in_either_direction(log: Log) {
        let engine = log.engine().await;
        engine.append(numbered("globex", 3)).await.unwrap();
        engine.append(numbered("acme", 7)).await.unwrap();
        assert_eq!(pages(&engine, query(Direction::Forward, 3)).await, [vec![1, 2, 3], vec![4, 5, 6], vec![7]]);
        assert_eq!(pages(&engine, query(Direction::Backward, 3)).await, [vec![7, 6, 5], vec![4, 3, 2], vec![1]]);
        assert_eq!(pages(&engine, query(Direction::Backward, 7)).await, [vec![7, 6, 5, 4, 3, 2, 1]], "no empty page");
        let bytes = ReadLimit { events: 100, bytes: 24 };
        let narrow = SearchQuery { limit: bytes, ..query(Direction::Forward, 1) };
        assert_eq!(pages(&engine, narrow).await, [vec![1, 2], vec![3, 4], vec![5, 6], vec![7]]);
        let nobody = engine.search(&tenant("nobody"), query(Direction::Forward, 3)).await.unwrap();
        assert!(nobody.events.is_empty() && nobody.next.is_none());
        engine.shutdown().await;
    }

    async fn a_search_returns_what_holds_all_that_was_asked(log: Log) {
        let engine = log.engine().await;
        let lead = |id: &str| Some(Entity { kind: text("lead"), id: text(id) });
        engine.append(vec![
            Event { entity: lead("a"), ..typed("acme", "sales.lead.created", r#"{"amount":10}"#) },
            Event { entity: lead("b"), ..typed("acme", "sales.lead.created", r#"{"amount":20}"#) },
            Event { entity: lead("a"), ..typed("acme", "sales.lead.closed", r#"{"amount":30}"#) },
            typed("acme", "ops.alert.raised", r#"{"amount":30}"#),
        ]).await.unwrap();
        let of_a = ColumnFilter { entity_kind: Some(text("lead")), entity_id: Some(text("a")), ..ColumnFilter::default() };
        let selection = |types: &[&str], filter: Option<&str>| {
            let types: Vec<String> = types.iter().map(|name| (*name).to_owned()).collect();
            Arc::new(Selection::new(&types, filter.map(str::as_bytes)).unwrap())
        };
        let amount_30 = r#"{"type":"prefix","value":"","filters":[{"field":"$.data.amount","operator":"equals","value":30}]}"#;
        let base = query(Direction::Forward, 10);
        for (query, expected) in [
            (SearchQuery { columns: of_a.clone(), ..base.clone() }, vec![1, 3]),
            (SearchQuery { selection: selection(&["sales.*"], None), ..base.clone() }, vec![1, 2, 3]),
            (SearchQuery { selection: selection(&[], Some(amount_30)), ..base.clone() }, vec![3, 4]),
            (SearchQuery { selection: selection(&["sales.*"], Some(amount_30)), columns: of_a, ..base }, vec![3]),
        ] {
            assert_eq!(pages(&engine, query).await.concat(), expected);
        }
        engine.shutdown().await;
    }

    async fn a_search_in_time_holds_its_bounds_exactly(log: Log) {
        let engine = log.engine().await;
        for _ in 0..5 {
            engine.append(numbered("acme", 1)).await.unwrap();
        }
        let all = engine.search(&tenant("acme"), query(Direction::Forward, 10)).await.unwrap().events;
        for bound in all.iter().map(|event| event.recorded_at) {
            let split = |keep: &dyn Fn(Timestamp) -> bool| -> Vec<u64> {
                all.iter().filter(|event| keep(event.recorded_at)).map(|event| event.sequence.get()).collect()
            };
            let since = SearchQuery { since: Some(bound), ..query(Direction::Forward, 10) };
            assert_eq!(pages(&engine, since).await.concat(), split(&|moment| moment >= bound));
            let until = SearchQuery { until: Some(bound), ..query(Direction::Forward, 10) };
            assert_eq!(pages(&engine, until).await.concat(), split(&|moment| moment < bound));
        }
        engine.shutdown().await;
    }

    async fn a_trace_holds_causes_effects_and_siblings_and_ends_at_circles(log: Log) {
        let engine = log.engine().await;
        let root = event("acme", "{}");
        let child = caused_by(&root);
        let sibling = caused_by(&root);
        let grandchild = caused_by(&child);
        let stranger = event("acme", "{}");
        let mut one = event("acme", "{}");
        let other = caused_by(&one);
        one.metadata.causation_id = Some(text(other.id.as_str()));
        let all = vec![root.clone(), child.clone(), sibling, grandchild.clone(), stranger.clone(), one.clone(), other];
        engine.append(all).await.unwrap();
        for of in [&root, &child, &grandchild] {
            assert_eq!(trace(&engine, of).await, (vec![1, 2, 3, 4], false));
        }
        assert_eq!(trace(&engine, &stranger).await, (vec![5], false));
        assert_eq!(trace(&engine, &one).await, (vec![6, 7], false));
        assert!(engine.trace(&tenant("acme"), &event("acme", "{}").id).await.unwrap().is_none());
        engine.shutdown().await;
    }

    async fn a_trace_that_is_too_large_says_so_and_holds_the_event_and_its_causes(log: Log) {
        let engine = log.engine().await;
        let root = event("acme", "{}");
        let children: Vec<Event> = (0..1_100).map(|_| caused_by(&root)).collect();
        let asked = children.last().unwrap().clone();
        let effect = caused_by(&asked);
        engine.append(vec![root]).await.unwrap();
        for part in children.chunks(1_000) {
            engine.append(part.to_vec()).await.unwrap();
        }
        engine.append(vec![effect]).await.unwrap();
        let (sequences, truncated) = trace(&engine, &asked).await;
        assert!(truncated);
        assert_eq!(sequences.len(), 1_000);
        for sequence in [1, 1_101, 1_102] {
            assert!(sequences.contains(&sequence), "{sequence}");
        }
        engine.shutdown().await;
    }

    async fn a_key_opens_until_it_is_revoked_or_expires(log: Log) {
        let engine = log.engine().await;
        let new = NewKey {
            role: Role::Consumer,
            tenants: vec![tenant("acme")],
            type_prefixes: Vec::new(),
            service: None,
            description: "the portal".to_owned(),
            expires_at: None,
        };
        let (row, secret) = engine.create_key(&admin(), new.clone()).await.unwrap();
        assert!(secret.starts_with("tdk_") && secret.len() == 47);
        assert_eq!(engine.key_by_secret(&secret).await.unwrap().as_ref(), Some(&row));
        assert_eq!(engine.key_by_secret(&secret).await.unwrap().as_ref(), Some(&row), "from the cache too");
        assert_eq!(engine.key_by_secret("tdk_unknown").await.unwrap(), None);
        let (other, _) = engine.create_key(&admin(), new.clone()).await.unwrap();
        assert_eq!(engine.key(&other.id).await.unwrap().as_ref(), Some(&other));
        assert_eq!(engine.key("01JD8Q4M6T1V9S0Z3N7R5K2W4X").await.unwrap(), None);
        assert_eq!(engine.key("no id").await.unwrap(), None);

        let revoked = engine.revoke_key(&admin(), &row.id).await.unwrap().unwrap();
        assert!(revoked.revoked_at.is_some());
        assert_eq!(engine.key_by_secret(&secret).await.unwrap(), None, "at once, whatever was cached");
        assert!(engine.revoke_key(&admin(), "no id").await.unwrap().is_none());

        let expired = NewKey { expires_at: Some(Timestamp::from_micros(1)), ..new };
        let (_, secret) = engine.create_key(&admin(), expired).await.unwrap();
        assert_eq!(engine.key_by_secret(&secret).await.unwrap(), None);
        engine.shutdown().await;
    }

    async fn health_names_the_durability_and_ends_with_the_engine(log: Log) {
        let engine = log.engine().await;
        let health = engine.health().await;
        assert!(health.ready && health.storage_problem.is_none());
        assert!(!health.durability.unwrap().settings.is_empty());
        assert_eq!(health.sources.len(), 1);
        engine.shutdown().await;
        let health = engine.health().await;
        assert!(health.shutting_down && !health.ready);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_far_behind_asks_the_index_and_misses_nothing_of_its_types() {
    let log = Log::sqlite();
    let options = Options {
        tail: tidings_engine::TailOptions { ring_bytes: 0, poll: None, ..tidings_engine::TailOptions::default() },
        ..Options::default()
    };
    let (engine, store) = log.faulty(options).await;
    let mut expected = Vec::new();
    for batch in 0..5_u64 {
        let events = (1..=1_000_u64)
            .map(|number| {
                let wanted = number % 7 == 0;
                if wanted {
                    expected.push(batch * 1_000 + number);
                }
                typed("acme", if wanted { "ops.alert.raised" } else { "sales.lead.created" }, "{}")
            })
            .collect();
        engine.append(events).await.unwrap();
    }
    let selection = Arc::new(Selection::new(&["ops.*".to_owned()], None).unwrap());
    let mut feed = engine.feed(&tenant("acme"), tidings_engine::FeedStart::Start, selection).await.unwrap();
    let mut seen = Vec::new();
    while feed.after() < Sequence(5_000) {
        let page = feed.next(PAGE, support::PATIENCE).await.unwrap();
        seen.extend(page.events.iter().map(|event| event.recorded.sequence.get()));
    }
    assert_eq!(seen, expected);
    assert!(store.searches.load(Ordering::SeqCst) > 0);
    engine.shutdown().await;
}
