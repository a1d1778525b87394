//! Events as they are sent and as they are read.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Json;

/// An event as its producer sends it. Members that are not listed here are refused.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// The source key: 1 to 255 visible ASCII characters without `.`, unique in its tenant. A new ULID by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255, example = "01JD8Q4M6T1V9S0Z3N7R5K2W4X")]
    pub id: Option<String>,
    /// What happened: 2 to 5 dotted segments of lower snake case, `domain.entity.past_tense_action`.
    #[schema(max_length = 255, example = "sales.lead.status_changed")]
    pub r#type: String,
    /// The version of the type's schema that `data` follows. `1` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255, example = "1")]
    pub version: Option<String>,
    /// When it happened, in RFC 3339. Now, by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, example = "2026-03-15T10:00:00.000Z")]
    pub timestamp: Option<String>,
    /// Whose it is: 1 to 255 characters without `/`; names that begin with `$` are kept for Tidings.
    #[schema(min_length = 1, max_length = 255, example = "acme")]
    pub tenant: String,
    /// A part of the tenant, where it has parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255, example = "emea")]
    pub project: Option<String>,
    /// Who says so.
    pub source: Source,
    /// What it happened to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity: Option<Entity>,
    /// Who caused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255, example = "user_7")]
    pub actor: Option<String>,
    /// The payload: a JSON object of at most 256 KiB, kept byte for byte. Duplicate keys are refused.
    #[schema(value_type = Object, example = json!({"from": "new", "to": "qualified"}))]
    pub data: Json,
    /// How it hangs together with other events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<EventMetadata>,
}

/// An event as the log keeps it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordedEvent {
    /// The source key, unique in its tenant.
    #[schema(example = "01JD8Q4M6T1V9S0Z3N7R5K2W4X")]
    pub id: String,
    /// What happened.
    #[schema(example = "sales.lead.status_changed")]
    pub r#type: String,
    /// The version of the type's schema that `data` follows.
    #[schema(example = "1")]
    pub version: String,
    /// When it happened, by the producer's clock.
    #[schema(format = DateTime, example = "2026-03-15T10:00:00.000Z")]
    pub timestamp: String,
    /// Whose it is.
    #[schema(example = "acme")]
    pub tenant: String,
    /// A part of the tenant, where it has parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Who says so.
    pub source: Source,
    /// What it happened to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity: Option<Entity>,
    /// Who caused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The payload, byte for byte as it was sent.
    #[schema(value_type = Object, example = json!({"from": "new", "to": "qualified"}))]
    pub data: Json,
    /// How it hangs together with other events.
    pub metadata: RecordedMetadata,
    /// Its number in its tenant: 1, 2, 3, … without gaps.
    #[schema(minimum = 1, example = 1207)]
    pub sequence: u64,
    /// When the log took it in; never falls from one sequence to the next.
    #[schema(format = DateTime, example = "2026-03-15T10:00:00.012Z")]
    pub recorded_at: String,
}

/// Who emits an event.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// What kind of thing it is: `service`, `workflow`, `task`, `integration`, `external` or `system`.
    #[schema(pattern = "^(service|workflow|task|integration|external|system)$", example = "service")]
    pub r#type: String,
    /// Its name.
    #[schema(min_length = 1, max_length = 255, example = "sales")]
    pub id: String,
}

/// What an event happened to.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Entity {
    /// The entity's type.
    #[schema(min_length = 1, max_length = 255, example = "lead")]
    pub r#type: String,
    /// The entity's id among those of its type.
    #[schema(min_length = 1, max_length = 255, example = "lead_42")]
    pub id: String,
}

/// For whom an event was caused.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// What kind of party: `client`, `user` or `global`.
    #[schema(pattern = "^(client|user|global)$", example = "client")]
    pub r#type: String,
    /// Its id.
    #[schema(min_length = 1, max_length = 255, example = "client_123")]
    pub id: String,
}

/// How an event hangs together with others, as its producer sends it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EventMetadata {
    /// Shared by all events of one request or process. The event's own id by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255, example = "req_9f")]
    pub correlation_id: Option<String>,
    /// The id of the event that led to this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255)]
    pub causation_id: Option<String>,
    /// For whom it was caused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<Context>,
    /// The W3C trace context of the producer's work.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]
    pub traceparent: Option<String>,
}

/// How a recorded event hangs together with others.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordedMetadata {
    /// Shared by all events of one request or process; the event's own id where none was given.
    #[schema(example = "req_9f")]
    pub correlation_id: String,
    /// The id of the event that led to this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<String>,
    /// For whom it was caused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<Context>,
    /// The W3C trace context of the producer's work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// One event, or an array of 1 to 1,000.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Events {
    /// One event.
    One(Box<Event>),
    /// Several; all are written or, within each tenant, none.
    Many(Vec<Event>),
}

/// A CloudEvent 1.0 in JSON. `source` is `/{source.type}/{source.id}`, `subject` is `{entity.type}/{entity.id}`; the
/// rest of the envelope is in the extension attributes.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct CloudEvent {
    /// Always `1.0`.
    #[schema(example = "1.0")]
    pub specversion: String,
    /// The event's id.
    #[schema(example = "01JD8Q4M6T1V9S0Z3N7R5K2W4X")]
    pub id: String,
    /// Who says so, as a path.
    #[schema(example = "/service/sales")]
    pub source: String,
    /// What happened.
    #[schema(example = "sales.lead.status_changed")]
    pub r#type: String,
    /// Whose it is (extension).
    #[schema(example = "acme")]
    pub tenant: String,
    /// What it happened to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "lead/lead_42")]
    pub subject: Option<String>,
    /// When it happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub time: Option<String>,
    /// The payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub data: Option<Json>,
}
