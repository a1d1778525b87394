//! How an endpoint does.

use http::Method;
use serde_json::Value;

use super::{One, ask, say_card, span};
use crate::commands::list::text;
use crate::context::Context;
use crate::failure::Failure;
use crate::term::{Style, Voice, say};

pub(super) fn run(context: &Context, one: &One) -> Result<(), Failure> {
    let answer = ask(context, &one.client, Method::GET, &one.path("/stats"), None)?;
    if context.voice.json { say(&answer.text) } else { card(context.voice, &answer.value) }
}

fn card(voice: Voice, stats: &Value) -> Result<(), Failure> {
    let number = |member: &str| stats.pointer(member).and_then(Value::as_f64);
    let lag = match number("/lag_seconds") {
        None => voice.paint(Style::Good, "none"),
        Some(age) => {
            let text = format!("{} events, the oldest {}", text(stats, "/lag_events"), span(age.round()));
            if age > 60.0 { voice.paint(Style::Warn, text) } else { text }
        }
    };
    let rate = match number("/window/success_rate") {
        None => "-".to_owned(),
        Some(rate) => {
            let style = if rate < 0.99 { Style::Warn } else { Style::Good };
            let shown = voice.paint(style, format!("{:.1} %", rate * 100.0));
            format!("{shown} of the newest {} attempts", text(stats, "/window/attempts"))
        }
    };
    let latency = ["p50", "p95", "p99", "max"]
        .map(|which| number(&format!("/window/latency_ms/{which}")).map_or("-".to_owned(), |ms| format!("{ms:.1}")));
    let dead = match number("/dead_letters") {
        Some(count) if count > 0.0 => voice.paint(Style::Bad, format!("{count} (tidings dead-letters list)")),
        _ => "0".to_owned(),
    };
    let rows = [
        ("behind", lag),
        ("circuit", circuit(voice, stats)),
        ("retries", text(stats, "/retries")),
        ("dead letters", dead),
        ("success", rate),
        ("latency", format!("p50 {}  p95 {}  p99 {}  max {} ms", latency[0], latency[1], latency[2], latency[3])),
        ("last attempt", text(stats, "/last_attempt_at")),
        ("last success", text(stats, "/last_success_at")),
    ];
    say_card(voice, &rows)
}

/// Whether an endpoint's lane sends, and if not, since when and until when.
pub(super) fn circuit(voice: Voice, answer: &Value) -> String {
    let state = text(answer, "/circuit");
    let style = match state.as_str() {
        "closed" => return voice.paint(Style::Good, state),
        "throttled" => Style::Warn,
        _ => Style::Bad,
    };
    let mut shown = voice.paint(style, state);
    if answer["circuit_since"].is_string() {
        shown.push_str(&format!(" since {}", text(answer, "/circuit_since")));
    }
    if answer["next_attempt_at"].is_string() {
        shown.push_str(&format!(", next try {}", text(answer, "/next_attempt_at")));
    }
    shown
}
