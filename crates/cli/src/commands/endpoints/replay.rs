//! Replays: past events, sent again.

use std::time::Duration;

use clap::Subcommand;
use http::Method;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::settings::{moment, pattern};
use super::{Answer, One, fetch, list_of, say_card};
use crate::commands::list::{self, Paging, as_json, text};
use crate::context::{Context, run_until_interrupted};
use crate::failure::{Exit, Failure};
use crate::http::{Api, segment};
use crate::term::{Style, Voice, note, say, say_json, say_table, table};

/// How often a replay that is followed is looked at.
const FOLLOW_EVERY: Duration = Duration::from_millis(500);

#[derive(Debug, Subcommand)]
pub(crate) enum ReplayCommand {
    /// Send past events again; what is live goes on beside it
    #[command(
        after_help = "Examples:\n  tidings endpoints replay start acme ep_01JD… --from 1200 --until 1300 --dry-run\n  \
                            tidings endpoints replay start acme ep_01JD… --from 2026-03-15T10:00:00Z --rate 50 --follow"
    )]
    Start(Box<StartArgs>),
    /// List an endpoint's replays, newest first
    List(ListArgs),
    /// Show how far a replay has come
    Status(ReplayArgs),
    /// End a replay before its end
    Cancel(ReplayArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct StartArgs {
    #[command(flatten)]
    one: One,
    /// From which event on: start, a sequence, or a time as RFC 3339
    #[arg(long, value_name = "WHERE")]
    from: String,
    /// Up to which event: a sequence (that event included), or a time as RFC 3339 [default: the newest]
    #[arg(long, value_name = "WHERE")]
    until: Option<String>,
    /// Only these types, with commas between [default, without --filter too: what the endpoint wants]
    #[arg(long, value_name = "TYPES")]
    types: Option<String>,
    /// Only events that match this pattern: JSON, or @FILE
    #[arg(long, value_name = "JSON")]
    filter: Option<String>,
    /// Deliveries a second at most
    #[arg(long, value_name = "N")]
    rate: Option<u32>,
    /// Only count the events
    #[arg(long)]
    dry_run: bool,
    /// Stay and show how far it comes; ends with 1 if it is cancelled or gives events up
    #[arg(long, conflicts_with = "dry_run")]
    follow: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    paging: Paging,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    one: One,
    /// The replay's id, as `start` and `list` show it
    #[arg(value_name = "REPLAY")]
    replay: String,
}

impl ReplayArgs {
    fn path(&self) -> String {
        self.one.path(&format!("/replay/{}", segment(&self.replay)))
    }
}

#[derive(Serialize)]
struct Body<'a> {
    from: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    types: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_per_s: Option<u32>,
    dry_run: bool,
}

pub(super) fn run(context: &Context, command: &ReplayCommand) -> Result<(), Failure> {
    match command {
        ReplayCommand::Start(args) => {
            let api = context.api(&args.one.client)?;
            run_until_interrupted(start(context.voice, &api, args))
        }
        ReplayCommand::List(args) => list(context, args),
        ReplayCommand::Status(args) => one(context, args, Method::GET),
        ReplayCommand::Cancel(args) => one(context, args, Method::DELETE),
    }
}

async fn start(voice: Voice, api: &Api, args: &StartArgs) -> Result<(), Failure> {
    let body = Body {
        from: moment(&args.from),
        until: args.until.as_deref().map(moment),
        types: args.types.as_deref().map(list_of).unwrap_or_default(),
        filter: args.filter.as_deref().map(pattern).transpose()?,
        rate_per_s: args.rate,
        dry_run: args.dry_run,
    };
    let body = serde_json::to_string(&body).map_err(|error| Failure::failed(error.to_string()))?;
    let answer = fetch(api, Method::POST, &args.one.path("/replay"), Some(body)).await?;
    let replay = &answer.value["replay"];
    if args.follow {
        let path = args.one.path(&format!("/replay/{}", segment(&text(replay, "/id"))));
        return follow(voice, api, &path).await;
    }
    if voice.json {
        return say(&answer.text);
    }
    if !replay.is_object() {
        let whole = if answer.value["complete"] == Value::Bool(true) { "" } else { " at least" };
        let (count, scanned) = (text(&answer.value, "/count"), text(&answer.value, "/scanned"));
        return say(format!("{count} events{whole} would be sent, of {scanned} looked at"));
    }
    say(format!("{} runs: #{} to #{}", text(replay, "/id"), text(replay, "/first"), text(replay, "/last")))?;
    let (tenant, id) = (&args.one.tenant, &args.one.id);
    let status = format!("tidings endpoints replay status {tenant} {id} {}", text(replay, "/id"));
    note(voice.paint(Style::Faint, status));
    Ok(())
}

