//! The shapes of requests and answers, as `/openapi.json` describes them.
//!
//! Events and pages of events are written by hand where they are hot; tests hold what is written to these shapes.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// A JSON object that is passed on byte for byte.
pub type Json = Box<RawValue>;

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

/// What became of the events that were sent.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Receipts {
    /// One for each event, in the order they were sent.
    pub results: Vec<Receipt>,
}

/// Where an event stands in the log.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The event's id.
    #[schema(example = "01JD8Q4M6T1V9S0Z3N7R5K2W4X")]
    pub id: String,
    /// Its tenant.
    #[schema(example = "acme")]
    pub tenant: String,
    /// Its number in its tenant; for a duplicate the one it got at first.
    #[schema(minimum = 1, example = 7)]
    pub sequence: u64,
    /// Whether the same event was in the log before.
    pub duplicate: bool,
}

/// A page of a tenant's feed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FeedPage {
    /// Events in order of sequence. With `format=cloudevents` they are structured CloudEvents.
    pub events: Vec<RecordedEvent>,
    /// Where to go on reading. Always given, also with an empty page.
    pub cursor: String,
    /// Whether the reader had seen all there was when the page was made.
    pub up_to_date: bool,
}

/// A page of events.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EventList {
    /// The events. With `format=cloudevents` they are structured CloudEvents.
    pub data: Vec<RecordedEvent>,
    /// Where the list goes on; `null` at its end.
    #[schema(required)]
    pub cursor: Option<String>,
}

/// An event in the tree of causes and effects.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceNode {
    /// How many causes stand above the event: 0 where its cause is unknown, or it has none.
    #[schema(example = 0)]
    pub depth: u32,
    /// The event. It was caused by the last event before it whose depth is one less.
    pub event: RecordedEvent,
}

/// The trees of causes and effects that an event belongs to, in depth-first order.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Trace {
    /// The id of the event that was asked for.
    pub event_id: String,
    /// The events, each after its cause.
    pub nodes: Vec<TraceNode>,
    /// Whether there are more events than one answer holds.
    pub truncated: bool,
}

/// An event that is to be written if, and once, the change it speaks of has happened.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewIntent {
    /// The event.
    pub event: Event,
    /// How to find out whether the change has happened, should nobody confirm or discard the intent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
    /// Seconds after which the probe is asked. The server's default is 300.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub stale_after_s: Option<u32>,
}

/// A question whose answer says whether a change has happened.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Probe {
    /// Whether a row exists in a database.
    Row(RowProbe),
    /// Whether a URL answers: 2xx means that the change has happened, 404 or 410 that it has not.
    Http(HttpProbe),
}

/// Asks whether a row exists.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct RowProbe {
    /// `platform` for Tidings' own database, `project` for a configured source.
    #[schema(example = "project")]
    pub scope: String,
    /// The configured source's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "shop")]
    pub source: Option<String>,
    /// The table, with its schema where it has one.
    #[schema(example = "shop.orders")]
    pub table: String,
    /// Columns and the values they must have.
    #[schema(value_type = Object, example = json!({"id": "order_1"}))]
    pub key: serde_json::Map<String, serde_json::Value>,
    /// A column that must hold at least a number, where the change is a new revision of a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<serde_json::Value>,
}

/// Asks a URL.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct HttpProbe {
    /// The URL.
    #[schema(format = "uri", example = "https://shop.example/orders/order_1")]
    pub url: String,
}

/// How an intent stands.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IntentState {
    /// The event's id.
    #[schema(example = "01JD8Q4M6T1V9S0Z3N7R5K2W4X")]
    pub source_key: String,
    /// `intent` or `confirmed`.
    #[schema(pattern = "^(intent|confirmed)$", example = "intent")]
    pub state: String,
}

/// A page of refused outbox rows.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefusedRowList {
    /// The rows, oldest first.
    pub data: Vec<RefusedRow>,
    /// Where the list goes on; `null` at its end.
    #[schema(required)]
    pub cursor: Option<String>,
}

/// An outbox row that the log refused. It stays in the producer's database until it is retried or discarded.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefusedRow {
    /// The source whose outbox it is in.
    pub source: String,
    /// The row's id in that outbox.
    pub id: i64,
    /// The event's id.
    pub source_key: String,
    /// The envelope as the producer wrote it; a string where it is not JSON.
    #[schema(value_type = Object)]
    pub event: Json,
    /// When the row was inserted.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it was refused.
    pub error: RefusalReason,
}

/// Why a row was refused.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct RefusalReason {
    /// A stable code.
    #[schema(example = "event_invalid")]
    pub code: String,
    /// What is wrong, in words.
    pub detail: String,
    /// What is wrong and where, one by one.
    #[serde(default)]
    pub errors: Vec<Violation>,
}

/// A mended envelope for a refused row.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// The envelope that replaces the refused one; the row keeps its source key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Event>)]
    pub event: Option<Json>,
}

/// The outboxes that are read.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OutboxSourceList {
    /// One for each configured source.
    pub data: Vec<OutboxSource>,
    /// Always `null`: the list has one page.
    #[schema(required)]
    pub cursor: Option<String>,
}

