//! What was tried, and why an event did or did not arrive.

use http::Method;
use serde_json::Value;

use super::stats::circuit;
use super::{One, ask};
use crate::commands::list::{self, Paging, as_json, query, text};
use crate::context::{Context, run_until_interrupted};
use crate::failure::Failure;
use crate::http::segment;
use crate::term::{Style, Voice, clip, note, say, say_json, say_table, table};

/// How much of an answer a line shows.
const RESPONSE_CHARS: usize = 60;

#[derive(Debug, clap::Args)]
pub(crate) struct AttemptsArgs {
    #[command(flatten)]
    one: One,
    /// How they ended: succeeded, failed, a status like 404 or a class like 5xx
    #[arg(long)]
    status: Option<String>,
    /// Begun at this time or later, as RFC 3339
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Begun before this time, as RFC 3339
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Of this event alone
    #[arg(long, value_name = "ID")]
    event: Option<String>,
    #[command(flatten)]
    paging: Paging,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    one: One,
    /// The event's id
    event: String,
}

pub(super) fn run(context: &Context, args: &AttemptsArgs) -> Result<(), Failure> {
    let voice = context.voice;
    let query = query(&[
        ("status", args.status.as_deref()),
        ("since", args.since.as_deref()),
        ("until", args.until.as_deref()),
        ("event", args.event.as_deref()),
    ]);
    let api = context.api(&args.one.client)?;
    let path = args.one.path(&format!("/attempts{query}"));
    let (entries, cursor) = run_until_interrupted(list::read(&api, &path, &args.paging))?;
    if voice.json {
        return say_json(voice, &as_json(&entries, cursor.as_deref()));
    }
    if entries.is_empty() {
        note(voice.paint(Style::Faint, "no attempts"));
        return Ok(());
    }
    show(voice, &entries)
}

fn show(voice: Voice, entries: &[Value]) -> Result<(), Failure> {
    let mut rows = table(&["at", "event", "sequence", "attempt", "came to", "ms", "answer"]);
    for entry in entries {
        let replay = if entry["replay"] == Value::Bool(true) { " (replay)" } else { "" };
        rows.add_row([
            text(entry, "/at"),
            text(entry, "/event_id"),
            format!("#{}", text(entry, "/sequence")),
            format!("{}{replay}", text(entry, "/attempt")),
            outcome(voice, entry),
            format!("{:.1}", entry["duration_ms"].as_f64().unwrap_or_default()),
            clip(&text(entry, "/response"), RESPONSE_CHARS),
        ]);
    }
    say_table(&rows)
}

/// How an attempt ended: its status, or the failure's name.
fn outcome(voice: Voice, attempt: &Value) -> String {
    match attempt["status"].as_u64() {
        Some(status @ 200..=299) => voice.paint(Style::Good, status),
        Some(status) => voice.paint(Style::Bad, status),
        None => voice.paint(Style::Bad, text(attempt, "/failure")),
    }
}

pub(super) fn explain(context: &Context, args: &ExplainArgs) -> Result<(), Failure> {
    let voice = context.voice;
    let path = args.one.path(&format!("/explain?event={}", segment(&args.event)));
    let answer = ask(context, &args.one.client, Method::GET, &path, None)?;
    if voice.json {
        return say(&answer.text);
    }
    let found = &answer.value;
    let outcome = text(found, "/outcome");
    let style = match outcome.as_str() {
        "delivered" | "settled" => Style::Good,
        "dead_lettered" => Style::Bad,
        _ => Style::Warn,
    };
    say(format!("{}  {}", voice.paint(style, outcome.replace('_', " ")), text(found, "/reason")))?;
    if found["filter"].is_object() {
        let part = |member: &str| text(found, &format!("/filter/{member}"));
        let what = format!(
            "filter {}: {} {}; the event has {}",
            part("index"),
            part("field"),
            part("operator"),
            part("found")
        );
        say(format!("  {what}"))?;
    }
    if let Some(behind) = found["behind_by"].as_u64() {
        say(format!("  about {behind} events lie before it"))?;
    }
    if found["next_attempt_at"].is_string() {
        say(format!("  tried next at {}", text(found, "/next_attempt_at")))?;
    }
    if found["circuit"] != "closed" {
        say(format!("  circuit {}", circuit(voice, found)))?;
    }
    match found["attempts"].as_array() {
        Some(attempts) if !attempts.is_empty() => {
            say("")?;
            show(voice, attempts)
        }
        _ => Ok(()),
    }
}
