//! What is told about lanes that are behind.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The lanes that are furthest behind.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LaneList {
    /// The lanes, the worst first.
    pub data: Vec<Lane>,
    /// Always null: the list is whole.
    pub cursor: Option<String>,
}

/// The deliveries to one endpoint, or one replay to it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Lane {
    /// Whose endpoint it is.
    #[schema(example = "acme")]
    pub tenant: String,
    /// The endpoint.
    #[schema(example = "ep_01JD8Q4M6T1V9S0Z3N7R5K2W4X")]
    pub endpoint: String,
    /// Whether it is a replay to the endpoint.
    pub is_replay: bool,
    /// In which partition.
    pub partition: u32,
    /// Events of the tenant that it has not come past, whether the endpoint wants them or not.
    pub lag_events: u64,
    /// When the oldest event that is in memory and not settled was recorded.
    #[schema(format = DateTime)]
    pub oldest_recorded_at: Option<String>,
    /// `closed`: it sends; `throttled`: its endpoint asked for a pause; `open`: its endpoint is down, and is probed.
    #[schema(example = "open")]
    pub circuit: String,
    /// Requests under way.
    pub in_flight: u64,
    /// Events that failed alone and wait for their next attempt.
    pub retries: u64,
}
