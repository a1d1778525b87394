//! `tidings verify-consumer`: a hostile but legal sender against a receiver of webhooks, and what the receiver got
//! wrong. Needs no server.

mod authenticity;
mod content;
mod load;
mod repeats;
mod report;
mod sender;

use std::time::Duration;

use serde_json::Value;

use self::report::{Group, Report};
use self::sender::{Effects, Sender, Template, accepted};
use super::emit::single::json_argument;
use super::webhook::given_secret;
use crate::context::{Context, run_until_interrupted};
use crate::failure::{Exit, Failure};
use crate::http::outward::Receiver;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Posts some hundred webhooks, made up here, to the URL: good ones, forged ones, repeated, reordered, large, odd and \
many at once. All are what Standard Webhooks and Tidings allow, or what a stranger could send. Ends with 1 if the \
receiver got one wrong. Use it on a receiver of a test environment: it takes the good ones for real.

With --state-url it also finds out whether repeats have effects: give a URL of the receiver whose answer changes \
with every event that it processes, a count for example.

Examples:
  tidings verify-consumer http://localhost:3000/webhooks --secret whsec_…
  tidings verify-consumer http://localhost:3000/webhooks --secret @webhook.secret --event @sample.json
  tidings verify-consumer http://localhost:3000/webhooks --secret @webhook.secret --state-url http://localhost:3000/count")]
pub(crate) struct VerifyConsumerArgs {
    /// The receiver
    url: String,
    /// The secret that it verifies with (whsec_…, or whsk_… for its whpk_…), @FILE, or @- for standard input
    #[arg(long, value_name = "SECRET")]
    secret: String,
    /// An event whose type, entity and data the receiver understands: JSON, or @FILE [default: one made up]
    #[arg(long, value_name = "JSON")]
    event: Option<String>,
    /// The tenant that the events are of
    #[arg(long, value_name = "TENANT", default_value = "verify-consumer")]
    tenant: String,
    /// A URL whose answer changes with every event that the receiver processes
    #[arg(long, value_name = "URL")]
    state_url: Option<String>,
    /// How long one answer is waited for, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=300))]
    timeout: u64,
}

pub(crate) fn run(context: &Context, args: &VerifyConsumerArgs) -> Result<(), Failure> {
    let timeout = Duration::from_secs(args.timeout);
    let receiver = Receiver::new(&args.url, timeout)?;
    let state = args.state_url.as_deref().map(|url| Receiver::new(url, timeout)).transpose()?;
    let sample = args.event.as_deref().map(|event| json_argument("--event", event)).transpose()?;
    let template = Template::of(&args.tenant, &sample.unwrap_or(Value::Null))?;
    let mut sender = Sender::new(receiver, state, &given_secret(&args.secret)?, template);
    let mut report = Report::new(context.voice, &args.url);
    run_until_interrupted(all(&mut sender, &mut report))?;
    report.end(&sender)?;
    if report.is_good() { Ok(()) } else { Err(Failure::silent(Exit::Failed)) }
}

async fn all(sender: &mut Sender, report: &mut Report) -> Result<(), Failure> {
    if !begin(sender, report).await? {
        // A receiver that refuses everything would pass half of the rest.
        return report.stop("the rest was left out: it means nothing before a good delivery is accepted");
    }
    authenticity::check(sender, report).await?;
    repeats::check(sender, report).await?;
    content::check(sender, report).await?;
    load::check(sender, report).await
}

/// The first good delivery, without which nothing else tells anything.
async fn begin(sender: &mut Sender, report: &mut Report) -> Result<bool, Failure> {
    report.group(Group::Basics)?;
    let before = sender.state().await;
    let good = sender.good()?;
    let answer = sender.send(good).await?;
    let is_accepted = answer.as_ref().is_ok_and(crate::http::outward::Answered::is_success);
    let mut outcome = accepted(&answer);
    if let Ok(answer) = &answer
        && matches!(answer.status, 400 | 401 | 403)
    {
        outcome = outcome.and("does it hold this secret, and is its clock right?");
    }
    report.add(
        "good_delivery",
        "accepts a good delivery",
        "Only an answer from 200 to 299 counts; all else is tried again and at last given up. Redirects are not followed.",
        outcome,
    )?;
    if is_accepted && let Some(effects) = sender.watch_effects(before).await {
        let why = "Without a state that changes, effects of repeats cannot be seen.";
        let outcome = match effects {
            Effects::Seen => report::Outcome::passed("it changed with the good delivery"),
            Effects::Unseen => report::Outcome::warned("it did not change with the good delivery"),
            Effects::Broken(reason) => report::Outcome::warned(reason),
        };
        report.add("state_url", "shows its effects at the state URL", why, outcome)?;
    }
    Ok(is_accepted)
}
