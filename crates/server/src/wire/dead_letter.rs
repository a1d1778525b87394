//! Events that were given up.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An event that was given up at one endpoint.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadLetter {
    /// Its id.
    #[schema(example = "dl_01JD8Q4M6T1V9S0Z3N7R5K2W4X_1207")]
    pub id: String,
    /// Which endpoint did not take it.
    #[schema(example = "ep_01JD8Q4M6T1V9S0Z3N7R5K2W4X")]
    pub endpoint: String,
    /// The event; `null` where it was erased.
    #[schema(required)]
    pub event_id: Option<String>,
    /// The event's type; `null` where it was erased.
    #[schema(required, example = "sales.lead.created")]
    pub event_type: Option<String>,
    /// The event's sequence.
    pub sequence: u64,
    /// Attempts made.
    pub attempts: u32,
    /// The status that the last attempt was answered with.
    #[schema(required, example = 500)]
    pub last_status: Option<u16>,
    /// Why the last attempt had no whole answer.
    #[schema(required)]
    pub last_failure: Option<String>,
    /// `exhausted` (every attempt failed), `expired` (the endpoint failed altogether for as long as its schedule
    /// reaches) or `undeliverable` (the payload was erased).
    #[schema(pattern = "^(exhausted|expired|undeliverable)$", example = "exhausted")]
    pub reason: String,
    /// When it was given up.
    #[schema(format = DateTime)]
    pub died_at: String,
}

/// A page of dead letters.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadLetterList {
    /// The dead letters, oldest sequence first.
    pub data: Vec<DeadLetter>,
    /// Where the list goes on; `null` at its end.
    #[schema(required)]
    pub cursor: Option<String>,
}

/// Which dead letters are meant: all of the tenant for `{}`; all that is given must hold.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadLetterFilter {
    /// Of this endpoint alone.
    pub endpoint: Option<String>,
    /// Events of this type alone.
    #[schema(example = "sales.lead.created")]
    pub r#type: Option<String>,
    /// Given up for this reason: `exhausted`, `expired` or `undeliverable`.
    #[schema(pattern = "^(exhausted|expired|undeliverable)$")]
    pub reason: Option<String>,
    /// Given up at this moment or later.
    #[schema(format = DateTime)]
    pub since: Option<String>,
    /// Given up before this moment.
    #[schema(format = DateTime)]
    pub until: Option<String>,
}

/// How many it was done to.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Count {
    /// How many.
    #[schema(example = 12)]
    pub count: u64,
}
