//! PostgreSQL goes away and comes back: once under the log, once under a producer.

use hyper::StatusCode;
use serde_json::json;
use tidings_testkit::Postgres;

use crate::api::{Seen, event};
use crate::server::{Server, install_outbox};

fn expect(ids: &[&str]) -> Vec<Seen> {
    (1..).zip(ids).map(|(sequence, id)| Seen { sequence, id: (*id).to_owned() }).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_postgres_answers_503_and_the_server_recovers_by_itself() {
    let postgres = Postgres::start();
    let database = postgres.database().await;
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::new(directory.path(), Some(&database.url()), &[]);
    server.start_ready().await;
    let numbered = |n: u32| event("acme", &format!("e{n}"), "shop", &json!({ "n": n }));
    assert_eq!(server.api.emit_until_taken(&[numbered(1)]).await, 1);

    postgres.stop();
    let answer = server.api.emit(&[numbered(2)]).await.unwrap();
    answer.assert_unavailable();
    server.not_ready().await;
    let alive = server.api.get("/healthz").await.unwrap();
    assert_eq!(alive.status, StatusCode::OK, "a server without its database is alive: {}", alive.text());

    postgres.restart();
    let tries = server.api.emit_until_taken(&[numbered(2)]).await;
    server.ready().await;
    assert_eq!(server.api.feed("acme").await, expect(&["e1", "e2"]));
    println!("taken again at try {tries} after PostgreSQL was back");

    // The same once more, with connections cut in the middle instead of closed.
    postgres.kill9();
    server.api.emit(&[numbered(3)]).await.unwrap().assert_unavailable();
    postgres.restart();
    server.api.emit_until_taken(&[numbered(3)]).await;
    assert_eq!(server.api.feed("acme").await, expect(&["e1", "e2", "e3"]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_producer_delays_nobody_else_and_its_events_come_when_it_is_back() {
    let postgres = Postgres::start();
    let database = postgres.database().await;
    install_outbox(&database.url());
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::new(directory.path(), None, &[("billing", &database.url())]);
    server.start_ready().await;

    // Committed while the server is down, so that it waits in the outbox when the database goes.
    server.stop().await;
    let client = database.connect().await;
    let emit = r#"select tidings.emit('acme', 'shop.order.placed', '{"n":1}',
        '{"id":"waiting","source":{"type":"service","id":"billing"}}')"#;
    client.batch_execute(emit).await.unwrap();
    drop(client);
    postgres.stop();

    server.start_ready().await;
    let other = event("acme", "other", "shop", &json!({}));
    assert_eq!(server.api.emit_until_taken(&[other]).await, 1, "another producer is served at once");
    assert_eq!(server.api.feed("acme").await, expect(&["other"]));

    postgres.restart();
    // The feed itself tells when the event is there.
    assert_eq!(server.api.feed_of_at_least("acme", 2).await, expect(&["other", "waiting"]));
    server.stop().await;
}
