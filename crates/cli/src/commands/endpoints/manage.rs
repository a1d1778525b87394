//! Making, changing and listing endpoints.

use http::Method;
use serde_json::{Value, json};

use super::settings::{CreateArgs, UpdateArgs};
use super::{ListArgs, One, all, ask, say_card, span};
use crate::commands::list::{self, as_json, text};
use crate::context::{Context, run_until_interrupted};
use crate::failure::Failure;
use crate::term::{Style, Voice, note, say, say_json, say_table, table};

pub(super) fn list(context: &Context, args: &ListArgs) -> Result<(), Failure> {
    let voice = context.voice;
    let api = context.api(&args.client)?;
    let (entries, cursor) = run_until_interrupted(list::read(&api, &all(args.tenant.name()), &args.paging))?;
    if voice.json {
        return say_json(voice, &as_json(&entries, cursor.as_deref()));
    }
    if entries.is_empty() {
        note(voice.paint(Style::Faint, "no endpoints; `tidings endpoints create` makes one"));
        return Ok(());
    }
    let mut rows = table(&["endpoint", "status", "url", "types", "ordering", "description"]);
    for entry in &entries {
        let [id, url, ordering, description] =
            ["/id", "/url", "/ordering", "/description"].map(|member| text(entry, member));
        rows.add_row([id, status(voice, entry), url, types(entry), ordering, description]);
    }
    say_table(&rows)?;
    if cursor.is_some() {
        note("there are more: --all, or --limit with a larger number");
    }
    Ok(())
}

pub(super) fn get(context: &Context, one: &One) -> Result<(), Failure> {
    let answer = ask(context, &one.client, Method::GET, &one.path(""), None)?;
    if context.voice.json { say(&answer.text) } else { card(context.voice, &answer.value) }
}

pub(super) fn create(context: &Context, args: &CreateArgs) -> Result<(), Failure> {
    let voice = context.voice;
    let answer = ask(context, &args.client, Method::POST, &all(&args.tenant), Some(args.body()?))?;
    if voice.json {
        return say(&answer.text);
    }
    let made = &answer.value;
    let mut rows = vec![
        ("endpoint", voice.paint(Style::Strong, text(made, "/id"))),
        ("status", status(voice, made)),
        ("secret", voice.paint(Style::Accent, text(made, "/secret"))),
    ];
    if made["public_key"].is_string() {
        rows.push(("public key", text(made, "/public_key")));
    }
    say_card(voice, &rows)?;
    note(voice.paint(Style::Faint, "The secret is shown only now; the receiver verifies with it."));
    if made["status_reason"] == "unverified" {
        let command = format!("tidings endpoints verify {} {}", args.tenant, text(made, "/id"));
        note(voice.paint(Style::Faint, format!("Nothing is delivered before the challenge: {command}")));
    }
    Ok(())
}

pub(super) fn update(context: &Context, args: &UpdateArgs) -> Result<(), Failure> {
    let one = &args.one;
    let answer = ask(context, &one.client, Method::PATCH, &one.path(""), Some(args.body()?))?;
    if context.voice.json { say(&answer.text) } else { card(context.voice, &answer.value) }
}

pub(super) fn delete(context: &Context, one: &One) -> Result<(), Failure> {
    let answer = ask(context, &one.client, Method::DELETE, &one.path(""), None)?;
    if context.voice.json { say_json(context.voice, &answer.value) } else { say(format!("{} is deleted", one.id)) }
}

pub(super) fn set_status(context: &Context, one: &One, wanted: &str) -> Result<(), Failure> {
    let body = json!({ "status": wanted }).to_string();
    let answer = ask(context, &one.client, Method::PATCH, &one.path(""), Some(body))?;
    if context.voice.json {
        return say(&answer.text);
    }
    say(format!("{} is {}", one.id, status(context.voice, &answer.value)))
}

/// An endpoint's status, and why where it has a reason.
fn status(voice: Voice, endpoint: &Value) -> String {
    let status = text(endpoint, "/status");
    let style = match status.as_str() {
        "active" => Style::Good,
        "paused" => Style::Warn,
        _ => Style::Bad,
    };
    match &endpoint["status_reason"] {
        Value::String(_) => voice.paint(style, format!("{status} ({})", text(endpoint, "/status_reason"))),
        _ => voice.paint(style, status),
    }
}

fn types(endpoint: &Value) -> String {
    match endpoint["types"].as_array() {
        Some(types) if types.is_empty() => "all".to_owned(),
        _ => text(endpoint, "/types"),
    }
}

fn card(voice: Voice, endpoint: &Value) -> Result<(), Failure> {
    let of = |member: &str| text(endpoint, member);
    let format = match endpoint["format"].as_str() {
        Some("cloudevents") => format!("cloudevents, {}", of("/cloudevents_mode")),
        _ => of("/format"),
    };
    let waits = endpoint["retry_schedule_s"].as_array().map_or(&[][..], Vec::as_slice);
    let waits: Vec<f64> = waits.iter().filter_map(Value::as_f64).collect();
    let schedule = waits.iter().map(|seconds| span(*seconds)).collect::<Vec<_>>().join(", ");
    let headers = endpoint["headers"].as_object().into_iter().flatten();
    let headers: Vec<String> = headers.map(|(name, value)| format!("{name}: {}", text(value, ""))).collect();
    let limit = endpoint["rate_limit_per_s"].as_u64().map_or("none".to_owned(), |rate| format!("{rate}/s"));
    let rows = [
        ("endpoint", voice.paint(Style::Strong, of("/id"))),
        ("status", status(voice, endpoint)),
        ("url", of("/url")),
        ("types", types(endpoint)),
        ("filter", of("/filter")),
        ("holds after", format!("#{}", of("/since"))),
        ("format", format),
        ("ordering", of("/ordering")),
        ("rate limit", limit),
        ("timeout", format!("{} ms", of("/timeout_ms"))),
        ("schedule", format!("{schedule} (together {})", span(waits.iter().sum()))),
        ("headers", if headers.is_empty() { "-".to_owned() } else { headers.join(", ") }),
        ("description", of("/description")),
        ("created", of("/created_at")),
        ("changed", of("/updated_at")),
    ];
    say_card(voice, &rows)
}
