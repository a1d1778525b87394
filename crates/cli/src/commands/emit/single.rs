//! One event, by flags.

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::failure::Failure;

/// The envelope's members as flags.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "One event")]
pub(crate) struct Fields {
    /// Whose event it is
    #[arg(long, short)]
    tenant: Option<String>,
    /// What happened: 2 to 5 dotted segments like sales.lead.created
    #[arg(long = "type", short = 'T', value_name = "TYPE")]
    event_type: Option<String>,
    /// Who says so: KIND/ID, like service/sales
    #[arg(long, short, value_name = "KIND/ID")]
    source: Option<String>,
    /// The payload: a JSON object, @FILE, or @- for standard input
    #[arg(long, short, value_name = "JSON")]
    data: Option<String>,
    /// What it happened to: TYPE/ID, like lead/42
    #[arg(long, short, value_name = "TYPE/ID")]
    entity: Option<String>,
    /// The event's id; the same id is never written twice [default: a new ULID]
    #[arg(long)]
    id: Option<String>,
    /// When it happened, as RFC 3339 [default: now]
    #[arg(long, value_name = "TIME")]
    timestamp: Option<String>,
    /// The version of the type's schema
    #[arg(long = "type-version", value_name = "VERSION")]
    version: Option<String>,
    /// A part of the tenant
    #[arg(long)]
    project: Option<String>,
    /// Who caused it
    #[arg(long)]
    actor: Option<String>,
    /// Shared by all events of one request or process
    #[arg(long, value_name = "ID")]
    correlation_id: Option<String>,
    /// The event that led to this one
    #[arg(long, value_name = "ID")]
    causation_id: Option<String>,
    /// For whom it was caused: TYPE/ID, like client/123
    #[arg(long, value_name = "TYPE/ID")]
    context: Option<String>,
    /// The W3C trace context
    #[arg(long)]
    traceparent: Option<String>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    id: String,
    #[serde(rename = "type")]
    event_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<&'a str>,
    tenant: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<&'a str>,
    source: Pair<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity: Option<Pair<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'a str>,
    data: Box<RawValue>,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    metadata: Metadata<'a>,
}

#[derive(Serialize)]
struct Pair<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    id: &'a str,
}

#[derive(Serialize)]
struct Metadata<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    causation_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Pair<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
}

impl Metadata<'_> {
    fn is_empty(&self) -> bool {
        self.correlation_id.is_none()
            && self.causation_id.is_none()
            && self.context.is_none()
            && self.traceparent.is_none()
    }
}

impl Fields {
    /// Whether any of them was given.
    pub(crate) fn any(&self) -> bool {
        let texts = [
            &self.tenant,
            &self.event_type,
            &self.source,
            &self.data,
            &self.entity,
            &self.id,
            &self.timestamp,
            &self.version,
            &self.project,
            &self.actor,
            &self.correlation_id,
            &self.causation_id,
            &self.context,
            &self.traceparent,
        ];
        texts.iter().any(|text| text.is_some())
    }

    /// The event as JSON. Only its form is judged here; the server knows the rules.
    pub(crate) fn event(&self) -> Result<String, Failure> {
        let needed = |flag: &str, value: &Option<String>| {
            value.clone().ok_or_else(|| {
                Failure::usage(format!(
                    "{flag} is missing; an event needs --tenant, --type, --source and --data, or give a FILE of events"
                ))
            })
        };
        let (tenant, event_type) = (needed("--tenant", &self.tenant)?, needed("--type", &self.event_type)?);
        let (source, data) = (needed("--source", &self.source)?, needed("--data", &self.data)?);
        let data = RawValue::from_string(text_argument("--data", &data)?.trim().to_owned());
        let event = Envelope {
            id: self.id.clone().unwrap_or_else(|| ulid::Ulid::generate().to_string()),
            event_type: &event_type,
            version: self.version.as_deref(),
            timestamp: self.timestamp.as_deref(),
            tenant: &tenant,
            project: self.project.as_deref(),
            source: pair("--source", &source)?,
            entity: self.entity.as_deref().map(|text| pair("--entity", text)).transpose()?,
            actor: self.actor.as_deref(),
            data: data.map_err(|error| Failure::usage(format!("--data is not JSON: {error}")))?,
            metadata: Metadata {
                correlation_id: self.correlation_id.as_deref(),
                causation_id: self.causation_id.as_deref(),
                context: self.context.as_deref().map(|text| pair("--context", text)).transpose()?,
                traceparent: self.traceparent.as_deref(),
            },
        };
        serde_json::to_string(&event).map_err(|error| Failure::failed(error.to_string()))
    }
}

fn pair<'a>(flag: &str, text: &'a str) -> Result<Pair<'a>, Failure> {
    let (kind, id) = text
        .split_once('/')
        .ok_or_else(|| Failure::usage(format!("{flag} is TYPE/ID, like service/sales; got '{text}'")))?;
    Ok(Pair { kind, id })
}

/// A value as it stands, or the content of a file after `@`.
pub(crate) fn text_argument(flag: &str, value: &str) -> Result<String, Failure> {
    let read = match value.strip_prefix('@') {
        None => return Ok(value.to_owned()),
        Some("-") => std::io::read_to_string(std::io::stdin()),
        Some(path) => std::fs::read_to_string(path),
    };
    read.map_err(|error| Failure::usage(format!("{flag} {value}: {error}")))
}

/// A JSON value as it stands, or from a file.
pub(crate) fn json_argument(flag: &str, value: &str) -> Result<Value, Failure> {
    let text = text_argument(flag, value)?;
    serde_json::from_str(&text).map_err(|error| Failure::usage(format!("{flag} is not JSON: {error}")))
}
