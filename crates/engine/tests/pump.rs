//! What producers are promised: what they commit is on the feed, once and in order; what they do not is not.
#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod shop;
mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use shop::{Shop, Writer, envelope, nothing_more, numbers, quick};
use support::{Failure, FaultyStore, PAGE, PATIENCE, reader};
use tidings_core::pace::Bounds;
use tidings_core::place::partition_of;
use tidings_engine::{FeedStart, Options, OwnQuota, PLATFORM, PumpOptions};
use tidings_event::{ErrorCode, EventId, Problem};
use tidings_store::Store;
use tidings_testkit::Postgres;

/// Looks when it is poked or hinted at, and not by itself.
fn drowsy() -> Options {
    const NEVER: Duration = Duration::from_secs(24 * 60 * 60);
    let pump = PumpOptions { poll: Bounds { busy: NEVER, linger: NEVER, idle: NEVER }, sweep: NEVER, ..quick().pump };
    Options { pump, ..quick() }
}

in_both_shops! {
    async fn committed_rows_reach_the_feed_once_and_in_order_and_leave_the_outbox(shop: Shop) {
        let (source, writer) = (shop.source(), shop.writer().await);
        let some = |from: i64| from..from + 250;
        // What waits already is a backlog of many batches; the rest comes while it is worked off.
        writer.begin().await;
        for number in some(0) {
            writer.emit(number).await;
        }
        writer.commit().await;
        let engine = shop.engine(&source).await;
        let mut reader = reader(&engine, "acme", FeedStart::Start).await;
        for number in some(250) {
            writer.emit(number).await;
        }
        assert_eq!(numbers(&mut reader, 500).await, (0..500).collect::<Vec<_>>());
        source.until(|status| status.pending == 0).await;
        nothing_more(&mut reader).await;
        engine.shutdown().await;
    }

    async fn events_of_a_rolled_back_transaction_never_appear(shop: Shop) {
        let (source, writer) = (shop.source(), shop.writer().await);
        let engine = shop.engine(&source).await;
        let mut reader = reader(&engine, "acme", FeedStart::Start).await;
        for round in 0..5 {
            writer.begin().await;
            writer.emit(-1 - round).await;
            // The pump looks while the row is there and not committed.
            source.rises(|source| &source.reads, 2).await;
            writer.roll_back().await;
            writer.emit(round).await;
            assert_eq!(numbers(&mut reader, 1).await, [round]);
            source.until(|status| status.pending == 0).await;
        }
        source.emptied().await;
        nothing_more(&mut reader).await;
        let phantom = EventId::parse("key_-1").unwrap();
        assert!(engine.event(&support::tenant("acme"), &phantom).await.unwrap().is_none());
        engine.shutdown().await;
    }

    async fn a_crash_between_append_and_delete_repeats_nothing_visible(shop: Shop) {
        let (source, writer) = (shop.source(), shop.writer().await);
        source.failing_deletes.store(usize::MAX, Ordering::SeqCst);
        let engine = shop.engine(&source).await;
        let mut before = reader(&engine, "acme", FeedStart::Start).await;
        writer.emit(0).await;
        writer.emit(1).await;
        assert_eq!(numbers(&mut before, 2).await, [0, 1]);
        // Appended, not deleted, and read again and again.
        source.rises(|source| &source.reads, 3).await;
        nothing_more(&mut before).await;
        engine.shutdown().await;

        let engine = shop.engine(&source).await;
        let mut after = reader(&engine, "acme", FeedStart::Start).await;
        writer.emit(2).await;
        assert_eq!(numbers(&mut after, 3).await, [0, 1, 2]);
        source.failing_deletes.store(0, Ordering::SeqCst);
        source.until(|status| status.pending == 0).await;
        nothing_more(&mut after).await;
        assert_eq!(after.after().get(), 3);
        engine.shutdown().await;
    }

    async fn rows_of_a_tenant_beyond_its_quota_wait_in_order_and_hold_up_nobody(shop: Shop) {
        let (source, writer) = (shop.source(), shop.writer().await);
        let engine = shop.engine(&source).await;
        let slow = OwnQuota { events_per_s: Some(1), ..OwnQuota::default() };
        engine.set_quota(&support::administrator(), &support::tenant("acme"), slow).await.unwrap();
        let mut acme = reader(&engine, "acme", FeedStart::Now).await;
        let mut globex = reader(&engine, "globex", FeedStart::Start).await;
        // More than fit a few batches of the pump, in one transaction with those that are behind them.
        writer.begin().await;
        for number in 0..70 {
            writer.emit(number).await;
        }
        for number in 0..30 {
            writer.emit_raw(&format!("globex_{number}"), &envelope("globex", number)).await;
        }
        writer.commit().await;
        assert_eq!(numbers(&mut globex, 30).await, (0..30).collect::<Vec<_>>());
        for number in 30..60 {
            writer.emit_raw(&format!("globex_{number}"), &envelope("globex", number)).await;
        }
        assert_eq!(numbers(&mut globex, 30).await, (30..60).collect::<Vec<_>>());
        // Far less than there is comes while all that happens, and what comes is in order.
        assert_eq!(numbers(&mut acme, 1).await, [0]);
        assert!(engine.source_status(PLATFORM).await.unwrap().pending > 0, "nothing waits");
        engine.set_quota(&support::administrator(), &support::tenant("acme"), OwnQuota::default()).await.unwrap();
        source.until(|status| status.pending == 0).await;
        let mut all = reader(&engine, "acme", FeedStart::Start).await;
        let events = all.next(PAGE, PATIENCE).await.unwrap().events;
        let own = events.iter().map(|event| &event.recorded.event);
        let keys: Vec<&str> = own.filter(|own| own.id.as_str().starts_with("key_")).map(|own| own.id.as_str()).collect();
        assert_eq!(keys, (0..70).map(|number| format!("key_{number}")).collect::<Vec<_>>());
        engine.shutdown().await;
    }

    async fn what_commits_late_among_rows_that_wait_comes_before_what_was_committed_after_it(shop: Shop) {
        let (source, writer) = (shop.source(), shop.writer().await);
        let Writer::Postgres(_) = &writer else { return };
        let engine = shop.engine(&source).await;
        let slow = OwnQuota { events_per_s: Some(1), ..OwnQuota::default() };
        engine.set_quota(&support::administrator(), &support::tenant("acme"), slow).await.unwrap();
        let mut globex = reader(&engine, "globex", FeedStart::Start).await;
        let late = shop.writer().await;
        for number in 0..20 {
            writer.emit(number).await;
        }
        for round in 0..10 {
            late.begin().await;
            late.emit_raw(&format!("late_{round}"), &envelope("globex", 2 * round)).await;
            for number in 0..30 {
                writer.emit(100 + 30 * round + number).await;
            }
            late.commit().await;
            writer.emit_raw(&format!("after_{round}"), &envelope("globex", 2 * round + 1)).await;
        }
        assert_eq!(numbers(&mut globex, 20).await, (0..20).collect::<Vec<_>>());
        engine.shutdown().await;
    }

    async fn refused_rows_hold_up_nobody_and_can_be_mended_or_discarded(shop: Shop) {
        let (source, writer) = (shop.source(), shop.writer().await);
        let engine = shop.engine(&source).await;
        let mut reader = reader(&engine, "acme", FeedStart::Start).await;
        writer.emit_raw("taken", &envelope("acme", 0)).await;
        assert_eq!(numbers(&mut reader, 1).await, [0]);
        source.until(|status| status.pending == 0).await;

        writer.begin().await;
        writer.emit(1).await;
        writer.emit_raw("bare", "{}").await;
        writer.emit_raw("taken", &envelope("acme", 9)).await;
        writer.emit_raw("other", &envelope("acme", 9).replacen('{', r#"{"id":"another","#, 1)).await;
        writer.emit_raw("ours", &envelope("$system", 9)).await;
        writer.emit(2).await;
        writer.commit().await;
        assert_eq!(numbers(&mut reader, 2).await, [1, 2]);
        source.until(|status| status.pending == 0 && status.refused == 4).await;

        let refused = engine.refused(PLATFORM, 0, 10).await.unwrap();
        let codes: Vec<(&str, ErrorCode)> = refused
            .iter()
            .map(|refused| {
                let problem: Problem = serde_json::from_str(&refused.error).unwrap();
                assert_eq!(refused.attempts, 1);
                (refused.row.source_key.as_str(), problem.code)
            })
            .collect();
        let expect = [
            ("bare", ErrorCode::EventInvalid),
            ("taken", ErrorCode::EventIdConflict),
            ("other", ErrorCode::EventInvalid),
            ("ours", ErrorCode::EventInvalid),
        ];
        assert_eq!(codes, expect);

        let id = |key: &str| refused.iter().find(|refused| refused.row.source_key == key).unwrap().row.id;
        assert!(engine.retry_refused(PLATFORM, id("bare"), Some(envelope("acme", 3).into_bytes())).await.unwrap());
        assert_eq!(numbers(&mut reader, 1).await, [3]);
        assert!(engine.retry_refused(PLATFORM, id("taken"), None).await.unwrap());
        source.until(|status| status.pending == 0 && status.refused == 3).await;
        assert_eq!(engine.refused(PLATFORM, 0, 1).await.unwrap()[0].attempts, 2);
        for key in ["taken", "other", "ours"] {
            assert!(engine.discard_refused(PLATFORM, id(key)).await.unwrap());
        }
        source.until(|status| status.refused == 0).await;
        nothing_more(&mut reader).await;
        engine.shutdown().await;
    }

    async fn a_failing_storage_loses_and_repeats_nothing(shop: Shop) {
        let (source, writer) = (shop.source(), shop.writer().await);
        let store = FaultyStore::over(shop.log.store().await);
        for failure in [Failure::BeforeCommit, Failure::AfterCommit, Failure::Panic, Failure::AfterCommit, Failure::Panic] {
            store.fail_next(failure);
        }
        for number in 0..50 {
            writer.emit(number).await;
        }
        let engine = shop.engine_over(store, &source, quick()).await;
        let mut reader = reader(&engine, "acme", FeedStart::Start).await;
        assert_eq!(numbers(&mut reader, 50).await, (0..50).collect::<Vec<_>>());
        source.until(|status| status.pending == 0 && status.refused == 0).await;
        nothing_more(&mut reader).await;
        engine.shutdown().await;
    }

    async fn rows_of_tenants_whose_part_of_the_log_is_down_wait_in_order_and_hold_up_nobody(shop: Shop) {
        let (source, writer) = (shop.source(), shop.writer().await);
        let store = FaultyStore::over(shop.log.store().await);
        let partitions = store.log().partitions;
        if partitions < 2 {
            return;
        }
        let lives = |name: &str| partition_of(&support::tenant(name), partitions);
        let other = (0..).map(|no| format!("other-{no}")).find(|name| lives(name) != lives("acme")).unwrap();
        *store.down.lock() = Some(lives("acme"));
        // More than a few batches of the pump, all mixed.
        writer.begin().await;
        for number in 0..40 {
            writer.emit(number).await;
            writer.emit_raw(&format!("other_{number}"), &envelope(&other, number)).await;
        }
        writer.commit().await;
        let engine = shop.engine_over(store.clone(), &source, quick()).await;
        let mut others = reader(&engine, &other, FeedStart::Start).await;
        assert_eq!(numbers(&mut others, 40).await, (0..40).collect::<Vec<_>>());
        source.until(|status| status.pending == 40 && status.refused == 0).await;
        for number in 40..50 {
            writer.emit(number).await;
            writer.emit_raw(&format!("other_{number}"), &envelope(&other, number)).await;
        }
        assert_eq!(numbers(&mut others, 10).await, (40..50).collect::<Vec<_>>());
        *store.down.lock() = None;
        let mut acme = reader(&engine, "acme", FeedStart::Start).await;
        assert_eq!(numbers(&mut acme, 50).await, (0..50).collect::<Vec<_>>());
        source.until(|status| status.pending == 0 && status.refused == 0).await;
        nothing_more(&mut others).await;
        nothing_more(&mut acme).await;
        engine.shutdown().await;
    }

    async fn a_row_that_breaks_its_append_is_set_aside_alone(shop: Shop) {
        let (source, writer) = (shop.source(), shop.writer().await);
        let store = FaultyStore::over(shop.log.store().await);
        *store.allergic_to.lock() = Some(EventId::parse("key_3").unwrap());
        writer.begin().await;
        for number in 0..6 {
            writer.emit(number).await;
        }
        writer.commit().await;
        let engine = shop.engine_over(store.clone(), &source, quick()).await;
        let mut reader = reader(&engine, "acme", FeedStart::Start).await;
        assert_eq!(numbers(&mut reader, 5).await, [0, 1, 2, 4, 5]);
        source.until(|status| status.pending == 0 && status.refused == 1).await;
        let refused = engine.refused(PLATFORM, 0, 10).await.unwrap();
        let problem: Problem = serde_json::from_str(&refused[0].error).unwrap();
        assert_eq!((refused[0].row.source_key.as_str(), problem.code), ("key_3", ErrorCode::Internal));
        *store.allergic_to.lock() = None;
        assert!(engine.retry_refused(PLATFORM, refused[0].row.id, None).await.unwrap());
        assert_eq!(numbers(&mut reader, 1).await, [3]);
        engine.shutdown().await;
    }

    async fn a_poke_wakes_the_pump(shop: Shop) {
        let (source, writer) = (shop.source(), shop.writer().await);
        let engine = shop.engine_over(shop.log.store().await, &source, drowsy()).await;
        let mut reader = reader(&engine, "acme", FeedStart::Start).await;
        for number in 0..5 {
            writer.emit(number).await;
            engine.poke_source(PLATFORM).unwrap();
            assert_eq!(numbers(&mut reader, 1).await, [number]);
        }
        engine.shutdown().await;
    }

    async fn every_tenant_of_an_outbox_has_its_own_sequence(shop: Shop) {
        let (source, writer) = (shop.source(), shop.writer().await);
        let engine = shop.engine(&source).await;
        for number in 0..60 {
            writer.emit_raw(&format!("key_{number}"), &envelope(&format!("tenant_{}", number % 3), number)).await;
        }
        for tenant in 0..3 {
            let mut reader = reader(&engine, &format!("tenant_{tenant}"), FeedStart::Start).await;
            assert_eq!(numbers(&mut reader, 20).await, (0..20).map(|n| 3 * n + tenant).collect::<Vec<_>>());
            assert_eq!(reader.after().get(), 20);
        }
        engine.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_not_there_yet_is_emptied_when_it_is() {
    let shop = Shop::sqlite_without_outbox();
    let source = shop.source();
    let engine = shop.engine(&source).await;
    let mut reader = reader(&engine, "acme", FeedStart::Start).await;
    source.rises(|source| &source.reads, 2).await;
    shop.install().await;
    shop.writer().await.emit(1).await;
    assert_eq!(numbers(&mut reader, 1).await, [1]);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_that_commit_in_reverse_neither_lose_nor_stall_nor_reorder_one_another() {
    let shop = Shop::postgres().await;
    let source = shop.source();
    let engine = shop.engine(&source).await;
    let mut reader = reader(&engine, "acme", FeedStart::Start).await;
    let held = shop.writer().await;
    held.begin().await;
    held.emit(1_000).await;
    let mut writers = Vec::new();
    for number in 0..12 {
        let writer = shop.writer().await;
        writer.begin().await;
        writer.emit(number).await;
        writers.push((number, writer));
    }
    // Each is on the feed before the next commits, though rows before it are not committed.
    for (number, writer) in writers.into_iter().rev() {
        writer.commit().await;
        assert_eq!(numbers(&mut reader, 1).await, [number]);
    }
    let writer = shop.writer().await;
    for number in 12..112 {
        writer.emit(number).await;
    }
    assert_eq!(numbers(&mut reader, 100).await, (12..112).collect::<Vec<_>>());
    // The one that was held open all the time is still not lost, however far the others are.
    source.emptied().await;
    held.commit().await;
    assert_eq!(numbers(&mut reader, 1).await, [1_000]);
    source.until(|status| status.pending == 0).await;
    nothing_more(&mut reader).await;
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_never_overtakes_one_that_was_committed_before_it() {
    let shop = Shop::postgres().await;
    let source = shop.source();
    let engine = shop.engine(&source).await;
    let mut reader = reader(&engine, "acme", FeedStart::Start).await;
    let (first, second, flood) = (shop.writer().await, shop.writer().await, shop.writer().await);
    let mut expected = Vec::new();
    for round in 0..20 {
        first.begin().await;
        first.emit(round * 100).await;
        // A backlog above the open row, so that the pump is in the middle of reading ahead.
        flood.begin().await;
        for number in 1..70 {
            flood.emit(round * 100 + number).await;
        }
        flood.commit().await;
        first.commit().await;
        second.emit(round * 100 + 99).await;
        expected.push((round * 100, round * 100 + 99));
    }
    let found = numbers(&mut reader, 20 * 71).await;
    let place = |number: i64| found.iter().position(|found| *found == number).unwrap();
    for (cause, effect) in expected {
        assert!(place(cause) < place(effect), "{effect} overtook {cause}");
    }
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_wakes_the_pump() {
    let shop = Shop::postgres().await;
    let (source, writer) = (shop.source(), shop.writer().await);
    let engine = shop.engine_over(shop.log.store().await, &source, drowsy()).await;
    let mut reader = reader(&engine, "acme", FeedStart::Start).await;
    writer.emit(1).await;
    // A hint may be lost, as here while nobody listens yet; so it is given until it is heard.
    let hinting = async {
        loop {
            writer.execute(tidings_outbox::sql::postgres::NOTIFY).await;
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        found = numbers(&mut reader, 1) => assert_eq!(found, [1]),
        () = hinting => {}
    }
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_whose_server_is_killed_is_emptied_when_it_is_back() {
    let server = Postgres::start();
    let shop = Shop::postgres_on(&server).await;
    shop.install().await;
    let source = shop.source();
    let engine = shop.engine(&source).await;
    let mut reader = reader(&engine, "acme", FeedStart::Start).await;
    shop.writer().await.emit(1).await;
    assert_eq!(numbers(&mut reader, 1).await, [1]);
    server.kill9();
    source.rises(|source| &source.reads, 2).await;
    server.restart();
    let writer = shop.writer().await;
    writer.emit(2).await;
    assert_eq!(numbers(&mut reader, 1).await, [2]);
    source.until(|status| status.pending == 0).await;
    nothing_more(&mut reader).await;
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_empty_one_outbox_together_without_repeating_or_reordering() {
    let shop = Shop::postgres().await.with_log_in_postgres().await;
    let (one, two) = (shop.source(), shop.source());
    let engines = [shop.engine(&one).await, shop.engine(&two).await];
    let mut reader = reader(&engines[0], "acme", FeedStart::Start).await;
    let writer = shop.writer().await;
    for number in 0..300 {
        writer.emit(number).await;
    }
    assert_eq!(numbers(&mut reader, 300).await, (0..300).collect::<Vec<_>>());
    one.until(|status| status.pending == 0).await;
    nothing_more(&mut reader).await;
    for engine in engines {
        tokio::time::timeout(PATIENCE, engine.shutdown()).await.unwrap();
    }
}
