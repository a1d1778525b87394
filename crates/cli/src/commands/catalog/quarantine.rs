//! `tidings catalog quarantine`: events that broke a rule and were kept aside.

use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};

use crate::args::{Client, Tenant};
use crate::commands::list::{self, Paging, as_json, query, text};
use crate::context::{Context, run_until_interrupted};
use crate::failure::Failure;
use crate::http::{Api, segment};
use crate::term::{Style, note, say, say_json, say_table, table};

#[derive(Debug, Subcommand)]
pub(crate) enum QuarantineCommand {
    /// List what is kept aside, in the order in which it came
    List(ListArgs),
    /// Show one event and the rules that it broke
    Get(OneArgs),
    /// Judge events again, by the catalog as it is now, and write those in order into the log
    #[command(after_help = "Examples:\n  tidings catalog quarantine redrive acme 17\n  \
                            tidings catalog quarantine redrive acme --all --type sales.lead.created")]
    Redrive(RedriveArgs),
    /// Give events up for good
    Discard(SettleArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    tenant: Tenant,
    /// Only events of this type
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    client: Client,
}

#[derive(Debug, clap::Args)]
pub(crate) struct OneArgs {
    /// The tenant
    tenant: String,
    /// The number, as `list` shows it
    no: i64,
    #[command(flatten)]
    client: Client,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SettleArgs {
    /// The tenant
    tenant: String,
    /// The number, as `list` shows it
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    no: Option<i64>,
    /// All of the tenant, or of one type
    #[arg(long)]
    all: bool,
    /// Only events of this type
    #[arg(long = "type", value_name = "TYPE", requires = "all")]
    event_type: Option<String>,
    #[command(flatten)]
    client: Client,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RedriveArgs {
    #[command(flatten)]
    which: SettleArgs,
    /// Take them whatever rules they break; takes an admin's key
    #[arg(long)]
    as_is: bool,
}

pub(crate) fn run(context: &Context, command: &QuarantineCommand) -> Result<(), Failure> {
    match command {
        QuarantineCommand::List(args) => list(context, args),
        QuarantineCommand::Get(args) => {
            let api = context.api(&args.client)?;
            let path = format!("{}/{}", all(&args.tenant), args.no);
            let answer = run_until_interrupted(async { Ok(api.get(&path).await?) })?;
            say_json(context.voice, &answer)
        }
        QuarantineCommand::Redrive(args) => redrive(context, args),
        QuarantineCommand::Discard(args) => discard(context, args),
    }
}

fn all(tenant: &str) -> String {
    format!("/v1/tenants/{}/quarantine", segment(tenant))
}

fn list(context: &Context, args: &ListArgs) -> Result<(), Failure> {
    let voice = context.voice;
    let api = context.api(&args.client)?;
    let path = format!("{}{}", all(args.tenant.name()), query(&[("type", args.event_type.as_deref())]));
    let (entries, cursor) = run_until_interrupted(list::read(&api, &path, &args.paging))?;
    if voice.json {
        return say_json(voice, &as_json(&entries, cursor.as_deref()));
    }
    if entries.is_empty() {
        note(voice.paint(Style::Faint, "nothing is kept aside"));
        return Ok(());
    }
    let mut rows = table(&["no", "type", "event", "sender", "when", "first rule broken"]);
    for entry in &entries {
        let [no, name, version, event, sender, at] =
            ["/no", "/event_type", "/version", "/event_id", "/sender", "/at"].map(|member| text(entry, member));
        let more = entry["violations"].as_array().map_or(0, Vec::len).saturating_sub(1);
        let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
        let broken = format!("{} {}{more}", text(entry, "/violations/0/path"), text(entry, "/violations/0/message"));
        rows.add_row([no, format!("{name}@{version}"), event, sender, at, broken]);
    }
    say_table(&rows)?;
    if cursor.is_some() {
        note("there are more: --all, or --limit with a larger number");
    }
    Ok(())
}

fn redrive(context: &Context, args: &RedriveArgs) -> Result<(), Failure> {
    let voice = context.voice;
    let which = &args.which;
    let api = context.api(&which.client)?;
    if let Some(no) = which.no {
        let flag = if args.as_is { "?as_is=true" } else { "" };
        let path = format!("{}/{no}/redrive{flag}", all(&which.tenant));
        let answer = run_until_interrupted(async { Ok(api.call(Method::POST, &path, None).await?) })?;
        return if voice.json { say_json(voice, &answer) } else { say(format!("{no} is in the log")) };
    }
    let (redriven, kept) = run_until_interrupted(redrive_all(&api, which, args.as_is))?;
    if voice.json {
        return say_json(voice, &json!({"redriven": redriven, "kept": kept}));
    }
    say(format!("{redriven} events are in the log, {kept} still break a rule"))
}

async fn redrive_all(api: &Api, which: &SettleArgs, as_is: bool) -> Result<(u64, u64), Failure> {
    let path = format!("{}/redrive", all(&which.tenant));
    let (mut redriven, mut kept, mut cursor) = (0, 0, Value::Null);
    loop {
        let mut body = json!({ "as_is": as_is });
        if let Some(name) = &which.event_type {
            body["type"] = Value::from(name.as_str());
        }
        if cursor.is_string() {
            body["cursor"] = cursor;
        }
        let answer = api.call(Method::POST, &path, Some(&body)).await?;
        redriven += answer["redriven"].as_u64().unwrap_or_default();
        kept += answer["kept"].as_u64().unwrap_or_default();
        cursor = answer["cursor"].clone();
        if cursor.is_null() {
            return Ok((redriven, kept));
        }
    }
}

fn discard(context: &Context, args: &SettleArgs) -> Result<(), Failure> {
    let voice = context.voice;
    let api = context.api(&args.client)?;
    if let Some(no) = args.no {
        let path = format!("{}/{no}", all(&args.tenant));
        let answer = run_until_interrupted(async { Ok(api.call(Method::DELETE, &path, None).await?) })?;
        return if voice.json { say_json(voice, &answer) } else { say(format!("{no} is discarded")) };
    }
    let path = format!("{}/discard", all(&args.tenant));
    let body = args.event_type.as_ref().map_or_else(|| json!({}), |name| json!({ "type": name }));
    let count = run_until_interrupted(async {
        let mut count = 0;
        loop {
            let answer = api.call(Method::POST, &path, Some(&body)).await?;
            count += answer["count"].as_u64().unwrap_or_default();
            if answer["more"] != json!(true) {
                return Ok(count);
            }
        }
    })?;
    if voice.json { say_json(voice, &json!({ "count": count })) } else { say(format!("{count} events are discarded")) }
}
