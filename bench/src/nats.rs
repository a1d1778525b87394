//! What the bus costs, and what it saves: appends with and without it, and how long an event that one node takes in needs
//! to a receiver whose router runs on another.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use tidings_testkit::{Nats, Postgres, PostgresOptions};

use crate::Scale;
use crate::cluster::{Cluster, Until, Work};
use crate::events::envelope;
use crate::load::{Connection, post};
use crate::report::{Figure, Report, Target};
use crate::server::KEY;
use crate::sink::{Stats, micros_now};

const GROUP: &str = "nats";
const PARTITIONS: usize = 4;
/// Both sides take turns, so that what else the machine does meets both.
const ROUNDS: usize = 3;
const PER_SECOND: u64 = 50;

type Settings = Vec<(String, String)>;

fn set(settings: &[(&str, &str)]) -> Settings {
    settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub(crate) async fn run(report: &mut Report, scale: Scale, server: &Arc<Postgres>) -> Result<()> {
    let time = scale.time(Duration::from_secs(8));
    for batch in [1, 100] {
        cost(report, time, server, "PostgreSQL in memory", batch).await?;
    }
    // As it is deployed: each commit waits for the disk.
    let parent = Some(PathBuf::from("/var/tmp"));
    let flushed = Postgres::start_with(PostgresOptions { fsync: true, parent, ..crate::postgres() });
    for batch in [1, 100] {
        cost(report, time, &flushed, "PostgreSQL on disk", batch).await?;
    }
    latency(report, scale, server).await
}

/// Appends over HTTP to one server, with a broker beside it and without.
async fn cost(report: &mut Report, time: Duration, server: &Arc<Postgres>, place: &str, batch: usize) -> Result<()> {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS * 2 {
        let nats = (round % 2 == 0).then(Nats::start);
        let settings = nats.as_ref().map_or_else(Vec::new, |nats| set(&[("TIDINGS_NATS_URL", &nats.url())]));
        let cluster = Cluster::open_each(Some(server), &[settings], PARTITIONS).await?;
        // Every partition has its stream before anything is measured.
        let body = move |n: u64| {
            let one = |i: u64| envelope(&format!("tenant-{}", (n * 7 + i) % 32), n * 1_000 + i);
            if batch == 1 { one(0) } else { batched(&format!("tenant-{}", n % 32), n, batch) }
        };
        cluster.post(Until::Count(2_000), batch, body).await?;
        let (_, work) = cluster.post(Until::Time(time), batch, move |n| body(n + 1_000_000)).await?;
        if nats.is_some() { &mut with } else { &mut without }.push(work);
    }
    let rate = |works: &[Work]| median(works.iter().map(|work| work.per_second).collect());
    let cpu = |works: &[Work]| median(works.iter().map(|work| work.cpu_us).collect());
    report.push(
        Figure::new(GROUP, format!("{place}, appends of {batch}, published to NATS"), rate(&with), "events/s")
            .against(rate(&without), "the same without NATS")
            .target(Target::RatioAtLeast(0.85)),
    );
    let case = format!("{place}, appends of {batch}, processor of Tidings and PostgreSQL");
    report.push(Figure::new(GROUP, case, cpu(&with), "µs/event").against(cpu(&without), "the same without NATS"));
    Ok(())
}

fn batched(tenant: &str, n: u64, batch: usize) -> String {
    let events: Vec<String> = (0..batch as u64).map(|i| envelope(tenant, n * 1_000 + i)).collect();
    format!("[{}]", events.join(","))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// From a POST at one node to the receiver, by a router on another: over the bus and by polling, and on one node alone.
async fn latency(report: &mut Report, scale: Scale, server: &Arc<Postgres>) -> Result<()> {
    let count = (scale.time(Duration::from_secs(15)).as_secs_f64() * PER_SECOND as f64) as u64;
    let alone = one(server, &[set(&[])], count).await?;
    let roles = |roles: &str| set(&[("TIDINGS_ROLES", roles)]);
    let (near, far) = (roles("api,publisher"), roles("api,pump,router"));
    let polled = one(server, &[near.clone(), far.clone()], count).await?;
    let bus = over_nats(server, [near, far], count).await?;
    let poked = over_nats(server, [roles("api"), roles("api,pump,router,publisher")], count).await?;
    let p50 = |stats: &Stats| stats.latency_ms.get("p50").copied().unwrap_or(f64::NAN);
    let p99 = |stats: &Stats| stats.latency_ms.get("p99").copied().unwrap_or(f64::NAN);
    let cases = [
        ("one node does all", &alone),
        ("router elsewhere, publisher here", &bus),
        ("router and publisher elsewhere", &poked),
        ("router elsewhere, polling", &polled),
    ];
    for (case, stats) in cases {
        report.push(Figure::new(GROUP, format!("POST → received, {case}, p50"), p50(stats), "ms"));
        report.push(Figure::new(GROUP, format!("POST → received, {case}, p99"), p99(stats), "ms"));
    }
    for (case, stats) in [("over NATS", &bus), ("over NATS, by a hint", &poked)] {
        report.push(
            Figure::new(GROUP, format!("added by a router elsewhere, {case}, p50"), p50(stats) - p50(&alone), "ms")
                .target(Target::AtMost(2.0)),
        );
    }
    report.push(Figure::new(GROUP, "added by a router elsewhere, polling, p50", p50(&polled) - p50(&alone), "ms"));
    Ok(())
}

async fn over_nats(server: &Arc<Postgres>, nodes: [Settings; 2], count: u64) -> Result<Stats> {
    let nats = Nats::start();
    let nodes = nodes.map(|mut settings| {
        settings.push(("TIDINGS_NATS_URL".to_owned(), nats.url()));
        settings
    });
    one(server, &nodes, count).await
}

async fn one(server: &Arc<Postgres>, nodes: &[Settings], count: u64) -> Result<Stats> {
    let cluster = Cluster::open_each(Some(server), nodes, PARTITIONS).await?;
    cluster.endpoint("acme", "warm", "").await?;
    paced(&cluster, "warm", 50).await?;
    cluster.endpoint("acme", "measured", "").await?;
    paced(&cluster, "measured", count).await
}

/// Posts single events to the first node at a steady pace.
async fn paced(cluster: &Cluster, name: &str, count: u64) -> Result<Stats> {
    let mut connection = Connection::open(cluster.nodes[0].address).await?;
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / PER_SECOND as f64));
    for n in 0..count {
        ticks.tick().await;
        let at = format!(r#""paid":true,"at":{}"#, micros_now());
        let event = envelope("acme", n).replace(r#""paid":true"#, &at);
        let answer = connection.exchange(&post("/v1/events", KEY, &event)).await?;
        ensure!(answer.status == 201, "{}", answer.status);
    }
    cluster.arrived(name, count).await
}
