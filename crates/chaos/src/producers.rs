//! Producers: some commit into databases of their own with an outbox, some post over HTTP to any node.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use hyper::{Method, StatusCode};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::direct;
use crate::history::History;
use crate::ledger::{Fact, Ledger};
use crate::settings::{CART, CARTS, ENTITIES, ORDER, TENANTS};

/// Events of one transaction or request, at most.
const EVENTS_MAX: u64 = 4;
/// How long a transaction stays open after its last insert, at most: others that began later commit before it.
const LATE_MS_MAX: u64 = 500;
/// How long an answer is waited for before the request is sent again, perhaps to another node.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long what is still open when the producers are told to end is tried.
const LAST_PATIENCE: Duration = Duration::from_secs(180);

/// What every producer needs.
#[derive(Clone)]
pub(crate) struct Producing {
    pub(crate) history: Arc<History>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) pace: Duration,
    pub(crate) stop: CancellationToken,
    pub(crate) seed: u64,
}

impl Producing {
    fn dice(&self) -> StdRng {
        let salt = self.ledger.producer.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        StdRng::seed_from_u64(self.seed ^ salt)
    }

    /// Waits for the next moment to emit; `false` when it is time to end.
    async fn again(&self, dice: &mut StdRng) -> bool {
        let wait = self.pace.mul_f64(dice.random_range(0.5..1.5));
        tokio::time::timeout(wait, self.stop.cancelled()).await.is_err()
    }

    /// Names the next events.
    fn next(&self, dice: &mut StdRng, last: &mut u64) -> Vec<Fact> {
        let count = dice.random_range(1..=EVENTS_MAX);
        let fact = |_| {
            *last += 1;
            let tenant = TENANTS[dice.random_range(0..TENANTS.len())];
            Fact { tenant, id: format!("{}-{last}", self.ledger.producer), sequence: None }
        };
        (0..count).map(fact).collect()
    }
}

/// The number that a producer gave an event.
pub(crate) fn number(id: &str) -> u64 {
    id.rsplit_once('-').and_then(|(_, number)| number.parse().ok()).unwrap_or_default()
}

/// The type of an event, by its number.
pub(crate) fn type_of(id: &str) -> &'static str {
    if number(id).is_multiple_of(CARTS) { CART } else { ORDER }
}

/// Whether an event of a producer is whole: all that it carries was made from its id.
pub(crate) fn whole(event: &Value) -> anyhow::Result<()> {
    let id = event["id"].as_str().context("no id")?;
    let (n, data) = (number(id), &event["data"]);
    ensure!(data["id"] == id && data["n"] == n, "{id} carries the data of {}, {}", data["id"], data["n"]);
    ensure!(data["tenant"] == event["tenant"], "{id} of {} carries data of {}", event["tenant"], data["tenant"]);
    ensure!(event["entity"]["id"] == entity(n), "{id} is of the entity {}", event["entity"]);
    ensure!(event["type"] == type_of(id), "{id} has the type {}", event["type"]);
    Ok(())
}

/// The entity of an event, by its number.
fn entity(n: u64) -> String {
    format!("o{}", n % ENTITIES)
}

fn envelope(fact: &Fact, producer: &str) -> Value {
    json!({
        "id": fact.id,
        "source": { "type": "service", "id": producer },
        "entity": { "type": "order", "id": entity(number(&fact.id)) },
    })
}

fn data(fact: &Fact) -> Value {
    json!({ "id": fact.id, "n": number(&fact.id), "tenant": fact.tenant, "text": "x".repeat(40) })
}

/// Commits orders and their events into a PostgreSQL database until it is told to stop. Its table `orders` is the truth
/// about what was committed, whatever became of the connection.
pub(crate) async fn into_outbox(producing: Producing, url: String) {
    let (mut dice, mut last) = (producing.dice(), 0);
    let mut client: Option<Client> = None;
    while producing.again(&mut dice).await {
        let Some(connected) = &mut client else {
            client = direct::connect(&url).await.ok();
            continue;
        };
        let facts = producing.next(&mut dice, &mut last);
        let roll_back = dice.random_ratio(1, 7);
        let late = Duration::from_millis(if dice.random_ratio(1, 3) { dice.random_range(0..LATE_MS_MAX) } else { 0 });
        let work = transaction(connected, &producing.ledger.producer, &facts, roll_back, late);
        let done = tokio::time::timeout(Duration::from_secs(20), work).await;
        let mut account = producing.ledger.account();
        match done {
            Ok(Ok(true)) => account.certain.extend(facts),
            Ok(Ok(false)) => account.rolled_back.extend(facts.into_iter().map(|fact| fact.id)),
            Ok(Err(_)) | Err(_) => {
                account.open.extend(facts);
                account.retries += 1;
                client = None;
            }
        }
    }
    settle(&producing, &url).await;
}

