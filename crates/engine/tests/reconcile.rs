//! What becomes of intents whose producer never came back.
#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod shop;
mod support;

use std::sync::atomic::Ordering;

use shop::{Shop, nothing_more, numbers, quick};
use support::{PAGE, PATIENCE, reader};
use tidings_engine::{Engine, FeedStart, NamedSource};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// An HTTP server that answers each path with the status that it names, like `/404`. Ends with the test.
async fn receiver() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut asked = vec![0; 4096];
                let count = stream.read(&mut asked).await.unwrap_or(0);
                let asked = String::from_utf8_lossy(&asked[..count]).into_owned();
                let status = asked.split(['/', ' ']).nth(2).unwrap_or("500");
                let answer = format!("HTTP/1.1 {status} As Asked\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    url
}

fn row(table: &str, id: i64, rest: &str) -> String {
    format!(r#"{{"kind":"row","scope":"platform","table":"{table}","key":{{"id":{id}}}{rest}}}"#)
}

/// The reports of stalled intents, of which there are so many.
async fn reports(engine: &Engine, count: usize) -> Vec<serde_json::Value> {
    let mut reader = reader(engine, "$system", FeedStart::Start).await;
    let mut found = Vec::new();
    while found.len() < count {
        let page = reader.next(PAGE, PATIENCE).await.unwrap();
        assert!(!page.events.is_empty() || !page.up_to_date, "only {} reports came", found.len());
        for event in &page.events {
            assert_eq!(event.recorded.event.event_type.as_str(), "tidings.intent.stalled");
            found.push(serde_json::from_slice(event.recorded.event.data.as_bytes()).unwrap());
        }
    }
    nothing_more(&mut reader).await;
    found
}

in_both_shops! {
    async fn intents_are_resolved_by_their_row_probe(shop: Shop) {
        let (source, writer) = (shop.source(), shop.writer().await);
        writer.execute("create table orders (id bigint primary key, version bigint not null)").await;
        writer.execute("insert into orders values (1, 5), (2, 5)").await;
        writer.old_intent(1, &row("orders", 1, "")).await;
        writer.old_intent(2, &row("orders", 2, r#","revision":{"column":"version","value":5}"#)).await;
        writer.old_intent(3, &row("orders", 3, "")).await;
        writer.old_intent(4, &row("orders", 1, r#","revision":{"column":"version","value":6}"#)).await;
        let engine = shop.engine(&source).await;
        let mut reader = reader(&engine, "acme", FeedStart::Start).await;
        let mut found = numbers(&mut reader, 2).await;
        found.sort_unstable();
        assert_eq!(found, [1, 2]);
        source.until(|status| status.intents == 0 && status.pending == 0).await;
        nothing_more(&mut reader).await;
        reports(&engine, 0).await;
        engine.shutdown().await;
    }

    async fn intents_are_resolved_by_their_http_probe(shop: Shop) {
        let (source, writer) = (shop.source(), shop.writer().await);
        let url = receiver().await;
        for (number, status) in [200, 204, 404, 410, 301, 401, 429, 500, 503].into_iter().enumerate() {
            let probe = format!(r#"{{"kind":"http","url":"{url}/{status}"}}"#);
            writer.old_intent(number as i64, &probe).await;
        }
        let engine = shop.engine(&source).await;
        let mut reader = reader(&engine, "acme", FeedStart::Start).await;
        let mut found = numbers(&mut reader, 2).await;
        found.sort_unstable();
        assert_eq!(found, [0, 1], "2xx: the change was made");
        source.until(|status| status.intents == 5 && status.pending == 0).await;
        let mut reported: Vec<String> =
            reports(&engine, 5).await.iter().map(|data| data["source_key"].as_str().unwrap().to_owned()).collect();
        reported.sort_unstable();
        assert_eq!(reported, ["key_4", "key_5", "key_6", "key_7", "key_8"], "nothing else tells anything");
        nothing_more(&mut reader).await;
        engine.shutdown().await;
    }

    async fn an_intent_that_cannot_be_resolved_is_kept_counted_and_reported_once(shop: Shop) {
        let (source, writer) = (shop.source(), shop.writer().await);
        writer.old_intent(1, &row("no_such_table", 1, "")).await;
        writer.old_intent(2, r#"{"kind":"carrier_pigeon"}"#).await;
        writer.old_intent(3, r#"{"kind":"row","scope":"project","source":"nowhere","table":"a","key":{"id":1}}"#).await;
        writer.old_intent(4, r#"{"stale_after_s":1}"#).await;
        let engine = shop.engine(&source).await;
        reports(&engine, 4).await;
        // Asked again, and again by another engine over the same log.
        source.rises(|source| &source.unresolved, 4).await;
        engine.shutdown().await;
        let engine = shop.engine(&source).await;
        source.rises(|source| &source.unresolved, 4).await;
        let reports = reports(&engine, 4).await;
        assert!(reports.iter().all(|data| data["source"] == "platform" && data["reason"].is_string()), "{reports:?}");
        source.until(|status| status.intents == 4 && status.pending == 0).await;
        let mut reader = reader(&engine, "acme", FeedStart::Start).await;
        nothing_more(&mut reader).await;
        engine.shutdown().await;
    }

    async fn an_intent_that_is_not_stale_is_left_to_its_producer(shop: Shop) {
        let (source, writer) = (shop.source(), shop.writer().await);
        writer.execute("create table orders (id bigint primary key)").await;
        let table = if matches!(writer, shop::Writer::Sqlite(_)) { "tidings_outbox" } else { "tidings.outbox" };
        let event = shop::envelope("acme", 1);
        let probe = row("orders", 1, "");
        writer
            .execute(&format!(
                "insert into {table} (source_key, state, event, probe) values ('key_1', 'intent', '{event}', '{probe}')"
            ))
            .await;
        // An old one behind it shows that the reconciler was there.
        writer.old_intent(2, &probe).await;
        let engine = shop.engine(&source).await;
        source.until(|status| status.intents == 1).await;
        let key = tidings_event::EventId::parse("key_1").unwrap();
        engine.confirm_intent(&key).await.unwrap();
        let mut reader = reader(&engine, "acme", FeedStart::Start).await;
        assert_eq!(numbers(&mut reader, 1).await, [1]);
        engine.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_may_name_another_source() {
    let (platform, project) = (Shop::sqlite().await, Shop::postgres().await);
    let (source, other) = (platform.source(), project.source());
    let writer = project.writer().await;
    writer
        .execute(
            "create schema shop; create table shop.orders (id bigint primary key); insert into shop.orders values (1)",
        )
        .await;
    let writer = platform.writer().await;
    for number in [1, 2] {
        let probe = format!(
            r#"{{"kind":"row","scope":"project","source":"project","table":"shop.orders","key":{{"id":{number}}}}}"#
        );
        writer.old_intent(number, &probe).await;
    }
    let sources = vec![
        NamedSource { name: "platform".to_owned(), source: source.clone(), service: None },
        NamedSource { name: "project".to_owned(), source: other, service: None },
    ];
    let engine = Engine::start(platform.log.store().await, sources, quick()).await.unwrap();
    let mut reader = reader(&engine, "acme", FeedStart::Start).await;
    assert_eq!(numbers(&mut reader, 1).await, [1]);
    source.until(|status| status.intents == 0 && status.pending == 0).await;
    assert_eq!(source.unresolved.load(Ordering::SeqCst), 0);
    nothing_more(&mut reader).await;
    engine.shutdown().await;
}
