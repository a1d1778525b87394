//! `tidings catalog list`, `show`, `history`, `try`, `lineage` and `violations`.

use std::path::PathBuf;

use http::Method;
use http::header::ACCEPT;
use serde_json::{Value, json};
use tidings_catalog::judge::{Catalog, Judgement};
use tidings_catalog::mint::CurrentMint;
use tidings_event::{SystemMint, Violation, parse_event};

use super::place::{Place, parse_key};
use super::today;
use crate::args::{Client, Tenant};
use crate::commands::emit::single::text_argument;
use crate::commands::list::{self, Paging, as_json, query, text};
use crate::context::{Context, run_until_interrupted};
use crate::failure::{Exit, Failure};
use crate::http::segment;
use crate::term::{Style, Voice, note, say, say_json, say_table, table, tame};

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Only types of this owner
    #[arg(long)]
    owner: Option<String>,
    /// Only types with a version in this stage: draft, stable or deprecated
    #[arg(long, value_parser = ["draft", "stable", "deprecated"])]
    stage: Option<String>,
    /// Only types that begin like this
    #[arg(long)]
    prefix: Option<String>,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    client: Client,
}

#[derive(Debug, clap::Args)]
pub(crate) struct OneArgs {
    /// The type, or TYPE@VERSION
    #[arg(value_name = "TYPE[@VERSION]")]
    name: String,
    #[command(flatten)]
    client: Client,
}

#[derive(Debug, clap::Args)]
pub(crate) struct TryArgs {
    /// The event as JSON, @FILE, or @- for standard input
    #[arg(default_value = "@-")]
    event: String,
    /// Judge it by the catalog in this folder instead of the server's; moves of states are not looked at
    #[arg(long, value_name = "DIR")]
    catalog: Option<PathBuf>,
    #[command(flatten)]
    client: Client,
}

