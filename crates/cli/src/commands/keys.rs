//! `tidings keys`: who may do what.

use clap::{Subcommand, ValueEnum};
use http::Method;
use serde_json::{Value, json};

use super::list::{self, Paging, as_json, text};
use crate::args::Client;
use crate::context::{Context, run_until_interrupted};
use crate::failure::Failure;
use crate::http::segment;
use crate::term::{Style, note, say, say_json, say_table, table};

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Role {
    /// Everything
    Admin,
    /// Emit events and intents
    Producer,
    /// Read one tenant's feed and events, manage its endpoints
    Consumer,
    /// Read everything of its tenants
    Auditor,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key; it is shown this once
    #[command(
        after_help = "Examples:\n  tidings keys create --role producer --service sales --type-prefix sales. --description 'sales service'\n  \
                            tidings keys create --role consumer --tenant acme --expires 2027-01-01T00:00:00Z"
    )]
    Create {
        /// What it may do
        #[arg(long, value_enum)]
        role: Role,
        /// A tenant it is for; may be given several times [default: all]
        #[arg(long = "tenant", value_name = "TENANT")]
        tenants: Vec<String>,
        /// Types that a producer owns, like `sales.`; may be given several times [default: all]
        #[arg(long = "type-prefix", value_name = "PREFIX")]
        type_prefixes: Vec<String>,
        /// The service that a producer is: it emits in this name, and only types that the catalog says it owns
        #[arg(long, value_name = "SERVICE")]
        service: Option<String>,
        /// What it is for
        #[arg(long, value_name = "TEXT", default_value = "")]
        description: String,
        /// From when it is refused, as RFC 3339
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
        #[command(flatten)]
        client: Client,
    },
    /// List keys, without the keys themselves
    List {
        #[command(flatten)]
        paging: Paging,
        #[command(flatten)]
        client: Client,
    },
    /// Refuse a key from now on
    Revoke {
        /// The key's id, as `list` shows it
        id: String,
        #[command(flatten)]
        client: Client,
    },
}

pub(crate) fn run(context: &Context, command: &KeysCommand) -> Result<(), Failure> {
    let voice = context.voice;
    match command {
        KeysCommand::Create { role, tenants, type_prefixes, service, description, expires, client } => {
            let role = role.to_possible_value().map(|value| value.get_name().to_owned());
            let mut body =
                json!({"role": role, "tenants": tenants, "type_prefixes": type_prefixes, "description": description});
            if let Some(service) = service {
                body["service"] = Value::from(service.as_str());
            }
            if let Some(expires) = expires {
                body["expires_at"] = Value::from(expires.as_str());
            }
            let api = context.api(client)?;
            let made = run_until_interrupted(async { Ok(api.call(Method::POST, "/v1/keys", Some(&body)).await?) })?;
            if voice.json {
                return say_json(voice, &made);
            }
            note(voice.paint(
                Style::Faint,
                format!("key {} for the role {}; it is shown only now:", text(&made, "/id"), text(&made, "/role")),
            ));
            say(text(&made, "/key"))
        }
        KeysCommand::List { paging, client } => {
            let api = context.api(client)?;
            let (entries, cursor) = run_until_interrupted(list::read(&api, "/v1/keys", paging))?;
            if voice.json { say_json(voice, &as_json(&entries, cursor.as_deref())) } else { show(&entries) }
        }
        KeysCommand::Revoke { id, client } => {
            let api = context.api(client)?;
            let path = format!("/v1/keys/{}", segment(id));
            let answer = run_until_interrupted(async { Ok(api.call(Method::DELETE, &path, None).await?) })?;
            if voice.json { say_json(voice, &answer) } else { say(format!("revoked {id}")) }
        }
    }
}

fn show(entries: &[Value]) -> Result<(), Failure> {
    let mut rows = table(&["id", "role", "tenants", "types", "service", "description", "expires", "revoked"]);
    for entry in entries {
        let members =
            ["/id", "/role", "/tenants", "/type_prefixes", "/service", "/description", "/expires_at", "/revoked_at"];
        rows.add_row(members.map(|member| text(entry, member)));
    }
    say_table(&rows)
}
