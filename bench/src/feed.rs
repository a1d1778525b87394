//! Reading: latency from a producer's commit to a live reader, replay, and readers that only wait.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use tidings_event::{SystemMint, parse_event};
use tidings_testkit::Postgres;
use tokio::io::AsyncBufReadExt;

use crate::events::envelope;
use crate::load::{Connection, get, post};
use crate::report::{Figure, Report, Samples, Target};
use crate::server::{KEY, Server, Setup};
use crate::{Scale, bare_postgres, bare_sqlite};

const FEED: &str = "/v1/tenants/acme/feed";

fn micros_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

/// When each event's transaction had committed, by the event's number; zero until then.
type Commits = Arc<Vec<AtomicU64>>;

/// Reads a live feed until `count` events have come, and tells when each of them did, by its number.
async fn read_live(server: &Server, count: usize) -> Result<Vec<(usize, u64)>> {
    let connection = Connection::open(server.address).await?;
    let mut stream = connection.stream(&get(&format!("{FEED}?from=start"), KEY, "text/event-stream")).await?;
    let mut arrivals = Vec::with_capacity(count);
    let mut line = String::new();
    while arrivals.len() < count {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            bail!("the stream ended after {} of {count} events", arrivals.len());
        }
        let Some((_, rest)) = line.split_once(r#""data":{"order":"#) else { continue };
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next().context("no number")?;
        arrivals.push((digits.parse()?, micros_now()));
    }
    Ok(arrivals)
}

/// Where the events are committed.
enum Producer {
    Sqlite(rusqlite::Connection),
    Postgres(tokio_postgres::Client),
}

impl Producer {
    async fn commit(&mut self, mint: &mut SystemMint, n: u64) -> Result<()> {
        let json = envelope("acme", n);
        let event = parse_event(json.as_bytes(), mint).map_err(|rejection| anyhow::anyhow!("{rejection:?}"))?;
        match self {
            Self::Sqlite(connection) => {
                let transaction = connection.transaction()?;
                transaction.execute("INSERT INTO orders (n) VALUES (?1)", [n as i64])?;
                tidings_outbox::rusqlite::append(&transaction, &event)?;
                transaction.commit()?;
            }
            Self::Postgres(client) => {
                let transaction = client.transaction().await?;
                transaction.execute("INSERT INTO orders (n) VALUES ($1)", &[&(n as i64)]).await?;
                tidings_outbox::tokio_postgres::append(&transaction, &event).await?;
                transaction.commit().await?;
            }
        }
        Ok(())
    }
}

async fn produce(mut producer: Producer, rate: u64, commits: Commits) -> Result<()> {
    let mut mint = SystemMint::default();
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / rate as f64));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    for (n, committed) in commits.iter().enumerate() {
        ticks.tick().await;
        producer.commit(&mut mint, n as u64).await?;
        committed.store(micros_now(), Ordering::Release);
    }
    Ok(())
}

pub(crate) async fn latency(report: &mut Report, scale: Scale, server: Option<&Arc<Postgres>>) -> Result<()> {
    for rate in [100, 1_000] {
        let count = (scale.time(Duration::from_secs(10)).as_secs_f64() * rate as f64) as usize;
        let dir = tempfile::tempdir()?;
        let shop = dir.path().join("shop.db");
        let connection = rusqlite::Connection::open(&shop)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.execute_batch("CREATE TABLE orders (n INTEGER)")?;
        connection.execute_batch(tidings_outbox::sql::SQLITE_OUTBOX)?;
        let setup = Setup {
            database_url: None,
            sources: Some(format!("shop=sqlite://{}", shop.display())),
            ..Setup::default()
        };
        let tidings = Server::tidings(dir.path(), &setup).await?;
        measure(report, "SQLite", &tidings, Producer::Sqlite(connection), rate, count).await?;
        drop(tidings);
        let Some(server) = server else { continue };
        let (shop, log) = (server.database().await, server.database().await);
        let client = bare_postgres::connect(&shop.url()).await?;
        client.batch_execute("CREATE TABLE orders (n bigint)").await?;
        client.batch_execute(tidings_outbox::sql::POSTGRES_OUTBOX).await?;
        let setup =
            Setup { database_url: Some(log.url()), sources: Some(format!("shop={}", shop.url())), ..Setup::default() };
        let dir = tempfile::tempdir()?;
        let tidings = Server::tidings(dir.path(), &setup).await?;
        measure(report, "PostgreSQL", &tidings, Producer::Postgres(client), rate, count).await?;
    }
    Ok(())
}

