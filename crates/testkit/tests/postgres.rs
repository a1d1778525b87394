//! The ephemeral PostgreSQL keeps its promises.
#![allow(clippy::unwrap_used)]

use std::process::Command;
use std::time::Duration;

use tidings_testkit::{Postgres, Process};

#[tokio::test]
async fn every_test_has_a_database_of_its_own() {
    let server = Postgres::shared();
    let (first, second) = (server.database().await, server.database().await);
    first.connect().await.batch_execute("create table t (n int)").await.unwrap();
    second.connect().await.batch_execute("create table t (n int)").await.unwrap();
    assert_ne!(first.url(), second.url());
}

#[tokio::test]
async fn committed_rows_survive_a_stop_and_a_crash() {
    let server = Postgres::start();
    let database = server.database().await;
    database.connect().await.batch_execute("create table t (n int); insert into t values (1)").await.unwrap();

    server.stop();
    assert!(tokio_postgres::connect(&database.url(), tokio_postgres::NoTls).await.is_err());
    server.restart();
    let client = database.connect().await;
    client.batch_execute("insert into t values (2)").await.unwrap();

    server.kill9();
    assert!(client.batch_execute("select 1").await.is_err());
    server.restart();
    let row = database.connect().await.query_one("select count(*) from t", &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 2);

    if let Some(url) = server.socket_url(database.name()) {
        drop(tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap());
    }
}

#[tokio::test]
async fn a_process_is_read_line_by_line_and_ends_on_a_signal() {
    let mut command = Command::new("sh");
    command
        .args(["-c", "echo one; echo two >&2; trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.01; done"]);
    let mut process = Process::spawn(command);
    let line = process.line(Duration::from_secs(20), |line| line == "ready").await;
    assert_eq!(line, "ready");
    process.terminate();
    assert_eq!(process.wait(Duration::from_secs(20)).await.code(), Some(3));
    process.line(Duration::from_secs(20), |line| line == "bye").await;
}
