//! What an endpoint is made of, as flags.

use clap::ValueEnum;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{One, list_of};
use crate::args::Client;
use crate::commands::emit::single::text_argument;
use crate::failure::Failure;

#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// The event as the feed gives it
    Native,
    /// A CloudEvent
    Cloudevents,
}

#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// The whole event in the body
    Structured,
    /// Its data in the body, all else in headers
    Binary,
}

#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Ordering {
    /// About in the order of the log; nothing waits for anything
    None,
    /// Events of one entity in order
    Entity,
    /// All events in order, one at a time
    Strict,
}

/// How deliveries are signed.
#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Signature {
    /// HMAC-SHA256: the receiver holds the same secret
    V1,
    /// Ed25519: the receiver holds a public key
    V1a,
}

/// What both a new endpoint and a change of one can say.
#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    /// Which types it wants, with commas between: exact, or with a wildcard like `sales.*`
    #[arg(long, value_name = "TYPES")]
    types: Option<String>,
    /// A pattern that events must match beside their type: JSON, or @FILE
    #[arg(long, value_name = "JSON")]
    filter: Option<String>,
    /// How events are written
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// How CloudEvents are carried
    #[arg(long, value_enum, value_name = "MODE")]
    cloudevents_mode: Option<Mode>,
    /// In what order events are delivered
    #[arg(long, value_enum)]
    ordering: Option<Ordering>,
    /// Deliveries a second at most
    #[arg(long, value_name = "N")]
    rate_limit: Option<u32>,
    /// Milliseconds that one attempt may take
    #[arg(long, value_name = "MS")]
    timeout_ms: Option<u32>,
    /// A header of every delivery, as `NAME: VALUE`; may be given several times
    #[arg(long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// Seconds to wait before attempt 1, 2, 3, …, with commas between
    #[arg(long, value_name = "SECONDS", value_delimiter = ',')]
    retry_schedule: Option<Vec<u32>>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CreateArgs {
    /// The tenant
    pub(super) tenant: String,
    /// Where events are delivered to
    #[arg(value_name = "URL")]
    target: String,
    #[command(flatten)]
    settings: Settings,
    /// From which event on: now, start, a sequence, or a time as RFC 3339 [default: now]
    #[arg(long, value_name = "WHERE")]
    from: Option<String>,
    /// How deliveries are signed [default: v1]
    #[arg(long, value_enum)]
    signature: Option<Signature>,
    /// A secret of your own (whsec_… or whsk_…), @FILE, or @- for standard input
    #[arg(long, value_name = "SECRET")]
    secret: Option<String>,
    /// Deliver nothing until it is resumed
    #[arg(long)]
    paused: bool,
    /// Deliver nothing until its owner has answered a challenge (`endpoints verify`)
    #[arg(long)]
    challenge: bool,
    #[command(flatten)]
    pub(super) client: Client,
}

#[derive(Debug, clap::Args)]
pub(crate) struct UpdateArgs {
    #[command(flatten)]
    pub(super) one: One,
    /// Where events are delivered to from now on
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    #[command(flatten)]
    settings: Settings,
    /// Without a filter from now on
    #[arg(long, conflicts_with = "filter")]
    no_filter: bool,
    /// Without a rate limit from now on
    #[arg(long, conflicts_with = "rate_limit")]
    no_rate_limit: bool,
    /// Without headers of its own from now on
    #[arg(long, conflicts_with = "headers")]
    no_headers: bool,
}

/// A body's members, put together as text so that a pattern goes out as it was written.
#[derive(Serialize, Default)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    types: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<Box<RawValue>>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

impl<'a> Body<'a> {
    fn of(settings: &'a Settings) -> Result<Self, Failure> {
        let filter = settings.filter.as_deref().map(pattern).transpose()?;
        let mut body = Self { types: settings.types.as_deref().map(list_of), filter, ..Self::default() };
        body.put("format", settings.format);
        body.put("cloudevents_mode", settings.cloudevents_mode);
        body.put("ordering", settings.ordering);
        body.put("rate_limit_per_s", settings.rate_limit);
        body.put("timeout_ms", settings.timeout_ms);
        body.put("retry_schedule_s", settings.retry_schedule.as_ref());
        body.put("description", settings.description.as_deref());
        if !settings.headers.is_empty() {
            body.more.insert("headers".to_owned(), Value::Object(headers(&settings.headers)?));
        }
        Ok(body)
    }

