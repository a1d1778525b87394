//! `tidings tenants limits`: how much a tenant may send.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use crate::args::Client;
use crate::commands::list::text;
use crate::context::{Context, run_until_interrupted};
use crate::failure::Failure;
use crate::http::segment;
use crate::term::{say_json, say_table, table};

#[derive(Debug, Subcommand)]
pub(crate) enum LimitsCommand {
    /// Show what a tenant may send, and by whose word
    Get {
        /// The tenant
        tenant: String,
        #[command(flatten)]
        client: Client,
    },
    /// Say what a tenant may send, in place of what was said before
    #[command(after_help = "What is not given is the server's default; 0 is no limit.\n\n\
                            Example:\n  tidings tenants limits set acme --events-per-s 500 --events-burst 5000")]
    Set {
        /// The tenant; it need not have been seen yet
        tenant: String,
        #[command(flatten)]
        numbers: Numbers,
        #[command(flatten)]
        client: Client,
    },
    /// Give a tenant the server's defaults back
    Clear {
        /// The tenant
        tenant: String,
        #[command(flatten)]
        client: Client,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Numbers {
    /// Events a second
    #[arg(long, value_name = "N")]
    events_per_s: Option<u64>,
    /// Events at once; never less than a second brings
    #[arg(long, value_name = "N")]
    events_burst: Option<u64>,
    /// Bytes a second: of data, and 512 for each event
    #[arg(long, value_name = "N")]
    bytes_per_s: Option<u64>,
    /// Bytes at once; never less than a second brings
    #[arg(long, value_name = "N")]
    bytes_burst: Option<u64>,
}

pub(super) fn run(context: &Context, command: &LimitsCommand) -> Result<(), Failure> {
    let (method, tenant, body, client) = match command {
        LimitsCommand::Get { tenant, client } => (Method::GET, tenant, None, client),
        LimitsCommand::Clear { tenant, client } => (Method::DELETE, tenant, None, client),
        LimitsCommand::Set { tenant, numbers, client } => {
            let body = json!({
                "events_per_s": numbers.events_per_s, "events_burst": numbers.events_burst,
                "bytes_per_s": numbers.bytes_per_s, "bytes_burst": numbers.bytes_burst,
            });
            (Method::PUT, tenant, Some(body), client)
        }
    };
    let api = context.api(client)?;
    let path = format!("/v1/tenants/{}/limits", segment(tenant));
    let answer = run_until_interrupted(async { Ok(api.call(method, &path, body.as_ref()).await?) })?;
    if context.voice.json {
        return say_json(context.voice, &answer);
    }
    let mut rows = table(&["", "in force", "its own"]);
    for member in ["events_per_s", "events_burst", "bytes_per_s", "bytes_burst"] {
        let in_force = match answer.pointer(&format!("/in_force/{member}")).and_then(Value::as_u64) {
            Some(0) => "no limit".to_owned(),
            _ => text(&answer, &format!("/in_force/{member}")),
        };
        rows.add_row([member.to_owned(), in_force, text(&answer, &format!("/own/{member}"))]);
    }
    say_table(&rows)
}