/// One transaction; whether it was committed. An error leaves open whether it was.
async fn transaction(
    client: &mut Client,
    producer: &str,
    facts: &[Fact],
    roll_back: bool,
    late: Duration,
) -> anyhow::Result<bool> {
    let transaction = client.transaction().await?;
    for fact in facts {
        transaction.execute("insert into orders (id, tenant) values ($1, $2)", &[&fact.id, &fact.tenant]).await?;
        let emit = "select tidings.emit($1, $2, $3::text::json, $4::text::json)";
        let (data, envelope) = (data(fact).to_string(), envelope(fact, producer).to_string());
        transaction.query_one(emit, &[&fact.tenant, &type_of(&fact.id), &data, &envelope]).await?;
    }
    tokio::time::sleep(late).await;
    if roll_back {
        transaction.rollback().await?;
    } else {
        transaction.commit().await?;
    }
    Ok(!roll_back)
}

/// Asks the producer's own table what became of what was left open.
async fn settle(producing: &Producing, url: &str) {
    // A backend may still be at work on what a broken connection left behind.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let read = direct::until_done(LAST_PATIENCE, || async {
        let rows = direct::connect(url).await?.query("select id from orders", &[]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect::<Vec<String>>())
    });
    let committed: std::collections::HashSet<String> = match read.await {
        Ok(ids) => ids.into_iter().collect(),
        Err(error) => return producing.history.broken(format!("{}: {error:#}", producing.ledger.producer)),
    };
    let mut account = producing.ledger.account();
    if let Some(lost) = account.certain.iter().find(|fact| !committed.contains(&fact.id)) {
        producing.history.broken(format!("PostgreSQL lost a transaction that it had committed: {}", lost.id));
    }
    if let Some(risen) = account.rolled_back.iter().find(|id| committed.contains(*id)) {
        producing.history.broken(format!("PostgreSQL kept a transaction that was rolled back: {risen}"));
    }
    for fact in std::mem::take(&mut account.open) {
        if committed.contains(&fact.id) {
            account.certain.push(fact);
        } else {
            account.rolled_back.insert(fact.id);
        }
    }
    account.certain.sort_by_key(|fact| number(&fact.id));
}

/// Posts events to random nodes, each request again and again with the same ids until it is acknowledged.
pub(crate) async fn over_http(producing: Producing, api: Api, ports: Vec<u16>) {
    let (mut dice, mut last) = (producing.dice(), 0);
    while producing.again(&mut dice).await {
        let mut facts = producing.next(&mut dice, &mut last);
        let batch: Vec<Value> = facts
            .iter()
            .map(|fact| {
                let mut event = envelope(fact, &producing.ledger.producer);
                event["type"] = json!(type_of(&fact.id));
                event["tenant"] = json!(fact.tenant);
                event["data"] = data(fact);
                event
            })
            .collect();
        let batch = Value::from(batch);
        let mut give_up = None;
        loop {
            let port = ports[dice.random_range(0..ports.len())];
            let sent = api.send(port, Method::POST, "/v1/events", Some(&batch), PATIENCE).await;
            match sent.map(|answer| acknowledged(&answer, &mut facts)) {
                Ok(Ok(true)) => break,
                Ok(Ok(false)) | Err(_) => {}
                Ok(Err(error)) => producing.history.broken(format!("{}: {error:#}", producing.ledger.producer)),
            }
            producing.ledger.account().retries += 1;
            if producing.stop.is_cancelled() {
                let since = *give_up.get_or_insert_with(|| producing.history.now());
                if producing.history.now() > since + LAST_PATIENCE {
                    producing.history.broken(format!("{} is never answered with 201", producing.ledger.producer));
                    producing.ledger.account().open.extend(facts);
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(dice.random_range(50..500))).await;
        }
        producing.ledger.account().certain.extend(facts.iter().cloned());
        if dice.random_ratio(1, 40) {
            // What was acknowledged is sent again all the same, as a producer does that lost the answer.
            let port = ports[dice.random_range(0..ports.len())];
            let before = facts.clone();
            if let Ok(answer) = api.send(port, Method::POST, "/v1/events", Some(&batch), PATIENCE).await
                && acknowledged(&answer, &mut facts).is_ok_and(|taken| taken)
                && before != facts
            {
                producing.history.broken(format!("a repeat was given other sequences: {before:?}, {facts:?}"));
            }
        }
    }
}

/// Whether an answer acknowledges all events; notes their sequences. An error where it says something that it must not.
fn acknowledged(answer: &crate::api::Answer, facts: &mut [Fact]) -> anyhow::Result<bool> {
    let retryable = answer.status.is_server_error()
        || matches!(answer.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
    if retryable {
        return Ok(false);
    }
    ensure!(answer.status == StatusCode::CREATED, "{}: {}", answer.status, answer.text());
    let results = answer.json()?;
    let results = results["results"].as_array().cloned().unwrap_or_default();
    ensure!(results.len() == facts.len(), "{} results of {} events", results.len(), facts.len());
    for (fact, result) in facts.iter_mut().zip(results) {
        ensure!(result["id"] == fact.id.as_str() && result["tenant"] == fact.tenant, "{result} for {fact:?}");
        fact.sequence = result["sequence"].as_u64();
    }
    Ok(true)
}
