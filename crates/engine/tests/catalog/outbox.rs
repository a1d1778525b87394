//! What becomes of outbox rows that break rules.

use std::sync::atomic::Ordering;

use tidings_core::reconcile::Stored;
use tidings_engine::{Error, IntentState, PLATFORM};
use tidings_event::{ErrorCode, Problem};

use super::*;
use crate::in_both_shops;
use crate::shop::{Shop, envelope, nothing_more, numbers, quick};
use crate::support::{Failure, FaultyStore, reader};

async fn refused(engine: &Engine) -> Vec<(String, ErrorCode, &'static str)> {
    let rows = engine.refused(PLATFORM, 0, 100).await.unwrap();
    let read = |text: &str| serde_json::from_str::<Problem>(text).unwrap();
    rows.iter()
        .map(|row| {
            let problem = read(&row.error);
            (row.row.source_key.clone(), problem.code, problem.errors.first().map_or("", |first| first.code))
        })
        .collect()
}

fn moving(lead: &str, to: &str) -> String {
    format!(
        r#"{{"type":"sales.lead.moved","tenant":"acme","source":{{"type":"service","id":"sales"}},"entity":{{"type":"lead","id":"{lead}"}},"data":{{"to":"{to}"}}}}"#
    )
}

in_both_shops! {
    async fn outbox_rows_are_judged_each_for_itself(shop: Shop) {
        let (source, writer) = (shop.source(), shop.writer().await);
        let engine = shop.engine(&source).await;
        push(&engine, &[CREATED, MOVED, "{name: moved, types: sales.lead.moved, known: quarantine}"]).await;
        let mut reader = reader(&engine, "acme", FeedStart::Start).await;
        writer.begin().await;
        writer.emit(1).await;
        writer.emit_raw("bad", &envelope("acme", -1)).await;
        writer.emit_raw("aside", &moving("a", "won")).await;
        writer.emit_raw("foreign", &envelope("acme", 5).replace("\"id\":\"sales\"", "\"id\":\"billing\"")).await;
        writer.emit(2).await;
        writer.commit().await;
        assert_eq!(numbers(&mut reader, 2).await, [1, 2]);
        source.until(|status| status.pending == 0 && status.refused == 2).await;
        nothing_more(&mut reader).await;
        assert_eq!(refused(&engine).await, [
            ("bad".to_owned(), ErrorCode::EventRejected, "schema_range"),
            ("foreign".to_owned(), ErrorCode::Forbidden, "type_not_owned"),
        ]);
        let kept = aside(&engine).await;
        assert_eq!(kept.len(), 1);
        assert_eq!((kept[0].event_id.as_str(), kept[0].sender.as_str()), ("aside", "source/platform"));
        // A row that is mended is taken.
        let bad = engine.refused(PLATFORM, 0, 1).await.unwrap()[0].row.id;
        engine.retry_refused(PLATFORM, bad, Some(envelope("acme", 3).into_bytes())).await.unwrap();
        assert_eq!(numbers(&mut reader, 1).await, [3]);
        engine.shutdown().await;
    }

    async fn nobody_emits_on_behalf_of_another_through_the_outbox_of_a_service(shop: Shop) {
        let (source, writer) = (shop.source(), shop.writer().await);
        let engine = shop.engine_of("sales", &source).await;
        let mut reader = reader(&engine, "acme", FeedStart::Start).await;
        writer.begin().await;
        writer.emit(1).await;
        // No catalog knows the type; the outbox alone says who may speak.
        writer.emit_raw("foreign", &envelope("acme", 5).replace("\"id\":\"sales\"", "\"id\":\"billing\"")).await;
        writer.emit(2).await;
        writer.commit().await;
        assert_eq!(numbers(&mut reader, 2).await, [1, 2]);
        source.until(|status| status.pending == 0 && status.refused == 1).await;
        nothing_more(&mut reader).await;
        assert_eq!(refused(&engine).await, [("foreign".to_owned(), ErrorCode::Forbidden, "source_not_own")]);
        engine.shutdown().await;
    }

    async fn a_crash_between_putting_aside_and_deleting_repeats_nothing(shop: Shop) {
        let (source, writer) = (shop.source(), shop.writer().await);
        source.failing_deletes.store(usize::MAX, Ordering::SeqCst);
        let engine = shop.engine(&source).await;
        push(&engine, &[CREATED, "{name: all, known: quarantine}"]).await;
        writer.emit_raw("aside", &envelope("acme", -1)).await;
        let round = source.reads.load(Ordering::SeqCst);
        source.rises(|source| &source.reads, round + 4).await;
        assert_eq!(aside(&engine).await.len(), 1, "put aside again and again, it is there once");
        engine.shutdown().await;

        let engine = shop.engine(&source).await;
        source.failing_deletes.store(0, Ordering::SeqCst);
        source.until(|status| status.pending == 0 && status.refused == 0).await;
        assert_eq!(aside(&engine).await.len(), 1);
        assert!(log_of(&engine, "acme").await.is_empty());
        engine.shutdown().await;
    }

    async fn a_row_that_cannot_be_put_aside_waits(shop: Shop) {
        let (source, writer) = (shop.source(), shop.writer().await);
        let store = FaultyStore::over(shop.log.store().await);
        let engine = shop.engine_over(store.clone(), &source, quick()).await;
        push(&engine, &[CREATED, "{name: all, known: quarantine}"]).await;
        // The answer is lost once before and once after the row is aside.
        store.fail_next_aside(Failure::BeforeCommit);
        store.fail_next_aside(Failure::AfterCommit);
        writer.emit_raw("aside", &envelope("acme", -1)).await;
        writer.emit(1).await;
        source.until(|status| status.pending == 0 && status.refused == 0).await;
        assert_eq!(aside(&engine).await.len(), 1);
        assert_eq!(log_of(&engine, "acme").await.len(), 1);
        engine.shutdown().await;
    }

    async fn a_full_quarantine_takes_what_fits_in_few_steps_and_holds_up_no_other_tenant(shop: Shop) {
        let (source, writer) = (shop.source(), shop.writer().await);
        let store = FaultyStore::over(shop.log.store().await);
        store.quarantine_max.store(5, Ordering::SeqCst);
        let engine = shop.engine_over(store.clone(), &source, quick()).await;
        push(&engine, &[CREATED, "{name: all, known: quarantine}"]).await;
        writer.begin().await;
        for number in 0..60 {
            writer.emit_raw(&format!("acme{number}"), &envelope("acme", -1)).await;
        }
        for number in 0..5 {
            writer.emit_raw(&format!("globex{number}"), &envelope("globex", -1)).await;
        }
        writer.commit().await;
        source.until(|status| status.pending == 0 && status.refused == 55).await;
        let ids: Vec<String> = aside(&engine).await.into_iter().map(|kept| kept.event_id.to_string()).collect();
        assert_eq!(ids, ["acme0", "acme1", "acme2", "acme3", "acme4"], "the first of them are kept");
        let search = AsideSearch { limit: 100, ..AsideSearch::default() };
        let (globex, _) = engine.catalogs().aside(&tenant("globex"), search).await.unwrap();
        assert_eq!(globex.len(), 5);
        let steps = store.asides.load(Ordering::SeqCst);
        assert!(steps <= 20, "{steps} steps for 65 events");
        engine.shutdown().await;
    }

    async fn moves_in_an_outbox_are_judged_in_their_order(shop: Shop) {
        let (source, writer) = (shop.source(), shop.writer().await);
        let engine = shop.engine(&source).await;
        push(&engine, &[MOVED]).await;
        writer.begin().await;
        for (key, to) in [("one", "new"), ("two", "lost"), ("three", "won"), ("four", "new"), ("five", "won")] {
            writer.emit_raw(key, &moving("a", to)).await;
        }
        writer.commit().await;
        source.until(|status| status.pending == 0 && status.refused == 1).await;
        assert_eq!(refused(&engine).await, [("three".to_owned(), ErrorCode::EventRejected, "transition_forbidden")]);
        assert_eq!(log_of(&engine, "acme").await.len(), 4);
        engine.shutdown().await;
    }

    async fn a_row_without_a_version_has_the_current_one(shop: Shop) {
        let (source, writer) = (shop.source(), shop.writer().await);
        let engine = shop.engine(&source).await;
        push(&engine, &[CREATED, &CREATED.replace("\"1\"", "\"2\"")]).await;
        writer.emit(1).await;
        source.until(|status| status.pending == 0).await;
        assert_eq!(log_of(&engine, "acme").await[0].event.version.as_str(), "2");
        engine.shutdown().await;
    }

    async fn an_intent_that_would_be_refused_is_refused_at_once_and_judged_again_later(shop: Shop) {
        let source = shop.source();
        let engine = shop.engine(&source).await;
        push(&engine, &[CREATED]).await;
        let intend = async |event: Event| engine.create_intent(&service("sales"), event, &Stored::default()).await;
        let bad = intend(created(-1)).await;
        assert!(matches!(&bad, Err(Error::Refused(AppendError::Rejected { .. }))), "{bad:?}");
        let mut foreign = created(1);
        foreign.source.id = Text::parse("billing").unwrap();
        assert!(matches!(intend(foreign).await, Err(Error::Refused(AppendError::NotOwned { .. }))));
        let good = created(1);
        assert_eq!(intend(good.clone()).await.unwrap(), IntentState::Intent);
        // The rules change before it is confirmed.
        push(&engine, &["{name: all, unknown: strict}"]).await;
        let other = support::typed("acme", "sales.lead.lost", "{}");
        assert!(matches!(intend(other).await, Err(Error::Refused(AppendError::Rejected { .. }))));
        engine.confirm_intent(&good.id).await.unwrap();
        source.until(|status| status.pending == 0 && status.intents == 0).await;
        assert_eq!(log_of(&engine, "acme").await.len(), 1);
        engine.shutdown().await;
    }
}
