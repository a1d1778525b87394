//! Four producers: one commits into a SQLite file, two into a PostgreSQL database (one of them late), one posts over
//! HTTP.

use std::ops::RangeInclusive;
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
/// Events of one transaction or request.
const EVENTS: RangeInclusive<usize> = 1..=5;
/// How long the late producer's transactions stay open after their last insert, at most: others that began later
/// commit before them.
const LATE_MS: RangeInclusive<u64> = 0..=50;

fn any_tenant() -> &'static str {
    TENANTS[rand::random_range(0..TENANTS.len())]
}

/// How one transaction shall end.
fn rolls_back() -> bool {
    rand::random_ratio(1, 5)
}

/// Names the next events of a producer: a tenant and an id each.
struct Names {
    prefix: char,
    last: u64,
}

impl Names {
    fn next(&mut self) -> Vec<(&'static str, String)> {
        let count = rand::random_range(EVENTS);
        let name = |_| {
            self.last += 1;
            (any_tenant(), format!("{}{}", self.prefix, self.last))
        };
        (0..count).map(name).collect()
    }
}

/// Commits orders and their events into one SQLite file until it is told to stop.
pub(crate) fn into_sqlite(path: &Path, stop: &Receiver<()>) -> Ledger {
    let mut ledger = Ledger::new("sqlite-shop");
    let mut names = Names { prefix: 's', last: 0 };
    let mut connection = rusqlite::Connection::open(path).unwrap();
    connection.busy_timeout(Duration::from_secs(60)).unwrap();
    connection.execute_batch("create table orders (id text primary key) strict").unwrap();
    while stop.recv_timeout(PACE) == Err(RecvTimeoutError::Timeout) {
        let facts = names.next();
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
        for (tenant, id) in &facts {
            let body = event(tenant, id, ledger.producer, &json!({ "order": id })).to_string();
            transaction.execute("insert into orders (id) values (?1)", [id]).unwrap();
            let insert = "insert into tidings_outbox (source_key, state, event) values (?1, 'confirmed', ?2)";
            transaction.execute(insert, [id, &body]).unwrap();
        }
        if rolls_back() {
            transaction.rollback().unwrap();
            ledger.rolled_back.extend(facts.into_iter().map(|(_, id)| id));
        } else {
            transaction.commit().unwrap();
            ledger.committed.extend(facts);
        }
    }
    ledger
}

/// Commits orders and their events into one PostgreSQL database until it is told to stop.
pub(crate) async fn into_postgres(database: &Database, stop: &AtomicBool, late: bool) -> Ledger {
    let (producer, prefix) = if late { ("late-shop", 'l') } else { ("postgres-shop", 'p') };
    let mut ledger = Ledger::new(producer);
    let mut names = Names { prefix, last: 0 };
    let mut client = database.connect().await;
    let emit = "select tidings.emit($1, 'shop.order.placed', $2::text::json, $3::text::json)";
    let emit = client.prepare(emit).await.unwrap();
    while !stop.load(Ordering::Relaxed) {
        let facts = names.next();
        let transaction = client.transaction().await.unwrap();
        for (tenant, id) in &facts {
            let envelope = json!({ "id": id, "source": { "type": "service", "id": producer } }).to_string();
            let data = json!({ "order": id }).to_string();
            transaction.execute("insert into orders (id) values ($1)", &[id]).await.unwrap();
            let key: String = transaction.query_one(&emit, &[tenant, &data, &envelope]).await.unwrap().get(0);
            assert_eq!(&key, id, "the source key is the event's id");
        }
        if late {
            tokio::time::sleep(Duration::from_millis(rand::random_range(LATE_MS))).await;
        }
        if rolls_back() {
            transaction.rollback().await.unwrap();
            ledger.rolled_back.extend(facts.into_iter().map(|(_, id)| id));
        } else {
            transaction.commit().await.unwrap();
            ledger.committed.extend(facts);
        }
        tokio::time::sleep(PACE).await;
    }
    ledger
}

/// Posts events over HTTP, each until it is acknowledged, until it is told to stop.
pub(crate) async fn over_http(api: Api, stop: Arc<AtomicBool>) -> Ledger {
    let mut ledger = Ledger::new("http-shop");
    let mut names = Names { prefix: 'h', last: 0 };
    while !stop.load(Ordering::Relaxed) {
        let facts = names.next();
        let batch: Vec<Value> =
            facts.iter().map(|(tenant, id)| event(tenant, id, ledger.producer, &json!({ "order": id }))).collect();
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
