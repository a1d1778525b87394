//! `tidings-simulate`: runs seeds, or one seed with its trace.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is what it is for")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::{Context, Result};
use clap::Parser;
use tidings_sim::{Report, Sabotage, simulate, simulate_without};

/// Runs Tidings in simulated worlds and looks whether it keeps its promises.
#[derive(Parser)]
struct Args {
    /// How many seeds to run.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Run this seed alone.
    #[arg(long)]
    seed: Option<u64>,
    /// Print the trace of the one seed.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Print what the nodes of the one seed log, by levels as `RUST_LOG` has them.
    #[arg(long, requires = "seed")]
    log: Option<String>,
    /// How many seeds to run at once.
    #[arg(long, default_value_t = 2)]
    threads: u64,
    /// Take a mechanism away (fence, dedupe, lane-row, retries, delete-first, probe-guesses, overtaking, lane-place): the seeds should fail.
    #[arg(long, value_parser = |name: &str| Sabotage::parse(name).ok_or("no mechanism has this name"))]
    without: Option<Sabotage>,
    /// Go on after a seed that failed.
    #[arg(long)]
    keep_going: bool,
    /// Write the figures of all runs to this file, as JSON.
    #[arg(long)]
    report: Option<PathBuf>,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    if let Some(levels) = &args.log {
        tracing_subscriber::fmt().with_env_filter(levels).with_ansi(false).without_time().init();
    }
    let report = match args.seed {
        Some(seed) => one(seed, args.trace),
        None => many(&args),
    };
    let json = serde_json::to_string_pretty(&report.to_json())?;
    if let Some(path) = &args.report {
        std::fs::write(path, format!("{json}\n")).with_context(|| format!("cannot write {}", path.display()))?;
    }
    println!("{json}");
    for (seed, broken) in report.failures() {
        eprintln!("seed {seed} failed: {broken}");
        eprintln!("  again: tidings-simulate --seed {seed} --trace");
    }
    Ok(if report.failures().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn one(seed: u64, trace: bool) -> Report {
    let outcome = simulate(seed, trace);
    outcome.trace.iter().for_each(|line| print!("{line}"));
    println!("seed {seed}: {} lines, trace {}", outcome.lines, outcome.hash);
    let mut report = Report::default();
    report.add(&outcome);
    report
}

fn many(args: &Args) -> Report {
    let next = AtomicU64::new(args.from);
    let end = args.from.saturating_add(args.seeds);
    let mut all = Report::default();
    thread::scope(|scope| {
        let work = || {
            let mut report = Report::default();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= end {
                    return report;
                }
                let outcome = args.without.map_or_else(|| simulate(seed, false), |gone| simulate_without(gone, seed));
                report.add(&outcome);
                if let Some(broken) = &outcome.broken {
                    eprintln!("seed {seed} failed: {broken}");
                    if !args.keep_going {
                        next.store(end, Ordering::Relaxed);
                    }
                }
                let done = seed - args.from + 1;
                if done.is_multiple_of(500) {
                    eprintln!("{done} of {} seeds", args.seeds);
                }
            }
        };
        let threads: Vec<_> = (0..args.threads.max(1)).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            match thread.join() {
                Ok(report) => all.join(report),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    all
}
