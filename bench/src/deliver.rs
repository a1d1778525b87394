//! Deliveries: from a producer's POST to a receiver's door, each beside the bare signed POST of the same run.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::rt::TokioIo;
use tidings_event::signature::{Secret, Signer};
use tidings_testkit::{Postgres, PostgresOptions};

use crate::Scale;
use crate::cluster::postmaster;
use crate::events::envelope;
use crate::feed::fill;
use crate::load::{Connection, get, post, request};
use crate::report::{Figure, Report, Target};
use crate::server::{KEY, Server, Setup, children_cpu_seconds, free_address, own_cpu_seconds};
use crate::sink::{Stats, micros_now};

/// Requests under way at once to the bare sink.
const BARE_IN_FLIGHT: usize = 64;
/// Producers that post single events.
const PRODUCERS: usize = 32;
/// Longest wait for deliveries that should come.
const PATIENCE: Duration = Duration::from_secs(180);

const GROUP: &str = "deliver";

/// What a bare signed POST costs on this machine.
struct Ceiling {
    per_second: f64,
}

pub(crate) async fn run(report: &mut Report, scale: Scale, server: Option<&Arc<Postgres>>) -> Result<()> {
    let ceiling = ceiling(report, scale).await?;
    let mut backends = vec![("SQLite", None)];
    backends.extend(server.map(|server| ("PostgreSQL", Some(server.clone()))));
    for (name, server) in &backends {
        let bench = Bench { name, server: server.clone() };
        bench.ingest_and_deliver(report, scale, &ceiling).await?;
        bench.backlog(report, scale, &ceiling, 1).await?;
        bench.backlog(report, scale, &ceiling, 10).await?;
        bench.latency(report, scale).await?;
        bench.isolation(report, scale).await?;
        bench.bad_company(report, scale).await?;
        bench.restart(report).await?;
    }
    if server.is_some() {
        statements(report, scale).await?;
    }
    Bench { name: "SQLite", server: None }.memory(report, scale).await
}

/// Signed POSTs of the same body by the same client library to the same sink, with nothing behind them.
async fn ceiling(report: &mut Report, scale: Scale) -> Result<Ceiling> {
    let sink = Server::sink().await?;
    let signer = Arc::new(Signer::new(&[Secret::hmac([7; 32])]));
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (began, cpu) = (Instant::now(), own_cpu_seconds()? + sink.cpu_seconds()?);
    let tasks: Vec<_> = (0..BARE_IN_FLIGHT)
        .map(|_| tokio::spawn(post_bare(sink.address, signer.clone(), stop.clone(), done.clone())))
        .collect();
    tokio::time::sleep(scale.time(Duration::from_secs(5))).await;
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await??;
    }
    let count = done.load(Ordering::Relaxed) as f64;
    let per_second = count / began.elapsed().as_secs_f64();
    let cpu = (own_cpu_seconds()? + sink.cpu_seconds()? - cpu) * 1e3 / count;
    report.push(Figure::new(GROUP, "bare signed POST, both ends", per_second, "deliveries/s"));
    report.push(Figure::new(GROUP, "bare signed POST, processor, both ends", cpu, "s per 1,000"));
    Ok(Ceiling { per_second })
}

/// One worker of the ceiling: a connection of its own, the same library that deliveries use.
async fn post_bare(sink: SocketAddr, signer: Arc<Signer>, stop: Arc<AtomicBool>, done: Arc<AtomicU64>) -> Result<()> {
    let stream = tokio::net::TcpStream::connect(sink).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    while !stop.load(Ordering::Relaxed) {
        let n = done.fetch_add(1, Ordering::Relaxed);
        let (id, body) = (n.to_string(), Bytes::from(envelope("acme", n)));
        let request = Request::post("/ok/bare")
            .header("host", "bench")
            .header("webhook-id", &id)
            .header("webhook-timestamp", "1700000000")
            .header("webhook-signature", signer.sign(&id, 1_700_000_000, &body))
            .header("content-type", "application/json")
            .body(Full::new(body))?;
        sender.ready().await?;
        sender.send_request(request).await?.into_body().collect().await?;
    }
    Ok(())
}

struct Bench {
    name: &'static str,
    server: Option<Arc<Postgres>>,
}

/// A server and a receiver, and where the server's data lie.
struct Stage {
    tidings: Server,
    sink: Server,
    setup: Setup,
    dir: tempfile::TempDir,
    database: Option<tidings_testkit::Database>,
}

