//! The SQL of the guides does what they say.
#![cfg(all(feature = "rusqlite", feature = "tokio-postgres"))]
#![allow(clippy::unwrap_used)]

use std::path::Path;

use tidings_event::{SystemMint, parse_event};
use tidings_testkit::Postgres;

/// The blocks of a guide that are marked for a database.
fn blocks(guide: &str, database: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guides").join(guide);
    let text = std::fs::read_to_string(path).unwrap();
    let fence = format!("```sql {database}\n");
    let found: Vec<String> = text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().into()).collect();
    assert!(!found.is_empty(), "{guide} has no block for {database}");
    found
}

const LEADS: &str =
    "create table leads (id text primary key, status text); insert into leads values ('lead_42', 'new')";

fn check_event(stored: &str) {
    let parsed = parse_event(stored.as_bytes(), &mut SystemMint::default());
    assert!(parsed.is_ok(), "{stored}: {parsed:?}");
}

#[tokio::test]
async fn what_the_guides_say_for_postgres_works() {
    let database = Postgres::shared().database().await;
    let mut client = database.connect().await;
    tidings_outbox::tokio_postgres::install(&mut client).await.unwrap();
    client.batch_execute(LEADS).await.unwrap();
    for block in blocks("outbox.md", "postgres").iter().filter(|block| !block.starts_with("alter role")) {
        client.batch_execute(block).await.unwrap_or_else(|error| panic!("{block}\n{error:?}"));
    }
    for row in client.query("select event::text from tidings.outbox", &[]).await.unwrap() {
        check_event(row.get(0));
    }
    let counts = "select count(*) filter (where state = 'confirmed'), count(*) from tidings.outbox";
    let row = client.query_one(counts, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (3, 4));

    for block in blocks("inbox.md", "postgres") {
        client.batch_execute(&block).await.unwrap();
    }
    let columns = "select string_agg(column_name || ' ' || data_type || ' ' || is_nullable, ', ' order by ordinal_position) \
                   from information_schema.columns where table_schema = 'tidings' and table_name = 'inbox'";
    let documented: String = client.query_one(columns, &[]).await.unwrap().get(0);
    client.batch_execute("drop table tidings.inbox").await.unwrap();
    tidings_outbox::tokio_postgres::inbox::install(&mut client).await.unwrap();
    let installed: String = client.query_one(columns, &[]).await.unwrap().get(0);
    assert_eq!(documented, installed);
}

#[test]
fn what_the_guides_say_for_sqlite_works() {
    let mut connection = rusqlite::Connection::open_in_memory().unwrap();
    tidings_outbox::rusqlite::install(&mut connection).unwrap();
    connection.execute_batch(LEADS).unwrap();
    for block in blocks("outbox.md", "sqlite") {
        connection.execute_batch(&block).unwrap();
    }
    let stored: String = connection.query_row("select event from tidings_outbox", [], |row| row.get(0)).unwrap();
    check_event(&stored);
}
