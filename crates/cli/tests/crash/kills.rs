//! The server is killed again and again while producers go on; afterwards everything is counted.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tidings_testkit::{Database, Postgres};

use crate::ledger::{Ledger, TENANTS, reconcile};
use crate::producers::{into_postgres, into_sqlite, over_http};
use crate::server::{Server, install_outbox};

/// Longer than the pump needs for what can have piled up.
const DRAIN: Duration = Duration::from_secs(180);
const DRAIN_POLL: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_when_a_server_on_sqlite_is_killed() {
    killed_again_and_again("SQLite", None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_when_a_server_on_postgres_is_killed() {
    let log = Postgres::shared().database().await;
    killed_again_and_again("PostgreSQL", Some(&log)).await;
}

fn kills() -> u32 {
    std::env::var("TIDINGS_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(6)
}

async fn killed_again_and_again(name: &str, log: Option<&Database>) {
    let began = Instant::now();
    let directory = tempfile::tempdir().unwrap();
    let shop = directory.path().join("shop.db");
    let shop_url = format!("sqlite://{}", shop.display());
    let database = Postgres::shared().database().await;
    install_outbox(&shop_url);
    install_outbox(&database.url());
    database.connect().await.batch_execute("create table orders (id text primary key)").await.unwrap();

    let sources = [("shop", shop_url.as_str()), ("billing", &database.url())];
    let log_url = log.map(Database::url);
    let mut server = Server::new(&directory.path().join("data"), log_url.as_deref(), &sources);
    server.start_ready().await;

    let database = Arc::new(database);
    let stop = Arc::new(AtomicBool::new(false));
    let (stop_sqlite, stopped) = std::sync::mpsc::sync_channel(1);
    let sqlite = tokio::task::spawn_blocking({
        let shop = shop.clone();
        move || into_sqlite(&shop, &stopped)
    });
    let commit = |late| {
        let (database, stop) = (Arc::clone(&database), Arc::clone(&stop));
        tokio::spawn(async move { into_postgres(&database, &stop, late).await })
    };
    let (postgres, late) = (commit(false), commit(true));
    let http = tokio::spawn(over_http(server.api.clone(), Arc::clone(&stop)));

    for kill in 0..kills() {
        // Every second kill may come while the server is still starting.
        if kill % 2 == 0 {
            server.ready().await;
        }
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..=600))).await;
        server.kill9();
        server.start();
    }
    server.ready().await;
    stop.store(true, Ordering::Relaxed);
    stop_sqlite.send(()).unwrap();
    let ledgers = [sqlite.await.unwrap(), postgres.await.unwrap(), late.await.unwrap(), http.await.unwrap()];

    drained(&shop, &database).await;
    let feeds = server.api.feeds(&TENANTS).await;
    reconcile(&ledgers, &feeds);

    // One more life: the log is what it was, to the last number.
    server.stop().await;
    server.start_ready().await;
    assert!(server.api.feeds(&TENANTS).await == feeds, "the log changed over a restart");
    server.stop().await;
    report(name, &ledgers, began.elapsed());
}

/// Waits until nothing is left in the outboxes.
async fn drained(shop: &PathBuf, database: &Database) {
    let deadline = Instant::now() + DRAIN;
    let sqlite = rusqlite::Connection::open(shop).unwrap();
    let postgres = database.connect().await;
    loop {
        let here: i64 = sqlite.query_row("select count(*) from tidings_outbox", [], |row| row.get(0)).unwrap();
        let there: i64 = postgres.query_one("select count(*) from tidings.outbox", &[]).await.unwrap().get(0);
        if here + there == 0 {
            return;
        }
        assert!(Instant::now() < deadline, "the outboxes still hold {here} and {there} rows");
        tokio::time::sleep(DRAIN_POLL).await;
    }
}

fn report(name: &str, ledgers: &[Ledger], took: Duration) {
    let total: usize = ledgers.iter().map(|ledger| ledger.committed.len()).sum();
    println!("log in {name}: {} kills in {:.1} s, {total} events, none lost, none twice", kills(), took.as_secs_f64());
    for ledger in ledgers {
        println!(
            "  {:<14} {:>7} committed, {:>5} rolled back, {:>5} sent again",
            ledger.producer,
            ledger.committed.len(),
            ledger.rolled_back.len(),
            ledger.retries
        );
    }
}
