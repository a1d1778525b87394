//! Three producers: one commits into a SQLite file, one into a PostgreSQL database, one posts over HTTP.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use serde_json::{Value, json};
use tidings_testkit::Database;

use crate::api::{Api, event};
use crate::ledger::{Ledger, TENANTS};

/// Between two transactions of one producer: enough load to be in the middle of something at any moment, and few
/// enough events to count them all.
const PACE: Duration = Duration::from_millis(2);

fn any_tenant() -> &'static str {
    TENANTS[rand::random_range(0..TENANTS.len())]
}

/// How one transaction shall end.
fn rolls_back() -> bool {
    rand::random_ratio(1, 5)
}

/// Commits orders and their events into one SQLite file until it is told to stop.
pub(crate) fn into_sqlite(path: &Path, stop: &Receiver<()>) -> Ledger {
    let mut ledger = Ledger::new("sqlite-shop");
    let mut connection = rusqlite::Connection::open(path).unwrap();
    connection.busy_timeout(Duration::from_secs(60)).unwrap();
    connection.execute_batch("create table orders (id text primary key) strict").unwrap();
    for n in 1.. {
        let (tenant, id) = (any_tenant(), format!("s{n}"));
        let body = event(tenant, &id, ledger.producer, &json!({ "n": n })).to_string();
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
        transaction.execute("insert into orders (id) values (?1)", [&id]).unwrap();
        transaction
            .execute(
                "insert into tidings_outbox (source_key, state, event) values (?1, 'confirmed', ?2)",
                [id.as_str(), body.as_str()],
            )
            .unwrap();
        if rolls_back() {
            transaction.rollback().unwrap();
            ledger.rolled_back.insert(id);
        } else {
            transaction.commit().unwrap();
            ledger.committed.push((tenant, id));
        }
        if stop.recv_timeout(PACE) != Err(RecvTimeoutError::Timeout) {
            break;
        }
    }
    ledger
}

/// Commits orders and their events into one PostgreSQL database until it is told to stop.
pub(crate) async fn into_postgres(database: &Database, stop: &AtomicBool) -> Ledger {
    let mut ledger = Ledger::new("postgres-shop");
    let mut client = database.connect().await;
    client.batch_execute("create table orders (id text primary key)").await.unwrap();
    let emit =
        client.prepare("select tidings.emit($1, 'shop.order.placed', $2::text::json, $3::text::json)").await.unwrap();
    for n in 1.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (tenant, id) = (any_tenant(), format!("p{n}"));
        let envelope = json!({ "id": id, "source": { "type": "service", "id": ledger.producer } }).to_string();
        let data = json!({ "n": n }).to_string();
        let transaction = client.transaction().await.unwrap();
        transaction.execute("insert into orders (id) values ($1)", &[&id]).await.unwrap();
        let key: String = transaction.query_one(&emit, &[&tenant, &data, &envelope]).await.unwrap().get(0);
        assert_eq!(key, id, "the source key is the event's id");
        if rolls_back() {
            transaction.rollback().await.unwrap();
            ledger.rolled_back.insert(id);
        } else {
            transaction.commit().await.unwrap();
            ledger.committed.push((tenant, id));
        }
        tokio::time::sleep(PACE).await;
    }
    ledger
}

/// Posts events over HTTP, each until it is acknowledged, until it is told to stop.
pub(crate) async fn over_http(api: Api, stop: Arc<AtomicBool>) -> Ledger {
    let mut ledger = Ledger::new("http-shop");
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut batch: Vec<Value> = Vec::new();
        let mut facts = Vec::new();
        for _ in 0..rand::random_range(1..=3) {
            n += 1;
            let (tenant, id) = (any_tenant(), format!("h{n}"));
            batch.push(event(tenant, &id, ledger.producer, &json!({ "n": n })));
            facts.push((tenant, id));
        }
        ledger.retries += u64::from(api.emit_until_taken(&batch).await - 1);
        ledger.committed.extend(facts);
        if rand::random_ratio(1, 50) {
            // What was acknowledged is sent again all the same, as a producer does that lost the answer.
            ledger.retries += u64::from(api.emit_until_taken(&batch).await);
        }
        tokio::time::sleep(PACE).await;
    }
    ledger
}
