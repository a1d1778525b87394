//! `tidings catalog lint` and `check`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tidings_catalog::check::{Known, check};
use tidings_catalog::entry::{Entry, Kind};
use tidings_catalog::names;
use tidings_event::EventType;

use super::place::{Local, Place, differing, send_change};
use super::today;
use super::verdict::{CHECKED, Counts, Format, Told};
use crate::args::Client;
use crate::context::{Context, run_until_interrupted};
use crate::failure::{Exit, Failure};
use crate::http::Api;
use crate::term::{Style, Voice, note, say, tame};

#[derive(Debug, clap::Args)]
pub(crate) struct LintArgs {
    /// The folder of the catalog
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Judge this name alone, without a folder; may be given several times
    #[arg(long = "name", value_name = "TYPE", conflicts_with = "dir")]
    names: Vec<String>,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// The folder of the catalog
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// What it would change: a server's URL, `server` for TIDINGS_URL, or another folder
    #[arg(long, value_name = "URL|DIR")]
    against: Option<String>,
    /// Hold past events and live subscriptions against the definitions, on the server
    #[arg(long)]
    against_log: bool,
    /// Only the past events of this tenant; may be given several times
    #[arg(long = "tenant", value_name = "TENANT", requires = "against_log")]
    tenants: Vec<String>,
    /// How many past events to look at, the newest first
    #[arg(long, value_name = "N", requires = "against_log", default_value_t = 100_000)]
    events_max: u64,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    client: Client,
}

/// How findings are written.
#[derive(Debug, clap::Args)]
pub(crate) struct Output {
    /// How the report is written
    #[arg(long, value_enum, default_value = "human")]
    pub(super) format: Format,
    /// Warnings fail as well
    #[arg(long)]
    pub(super) strict: bool,
    /// Show also what is only good to know
    #[arg(long)]
    pub(super) all: bool,
}

pub(crate) fn lint(context: &Context, args: &LintArgs) -> Result<(), Failure> {
    let mut told = if args.names.is_empty() {
        let local = Local::read(&args.dir)?;
        let mut told = Told::from(check(&Known::default(), &local.folder.entries(), today())).alone();
        for entry in &mut told.entries {
            entry.findings.retain(|finding| matches!(finding.subject.as_str(), "source" | "name"));
        }
        told.place(&local);
        told
    } else {
        lint_names(&args.names)?
    };
    told.entries.sort_by(|a, b| a.file.cmp(&b.file));
    finish(context.voice, &args.output, &told)
}

fn lint_names(names: &[String]) -> Result<Told, Failure> {
    let mut told = Told::default();
    for name in names {
        let parsed = EventType::parse(name).map_err(|error| Failure::usage(format!("{name}: a type {error}")))?;
        told.entries.push(super::verdict::ToldEntry {
            kind: "definition".to_owned(),
            name: name.clone(),
            version: "1".to_owned(),
            change: CHECKED.to_owned(),
            file: None,
            findings: names::lint(&parsed).into_iter().map(Into::into).collect(),
        });
    }
    Ok(told)
}

fn finish(voice: Voice, output: &Output, told: &Told) -> Result<(), Failure> {
    told.show(voice, output.format, output.all)?;
    if !voice.json && output.format != Format::Json {
        told.summary(voice);
    }
    told.verdict(output.strict)
}

pub(crate) fn run(context: &Context, args: &CheckArgs) -> Result<(), Failure> {
    let local = Local::read(&args.dir)?;
    let entries = local.folder.entries();
    let against = args.against.as_deref().map(|text| Place::of(text, context, &args.client)).transpose()?;
    let mut told = match &against {
        None => Told::from(check(&Known::default(), &entries, today())).alone(),
        Some(place) => run_until_interrupted(compare(place, &entries))?,
    };
    told.place(&local);
    let log = if args.against_log {
        let api = match against {
            Some(Place::Server(api)) => *api,
            _ => context.api(&args.client)?,
        };
        Some(run_until_interrupted(ask_log(&api, args, &entries))?)
    } else {
        None
    };
    let voice = context.voice;
    let json = voice.json || args.output.format == Format::Json;
    if let (true, Some((raw, _))) = (json, &log) {
        let Counts { errors, warnings, .. } = told.counts();
        say(json!({"ok": errors == 0, "errors": errors, "warnings": warnings, "entries": told.entries, "log": raw}))?;
    } else {
        told.show(voice, args.output.format, args.output.all)?;
    }
    if let (false, Some((_, log))) = (json, &log) {
        log.show(voice)?;
    }
    if !json {
        told.summary(voice);
    }
    told.verdict(args.output.strict)?;
    match log {
        Some((_, log)) if log.is_bad() => Err(Failure::silent(Exit::Failed)),
        _ => Ok(()),
    }
}

