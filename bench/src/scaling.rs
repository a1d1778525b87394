//! How rates and costs change with partitions, nodes, tenants, subscriptions and the size of the log.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tidings_testkit::Postgres;

use crate::Scale;
use crate::cluster::{Cluster, Until, Work};
use crate::events::{envelope, slim};
use crate::load::request;
use crate::report::{Figure, Report, Target};
use crate::server::KEY;
use crate::sink::micros_now;

pub(crate) const PARTITIONS: &str = "scaling: partitions";
pub(crate) const NODES: &str = "scaling: nodes";
pub(crate) const TENANTS: &str = "scaling: idle tenants";
pub(crate) const BUSY_TENANTS: &str = "scaling: busy tenants";
pub(crate) const ENDPOINTS: &str = "scaling: idle endpoints";
pub(crate) const ROWS: &str = "scaling: rows of the log";

/// Tenants that are busy while partitions and nodes are compared.
const TENANTS_BUSY: u64 = 16;
const BATCH: usize = 100;
const APPEND: &str = "append, events/s";
const APPEND_CPU: &str = "append, processor";
const DELIVER: &str = "deliver, events/s";
const DELIVER_CPU: &str = "deliver, processor";
const BOTH: &str = "append and deliver, events/s";
const BOTH_CPU: &str = "append and deliver, processor";

/// Costs that stay are allowed to look so much larger than at the smallest size: the machine's own unrest.
const STAYS: f64 = 1.25;

/// What is made larger.
#[derive(Debug, Clone, Copy, PartialEq, clap::ValueEnum)]
pub(crate) enum Dimension {
    Partitions,
    Nodes,
    Tenants,
    Endpoints,
    Rows,
}

pub(crate) async fn run(
    report: &mut Report,
    scale: Scale,
    server: &Arc<Postgres>,
    dimensions: &[Dimension],
    sizes: &[usize],
) -> Result<()> {
    // The database's first pages and the processors' first seconds are paid for by nobody.
    throughput(&mut Report::default(), scale, &Cluster::open(Some(server), 1, 4).await?, NODES, 1).await?;
    for dimension in dimensions {
        match dimension {
            Dimension::Partitions => {
                for partitions in [1, 2, 4] {
                    let cluster = Cluster::open(Some(server), 1, partitions).await?;
                    throughput(report, scale, &cluster, PARTITIONS, partitions).await?;
                }
            }
            Dimension::Nodes => {
                for nodes in [1, 2, 3] {
                    let cluster = Cluster::open(Some(server), nodes, 4).await?;
                    throughput(report, scale, &cluster, NODES, nodes).await?;
                }
            }
            Dimension::Tenants => tenants(report, scale, server).await?,
            Dimension::Endpoints => endpoints(report, scale, server).await?,
            Dimension::Rows => rows(report, scale, server, sizes).await?,
        }
    }
    Ok(())
}

/// The tenants that are busy, each in its turn.
fn busy(n: u64) -> String {
    format!("busy-{}", n % TENANTS_BUSY)
}

fn batch(tenant: &str, n: u64) -> String {
    let events: Vec<String> = (0..BATCH as u64).map(|i| envelope(tenant, n * BATCH as u64 + i)).collect();
    format!("[{}]", events.join(","))
}

