//! `tidings listen`: a tenant's live events as webhooks for a receiver on this machine, where no server could reach it.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::json;
use tidings_event::signature::{Secret, Signer};

use super::emit::single::text_argument;
use super::webhook::{Webhook, fresh_secret, given_secret, now_s};
use crate::args::Client;
use crate::context::{self, Context, interrupted};
use crate::failure::Failure;
use crate::http::feed::{Item, Query, Stream};
use crate::http::outward::{Answered, Receiver, Unanswered};
use crate::term::{Style, Voice, clip, note, say, say_json, tame};

/// How long one attempt may take: as long as an endpoint has where nothing else is set.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The wait before the second attempt; it doubles from one to the next.
const FIRST_WAIT: Duration = Duration::from_secs(1);

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Reads the feed of the server and posts each event to the URL, one after the other, as an endpoint would get it: \
same body, same headers, signed. What fails is tried again a few times, then left out. Nothing is kept at the \
server; the next run begins where --from says. After a lost connection it goes on where it was.

Examples:
  tidings listen --tenant acme http://localhost:3000/webhooks
  tidings listen --tenant acme --types 'sales.*' --from start --print-body http://localhost:3000/webhooks
  tidings listen --tenant acme --secret @webhook.secret http://localhost:3000/webhooks")]
pub(crate) struct ListenArgs {
    /// Where events are posted to
    #[arg(value_name = "URL")]
    target: String,
    /// The tenant
    #[arg(long, short, value_name = "TENANT")]
    tenant: String,
    /// Where to begin: start, now, a sequence (the one after which to read) or a time as RFC 3339
    #[arg(long, value_name = "WHERE", default_value = "now")]
    from: String,
    /// Only these types, with commas between: exact, or with a wildcard like `sales.*`
    #[arg(long, value_name = "TYPES")]
    types: Option<String>,
    /// Only events that match this pattern: JSON, or @FILE
    #[arg(long, value_name = "JSON")]
    filter: Option<String>,
    /// What to sign with (whsec_… or whsk_…), @FILE, or @- for standard input [default: one for this run]
    #[arg(long, value_name = "SECRET")]
    secret: Option<String>,
    /// Attempts of one event
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=20))]
    attempts: u32,
    /// Show each event, and what the receiver answered
    #[arg(long)]
    print_body: bool,
    /// End after so many events
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    #[command(flatten)]
    client: Client,
}

pub(crate) fn run(around: &Context, args: ListenArgs) -> Result<(), Failure> {
    let voice = around.voice;
    let api = around.api(&args.client)?;
    let receiver = Receiver::new(&args.target, TIMEOUT)?;
    let filter = args.filter.as_deref().map(|filter| text_argument("--filter", filter)).transpose()?;
    let secret = args.secret.as_deref().map_or_else(|| Ok(fresh_secret()), given_secret)?;
    greet(voice, &args, &secret)?;
    let relay = Relay {
        voice,
        receiver,
        signer: Signer::new(&[secret]),
        attempts_max: args.attempts,
        print_body: args.print_body,
        previous: None,
        figures: Figures::default(),
    };
    let query = Query { tenant: args.tenant, from: Some(args.from), types: args.types, filter };
    context::run(follow(Stream::new(api, query, None), relay, args.limit))
}

/// Says what will happen, and the secret if it was made for this run.
fn greet(voice: Voice, args: &ListenArgs, secret: &Secret) -> Result<(), Failure> {
    let made = args.secret.is_none().then(|| secret.reveal());
    if voice.json {
        let line = json!({"listening": {"tenant": args.tenant, "url": args.target, "secret": made}});
        return say_json(Voice { terminal: false, ..voice }, &line);
    }
    note(format!("events of {} go to {}", args.tenant, voice.paint(Style::Strong, &args.target)));
    if let Some(text) = made {
        note(format!(
            "signed with {}  {}",
            voice.paint(Style::Accent, text),
            voice.paint(Style::Faint, "(this run only)")
        ));
    }
    if let Some(public) = secret.public() {
        note(format!("verified with {}", voice.paint(Style::Accent, public)));
    }
    Ok(())
}

async fn follow(mut stream: Stream, mut relay: Relay, limit: Option<u64>) -> Result<(), Failure> {
    let ended = tokio::select! {
        ended = relay.run(&mut stream, limit) => ended,
        // Ctrl-C is how a person ends a live view: nothing failed.
        () = interrupted() => Ok(()),
    };
    relay.report();
    ended
}

#[derive(Debug, Default)]
struct Figures {
    taken: u64,
    given_up: u64,
    attempts: u64,
}

struct Relay {
    voice: Voice,
    receiver: Receiver,
    signer: Signer,
    attempts_max: u32,
    print_body: bool,
    /// The sequence that the receiver was sent before.
    previous: Option<u64>,
    figures: Figures,
}

