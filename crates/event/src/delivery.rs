//! The words in which the router's decisions and the store speak to each other.
//!
//! A router owns a partition's deliveries. What must survive a crash goes to the store in one [`RouteCommit`] at a
//! time, proved by the router's epoch. The invariant that every commit keeps: for each lane, everything that matched
//! at or below (its [`LaneRow`] if it has one, else the checkpoint) is settled: delivered, dead-lettered, or in
//! the retries.

use bytes::Bytes;

use crate::{EndpointNo, Epoch, LaneNo, PartitionId, Position, ReplayNo, Sequence, TenantNo, Timestamp};

/// Where a lane stands that lags behind its partition's checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneRow {
    /// Which lane.
    pub lane: LaneNo,
    /// Whose endpoint.
    pub tenant: TenantNo,
    /// Everything that matched at or below is settled.
    pub settled: Sequence,
}

/// An event that failed alone, or that waits behind one of the same entity that did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryRow {
    /// Which lane.
    pub lane: LaneNo,
    /// Which event of the lane's tenant.
    pub sequence: Sequence,
    /// Attempts made so far; zero where it only waits behind another.
    pub attempts: u32,
    /// When it is tried next. One that waits behind another of its entity is tried after that one, not before.
    pub next_at: Timestamp,
    /// The hash of what orders it; events of one key are delivered in order. None where nothing does.
    pub key: Option<u64>,
    /// The sequence that the endpoint was sent before this one, if that is known.
    pub previous: Option<Sequence>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttemptResult {
    /// The endpoint answered with this status.
    Status(u16),
    /// The endpoint gave no whole answer.
    Failed(Failure),
}

/// Why an endpoint gave no whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The host has no address.
    Dns,
    /// All addresses of the host lie in ranges that may not be reached, or the URL cannot be requested.
    Forbidden,
    /// Nobody listens there.
    Refused,
    /// The encryption could not be agreed on.
    Tls,
    /// No whole answer in time: connecting, headers and body together.
    Timeout,
    /// The connection broke before the answer was whole.
    Reset,
    /// What came back is not HTTP.
    Protocol,
    /// The proxy did not make the connection.
    Proxy,
    /// The event's payload could not be read or was erased.
    Payload,
}

impl Failure {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Dns,
        Self::Forbidden,
        Self::Refused,
        Self::Tls,
        Self::Timeout,
        Self::Reset,
        Self::Protocol,
        Self::Proxy,
        Self::Payload,
    ];

    /// Its name on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Forbidden => "forbidden",
            Self::Refused => "refused",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Protocol => "protocol",
            Self::Proxy => "proxy",
            Self::Payload => "payload",
        }
    }

    /// The failure with this name, if there is one.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|failure| failure.as_str() == name)
    }
}

/// One attempt to deliver one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRow {
    /// Which lane.
    pub lane: LaneNo,
    /// Which endpoint.
    pub endpoint: EndpointNo,
    /// Which event of the endpoint's tenant.
    pub sequence: Sequence,
    /// Which attempt of that event: 1, 2, 3, …
    pub attempt: u32,
    /// When it began.
    pub at: Timestamp,
    /// How long it took, in microseconds.
    pub duration_us: u32,
    /// How it ended.
    pub result: AttemptResult,
    /// The first bytes of the answer's body, at most [`ANSWER_BYTES_KEPT`].
    pub answer: Bytes,
}

/// Bytes of an answer that are kept with its attempt.
pub const ANSWER_BYTES_KEPT: usize = 512;

/// Why an event was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeadReason {
    /// Every attempt of its schedule failed.
    Exhausted,
    /// Its endpoint failed altogether for as long as the schedule reaches.
    Expired,
    /// It cannot be delivered at all: its payload was erased.
    Undeliverable,
}

impl DeadReason {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Exhausted, Self::Expired, Self::Undeliverable];

    /// Its name on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::Expired => "expired",
            Self::Undeliverable => "undeliverable",
        }
    }

    /// The reason with this name, if there is one.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == name)
    }
}

/// An event that was given up. There is one at most for each endpoint and sequence; a later one takes its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeadRow {
    /// Which endpoint.
    pub endpoint: EndpointNo,
    /// Whose.
    pub tenant: TenantNo,
    /// Which event.
    pub sequence: Sequence,
    /// Attempts made.
    pub attempts: u32,
    /// How the last of them ended; none if there was none.
    pub last: Option<AttemptResult>,
    /// Why.
    pub reason: DeadReason,
    /// When.
    pub died_at: Timestamp,
}

/// Whether a lane sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CircuitState {
    /// It sends.
    Closed,
    /// Its endpoint fails altogether: it stands still but for a probe now and then.
    Open,
    /// Its endpoint asked for a pause: it stands still until then.
    Throttled,
}

impl CircuitState {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Closed, Self::Open, Self::Throttled];

    /// Its name on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Throttled => "throttled",
        }
    }

    /// The state with this name, if there is one.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.as_str() == name)
    }
}

/// A lane's circuit, kept where it is not closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CircuitRow {
    /// Which lane.
    pub lane: LaneNo,
    /// Its state.
    pub state: CircuitState,
    /// Since when.
    pub since: Timestamp,
    /// When it sends again: a probe where it is open.
    pub until: Timestamp,
    /// Probes that failed since it opened.
    pub probes: u32,
    /// What opened it.
    pub last: AttemptResult,
}

/// How far a replay has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayProgress {
    /// Which replay.
    pub replay: ReplayNo,
    /// Events delivered since the commit before.
    pub delivered: u64,
    /// Events given up since the commit before.
    pub dead: u64,
    /// Whether it has come to its end, so that its lane ends.
    pub done: bool,
}

/// Why the router disables an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DisableReason {
    /// It answered 410 Gone.
    Gone,
    /// It failed without a break for too long.
    Failing,
}

impl DisableReason {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Gone, Self::Failing];

    /// Its name on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Failing => "failing",
        }
    }
}

/// What a router writes at once. Everything in it is a whole value, so that writing it twice is writing it once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteCommit {
    /// Which partition.
    pub partition: PartitionId,
    /// What its owner proves.
    pub epoch: Epoch,
    /// Where the router stands; never below where it stood.
    pub checkpoint: Position,
    /// Lanes that stand behind the checkpoint, new or moved.
    pub lanes: Vec<LaneRow>,
    /// Lanes that have caught up: their rows go.
    pub caught_up: Vec<LaneNo>,
    /// Retries, new or changed.
    pub retries: Vec<RetryRow>,
    /// Retries that are settled: their rows go.
    pub settled: Vec<(LaneNo, Sequence)>,
    /// Events that were given up.
    pub dead: Vec<DeadRow>,
    /// Attempts that were made.
    pub attempts: Vec<AttemptRow>,
    /// Circuits that changed and are not closed.
    pub circuits: Vec<CircuitRow>,
    /// Circuits that closed: their rows go.
    pub closed: Vec<LaneNo>,
    /// Endpoints to be disabled, unless they were changed meanwhile.
    pub disabled: Vec<(EndpointNo, DisableReason)>,
    /// Redriven events that are in the retries by now: their rows among the redrives go.
    pub redriven: Vec<(EndpointNo, Sequence)>,
    /// Replays that moved.
    pub replays: Vec<ReplayProgress>,
    /// Lanes that ended: their rows, retries and circuits go.
    pub ended: Vec<LaneNo>,
}
