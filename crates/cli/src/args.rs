//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands::{
    backup, catalog, config, dead_letters, demo, doctor, emit, endpoints, events, intents, keys, listen, log, nodes,
    outbox, serve, tail, tenants, top, verify_consumer,
};
use crate::config::flags::{ClientScope, Flags};
use crate::term::ColorChoice;

const AFTER: &str = "\
Try it:
  tidings demo                     a shop, its events and their feed, with nothing set up
  tidings serve                    a server on 127.0.0.1:7411, with SQLite in ./tidings-data
  export TIDINGS_KEY=$(cat tidings-data/admin.key)
  tidings emit --tenant acme --type sales.lead.created --source service/sales --data '{\"name\":\"Ada\"}'
  tidings tail acme --from start
  tidings endpoints create acme https://example.com/webhooks --types 'sales.*'
  tidings listen --tenant acme http://localhost:3000/webhooks

Exit codes:
  0  done
  1  failed, or a check of `catalog`, `doctor`, `demo` or `verify-consumer` did
  2  wrong command line or configuration
  3  the server or database cannot be reached or is not available
  4  the server refused the request; standard error says why
  5  `emit --keep-going`: a part was written and a part refused
  130  interrupted";

/// The event backbone of a product: facts committed with your data, in order, without gaps.
#[derive(Debug, Parser)]
#[command(name = "tidings", version, after_help = AFTER, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Global {
    /// The configuration file [TIDINGS_CONFIG, default tidings.toml in the data directory]
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) config: Option<PathBuf>,
    /// Output for machines: JSON, one value a line where there are many
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// When to colour
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        hide_possible_values = false,
        hide_short_help = true
    )]
    pub(crate) color: ColorChoice,
}

/// Which server to speak to.
#[derive(Debug, Args)]
pub(crate) struct Client {
    #[command(flatten)]
    pub(crate) flags: Flags<ClientScope>,
}

/// Whose events: in its place, or as a flag.
#[derive(Debug, Args)]
pub(crate) struct Tenant {
    /// The tenant
    #[arg(value_name = "TENANT", required_unless_present = "by_flag")]
    in_place: Option<String>,
    /// The tenant, as a flag
    #[arg(long = "tenant", short = 't', value_name = "TENANT", conflicts_with = "in_place")]
    by_flag: Option<String>,
}

impl Tenant {
    /// Its name.
    pub(crate) fn name(&self) -> &str {
        self.in_place.as_deref().or(self.by_flag.as_deref()).unwrap_or_default()
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server
    Serve(serve::ServeArgs),
    /// Watch a small shop commit orders and Tidings deliver their events
    Demo(demo::DemoArgs),
    /// Write events into the log
    Emit(Box<emit::EmitArgs>),
    /// Follow a tenant's feed live
    Tail(tail::TailArgs),
    /// Find events
    #[command(subcommand)]
    Events(events::EventsCommand),
    /// Look at tenants
    #[command(subcommand)]
    Tenants(tenants::TenantsCommand),
    /// Show which nodes run, and what each owns
    Nodes(nodes::NodesArgs),
    /// Make, list and revoke API keys
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Install and look after outboxes
    #[command(subcommand)]
    Outbox(outbox::OutboxCommand),
    /// Announce an event before its change, then confirm or discard it
    #[command(subcommand)]
    Intents(intents::IntentsCommand),
    /// Make, change and operate the targets of webhooks
    #[command(subcommand)]
    Endpoints(endpoints::EndpointsCommand),
    /// Look after events that an endpoint did not take
    #[command(subcommand)]
    DeadLetters(dead_letters::DeadLettersCommand),
    /// Declare events: check, publish, generate, document
    #[command(subcommand)]
    Catalog(Box<catalog::CatalogCommand>),
    /// Relay a tenant's live events, signed, to a receiver on this machine
    Listen(listen::ListenArgs),
    /// Find out what a receiver of webhooks gets wrong
    VerifyConsumer(verify_consumer::VerifyConsumerArgs),
    /// Verify the log, or give a restored one a new id
    #[command(subcommand)]
    Log(log::LogCommand),
    /// Copy an SQLite log into a folder, while its server runs on
    Backup(backup::BackupArgs),
    /// Bring an SQLite log back from such a folder
    Restore(backup::RestoreArgs),
    /// Watch how a running server, or all nodes of one log, do
    Top(top::TopArgs),
    /// Check a configuration and its surroundings, or a running server
    Doctor(doctor::DoctorArgs),
    /// Show the configuration in force, or the reference of all settings
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Print the description of the HTTP API (OpenAPI 3.1)
    Openapi,
}