/// What is needed of an event to send it.
#[derive(Deserialize)]
struct Head {
    id: String,
    #[serde(rename = "type")]
    event_type: String,
    sequence: u64,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Deserialize, Default)]
struct Metadata {
    traceparent: Option<String>,
}

impl Relay {
    async fn run(&mut self, stream: &mut Stream, limit: Option<u64>) -> Result<(), Failure> {
        let mut lost = false;
        while limit.is_none_or(|limit| self.figures.taken + self.figures.given_up < limit) {
            match stream.next().await? {
                Item::Connected if std::mem::take(&mut lost) => self.remark("connected again"),
                Item::Connected | Item::Progress => {}
                Item::Event(json) => self.relay(json).await?,
                Item::Lost { cause, wait } => {
                    lost = true;
                    self.remark(&format!("{cause}; trying again in {:.1} s", wait.as_secs_f64()));
                }
            }
        }
        Ok(())
    }

    /// Sends one event until the receiver takes it or all attempts are made.
    async fn relay(&mut self, json: String) -> Result<(), Failure> {
        let head: Head = serde_json::from_str(&json)
            .map_err(|error| Failure::failed(format!("an event of the feed cannot be read: {error}")))?;
        if self.print_body && !self.voice.json {
            say(self.voice.paint(Style::Faint, tame(&json)))?;
        }
        let mut webhook = Webhook {
            id: Some(head.id.clone()),
            sequence: head.sequence,
            previous: self.previous,
            body: Bytes::from(json),
            ..Webhook::default()
        };
        if let Some(value) = head.metadata.traceparent.as_deref().and_then(|text| HeaderValue::from_str(text).ok()) {
            webhook.more.push((TRACEPARENT, value));
        }
        self.previous = Some(head.sequence);
        let mut wait = FIRST_WAIT;
        for attempt in 1..=self.attempts_max {
            webhook.attempt = attempt;
            webhook.sign(&self.signer, now_s());
            let answer = self.receiver.post(webhook.headers()?, webhook.body.clone()).await;
            self.figures.attempts += 1;
            let is_taken = answer.as_ref().is_ok_and(Answered::is_success);
            let next = (!is_taken && attempt < self.attempts_max).then_some(wait);
            self.print(&head, attempt, &answer, next)?;
            match next {
                Some(wait) => tokio::time::sleep(wait).await,
                None if is_taken => {
                    self.figures.taken += 1;
                    break;
                }
                None => self.figures.given_up += 1,
            }
            wait *= 2;
        }
        Ok(())
    }

    fn print(
        &self,
        head: &Head,
        attempt: u32,
        answer: &Result<Answered, Unanswered>,
        next: Option<Duration>,
    ) -> Result<(), Failure> {
        let (status, failure, took) = match answer {
            Ok(answer) => (Some(answer.status), None, answer.took),
            Err(none) => (None, Some(none.reason.as_str()), none.took),
        };
        let body = answer.as_ref().map(|answer| String::from_utf8_lossy(&answer.body).into_owned()).unwrap_or_default();
        let ms = took.as_secs_f64() * 1_000.0;
        if self.voice.json {
            let mut line = json!({"id": head.id, "type": head.event_type, "sequence": head.sequence, "attempt": attempt,
                "status": status, "failure": failure, "duration_ms": ms, "last": next.is_none()});
            if self.print_body {
                line["response"] = body.into();
            }
            return say_json(Voice { terminal: false, ..self.voice }, &line);
        }
        let came_to = match status {
            Some(status @ 200..=299) => self.voice.paint(Style::Good, status),
            Some(status) => self.voice.paint(Style::Bad, status),
            None => self.voice.paint(Style::Bad, "---"),
        };
        let mut line = format!(
            "{came_to} {ms:>8.1} ms  {}  {}  {}",
            self.voice.paint(Style::Strong, format!("{:>7}", format!("#{}", head.sequence))),
            self.voice.paint_word(&tame(&head.event_type)),
            self.voice.paint(Style::Faint, tame(&head.id)),
        );
        if let Some(failure) = failure {
            line.push_str(&format!("  {}", tame(failure)));
        }
        match next {
            Some(wait) => line.push_str(&format!("  attempt {attempt}, again in {} s", wait.as_secs())),
            None if status.is_none_or(|status| !(200..300).contains(&status)) => {
                line.push_str(&format!(
                    "  {}",
                    self.voice.paint(Style::Bad, format!("given up after {attempt} attempts"))
                ));
            }
            None => {}
        }
        say(line)?;
        if self.print_body && !body.trim().is_empty() {
            say(format!("    {}", clip(&tame(body.trim()), 400)))?;
        }
        Ok(())
    }

    fn remark(&self, text: &str) {
        note(self.voice.paint(Style::Faint, text));
    }

    fn report(&self) {
        let Figures { taken, given_up, attempts } = self.figures;
        if !self.voice.json {
            self.remark(&format!("{taken} taken, {given_up} given up, {attempts} attempts"));
        }
    }
}
