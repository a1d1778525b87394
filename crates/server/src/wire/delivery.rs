//! What deliveries to an endpoint came to.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One request to an endpoint and what came of it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// Whether the endpoint took it: a whole answer with a status from 200 to 299.
    pub succeeded: bool,
    /// The request's headers as pairs of name and value; those of the connection are left out.
    #[schema(value_type = Vec<Vec<String>>, example = json!([["webhook-id", "01JD8Q4M6T1V9S0Z3N7R5K2W4X"]]))]
    pub request_headers: Vec<(String, String)>,
    /// The request's body.
    pub request_body: String,
    /// The answer's status, if there was one.
    #[schema(required, example = 200)]
    pub status: Option<u16>,
    /// Why there was no whole answer: `dns`, `forbidden`, `refused`, `tls`, `timeout`, `reset`, `protocol` or `proxy`.
    #[schema(required)]
    pub failure: Option<String>,
    /// The failure in words.
    #[schema(required)]
    pub message: Option<String>,
    /// The answer's headers as pairs of name and value.
    #[schema(value_type = Vec<Vec<String>>)]
    pub response_headers: Vec<(String, String)>,
    /// The answer's body, cut at 64 KiB.
    pub response_body: String,
    /// Milliseconds from the beginning of the request to the end of its answer.
    #[schema(example = 41.7)]
    pub duration_ms: f64,
}

/// How an endpoint does.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EndpointStats {
    /// Events of the tenant, wanted or not, that the endpoint has not come past; those that wait for a retry are not
    /// counted.
    pub lag_events: u64,
    /// Seconds since the oldest unsettled event was recorded; `null` when all are settled.
    #[schema(required)]
    pub lag_seconds: Option<f64>,
    /// Events that wait for their next attempt.
    pub retries: u64,
    /// Events that were given up and neither redriven nor discarded.
    pub dead_letters: u64,
    /// `closed` (it sends), `open` (it fails altogether: only probes are sent) or `throttled` (it asked for a pause).
    #[schema(pattern = "^(closed|open|throttled)$", example = "closed")]
    pub circuit: String,
    /// Since when the circuit is not closed.
    #[schema(required, format = DateTime)]
    pub circuit_since: Option<String>,
    /// When something is tried next, where the circuit is not closed.
    #[schema(required, format = DateTime)]
    pub next_attempt_at: Option<String>,
    /// What its newest attempts tell, at most 1,000.
    pub window: StatsWindow,
    /// When the newest attempt began.
    #[schema(required, format = DateTime)]
    pub last_attempt_at: Option<String>,
    /// When the newest attempt of the window began that succeeded.
    #[schema(required, format = DateTime)]
    pub last_success_at: Option<String>,
}

/// What some attempts tell.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StatsWindow {
    /// How many.
    pub attempts: u64,
    /// How many of them succeeded.
    pub succeeded: u64,
    /// Their share, 0 to 1; `null` when there were no attempts.
    #[schema(required)]
    pub success_rate: Option<f64>,
    /// How long they took; `null` when there were no attempts.
    #[schema(required)]
    pub latency_ms: Option<Latency>,
}

/// How long attempts took, in milliseconds.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// Half of them at most.
    pub p50: f64,
    /// 95 of 100 at most.
    pub p95: f64,
    /// 99 of 100 at most.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

/// One attempt to deliver one event.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// The event; `null` where it was erased.
    #[schema(required)]
    pub event_id: Option<String>,
    /// The event's sequence.
    pub sequence: u64,
    /// Which attempt of that event: 1, 2, 3, …
    #[schema(example = 1)]
    pub attempt: u32,
    /// When it began.
    #[schema(format = DateTime)]
    pub at: String,
    /// Milliseconds from its beginning to its end.
    pub duration_ms: f64,
    /// The answer's status, if there was one.
    #[schema(required, example = 200)]
    pub status: Option<u16>,
    /// Why there was no whole answer: `dns`, `forbidden`, `refused`, `tls`, `timeout`, `reset`, `protocol`, `proxy` or
    /// `payload`.
    #[schema(required)]
    pub failure: Option<String>,
    /// The first bytes of the answer's body.
    pub response: String,
    /// Whether a replay sent it.
    pub replay: bool,
}

/// A page of attempts.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AttemptList {
    /// The attempts, newest first.
    pub data: Vec<Attempt>,
    /// Where the list goes on; `null` at its end.
    #[schema(required)]
    pub cursor: Option<String>,
}

/// Why an event did or did not reach an endpoint.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Explanation {
    /// `delivered`, `retrying`, `dead_lettered`, `pending` (wanted, not sent yet), `filtered` (not wanted),
    /// `not_subscribed_yet` (older than the subscription) or `settled` (done; what happened is no longer kept).
    #[schema(
        pattern = "^(delivered|retrying|dead_lettered|pending|filtered|not_subscribed_yet|settled)$",
        example = "filtered"
    )]
    pub outcome: String,
    /// Why, in one sentence.
    pub reason: String,
    /// The event's sequence.
    pub sequence: u64,
    /// Which filter the event fails, where it is one.
    #[schema(required)]
    pub filter: Option<FailedFilter>,
    /// The event's attempts that are kept, newest first, at most 20.
    pub attempts: Vec<Attempt>,
    /// When it is tried next.
    #[schema(required, format = DateTime)]
    pub next_attempt_at: Option<String>,
    /// `closed`, `open` or `throttled`.
    #[schema(pattern = "^(closed|open|throttled)$")]
    pub circuit: String,
    /// About how many events of the tenant lie before it, where it is pending.
    #[schema(required)]
    pub behind_by: Option<u64>,
}

/// Which of a pattern's filters an event fails, and by what.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FailedFilter {
    /// The filter's place in the pattern, from 0.
    pub index: usize,
    /// Its JSONPath.
    #[schema(example = "$.data.amount")]
    pub field: String,
    /// Its operator.
    #[schema(example = "gte")]
    pub operator: String,
    /// What the path selects in the event, each as JSON text; cut in number and length.
    pub found: Vec<String>,
}
