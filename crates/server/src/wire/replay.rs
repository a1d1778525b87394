//! Past events, sent again or tried against a selection.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Json, RecordedEvent};

/// A place in a tenant's log: `now`, `start`, a sequence, or a moment in RFC 3339.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Moment {
    /// The event with this sequence.
    Sequence(u64),
    /// `now`, `start`, or the first event recorded at a moment in RFC 3339 or later.
    Word(String),
}

/// A replay that is to be started, or counted.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewReplay {
    /// From which event on: `start`, a sequence, or a moment in RFC 3339.
    pub from: Moment,
    /// Up to which event: a sequence, that event included, or a moment in RFC 3339, events recorded before it. Up to
    /// the newest by default.
    pub until: Option<Moment>,
    /// Only these types. Where neither `types` nor `filter` is given, what the endpoint itself wants is replayed.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub types: Vec<String>,
    /// Only events that match this pattern.
    #[schema(value_type = Option<Object>)]
    pub filter: Option<Json>,
    /// Deliveries a second at most, beside the endpoint's own limit.
    #[schema(minimum = 1, maximum = 100_000)]
    pub rate_per_s: Option<u32>,
    /// Whether the events are only counted.
    #[serde(default)]
    pub dry_run: bool,
}

/// A replay of past events to one endpoint. It has a lane of its own: live deliveries go on beside it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// Its id.
    pub id: String,
    /// To which endpoint.
    pub endpoint: String,
    /// `running`, `done` or `cancelled`.
    #[schema(pattern = "^(running|done|cancelled)$", example = "running")]
    pub state: String,
    /// The first sequence of its range.
    pub first: u64,
    /// The last sequence of its range.
    pub last: u64,
    /// Everything up to here is settled, while it runs.
    #[schema(required)]
    pub settled: Option<u64>,
    /// The types that are replayed.
    pub types: Vec<String>,
    /// The pattern that events must match.
    #[schema(required, value_type = Option<Object>)]
    pub filter: Option<Json>,
    /// Deliveries a second at most.
    #[schema(required)]
    pub rate_per_s: Option<u32>,
    /// Events delivered.
    pub delivered: u64,
    /// Events given up.
    pub dead: u64,
    /// When it was started.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it ended.
    #[schema(required, format = DateTime)]
    pub ended_at: Option<String>,
}

/// A page of replays.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayList {
    /// The replays, newest first.
    pub data: Vec<Replay>,
    /// Where the list goes on; `null` at its end.
    #[schema(required)]
    pub cursor: Option<String>,
}

/// What became of the wish for a replay.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayStarted {
    /// How many events would be sent, where they were counted.
    #[schema(required)]
    pub count: Option<u64>,
    /// How many events were looked at for it.
    pub scanned: u64,
    /// Whether all events of the range were looked at. A count looks at 1,000,000 at most, and for 10 seconds.
    pub complete: bool,
    /// The replay; `null` where the events were only counted.
    #[schema(required)]
    pub replay: Option<Replay>,
}

/// A selection that is tried on past events.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BacktestQuery {
    /// The types; all types of producers when empty.
    #[serde(default)]
    #[schema(max_items = 100, example = json!(["sales.*"]))]
    pub types: Vec<String>,
    /// The pattern that events must match.
    #[schema(value_type = Option<Object>)]
    pub filter: Option<Json>,
    /// Only events recorded at this moment or later.
    #[schema(format = DateTime)]
    pub since: Option<String>,
    /// Only events recorded before this moment.
    #[schema(format = DateTime)]
    pub until: Option<String>,
    /// Events that are shown.
    #[schema(minimum = 0, maximum = 100, default = 10)]
    pub limit: Option<u32>,
}

/// What a selection would have found.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Backtest {
    /// Events that were looked at, newest first.
    pub scanned: u64,
    /// Events of them that match.
    pub matched: u64,
    /// Whether all events of the range were looked at; at most 1,000,000 are, and for 10 seconds.
    pub complete: bool,
    /// The newest events that match.
    pub sample: Vec<RecordedEvent>,
}
