//! Endpoints and their secrets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Json, Moment};

/// How an event is written in a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum EndpointFormat {
    /// The native envelope as JSON.
    Native,
    /// A CloudEvent, carried as `cloudevents_mode` says.
    Cloudevents,
}

/// How a CloudEvent is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CloudEventsMode {
    /// The whole event in the body.
    Structured,
    /// The event's data in the body, all else in `ce-` headers.
    Binary,
}

/// In what order events are delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Ordering {
    /// About in the order of the log; a failed event holds no other up.
    None,
    /// Events of one entity in order of their sequence; a failed event holds up those of its entity alone.
    Entity,
    /// All events in order of their sequence, one at a time; a failed event holds up all.
    Strict,
}

/// How deliveries are signed (Standard Webhooks 1.0.0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Signature {
    /// HMAC-SHA256 with a shared secret, `whsec_…`.
    V1,
    /// Ed25519: Tidings signs with `whsk_…`, receivers verify with `whpk_…`.
    V1a,
}

/// An endpoint that is to be made. Members that are not listed here are refused.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEndpoint {
    /// Where events are delivered to: an absolute URL without credentials and fragment; `https` unless the server
    /// allows more.
    #[schema(max_length = 2048, example = "https://example.com/webhooks")]
    pub url: String,
    /// Which types it wants: `sales.lead.created`, `sales.*` or `*`. All types of producers when empty.
    #[serde(default)]
    #[schema(max_items = 100, example = json!(["sales.*"]))]
    pub types: Vec<String>,
    /// A pattern that events must match beside their type.
    #[schema(value_type = Option<Object>, example = json!({"filters": [{"field": "$.data.amount", "operator": "gte", "value": 1500}]}))]
    pub filter: Option<Json>,
    /// How events are written; `native` by default.
    pub format: Option<EndpointFormat>,
    /// How CloudEvents are carried; `structured` by default.
    pub cloudevents_mode: Option<CloudEventsMode>,
    /// In what order events are delivered; `none` by default.
    pub ordering: Option<Ordering>,
    /// Deliveries a second at most; no limit by default.
    #[schema(minimum = 1, maximum = 100_000)]
    pub rate_limit_per_s: Option<u32>,
    /// Milliseconds that one attempt may take: connecting, headers and body together.
    #[schema(minimum = 100, maximum = 60_000, default = 15_000)]
    pub timeout_ms: Option<u32>,
    /// Headers that every delivery carries, by name; at most 20. Names that deliveries use themselves are refused.
    #[serde(default)]
    #[schema(example = json!({"x-api-key": "…"}))]
    pub headers: BTreeMap<String, String>,
    /// Seconds to wait before attempt 1, 2, 3, …; after the last the event is given up. 1 to 20 waits of at most a
    /// week each, at most 30 days together.
    #[schema(min_items = 1, max_items = 20, example = json!([0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]))]
    pub retry_schedule_s: Option<Vec<u32>>,
    /// In which versions it wants events of some types. One of another version is converted, and its metadata then say
    /// `converted_from`; where the catalog has no conversions that lead to the version, it comes as it is. `types` and
    /// `filter` look at the event as it was sent.
    #[serde(default)]
    #[schema(max_items = 100, example = json!(["sales.lead.status_changed@2"]))]
    pub versions: Vec<String>,
    /// What a person wants to say about it.
    #[serde(default)]
    #[schema(max_length = 255)]
    pub description: String,
    /// How deliveries are signed; `v1` by default. Must fit `secret` where one is sent.
    pub signature: Option<Signature>,
    /// A secret of your own, `whsec_…` or `whsk_…`, instead of one that is made.
    #[schema(example = "whsec_…")]
    pub secret: Option<String>,
    /// From which event on: `now` (the default), `start`, a sequence, or a moment in RFC 3339.
    pub from: Option<Moment>,
    /// Whether nothing is delivered until the status is set to `active`.
    #[serde(default)]
    pub paused: bool,
    /// Whether it must answer a challenge before anything is delivered to it, now and whenever its URL changes. It is
    /// made `disabled`, with the reason `unverified`.
    #[serde(default)]
    pub challenge: bool,
}

/// What an owner can make of an endpoint's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum WantedStatus {
    /// Events are delivered, from where it stood.
    Active,
    /// Nothing is delivered; it keeps its place.
    Paused,
}

/// What shall change about an endpoint. What is left out stays; `null` gives a member its default back.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EndpointChanges {
    /// Where events are delivered to.
    #[schema(max_length = 2048)]
    pub url: Option<String>,
    /// Which types it wants. Holds for events after this change, as `filter` does.
    #[schema(max_items = 100)]
    pub types: Option<Vec<String>>,
    /// A pattern that events must match beside their type; `null` for none.
    #[schema(value_type = Option<Object>)]
    pub filter: Option<Json>,
    /// How events are written.
    pub format: Option<EndpointFormat>,
    /// How CloudEvents are carried.
    pub cloudevents_mode: Option<CloudEventsMode>,
    /// In what order events are delivered.
    pub ordering: Option<Ordering>,
    /// Deliveries a second at most; `null` for no limit.
    #[schema(minimum = 1, maximum = 100_000)]
    pub rate_limit_per_s: Option<u32>,
    /// Milliseconds that one attempt may take.
    #[schema(minimum = 100, maximum = 60_000)]
    pub timeout_ms: Option<u32>,
    /// Headers that every delivery carries; they replace all that it had.
    pub headers: Option<BTreeMap<String, String>>,
    /// Seconds to wait before attempt 1, 2, 3, …
    #[schema(min_items = 1, max_items = 20)]
    pub retry_schedule_s: Option<Vec<u32>>,
    /// In which versions it wants events of some types; they replace all that it had.
    #[schema(max_items = 100)]
    pub versions: Option<Vec<String>>,
    /// What a person wants to say about it.
    #[schema(max_length = 255)]
    pub description: Option<String>,
    /// `paused` stops deliveries; `active` goes on from where they stopped, also where Tidings disabled it.
    pub status: Option<WantedStatus>,
}

