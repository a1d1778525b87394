//! `tidings dead-letters`: events that an endpoint did not take.

use clap::{Subcommand, ValueEnum};
use http::Method;
use serde_json::{Map, Value};

use super::list::{self, Paging, as_json, query, text};
use crate::args::{Client, Tenant};
use crate::context::{Context, run_until_interrupted};
use crate::failure::Failure;
use crate::http::segment;
use crate::term::{Style, note, say, say_json, say_table, table};

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// List dead letters, oldest event first
    #[command(after_help = "Example:\n  tidings dead-letters list acme --endpoint ep_01JD… --reason exhausted")]
    List(ListArgs),
    /// Show one dead letter
    Get(GetArgs),
    /// Deliver dead letters after all: due at once, with their endpoint's whole schedule again
    #[command(after_help = "Examples:\n  tidings dead-letters redrive acme dl_01JD…_1207\n  \
                            tidings dead-letters redrive acme --all --endpoint ep_01JD… --since 2026-03-15T10:00:00Z")]
    Redrive(SettleArgs),
    /// Give dead letters up for good; their events stay in the log
    #[command(after_help = "Examples:\n  tidings dead-letters discard acme dl_01JD…_1207\n  \
                            tidings dead-letters discard acme --all --type sales.lead.created")]
    Discard(SettleArgs),
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Reason {
    /// Every attempt of its schedule failed
    Exhausted,
    /// Its endpoint failed altogether for as long as the schedule reaches
    Expired,
    /// Its payload was erased
    Undeliverable,
}

impl Reason {
    fn name(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::Expired => "expired",
            Self::Undeliverable => "undeliverable",
        }
    }
}

/// Which dead letters; all that is given must hold.
#[derive(Debug, clap::Args)]
pub(crate) struct Filter {
    /// Of this endpoint
    #[arg(long, value_name = "ENDPOINT")]
    endpoint: Option<String>,
    /// Events of this type
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Given up for this reason
    #[arg(long, value_enum)]
    reason: Option<Reason>,
    /// Given up at this time or later, as RFC 3339
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Given up before this time, as RFC 3339
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl Filter {
    fn members(&self) -> [(&'static str, Option<&str>); 5] {
        [
            ("endpoint", self.endpoint.as_deref()),
            ("type", self.event_type.as_deref()),
            ("reason", self.reason.map(Reason::name)),
            ("since", self.since.as_deref()),
            ("until", self.until.as_deref()),
        ]
    }

    fn any(&self) -> bool {
        self.members().iter().any(|(_, value)| value.is_some())
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    tenant: Tenant,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    client: Client,
}

#[derive(Debug, clap::Args)]
pub(crate) struct GetArgs {
    /// The tenant
    tenant: String,
    /// The dead letter's id, as `list` shows it
    id: String,
    #[command(flatten)]
    client: Client,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SettleArgs {
    /// The tenant
    tenant: String,
    /// The dead letter's id, as `list` shows it
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    id: Option<String>,
    /// All that the conditions below hold for; all of the tenant without any
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    client: Client,
}

/// What is done to dead letters.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Redrive,
    Discard,
}

pub(crate) fn run(context: &Context, command: &DeadLettersCommand) -> Result<(), Failure> {
    match command {
        DeadLettersCommand::List(args) => list(context, args),
        DeadLettersCommand::Get(args) => {
            let api = context.api(&args.client)?;
            let path = one(&args.tenant, &args.id);
            let answer = run_until_interrupted(async { Ok(api.get(&path).await?) })?;
            say_json(context.voice, &answer)
        }
        DeadLettersCommand::Redrive(args) => settle(context, args, Fate::Redrive),
        DeadLettersCommand::Discard(args) => settle(context, args, Fate::Discard),
    }
}

fn all(tenant: &str) -> String {
    format!("/v1/tenants/{}/dead-letters", segment(tenant))
}

fn one(tenant: &str, id: &str) -> String {
    format!("{}/{}", all(tenant), segment(id))
}

fn list(context: &Context, args: &ListArgs) -> Result<(), Failure> {
    let voice = context.voice;
    let api = context.api(&args.client)?;
    let path = format!("{}{}", all(args.tenant.name()), query(&args.filter.members()));
    let (entries, cursor) = run_until_interrupted(list::read(&api, &path, &args.paging))?;
    if voice.json {
        return say_json(voice, &as_json(&entries, cursor.as_deref()));
    }
    if entries.is_empty() {
        note(voice.paint(Style::Faint, "no dead letters"));
        return Ok(());
    }
    let mut rows = table(&["dead letter", "type", "sequence", "attempts", "last", "reason", "given up"]);
    for entry in &entries {
        let last =
            if entry["last_status"].is_u64() { text(entry, "/last_status") } else { text(entry, "/last_failure") };
        let [id, kind, sequence, attempts, reason, died] =
            ["/id", "/event_type", "/sequence", "/attempts", "/reason", "/died_at"].map(|member| text(entry, member));
        rows.add_row([id, kind, format!("#{sequence}"), attempts, last, reason, died]);
    }
    say_table(&rows)?;
    if cursor.is_some() {
        note("there are more: --all, or --limit with a larger number");
    }
    Ok(())
}

fn settle(context: &Context, args: &SettleArgs, fate: Fate) -> Result<(), Failure> {
    let voice = context.voice;
    let api = context.api(&args.client)?;
    if let Some(id) = &args.id {
        if args.filter.any() {
            return Err(Failure::usage("conditions go with --all; an id means one dead letter"));
        }
        let (method, path, done) = match fate {
            Fate::Redrive => (Method::POST, format!("{}/redrive", one(&args.tenant, id)), "is due again"),
            Fate::Discard => (Method::DELETE, one(&args.tenant, id), "is discarded"),
        };
        let answer = run_until_interrupted(async { Ok(api.call(method, &path, None).await?) })?;
        return if voice.json { say_json(voice, &answer) } else { say(format!("{id} {done}")) };
    }
    let given = args.filter.members().into_iter();
    let given = given.filter_map(|(name, value)| Some((name.to_owned(), Value::from(value?))));
    let body = Value::Object(given.collect::<Map<_, _>>());
    let (verb, done) = match fate {
        Fate::Redrive => ("redrive", "are due again"),
        Fate::Discard => ("discard", "are discarded"),
    };
    let path = format!("{}/{verb}", all(&args.tenant));
    let answer = run_until_interrupted(async { Ok(api.call(Method::POST, &path, Some(&body)).await?) })?;
    if voice.json { say_json(voice, &answer) } else { say(format!("{} dead letters {done}", text(&answer, "/count"))) }
}
