//! Requests to an endpoint that are made by hand, and shown whole.

use http::Method;
use serde_json::{Value, json};

use super::{One, ask};
use crate::commands::list::text;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::term::{Style, Voice, say, tame};

#[derive(Debug, clap::Args)]
pub(crate) struct TestArgs {
    #[command(flatten)]
    one: One,
    /// The type of the sample [default: tidings.endpoint.test]
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
}

pub(super) fn test(context: &Context, args: &TestArgs) -> Result<(), Failure> {
    let body = args.event_type.as_deref().map(|name| json!({ "type": name }).to_string());
    let one = &args.one;
    let answer = ask(context, &one.client, Method::POST, &one.path("/test"), body)?;
    let succeeded = answer.value["succeeded"] == json!(true);
    if context.voice.json {
        say(&answer.text)?;
    } else {
        show(context.voice, &answer.value)?;
        say(if succeeded {
            context.voice.paint(Style::Good, "✓ the endpoint took it")
        } else {
            context.voice.paint(Style::Bad, "✗ the endpoint did not take it: only an answer from 200 to 299 counts")
        })?;
    }
    if succeeded { Ok(()) } else { Err(Failure::silent(Exit::Failed)) }
}

pub(super) fn verify(context: &Context, one: &One) -> Result<(), Failure> {
    let answer = ask(context, &one.client, Method::POST, &one.path("/verify"), None)?;
    if context.voice.json {
        return say(&answer.text);
    }
    show(context.voice, &answer.value)?;
    say(context.voice.paint(Style::Good, format!("✓ {} has answered the challenge", one.id)))
}

fn show(voice: Voice, exchange: &Value) -> Result<(), Failure> {
    let faint = |text: String| voice.paint(Style::Faint, text);
    let headers = |member: &str| -> Result<(), Failure> {
        for pair in exchange[member].as_array().map_or(&[][..], Vec::as_slice) {
            say(format!("  {} {}", faint(format!("{}:", text(pair, "/0"))), text(pair, "/1")))?;
        }
        Ok(())
    };
    say(voice.paint(Style::Strong, "→ the request"))?;
    headers("request_headers")?;
    say(format!("\n  {}\n", text(exchange, "/request_body")))?;
    let took = format!("in {:.1} ms", exchange["duration_ms"].as_f64().unwrap_or_default());
    match exchange["status"].as_u64() {
        Some(status) => say(format!("{} {}", voice.paint(Style::Strong, format!("← {status}")), faint(took)))?,
        None => {
            let failure = format!("← no answer: {}", text(exchange, "/failure"));
            say(format!("{} {}  {}", voice.paint(Style::Bad, failure), faint(took), text(exchange, "/message")))?;
        }
    }
    headers("response_headers")?;
    let body = exchange["response_body"].as_str().unwrap_or_default();
    if !body.is_empty() {
        say("")?;
        for line in body.lines() {
            say(format!("  {}", tame(line)))?;
        }
    }
    say("")
}