impl Stage {
    async fn open(server: Option<&Arc<Postgres>>) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let database = match server {
            Some(server) => Some(server.database().await),
            None => None,
        };
        let setup = Setup { database_url: database.as_ref().map(|database| database.url()), ..Setup::default() };
        let tidings = Server::tidings(dir.path(), &setup).await?;
        Ok(Self { tidings, sink: Server::sink().await?, setup, dir, database })
    }

    async fn call(&self, method: &str, path: &str, body: &str) -> Result<serde_json::Value> {
        let mut connection = Connection::open(self.tidings.address).await?;
        let answer = connection.exchange(&request(method, path, KEY, body)).await?;
        ensure!(answer.status < 300, "{method} {path}: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
        Ok(if answer.body.is_empty() { serde_json::Value::Null } else { serde_json::from_slice(&answer.body)? })
    }

    /// Makes an endpoint on the sink; returns its path in the API.
    async fn endpoint(&self, tenant: &str, sink_path: &str, more: &str) -> Result<String> {
        let url = format!("http://{}{sink_path}", self.sink.address);
        self.endpoint_at(tenant, &url, more).await
    }

    async fn endpoint_at(&self, tenant: &str, url: &str, more: &str) -> Result<String> {
        let base = format!("/v1/tenants/{tenant}/endpoints");
        let made = self.call("POST", &base, &format!(r#"{{"url":"{url}"{more}}}"#)).await?;
        Ok(format!("{base}/{}", made["id"].as_str().context("no id")?))
    }

    async fn stats(&self, name: &str) -> Result<Stats> {
        let mut connection = Connection::open(self.sink.address).await?;
        let answer = connection.exchange(&get(&format!("/stats/{name}"), KEY, "*/*")).await?;
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// Waits until so many different events came under a name.
    async fn arrived(&self, name: &str, count: u64) -> Result<Stats> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let stats = self.stats(name).await?;
            if stats.distinct >= count {
                return Ok(stats);
            }
            ensure!(Instant::now() < deadline, "{name}: {} of {count} came", stats.distinct);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Processor time of the server, the sink and the database so far, in seconds.
    async fn cpu_seconds(&self) -> Result<f64> {
        let database = match &self.database {
            Some(database) => children_cpu_seconds(postmaster(database).await?)?,
            None => 0.0,
        };
        Ok(self.tidings.cpu_seconds()? + self.sink.cpu_seconds()? + database)
    }
}

impl Bench {
    async fn ingest_and_deliver(&self, report: &mut Report, scale: Scale, ceiling: &Ceiling) -> Result<()> {
        let stage = Stage::open(self.server.as_ref()).await?;
        stage.endpoint("acme", "/ok/live", "").await?;
        let posted = Arc::new(AtomicU64::new(0));
        let (began, cpu) = (micros_now(), stage.cpu_seconds().await?);
        let counter = posted.clone();
        let body = move |_: usize, _: u64| envelope("acme", counter.fetch_add(1, Ordering::Relaxed));
        let time = scale.time(Duration::from_secs(8));
        crate::load::post_for(stage.tidings.address, PRODUCERS, time, KEY, body).await?;
        let count = posted.load(Ordering::Relaxed);
        let stats = stage.arrived("live", count).await?;
        let rate = count as f64 / ((stats.last_us - began) as f64 / 1e6);
        let cpu = (stage.cpu_seconds().await? - cpu) * 1e3 / count as f64;
        report.push(
            Figure::new(GROUP, format!("{}, ingest + deliver, 1 endpoint", self.name), rate, "deliveries/s")
                .against(ceiling.per_second, "bare signed POST")
                .target(Target::RatioAtLeast(0.20)),
        );
        report.push(Figure::new(
            GROUP,
            format!("{}, the same, processor with ingest and database", self.name),
            cpu,
            "s per 1,000",
        ));
        report.push(Figure::new(
            GROUP,
            format!("{}, the same, delivered twice", self.name),
            (stats.count - stats.distinct) as f64,
            "deliveries",
        ));
        Ok(())
    }

    async fn backlog(&self, report: &mut Report, scale: Scale, ceiling: &Ceiling, endpoints: usize) -> Result<()> {
        let stage = Stage::open(self.server.as_ref()).await?;
        let count = scale.of(if endpoints == 1 { 100_000 } else { 20_000 });
        let mut paths = Vec::new();
        for n in 0..endpoints {
            paths.push(stage.endpoint("acme", &format!("/ok/e{n}"), r#","paused":true"#).await?);
        }
        fill(&stage.tidings, count).await?;
        let (began, cpu) = (micros_now(), stage.cpu_seconds().await?);
        for path in &paths {
            stage.call("PATCH", path, r#"{"status":"active"}"#).await?;
        }
        let mut last = began;
        for n in 0..endpoints {
            last = last.max(stage.arrived(&format!("e{n}"), count as u64).await?.last_us);
        }
        let deliveries = (count * endpoints) as f64;
        let rate = deliveries / ((last - began) as f64 / 1e6);
        let cpu = (stage.cpu_seconds().await? - cpu) * 1e3 / deliveries;
        let (case, least, most) =
            if endpoints == 1 { ("backlog, 1 endpoint", 0.35, 0.10) } else { ("fan-out 10", 0.45, 0.04) };
        report.push(
            Figure::new(GROUP, format!("{}, {case}", self.name), rate, "deliveries/s")
                .against(ceiling.per_second, "bare signed POST")
                .target(Target::RatioAtLeast(least)),
        );
        report.push(
            Figure::new(GROUP, format!("{}, {case}, processor with database and sink", self.name), cpu, "s per 1,000")
                .target(Target::AtMost(most)),
        );
        let resident = stage.tidings.resident_mib()?;
        report.push(Figure::new(GROUP, format!("{}, {case}, resident", self.name), resident, "MiB"));
        Ok(())
    }

    async fn latency(&self, report: &mut Report, scale: Scale) -> Result<()> {
        let stage = Stage::open(self.server.as_ref()).await?;
        stage.endpoint("acme", "/ok/lat", "").await?;
        let count = (scale.time(Duration::from_secs(20)).as_secs_f64() * 50.0) as u64;
        let stats = paced(&stage, "acme", "lat", count, 50).await?;
        for (name, most) in [("p50", 2.0), ("p99", 8.0)] {
            report.push(
                Figure::new(
                    GROUP,
                    format!("{}, POST → received at 50 events/s, {name}", self.name),
                    stats.latency_ms[name],
                    "ms",
                )
                .target(Target::AtMost(most)),
            );
        }
        Ok(())
    }

    /// One tenant's latency alone, and beside another tenant whose endpoint takes five seconds an event.
    async fn isolation(&self, report: &mut Report, scale: Scale) -> Result<()> {
        let stage = Stage::open(self.server.as_ref()).await?;
        stage.endpoint("acme", "/ok/quiet", "").await?;
        let count = (scale.time(Duration::from_secs(20)).as_secs_f64() * 50.0) as u64;
        let quiet = paced(&stage, "acme", "quiet", count, 50).await?;
        drop(stage);
        let stage = Stage::open(self.server.as_ref()).await?;
        stage.endpoint("acme", "/ok/beside", "").await?;
        stage.endpoint("slow", "/slow/5000/slow", "").await?;
        let mut connection = Connection::open(stage.tidings.address).await?;
        for batch in 0..2 {
            let events: Vec<String> = (0..1_000).map(|n| envelope("slow", batch * 1_000 + n)).collect();
            let answer = connection.exchange(&post("/v1/events", KEY, &format!("[{}]", events.join(",")))).await?;
            ensure!(answer.status == 201, "{}", answer.status);
        }
        let beside = paced(&stage, "acme", "beside", count, 50).await?;
        let case = format!("{}, p99 beside a tenant whose endpoint takes 5 s, 2,000 events waiting", self.name);
        report.push(
            Figure::new(GROUP, case, beside.latency_ms["p99"], "ms")
                .against(quiet.latency_ms["p99"], "its quiet p99")
                .target(Target::RatioAtMost(2.0)),
        );
        Ok(())
    }

    /// A healthy endpoint alone, and beside one that takes ten seconds, one that is away and one that fails at times, all
    /// of one tenant.
    async fn bad_company(&self, report: &mut Report, scale: Scale) -> Result<()> {
        const PER_SECOND: u64 = 1_000;
        let count = scale.of(20_000) as u64;
        let stage = Stage::open(self.server.as_ref()).await?;
        stage.endpoint("acme", "/ok/alone", "").await?;
        let alone = paced(&stage, "acme", "alone", count, PER_SECOND).await?;
        drop(stage);
        let stage = Stage::open(self.server.as_ref()).await?;
        stage.endpoint("acme", "/ok/healthy", "").await?;
        stage.endpoint("acme", "/slow/10000/slow", "").await?;
        stage.endpoint("acme", "/flaky/flaky", "").await?;
        stage.endpoint_at("acme", &format!("http://{}/dead", free_address()?), "").await?;
        let healthy = paced(&stage, "acme", "healthy", count, PER_SECOND).await?;
        ensure!(healthy.count == count, "the healthy endpoint got {} of {count}", healthy.count);
        let case = format!("{}, p99 beside a slow, a dead and a failing endpoint, {count} events", self.name);
        report.push(
            Figure::new(GROUP, case, healthy.latency_ms["p99"], "ms")
                .against(alone.latency_ms["p99"], "its p99 alone")
                .target(Target::RatioAtMost(2.0)),
        );
        Ok(())
    }

    /// From the moment at which a killed server answers again to the moment at which what was in flight is sent again.
    async fn restart(&self, report: &mut Report) -> Result<()> {
        let mut stage = Stage::open(self.server.as_ref()).await?;
        stage.endpoint("acme", "/hold/held", "").await?;
        let mut connection = Connection::open(stage.tidings.address).await?;
        connection.exchange(&post("/v1/events", KEY, &envelope("acme", 1))).await?;
        stage.arrived("held", 1).await?;
        stage.tidings.kill();
        let before = stage.stats("held").await?.count;
        stage.tidings = Server::tidings(stage.dir.path(), &stage.setup).await?;
        let up = Instant::now();
        while stage.stats("held").await?.count == before {
            ensure!(up.elapsed() < PATIENCE, "what was in flight was not sent again");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let case = format!("{}, after kill -9: from up to sent again", self.name);
        report.push(Figure::new(GROUP, case, up.elapsed().as_secs_f64(), "s").target(Target::AtMost(2.0)));
        Ok(())
    }

    /// Memory with a long backlog behind an endpoint that is dead, and while that drains slowly.
    async fn memory(&self, report: &mut Report, scale: Scale) -> Result<()> {
        let stage = Stage::open(self.server.as_ref()).await?;
        let nobody = format!("http://{}/dead", free_address()?);
        let path = stage.endpoint_at("acme", &nobody, "").await?;
        let count = scale.of(1_000_000);
        fill(&stage.tidings, count).await?;
        let dead = stage.tidings.resident_mib()?;
        report.push(Figure::new(GROUP, format!("{count} events behind a dead endpoint, resident"), dead, "MiB"));
        let url = format!("http://{}/slow/20/drain", stage.sink.address);
        stage.call("PATCH", &path, &format!(r#"{{"url":"{url}"}}"#)).await?;
        stage.arrived("drain", 1_000).await?;
        let mut most: f64 = 0.0;
        let until = Instant::now() + scale.time(Duration::from_secs(15));
        while Instant::now() < until {
            most = most.max(stage.tidings.resident_mib()?);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let case = format!("draining {count} events to a slow endpoint, resident");
        report.push(Figure::new(GROUP, case, most, "MiB").target(Target::AtMost(150.0)));
        Ok(())
    }
}

/// Posts events of a tenant at a steady pace, each with the moment at which it was posted, until all have arrived.
async fn paced(stage: &Stage, tenant: &str, name: &str, count: u64, per_second: u64) -> Result<Stats> {
    let mut connection = Connection::open(stage.tidings.address).await?;
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / per_second as f64));
    for n in 0..count {
        ticks.tick().await;
        let at = format!(r#""paid":true,"at":{}"#, micros_now());
        let event = envelope(tenant, n).replace(r#""paid":true"#, &at);
        let answer = connection.exchange(&post("/v1/events", KEY, &event)).await?;
        ensure!(answer.status == 201, "{}", answer.status);
    }
    stage.arrived(name, count).await
}

/// Statements and transactions of the database for each thousand deliveries of a backlog.
async fn statements(report: &mut Report, scale: Scale) -> Result<()> {
    let settings = vec![("shared_preload_libraries".to_owned(), "pg_stat_statements".to_owned())];
    let server = Postgres::start_with(PostgresOptions { settings, ..PostgresOptions::default() });
    let stage = Stage::open(Some(&server)).await?;
    let client = stage.database.as_ref().context("a database")?.connect().await;
    client.batch_execute("CREATE EXTENSION pg_stat_statements").await?;
    let path = stage.endpoint("acme", "/ok/counted", r#","paused":true"#).await?;
    let count = scale.of(50_000);
    fill(&stage.tidings, count).await?;
    let calls = async || -> Result<HashMap<String, i64>> {
        let text = "SELECT query, sum(calls)::bigint FROM pg_stat_statements \
                    WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) GROUP BY query";
        Ok(client.query(text, &[]).await?.into_iter().map(|row| (row.get(0), row.get(1))).collect())
    };
    let before = calls().await?;
    stage.call("PATCH", &path, r#"{"status":"active"}"#).await?;
    stage.arrived("counted", count as u64).await?;
    let after = calls().await?;
    let since = |wanted: &dyn Fn(&str) -> bool| -> f64 {
        let counted = after.iter().filter(|(query, _)| wanted(query));
        counted.map(|(query, calls)| calls - before.get(query).copied().unwrap_or(0)).sum::<i64>() as f64
    };
    let per_thousand = |calls: f64| calls * 1e3 / count as f64;
    report.push(
        Figure::new(GROUP, "PostgreSQL, backlog, statements", per_thousand(since(&|_| true)), "per 1,000")
            .target(Target::AtMost(20.0)),
    );
    let commits = per_thousand(since(&|query| query == "COMMIT"));
    report.push(Figure::new(GROUP, "PostgreSQL, backlog, commits (one flush each)", commits, "per 1,000"));
    Ok(())
}
