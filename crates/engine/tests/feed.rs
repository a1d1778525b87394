//! What readers of a feed are promised.
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy does not see that macros make these")]

mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use support::{Log, PAGE, PATIENCE, after, event, numbered, read, reader, sequences, tenant, typed};
use tidings_core::pace::Bounds;
use tidings_engine::{
    Engine, FeedError, FeedReader, FeedStart, NodeOptions, Options, ReadLimit, Roles, Selection, TailOptions,
};
use tidings_event::{EventId, Sequence};
use tokio::task::JoinSet;

/// Memory for a handful of events, so that readers fall behind it all the time.
fn little_memory() -> Options {
    Options { tail: TailOptions { ring_bytes: 16 * 20_000, ..TailOptions::default() }, ..Options::default() }
}

const TENANTS: [&str; 3] = ["acme", "globex", "initech"];
const WRITERS: usize = 8;
const BATCHES: usize = 25;
const BATCH: usize = 4;

/// What each writer was told, by tenant: the sequence of every event.
type Told = HashMap<&'static str, HashMap<u64, EventId>>;

async fn write_from_all_sides(engines: Vec<Engine>) -> Told {
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let engine = engines[writer % engines.len()].clone();
        writers.spawn(async move {
            let mut told = Vec::new();
            for batch in 0..BATCHES {
                let name = TENANTS[(writer + batch) % TENANTS.len()];
                let events = numbered(name, BATCH);
                let ids: Vec<EventId> = events.iter().map(|event| event.id.clone()).collect();
                for (receipt, id) in engine.append(events).await.unwrap().into_iter().zip(ids) {
                    told.push((name, receipt.sequence.get(), id));
                }
            }
            told
        });
    }
    let mut all = Told::new();
    while let Some(told) = writers.join_next().await {
        for (name, sequence, id) in told.unwrap() {
            assert!(all.entry(name).or_default().insert(sequence, id).is_none(), "a sequence was given out twice");
        }
    }
    all
}

/// Reads a tenant to the end that is told, with pages of one size, starting over from where it stands now and then.
async fn follow(engine: Engine, name: &'static str, page: usize, rejoin: usize, end: u64) -> Vec<(u64, EventId)> {
    let mut seen = Vec::new();
    let mut feed = reader(&engine, name, FeedStart::Start).await;
    let limit = ReadLimit { events: page, ..PAGE };
    let mut pages = 0;
    while feed.after() < Sequence(end) {
        let page = feed.next(limit, PATIENCE).await.unwrap();
        seen.extend(page.events.iter().map(|e| (e.recorded.sequence.get(), e.recorded.event.id.clone())));
        pages += 1;
        if pages % rejoin == 0 {
            let position = feed.after();
            assert_eq!(position, page.after);
            feed = reader(&engine, name, FeedStart::After(position)).await;
        }
    }
    seen
}

async fn every_reader_gets_everything(writers: Vec<Engine>, reading: Engine) {
    let each = (WRITERS * BATCHES * BATCH) as u64;
    // Eight writers times twenty-five batches turn over three tenants: 67, 67 and 66 batches.
    let mut ends: HashMap<&str, u64> = HashMap::new();
    for writer in 0..WRITERS {
        for batch in 0..BATCHES {
            *ends.entry(TENANTS[(writer + batch) % TENANTS.len()]).or_default() += BATCH as u64;
        }
    }
    assert_eq!(ends.values().sum::<u64>(), each);
    let mut readers = JoinSet::new();
    for name in TENANTS {
        for (page, rejoin) in [(1, 1_000), (3, 2), (7, 5), (100, 1), (100, 1_000)] {
            readers.spawn(follow_named(reading.clone(), name, page, rejoin, ends[name]));
        }
    }
    let told = write_from_all_sides(writers).await;
    while let Some(read) = readers.join_next().await {
        let (name, seen) = read.unwrap();
        let expected: Vec<(u64, EventId)> = (1..=ends[name]).map(|n| (n, told[name][&n].clone())).collect();
        assert_eq!(seen, expected, "{name}");
    }
}

