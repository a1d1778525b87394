//! The one binary `tidings`: commands, configuration and wiring. What the parts do is in the crates below.

mod args;
mod commands;
mod config;
mod context;
mod database;
mod datadir;
mod failure;
mod http;
mod term;

use std::process::ExitCode;

use clap::Parser as _;

/// Requests allocate on one thread and free on another, where this one is quicker than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    // Fails only when a provider is installed already, and nobody did that before.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let json = cli.global.json;
    match commands::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(text) = failure.render(json) {
                term::note(text);
            }
            failure.exit.into()
        }
    }
}
