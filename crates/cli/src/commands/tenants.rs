//! `tidings tenants`: who has events, and how many it may send.

mod limits;

use std::time::Duration;

use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};

use super::list::{self, Paging, as_json, text};
use super::log::progress;
use crate::args::Client;
use crate::context::{Context, run_until_interrupted};
use crate::failure::Failure;
use crate::http::segment;
use crate::term::{note, say_json, say_table, table};

#[derive(Debug, Subcommand)]
pub(crate) enum TenantsCommand {
    /// List tenants by name
    List {
        #[command(flatten)]
        paging: Paging,
        #[command(flatten)]
        client: Client,
    },
    /// Move a tenant to another partition, also of another database, while everything goes on
    #[command(
        after_help = "Its log stays as it is; what is appended from then on goes to the other partition. Into another \
                            database its events are copied first. May be run again whatever came of it.\n\nExample:\n  tidings tenants move acme --to 3"
    )]
    Move {
        /// The tenant
        tenant: String,
        /// The partition, from 0
        #[arg(long, value_name = "PARTITION")]
        to: u32,
        #[command(flatten)]
        client: Client,
    },
    /// What tenants may send
    #[command(subcommand)]
    Limits(limits::LimitsCommand),
    /// Show one tenant: its last sequence, what retention has erased
    Get {
        /// The tenant
        tenant: String,
        #[command(flatten)]
        client: Client,
    },
}

/// How soon a move that could not be made yet is asked for again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// How soon the next step of a move that goes on is asked for.
const ON_AFTER: Duration = Duration::from_millis(50);

/// Moves a tenant: one step after the other, until it lives where it shall.
fn move_to(context: &Context, tenant: &str, partition: u32, client: &Client) -> Result<(), Failure> {
    let api = context.api(client)?;
    let path = format!("/v1/tenants/{}/move", segment(tenant));
    let body = json!({ "partition": partition });
    let bar = progress(context.voice, "{spinner} {msg} for {elapsed}");
    bar.set_message("waiting");
    let answer = run_until_interrupted(async {
        let mut told = false;
        loop {
            let answer = api.call(Method::POST, &path, Some(&body)).await?;
            if answer.pointer("/done").and_then(Value::as_bool) != Some(false) {
                return Ok(answer);
            }
            let number = |name: &str| answer.pointer(name).and_then(Value::as_u64);
            if let Some((copied, head)) = number("/copied").zip(number("/head")) {
                bar.set_message(format!("{copied} of {head} events are in the other database; at it"));
                bar.tick();
                tokio::time::sleep(ON_AFTER).await;
                continue;
            }
            if !std::mem::replace(&mut told, true) {
                note(format!(
                    "{tenant} moves once the router of partition {partition} has passed what a tenant left there; \
                     `tidings nodes` says whether one runs"
                ));
            }
            bar.tick();
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    });
    bar.finish_and_clear();
    let answer = answer?;
    if context.voice.json {
        return say_json(context.voice, &answer);
    }
    let moved = answer.pointer("/moved").and_then(Value::as_bool) == Some(true);
    note(format!("{tenant} {} partition {partition}", if moved { "moved to" } else { "lives in" }));
    Ok(())
}

pub(crate) fn run(context: &Context, command: &TenantsCommand) -> Result<(), Failure> {
    let voice = context.voice;
    match command {
        TenantsCommand::List { paging, client } => {
            let api = context.api(client)?;
            let (entries, cursor) = run_until_interrupted(list::read(&api, "/v1/tenants", paging))?;
            if voice.json {
                return say_json(voice, &as_json(&entries, cursor.as_deref()));
            }
            let mut rows = table(&["tenant", "events", "erased up to", "since"]);
            for entry in &entries {
                rows.add_row(["/tenant", "/head", "/floor", "/created_at"].map(|member| text(entry, member)));
            }
            say_table(&rows)?;
            if cursor.is_some() {
                note("there are more: --all, or --limit with a larger number");
            }
            Ok(())
        }
        TenantsCommand::Move { tenant, to, client } => move_to(context, tenant, *to, client),
        TenantsCommand::Limits(command) => limits::run(context, command),
        TenantsCommand::Get { tenant, client } => {
            let api = context.api(client)?;
            let path = format!("/v1/tenants/{}", segment(tenant));
            let answer = run_until_interrupted(async { Ok(api.get(&path).await?) })?;
            say_json(voice, &answer)
        }
    }
}
