//! `tidings outbox`: make one, look at it, and settle what the log refused.

use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};
use tidings_store::SourceError;

use super::emit::single::text_argument;
use super::list::{self, Paging, as_json, text};
use crate::args::Client;
use crate::config::mask::mask_url;
use crate::context::{Context, run_until_interrupted};
use crate::database::Target;
use crate::failure::{Exit, Failure};
use crate::http::segment;
use crate::term::{Style, Voice, note, say, say_json, say_table, table, tame};

#[derive(Debug, Subcommand)]
pub(crate) enum OutboxCommand {
    /// Make the outbox in a producer's database, or bring it up to date
    #[command(
        after_help = "Examples:\n  tidings outbox install --url postgres://shop@localhost/shop\n  tidings outbox install --url sqlite:shop.db\n\n\
                            Then tell the server about it:\n  TIDINGS_SOURCES=shop=postgres://shop@localhost/shop tidings serve"
    )]
    Install(DatabaseArgs),
    /// Show how the outbox in a producer's database stands
    Status(DatabaseArgs),
    /// List the outboxes that the server reads, and how they stand
    Sources {
        #[command(flatten)]
        client: Client,
    },
    /// List rows that the log refused, and why
    Refused {
        /// Only rows of this source
        #[arg(long, value_name = "NAME")]
        source: Option<String>,
        #[command(flatten)]
        paging: Paging,
        #[command(flatten)]
        client: Client,
    },
    /// Put a refused row back among the waiting
    Retry {
        /// The source, as `refused` shows it
        source: String,
        /// The row
        id: i64,
        /// A mended event: JSON, or @FILE
        #[arg(long, value_name = "JSON")]
        event: Option<String>,
        #[command(flatten)]
        client: Client,
    },
    /// Delete a refused row for good
    Discard {
        /// The source, as `refused` shows it
        source: String,
        /// The row
        id: i64,
        #[command(flatten)]
        client: Client,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct DatabaseArgs {
    /// The producer's database: postgres://…, sqlite:PATH, or a path
    #[arg(long, value_name = "URL")]
    url: String,
}

pub(crate) fn run(context: &Context, command: &OutboxCommand) -> Result<(), Failure> {
    let voice = context.voice;
    match command {
        OutboxCommand::Install(args) => run_until_interrupted(install(voice, &args.url)),
        OutboxCommand::Status(args) => run_until_interrupted(status(voice, &args.url)),
        OutboxCommand::Sources { client } => {
            let api = context.api(client)?;
            let answer = run_until_interrupted(async { Ok(api.get("/v1/outbox/sources").await?) })?;
            if voice.json { say_json(voice, &answer) } else { sources(&answer) }
        }
        OutboxCommand::Refused { source, paging, client } => {
            let api = context.api(client)?;
            let query = source.as_deref().map(|source| format!("?source={}", segment(source))).unwrap_or_default();
            let path = format!("/v1/outbox/refused{query}");
            let (entries, cursor) = run_until_interrupted(list::read(&api, &path, paging))?;
            if voice.json { say_json(voice, &as_json(&entries, cursor.as_deref())) } else { refused(voice, &entries) }
        }
        OutboxCommand::Retry { source, id, event, client } => {
            let body = event.as_deref().map(|event| text_argument("--event", event)).transpose()?;
            let body = body.map(|event| format!("{{\"event\":{event}}}"));
            let api = context.api(client)?;
            let path = format!("/v1/outbox/refused/{}/{id}/retry", segment(source));
            let answer = run_until_interrupted(async { Ok(api.call_text(Method::POST, &path, body).await?) })?;
            if voice.json { say_json(voice, &answer) } else { say(format!("row {id} of {source} waits again")) }
        }
        OutboxCommand::Discard { source, id, client } => {
            let api = context.api(client)?;
            let path = format!("/v1/outbox/refused/{}/{id}", segment(source));
            let answer = run_until_interrupted(async { Ok(api.call(Method::DELETE, &path, None).await?) })?;
            if voice.json { say_json(voice, &answer) } else { say(format!("row {id} of {source} is deleted")) }
        }
    }
}

async fn install(voice: Voice, url: &str) -> Result<(), Failure> {
    tidings_store::install_outbox(url).await.map_err(|error| source_failure(url, &error))?;
    let version = tidings_outbox::sql::VERSION;
    if voice.json {
        return say_json(voice, &json!({"url": mask_url(url), "version": version}));
    }
    say(format!("the outbox (version {version}) is in {}", mask_url(url)))?;
    note(voice.paint(
        Style::Faint,
        format!("the server reads it once it knows the source: TIDINGS_SOURCES=NAME={}", mask_url(url)),
    ));
    Ok(())
}

async fn status(voice: Voice, url: &str) -> Result<(), Failure> {
    if Target::parse(url).is_missing() {
        return Err(Failure::failed(format!("{}: there is no such file", mask_url(url))));
    }
    let source = tidings_store::open_source(url).map_err(|error| source_failure(url, &error))?;
    let status = source.status().await.map_err(|error| source_failure(url, &error))?;
    let clock = source.clock().await.map_err(|error| source_failure(url, &error))?;
    let waited_ms = status.oldest_pending.map(|oldest| (clock.as_micros() - oldest.as_micros()).max(0) / 1_000);
    if voice.json {
        let oldest = status.oldest_pending.map(|oldest| oldest.to_string());
        return say_json(
            voice,
            &json!({"url": mask_url(url), "version": status.version, "pending": status.pending, "oldest_pending_at": oldest,
                "waited_ms": waited_ms, "intents": status.intents, "refused": status.refused}),
        );
    }
    let waiting = match waited_ms {
        Some(waited) => format!("{} (the oldest for {:.1} s)", status.pending, waited as f64 / 1_000.0),
        None => status.pending.to_string(),
    };
    let mut rows = table(&["outbox", ""]);
    rows.add_row(["database".to_owned(), mask_url(url)]);
    rows.add_row(["version".to_owned(), status.version.to_string()]);
    rows.add_row(["waiting".to_owned(), waiting]);
    rows.add_row(["open intents".to_owned(), status.intents.to_string()]);
    rows.add_row(["refused".to_owned(), status.refused.to_string()]);
    say_table(&rows)
}

/// What a source's error means for a command.
pub(crate) fn source_failure(url: &str, error: &SourceError) -> Failure {
    let exit = if matches!(error, SourceError::Unavailable(_)) { Exit::Unreachable } else { Exit::Failed };
    let hint = match error {
        SourceError::NotInstalled(_) => format!("\n  tidings outbox install --url {}", mask_url(url)),
        _ => String::new(),
    };
    Failure::new(exit, format!("{}: {error}{hint}", mask_url(url)))
}

fn sources(answer: &Value) -> Result<(), Failure> {
    let mut rows = table(&["source", "status", "version", "waiting", "oldest since", "intents", "refused"]);
    for source in answer["data"].as_array().map_or(&[][..], Vec::as_slice) {
        let members = [
            "/name",
            "/status",
            "/outbox/version",
            "/outbox/pending",
            "/outbox/oldest_pending_at",
            "/outbox/intents",
            "/outbox/refused",
        ];
        rows.add_row(members.map(|member| text(source, member)));
    }
    say_table(&rows)
}

fn refused(voice: Voice, entries: &[Value]) -> Result<(), Failure> {
    for entry in entries {
        let head = format!("{} {}", text(entry, "/source"), text(entry, "/id"));
        say(format!(
            "{}  {}  {}  tried {} times, since {}",
            voice.paint(Style::Strong, head),
            text(entry, "/source_key"),
            voice.paint_word(&text(entry, "/event/type")),
            text(entry, "/attempts"),
            text(entry, "/created_at"),
        ))?;
        // The reason has the members of a problem beside what is left out there.
        let reason = entry.get("error").cloned().unwrap_or_default();
        say(format!("  {}: {}", voice.paint(Style::Bad, text(&reason, "/code")), text(&reason, "/detail")))?;
        let errors =
            serde_json::from_value::<Vec<crate::http::Violation>>(reason["errors"].clone()).unwrap_or_default();
        for error in errors {
            say(format!("    at {}: {} ({})", tame(&error.path), tame(&error.message), tame(&error.code)))?;
        }
    }
    if entries.is_empty() {
        note(voice.paint(Style::Faint, "no refused rows"));
    }
    Ok(())
}
