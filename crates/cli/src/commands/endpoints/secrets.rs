//! The secrets of an endpoint.

use http::Method;
use serde_json::{Map, Value};

use super::settings::{Signature, secret};
use super::{One, ask, say_card, span};
use crate::commands::list::text;
use crate::context::Context;
use crate::failure::Failure;
use crate::term::{Style, note, say, say_table, table};

#[derive(Debug, clap::Args)]
pub(crate) struct RotateArgs {
    #[command(flatten)]
    one: One,
    /// How long the old secrets go on to sign beside the new one, in seconds [default: 86400, a day]
    #[arg(long, value_name = "SECONDS")]
    overlap: Option<u32>,
    /// How the new secret signs [default: as the newest one]
    #[arg(long, value_enum)]
    signature: Option<Signature>,
    /// A secret of your own (whsec_… or whsk_…), @FILE, or @- for standard input
    #[arg(long, value_name = "SECRET")]
    secret: Option<String>,
}

pub(super) fn list(context: &Context, one: &One) -> Result<(), Failure> {
    let answer = ask(context, &one.client, Method::GET, &one.path("/secret"), None)?;
    if context.voice.json {
        return say(&answer.text);
    }
    let mut rows = table(&["secret", "signature", "public key", "made", "signs until"]);
    for entry in answer.value["data"].as_array().map_or(&[][..], Vec::as_slice) {
        rows.add_row(
            ["/id", "/signature", "/public_key", "/created_at", "/expires_at"].map(|member| text(entry, member)),
        );
    }
    say_table(&rows)
}

pub(super) fn rotate(context: &Context, args: &RotateArgs) -> Result<(), Failure> {
    let voice = context.voice;
    let mut body = Map::new();
    if let Some(overlap) = args.overlap {
        body.insert("overlap_s".to_owned(), Value::from(overlap));
    }
    if let Some(signature) = args.signature.and_then(|signature| serde_json::to_value(signature).ok()) {
        body.insert("signature".to_owned(), signature);
    }
    if let Some(given) = &args.secret {
        body.insert("secret".to_owned(), Value::from(secret(given)?));
    }
    let (one, body) = (&args.one, Value::Object(body).to_string());
    let answer = ask(context, &one.client, Method::POST, &one.path("/rotate"), Some(body))?;
    if voice.json {
        return say(&answer.text);
    }
    let mut rows = vec![("secret", voice.paint(Style::Accent, text(&answer.value, "/secret")))];
    if answer.value["public_key"].is_string() {
        rows.push(("public key", text(&answer.value, "/public_key")));
    }
    say_card(voice, &rows)?;
    let meanwhile = match args.overlap {
        Some(0) => "The old ones have ended.".to_owned(),
        overlap => {
            let overlap = span(f64::from(overlap.unwrap_or(OVERLAP_S)));
            format!("The old ones go on beside it for {overlap}: receivers can change over meanwhile.")
        }
    };
    note(voice.paint(Style::Faint, format!("The new secret is shown only now. {meanwhile}")));
    Ok(())
}

/// How long old secrets go on where nothing else is asked for.
const OVERLAP_S: u32 = 86_400;
