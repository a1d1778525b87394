//! `tidings emit`: one event from flags, or many from a file or standard input.

mod lanes;
mod lines;
mod post;
pub(crate) mod single;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use http::header::CONTENT_TYPE;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use self::lanes::{Lanes, Outcome};
use self::lines::{Ids, Input};
use self::post::Poster;
use self::single::Fields;
use super::list::text;
use crate::args::Client;
use crate::context::{self, Context};
use crate::failure::{Exit, Failure};
use crate::http::Api;
use crate::term::{Style, Voice, note, say, say_json};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Many events come as NDJSON, one event a line, from FILE or (with -) from standard input. Events of one tenant \
are written in the order of their lines. An event without an id gets one that follows from the input up to and \
including its line, so that the same command can be run again after a failure: what is there already is not \
written twice. Two inputs that begin alike therefore are one to Tidings; --id-seed tells them apart.

Examples:
  tidings emit -t acme -T sales.lead.created -s service/sales -e lead/42 -d '{\"name\":\"Ada\"}'
  tidings emit events.ndjson
  zcat events.ndjson.gz | tidings emit - --keep-going")]
pub(crate) struct EmitArgs {
    /// Events, one JSON object a line; - is standard input
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    fields: Fields,
    #[command(flatten)]
    many: Many,
    #[command(flatten)]
    client: Client,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Many events")]
struct Many {
    /// Go on after lines that are refused; they are reported with their numbers
    #[arg(long)]
    keep_going: bool,
    /// Give events without an id a random one: running the command again then writes them again
    #[arg(long)]
    random_ids: bool,
    /// Makes the ids of this input differ from those of one that begins alike
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true, conflicts_with = "random_ids")]
    id_seed: String,
    /// Events in one request at most
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=1000))]
    batch: u16,
    /// Requests at the same time; those of one tenant follow each other
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=32))]
    in_flight: u8,
    /// How long to try again what a server that is away or overloaded did not take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    retry_for: u64,
}

pub(crate) fn run(around: &Context, args: EmitArgs) -> Result<(), Failure> {
    let api = around.api(&args.client)?;
    let retry_for = Duration::from_secs(args.many.retry_for);
    match args.file {
        Some(_) if args.fields.any() => {
            Err(Failure::usage("either a FILE of events, or one event by --tenant, --type, --source and --data"))
        }
        Some(file) => {
            let source = Input::open(&file)?;
            let ended = context::run(many(around.voice, api, source, &args.many, retry_for))?;
            report(around.voice, ended)
        }
        None => context::run_until_interrupted(one(around.voice, &api, &args.fields, retry_for)),
    }
}

/// Writes one event. It always carries its own id, so that trying again cannot write it twice.
async fn one(voice: Voice, api: &Api, fields: &Fields, retry_for: Duration) -> Result<(), Failure> {
    let body = Bytes::from(fields.event()?);
    let poster = Poster::new(api.clone(), retry_for);
    let send = || api.request(Method::POST, "/v1/events").header(CONTENT_TYPE, "application/json");
    let answer = poster.persist(|| api.read_sent(send(), body.clone())).await?;
    let answer: Value = serde_json::from_slice(&answer)
        .map_err(|error| Failure::failed(format!("the answer cannot be read: {error}")))?;
    if voice.json {
        return say_json(voice, &answer);
    }
    let result = answer.pointer("/results/0").cloned().unwrap_or_default();
    let again = if result["duplicate"] == json!(true) { " (was there already)" } else { "" };
    say(format!("{}  {} #{}{again}", text(&result, "/id"), text(&result, "/tenant"), text(&result, "/sequence")))
}

/// How a run over many events ended.
struct Ended {
    outcome: Outcome,
    /// Why it ended early.
    stopped: Option<Failure>,
    took: Duration,
}

async fn many(voice: Voice, api: Api, input: Input, many: &Many, retry_for: Duration) -> Result<Ended, Failure> {
    let begun = Instant::now();
    let bar = progress(voice, input.size_bytes());
    let ids = if many.random_ids { Ids::Random } else { Ids::chained(&many.id_seed) };
    let poster = Arc::new(Poster::new(api, retry_for));
    let mut lanes = Lanes::start(&poster, many, voice, &bar);
    let fed = tokio::select! {
        fed = lanes.feed(input, ids) => fed,
        () = context::interrupted() => Err(Failure::new(Exit::Interrupted, "interrupted; the same command goes on where it stopped")),
    };
    if fed.is_err() {
        lanes.stop();
    }
    let (outcome, stopped) = lanes.finish().await;
    bar.finish_and_clear();
    Ok(Ended { outcome, stopped: stopped.or(fed.err()), took: begun.elapsed() })
}

/// A bar on a terminal, nothing elsewhere.
fn progress(voice: Voice, size_bytes: Option<u64>) -> ProgressBar {
    let target = if voice.json { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let (bar, template) = match size_bytes {
        Some(size) => (ProgressBar::new(size), "{bar:30.cyan/dim} {percent:>3}%  {msg}  eta {eta}"),
        None => (ProgressBar::no_length(), "{spinner:.cyan}  {msg}  {elapsed}"),
    };
    bar.set_draw_target(target);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("━━─"));
    }
    bar
}

fn report(voice: Voice, ended: Ended) -> Result<(), Failure> {
    let Outcome { written, duplicates, refused } = ended.outcome;
    let seconds = ended.took.as_secs_f64();
    if voice.json {
        say_json(
            voice,
            &json!({"written": written, "duplicates": duplicates, "refused": refused, "seconds": seconds}),
        )?;
    } else {
        let rate = (written + duplicates) as f64 / seconds.max(0.001);
        let there = if duplicates > 0 { format!(", {duplicates} were there already") } else { String::new() };
        let bad = if refused > 0 { voice.paint(Style::Bad, format!(", {refused} refused")) } else { String::new() };
        note(format!("{written} written{there}{bad} in {seconds:.1} s ({rate:.0}/s)"));
    }
    match ended.stopped {
        Some(failure) => Err(failure),
        None if refused > 0 => Err(Failure::silent(Exit::Partial)),
        None => Ok(()),
    }
}