async fn follow_named(
    engine: Engine,
    name: &'static str,
    page: usize,
    rejoin: usize,
    end: u64,
) -> (&'static str, Vec<(u64, EventId)>) {
    (name, follow(engine, name, page, rejoin, end).await)
}

async fn pages(feed: &mut FeedReader, limit: ReadLimit) -> Vec<u64> {
    let mut seen = Vec::new();
    loop {
        let page = feed.next(limit, Duration::ZERO).await.unwrap();
        seen.extend(page.events.iter().map(|event| event.recorded.sequence.get()));
        if page.up_to_date {
            return seen;
        }
    }
}

async fn selected(engine: &Engine, types: &[&str], filter: Option<&str>) -> FeedReader {
    let types: Vec<String> = types.iter().map(|name| (*name).to_owned()).collect();
    let selection = Selection::new(&types, filter.map(str::as_bytes)).unwrap();
    engine.feed(&tenant("acme"), FeedStart::Start, Arc::new(selection)).await.unwrap()
}

on_both! {
    async fn every_reader_gets_every_event_once_in_order_while_writers_race(log: Log) {
        let engine = log.engine_with(Options::default()).await;
        every_reader_gets_everything(vec![engine.clone()], engine.clone()).await;
        engine.shutdown().await;
    }

    async fn readers_that_fall_behind_memory_still_get_every_event_once(log: Log) {
        let engine = log.engine_with(little_memory()).await;
        every_reader_gets_everything(vec![engine.clone()], engine.clone()).await;
        engine.shutdown().await;
    }

    async fn an_event_is_on_the_feed_when_its_append_is_answered(log: Log) {
        let engine = log.engine().await;
        for number in 1..=20 {
            engine.append(numbered("acme", 1)).await.unwrap();
            let mut feed = reader(&engine, "acme", after(number - 1)).await;
            let page = feed.next(PAGE, Duration::ZERO).await.unwrap();
            assert_eq!(page.events.len(), 1);
            assert!(page.up_to_date);
        }
        engine.shutdown().await;
    }

    async fn a_feed_begins_where_it_is_told_and_never_elsewhere(log: Log) {
        let (engine, store) = log.faulty(Options::default()).await;
        engine.append(numbered("acme", 3)).await.unwrap();
        let third = engine.feed(&tenant("acme"), after(2), Arc::new(Selection::all())).await.unwrap()
            .next(PAGE, Duration::ZERO).await.unwrap().events[0].recorded.recorded_at;
        engine.append(numbered("acme", 2)).await.unwrap();
        for (start, expected) in [
            (FeedStart::Start, sequences(1..=5)),
            (FeedStart::Now, vec![]),
            (after(0), sequences(1..=5)),
            (after(3), sequences(4..=5)),
            (after(5), vec![]),
            (FeedStart::Time(tidings_event::Timestamp::from_micros(0)), sequences(1..=5)),
            (FeedStart::Time(tidings_event::Timestamp::from_micros(i64::MAX)), vec![]),
        ] {
            let mut feed = reader(&engine, "acme", start).await;
            assert_eq!(pages(&mut feed, PAGE).await, expected, "{start:?}");
        }
        let mut feed = reader(&engine, "acme", FeedStart::Time(third)).await;
        assert!(pages(&mut feed, PAGE).await.contains(&3));
        let all = Arc::new(Selection::all());
        assert!(matches!(engine.feed(&tenant("acme"), after(6), all.clone()).await, Err(FeedError::Rewound)));
        assert!(matches!(engine.feed(&tenant("nobody"), after(1), all.clone()).await, Err(FeedError::Rewound)));

        store.floor.store(2, Ordering::SeqCst);
        for start in [after(1), FeedStart::Time(tidings_event::Timestamp::from_micros(0))] {
            match engine.feed(&tenant("acme"), start, all.clone()).await {
                Err(FeedError::Expired { oldest }) => assert_eq!(oldest, Sequence(3)),
                other => panic!("{:?}", other.map(|reader| reader.after())),
            }
        }
        let mut feed = reader(&engine, "acme", FeedStart::Start).await;
        assert_eq!(pages(&mut feed, PAGE).await, [3, 4, 5]);
        engine.shutdown().await;
    }

    async fn the_feed_of_an_unknown_tenant_fills_with_its_first_event(log: Log) {
        let engine = log.engine().await;
        let mut feeds = Vec::new();
        for start in [FeedStart::Start, FeedStart::Now, after(0)] {
            let mut feed = reader(&engine, "acme", start).await;
            let page = feed.next(PAGE, Duration::ZERO).await.unwrap();
            assert!(page.up_to_date && page.events.is_empty() && page.after == Sequence(0));
            feeds.push(tokio::spawn(async move { read(&mut feed, 3).await }));
        }
        engine.append(numbered("globex", 1)).await.unwrap();
        engine.append(numbered("acme", 1)).await.unwrap();
        engine.append(numbered("acme", 2)).await.unwrap();
        for feed in feeds {
            assert_eq!(feed.await.unwrap(), [1, 2, 3]);
        }
        engine.shutdown().await;
    }

    async fn a_page_ends_at_its_bounds_and_says_where_it_stands(log: Log) {
        let engine = log.engine().await;
        engine.append((0..10).map(|_| event("acme", &format!(r#"{{"x":"{}"}}"#, "x".repeat(92)))).collect()).await.unwrap();
        for (limit, expected) in [
            (ReadLimit { events: 4, bytes: 1 << 20 }, vec![4, 4, 2]),
            (ReadLimit { events: 100, bytes: 250 }, vec![2, 2, 2, 2, 2]),
            (ReadLimit { events: 100, bytes: 1 }, vec![1; 10]),
            (ReadLimit { events: 100, bytes: 1 << 20 }, vec![10]),
        ] {
            let mut feed = reader(&engine, "acme", FeedStart::Start).await;
            let mut sizes = Vec::new();
            loop {
                let page = feed.next(limit, Duration::ZERO).await.unwrap();
                sizes.push(page.events.len());
                assert_eq!(page.after.get(), sizes.iter().sum::<usize>() as u64);
                assert_eq!(page.up_to_date, page.after == Sequence(10));
                if page.up_to_date {
                    break;
                }
            }
            assert_eq!(sizes, expected, "{limit:?}");
        }
        engine.shutdown().await;
    }

    async fn a_sparse_filter_makes_progress_without_a_match(log: Log) {
        // Memory holds nothing, so all is read from the storage.
        let options = Options { tail: TailOptions { ring_bytes: 0, ..TailOptions::default() }, ..Options::default() };
        let (engine, store) = log.faulty(options).await;
        let mut batch = Vec::new();
        for number in 0..6_000 {
            let rare = number % 2_000 == 1_999;
            batch.push(typed("acme", if rare { "ops.alert.raised" } else { "sales.lead.created" }, &format!(r#"{{"n":{number}}}"#)));
            if batch.len() == 1_000 {
                engine.append(std::mem::take(&mut batch)).await.unwrap();
            }
        }
        let mut feed = selected(&engine, &["ops.alert.raised"], None).await;
        assert_eq!(pages(&mut feed, PAGE).await, [2_000, 4_000, 6_000]);
        assert!(store.searches.load(Ordering::SeqCst) > 0, "the index of types was asked");
        let feeds = store.feeds.load(Ordering::SeqCst);
        let mut feed = selected(&engine, &[], Some(r#"{"type":"prefix","value":"","filters":[{"field":"$.data.n","operator":"equals","value":2999}]}"#)).await;
        assert_eq!(pages(&mut feed, PAGE).await, [3_000]);
        assert!(store.feeds.load(Ordering::SeqCst) > feeds, "every event was looked at");
        let mut feed = selected(&engine, &["nothing.of_the.sort"], None).await;
        assert_eq!(pages(&mut feed, PAGE).await, [0; 0]);
        assert_eq!(feed.after(), Sequence(6_000));
        engine.shutdown().await;
    }

    async fn idle_readers_ask_the_storage_nothing(log: Log) {
        let (engine, store) = log.faulty(Options::default()).await;
        engine.append(numbered("acme", 1)).await.unwrap();
        let mut feeds = Vec::new();
        for _ in 0..1_000 {
            feeds.push(reader(&engine, "acme", FeedStart::Now).await);
        }
        let asked = store.tenants.load(Ordering::SeqCst);
        let mut waiting = JoinSet::new();
        for mut feed in feeds {
            waiting.spawn(async move { read(&mut feed, 2).await });
        }
        engine.append(numbered("globex", 5)).await.unwrap();
        engine.append(numbered("acme", 1)).await.unwrap();
        engine.append(numbered("acme", 1)).await.unwrap();
        while let Some(seen) = waiting.join_next().await {
            assert_eq!(seen.unwrap(), [2, 3]);
        }
        assert_eq!(store.tenants.load(Ordering::SeqCst), asked);
        assert_eq!(store.feeds.load(Ordering::SeqCst), 0);
        engine.shutdown().await;
    }

    async fn readers_end_with_the_engine(log: Log) {
        let engine = log.engine().await;
        engine.append(numbered("acme", 1)).await.unwrap();
        let mut waiting = Vec::new();
        for name in ["acme", "nobody"] {
            let mut feed = reader(&engine, name, FeedStart::Now).await;
            waiting.push(tokio::spawn(async move { feed.next(PAGE, PATIENCE).await.unwrap() }));
        }
        engine.shutdown().await;
        for page in waiting {
            let page = page.await.unwrap();
            assert!(page.ended && page.events.is_empty());
        }
    }

    async fn dropping_a_wait_loses_nothing(log: Log) {
        let engine = log.engine().await;
        engine.append(numbered("acme", 1)).await.unwrap();
        let mut feed = reader(&engine, "acme", FeedStart::Now).await;
        let mut seen = Vec::new();
        for round in 0..30 {
            let wait = feed.next(PAGE, PATIENCE);
            tokio::pin!(wait);
            let early = futures_util::poll!(wait.as_mut());
            engine.append(numbered("acme", 1)).await.unwrap();
            let page = match early {
                Poll::Ready(page) => page.unwrap(),
                Poll::Pending if round % 3 == 0 => wait.await.unwrap(),
                Poll::Pending => continue,
            };
            seen.extend(page.events.iter().map(|event| event.recorded.sequence.get()));
        }
        seen.extend(pages(&mut feed, PAGE).await);
        assert_eq!(seen, sequences(2..=31));
        engine.shutdown().await;
    }
}

/// Nodes that share a log hear of each other's events by polling alone: nothing else connects them.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_hears_of_another_nodes_events_by_polling_alone() {
    let log = Log::postgres().await;
    let (here, there) = (log.engine().await, log.engine().await);
    let mut feed = reader(&here, "acme", FeedStart::Start).await;
    there.append(numbered("acme", 3)).await.unwrap();
    assert_eq!(read(&mut feed, 3).await, [1, 2, 3]);
    here.append(numbered("acme", 1)).await.unwrap();
    there.append(numbered("acme", 1)).await.unwrap();
    assert_eq!(read(&mut feed, 2).await, [4, 5]);
    here.shutdown().await;
    there.shutdown().await;
}

/// A node that only answers calls costs the database nothing for events that none of its readers waits for.
#[tokio::test(flavor = "multi_thread")]
async fn events_that_nobody_on_a_node_reads_are_not_brought_to_it() {
    let log = Log::postgres().await;
    let roles = Roles { router: false, publisher: false, ..Roles::default() };
    let node = NodeOptions { roles, ..NodeOptions::default() };
    let (here, store) = log.faulty(Options { node, ..Options::default() }).await;
    let there = log.engine().await;
    there.append(numbered("acme", 500)).await.unwrap();
    here.append(numbered("acme", 1)).await.unwrap();
    let mut feed = reader(&here, "acme", FeedStart::Start).await;
    assert_eq!(read(&mut feed, 501).await.len(), 501);
    there.append(numbered("acme", 1)).await.unwrap();
    assert_eq!(read(&mut feed, 1).await, [502], "what somebody waits for comes by itself");
    let brought = store.tailed.load(Ordering::SeqCst);
    assert!(brought < 500, "{brought} events were brought into memory");
    here.shutdown().await;
    there.shutdown().await;
}

/// A partition's router beside others that append to the partition reads what they appended, and that alone.
#[tokio::test(flavor = "multi_thread")]
async fn events_that_a_node_appended_behind_those_of_others_are_not_read_from_the_log() {
    let log = Log::postgres().await;
    let never = Bounds { busy: PATIENCE, linger: Duration::ZERO, idle: PATIENCE };
    let tail = TailOptions { poll: Some(never), ..TailOptions::default() };
    let (here, store) = log.faulty(Options { tail, ..Options::default() }).await;
    let there = log.engine().await;
    here.append(numbered("acme", 1)).await.unwrap();
    let mut feed = reader(&here, "acme", FeedStart::Now).await;
    store.tailed.store(0, Ordering::SeqCst);
    for _ in 0..10 {
        there.append(numbered("acme", 2)).await.unwrap();
        here.append(numbered("acme", 100)).await.unwrap();
    }
    assert_eq!(read(&mut feed, 1_020).await, sequences(2..=1_021));
    while store.tailed.load(Ordering::SeqCst) < 20 {
        tokio::task::yield_now().await;
    }
    here.shutdown().await;
    there.shutdown().await;
    // Now and then a read finds what was committed here before it was handed over.
    let brought = store.tailed.load(Ordering::SeqCst);
    assert!(brought < 500, "{brought} events were read for 20 that others appended");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reader_gets_every_event_once_while_two_nodes_append() {
    let log = Log::postgres().await;
    let (here, there) = (log.engine_with(little_memory()).await, log.engine().await);
    every_reader_gets_everything(vec![here.clone(), there.clone()], here.clone()).await;
    here.shutdown().await;
    there.shutdown().await;
}

/// On SQLite too the log is looked at, only rarely: a hand-over that is lost delays an event, no more.
#[tokio::test(flavor = "multi_thread")]
async fn polling_alone_suffices_on_sqlite() {
    let log = Log::sqlite();
    let quick = Bounds { busy: Duration::from_millis(1), linger: Duration::ZERO, idle: Duration::from_millis(5) };
    let tail = TailOptions { poll: Some(quick), ..TailOptions::default() };
    let (here, there) = (log.engine_with(Options { tail, ..Options::default() }).await, log.engine().await);
    let mut feed = reader(&here, "acme", FeedStart::Start).await;
    there.append(numbered("acme", 3)).await.unwrap();
    assert_eq!(read(&mut feed, 3).await, [1, 2, 3]);
    there.shutdown().await;
    here.shutdown().await;
}

/// After a failover to a replica that was behind, positions and sequences are given out a second time.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_beyond_the_end_of_a_log_that_lost_events_is_told() {
    let log = Log::sqlite();
    let quick = Bounds { busy: Duration::from_millis(1), linger: Duration::ZERO, idle: Duration::from_millis(5) };
    let tail = TailOptions { poll: Some(quick), ..TailOptions::default() };
    let (engine, store) = log.faulty(Options { tail, ..Options::default() }).await;
    engine.append(numbered("acme", 5)).await.unwrap();
    let mut beyond = reader(&engine, "acme", FeedStart::Now).await;
    let mut within = reader(&engine, "acme", after(3)).await;
    store.lost.store(2, Ordering::SeqCst);
    assert!(matches!(beyond.next(PAGE, PATIENCE).await, Err(FeedError::Rewound)));
    let page = within.next(PAGE, Duration::ZERO).await.unwrap();
    assert_eq!((page.events.len(), page.after, page.up_to_date), (0, Sequence(3), true));
    engine.shutdown().await;
}