    /// A member, if it was given.
    fn put(&mut self, name: &str, value: Option<impl Serialize>) {
        if let Some(value) = value.and_then(|value| serde_json::to_value(value).ok()) {
            self.more.insert(name.to_owned(), value);
        }
    }

    fn is_empty(&self) -> bool {
        self.url.is_none() && self.types.is_none() && self.filter.is_none() && self.more.is_empty()
    }

    fn write(&self) -> Result<String, Failure> {
        serde_json::to_string(self).map_err(|error| Failure::failed(error.to_string()))
    }
}

impl CreateArgs {
    /// The body of the request.
    pub(super) fn body(&self) -> Result<String, Failure> {
        let mut body = Body { url: Some(&self.target), ..Body::of(&self.settings)? };
        body.put("from", self.from.as_deref().map(moment));
        body.put("signature", self.signature);
        body.put("secret", self.secret.as_deref().map(secret).transpose()?);
        body.put("paused", self.paused.then_some(true));
        body.put("challenge", self.challenge.then_some(true));
        body.write()
    }
}

impl UpdateArgs {
    /// The body of the request.
    pub(super) fn body(&self) -> Result<String, Failure> {
        let mut body = Body { url: self.to.as_deref(), ..Body::of(&self.settings)? };
        let nothing = |wanted: bool| wanted.then_some(Value::Null);
        body.put("filter", nothing(self.no_filter));
        body.put("rate_limit_per_s", nothing(self.no_rate_limit));
        body.put("headers", self.no_headers.then(Map::new));
        if body.is_empty() {
            return Err(Failure::usage("nothing to change; `tidings endpoints update --help` says what can be"));
        }
        body.write()
    }
}

/// A pattern: JSON as it stands, or from a file.
pub(super) fn pattern(text: &str) -> Result<Box<RawValue>, Failure> {
    let text = text_argument("--filter", text)?.trim().to_owned();
    RawValue::from_string(text).map_err(|error| Failure::usage(format!("--filter is not JSON: {error}")))
}

/// A secret as it stands, or from a file.
pub(super) fn secret(text: &str) -> Result<String, Failure> {
    Ok(text_argument("--secret", text)?.trim().to_owned())
}

/// A place in the log: a number is a sequence, all else goes out as it is.
pub(super) fn moment(text: &str) -> Value {
    text.parse::<u64>().map_or_else(|_| Value::from(text), Value::from)
}

fn headers(given: &[String]) -> Result<Map<String, Value>, Failure> {
    let pairs = given.iter().map(|header| {
        let (name, value) = header
            .split_once(':')
            .ok_or_else(|| Failure::usage(format!("--header is 'NAME: VALUE'; '{header}' has no colon")))?;
        Ok((name.trim().to_ascii_lowercase(), Value::from(value.trim())))
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Create {
        #[command(flatten)]
        args: CreateArgs,
    }

    #[derive(Debug, Parser)]
    struct Update {
        #[command(flatten)]
        args: UpdateArgs,
    }

    #[track_caller]
    fn create(args: &[&str]) -> String {
        Create::parse_from([&["create", "acme", "https://a.example/"], args].concat()).args.body().unwrap()
    }

    #[track_caller]
    fn update(args: &[&str]) -> Result<String, Failure> {
        Update::parse_from([&["update", "acme", "ep_1"], args].concat()).args.body()
    }

    #[test]
    fn only_what_was_given_is_sent() {
        assert_eq!(create(&[]), r#"{"url":"https://a.example/"}"#);
        assert_eq!(
            create(&["--types", "sales.*, crm.note.added", "--header", "X-Key:  a:b", "--from", "7", "--paused"]),
            r#"{"url":"https://a.example/","types":["sales.*","crm.note.added"],"from":7,"headers":{"x-key":"a:b"},"paused":true}"#
        );
        assert_eq!(update(&["--retry-schedule", "0,5,60"]).unwrap(), r#"{"retry_schedule_s":[0,5,60]}"#);
        assert_eq!(
            update(&["--no-rate-limit", "--no-headers", "--no-filter"]).unwrap(),
            r#"{"filter":null,"headers":{},"rate_limit_per_s":null}"#
        );
        assert!(update(&[]).unwrap_err().text.contains("nothing to change"));
    }

    #[test]
    fn a_pattern_goes_out_as_it_was_written() {
        let filter = r#"{"filters":[{"field":"$.data.n","operator":"equals","value":9007199254740993.50}]}"#;
        assert_eq!(create(&["--filter", filter]), format!(r#"{{"url":"https://a.example/","filter":{filter}}}"#));
    }
}
