//! `tidings-bench`: every figure that the README quotes, each beside its ceiling measured in the same run.
#![allow(clippy::print_stdout, reason = "the table is the product of this binary")]

mod append;
mod bare_postgres;
mod bare_sqlite;
mod business;
mod catalog;
mod cluster;
mod deliver;
mod events;
mod feed;
mod ingest;
mod load;
mod matching;
mod nats;
mod page;
mod report;
mod scaling;
mod server;
mod sink;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use tidings_testkit::{Postgres, PostgresOptions};

use crate::report::{Report, say};

/// Measures Tidings on this machine. Build `tidings` with the same profile first.
#[derive(Parser)]
struct Arguments {
    /// What to measure; everything when left out.
    #[arg(value_enum)]
    what: Vec<What>,
    /// Share of the usual amount of work, from 0.01 to 10.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Where to write the figures as JSON.
    #[arg(long, default_value = "target/bench.json")]
    json: PathBuf,
    /// Write the page and the plot about scaling into this folder, where that was measured.
    #[arg(long)]
    docs: Option<PathBuf>,
    /// Where the databases lie; memory (`/dev/shm`) where there is such a place, so that the software's own cost shows
    /// rather than the disk's.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Leave PostgreSQL out.
    #[arg(long)]
    sqlite_only: bool,
    /// Sizes of the log, in rows, at which the cost of an append is measured.
    #[arg(long, value_delimiter = ',', default_value = "10000,1000000")]
    sizes: Vec<usize>,
    /// What is made larger where scaling is measured.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "partitions,nodes,tenants,endpoints,rows")]
    dimensions: Vec<scaling::Dimension>,
    /// Sizes of the log, in rows, at which everything is compared on PostgreSQL.
    #[arg(long, value_delimiter = ',', default_value = "100000,1000000,10000000")]
    scaling_sizes: Vec<usize>,
    /// Answer every request with 201 at this address: the ceiling's own server.
    #[arg(long, hide = true)]
    bare_http: Option<SocketAddr>,
    /// Receive webhooks at this address.
    #[arg(long, hide = true)]
    sink: Option<SocketAddr>,
    /// Measure one case of matching and print what was found as JSON.
    #[arg(long, hide = true)]
    matching_case: Option<matching::Case>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum What {
    /// Appends through the engine.
    Append,
    /// Single events over HTTP.
    Ingest,
    /// An outbox row in a business transaction.
    Outbox,
    /// Outbox to log.
    Pump,
    /// Commit to live reader.
    Latency,
    /// A reader that pages from the start.
    Replay,
    /// A thousand readers that wait.
    Idle,
    /// The cost of an append as the log grows.
    Growth,
    /// Webhooks, from a producer's POST to a receiver's door.
    Deliver,
    /// Finding the lanes that want an event.
    Matching,
    /// Appends that the catalog judges.
    Catalog,
    /// What the bus costs and saves; PostgreSQL.
    Nats,
    /// Partitions, nodes, tenants, endpoints and the size of the log, each at several sizes; PostgreSQL.
    Scaling,
}

/// How much work to do, as a share of the usual.
#[derive(Clone, Copy)]
pub(crate) struct Scale(f64);

impl Scale {
    /// A count of events, in whole thousands.
    pub(crate) fn of(self, count: usize) -> usize {
        (((count as f64 * self.0) / 1_000.0).ceil() as usize).max(1) * 1_000
    }

    pub(crate) fn time(self, time: Duration) -> Duration {
        time.mul_f64(self.0.clamp(0.2, 3.0))
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let memory = PathBuf::from("/dev/shm");
    let dir = arguments.dir.clone().or_else(|| memory.is_dir().then_some(memory)).unwrap_or_else(std::env::temp_dir);
    // Every temporary directory of this process goes there, PostgreSQL's included.
    tempfile::env::override_temp_dir(&dir).map_err(|set| anyhow::anyhow!("already at {}", set.display()))?;
    tokio::runtime::Runtime::new()?.block_on(measure(arguments))
}

async fn measure(arguments: Arguments) -> Result<()> {
    if let Some(listen) = arguments.bare_http {
        return load::serve_bare(listen).await;
    }
    if let Some(listen) = arguments.sink {
        return sink::serve(listen).await;
    }
    let scale = Scale(arguments.scale.clamp(0.01, 10.0));
    if let Some(case) = arguments.matching_case {
        return matching::serve(case, scale);
    }
    let wanted = |what: What| arguments.what.is_empty() || arguments.what.contains(&what);
    let server = if arguments.sqlite_only { None } else { Some(Postgres::start_with(postgres())) };
    let server = server.as_ref();
    let mut report = Report::default();
    describe(&mut report, server).await?;
    if wanted(What::Append) {
        append::sqlite(&mut report, scale).await?;
        if let Some(server) = server {
            append::postgres(&mut report, scale, server).await?;
        }
    }
    if wanted(What::Ingest) {
        ingest::run(&mut report, scale, server).await?;
    }
    if let Some(server) = server {
        if wanted(What::Outbox) {
            business::cost(&mut report, scale, server).await?;
        }
        if wanted(What::Pump) {
            business::pump(&mut report, scale, server).await?;
        }
    }
    if wanted(What::Latency) {
        feed::latency(&mut report, scale, server).await?;
    }
    if wanted(What::Replay) {
        feed::replay(&mut report, scale, server).await?;
    }
    if wanted(What::Idle) {
        feed::idle(&mut report, scale).await?;
    }
    if wanted(What::Growth) {
        append::growth(&mut report, &arguments.sizes, server).await?;
    }
    if wanted(What::Deliver) {
        deliver::run(&mut report, scale, server).await?;
    }
    if wanted(What::Matching) {
        matching::run(&mut report, scale)?;
    }
    if wanted(What::Catalog) {
        catalog::run(&mut report, scale, server).await?;
    }
    if let Some(server) = server
        && wanted(What::Nats)
    {
        nats::run(&mut report, scale, server).await?;
    }
    if let Some(server) = server
        && wanted(What::Scaling)
    {
        scaling::run(&mut report, scale, server, &arguments.dimensions, &arguments.scaling_sizes).await?;
    }
    println!("{}", report.table());
    report.write_json(&arguments.json)?;
    if let Some(docs) = &arguments.docs {
        page::write(&report, docs)?;
    }
    say(&format!("wrote {}", arguments.json.display()));
    Ok(())
}

/// A server as an operator would set it up for a log: with a share of the machine's memory.
pub(crate) fn postgres() -> PostgresOptions {
    PostgresOptions { settings: vec![("shared_buffers".to_owned(), "6GB".to_owned())], ..PostgresOptions::default() }
}

async fn describe(report: &mut Report, server: Option<&Arc<Postgres>>) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let dir = tempfile::tempdir()?;
    report.setting.insert("dir", tempfile::env::temp_dir().display().to_string());
    report.setting.insert("cores", cores.to_string());
    report.setting.insert("flush_us", format!("{:.0}", feed::flush_micros(dir.path())?));
    report.setting.insert("sqlite", format!("{}, synchronous=FULL", rusqlite::version()));
    if let Some(server) = server {
        let database = server.database().await;
        let client = bare_postgres::connect(&database.url()).await?;
        for (name, setting) in
            [("postgres", "server_version"), ("postgres_fsync", "fsync"), ("postgres_shared_buffers", "shared_buffers")]
        {
            let value: String = client.query_one(&format!("SHOW {setting}"), &[]).await?.get(0);
            report.setting.insert(name, value);
        }
    }
    for (name, value) in &report.setting {
        say(&format!("{name}: {value}"));
    }
    Ok(())
}