async fn compare(place: &Place, entries: &[Entry]) -> Result<Told, Failure> {
    let there = place.entries().await?;
    match place {
        Place::Folder(_) => {
            // A folder is a whole catalog: what is not in it any more goes.
            let mut proposed = entries.to_vec();
            proposed.extend(differing(entries, &there, true).into_iter().filter(|entry| entry.source.is_none()));
            Ok(Told::from(check(&Known::new(there), &proposed, today())))
        }
        Place::Server(api) => {
            let changed = differing(entries, &there, false);
            if changed.is_empty() {
                return Ok(Told::default());
            }
            Ok(send_change(api, &changed, &BTreeMap::new(), true).await?.1)
        }
    }
}

/// What past events say, as the server answers it.
#[derive(Debug, Deserialize)]
struct Log {
    scanned: u64,
    complete: bool,
    definitions: Vec<Matched>,
    blinded: Vec<Blinded>,
}

#[derive(Debug, Deserialize)]
struct Matched {
    name: String,
    version: String,
    matched: u64,
    invalid: u64,
    samples: Vec<Sample>,
}

#[derive(Debug, Deserialize)]
struct Sample {
    tenant: String,
    sequence: u64,
    violations: Vec<crate::http::Violation>,
}

#[derive(Debug, Deserialize)]
struct Blinded {
    tenant: String,
    endpoint: String,
    field: String,
    why: String,
}

/// Invalid events of one definition that are shown.
const SAMPLES_SHOWN_MAX: usize = 5;

async fn ask_log(api: &Api, args: &CheckArgs, entries: &[Entry]) -> Result<(Value, Log), Failure> {
    let sources = |kind: Kind| -> Vec<Value> {
        let of_kind = entries.iter().filter(|entry| entry.key.kind == kind);
        of_kind.map(|entry| json!({"source": entry.source})).collect()
    };
    let mut body = json!({
        "definitions": sources(Kind::Definition), "sets": sources(Kind::Set), "events_max": args.events_max,
    });
    if !args.tenants.is_empty() {
        body["tenants"] = json!(args.tenants);
    }
    let answer = api.call(Method::POST, "/v1/catalog/check-log", Some(&body)).await?;
    let log = Log::deserialize(&answer);
    let log = log.map_err(|error| Failure::failed(format!("the server's answer cannot be read: {error}")))?;
    Ok((answer, log))
}

impl Log {
    fn is_bad(&self) -> bool {
        !self.blinded.is_empty() || self.definitions.iter().any(|definition| definition.invalid > 0)
    }

    fn show(&self, voice: Voice) -> Result<(), Failure> {
        for definition in self.definitions.iter().filter(|definition| definition.invalid > 0) {
            let (name, version) = (tame(&definition.name), tame(&definition.version));
            let count = format!("{} of {} past events would not be taken", definition.invalid, definition.matched);
            say(format!(
                "{}  {}",
                voice.paint(Style::Strong, format!("{name}@{version}")),
                voice.paint(Style::Bad, count)
            ))?;
            for sample in definition.samples.iter().take(SAMPLES_SHOWN_MAX) {
                let broken =
                    sample.violations.iter().map(|broken| tame(&format!("{} {}", broken.path, broken.message)));
                say(format!(
                    "  {} #{}  {}",
                    tame(&sample.tenant),
                    sample.sequence,
                    broken.collect::<Vec<_>>().join("; ")
                ))?;
            }
        }
        for blinded in &self.blinded {
            let endpoint = tame(&format!("{} {}", blinded.tenant, blinded.endpoint));
            say(format!(
                "{}  {}\n  its filter on {} would find nothing any more: {}",
                voice.paint(Style::Strong, endpoint),
                voice.paint(Style::Bad, "blinded"),
                tame(&blinded.field),
                tame(&blinded.why)
            ))?;
        }
        let whole = if self.complete { "all there are" } else { "the newest" };
        note(format!("looked at {} past events, {whole}", self.scanned));
        Ok(())
    }
}
