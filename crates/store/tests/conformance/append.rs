//! What an append promises.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidings_event::log::{AppendKeys, AppendPlan, Receipt, Verdict};
use tidings_event::{
    Context, ContextKind, Entity, Event, EventType, PartitionId, Position, Sequence, SourceKind, Version,
};
use tidings_store::{Decide, Error, ReadLimit};

use crate::home::Home;
use crate::make::{
    ALL, all_of, append, event, head, ids, keys, moment, place, place_in, plan, plan_many, text, try_append, with_data,
};

pub(crate) async fn an_append_is_read_back_as_it_was_written(home: Home) {
    let store = home.open().await;
    let long = "ß".repeat(255);
    let mut full = event("acme", "full");
    full.event_type = EventType::parse("sales.lead.status_changed.again.and_again").unwrap();
    full.version = Version::parse("2024-05 β").unwrap();
    full.timestamp = moment(-123_456_789);
    full.project = Some(text("emea"));
    full.source.kind = SourceKind::External;
    full.source.id = text(&long);
    full.entity = Some(Entity { kind: text("Lead 👩‍🚀"), id: text("'; drop table events; --") });
    full.actor = Some(text("ユーザー7"));
    full.metadata.correlation_id = text("req_9f");
    full.metadata.causation_id = Some(text("01JD8Q4M6T1V9S0Z3N7R5K2W4X"));
    full.metadata.context = Some(Context { kind: ContextKind::Client, id: text("client_123") });
    full.metadata.traceparent = Some(text("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
    let mut bare = event("acme", "bare");
    bare.entity = None;
    let mut sources = vec![full, bare];
    for kind in SourceKind::ALL {
        let mut event = event("acme", kind.as_str());
        event.source.kind = *kind;
        sources.push(event);
    }
    for kind in ContextKind::ALL {
        let mut event = event("acme", &format!("context-{kind}"));
        event.metadata.context = Some(Context { kind: *kind, id: text("c") });
        sources.push(event);
    }

    let written = append(&*store, sources).await;
    assert_eq!(all_of(&*store, PartitionId(0)).await, written);
    let tenant = place(&*store, "acme").await;
    let slice = store.feed(tenant.no, Sequence(0), ALL).await.unwrap();
    assert_eq!(slice.events, written);
}

pub(crate) async fn data_is_kept_byte_for_byte(home: Home) {
    let store = home.open().await;
    let big = format!(r#"{{"a":"{}"}}"#, "x".repeat(262_144 - 8));
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(60), "]".repeat(60));
    let datas = [
        "{}",
        " {\t\"a\" :\r\n 1 } ",
        r#"{"z":1,"a":2,"Z":3}"#,
        r#"{"n":1234567890123456789012345678901234567890.00100}"#,
        r#"{"n":[1e400,-0,0.1e-7,1E+2,100000000000000000000000000000000000000000000]}"#,
        r#"{"nul":"\u0000","lone":"\ud800","pair":"\ud83d\ude00","slash":"\/","esc":"\"\\\b\f\n\r\t"}"#,
        "{\"raw\":\"ü€😀\u{7f}\u{2028}\u{fffd}\u{10ffff}\",\"ключ\":null}",
        r#"{"":{"":[[],{}]}}"#,
        &big,
        &deep,
    ];
    let events: Vec<Event> =
        datas.iter().enumerate().map(|(at, data)| with_data("acme", &format!("e{at}"), data)).collect();
    append(&*store, events).await;
    // A larger batch may take another way into the database; the bytes must be the same.
    let many = (0..1_000).map(|at| with_data("acme", &format!("m{at}"), datas[at % 8])).collect();
    append(&*store, many).await;

    let rows = all_of(&*store, PartitionId(0)).await;
    assert_eq!(rows.len(), datas.len() + 1_000);
    for (at, data) in datas.iter().enumerate() {
        assert_eq!(rows[at].event.data.as_bytes(), data.as_bytes());
    }
    for (at, row) in rows[datas.len()..].iter().enumerate() {
        assert_eq!(row.event.data.as_bytes(), datas[at % 8].as_bytes());
    }
}

pub(crate) async fn positions_and_sequences_count_from_one_without_a_gap(home: Home) {
    let store = home.open().await;
    for batch in 0..3 {
        for tenant in ["acme", "globex"] {
            append(&*store, (0..5).map(|at| event(tenant, &format!("{batch}-{at}"))).collect()).await;
        }
    }
    let rows = all_of(&*store, PartitionId(0)).await;
    let positions: Vec<u64> = rows.iter().map(|row| row.position.get()).collect();
    assert_eq!(positions, (1..=30).collect::<Vec<u64>>());
    for tenant in ["acme", "globex"] {
        let mine: Vec<u64> =
            rows.iter().filter(|row| row.event.tenant.as_str() == tenant).map(|row| row.sequence.get()).collect();
        assert_eq!(mine, (1..=15).collect::<Vec<u64>>());
        assert_eq!(place(&*store, tenant).await.head, Sequence(15));
    }
    assert_eq!(head(&*store, 0).await, Position(30));
}

pub(crate) async fn an_id_that_is_taken_is_shown_to_the_decision_with_its_event(home: Home) {
    let store = home.open().await;
    let first = append(&*store, vec![event("acme", "a"), event("acme", "b")]).await;
    let tenant = place(&*store, "acme").await;
    let wanted = [event("acme", "b"), event("acme", "c")];
    let (no, asked) = (tenant.no, keys(tenant.no, &wanted));
    let expect = first[1].clone();
    let decide: Decide = Box::new(move |view| {
        assert_eq!(view.position, Position(2));
        assert_eq!(view.recorded_at, moment(1_000));
        assert_eq!(view.sequences[&no], Sequence(2));
        assert_eq!(view.existing.len(), 1);
        let existing = &view.existing[&(no, expect.event.id.clone())];
        assert_eq!(existing.sequence, Sequence(2));
        assert_eq!(existing.event, expect.event);
        plan(&view, no, wanted.to_vec(), moment(0))
    });
    let plan = store.append(tenant.partition, asked, decide).await.unwrap().plan;
    assert_eq!(
        plan.verdicts,
        [Verdict::Appended(vec![
            Receipt { sequence: Sequence(2), duplicate: true },
            Receipt { sequence: Sequence(3), duplicate: false }
        ])]
    );
    assert_eq!(ids(&all_of(&*store, tenant.partition).await), ["a", "b", "c"]);
}

pub(crate) async fn the_same_id_in_two_tenants_is_two_events(home: Home) {
    let store = home.open().await;
    append(&*store, vec![event("acme", "same")]).await;
    let other = append(&*store, vec![event("globex", "same")]).await;
    assert_eq!(other.len(), 1);
    assert_eq!(other[0].sequence, Sequence(1));
    assert_eq!(all_of(&*store, PartitionId(0)).await.len(), 2);
}

pub(crate) async fn a_plan_without_rows_writes_nothing(home: Home) {
    let store = home.open().await;
    append(&*store, vec![event("acme", "a")]).await;
    assert!(append(&*store, vec![event("acme", "a")]).await.is_empty());
    let empty: Decide = Box::new(|_| AppendPlan::default());
    let plan = store.append(PartitionId(1), AppendKeys::default(), empty).await.unwrap().plan;
    assert!(plan.rows.is_empty());
    assert_eq!(place(&*store, "acme").await.head, Sequence(1));
    append(&*store, vec![event("acme", "b")]).await;
    assert_eq!(ids(&all_of(&*store, PartitionId(0)).await), ["a", "b"]);
}

pub(crate) async fn a_plan_with_a_gap_is_refused_and_leaves_nothing(home: Home) {
    let store = home.open().await;
    append(&*store, vec![event("acme", "a")]).await;
    let (tenant, stranger) = (place(&*store, "acme").await, place_in(&*store, "globex", 1).await);
    type Spoil = fn(&mut AppendPlan);
    let spoils: [Spoil; 5] = [
        |plan| plan.rows[0].position = Position(3),
        |plan| plan.rows[1].sequence = Sequence(4),
        |plan| plan.rows[1].position = Position(2),
        |plan| plan.rows[0].recorded_at = moment(0),
        |plan| plan.rows[0].partition = PartitionId(1),
    ];
    for spoil in spoils {
        let events = vec![event("acme", "b"), event("acme", "c")];
        let (no, asked) = (tenant.no, keys(tenant.no, &events));
        let decide: Decide = Box::new(move |view| {
            let mut plan = plan(&view, no, events, moment(2_000));
            spoil(&mut plan);
            plan
        });
        let refused = store.append(tenant.partition, asked, decide).await;
        assert!(matches!(refused, Err(Error::Broken(_))), "{refused:?}");
    }
    // A tenant that lives elsewhere has no head here, so none of its rows can be written here.
    let decide: Decide = Box::new(|_| panic!("there is nothing to decide"));
    let asked = AppendKeys { tenants: vec![stranger.no], ..AppendKeys::default() };
    assert!(matches!(store.append(PartitionId(0), asked, decide).await, Err(Error::Moved(_))));
    // Neither can those of one that was not asked for.
    let decide: Decide = Box::new(move |mut view| {
        view.sequences.insert(stranger.no, Sequence(0));
        plan(&view, stranger.no, vec![event("globex", "x")], moment(2_000))
    });
    let refused = store.append(PartitionId(0), AppendKeys::default(), decide).await;
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(ids(&all_of(&*store, PartitionId(0)).await), ["a"]);
    assert!(all_of(&*store, PartitionId(1)).await.is_empty());
    assert_eq!(place(&*store, "acme").await.head, Sequence(1));
}

pub(crate) async fn a_decision_that_panics_leaves_nothing_and_the_store_works_on(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    // More often than there are connections: none may be lost or stay inside its transaction.
    for _ in 0..20 {
        let decide: Decide = Box::new(|_| panic!("this panic belongs to the test"));
        let outcome = store.append(tenant.partition, keys(tenant.no, &[event("acme", "a")]), decide).await;
        assert!(matches!(outcome, Err(Error::Broken(_))), "{outcome:?}");
    }
    assert!(all_of(&*store, tenant.partition).await.is_empty());
    assert_eq!(append(&*store, vec![event("acme", "a")]).await[0].position, Position(1));
}

pub(crate) async fn a_dropped_append_leaves_all_or_nothing_and_the_store_works_on(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    for round in 0..20 {
        let (inside, entered) = tokio::sync::oneshot::channel();
        let (gate, opened) = std::sync::mpsc::sync_channel::<()>(1);
        let events = vec![event("acme", &format!("{round}-a")), event("acme", &format!("{round}-b"))];
        let (no, asked) = (tenant.no, keys(tenant.no, &events));
        let decide: Decide = Box::new(move |view| {
            let _ = inside.send(());
            // Until the caller is gone; then its end of the channel is, too.
            let _ = opened.recv();
            plan(&view, no, events, moment(round))
        });
        let (shared, partition) = (Arc::clone(&store), tenant.partition);
        let caller = tokio::spawn(async move { shared.append(partition, asked, decide).await.map(drop) });
        entered.await.expect("the decision began");
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        drop(gate);
    }
    // An append that comes after must wait for what was left behind, and finds the log whole.
    append(&*store, vec![event("acme", "last")]).await;
    assert_eq!(ids(&all_of(&*store, tenant.partition).await), ["last"]);
    assert_eq!(place(&*store, "acme").await.head, Sequence(1));
}

pub(crate) async fn eight_writers_on_one_partition_leave_no_gap(home: Home) {
    let store = home.open().await;
    for tenant in ["acme", "globex"] {
        place(&*store, tenant).await;
    }
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let tenant = if writer % 2 == 0 { "acme" } else { "globex" };
                for batch in 0..10 {
                    let events = (0..5).map(|at| event(tenant, &format!("{writer}-{batch}-{at}"))).collect();
                    assert_eq!(append(&*store, events).await.len(), 5);
                    // The same ids at the same time by all of a tenant's writers: one of them wins.
                    append(&*store, vec![event(tenant, &format!("shared-{batch}"))]).await;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("a writer");
    }
    let rows = all_of(&*store, PartitionId(0)).await;
    let total = 8 * 10 * 5 + 2 * 10;
    assert_eq!(rows.len(), total);
    assert!(rows.iter().zip(1..).all(|(row, position)| row.position == Position(position)));
    assert!(rows.windows(2).all(|pair| pair[0].recorded_at <= pair[1].recorded_at));
    for tenant in ["acme", "globex"] {
        let mine = rows.iter().filter(|row| row.event.tenant.as_str() == tenant);
        assert!(mine.clone().zip(1..).all(|(row, sequence)| row.sequence == Sequence(sequence)));
        let mut names: Vec<&str> = mine.map(|row| row.event.id.as_str()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!((names.len(), count), (total / 2, total / 2));
    }
}

pub(crate) async fn readers_never_see_a_gap_or_a_sequence_above_the_head(home: Home) {
    let store = home.open().await;
    let tenant = place(&*store, "acme").await;
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (store, done, no) = (Arc::clone(&store), Arc::clone(&done), tenant.no);
            tokio::spawn(async move {
                let limit = ReadLimit { events: 7, bytes: usize::MAX };
                let (mut sequence, mut position) = (Sequence(0), Position(0));
                loop {
                    let last_round = done.load(Ordering::Acquire);
                    let slice = store.feed(no, sequence, limit).await.expect("a feed");
                    for row in &slice.events {
                        assert_eq!(row.sequence, sequence.next());
                        sequence = row.sequence;
                    }
                    assert!(slice.head >= sequence);
                    if slice.events.len() < limit.events {
                        assert_eq!(slice.head, sequence, "a page that is not full ends at the head");
                    }
                    let rows = store.tail(PartitionId(0), position, limit).await.expect("a tail").events;
                    for row in &rows {
                        assert_eq!(row.position, position.next());
                        position = row.position;
                    }
                    if last_round && slice.events.is_empty() && rows.is_empty() {
                        return (sequence, position);
                    }
                }
            })
        })
        .collect();
    for batch in 0..60 {
        append(&*store, (0..=batch % 9).map(|at| event("acme", &format!("{batch}-{at}"))).collect()).await;
    }
    done.store(true, Ordering::Release);
    let head = head(&*store, 0).await;
    for reader in readers {
        assert_eq!(reader.await.expect("a reader"), (Sequence(head.get()), head));
    }
}

pub(crate) async fn partitions_are_counted_apart(home: Home) {
    let store = home.open().await;
    for partition in 0..crate::home::PARTITIONS {
        let tenant = place_in(&*store, &format!("t{partition}"), partition).await;
        for at in 0..=partition {
            let events = vec![event(tenant.id.as_str(), &format!("e{at}"))];
            try_append(&*store, &tenant, events, moment(0)).await.unwrap();
        }
    }
    for partition in 0..crate::home::PARTITIONS {
        let rows = all_of(&*store, PartitionId(partition)).await;
        assert_eq!(rows.len(), partition as usize + 1);
        assert!(rows.iter().all(|row| row.partition == PartitionId(partition)));
        assert_eq!(head(&*store, partition).await, Position(u64::from(partition) + 1));
    }
    // In a log of several databases a node may not know of it yet.
    let none = |error: Option<Error>| matches!(error, Some(Error::Broken(_) | Error::Unavailable { .. }));
    assert!(none(store.tail(PartitionId(99), Position(0), ALL).await.err()));
    let decide: Decide = Box::new(|_| panic!("there is nothing to decide"));
    let nowhere = store.append(PartitionId(99), AppendKeys::default(), decide).await;
    assert!(none(nowhere.err()));
}

pub(crate) async fn a_thousand_events_of_many_tenants_fit_one_append(home: Home) {
    let store = home.open().await;
    let names: Vec<String> = (0..50).map(|at| format!("tenant {at}")).collect();
    let mut nos = Vec::new();
    for name in &names {
        nos.push(place(&*store, name).await.no);
    }
    let events: Vec<_> = (0..4_000).map(|at| (nos[at % 50], event(&names[at % 50], &format!("e{at}")))).collect();
    let ids = events.iter().map(|(no, event)| (*no, event.id.clone())).collect();
    let asked = AppendKeys { tenants: nos.clone(), ids, entities: Vec::new() };
    let again = events.clone();
    let repeat = asked.clone();
    let decide: Decide = Box::new(move |view| plan_many(&view, events, moment(5)));
    let written = store.append(PartitionId(0), asked, decide).await.unwrap().plan.rows;
    assert_eq!(written.len(), 4_000);
    assert_eq!(all_of(&*store, PartitionId(0)).await, written);
    for name in &names {
        assert_eq!(place(&*store, name).await.head, Sequence(80));
    }
    let decide: Decide = Box::new(move |view| plan_many(&view, again, moment(6)));
    assert!(store.append(PartitionId(0), repeat, decide).await.unwrap().plan.rows.is_empty());
}