#[derive(Debug, clap::Args)]
pub(crate) struct LineageArgs {
    /// The type; all types without it
    #[arg(value_name = "TYPE")]
    name: Option<String>,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    client: Client,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ViolationsArgs {
    #[command(flatten)]
    tenant: Tenant,
    /// Only events of this type
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    client: Client,
}

pub(crate) fn list(context: &Context, args: &ListArgs) -> Result<(), Failure> {
    let voice = context.voice;
    let api = context.api(&args.client)?;
    let filters =
        [("owner", args.owner.as_deref()), ("stage", args.stage.as_deref()), ("prefix", args.prefix.as_deref())];
    let path = format!("/v1/event-types{}", query(&filters));
    let (entries, cursor) = run_until_interrupted(list::read(&api, &path, &args.paging))?;
    if voice.json {
        return say_json(voice, &as_json(&entries, cursor.as_deref()));
    }
    if entries.is_empty() {
        note(voice.paint(Style::Faint, "no types; `tidings catalog init` makes a folder to begin with"));
        return Ok(());
    }
    let mut rows = table(&["type", "owner", "current", "versions", "description"]);
    for entry in &entries {
        let versions = entry["versions"].as_array().into_iter().flatten();
        let versions: Vec<String> =
            versions.map(|v| format!("{} {}", text(v, "/version"), text(v, "/stage"))).collect();
        let [name, owner, current, description] =
            ["/name", "/owner", "/current", "/description"].map(|member| text(entry, member));
        rows.add_row([name, owner, current, versions.join(", "), description]);
    }
    say_table(&rows)?;
    if cursor.is_some() {
        note("there are more: --all, or --limit with a larger number");
    }
    Ok(())
}

/// The parts of `TYPE[@VERSION]`.
fn halves(name: &str) -> (&str, Option<&str>) {
    name.split_once('@').map_or((name, None), |(name, version)| (name, Some(version)))
}

pub(crate) fn show(context: &Context, args: &OneArgs) -> Result<(), Failure> {
    let voice = context.voice;
    let api = context.api(&args.client)?;
    if let Some(key) = parse_key(&args.name).filter(|key| key.version.is_empty()) {
        let path = format!(
            "/v1/catalog/{}/{}",
            if args.name.starts_with("set:") { "sets" } else { "policies" },
            segment(&key.name)
        );
        return run_until_interrupted(async { say_json(voice, &api.get(&path).await?) });
    }
    let (name, version) = halves(&args.name);
    run_until_interrupted(async {
        let of_type = format!("/v1/event-types/{}", segment(name));
        let version = match version {
            Some(version) => version.to_owned(),
            None => text(&api.get(&of_type).await?, "/current"),
        };
        let path = format!("{of_type}/versions/{}", segment(&version));
        if voice.json {
            return say_json(voice, &api.get(&path).await?);
        }
        let request = api.request(Method::GET, &path).header(ACCEPT, "application/yaml");
        let source = api.read_sent(request, bytes::Bytes::new()).await?;
        // For people and for files: as its author wrote it.
        say(String::from_utf8_lossy(&source).trim_end_matches('\n'))
    })
}

pub(crate) fn history(context: &Context, args: &OneArgs) -> Result<(), Failure> {
    let voice = context.voice;
    let api = context.api(&args.client)?;
    let (name, version) = halves(&args.name);
    let path = match version {
        Some(version) => format!("/v1/event-types/{}/versions/{}/history", segment(name), segment(version)),
        None => format!("/v1/event-types/{}/history", segment(name)),
    };
    let paging = Paging { limit: 1_000, all: true, cursor: None };
    let (entries, _) = run_until_interrupted(list::read(&api, &path, &paging))?;
    if voice.json {
        return say_json(voice, &as_json(&entries, None));
    }
    let mut rows = table(&["revision", "version", "when", "by", "what", "reason"]);
    for entry in &entries {
        let [revision, version, at, by, reason] =
            ["/revision", "/version", "/at", "/by", "/reason"].map(|member| text(entry, member));
        let what = if entry["source"].is_null() { "removed" } else { "pushed" };
        rows.add_row([revision, version, at, by, what.to_owned(), reason]);
    }
    say_table(&rows)
}

pub(crate) fn trial(context: &Context, args: &TryArgs) -> Result<(), Failure> {
    let event = text_argument("the event", &args.event)?;
    let answer = match &args.catalog {
        Some(dir) => here(dir, &event)?,
        None => {
            let api = context.api(&args.client)?;
            let sent = api.call_text(Method::POST, "/v1/catalog/try", Some(event));
            run_until_interrupted(async { Ok(sent.await?) })?
        }
    };
    let voice = context.voice;
    let outcome = text(&answer, "/outcome");
    let bad = matches!(outcome.as_str(), "rejected" | "quarantined");
    if voice.json {
        say_json(voice, &answer)?;
    } else {
        let style = match outcome.as_str() {
            "accepted" => Style::Good,
            "marked" => Style::Warn,
            _ => Style::Bad,
        };
        let known = if answer["known"] == json!(false) { ", which the catalog does not know" } else { "" };
        say(format!(
            "{}  {}",
            voice.paint(style, &outcome),
            voice.paint(
                Style::Faint,
                format!("by version {}{known}, mode {}", text(&answer, "/version"), text(&answer, "/mode"))
            )
        ))?;
        violations(voice, &answer)?;
    }
    if bad { Err(Failure::silent(Exit::Failed)) } else { Ok(()) }
}

/// Judges an event by a folder's catalog.
fn here(dir: &std::path::Path, event: &str) -> Result<Value, Failure> {
    let entries = run_until_interrupted(async { Place::Folder(dir.to_owned()).entries().await })?;
    let catalog = Catalog::empty().with(entries);
    let mut mint = CurrentMint { given: SystemMint::default(), catalog: &catalog };
    let parsed = parse_event(event.as_bytes(), &mut mint);
    let event = parsed.map_err(|rejection| Failure::usage(format!("this is no event: {rejection}")))?;
    let known = catalog.definition(&event.event_type, &event.version).is_some();
    let mode = catalog.mode(event.tenant.as_str(), &event.event_type, &event.version);
    let (outcome, violations) = match catalog.judge(&event, today()) {
        Judgement::Pass(_) => ("accepted", Vec::new()),
        Judgement::Observe(violations, _) => ("marked", violations),
        Judgement::Quarantine(violations) => ("quarantined", violations),
        Judgement::Refuse(violations) => ("rejected", violations),
    };
    Ok(json!({
        "outcome": outcome, "mode": mode.as_str(), "version": event.version, "known": known, "state_judged": false,
        "violations": violations,
    }))
}

fn violations(voice: Voice, answer: &Value) -> Result<(), Failure> {
    let broken: Vec<Violation> = serde_json::from_value(answer["violations"].clone()).unwrap_or_default();
    for violation in broken {
        let (path, code) = (tame(&violation.path), voice.paint(Style::Faint, tame(violation.code)));
        say(format!("  {}  {}  {code}", voice.paint(Style::Strong, path), tame(&violation.message)))?;
    }
    Ok(())
}

pub(crate) fn lineage(context: &Context, args: &LineageArgs) -> Result<(), Failure> {
    let voice = context.voice;
    let api = context.api(&args.client)?;
    let path = format!("/v1/catalog/lineage{}", query(&[("type", args.name.as_deref())]));
    let (entries, cursor) = run_until_interrupted(list::read(&api, &path, &args.paging))?;
    if voice.json {
        return say_json(voice, &as_json(&entries, cursor.as_deref()));
    }
    for entry in &entries {
        say(voice.paint(Style::Strong, text(entry, "/event_type")))?;
        for publisher in entry["observed"].as_array().into_iter().flatten() {
            let [source, version, events, last] =
                ["/source", "/version", "/events", "/last_at"].map(|member| text(publisher, member));
            say(format!("  ← {source}  version {version}, {events} events, the last at {last}"))?;
        }
        for subscriber in entry["subscribers"].as_array().into_iter().flatten() {
            let [tenant, endpoint, host, description] =
                ["/tenant", "/endpoint", "/url_host", "/description"].map(|member| text(subscriber, member));
            say(format!("  → {host}  {} {description}", voice.paint(Style::Faint, format!("{tenant} {endpoint}"))))?;
        }
    }
    if entries.is_empty() {
        note(voice.paint(Style::Faint, "nobody was seen to publish, and nobody subscribes"));
    }
    Ok(())
}

pub(crate) fn marked(context: &Context, args: &ViolationsArgs) -> Result<(), Failure> {
    let voice = context.voice;
    let api = context.api(&args.client)?;
    let tenant = segment(args.tenant.name());
    let path = format!("/v1/tenants/{tenant}/violations{}", query(&[("type", args.event_type.as_deref())]));
    let (entries, cursor) = run_until_interrupted(list::read(&api, &path, &args.paging))?;
    if voice.json {
        return say_json(voice, &as_json(&entries, cursor.as_deref()));
    }
    for entry in &entries {
        let [sequence, name, version] = ["/sequence", "/event_type", "/version"].map(|member| text(entry, member));
        say(format!("{}  {name}@{version}", voice.paint(Style::Strong, format!("#{sequence}"))))?;
        violations(voice, entry)?;
    }
    if entries.is_empty() {
        note(voice.paint(Style::Faint, "no event was taken that broke a rule"));
    }
    Ok(())
}
