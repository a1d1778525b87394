//! What operating an endpoint answers.

use bytes::Bytes;
use tidings_event::delivery::{CircuitState, DeadReason, Failure};
use tidings_event::{EndpointId, EventId, EventType, Sequence, Timestamp};
use tidings_store::ReplayState;

use super::types::From;

/// One request to an endpoint and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    /// The request's headers, those of the connection (`host`, `content-length`) left out.
    pub request_headers: Vec<(String, String)>,
    /// The request's body.
    pub request_body: String,
    /// The answer's status, if there was one.
    pub status: Option<u16>,
    /// Why there was no whole answer.
    pub failure: Option<Failure>,
    /// The failure in words.
    pub message: Option<String>,
    /// The answer's headers.
    pub response_headers: Vec<(String, String)>,
    /// The answer's body, cut at 64 KiB; bytes that are not UTF-8 are replaced.
    pub response_body: String,
    /// Whether the answer's body has more.
    pub response_truncated: bool,
    /// Milliseconds from the beginning of the attempt to its end.
    pub duration_ms: f64,
}

impl Exchange {
    /// Whether the endpoint took it: an answer from 200 to 299.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.failure.is_none() && self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// How an endpoint does.
#[derive(Debug, Clone, PartialEq)]
pub struct Stats {
    /// Events of the tenant that its lane has not come past, wanted or not; those in the retries are not counted.
    pub lag_events: u64,
    /// Seconds since the oldest event was recorded that is not settled; none when all are.
    pub lag_seconds: Option<f64>,
    /// Events that wait for their next attempt.
    pub retries: u64,
    /// Events that were given up.
    pub dead_letters: u64,
    /// Whether its lane sends.
    pub circuit: CircuitState,
    /// Since when the circuit is not closed.
    pub circuit_since: Option<Timestamp>,
    /// When something is tried next, where its circuit is not closed.
    pub next_attempt_at: Option<Timestamp>,
    /// What its newest attempts tell, at most [`STATS_ATTEMPTS`].
    pub window: Window,
    /// When the newest attempt began.
    pub last_attempt_at: Option<Timestamp>,
    /// When the newest attempt began that succeeded, among those of the window.
    pub last_success_at: Option<Timestamp>,
}

/// Attempts that statistics look at.
pub const STATS_ATTEMPTS: usize = 1_000;

/// What some attempts tell.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Window {
    /// How many.
    pub attempts: u64,
    /// How many of them succeeded.
    pub succeeded: u64,
    /// Their share, 0 to 1; none when there were no attempts.
    pub success_rate: Option<f64>,
    /// How long they took.
    pub latency_ms: Option<Latency>,
}

/// How long attempts took, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
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

/// How attempts ended that are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptStatus {
    /// With an answer from 200 to 299.
    Succeeded,
    /// With anything else.
    Failed,
    /// With this status.
    Code(u16),
    /// With a status of this hundred: 4 for 400 to 499.
    Class(u8),
}

impl AttemptStatus {
    /// Reads `succeeded`, `failed`, a status like `404` or a class like `5xx`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "succeeded" => Some(Self::Succeeded),
            "failed" => Some(Self::Failed),
            _ => {
                let digits = text.strip_suffix("xx").unwrap_or(text);
                let number: u16 = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())??;
                match (digits.len() == text.len(), number) {
                    (true, 100..=599) => Some(Self::Code(number)),
                    (false, 1..=5) => u8::try_from(number).ok().map(Self::Class),
                    _ => None,
                }
            }
        }
    }
}

/// Attempts of one endpoint that are looked for; all that is given must hold. Newest first.
#[derive(Debug, Clone, Default)]
pub struct AttemptSearch {
    /// How they ended.
    pub status: Option<AttemptStatus>,
    /// Begun at this moment or later.
    pub since: Option<Timestamp>,
    /// Begun before this moment.
    pub until: Option<Timestamp>,
    /// Of this event alone.
    pub event: Option<EventId>,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// At most so many, 1 to [`PAGE_MAX`].
    pub limit: usize,
}

/// Entries of one page at most.
pub const PAGE_MAX: usize = 1_000;

/// One attempt to deliver one event.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// The event, unless its row was erased.
    pub event_id: Option<EventId>,
    /// The event's sequence.
    pub sequence: Sequence,
    /// Which attempt of that event, from 1.
    pub attempt: u32,
    /// When it began.
    pub at: Timestamp,
    /// Milliseconds from its beginning to its end.
    pub duration_ms: f64,
    /// The answer's status, if there was one.
    pub status: Option<u16>,
    /// Why there was no whole answer.
    pub failure: Option<Failure>,
    /// The first bytes of the answer's body; those that are not UTF-8 are replaced.
    pub response: String,
    /// Whether a replay sent it.
    pub replay: bool,
}

/// Dead letters of one tenant that are looked for; all that is given must hold. Oldest sequence first.
#[derive(Debug, Clone, Default)]
pub struct DeadSearch {
    /// Of this endpoint alone.
    pub endpoint: Option<EndpointId>,
    /// Given up for this reason.
    pub reason: Option<DeadReason>,
    /// Of this type alone.
    pub event_type: Option<EventType>,
    /// Given up at this moment or later.
    pub since: Option<Timestamp>,
    /// Given up before this moment.
    pub until: Option<Timestamp>,
    /// Where the page before ended. Of no account where all are redriven or discarded.
    pub cursor: Option<String>,
    /// At most so many, 1 to [`PAGE_MAX`]. Of no account where all are redriven or discarded.
    pub limit: usize,
}

