//! The server is killed again and again while it delivers to four endpoints of different manners.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::{Value, json};
use tidings_testkit::{Database, Postgres};

use crate::books::Books;
use crate::receiver::{Manner, Receiver};
use crate::server::Server;

const TENANT: &str = "acme";
/// Events that one request emits.
const BATCH: usize = 50;
const ENTITIES: usize = 97;
/// Longer than a busy machine needs to deliver what is left at the end.
const DRAIN: Duration = Duration::from_secs(300);
const DRAIN_POLL: Duration = Duration::from_millis(50);
/// What an endpoint can have been sent without its being on record: the bound that the guide states.
const UNRECORDED_MAX: u64 = 2_048;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_reaches_every_endpoint_when_a_server_on_sqlite_is_killed() {
    killed_while_delivering("SQLite", None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_reaches_every_endpoint_when_a_server_on_postgres_is_killed() {
    let log = Postgres::shared().database().await;
    killed_while_delivering("PostgreSQL", Some(&log)).await;
}

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The four endpoints of the test.
struct Endpoints {
    healthy: Receiver,
    slow: Receiver,
    flaky: Receiver,
    dead: Receiver,
}

impl Endpoints {
    fn new(slowness: Duration) -> Self {
        Self {
            healthy: Receiver::new("healthy", Manner::Healthy),
            slow: Receiver::new("slow", Manner::Slow(slowness)),
            flaky: Receiver::new("flaky", Manner::Flaky),
            dead: Receiver::new("dead", Manner::Healthy),
        }
    }

    fn all(&self) -> [&Receiver; 4] {
        [&self.healthy, &self.slow, &self.flaky, &self.dead]
    }

    /// Makes the endpoints; returns the id of each, in order.
    async fn create(&self, server: &Server) -> Vec<String> {
        let mut ids = Vec::new();
        for receiver in self.all() {
            let ordering = match receiver.name {
                "dead" => "strict",
                "slow" => "none",
                _ => "entity",
            };
            let body = json!({
                "url": receiver.url(), "types": ["shop.*"], "ordering": ordering, "description": receiver.name,
                "retry_schedule_s": [0, 1, 1, 2, 5, 60, 600, 3_600],
            });
            let made = call(server, Method::POST, &format!("/v1/tenants/{TENANT}/endpoints"), &body).await;
            receiver.expect(made["secret"].as_str().unwrap());
            ids.push(made["id"].as_str().unwrap().to_owned());
        }
        ids
    }
}

async fn call(server: &Server, method: Method, path: &str, body: &Value) -> Value {
    let answer = server.api.send(method, path, &serde_json::to_vec(body).unwrap()).await.unwrap();
    assert!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.text());
    answer.json()
}

fn events(from: usize) -> Vec<Value> {
    let event = |n: usize| {
        json!({
            "id": format!("e{n}"), "type": "shop.order.placed", "tenant": TENANT,
            "source": { "type": "service", "id": "shop" },
            "entity": { "type": "order", "id": format!("o{}", n % ENTITIES) }, "data": { "n": n },
        })
    };
    (from..from + BATCH).map(event).collect()
}

async fn killed_while_delivering(name: &str, log: Option<&Database>) {
    let (kills, count) = (number("TIDINGS_KILLS", 6), number("TIDINGS_DELIVERIES", 2_000).next_multiple_of(BATCH));
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let log_url = log.map(Database::url);
    let mut server = Server::new(&data, log_url.as_deref(), &[])
        .with("TIDINGS_ALLOW_CIDRS", "127.0.0.0/8")
        .with("TIDINGS_ALLOW_HTTP", "true");
    server.start_ready().await;
    let endpoints = Endpoints::new(Duration::from_millis(number("TIDINGS_SLOWNESS_MS", 300) as u64));
    for receiver in [&endpoints.healthy, &endpoints.slow, &endpoints.flaky] {
        receiver.open().await;
    }
    let ids = endpoints.create(&server).await;

    let api = server.api.clone();
    let pause = Duration::from_millis(number("TIDINGS_PAUSE_MS", 20) as u64);
    let producer = tokio::spawn(async move {
        for batch in 0..count / BATCH {
            api.emit_until_taken(&events(batch * BATCH)).await;
            tokio::time::sleep(pause).await;
        }
    });
    let mut killed = Vec::new();
    for kill in 0..kills {
        // Every second kill may come while the server is still starting.
        if kill % 2 == 0 {
            server.ready().await;
        }
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..=800))).await;
        server.kill9();
        check_books(&data, log, &endpoints, &ids).await;
        // What the killed process had sent has reached its receiver by now.
        killed.push(Instant::now());
        server.start();
    }
    producer.await.unwrap();
    server.ready().await;

    let before = Books::read(&data, log).await;
    let rows = before.rows_of(&ids[3]);
    assert!(rows <= 100, "the dead endpoint costs {rows} rows for {count} events");
    endpoints.slow.behave(Manner::Healthy);
    endpoints.dead.open().await;
    for receiver in endpoints.all() {
        drained(receiver, count).await;
    }
    // What came last is on record too, once the server has ended in order.
    server.stop().await;
    check_books(&data, log, &endpoints, &ids).await;
    judge(name, &endpoints, count, &killed);
}

/// Waits until a receiver has got all events.
async fn drained(receiver: &Receiver, count: usize) {
    let deadline = Instant::now() + DRAIN;
    while receiver.distinct() < count {
        let got = receiver.distinct();
        assert!(Instant::now() < deadline, "{}: {got} of {count} came", receiver.name);
        tokio::time::sleep(DRAIN_POLL).await;
    }
}

/// The invariant of delivery, read from the database: what an endpoint's lane or the checkpoint claims to be settled
/// was accepted by its receiver, or waits in the retries, or is dead.
async fn check_books(data: &std::path::Path, log: Option<&Database>, endpoints: &Endpoints, ids: &[String]) {
    let books = Books::read(data, log).await;
    for (receiver, id) in endpoints.all().into_iter().zip(ids) {
        let accepted: HashSet<u64> = receiver.accepted().iter().map(|delivery| delivery.sequence).collect();
        if let Err(wrong) = books.check(id, &accepted) {
            panic!("{}: {wrong}", receiver.name);
        }
    }
}

fn judge(name: &str, endpoints: &Endpoints, count: usize, killed: &[Instant]) {
    println!("log in {name}: {} kills, {count} events to each of four endpoints, none lost", killed.len());
    for receiver in endpoints.all() {
        receiver.assert_all_signed();
        if receiver.name != "slow" {
            receiver.assert_entity_order();
        }
        let repeats = receiver.repeats(killed);
        let bound = UNRECORDED_MAX * killed.len() as u64;
        assert!(repeats <= bound, "{}: {repeats} repeats, {bound} at most", receiver.name);
        println!("  {:<8} {:>7} requests, {repeats:>5} accepted twice", receiver.name, receiver.requests());
    }
    endpoints.dead.assert_order();
}
