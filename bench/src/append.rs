//! Appending through the engine, beside bare inserts of the same rows.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use tidings_engine::{Engine, NamedSource, Options};
use tidings_event::Event;
use tidings_store::{StoreOptions, open_source, open_store};
use tidings_testkit::Postgres;

use crate::events::Maker;
use crate::report::{Figure, Report, Target};
use crate::{Scale, bare_postgres, bare_sqlite};

/// An engine over a fresh SQLite log in a directory.
pub(crate) async fn engine_on_sqlite(dir: &Path) -> Result<Engine> {
    let url = format!("sqlite://{}", dir.join("tidings.db").display());
    engine(&url, &format!("sqlite://{}", dir.join("outbox.db").display())).await
}

/// An engine over a PostgreSQL database.
pub(crate) async fn engine_on_postgres(url: &str) -> Result<Engine> {
    engine(url, url).await
}

async fn engine(url: &str, platform: &str) -> Result<Engine> {
    let store = open_store(url, StoreOptions::default()).await?;
    let platform = NamedSource { name: "platform".into(), source: open_source(platform)?, service: None };
    let mut options = Options::default();
    // 32 callers with 1,000 events each wait at once, which is more than a server takes on by default.
    options.append.queue_events = 64_000;
    options.append.queue_bytes = 128 << 20;
    Ok(Engine::start(store, vec![platform], options).await?)
}

