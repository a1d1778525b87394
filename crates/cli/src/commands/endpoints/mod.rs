//! `tidings endpoints`: the targets of webhooks, made, changed and operated.

mod attempts;
mod backtest;
mod exchange;
mod manage;
mod replay;
mod secrets;
mod settings;
mod stats;

use clap::Subcommand;
use http::Method;
use serde_json::Value;

use crate::args::{Client, Tenant};
use crate::commands::list::Paging;
use crate::context::{Context, run_until_interrupted};
use crate::failure::Failure;
use crate::http::{Api, segment};
use crate::term::{Style, Voice, say};

#[derive(Debug, Subcommand)]
pub(crate) enum EndpointsCommand {
    /// List a tenant's endpoints in the order in which they were made
    List(ListArgs),
    /// Show one endpoint
    Get(One),
    /// Make an endpoint; its secret is shown this once
    #[command(
        after_help = "Examples:\n  tidings endpoints create acme https://example.com/webhooks --types 'sales.*' --ordering entity\n  \
                            tidings endpoints create acme https://example.com/webhooks --from start --header 'x-api-key: …'\n  \
                            tidings endpoints create acme https://example.com/webhooks --challenge   # then: endpoints verify"
    )]
    Create(Box<settings::CreateArgs>),
    /// Change an endpoint; what is not named stays
    #[command(
        after_help = "Examples:\n  tidings endpoints update acme ep_01JD… --types 'sales.*,billing.invoice.paid'\n  \
                            tidings endpoints update acme ep_01JD… --retry-schedule 0,5,60,600 --no-rate-limit"
    )]
    Update(Box<settings::UpdateArgs>),
    /// Delete an endpoint, its secrets, what waits for it and its dead letters
    Delete(One),
    /// Deliver nothing until it is resumed; it keeps its place
    Pause(One),
    /// Deliver again, from where it stood; also after Tidings disabled it
    Resume(One),
    /// List which secrets sign now, without the secrets themselves
    Secret(One),
    /// Give an endpoint a new secret; the old ones go on beside it for a while
    #[command(
        after_help = "Examples:\n  tidings endpoints rotate acme ep_01JD…               # old secrets sign for another day\n  \
                            tidings endpoints rotate acme ep_01JD… --overlap 0   # a secret has leaked: it ends now"
    )]
    Rotate(secrets::RotateArgs),
    /// Challenge the owner of an endpoint's URL, which makes it active
    Verify(One),
    /// Send a signed sample now and show the whole exchange
    Test(exchange::TestArgs),
    /// Show how far behind an endpoint is, how fast it answers, and its circuit
    Stats(One),
    /// List what was tried, newest first
    #[command(after_help = "Examples:\n  tidings endpoints attempts acme ep_01JD… --status failed\n  \
                            tidings endpoints attempts acme ep_01JD… --status 5xx --since 2026-03-15T10:00:00Z --all --json")]
    Attempts(attempts::AttemptsArgs),
    /// Say why an event did or did not reach an endpoint
    Explain(attempts::ExplainArgs),
    /// Send past events again, beside what is live
    #[command(subcommand)]
    Replay(replay::ReplayCommand),
    /// Try a selection on past events before an endpoint is made with it
    #[command(
        after_help = "Example:\n  tidings endpoints backtest acme --types 'sales.*' --since 2026-03-01T00:00:00Z \\\n    \
                            --filter '{\"filters\":[{\"field\":\"$.data.amount\",\"operator\":\"gte\",\"value\":1500}]}'"
    )]
    Backtest(backtest::BacktestArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    tenant: Tenant,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    client: Client,
}

/// One endpoint.
#[derive(Debug, clap::Args)]
pub(crate) struct One {
    /// The tenant
    tenant: String,
    /// The endpoint's id, as `list` shows it
    #[arg(value_name = "ENDPOINT")]
    id: String,
    #[command(flatten)]
    client: Client,
}

impl One {
    /// Its path, and what follows.
    fn path(&self, rest: &str) -> String {
        format!("{}/{}{rest}", all(&self.tenant), segment(&self.id))
    }
}

/// The path of a tenant's endpoints.
fn all(tenant: &str) -> String {
    format!("/v1/tenants/{}/endpoints", segment(tenant))
}

pub(crate) fn run(context: &Context, command: &EndpointsCommand) -> Result<(), Failure> {
    match command {
        EndpointsCommand::List(args) => manage::list(context, args),
        EndpointsCommand::Get(one) => manage::get(context, one),
        EndpointsCommand::Create(args) => manage::create(context, args),
        EndpointsCommand::Update(args) => manage::update(context, args),
        EndpointsCommand::Delete(one) => manage::delete(context, one),
        EndpointsCommand::Pause(one) => manage::set_status(context, one, "paused"),
        EndpointsCommand::Resume(one) => manage::set_status(context, one, "active"),
        EndpointsCommand::Secret(one) => secrets::list(context, one),
        EndpointsCommand::Rotate(args) => secrets::rotate(context, args),
        EndpointsCommand::Verify(one) => exchange::verify(context, one),
        EndpointsCommand::Test(args) => exchange::test(context, args),
        EndpointsCommand::Stats(one) => stats::run(context, one),
        EndpointsCommand::Attempts(args) => attempts::run(context, args),
        EndpointsCommand::Explain(args) => attempts::explain(context, args),
        EndpointsCommand::Replay(command) => replay::run(context, command),
        EndpointsCommand::Backtest(args) => backtest::run(context, args),
    }
}

/// What the server answered: its very text for machines, its members for people.
struct Answer {
    text: String,
    value: Value,
}

/// Makes one request and reads its answer.
fn ask(
    context: &Context,
    client: &Client,
    method: Method,
    path: &str,
    body: Option<String>,
) -> Result<Answer, Failure> {
    let api = context.api(client)?;
    run_until_interrupted(fetch(&api, method, path, body))
}

async fn fetch(api: &Api, method: Method, path: &str, body: Option<String>) -> Result<Answer, Failure> {
    let text = api.call_raw(method, path, body).await?;
    let value = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or_default() };
    Ok(Answer { text, value })
}

/// Lines of a name and a value each, the values below each other.
fn say_card(voice: Voice, rows: &[(&str, String)]) -> Result<(), Failure> {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    for (name, value) in rows {
        say(format!("{}  {value}", voice.paint(Style::Faint, format!("{name:<width$}"))))?;
    }
    Ok(())
}

/// A list with commas between as a JSON array.
fn list_of(text: &str) -> Vec<&str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect()
}

/// Seconds for people: `45 s`, `5 min`, `2 h`, `3 d`.
fn span(seconds: f64) -> String {
    let (unit, size) = match seconds {
        s if s < 120.0 => ("s", 1.0),
        s if s < 7_200.0 => ("min", 60.0),
        s if s < 172_800.0 => ("h", 3_600.0),
        _ => ("d", 86_400.0),
    };
    let number = seconds / size;
    if number.fract() == 0.0 || number >= 100.0 { format!("{number:.0} {unit}") } else { format!("{number:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_the_unit_that_a_person_would_take() {
        let spans = [0.0, 1.5, 45.0, 300.0, 5_400.0, 7_200.0, 86_400.0, 432_000.0].map(span);
        assert_eq!(spans, ["0 s", "1.5 s", "45 s", "5 min", "90 min", "2 h", "24 h", "5 d"]);
    }
}
