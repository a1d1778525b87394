//! One module a command: its arguments and what it does.

pub(crate) mod backup;
pub(crate) mod catalog;
pub(crate) mod config;
pub(crate) mod dead_letters;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod emit;
pub(crate) mod endpoints;
pub(crate) mod events;
pub(crate) mod intents;
pub(crate) mod keys;
pub(crate) mod list;
pub(crate) mod listen;
pub(crate) mod log;
pub(crate) mod nodes;
pub(crate) mod outbox;
pub(crate) mod serve;
pub(crate) mod tail;
pub(crate) mod tenants;
pub(crate) mod top;
pub(crate) mod verify_consumer;
pub(crate) mod webhook;

use crate::args::{Cli, Command};
use crate::context::Context;
use crate::failure::Failure;

/// Runs the command that was asked for.
pub(crate) fn run(cli: Cli) -> Result<(), Failure> {
    let context = Context::new(&cli.global);
    match cli.command {
        Command::Serve(args) => serve::run(&context, &args),
        Command::Demo(args) => demo::run(&context, &args),
        Command::Emit(args) => emit::run(&context, *args),
        Command::Tail(args) => tail::run(&context, args),
        Command::Events(command) => events::run(&context, &command),
        Command::Tenants(command) => tenants::run(&context, &command),
        Command::Nodes(args) => nodes::run(&context, &args),
        Command::Keys(command) => keys::run(&context, &command),
        Command::Outbox(command) => outbox::run(&context, &command),
        Command::Intents(command) => intents::run(&context, &command),
        Command::Endpoints(command) => endpoints::run(&context, &command),
        Command::DeadLetters(command) => dead_letters::run(&context, &command),
        Command::Catalog(command) => catalog::run(&context, &command),
        Command::Listen(args) => listen::run(&context, args),
        Command::VerifyConsumer(args) => verify_consumer::run(&context, &args),
        Command::Log(command) => log::run(&context, &command),
        Command::Backup(args) => backup::backup(&context, &args),
        Command::Restore(args) => backup::restore(&context, &args),
        Command::Top(args) => top::run(&context, &args),
        Command::Doctor(args) => doctor::run(&context, &args),
        Command::Config(command) => config::run(&context, &command),
        Command::Openapi => openapi(),
    }
}

fn openapi() -> Result<(), Failure> {
    let text = tidings_server::openapi().to_pretty_json();
    crate::term::say(text.map_err(|error| Failure::failed(error.to_string()))?)
}
