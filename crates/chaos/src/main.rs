//! `tidings-chaos`: runs three nodes, PostgreSQL and NATS under faults for some minutes and says whether every promise
//! held.
#![allow(clippy::print_stdout)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tidings_chaos::{Options, Verdict, run};

#[derive(Debug, Parser)]
#[command(about = "Three nodes, PostgreSQL and NATS under faults, and whether every promise held")]
struct Arguments {
    /// How long faults are made, in minutes
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// What the faults are drawn from; one of its own by default
    #[arg(long)]
    seed: Option<u64>,
    /// The program under test
    #[arg(long, default_value = "target/release/tidings")]
    binary: PathBuf,
    /// Writes the report as JSON into this file as well
    #[arg(long)]
    report: Option<PathBuf>,
    /// Keeps the history and the nodes' logs in this directory, whatever came of the run
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Milliseconds between two transactions or requests of one producer, about
    #[arg(long, default_value_t = 250)]
    pace_ms: u64,
    /// Seconds between two kills of an owner while nothing else is wrong
    #[arg(long, default_value_t = 90)]
    measure_every_s: u64,
    /// How much shorter faults are than by default
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let options = Options {
        binary: arguments.binary.canonicalize()?,
        seed: arguments.seed.unwrap_or_else(rand::random),
        lasts: Duration::from_secs_f64(arguments.minutes * 60.0),
        pace: Duration::from_millis(arguments.pace_ms),
        scale: arguments.scale,
        measure_every: Duration::from_secs(arguments.measure_every_s),
        directory: arguments.keep,
    };
    let report = run(options).await?;
    let text = serde_json::to_string_pretty(&report)?;
    println!("{text}");
    if let Some(path) = arguments.report {
        std::fs::write(path, text)?;
    }
    Ok(if report.verdict == Verdict::Passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
