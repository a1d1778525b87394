//! Who is sent what, when, and what survives a crash: the router of a partition and its lanes.
//!
//! A [`Router`] is fed with what happens (an event matched, an answer came, a commit is durable) and asked for what to
//! do next (send this, read that, commit this). It knows no clock, no dice, no network and no database: whoever drives
//! it brings those. It takes any jump of the clock: retries come early or late then, and nothing else happens.
//!
//! The invariant behind every [`RouteCommit`](tidings_event::delivery::RouteCommit): for each lane, everything that
//! matched at or below (its row if it has one, else the checkpoint) is settled: delivered, dead-lettered, or in the
//! retries. From the last durable commit and the log alone a new router goes on without losing an event; it may send
//! again what was sent and not yet covered by a commit, at most [`Limits::undurable_max`] events of a lane.
//!
//! A lane is *live* while it is fed by [`Router::offer`]. When its window is full, when it is paused or when its circuit
//! is open it *lags*: what is offered is only remembered as skipped, and read from the log later. It is live again once
//! a read has reached the head and nothing was skipped beyond.

use std::time::Duration;

use bytes::Bytes;
use tidings_event::delivery::{AttemptResult, DeadReason, DisableReason};
use tidings_event::{EndpointNo, LaneNo, Position, ReplayNo, Sequence, TenantNo, Timestamp};

use crate::limits;

mod answer;
mod circuit;
mod clock;
mod commit;
mod concurrency;
mod fair;
mod hash;
mod lane;
mod rate;
mod retries;
mod router;
mod schedule;
mod window;

pub use answer::retry_after;
pub use router::{Census, LaneLook, Router};
pub use schedule::Schedule;

/// In which order a lane's events reach its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ordering {
    /// In none: several are under way at once.
    None,
    /// Events of one entity one after another, in order of sequence. Events that have no entity are not ordered.
    Entity,
    /// One after another, in order of sequence. An event that fails holds up all that follow.
    Strict,
}

/// How a lane shall deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneSpec {
    /// Which lane.
    pub lane: LaneNo,
    /// To which endpoint.
    pub endpoint: EndpointNo,
    /// Whose events.
    pub tenant: TenantNo,
    /// In which order.
    pub ordering: Ordering,
    /// When an event that failed is tried again.
    pub schedule: Schedule,
    /// Deliveries a second at most.
    pub rate_per_s: Option<u32>,
    /// Whether it delivers: false while its endpoint is paused or disabled.
    pub running: bool,
    /// The last sequence of a replay; none for an endpoint's own lane.
    pub end: Option<Sequence>,
    /// Where a lane begins that the router does not know yet and for which it was given no row: everything at or below
    /// counts as settled, and what follows is read from the log. For a replay: where it begins, always. For an
    /// endpoint's own lane: the `after` of its first selection if the endpoint turned up while the router was at work,
    /// and none if it is configured from what the router began with, where having no row means to stand at the
    /// checkpoint.
    pub begin: Option<Sequence>,
}

/// An event that matched.
#[derive(Debug, Clone)]
pub struct Item<E> {
    /// Its sequence.
    pub sequence: Sequence,
    /// Its position.
    pub position: Position,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// A hash of its entity, if it has one.
    pub key: Option<u64>,
    /// Whether it is an event of Tidings itself. No notice is given about the delivery of these, so that two failing
    /// endpoints cannot feed each other.
    pub system: bool,
    /// What is sent.
    pub payload: E,
}

/// A lane asks for events of its tenant that it did not keep. The events must be matched by selections that were
/// brought up to a revision read no earlier than the events: otherwise one could be judged by a filter that is no
/// longer its own, and it is not offered again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    /// Which lane.
    pub lane: LaneNo,
    /// Whose log.
    pub tenant: TenantNo,
    /// Events above this sequence,
    pub after: Sequence,
    /// and not above this one, if there is an end.
    pub upto: Option<Sequence>,
    /// At most so many that match.
    pub limit: usize,
}

/// What a read found.
#[derive(Debug, Clone)]
pub struct ReadDone<E> {
    /// Those that match, in order of sequence.
    pub items: Vec<Item<E>>,
    /// Everything up to here was looked at.
    pub upto: Sequence,
    /// Whether `upto` was the tenant's last sequence when it was read.
    pub at_head: bool,
}

