//! What an endpoint is, for those who manage it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidings_event::{EndpointId, Sequence, TenantId, Timestamp};
use tidings_store::{EndpointRow, EndpointStatus, Role};

/// Endpoints that a tenant may have.
pub const ENDPOINTS_MAX: u64 = 1_000;
/// Characters of a URL.
pub const URL_CHARS_MAX: usize = 2_048;
/// Deliveries a second, where an endpoint limits them: at most.
pub const RATE_MAX: u32 = 100_000;
/// Milliseconds that one attempt may take: at least.
pub const TIMEOUT_MS_MIN: u32 = 100;
/// Milliseconds that one attempt may take: at most.
pub const TIMEOUT_MS_MAX: u32 = 60_000;
/// Milliseconds that one attempt may take, where nothing else is set.
pub const TIMEOUT_MS: u32 = 15_000;
/// Headers of its own that an endpoint may have.
pub const HEADERS_MAX: usize = 20;
/// Characters of a header's name.
pub const HEADER_NAME_CHARS_MAX: usize = 64;
/// Bytes of a header's value.
pub const HEADER_VALUE_BYTES_MAX: usize = 1_024;
/// Characters of a description.
pub const DESCRIPTION_CHARS_MAX: usize = 255;
/// Secrets of one endpoint that may be valid at once.
pub const SECRETS_MAX: usize = 5;
/// Seconds for which old secrets go on to sign after a rotation, where nothing else is asked for: a day.
pub const OVERLAP_S: u32 = 24 * 60 * 60;
/// Seconds for which old secrets may go on to sign after a rotation: a week.
pub const OVERLAP_S_MAX: u32 = 7 * 24 * 60 * 60;
/// Seconds of the standard retry schedule before attempt 1, 2, 3, …
pub const RETRY_SCHEDULE_S: [u32; 10] = [0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

/// Who changes something: it goes into the event that tells of the change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// The id of the key, or `admin` for the server's own admin key.
    pub key: String,
    /// What the key may do.
    pub role: Role,
}

/// How an event is written in a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The native envelope as JSON.
    #[default]
    Native,
    /// A CloudEvent, in the endpoint's [`CloudEventsMode`].
    Cloudevents,
}

/// How a CloudEvent is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CloudEventsMode {
    /// The whole event in the body, as `application/cloudevents+json`.
    #[default]
    Structured,
    /// The event's data in the body, all else in `ce-` headers.
    Binary,
}

/// In what order events are delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ordering {
    /// In the order of the log as long as all goes well; a failed event does not hold others up.
    #[default]
    None,
    /// Events of one entity in order of their sequence.
    Entity,
    /// All events in order of their sequence, one at a time.
    Strict,
}

/// How deliveries are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// HMAC-SHA256 with a shared secret, `whsec_…`.
    #[default]
    V1,
    /// Ed25519 with a key pair: Tidings keeps `whsk_…`, receivers check with `whpk_…`.
    V1a,
}

impl Scheme {
    /// Its name on the wire and in signatures.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V1a => "v1a",
        }
    }
}

/// Everything about an endpoint that can be set, beside where it lies and what it wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointSettings {
    /// How events are written.
    pub format: Format,
    /// How CloudEvents are carried; of no account where the format is native.
    pub cloudevents_mode: CloudEventsMode,
    /// In what order events are delivered.
    pub ordering: Ordering,
    /// Deliveries a second at most, 1 to [`RATE_MAX`]; no limit when there is none.
    pub rate_limit_per_s: Option<u32>,
    /// Milliseconds that one attempt may take from its beginning to the end of the answer,
    /// [`TIMEOUT_MS_MIN`] to [`TIMEOUT_MS_MAX`].
    pub timeout_ms: u32,
    /// Headers that every delivery carries, by lower-case name.
    pub headers: BTreeMap<String, String>,
    /// Seconds to wait before attempt 1, 2, 3, …; after the last the event is given up. 1 to 20 waits, each of at
    /// most a week, together at most 30 days.
    pub retry_schedule_s: Vec<u32>,
    /// In which versions it wants events of some types, like `sales.lead.status_changed@2`; see [`Pins`](crate::Pins).
    pub versions: Vec<String>,
    /// What a person wrote about it.
    pub description: String,
}

impl Default for EndpointSettings {
    fn default() -> Self {
        Self {
            format: Format::default(),
            cloudevents_mode: CloudEventsMode::default(),
            ordering: Ordering::default(),
            rate_limit_per_s: None,
            timeout_ms: TIMEOUT_MS,
            headers: BTreeMap::new(),
            retry_schedule_s: RETRY_SCHEDULE_S.to_vec(),
            versions: Vec::new(),
            description: String::new(),
        }
    }
}

/// Settings as a row holds them: what can be set, and what Tidings remembers beside.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Kept {
    #[serde(flatten)]
    pub(crate) settings: EndpointSettings,
    /// Whether the URL's owner must answer a challenge before it goes live; then every new URL must.
    #[serde(default)]
    pub(crate) challenge: bool,
    /// Events above this sequence were wanted when the endpoint was made; older selections may be forgotten.
    #[serde(default)]
    pub(crate) since: Sequence,
}

impl Kept {
    /// Reads what [`Self::write`] wrote.
    pub(crate) fn of(row: &EndpointRow) -> Result<Self, String> {
        serde_json::from_str(&row.settings)
            .map_err(|error| format!("the settings of {} cannot be read: {error}", row.id))
    }

    /// As the row holds it.
    pub(crate) fn write(&self) -> String {
        serde_json::to_string(self).expect("settings are text, numbers and lists of them")
    }
}