/// An endpoint. Its secrets are not part of it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Endpoint {
    /// Its id.
    #[schema(example = "ep_01JD8Q4M6T1V9S0Z3N7R5K2W4X")]
    pub id: String,
    /// Whose it is.
    #[schema(example = "acme")]
    pub tenant: String,
    /// Where events are delivered to.
    #[schema(example = "https://example.com/webhooks")]
    pub url: String,
    /// Which types it wants; all types of producers when empty.
    #[schema(example = json!(["sales.*"]))]
    pub types: Vec<String>,
    /// A pattern that events must match beside their type.
    #[schema(required, value_type = Option<Object>)]
    pub filter: Option<Json>,
    /// How events are written.
    pub format: EndpointFormat,
    /// How CloudEvents are carried.
    pub cloudevents_mode: CloudEventsMode,
    /// In what order events are delivered.
    pub ordering: Ordering,
    /// Deliveries a second at most; no limit when `null`.
    #[schema(required)]
    pub rate_limit_per_s: Option<u32>,
    /// Milliseconds that one attempt may take.
    #[schema(example = 15_000)]
    pub timeout_ms: u32,
    /// Headers that every delivery carries. To an auditor each value is shown as `***`.
    pub headers: BTreeMap<String, String>,
    /// Seconds to wait before attempt 1, 2, 3, …; after the last the event is given up.
    pub retry_schedule_s: Vec<u32>,
    /// In which versions it gets events of some types.
    #[schema(example = json!(["sales.lead.status_changed@2"]))]
    pub versions: Vec<String>,
    /// What a person said about it.
    pub description: String,
    /// `active`, `paused` (by its owner) or `disabled` (by Tidings).
    #[schema(pattern = "^(active|paused|disabled)$", example = "active")]
    pub status: String,
    /// Why it is disabled: `gone` (it answered 410), `failing` (nothing but failures for days) or `unverified` (it has
    /// not answered its challenge).
    #[schema(required)]
    pub status_reason: Option<String>,
    /// Whether it must answer a challenge whenever its URL changes.
    pub challenge: bool,
    /// `types` and `filter` hold for events above this sequence.
    #[schema(example = 1207)]
    pub since: u64,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it was last changed.
    #[schema(format = DateTime)]
    pub updated_at: String,
}

/// A new endpoint and, this once, its secret.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct CreatedEndpoint {
    /// The endpoint.
    #[serde(flatten)]
    pub endpoint: Endpoint,
    /// How deliveries are signed.
    pub signature: Signature,
    /// The secret. It cannot be shown again.
    #[schema(example = "whsec_…")]
    pub secret: String,
    /// With `v1a`: the key that receivers verify with.
    #[schema(required)]
    pub public_key: Option<String>,
}

/// A page of endpoints.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EndpointList {
    /// The endpoints by id, which is the order in which they were made.
    pub data: Vec<Endpoint>,
    /// Where the list goes on; `null` at its end.
    #[schema(required)]
    pub cursor: Option<String>,
}

/// A secret of an endpoint, without the secret.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// Its id.
    pub id: String,
    /// How it signs.
    pub signature: Signature,
    /// With `v1a`: the key that receivers verify with.
    #[schema(required)]
    pub public_key: Option<String>,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it signs no more; `null` for the newest one.
    #[schema(required, format = DateTime)]
    pub expires_at: Option<String>,
}

/// The secrets that sign deliveries to an endpoint.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretList {
    /// The secrets, newest first.
    pub data: Vec<Secret>,
    /// Always `null`: there are few.
    #[schema(required)]
    pub cursor: Option<String>,
}

/// A rotation of an endpoint's secret. An empty body rotates with the defaults.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRotation {
    /// How the new secret signs; as the newest one by default.
    pub signature: Option<Signature>,
    /// A secret of your own, `whsec_…` or `whsk_…`, instead of one that is made.
    pub secret: Option<String>,
    /// Seconds for which the old secrets sign beside the new one; with 0 they end at once.
    #[schema(maximum = 604_800, default = 86_400)]
    pub overlap_s: Option<u32>,
}

/// The new secret, this once.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotatedSecret {
    /// How it signs.
    pub signature: Signature,
    /// The secret. It cannot be shown again.
    #[schema(example = "whsec_…")]
    pub secret: String,
    /// With `v1a`: the key that receivers verify with.
    #[schema(required)]
    pub public_key: Option<String>,
}

/// What a test sends. An empty body sends the usual sample.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TestSample {
    /// The type of the sample event.
    #[schema(example = "sales.lead.created")]
    pub r#type: Option<String>,
}
