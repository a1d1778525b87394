//! The settings as flags of a command, made from the list.

use std::marker::PhantomData;

use clap::builder::ValueHint;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::layer::settings_of;
use super::setting::{Group, Kind, Setting};

/// Which settings a command takes as flags.
pub(crate) trait Scope: 'static {
    /// Their groups.
    const GROUPS: &'static [Group];
}

/// The settings of a server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServerScope;
impl Scope for ServerScope {
    const GROUPS: &'static [Group] = &[Group::Server, Group::Tuning];
}

/// All settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AnyScope;
impl Scope for AnyScope {
    const GROUPS: &'static [Group] = &[Group::Server, Group::Tuning, Group::Client];
}

/// The settings of a client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientScope;
impl Scope for ClientScope {
    const GROUPS: &'static [Group] = &[Group::Client];
}

/// The flags that were given.
#[derive(Debug, Clone)]
pub(crate) struct Flags<S: Scope> {
    pub(crate) given: Vec<(&'static Setting, String)>,
    scope: PhantomData<S>,
}

impl<S: Scope> Args for Flags<S> {
    fn augment_args(command: Command) -> Command {
        settings_of(S::GROUPS).filter_map(argument).fold(command, Command::arg)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<S: Scope> FromArgMatches for Flags<S> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let flags = settings_of(S::GROUPS).filter(|setting| setting.flag.is_some());
        let given = flags.filter_map(|setting| Some((setting, matches.get_one::<String>(setting.name)?.clone())));
        Ok(Self { given: given.collect(), scope: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn argument(setting: &'static Setting) -> Option<Arg> {
    let heading = match setting.group {
        Group::Server => "Settings",
        Group::Tuning => "Sizes and times",
        Group::Client => "Server to speak to",
    };
    let mut help = setting.meaning.to_owned();
    let default = if setting.default.is_empty() { String::new() } else { format!(", default {}", setting.default) };
    help.push_str(&format!(" [{}{default}]", setting.env));
    let argument = Arg::new(setting.name).long(setting.flag?).help(help).help_heading(heading).num_args(1);
    let argument = argument.value_name(value_name(setting)).hide_short_help(setting.group == Group::Tuning);
    Some(match setting.kind {
        Kind::Path => argument.value_hint(ValueHint::AnyPath),
        Kind::Switch => argument.num_args(0..=1).default_missing_value("true"),
        _ => argument,
    })
}

fn value_name(setting: &Setting) -> &'static str {
    match setting.kind {
        Kind::Path => "PATH",
        Kind::Address => "HOST:PORT",
        Kind::Database | Kind::Server | Kind::Proxy => "URL",
        Kind::Nats => "URL,…",
        Kind::Integer(..) => "N",
        Kind::Switch => "true|false",
        Kind::Ranges => "RANGES",
        Kind::Ports => "PORTS",
        Kind::Sources => "NAME=URL,…",
        Kind::Shards => "NAME:RANGE=URL,…",
        Kind::Roles => "A,B",
        _ => "TEXT",
    }
}
