//! Events that broke the catalog's rules.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Json, Violation};

/// A page of events in quarantine.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuarantinedList {
    /// The events, in the order in which they came.
    pub data: Vec<Quarantined>,
    /// Where the list goes on; `null` at its end.
    #[schema(required)]
    pub cursor: Option<String>,
}

/// An event that is kept aside, out of the log, because it broke the catalog's rules.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Quarantined {
    /// Its number in quarantine.
    #[schema(example = 17)]
    pub no: i64,
    /// The event's id.
    #[schema(example = "01JD8Q4M6T1V9S0Z3N7R5K2W4X")]
    pub event_id: String,
    /// The event's type.
    #[schema(example = "sales.lead.created")]
    pub event_type: String,
    /// The event's version.
    #[schema(example = "1")]
    pub version: String,
    /// The whole event, as it was sent.
    #[schema(value_type = Object)]
    pub event: Json,
    /// The rules that it broke.
    pub violations: Vec<Violation>,
    /// Who sent it: a key's id, or `source/` and the name of an outbox.
    #[schema(example = "source/shop")]
    pub sender: String,
    /// When it was kept aside first.
    #[schema(format = DateTime)]
    pub at: String,
}

/// Which events in quarantine are meant: all of the tenant for `{}`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuarantineFilter {
    /// Events of this type alone.
    #[schema(example = "sales.lead.created")]
    pub r#type: Option<String>,
}

/// Which events in quarantine shall be redriven: all of the tenant for `{}`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuarantineRedrive {
    /// Events of this type alone.
    #[schema(example = "sales.lead.created")]
    pub r#type: Option<String>,
    /// Whether they are taken as they are, whatever rules they break. Takes an admin's key.
    #[serde(default)]
    pub as_is: bool,
    /// Where to go on: the cursor of the answer before.
    pub cursor: Option<String>,
}

/// What became of events in quarantine.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Redriven {
    /// How many are in the log now.
    #[schema(example = 12)]
    pub redriven: u64,
    /// How many still break a rule, and stay.
    #[schema(example = 1)]
    pub kept: u64,
    /// Where to go on: send it along with the same filter. `null` when all were looked at.
    #[schema(required)]
    pub cursor: Option<String>,
}

/// What became of events in quarantine that were to be discarded.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Discarded {
    /// How many are gone.
    #[schema(example = 12)]
    pub count: u64,
    /// Whether there may be more: then ask again.
    pub more: bool,
}

/// A page of events that broke the catalog's rules and were taken all the same.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MarkedEventList {
    /// The events, newest first.
    pub data: Vec<MarkedEvent>,
    /// Where the list goes on; `null` at its end.
    #[schema(required)]
    pub cursor: Option<String>,
}

/// An event of the log that broke the catalog's rules when it was taken.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MarkedEvent {
    /// The event's sequence.
    #[schema(example = 1207)]
    pub sequence: u64,
    /// The event's type.
    #[schema(example = "sales.lead.created")]
    pub event_type: String,
    /// The event's version.
    #[schema(example = "1")]
    pub version: String,
    /// The rules that it broke.
    pub violations: Vec<Violation>,
}