/// Looks at a replay until it has ended. Ending this command does not end the replay.
async fn follow(voice: Voice, api: &Api, path: &str) -> Result<(), Failure> {
    let bar = progress(voice);
    let answer = loop {
        let answer = fetch(api, Method::GET, path, None).await?;
        let number = |member: &str| answer.value[member].as_u64().unwrap_or_default();
        let (first, last) = (number("first"), number("last"));
        bar.set_length((last + 1).saturating_sub(first));
        bar.set_position((number("settled") + 1).saturating_sub(first));
        bar.set_message(format!("{} delivered, {} given up", number("delivered"), number("dead")));
        if answer.value["state"] != "running" {
            break answer;
        }
        tokio::time::sleep(FOLLOW_EVERY).await;
    };
    bar.finish_and_clear();
    show(voice, &answer)?;
    let is_good = answer.value["state"] == "done" && answer.value["dead"] == 0;
    if is_good { Ok(()) } else { Err(Failure::silent(Exit::Failed)) }
}

/// A bar on a terminal, nothing elsewhere.
fn progress(voice: Voice) -> ProgressBar {
    let target = if voice.json { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::new(0);
    bar.set_draw_target(target);
    if let Ok(style) = ProgressStyle::with_template("{bar:30.cyan/dim} {percent:>3}%  {msg}  eta {eta}") {
        bar.set_style(style.progress_chars("━━─"));
    }
    bar
}

fn one(context: &Context, args: &ReplayArgs, method: Method) -> Result<(), Failure> {
    let answer = super::ask(context, &args.one.client, method, &args.path(), None)?;
    show(context.voice, &answer)
}

fn show(voice: Voice, answer: &Answer) -> Result<(), Failure> {
    if voice.json {
        return say(&answer.text);
    }
    let of = |member: &str| text(&answer.value, member);
    let rows = [
        ("replay", voice.paint(Style::Strong, of("/id"))),
        ("state", state(voice, &answer.value)),
        ("range", format!("#{} to #{}", of("/first"), of("/last"))),
        ("settled up to", of("/settled")),
        ("delivered", of("/delivered")),
        ("given up", of("/dead")),
        ("types", of("/types")),
        ("filter", of("/filter")),
        ("rate", of("/rate_per_s")),
        ("started", of("/created_at")),
        ("ended", of("/ended_at")),
    ];
    say_card(voice, &rows)
}

fn state(voice: Voice, replay: &Value) -> String {
    let state = text(replay, "/state");
    let style = match state.as_str() {
        "done" => Style::Good,
        "running" => Style::Accent,
        _ => Style::Warn,
    };
    voice.paint(style, state)
}

fn list(context: &Context, args: &ListArgs) -> Result<(), Failure> {
    let voice = context.voice;
    let api = context.api(&args.one.client)?;
    let (entries, cursor) = run_until_interrupted(list::read(&api, &args.one.path("/replay"), &args.paging))?;
    if voice.json {
        return say_json(voice, &as_json(&entries, cursor.as_deref()));
    }
    let mut rows = table(&["replay", "state", "from", "to", "delivered", "given up", "started", "ended"]);
    for entry in &entries {
        let [id, first, last, delivered, dead, started, ended] =
            ["/id", "/first", "/last", "/delivered", "/dead", "/created_at", "/ended_at"]
                .map(|member| text(entry, member));
        rows.add_row([id, state(voice, entry), first, last, delivered, dead, started, ended]);
    }
    say_table(&rows)
}
