//! `tidings events`: find events, look at one, see what led to what.

use std::borrow::Cow;

use clap::{Subcommand, ValueEnum};
use http::Method;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::emit::single::text_argument;
use crate::args::{Client, Tenant};
use crate::context::{Context, run_until_interrupted};
use crate::failure::Failure;
use crate::http::{Api, segment};
use crate::term::{Style, Voice, clip, note, say, size, tame};

#[derive(Debug, Subcommand)]
pub(crate) enum EventsCommand {
    /// Find events; all conditions must hold
    #[command(after_help = "Examples:\n  tidings events search acme --types 'sales.*' --entity lead/42\n  \
                            tidings events search acme --since 2026-03-15T00:00:00Z --order asc --all --json > day.ndjson")]
    Search(Box<SearchArgs>),
    /// Print one event as JSON
    Get(OneArgs),
    /// Print what an event led to, and what led to it, as a tree
    Trace(OneArgs),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Order {
    /// Newest first
    Desc,
    /// Oldest first
    Asc,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SearchArgs {
    #[command(flatten)]
    tenant: Tenant,
    /// Only these types, with commas between: exact, or with a wildcard like `sales.*`
    #[arg(long, value_name = "TYPES")]
    types: Option<String>,
    /// Only events that match this pattern: JSON, or @FILE
    #[arg(long, value_name = "JSON")]
    filter: Option<String>,
    /// What it happened to: TYPE, or TYPE/ID
    #[arg(long, value_name = "TYPE[/ID]")]
    entity: Option<String>,
    /// Who said so: KIND, or KIND/ID
    #[arg(long, value_name = "KIND[/ID]")]
    source: Option<String>,
    /// Who caused it
    #[arg(long)]
    actor: Option<String>,
    /// The part of the tenant
    #[arg(long)]
    project: Option<String>,
    /// The request or process it belongs to
    #[arg(long, value_name = "ID")]
    correlation_id: Option<String>,
    /// The event that led to it
    #[arg(long, value_name = "ID")]
    causation_id: Option<String>,
    /// For whom it was caused: TYPE, or TYPE/ID
    #[arg(long, value_name = "TYPE[/ID]")]
    context: Option<String>,
    /// Recorded at this time or later, as RFC 3339
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Recorded before this time, as RFC 3339
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Which first
    #[arg(long, value_enum, default_value = "desc")]
    order: Order,
    /// The most events
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// All events, page by page
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    #[command(flatten)]
    client: Client,
}

#[derive(Debug, clap::Args)]
pub(crate) struct OneArgs {
    /// The tenant
    tenant: String,
    /// The event's id
    id: String,
    #[command(flatten)]
    client: Client,
}

pub(crate) fn run(context: &Context, command: &EventsCommand) -> Result<(), Failure> {
    match command {
        EventsCommand::Search(args) => {
            let api = context.api(&args.client)?;
            run_until_interrupted(search(context.voice, &api, args))
        }
        EventsCommand::Get(args) => {
            let api = context.api(&args.client)?;
            run_until_interrupted(get(context.voice, &api, args))
        }
        EventsCommand::Trace(args) => {
            let api = context.api(&args.client)?;
            let path = format!("{}/trace", path(args));
            let sent = api.read_sent(api.request(Method::GET, &path), bytes::Bytes::new());
            let bytes = run_until_interrupted(async { Ok(sent.await?) })?;
            let text = String::from_utf8_lossy(&bytes);
            if context.voice.json { say(text) } else { trace(context.voice, &text, &args.id) }
        }
    }
}

fn path(args: &OneArgs) -> String {
    format!("/v1/tenants/{}/events/{}", segment(&args.tenant), segment(&args.id))
}

async fn get(voice: Voice, api: &Api, args: &OneArgs) -> Result<(), Failure> {
    let bytes = api.read_sent(api.request(Method::GET, &path(args)), bytes::Bytes::new()).await?;
    let text = String::from_utf8_lossy(&bytes);
    // A person gets it indented, with its numbers and texts as they are; a machine gets the very bytes.
    if voice.json || !voice.terminal { say(text) } else { say(indent(&text)) }
}

impl SearchArgs {
    fn query(&self) -> Result<String, Failure> {
        let filter = self.filter.as_deref().map(|filter| text_argument("--filter", filter)).transpose()?;
        let halves =
            |text: &Option<String>| match text.as_deref().map(|text| text.split_once('/').unwrap_or((text, ""))) {
                Some((kind, id)) => (Some(kind.to_owned()), Some(id.to_owned()).filter(|id| !id.is_empty())),
                None => (None, None),
            };
        let ((entity, entity_id), (source, source_id)) = (halves(&self.entity), halves(&self.source));
        let (context, context_id) = halves(&self.context);
        let order = if self.order == Order::Asc { "asc" } else { "desc" };
        let parameters = [
            ("types", self.types.clone()),
            ("filter", filter),
            ("entity_type", entity),
            ("entity_id", entity_id),
            ("source_type", source),
            ("source_id", source_id),
            ("actor", self.actor.clone()),
            ("project", self.project.clone()),
            ("correlation_id", self.correlation_id.clone()),
            ("causation_id", self.causation_id.clone()),
            ("context_type", context),
            ("context_id", context_id),
            ("since", self.since.clone()),
            ("until", self.until.clone()),
            ("order", Some(order.to_owned())),
        ];
        let given = parameters.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", segment(&value?))));
        Ok(given.collect::<Vec<_>>().join("&"))
    }
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
    cursor: Option<String>,
}

async fn search(voice: Voice, api: &Api, args: &SearchArgs) -> Result<(), Failure> {
    let query = args.query()?;
    let (mut found, mut cursor) = (0, String::new());
    loop {
        let wanted = if args.all { 1_000 } else { args.limit.saturating_sub(found).min(1_000) };
        if wanted == 0 {
            return Ok(());
        }
        let path = format!("/v1/tenants/{}/events?{query}&limit={wanted}{cursor}", segment(args.tenant.name()));
        let body = api.read_sent(api.request(Method::GET, &path), bytes::Bytes::new()).await?;
        let page: Page<'_> = serde_json::from_slice(&body)
            .map_err(|error| Failure::failed(format!("the page cannot be read: {error}")))?;
        for event in &page.data {
            say(if voice.json { event.get().to_owned() } else { line(voice, event.get()) })?;
        }
        found += page.data.len();
        match page.cursor {
            Some(next) => cursor = format!("&cursor={}", segment(&next)),
            None => {
                if found == 0 && !voice.json {
                    note(voice.paint(Style::Faint, "no events"));
                }
                return Ok(());
            }
        }
    }
}

/// What a line shows of an event.
#[derive(Deserialize)]
struct Shown<'a> {
    #[serde(rename = "type")]
    event_type: String,
    recorded_at: Option<String>,
    sequence: Option<u64>,
    entity: Option<Entity>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Entity {
    #[serde(rename = "type")]
    kind: String,
    id: String,
}

/// An event on one line: when, which, what, to what, and as much of the data as fits.
pub(crate) fn line(voice: Voice, json: &str) -> String {
    let Ok(shown) = serde_json::from_str::<Shown<'_>>(json) else { return tame(json) };
    let time = shown.recorded_at.unwrap_or_default();
    // The time of day; the date stands in --json.
    let time = time.split_once('T').map_or(time.as_str(), |(_, clock)| clock).trim_end_matches('Z');
    let sequence = shown.sequence.map(|sequence| format!("#{sequence}")).unwrap_or_default();
    let entity = shown.entity.map(|entity| tame(&format!("{}/{}", entity.kind, entity.id))).unwrap_or_default();
    let event_type = tame(&shown.event_type);
    let data = shown.data.map(|data| tame(&single_line(data.get()))).unwrap_or_default();
    let taken = 12 + 2 + sequence.len().max(7) + 2 + event_type.len().max(28) + 2 + entity.chars().count().max(16) + 2;
    let data = if voice.terminal { clip(&data, size().0.saturating_sub(taken).max(10)) } else { data };
    let pad = |text: String, shown: usize, width: usize| format!("{text}{}", " ".repeat(width.saturating_sub(shown)));
    format!(
        "{}  {}  {}  {}  {}",
        voice.paint(Style::Faint, format!("{time:<12}")),
        voice.paint(Style::Strong, format!("{sequence:>7}")),
        pad(voice.paint_word(&event_type), event_type.len(), 28),
        format_args!("{entity:<16}"),
        voice.paint(Style::Faint, data),
    )
}

/// JSON without the line ends that may stand between its parts.
fn single_line(json: &str) -> String {
    json.split('\n').map(str::trim).collect::<Vec<_>>().join(" ")
}

/// JSON with two blanks a level. Works on the text, so that no number or key changes.
fn indent(json: &str) -> String {
    let (mut out, mut depth, mut in_string, mut escaped) = (String::new(), 0_usize, false, false);
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    let mut previous = ' ';
    for c in json.chars() {
        if in_string {
            out.push(c);
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            previous = c;
            continue;
        }
        if c.is_whitespace() {
            continue;
        }
        if matches!(previous, '{' | '[') && !matches!(c, '}' | ']') {
            depth += 1;
            line(&mut out, depth);
        }
        match c {
            '"' => {
                in_string = true;
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            '}' | ']' => {
                if !matches!(previous, '{' | '[') {
                    depth = depth.saturating_sub(1);
                    line(&mut out, depth);
                }
                out.push(c);
            }
            _ => out.push(c),
        }
        previous = c;
    }
    out
}

/// A trace as the server answers it; its events are shown as they are.
#[derive(Deserialize)]
struct Trace<'a> {
    #[serde(borrow)]
    nodes: Vec<TraceNode<'a>>,
    truncated: bool,
}

#[derive(Deserialize)]
struct TraceNode<'a> {
    depth: u64,
    #[serde(borrow)]
    event: &'a RawValue,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

/// Draws a trace. Its events come depth first, each with the number of causes above it.
fn trace(voice: Voice, answer: &str, wanted: &str) -> Result<(), Failure> {
    let trace: Trace<'_> =
        serde_json::from_str(answer).map_err(|error| Failure::failed(format!("the trace cannot be read: {error}")))?;
    let depths: Vec<u64> = trace.nodes.iter().map(|node| node.depth).collect();
    for (index, node) in trace.nodes.iter().enumerate() {
        let event = node.event.get();
        let is_wanted = serde_json::from_str::<Named<'_>>(event).is_ok_and(|named| named.id == wanted);
        let mark = if is_wanted { voice.paint(Style::Accent, "▶ ") } else { "  ".to_owned() };
        let branch = voice.paint(Style::Faint, branch(&depths, index));
        say(format!("{mark}{branch}{}", line(voice, event)))?;
    }
    if trace.truncated {
        note("there are more events than one answer holds");
    }
    Ok(())
}

/// The lines to the left of an event: one column for each level above it.
fn branch(depths: &[u64], index: usize) -> String {
    let depth = depths[index];
    // A level goes on below if a later event stands on it before one of a higher level does.
    let goes_on = |level: u64| {
        let later = depths[index + 1..].iter().take_while(|later| **later >= level);
        later.into_iter().any(|later| *later == level)
    };
    let column = |level: u64| match (level == depth, goes_on(level)) {
        (true, true) => "├─ ",
        (true, false) => "└─ ",
        (false, true) => "│  ",
        (false, false) => "   ",
    };
    (1..=depth).map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::ColorChoice;

    const EVENT: &str = "{\"type\":\"sales.lead.created\",\"sequence\":7,\"recorded_at\":\"2026-03-15T10:00:00.012Z\",\
        \"entity\":{\"type\":\"lead\",\"id\":\"42\"},\"data\":{\"a\":\n 1.50}}";

    #[test]
    fn an_event_is_one_line() {
        let voice = Voice { terminal: false, ..Voice::new(false, ColorChoice::Never) };
        let shown = line(voice, EVENT);
        assert_eq!(shown, "10:00:00.012       #7  sales.lead.created            lead/42           {\"a\": 1.50}");
    }

    #[test]
    fn a_trace_is_drawn_as_a_tree() {
        let depths = [0, 1, 2, 2, 1, 2, 0];
        let drawn: Vec<String> = (0..depths.len()).map(|index| branch(&depths, index)).collect();
        assert_eq!(drawn, ["", "├─ ", "│  ├─ ", "│  └─ ", "└─ ", "   └─ ", ""]);
    }

    #[test]
    fn indenting_changes_blanks_only() {
        let json = r#"{"a":[1.50,{"b":"x, {y}\" [z]"}],"e":{},"l":[]}"#;
        let shown = indent(json);
        assert_eq!(
            shown,
            "{\n  \"a\": [\n    1.50,\n    {\n      \"b\": \"x, {y}\\\" [z]\"\n    }\n  ],\n  \"e\": {},\n  \"l\": []\n}"
        );
    }
}