async fn measure(
    report: &mut Report,
    backend: &str,
    tidings: &Server,
    producer: Producer,
    rate: u64,
    count: usize,
) -> Result<()> {
    let commits: Commits = Arc::new((0..count).map(|_| AtomicU64::new(0)).collect());
    let producing = tokio::spawn(produce(producer, rate, commits.clone()));
    let arrivals = tokio::time::timeout(Duration::from_secs(120), read_live(tidings, count))
        .await
        .context("the feed stalled")??;
    producing.await??;
    // An event may arrive before its producer has read the answer to its COMMIT; that counts as no time at all.
    let since = |(n, arrived): (usize, u64)| arrived.saturating_sub(commits[n].load(Ordering::Acquire));
    let samples = Samples::new(arrivals.into_iter().map(since).map(Duration::from_micros).collect());
    anyhow::ensure!(samples.len() == count, "{} of {count} events came", samples.len());
    for (name, share, target) in
        [("p50", 0.5, Some(Target::AtMost(3.0))), ("p99", 0.99, Some(Target::AtMost(15.0))), ("p999", 0.999, None)]
    {
        let mut figure = Figure::new(
            "commit → SSE",
            format!("{backend}, {rate} events/s, {name}"),
            samples.quantile_ms(share),
            "ms",
        );
        figure.target = target;
        report.push(figure);
    }
    Ok(())
}