/// From which event on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum From {
    /// The first one after this moment.
    #[default]
    Now,
    /// The oldest one that is kept.
    Start,
    /// The one with this sequence, from 1.
    Sequence(u64),
    /// The first one recorded at this moment or later.
    Time(Timestamp),
}

/// A new endpoint. Its `Debug` does not show the secret.
#[derive(Clone, Default)]
pub struct NewEndpoint {
    /// Where events are delivered to.
    pub url: String,
    /// Types in shorthand (`sales.lead.created`, `sales.*`); all types of producers when empty.
    pub types: Vec<String>,
    /// A pattern as JSON text.
    pub filter: Option<String>,
    /// All else that can be set.
    pub settings: EndpointSettings,
    /// How deliveries are signed, where a secret is made.
    pub scheme: Scheme,
    /// A secret of the caller's own, `whsec_…` or `whsk_…`, instead of one that is made.
    pub secret: Option<String>,
    /// From which event on it gets events.
    pub from: From,
    /// Whether nothing is delivered until it is made active. With a challenge, an answer to it makes it active.
    pub paused: bool,
    /// Whether it must answer a challenge before anything is delivered: see [`Endpoints::verify`](super::Endpoints::verify).
    pub challenge: bool,
}

impl std::fmt::Debug for NewEndpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewEndpoint")
            .field("url", &self.url)
            .field("types", &self.types)
            .field("filter", &self.filter)
            .field("settings", &self.settings)
            .field("scheme", &self.scheme)
            .field("from", &self.from)
            .field("paused", &self.paused)
            .field("challenge", &self.challenge)
            .finish_non_exhaustive()
    }
}

/// What the owner of an endpoint can make of its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wanted {
    /// Delivered to, also after Tidings disabled it.
    Active,
    /// Not delivered to; it goes on where it stood.
    Paused,
}

/// What shall change about an endpoint; what is not given stays.
#[derive(Debug, Clone, Default)]
pub struct EndpointPatch {
    /// Where events are delivered to.
    pub url: Option<String>,
    /// Types in shorthand. Holds, as `filter` does, for events after this change.
    pub types: Option<Vec<String>>,
    /// A pattern as JSON text, or none any more.
    pub filter: Option<Option<String>>,
    /// How events are written.
    pub format: Option<Format>,
    /// How CloudEvents are carried.
    pub cloudevents_mode: Option<CloudEventsMode>,
    /// In what order events are delivered.
    pub ordering: Option<Ordering>,
    /// Deliveries a second at most, or no limit any more.
    pub rate_limit_per_s: Option<Option<u32>>,
    /// Milliseconds that one attempt may take.
    pub timeout_ms: Option<u32>,
    /// Headers that every delivery carries; all that it had before are replaced.
    pub headers: Option<BTreeMap<String, String>>,
    /// Seconds to wait before each attempt.
    pub retry_schedule_s: Option<Vec<u32>>,
    /// In which versions it wants events of some types; all that it had before are replaced.
    pub versions: Option<Vec<String>>,
    /// What a person wrote about it.
    pub description: Option<String>,
    /// Whether it is delivered to.
    pub status: Option<Wanted>,
}

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// Whose.
    pub tenant: TenantId,
    /// Where events are delivered to.
    pub url: String,
    /// Types in shorthand; all types of producers when empty.
    pub types: Vec<String>,
    /// A pattern as JSON text.
    pub filter: Option<String>,
    /// All else that can be set.
    pub settings: EndpointSettings,
    /// Whether it is delivered to.
    pub status: EndpointStatus,
    /// Why, where it is disabled: `gone`, `failing` or `unverified`.
    pub status_reason: Option<String>,
    /// Whether each URL of it must answer a challenge.
    pub challenge: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Its types and filter hold for events above this sequence.
    pub since: Sequence,
}

impl Endpoint {
    /// The endpoint that a row holds.
    pub(crate) fn of(row: &EndpointRow) -> Result<Self, String> {
        let Kept { settings, challenge, .. } = Kept::of(row)?;
        let selection = row.selections.last().ok_or_else(|| format!("{} wants nothing at all", row.id))?;
        Ok(Self {
            id: row.id.clone(),
            tenant: row.tenant.clone(),
            url: row.url.clone(),
            types: selection.types.clone(),
            filter: selection.filter.clone(),
            settings,
            status: row.status,
            status_reason: row.status_reason.clone(),
            challenge,
            created_at: row.created_at,
            updated_at: row.updated_at,
            since: selection.after,
        })
    }
}

/// A secret of an endpoint, without the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretInfo {
    /// Its id, `sec_…`.
    pub id: String,
    /// How it signs.
    pub scheme: Scheme,
    /// What receivers check with, where that is public: `whpk_…`.
    pub public: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it signs no more, where a rotation ended it.
    pub expires_at: Option<Timestamp>,
}

/// A new secret beside the old ones. Its `Debug` does not show the secret.
#[derive(Clone)]
pub struct Rotate {
    /// How it signs; as the newest one does when not given.
    pub scheme: Option<Scheme>,
    /// A secret of the caller's own instead of one that is made.
    pub secret: Option<String>,
    /// Seconds for which the old secrets go on to sign, at most [`OVERLAP_S_MAX`]; with 0 they end at once.
    pub overlap_s: u32,
}

impl std::fmt::Debug for Rotate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rotate")
            .field("scheme", &self.scheme)
            .field("overlap_s", &self.overlap_s)
            .finish_non_exhaustive()
    }
}

impl Default for Rotate {
    fn default() -> Self {
        Self { scheme: None, secret: None, overlap_s: OVERLAP_S }
    }
}