/// Events per second when `callers` append batches of `batch`, each waiting for its answer before the next.
async fn rate(engine: &Engine, callers: usize, batch: usize, total: usize) -> Result<f64> {
    let per_caller = (total / callers / batch).max(1);
    let mut work: Vec<Vec<Vec<Event>>> = Vec::new();
    for _ in 0..callers {
        let mut maker = Maker::new("acme");
        work.push((0..per_caller).map(|_| maker.events(batch)).collect());
    }
    let began = Instant::now();
    let tasks: Vec<_> = work
        .into_iter()
        .map(|batches| {
            let engine = engine.clone();
            tokio::spawn(async move {
                for events in batches {
                    engine.append(events).await.map_err(|error| anyhow::anyhow!("{error}"))?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok((per_caller * callers * batch) as f64 / began.elapsed().as_secs_f64())
}

const CALLERS: [usize; 3] = [1, 8, 32];

/// How many events to append at a batch size, so that a case takes a second or two.
fn total(batch: usize, callers: usize, scale: Scale) -> usize {
    scale.of(match (batch, callers) {
        (1, 1) => 5_000,
        (1, _) => 60_000,
        (100, _) => 150_000,
        _ => 200_000,
    })
}

fn figure(backend: &str, callers: usize, batch: usize, value: f64, ceiling: f64) -> Figure {
    let is = if batch == 1 { "bare one-row commits" } else { "the bare insert" };
    let figure =
        Figure::new("append", format!("{backend}, {callers} × {batch}"), value, "events/s").against(ceiling, is);
    match (callers, batch) {
        (1, 1_000) => figure.target(Target::RatioAtLeast(0.6)),
        (32, 1) => figure.target(Target::RatioAtLeast(1.0)),
        _ => figure,
    }
}

pub(crate) async fn sqlite(report: &mut Report, scale: Scale) -> Result<()> {
    // The rows that the bare insert writes are those that the engine wrote.
    let source = tempfile::tempdir()?;
    let sample = scale.of(100_000);
    {
        let engine = engine_on_sqlite(source.path()).await?;
        rate(&engine, 1, 1_000, sample).await?;
        engine.shutdown().await;
    }
    for batch in [1, 100, 1_000] {
        let count = if batch == 1 { sample.min(scale.of(20_000)) } else { sample };
        let bare_dir = tempfile::tempdir()?;
        engine_on_sqlite(bare_dir.path()).await?.shutdown().await;
        let rows = bare_sqlite::rows(&source.path().join("tidings.db"), count)?;
        let ceiling = bare_sqlite::insert(&bare_dir.path().join("tidings.db"), &rows, batch)?;
        drop(rows);
        for callers in CALLERS {
            let dir = tempfile::tempdir()?;
            let engine = engine_on_sqlite(dir.path()).await?;
            let value = rate(&engine, callers, batch, total(batch, callers, scale)).await?;
            engine.shutdown().await;
            report.push(figure("SQLite", callers, batch, value, ceiling));
        }
    }
    Ok(())
}

pub(crate) async fn postgres(report: &mut Report, scale: Scale, server: &Arc<Postgres>) -> Result<()> {
    let sample = scale.of(100_000);
    let source = server.database().await;
    let engine = engine_on_postgres(&source.url()).await?;
    rate(&engine, 1, 1_000, sample).await?;
    engine.shutdown().await;
    let client = bare_postgres::connect(&source.url()).await?;
    for batch in [1, 100, 1_000] {
        let count = if batch == 1 { sample.min(scale.of(20_000)) } else { sample };
        let rows = bare_postgres::rows(&client, count, batch).await?;
        let bare = server.database().await;
        engine_on_postgres(&bare.url()).await?.shutdown().await;
        let bare_client = bare_postgres::connect(&bare.url()).await?;
        let ceiling = if batch == 1 {
            bare_postgres::commits(&bare.url(), rows, 32).await?
        } else {
            let inserted = bare_postgres::insert(&bare_client, &rows).await?;
            if batch == 1_000 {
                let again = server.database().await;
                engine_on_postgres(&again.url()).await?.shutdown().await;
                let copied = bare_postgres::copy(&bare_postgres::connect(&again.url()).await?, &rows).await?;
                report.push(Figure::new("ceiling", "PostgreSQL, binary COPY of 1,000 rows", copied, "rows/s"));
            }
            inserted
        };
        for callers in CALLERS {
            let database = server.database().await;
            let engine = engine_on_postgres(&database.url()).await?;
            let value = rate(&engine, callers, batch, total(batch, callers, scale)).await?;
            engine.shutdown().await;
            report.push(figure("PostgreSQL", callers, batch, value, ceiling));
        }
    }
    Ok(())
}

/// The cost of one append of a batch at different sizes of the log.
pub(crate) async fn growth(report: &mut Report, sizes: &[usize], server: Option<&Arc<Postgres>>) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let engine = engine_on_sqlite(dir.path()).await?;
    grow("SQLite", report, engine, sizes).await?;
    drop(dir);
    if let Some(server) = server {
        let database = server.database().await;
        let engine = engine_on_postgres(&database.url()).await?;
        grow("PostgreSQL", report, engine, sizes).await?;
    }
    Ok(())
}

async fn grow(backend: &str, report: &mut Report, engine: Engine, sizes: &[usize]) -> Result<()> {
    let mut maker = Maker::new("acme");
    let engine = Arc::new(engine);
    let (mut have, mut first) = (0, None);
    for &size in sizes {
        while have < size {
            engine.append(maker.events(1_000)).await.map_err(|error| anyhow::anyhow!("{error}"))?;
            have += 1_000;
        }
        const SAMPLE: usize = 30;
        let batches: Vec<Vec<Event>> = (0..SAMPLE).map(|_| maker.events(1_000)).collect();
        let began = Instant::now();
        for events in batches {
            engine.append(events).await.map_err(|error| anyhow::anyhow!("{error}"))?;
        }
        have += SAMPLE * 1_000;
        let micros = began.elapsed().as_secs_f64() * 1e6 / (SAMPLE * 1_000) as f64;
        let figure = Figure::new("append cost", format!("{backend}, at {size} rows"), micros, "µs/event");
        report.push(match first {
            Some(first) => figure.against(first, "the cost at the smallest size"),
            None => figure,
        });
        first.get_or_insert(micros);
    }
    engine.shutdown().await;
    Ok(())
}
