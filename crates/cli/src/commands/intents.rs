//! `tidings intents`: two-step emission for producers without a database of their own.

use clap::Subcommand;
use http::Method;
use serde_json::Value;

use super::emit::single::{Fields, json_argument};
use super::list::text;
use crate::args::Client;
use crate::context::{Context, run_until_interrupted};
use crate::failure::Failure;
use crate::http::segment;
use crate::term::{say, say_json};

#[derive(Debug, Subcommand)]
pub(crate) enum IntentsCommand {
    /// Announce an event; nobody sees it until it is confirmed
    #[command(
        after_help = "Example:\n  tidings intents create --tenant acme --type files.file.uploaded --source service/files \\\n    \
                            --data '{\"name\":\"a.pdf\"}' --probe '{\"kind\":\"http\",\"url\":\"https://files.example/a.pdf\"}'"
    )]
    Create(Box<CreateArgs>),
    /// The change was made: let the event out
    Confirm(KeyArgs),
    /// The change was not made: forget the event
    Discard(KeyArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    fields: Fields,
    /// How to find out whether the change was made, if nobody says: JSON, or @FILE
    #[arg(long, value_name = "JSON")]
    probe: Option<String>,
    /// When to ask the probe, in seconds
    #[arg(long, value_name = "SECONDS")]
    stale_after: Option<u32>,
    #[command(flatten)]
    client: Client,
}

#[derive(Debug, clap::Args)]
pub(crate) struct KeyArgs {
    /// The intent's source key, as `create` shows it
    source_key: String,
    #[command(flatten)]
    client: Client,
}

pub(crate) fn run(context: &Context, command: &IntentsCommand) -> Result<(), Failure> {
    match command {
        IntentsCommand::Create(args) => create(context, args),
        IntentsCommand::Confirm(args) => settle(context, args, Method::POST, "/confirm"),
        IntentsCommand::Discard(args) => settle(context, args, Method::DELETE, ""),
    }
}

fn create(context: &Context, args: &CreateArgs) -> Result<(), Failure> {
    // Put together as text, so that the event's data goes out byte for byte.
    let mut body = format!("{{\"event\":{}", args.fields.event()?);
    if let Some(probe) = &args.probe {
        body.push_str(&format!(",\"probe\":{}", json_argument("--probe", probe)?));
    }
    if let Some(seconds) = args.stale_after {
        body.push_str(&format!(",\"stale_after_s\":{seconds}"));
    }
    body.push('}');
    let api = context.api(&args.client)?;
    let made = run_until_interrupted(async { Ok(api.call_text(Method::POST, "/v1/intents", Some(body)).await?) })?;
    if context.voice.json { say_json(context.voice, &made) } else { say(text(&made, "/source_key")) }
}

fn settle(context: &Context, args: &KeyArgs, method: Method, step: &str) -> Result<(), Failure> {
    let api = context.api(&args.client)?;
    let path = format!("/v1/intents/{}{step}", segment(&args.source_key));
    let answer = run_until_interrupted(async { Ok(api.call(method, &path, None).await?) })?;
    match (&answer, context.voice.json) {
        (_, true) => say_json(context.voice, &answer),
        (Value::Null, false) => say(format!("{} is discarded", args.source_key)),
        (_, false) => say(format!("{} is {}", args.source_key, text(&answer, "/state"))),
    }
}
