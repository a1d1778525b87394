//! `tidings tenants`: who has events.

use clap::Subcommand;

use super::list::{self, Paging, as_json, text};
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
    /// Show one tenant: its last sequence, what retention has erased
    Get {
        /// The tenant
        tenant: String,
        #[command(flatten)]
        client: Client,
    },
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
        TenantsCommand::Get { tenant, client } => {
            let api = context.api(client)?;
            let path = format!("/v1/tenants/{}", segment(tenant));
            let answer = run_until_interrupted(async { Ok(api.get(&path).await?) })?;
            say_json(voice, &answer)
        }
    }
}