/// Appends alone, then deliveries of what was appended; and both, one after the other.
async fn throughput(
    report: &mut Report,
    scale: Scale,
    cluster: &Cluster,
    group: &'static str,
    count: usize,
) -> Result<()> {
    let mut paths = Vec::new();
    for n in 0..TENANTS_BUSY {
        paths.push(cluster.endpoint(&busy(n), &format!("b{n}"), r#","paused":true"#).await?);
    }
    let of_tenant = scale.of(16_000) as u64;
    let until = Until::Count(of_tenant * TENANTS_BUSY);
    let (_, appended) = cluster.post(until, BATCH, |n| batch(&busy(n), n / TENANTS_BUSY)).await?;
    push(report, group, count, APPEND, APPEND_CPU, appended);
    let (began, cpu) = (micros_now(), cluster.cpu_seconds().await?);
    for path in &paths {
        cluster.call("PATCH", path, r#"{"status":"active"}"#).await?;
    }
    let mut last = began;
    for n in 0..TENANTS_BUSY {
        last = last.max(cluster.arrived(&format!("b{n}"), of_tenant).await?.last_us);
    }
    let deliveries = (of_tenant * TENANTS_BUSY) as f64;
    let delivered = Work {
        per_second: deliveries / ((last - began) as f64 / 1e6),
        cpu_us: (cluster.cpu_seconds().await? - cpu) * 1e6 / deliveries,
    };
    push(report, group, count, DELIVER, DELIVER_CPU, delivered);
    let both = Work {
        per_second: 1.0 / (1.0 / appended.per_second + 1.0 / delivered.per_second),
        cpu_us: appended.cpu_us + delivered.cpu_us,
    };
    push(report, group, count, BOTH, BOTH_CPU, both);
    Ok(())
}

/// Reports a rate and its cost; beside that of the first size where there is one.
fn push(report: &mut Report, group: &'static str, count: usize, rate: &str, cpu: &str, work: Work) {
    let mut rate_figure = Figure::new(group, format!("{count}: {rate}"), work.per_second, "events/s");
    if let Some(first) = first_of(report, group, rate) {
        rate_figure = rate_figure.against(first, "the first");
        if group == NODES {
            rate_figure = rate_figure.target(Target::RatioAtLeast(0.85));
        }
    }
    report.push(rate_figure);
    push_cost(report, group, count, cpu, work.cpu_us, "µs/event");
}

/// Reports a cost that must not grow.
fn push_cost(report: &mut Report, group: &'static str, count: usize, what: &str, value: f64, unit: &'static str) {
    let mut figure = Figure::new(group, format!("{count}: {what}"), value, unit);
    if let Some(first) = first_of(report, group, what) {
        figure = figure.against(first, "the first");
        if ![PARTITIONS, NODES, BUSY_TENANTS].contains(&group) {
            figure = figure.target(Target::RatioAtMost(STAYS));
        }
    }
    report.push(figure);
}

fn first_of(report: &Report, group: &str, what: &str) -> Option<f64> {
    let of_it = |figure: &&Figure| figure.group == group && figure.case.ends_with(&format!(": {what}"));
    report.figures.iter().find(of_it).map(|figure| figure.value)
}

/// One busy tenant beside many that have events and do nothing; then as many that are all busy.
async fn tenants(report: &mut Report, scale: Scale, server: &Arc<Postgres>) -> Result<()> {
    let cluster = Cluster::open(Some(server), 1, 16).await?;
    cluster.endpoint("acme", "acme", "").await?;
    let (mut have, mut sent) = (0_u64, 0);
    for idle in [1_u64, 1_000, 100_000] {
        // Over tenants a batch must carry its own ids.
        let first = have;
        let count = idle - first;
        let size = usize::try_from(count.min(1_000))?;
        cluster
            .post(Until::Count(count), size, move |n| {
                let of = |i: u64| slim(&format!("idle-{}", first + n * size as u64 + i), first + n * size as u64 + i);
                format!("[{}]", (0..size as u64).map(of).collect::<Vec<_>>().join(","))
            })
            .await?;
        have = idle;
        let count = usize::try_from(idle)?;
        sent = one_busy(report, scale, &cluster, TENANTS, count, sent).await?;
        let tenants = idle;
        let time = scale.time(Duration::from_secs(4));
        let (_, all) = cluster
            .post(Until::Time(time), BATCH, move |n| {
                let tenant = |i: u64| format!("idle-{}", (n * 7_919 + i * 104_729) % tenants);
                let of = |i: u64| slim(&tenant(i), 1_000_000 + micros_now() * 1_000 + n * 100 + i);
                format!("[{}]", (0..BATCH as u64).map(of).collect::<Vec<_>>().join(","))
            })
            .await?;
        push(report, BUSY_TENANTS, count, APPEND, APPEND_CPU, all);
        report.push(Figure::new(TENANTS, format!("{count}: resident"), cluster.nodes[0].resident_mib()?, "MiB"));
    }
    Ok(())
}

/// What one busy tenant's events cost from POST to the receiver's door; returns how many were sent in all.
async fn one_busy(
    report: &mut Report,
    scale: Scale,
    cluster: &Cluster,
    group: &'static str,
    count: usize,
    sent: u64,
) -> Result<u64> {
    let first = sent / BATCH as u64;
    let until = Until::Count(scale.of(60_000) as u64);
    let cpu = cluster.cpu_seconds().await?;
    let began = micros_now();
    let (events, _) = cluster.post(until, BATCH, move |n| batch("acme", first + n)).await?;
    let sent = sent + events;
    let last = cluster.arrived("acme", sent).await?.last_us;
    let work = Work {
        per_second: events as f64 / ((last - began) as f64 / 1e6),
        cpu_us: (cluster.cpu_seconds().await? - cpu) * 1e6 / events as f64,
    };
    push(report, group, count, BOTH, BOTH_CPU, work);
    Ok(sent)
}

/// One busy endpoint beside many that want something else.
async fn endpoints(report: &mut Report, scale: Scale, server: &Arc<Postgres>) -> Result<()> {
    const OF_TENANT: u64 = 100;
    let cluster = Cluster::open(Some(server), 1, 16).await?;
    cluster.endpoint("acme", "acme", "").await?;
    let (mut have, mut sent) = (0_u64, 0);
    for idle in [1_u64, 1_000, 100_000] {
        let (first, sink) = (have, cluster.sink_url());
        cluster
            .make_many(idle - first, move |n| {
                let n = first + n;
                let path = format!("/v1/tenants/idle-{}/endpoints", n / OF_TENANT);
                let body = format!(r#"{{"url":"{sink}/ok/idle","types":["idle.thing{}.done"]}}"#, n % 50);
                request("POST", &path, KEY, &body)
            })
            .await?;
        have = idle;
        let count = usize::try_from(idle)?;
        sent = one_busy(report, scale, &cluster, ENDPOINTS, count, sent).await?;
        report.push(Figure::new(ENDPOINTS, format!("{count}: resident"), cluster.nodes[0].resident_mib()?, "MiB"));
    }
    Ok(())
}

/// The cost of appending, reading and delivering at different sizes of the log. Events are small here, so that ten
/// million of them fit the machine.
async fn rows(report: &mut Report, scale: Scale, server: &Arc<Postgres>, sizes: &[usize]) -> Result<()> {
    let cluster = Cluster::open(Some(server), 1, 4).await?;
    let mut have = 0_u64;
    for &size in sizes {
        let first = have;
        let fill = |tenants: u64, first: u64| {
            move |n: u64| {
                let tenant = format!("busy-{}", n % tenants);
                let of = |i: u64| slim(&tenant, first + n * 1_000 + i);
                format!("[{}]", (0..1_000).map(of).collect::<Vec<_>>().join(","))
            }
        };
        have +=
            cluster.post(Until::Count((size as u64).saturating_sub(first)), 1_000, fill(TENANTS_BUSY, first)).await?.0;
        cluster.tidy().await?;
        let sample = Until::Count(scale.of(200_000) as u64);
        let (events, appended) = cluster.post(sample, 1_000, fill(TENANTS_BUSY, have)).await?;
        have += events;
        push(report, ROWS, size, APPEND, APPEND_CPU, appended);
        // An endpoint begins at its tenant's end.
        let name = format!("end{size}");
        let path = cluster.endpoint(&busy(0), &name, "").await?;
        let (began, cpu) = (micros_now(), cluster.cpu_seconds().await?);
        let (events, _) = cluster.post(Until::Count(scale.of(50_000) as u64), 1_000, fill(1, have)).await?;
        have += events;
        let last = cluster.arrived(&name, events).await?.last_us;
        let cpu_us = (cluster.cpu_seconds().await? - cpu) * 1e6 / events as f64;
        let per_second = events as f64 / ((last - began) as f64 / 1e6);
        push(report, ROWS, size, BOTH, BOTH_CPU, Work { per_second, cpu_us });
        cluster.call("DELETE", &path, "").await?;
        let page = format!("/v1/tenants/{}/feed?from=start&limit=1000", busy(0));
        push_cost(report, ROWS, size, "a page of 1,000 from the start", cluster.time(&page, 50).await?, "ms");
        let found = format!("/v1/tenants/{}/events?entity_type=order&entity_id=order_1&limit=10", busy(0));
        push_cost(report, ROWS, size, "an entity's newest ten", cluster.time(&found, 50).await?, "ms");
    }
    Ok(())
}