/// One attempt to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Send<E> {
    /// Which lane.
    pub lane: LaneNo,
    /// To which endpoint.
    pub endpoint: EndpointNo,
    /// Whose event.
    pub tenant: TenantNo,
    /// Which event.
    pub sequence: Sequence,
    /// Which attempt of it: 1, 2, 3, …
    pub attempt: u32,
    /// The event that was sent to the endpoint before this one, in order of first sending; for a strict lane the last
    /// one it really got. None where that is not known.
    pub previous: Option<Sequence>,
    /// What is sent; none where it must be read from the log.
    pub payload: Option<E>,
}

/// What came of an attempt.
#[derive(Debug, Clone)]
pub struct Answer {
    /// When it began.
    pub began: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// How it ended.
    pub result: AttemptResult,
    /// How long the endpoint asks to be left alone; see [`retry_after`].
    pub retry_after: Option<Duration>,
    /// The body of the answer, or the beginning of it.
    pub body: Bytes,
}

/// Something that a person should hear of. It belongs to the commit that it came with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// An endpoint fails altogether: its lane stands still.
    CircuitOpened {
        /// Which endpoint.
        endpoint: EndpointNo,
        /// Which of its lanes.
        lane: LaneNo,
        /// The failure that opened it.
        last: AttemptResult,
    },
    /// An endpoint answers again: its lane goes on.
    CircuitClosed {
        /// Which endpoint.
        endpoint: EndpointNo,
        /// Which of its lanes.
        lane: LaneNo,
        /// How long it stood still.
        open_for: Duration,
    },
    /// An endpoint is not delivered to any longer.
    Disabled {
        /// Which endpoint.
        endpoint: EndpointNo,
        /// Why.
        reason: DisableReason,
    },
    /// Events were given up.
    DeadLettered {
        /// Whose endpoint.
        endpoint: EndpointNo,
        /// How many.
        count: u64,
        /// The lowest sequence of them.
        first: Sequence,
        /// The highest sequence of them.
        last: Sequence,
        /// Up to [`limits::NOTICE_SEQUENCES_MAX`] of them, in order.
        some: Vec<Sequence>,
        /// Why.
        reason: DeadReason,
    },
    /// A replay has come to its end.
    ReplayFinished {
        /// Which replay.
        replay: ReplayNo,
        /// To which endpoint.
        endpoint: EndpointNo,
    },
}

/// The bounds of one router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Attempts under way at once.
    pub in_flight_max: usize,
    /// Attempts under way at once in one lane.
    pub lane_in_flight_max: u16,
    /// Events that a lane holds in memory.
    pub window: usize,
    /// Events of a lane that are sent and not yet covered by a durable commit: what a crash can repeat.
    pub undurable_max: usize,
    /// Retries of a lane. Beyond that it sends nothing new.
    pub retries_max: usize,
    /// Attempts that wait to be committed. Beyond that nothing is sent.
    pub uncommitted_max: usize,
    /// Events that one commit gives up because their endpoint failed for too long.
    pub expired_max: usize,
    /// Reads under way at once.
    pub reads_max: usize,
    /// How often changes are committed.
    pub tick: Duration,
    /// How often the checkpoint is committed when nothing else changed.
    pub checkpoint_every: Duration,
    /// How long an event that is under way keeps the checkpoint back, before its lane gets a row instead.
    pub hold: Duration,
    /// Failures in a row that open a circuit.
    pub open_after: u32,
    /// How long a circuit is open without a break until the endpoint is disabled.
    pub disable_after: Duration,
    /// An endpoint whose answers take longer counts as slow. Until it has answered it counts as slow too.
    pub slow_after: Duration,
    /// The wait before the first probe of an open circuit; doubled by each that fails,
    pub probe_min: Duration,
    /// up to this.
    pub probe_max: Duration,
    /// The wait after a payload or a piece of the log could not be read.
    pub pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight_max: limits::IN_FLIGHT_MAX,
            lane_in_flight_max: limits::LANE_IN_FLIGHT_MAX,
            window: limits::WINDOW_EVENTS,
            undurable_max: limits::UNDURABLE_MAX,
            retries_max: limits::RETRIES_MAX,
            uncommitted_max: limits::UNCOMMITTED_MAX,
            expired_max: limits::EXPIRED_MAX,
            reads_max: limits::READS_MAX,
            tick: limits::TICK,
            checkpoint_every: limits::CHECKPOINT_EVERY,
            hold: limits::HOLD,
            open_after: limits::OPEN_AFTER,
            disable_after: limits::DISABLE_AFTER,
            slow_after: limits::SLOW_AFTER,
            probe_min: limits::PROBE_MIN,
            probe_max: limits::PROBE_MAX,
            pause: limits::PAUSE,
        }
    }
}
