//! A selection, tried on past events.

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::settings::pattern;
use super::{all, ask, list_of};
use crate::args::{Client, Tenant};
use crate::commands::events::line;
use crate::context::Context;
use crate::failure::Failure;
use crate::term::{Style, note, say};

#[derive(Debug, clap::Args)]
pub(crate) struct BacktestArgs {
    #[command(flatten)]
    tenant: Tenant,
    /// Which types, with commas between: exact, or with a wildcard like `sales.*`
    #[arg(long, value_name = "TYPES")]
    types: Option<String>,
    /// A pattern that events must match beside their type: JSON, or @FILE
    #[arg(long, value_name = "JSON")]
    filter: Option<String>,
    /// Only events recorded at this time or later, as RFC 3339
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only events recorded before this time, as RFC 3339
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// How many of the newest that match are shown
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: u32,
    #[command(flatten)]
    client: Client,
}

#[derive(Serialize)]
struct Query<'a> {
    types: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<&'a str>,
    limit: u32,
}

#[derive(Deserialize)]
struct Found<'a> {
    scanned: u64,
    matched: u64,
    complete: bool,
    #[serde(borrow)]
    sample: Vec<&'a RawValue>,
}

pub(super) fn run(context: &Context, args: &BacktestArgs) -> Result<(), Failure> {
    let query = Query {
        types: args.types.as_deref().map(list_of).unwrap_or_default(),
        filter: args.filter.as_deref().map(pattern).transpose()?,
        since: args.since.as_deref(),
        until: args.until.as_deref(),
        limit: args.limit,
    };
    let body = serde_json::to_string(&query).map_err(|error| Failure::failed(error.to_string()))?;
    let path = format!("{}/backtest", all(args.tenant.name()));
    let answer = ask(context, &args.client, Method::POST, &path, Some(body))?;
    if context.voice.json {
        return say(&answer.text);
    }
    let found: Found<'_> = serde_json::from_str(&answer.text)
        .map_err(|error| Failure::failed(format!("the answer cannot be read: {error}")))?;
    for event in &found.sample {
        say(line(context.voice, event.get()))?;
    }
    let whole = if found.complete { "" } else { "; there are more events than one back-test looks at" };
    note(context.voice.paint(Style::Strong, format!("{} of {} events match{whole}", found.matched, found.scanned)));
    Ok(())
}
