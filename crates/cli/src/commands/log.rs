//! `tidings log`: verifies the log, and gives it a new life after a restore.

use std::path::PathBuf;

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use tidings_engine::{FAULTS_MAX, verify_log};
use tidings_store::Renewed;

use super::serve::{database_url, must_be_restored, open_existing, open_log, store_failure};
use crate::config::layer::Layers;
use crate::config::mask::mask_url;
use crate::config::setting::Setting;
use crate::config::shards::shards;
use crate::context::{Context, run_until_interrupted};
use crate::database::Target;
use crate::datadir;
use crate::failure::{Exit, Failure};
use crate::term::{Style, Voice, note, say, say_json};

#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Read the whole log and verify it
    #[command(after_help = "\
Reads every event: no position and no sequence is missing or twice, every row is what its digest says, every head is \
the end of its rows. Changes nothing, may run beside a server, and holds one batch of events in memory. Ends with 1 if \
something is wrong. A log that a server of this version has not brought up to date yet is refused: check it with the \
version that wrote it.

Examples:
  tidings log check --data-dir /var/lib/tidings
  tidings log check --database-url postgres://tidings@db/tidings
  tidings log check --database-url sqlite:/backup/2026-03-15/tidings.db")]
    Check(Where),
    /// Give a restored log a new id, so that readers of the one before notice
    #[command(after_help = "\
For a log that was restored from a copy and has lost what came after it. Every cursor from before is then answered \
with 409 log_rewound, deliveries name another log in tidings-log, and the streams on the bus are begun anew. Events \
and their sequences stay. `tidings restore` does this by itself.

All servers must be stopped: it is refused while one runs on the data directory or on the folder of the SQLite file, or \
was seen on the PostgreSQL database within the last minute.")]
    Renew(Where),
}

/// Where the log lies.
#[derive(Debug, clap::Args)]
pub(crate) struct Where {
    /// The server's data directory [TIDINGS_DATA_DIR]
    #[arg(long, value_name = "PATH")]
    data_dir: Option<PathBuf>,
    /// The log's database [TIDINGS_DATABASE_URL]
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
}

impl Where {
    /// The configuration in force for a command that works on the log itself.
    pub(crate) fn layers(&self, context: &Context) -> Result<Layers, Failure> {
        let dir = self.data_dir.as_ref().map(|dir| (Setting::named("data_dir"), dir.display().to_string()));
        let url = self.database_url.as_ref().map(|url| (Setting::named("database_url"), url.clone()));
        let given: Vec<_> = dir.into_iter().chain(url).collect();
        let layers = crate::config::load(&given, context.file.clone())?;
        layers.warnings().iter().for_each(|warning| note(format!("warning: {warning}")));
        Ok(layers)
    }
}

pub(crate) fn run(context: &Context, command: &LogCommand) -> Result<(), Failure> {
    match command {
        LogCommand::Check(place) => {
            let layers = place.layers(context)?;
            run_until_interrupted(check(context.voice, &layers))
        }
        LogCommand::Renew(place) => {
            let layers = place.layers(context)?;
            let dir = crate::config::data_dir(&layers);
            let url = database_url(&layers, &dir);
            let _held = match Target::parse(&url) {
                Target::Sqlite(file) if file.exists() => datadir::hold(&dir, &file)?,
                _ => Vec::new(),
            };
            run_until_interrupted(async {
                let (before, after) = renew(&url, &layers).await?;
                renewed(context.voice, &before, &after)
            })
        }
    }
}

async fn check(voice: Voice, layers: &Layers) -> Result<(), Failure> {
    let url = database_url(layers, &crate::config::data_dir(layers));
    must_be_restored(&url)?;
    must_hold_log(&url).await?;
    let store = open_existing(&url, layers).await?.map_err(|error| store_failure(&url, &error))?;
    let bar = progress(voice, "{bar:30.cyan/dim} {percent:>3}%  {human_pos} of {human_len} events  eta {eta}");
    let found = verify_log(&*store, |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })
    .await;
    bar.finish_and_clear();
    let log = store.log().id;
    store.close().await;
    let found = found.map_err(|error| store_failure(&url, &error))?;
    if voice.json {
        let faults: Vec<String> = found.faults.iter().map(ToString::to_string).collect();
        say_json(
            voice,
            &json!({"log": log.to_string(), "events": found.events, "tenants": found.tenants, "faults": faults,
                "faults_in_all": found.faults_in_all}),
        )?;
    } else {
        for fault in &found.faults {
            say(format!("{} {fault}", voice.paint(Style::Bad, "✗")))?;
        }
        if found.faults_in_all > FAULTS_MAX as u64 {
            say(format!("… {} faults in all", found.faults_in_all))?;
        }
        let mark =
            if found.faults_in_all == 0 { voice.paint(Style::Good, "✓") } else { voice.paint(Style::Bad, "✗") };
        let verdict = if found.faults_in_all == 0 { "whole" } else { "not whole" };
        say(format!("{mark} log {log} is {verdict}: {} events of {} tenants", found.events, found.tenants))?;
    }
    if found.faults_in_all == 0 { Ok(()) } else { Err(Failure::silent(Exit::Failed)) }
}

/// Gives the log at a URL a new id, in all of its databases; its ids before and after.
pub(super) async fn renew(url: &str, layers: &Layers) -> Result<(String, String), Failure> {
    must_be_restored(url)?;
    must_hold_log(url).await?;
    let shards = shards(&layers.get("shards").text).map_err(Failure::usage)?;
    // Brings the schema of an older copy up to date. Of several databases one may have been renewed before the others
    // when this was interrupted: they are of one log again afterwards.
    match open_log(url, layers).await {
        Ok(store) => store.close().await,
        Err(failure) if shards.is_empty() => return Err(failure),
        Err(_) => {}
    }
    let urls: Vec<String> = std::iter::once(url.to_owned()).chain(shards.into_iter().map(|shard| shard.url)).collect();
    match tidings_store::renew_log(&urls).await.map_err(|error| store_failure(url, &error))? {
        Renewed::Done { before, after } => Ok((before.to_string(), after.to_string())),
        Renewed::InUse(nodes) => Err(Failure::failed(format!(
            "servers run on {}: {}; stop them first (one that was killed is forgotten after a minute)",
            mask_url(url),
            nodes.join(", ")
        ))),
    }
}

/// Tells that a log has a new id.
pub(super) fn renewed(voice: Voice, before: &str, after: &str) -> Result<(), Failure> {
    if voice.json {
        return say_json(voice, &json!({"before": before, "after": after}));
    }
    say(format!("log {before} is now log {after}"))?;
    note(voice.paint(Style::Faint, "cursors from before are answered with 409 log_rewound"));
    Ok(())
}

async fn must_hold_log(url: &str) -> Result<(), Failure> {
    match tidings_store::holds_log(url).await.map_err(|error| store_failure(url, &error))? {
        true => Ok(()),
        false => Err(Failure::failed(format!("{} holds no log", mask_url(url)))),
    }
}

/// A bar on a terminal, nothing elsewhere.
pub(super) fn progress(voice: Voice, template: &str) -> ProgressBar {
    let bar = ProgressBar::new(0);
    bar.set_draw_target(if voice.json { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() });
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("━━─"));
    }
    bar
}
