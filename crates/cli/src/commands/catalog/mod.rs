//! `tidings catalog`: the published language, from files to a server and back.

mod check;
mod diff;
mod generate;
mod infer;
mod init;
mod look;
mod place;
mod quarantine;
mod sync;
mod verdict;

use std::path::Path;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum CatalogCommand {
    /// Make a folder with a small, complete catalog
    Init(init::InitArgs),
    /// Judge the names and the form of definitions
    #[command(
        after_help = "Examples:\n  tidings catalog lint catalog\n  tidings catalog lint --name sales.leads.create_lead"
    )]
    Lint(check::LintArgs),
    /// Check a folder: by itself, against a server or another folder, against past events
    #[command(after_help = "Examples:\n  tidings catalog check catalog\n  \
                            tidings catalog check catalog --against https://tidings.example.com --format github\n  \
                            tidings catalog check catalog --against server --against-log --tenant acme\n\n\
                            Exit codes: 0 nothing to mend, 1 something is, 2 wrong command line or folder, 3 no server")]
    Check(check::CheckArgs),
    /// Show what a folder would change, place by place
    Diff(diff::DiffArgs),
    /// Put a folder in force on a server: all of it or nothing
    #[command(after_help = "Example:\n  tidings catalog push catalog --override 'shop.order.placed@1=no consumer yet'")]
    Push(sync::PushArgs),
    /// Bring a server's catalog into a folder, byte for byte
    Pull(sync::PullArgs),
    /// Draft definitions from what a tenant's log holds
    #[command(after_help = "Example:\n  tidings catalog infer --tenant acme --type 'sales.*' --out catalog")]
    Infer(infer::InferArgs),
    /// Generate typed events, messages or an AsyncAPI document
    #[command(
        after_help = "Example:\n  tidings catalog generate catalog --target typescript --target go --out generated"
    )]
    Generate(generate::GenerateArgs),
    /// Write the catalog as a site: static, searchable
    Docs(generate::DocsArgs),
    /// List the types of a server's catalog
    List(look::ListArgs),
    /// Print a definition as its author wrote it
    #[command(
        after_help = "Examples:\n  tidings catalog show shop.order.placed\n  tidings catalog show shop.order.placed@1 --json\n  \
                            tidings catalog show set:currencies"
    )]
    Show(look::OneArgs),
    /// List who changed a type when, and why it was allowed
    History(look::OneArgs),
    /// Find out what would become of an event, without sending it
    #[command(after_help = "Example:\n  echo '{…}' | tidings catalog try")]
    Try(look::TryArgs),
    /// Show who publishes a type, as it was seen, and who subscribes
    Lineage(look::LineageArgs),
    /// List events that broke a rule and were taken all the same
    Violations(look::ViolationsArgs),
    /// Look after events that broke a rule and were kept aside
    #[command(subcommand)]
    Quarantine(quarantine::QuarantineCommand),
}

pub(crate) fn run(context: &Context, command: &CatalogCommand) -> Result<(), Failure> {
    match command {
        CatalogCommand::Init(args) => init::run(context, args),
        CatalogCommand::Lint(args) => check::lint(context, args),
        CatalogCommand::Check(args) => check::run(context, args),
        CatalogCommand::Diff(args) => diff::run(context, args),
        CatalogCommand::Push(args) => sync::push(context, args),
        CatalogCommand::Pull(args) => sync::pull(context, args),
        CatalogCommand::Infer(args) => infer::run(context, args),
        CatalogCommand::Generate(args) => generate::code(context, args),
        CatalogCommand::Docs(args) => generate::docs(context, args),
        CatalogCommand::List(args) => look::list(context, args),
        CatalogCommand::Show(args) => look::show(context, args),
        CatalogCommand::History(args) => look::history(context, args),
        CatalogCommand::Try(args) => look::trial(context, args),
        CatalogCommand::Lineage(args) => look::lineage(context, args),
        CatalogCommand::Violations(args) => look::marked(context, args),
        CatalogCommand::Quarantine(command) => quarantine::run(context, command),
    }
}

/// The day of today, as the server counts it: in UTC.
fn today() -> jiff::civil::Date {
    jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::now()).date()
}

/// Writes a file whole, with the folders on its way.
fn write_file(path: &Path, text: &str) -> Result<(), Failure> {
    let write = || {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, text)
    };
    write().map_err(|error: std::io::Error| Failure::failed(format!("{} cannot be written: {error}", path.display())))
}