/// A configured source and how its outbox stands.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OutboxSource {
    /// The source's name.
    #[schema(example = "shop")]
    pub name: String,
    /// `ok`, `unavailable` (the database cannot be reached), `not_installed` (it has no outbox) or `failed`.
    #[schema(pattern = "^(ok|unavailable|not_installed|failed)$", example = "ok")]
    pub status: String,
    /// The outbox, where it could be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outbox: Option<Outbox>,
}

/// How an outbox stands.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Outbox {
    /// The installed version of the table's contract.
    pub version: u32,
    /// Confirmed rows that wait.
    pub pending: u64,
    /// When the oldest of them was inserted.
    #[schema(required, format = DateTime)]
    pub oldest_pending_at: Option<String>,
    /// Open intents.
    pub intents: u64,
    /// Refused rows.
    pub refused: u64,
}

/// A page of tenants.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantList {
    /// The tenants by name.
    pub data: Vec<Tenant>,
    /// Where the list goes on; `null` at its end.
    #[schema(required)]
    pub cursor: Option<String>,
}

/// A tenant.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// Its name.
    #[schema(example = "acme")]
    pub tenant: String,
    /// Its last sequence; 0 before its first event.
    #[schema(example = 1207)]
    pub head: u64,
    /// Sequences at or below were erased by retention; 0 if none were.
    #[schema(example = 0)]
    pub floor: u64,
    /// When it was first seen.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything.
    Admin,
    /// Emit events and intents, for its tenants and its types.
    Producer,
    /// Read one tenant.
    Consumer,
    /// Read its tenants; change nothing.
    Auditor,
}

/// A key that is to be made.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// What it may do.
    pub role: Role,
    /// For which tenants: exactly one for a consumer; all when empty for a producer or an auditor; none for an admin.
    #[serde(default)]
    #[schema(max_items = 1000, example = json!(["acme"]))]
    pub tenants: Vec<String>,
    /// Which types a producer may emit: prefixes that end with a dot, or whole types. All when empty.
    #[serde(default)]
    #[schema(max_items = 100, example = json!(["sales."]))]
    pub type_prefixes: Vec<String>,
    /// What a person wants to say about it.
    #[serde(default)]
    #[schema(max_length = 255)]
    pub description: String,
    /// From when it is refused, in RFC 3339; never by default.
    #[serde(default)]
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
}

/// A key. Its secret is not part of it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Key {
    /// Its public name.
    pub id: String,
    /// What it may do.
    pub role: Role,
    /// For which tenants; all when empty.
    pub tenants: Vec<String>,
    /// Which types a producer may emit; all when empty.
    pub type_prefixes: Vec<String>,
    /// What a person said about it.
    pub description: String,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// From when it is refused.
    #[schema(required, format = DateTime)]
    pub expires_at: Option<String>,
    /// When it was revoked.
    #[schema(required, format = DateTime)]
    pub revoked_at: Option<String>,
}

/// A new key and, this once, its secret.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct CreatedKey {
    /// The secret that goes into `Authorization: Bearer …`. It cannot be shown again.
    #[schema(example = "tdk_…")]
    pub key: String,
    /// The key.
    #[serde(flatten)]
    pub row: Key,
}

/// A page of keys.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyList {
    /// The keys by id, revoked and expired ones too.
    pub data: Vec<Key>,
    /// Where the list goes on; `null` at its end.
    #[schema(required)]
    pub cursor: Option<String>,
}

/// That the process runs.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Alive {
    /// Always `ok`.
    #[schema(example = "ok")]
    pub status: String,
    /// The server's version.
    pub version: String,
}

/// Whether the server takes requests, and what its answers are worth.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Readiness {
    /// `ready`, `storage_unavailable` or `shutting_down`.
    #[schema(pattern = "^(ready|storage_unavailable|shutting_down)$", example = "ready")]
    pub status: String,
    /// `sqlite` or `postgresql`.
    #[schema(example = "sqlite")]
    pub backend: String,
    /// How safe an acknowledged write is; `null` while the storage cannot be asked.
    #[schema(required)]
    pub durability: Option<Durability>,
}

/// How safe an acknowledged write is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Durability {
    /// The settings in force, by the database's own names.
    #[schema(value_type = Object, example = json!({"synchronous": "FULL"}))]
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// What is weaker than it should be, in words; empty when an acknowledged write survives a power cut.
    pub warnings: Vec<String>,
}

/// Why a call failed: a problem document (RFC 9457).
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A page about the code.
    #[schema(format = "uri", example = "https://tidings.dev/errors/event_invalid")]
    pub r#type: String,
    /// What kind of problem it is, in words; the same for every occurrence.
    #[schema(example = "The event is not valid")]
    pub title: String,
    /// The HTTP status.
    #[schema(example = 422)]
    pub status: u16,
    /// What is wrong this time, in words.
    pub detail: String,
    /// The stable code to act on.
    #[schema(example = "event_invalid")]
    pub code: String,
    /// What is wrong and where, one by one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Violation>,
    /// With `cursor_expired`: the oldest cursor from which the feed can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_cursor: Option<String>,
}

/// One thing that is wrong.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Violation {
    /// Where: a JSON pointer (RFC 6901) into the body, or `query/…`, `path/…`, `header/…`.
    #[schema(example = "/data/amount")]
    pub path: String,
    /// A stable code.
    #[schema(example = "type_malformed")]
    pub code: String,
    /// What, in words.
    pub message: String,
}
