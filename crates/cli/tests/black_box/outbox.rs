//! `tidings outbox`: from a producer's database to the feed.

use tidings_testkit::Postgres;

use crate::support::{Server, run, tidings};

#[tokio::test]
async fn an_outbox_in_sqlite_is_installed_and_read() {
    let dir = tempfile::tempdir().unwrap();
    let shop = dir.path().join("shop.db");
    let url = format!("sqlite:{}", shop.display());
    let missing = run(tidings(&["outbox", "status", "--url", &url]), "").await;
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(!shop.exists(), "asking makes nothing");
    for _ in 0..2 {
        run(tidings(&["outbox", "install", "--url", &url]), "").await.ok();
    }
    let status = run(tidings(&["outbox", "status", "--url", &url, "--json"]), "").await.json();
    assert_eq!((status["version"].as_u64(), status["pending"].as_u64()), (Some(1), Some(0)));

    let connection = rusqlite::Connection::open(&shop).unwrap();
    let insert = "insert into tidings_outbox (source_key, event) values (?1, ?2)";
    let event = |id: &str, event_type: &str| {
        format!(
            "{{\"id\":\"{id}\",\"type\":\"{event_type}\",\"tenant\":\"acme\",\"source\":{{\"type\":\"service\",\"id\":\"shop\"}},\"data\":{{\"id\":\"{id}\"}}}}"
        )
    };
    connection.execute(insert, ["a", &event("a", "shop.order.paid")]).unwrap();
    connection.execute(insert, ["b", &event("b", "Wrong")]).unwrap();
    let server = Server::start_with(&[], &[("TIDINGS_SOURCES", &format!("shop={url}"))]).await;
    assert_eq!(server.wait_for("acme", 1).await[0]["id"], "a");

    // What was committed in order is settled in order, so the wrong row is refused once the next is on the feed.
    connection.execute(insert, ["c", &event("c", "shop.order.paid")]).unwrap();
    server.wait_for("acme", 2).await;
    let refused = server.run(&["outbox", "refused", "--json"]).await.json();
    let row = &refused["data"][0];
    assert_eq!((row["source"].as_str(), row["source_key"].as_str()), (Some("shop"), Some("b")), "{refused}");
    let shown = server.run(&["outbox", "refused"]).await.ok();
    assert!(shown.contains("event_invalid") && shown.contains("/type"), "{shown}");

    let id = row["id"].to_string();
    let mended = event("b", "shop.order.shipped");
    server.run(&["outbox", "retry", "shop", &id, "--event", &mended]).await.ok();
    assert_eq!(server.wait_for("acme", 3).await[2]["id"], "b");
    let gone = server.run(&["outbox", "discard", "shop", &id]).await;
    assert_eq!(gone.code, Some(4), "{gone:?}");
    let sources = server.run(&["outbox", "sources"]).await.ok();
    assert!(sources.contains("platform") && sources.contains("shop"), "{sources}");
}

#[tokio::test]
async fn an_outbox_in_postgresql_is_installed_and_read() {
    let database = Postgres::shared().database().await;
    let url = database.url();
    let missing = run(tidings(&["outbox", "status", "--url", &url]), "").await;
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(missing.stderr.contains("tidings outbox install"), "{}", missing.stderr);
    for _ in 0..2 {
        run(tidings(&["outbox", "install", "--url", &url]), "").await.ok();
    }
    let server = Server::start_with(&[], &[("TIDINGS_SOURCES", &format!("shop={url}"))]).await;
    let client = database.connect().await;
    client
        .batch_execute("begin; select tidings.emit('acme', 'shop.order.paid', '{\"order\": 42.50}'); commit")
        .await
        .unwrap();
    client
        .batch_execute("begin; select tidings.emit('acme', 'shop.order.paid', '{\"order\": 43}'); rollback")
        .await
        .unwrap();
    client
        .batch_execute("begin; select tidings.emit('acme', 'shop.order.paid', '{\"order\": 44}'); commit")
        .await
        .unwrap();
    let seen = server.wait_for("acme", 2).await;
    assert_eq!((seen[0]["data"]["order"].as_f64(), seen[1]["data"]["order"].as_u64()), (Some(42.5), Some(44)));
}