/// An event that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterView {
    /// Its id: `dl_`, the endpoint's ULID, `_` and the sequence.
    pub id: String,
    /// Which endpoint did not take it.
    pub endpoint: EndpointId,
    /// The event, unless its row was erased.
    pub event_id: Option<EventId>,
    /// The event's type, unless its row was erased.
    pub event_type: Option<EventType>,
    /// The event's sequence.
    pub sequence: Sequence,
    /// Attempts made.
    pub attempts: u32,
    /// The status that the last one was answered with.
    pub last_status: Option<u16>,
    /// Why the last one had no whole answer.
    pub last_failure: Option<Failure>,
    /// Why it was given up.
    pub reason: DeadReason,
    /// When.
    pub died_at: Timestamp,
}

/// Up to which event, that one included where a sequence names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// The one with this sequence.
    Sequence(u64),
    /// The last one recorded before this moment.
    Time(Timestamp),
}

/// A replay of past events to one endpoint.
#[derive(Debug, Clone, Default)]
pub struct NewReplay {
    /// From which event on. `Now` would be none at all and is refused.
    pub from: From,
    /// Up to which event; up to the newest there is when not given.
    pub until: Option<Until>,
    /// Types in shorthand. Where neither types nor a filter are given, the endpoint's own hold as they are now.
    pub types: Vec<String>,
    /// A pattern as JSON text.
    pub filter: Option<String>,
    /// Deliveries a second at most, beside the endpoint's own limit.
    pub rate_per_s: Option<u32>,
    /// Whether the events are only counted.
    pub dry_run: bool,
}

/// What became of a wish for a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayStarted {
    /// How many events of the range match, where they were counted.
    pub count: Option<u64>,
    /// How many events were looked at for it.
    pub scanned: u64,
    /// Whether that was the whole range. A count looks at [`SCAN_EVENTS_MAX`] events at most.
    pub complete: bool,
    /// The replay, unless events were only counted.
    pub replay: Option<Replay>,
}

/// Events that a count or a back-test looks at.
pub const SCAN_EVENTS_MAX: u64 = 1_000_000;

/// A replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// Its id, `rp_…`.
    pub id: String,
    /// To which endpoint.
    pub endpoint: EndpointId,
    /// How it stands.
    pub state: ReplayState,
    /// The first sequence of its range.
    pub first: Sequence,
    /// The last sequence of its range.
    pub last: Sequence,
    /// Everything up to here is settled, while it runs.
    pub settled: Option<Sequence>,
    /// Types in shorthand; all types of producers when empty.
    pub types: Vec<String>,
    /// A pattern as JSON text.
    pub filter: Option<String>,
    /// Deliveries a second at most.
    pub rate_per_s: Option<u32>,
    /// Events delivered.
    pub delivered: u64,
    /// Events given up.
    pub dead: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// What became of one event at one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The endpoint took it.
    Delivered,
    /// It failed and is tried again, or waits behind one of its entity that did.
    Retrying,
    /// It was given up.
    DeadLettered,
    /// It is wanted and was not sent yet.
    Pending,
    /// The endpoint does not want it.
    Filtered,
    /// The endpoint wants only what came later.
    NotSubscribedYet,
    /// It is settled; what happened is no longer kept.
    Settled,
}

impl Outcome {
    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retrying => "retrying",
            Self::DeadLettered => "dead_lettered",
            Self::Pending => "pending",
            Self::Filtered => "filtered",
            Self::NotSubscribedYet => "not_subscribed_yet",
            Self::Settled => "settled",
        }
    }
}

/// Which of a pattern's filters an event fails, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedFilter {
    /// The filter's place in the pattern, from 0.
    pub index: usize,
    /// Its JSONPath.
    pub field: String,
    /// Its operator.
    pub operator: String,
    /// What the path selects in the event, as JSON texts; cut in number and length.
    pub found: Vec<String>,
}

/// Why an event did or did not reach an endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// What became of it.
    pub outcome: Outcome,
    /// Why, as one sentence.
    pub reason: String,
    /// The event's sequence.
    pub sequence: Sequence,
    /// Which filter it fails, where it is one.
    pub filter: Option<FailedFilter>,
    /// Its attempts that are kept, newest first, at most [`EXPLAINED_ATTEMPTS`].
    pub attempts: Vec<Attempt>,
    /// When it is tried next.
    pub next_attempt_at: Option<Timestamp>,
    /// Whether the endpoint's lane sends.
    pub circuit: CircuitState,
    /// Events of the tenant that lie before it in the lane and are not settled, where it is pending; about.
    pub behind_by: Option<u64>,
}

/// Attempts that an explanation shows.
pub const EXPLAINED_ATTEMPTS: usize = 20;

/// A selection that is tried on past events.
#[derive(Debug, Clone, Default)]
pub struct BacktestQuery {
    /// Types in shorthand; all types of producers when empty.
    pub types: Vec<String>,
    /// A pattern as JSON text.
    pub filter: Option<String>,
    /// Only events recorded at this moment or later.
    pub since: Option<Timestamp>,
    /// Only events recorded before this moment.
    pub until: Option<Timestamp>,
    /// Events shown at most, up to [`SAMPLE_MAX`].
    pub limit: usize,
}

/// Events that a back-test shows.
pub const SAMPLE_MAX: usize = 100;

/// What a selection would have found, newest events first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backtest {
    /// Events that were looked at.
    pub scanned: u64,
    /// Events of them that match.
    pub matched: u64,
    /// The newest that match, as native JSON.
    pub sample: Vec<Bytes>,
    /// Whether all events of the range were looked at. A back-test looks at [`SCAN_EVENTS_MAX`] at most.
    pub complete: bool,
}