/// Fills a server's log by batches of 1,000 over HTTP.
pub(crate) async fn fill(tidings: &Server, count: usize) -> Result<()> {
    let mut connection = Connection::open(tidings.address).await?;
    for batch in 0..count.div_ceil(1_000) as u64 {
        let events: Vec<String> = (0..1_000).map(|i| envelope("acme", batch * 1_000 + i)).collect();
        let answer = connection.exchange(&post("/v1/events", KEY, &format!("[{}]", events.join(",")))).await?;
        anyhow::ensure!(answer.status == 201, "{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
    }
    Ok(())
}

/// Events per second of one reader that pages from the start.
async fn page_through(tidings: &Server, count: usize) -> Result<f64> {
    let mut connection = Connection::open(tidings.address).await?;
    let began = Instant::now();
    let (mut read, mut cursor) = (0, None::<String>);
    while read < count {
        let path = match &cursor {
            None => format!("{FEED}?from=start&limit=1000"),
            Some(cursor) => format!("{FEED}?cursor={cursor}&limit=1000"),
        };
        let answer = connection.exchange(&get(&path, KEY, "application/json")).await?;
        anyhow::ensure!(answer.status == 200, "{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        // The members behind `events` are few, so the page need not be parsed to be followed.
        let tail = std::str::from_utf8(&answer.body[answer.body.len().saturating_sub(400)..])?;
        let (_, rest) = tail.rsplit_once(r#""cursor":""#).context("no cursor")?;
        cursor = Some(rest.split('"').next().context("no cursor")?.to_owned());
        read += answer.body.windows(13).filter(|window| window == b"\"recorded_at\"").count();
    }
    Ok(read as f64 / began.elapsed().as_secs_f64())
}

pub(crate) async fn replay(report: &mut Report, scale: Scale, server: Option<&Arc<Postgres>>) -> Result<()> {
    let count = scale.of(200_000);
    let target = Target::RatioAtLeast(0.25);
    let dir = tempfile::tempdir()?;
    let tidings = Server::tidings(dir.path(), &Setup::default()).await?;
    fill(&tidings, count).await?;
    drop(tidings);
    // A new process reads from the file, not from what it remembers.
    let ceiling = bare_sqlite::keyset(&dir.path().join("tidings.db"), 1_000)?;
    let tidings = Server::tidings(dir.path(), &Setup::default()).await?;
    let value = page_through(&tidings, count).await?;
    report.push(
        Figure::new("feed replay", "SQLite, pages of 1,000", value, "events/s")
            .against(ceiling, "a bare keyset read")
            .target(target),
    );
    drop(tidings);
    let Some(server) = server else { return Ok(()) };
    let database = server.database().await;
    let dir = tempfile::tempdir()?;
    let setup = Setup { database_url: Some(database.url()), sources: None, ..Setup::default() };
    let tidings = Server::tidings(dir.path(), &setup).await?;
    fill(&tidings, count).await?;
    drop(tidings);
    let ceiling = bare_postgres::keyset(&bare_postgres::connect(&database.url()).await?, 1_000).await?;
    let tidings = Server::tidings(dir.path(), &setup).await?;
    let value = page_through(&tidings, count).await?;
    report.push(
        Figure::new("feed replay", "PostgreSQL, pages of 1,000", value, "events/s")
            .against(ceiling, "a bare keyset read")
            .target(target),
    );
    Ok(())
}

/// Readers that wait at the tail while nothing happens.
pub(crate) async fn idle(report: &mut Report, scale: Scale) -> Result<()> {
    const READERS: usize = 1_000;
    let dir = tempfile::tempdir()?;
    let tidings = Server::tidings(dir.path(), &Setup::default()).await?;
    fill(&tidings, 1_000).await?;
    let before = tidings.resident_mib()?;
    let mut streams = Vec::with_capacity(READERS);
    for _ in 0..READERS {
        let connection = Connection::open(tidings.address).await?;
        streams.push(connection.stream(&get(&format!("{FEED}?from=now"), KEY, "text/event-stream")).await?);
    }
    // Let the connections settle before the clock starts.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (cpu, began) = (tidings.cpu_seconds()?, Instant::now());
    tokio::time::sleep(scale.time(Duration::from_secs(20))).await;
    let share = (tidings.cpu_seconds()? - cpu) / began.elapsed().as_secs_f64() * 100.0;
    let case = format!("{READERS} idle SSE readers");
    report.push(
        Figure::new("idle readers", format!("{case}, processor"), share, "% of a core").target(Target::AtMost(2.0)),
    );
    let resident = tidings.resident_mib()?;
    report
        .push(Figure::new("idle readers", format!("{case}, resident"), resident, "MiB").target(Target::AtMost(100.0)));
    report.push(Figure::new("idle readers", "the same process before them", before, "MiB"));

    // One event must reach them all: they are idle, not dead.
    let mut connection = Connection::open(tidings.address).await?;
    let began = Instant::now();
    connection.exchange(&post("/v1/events", KEY, &envelope("acme", 1))).await?;
    let mut line = String::new();
    for stream in &mut streams {
        loop {
            line.clear();
            anyhow::ensure!(stream.read_line(&mut line).await? > 0, "a stream ended");
            if line.starts_with("data: {\"id\"") {
                break;
            }
        }
    }
    let fan_out = began.elapsed().as_secs_f64() * 1e3;
    report.push(Figure::new("idle readers", format!("one event to all {READERS}"), fan_out, "ms"));
    Ok(())
}

/// Whether a directory lies on a disk whose flushes cost something; quoted beside the figures.
pub(crate) fn flush_micros(dir: &Path) -> Result<f64> {
    use std::io::Write;
    let mut file = std::fs::File::create(dir.join("flush"))?;
    let began = Instant::now();
    const FLUSHES: u32 = 200;
    for _ in 0..FLUSHES {
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
    }
    Ok(began.elapsed().as_secs_f64() * 1e6 / f64::from(FLUSHES))
}
