//! What the store keeps of subscriptions and their delivery.

use async_trait::async_trait;
use tidings_event::delivery::{AttemptRow, CircuitRow, DeadReason, DeadRow, LaneRow, RetryRow, RouteCommit};
use tidings_event::log::{AppendKeys, AppendPlan};
use tidings_event::{
    EndpointId, EndpointNo, EventId, EventType, LaneNo, PartitionId, Position, ReplayNo, Revision, Sequence, TenantId,
    TenantNo, Timestamp,
};

use crate::{Decide, Result};

/// What an endpoint wanted from some sequence on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectionRow {
    /// It holds for sequences above this one, up to where the next begins.
    pub after: Sequence,
    /// The partition's position when it was set: a router beyond it has routed all that was before.
    pub position: Position,
    /// Types in shorthand; all when empty.
    pub types: Vec<String>,
    /// A pattern as JSON text.
    pub filter: Option<String>,
}

/// Whether an endpoint is delivered to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndpointStatus {
    /// It is.
    Active,
    /// Its owner stopped it; it goes on where it stood.
    Paused,
    /// Tidings stopped it, or it was never verified; it goes on where it stood.
    Disabled,
    /// It is gone; the row stays until its router has forgotten it.
    Deleted,
}

impl EndpointStatus {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Active, Self::Paused, Self::Disabled, Self::Deleted];

    /// Its name, as it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
            Self::Deleted => "deleted",
        }
    }

    /// The status with this name, if there is one.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|status| status.as_str() == name)
    }
}

/// An endpoint as it is stored. `settings` and `secrets` mean nothing to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointRow {
    /// The store's short name; zero in a row that was not stored yet.
    pub no: EndpointNo,
    /// Its public id.
    pub id: EndpointId,
    /// Whose.
    pub tenant: TenantId,
    /// Whose, in short.
    pub tenant_no: TenantNo,
    /// Where its tenant lives.
    pub partition: PartitionId,
    /// The partition's revision when it was last changed; set by the store.
    pub revision: Revision,
    /// Whether it is delivered to.
    pub status: EndpointStatus,
    /// Why, where it is not: `gone`, `failing`, `unverified`, or what a person wrote.
    pub status_reason: Option<String>,
    /// Where it is delivered to.
    pub url: String,
    /// What it wants, oldest first; never empty. The last one holds for what is new.
    pub selections: Vec<SelectionRow>,
    /// Everything else that can be set, as JSON.
    pub settings: String,
    /// Its secrets, sealed.
    pub secrets: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What a change of an endpoint is decided on, read under the lock of the partition's head.
#[derive(Debug, Clone)]
pub struct EndpointView {
    /// The endpoint, unless there is none or it is deleted.
    pub row: Option<EndpointRow>,
    /// How many endpoints its tenant has, deleted ones not counted.
    pub count: u64,
    /// The tenant's last sequence.
    pub head: Sequence,
    /// The tenant's floor: sequences at or below were erased.
    pub floor: Sequence,
    /// The partition's last position.
    pub position: Position,
    /// Where the partition's router stands.
    pub checkpoint: Position,
    /// Where the endpoint's lane stands, if it is behind the checkpoint.
    pub settled: Option<Sequence>,
}

/// What a change of an endpoint writes.
#[derive(Debug, Clone)]
pub enum EndpointPlan {
    /// Nothing, and no event either.
    Nothing,
    /// This row, new (`no` is zero) or in place of the one that is there. With `lane`, its lane begins there instead
    /// of at the checkpoint.
    Put {
        /// The row. Its `no` and `revision` are set by the store.
        row: Box<EndpointRow>,
        /// Everything at or below counts as settled; what follows is read from the log.
        lane: Option<Sequence>,
    },
}

/// Turns what the store holds of an endpoint into what it shall write. Called once, inside the transaction.
pub type DecideEndpoint = Box<dyn FnOnce(EndpointView) -> EndpointPlan + Send>;

/// An append that goes into the transaction of something else.
pub struct Append {
    /// Into which partition.
    pub partition: PartitionId,
    /// What to look up.
    pub keys: AppendKeys,
    /// What to write.
    pub decide: Decide,
}

/// An append that was written within a transaction.
#[derive(Debug, Clone)]
pub struct Appended {
    /// The partition.
    pub partition: PartitionId,
    /// What was written.
    pub plan: AppendPlan,
    /// The partition's revision, as it stood when the rows were written.
    pub revision: Revision,
}

/// What became of a change of an endpoint.
#[derive(Debug, Clone)]
pub struct EndpointChanged {
    /// The row as it is now, numbered; none when nothing was written.
    pub row: Option<EndpointRow>,
    /// The appends that went with it.
    pub appended: Vec<Appended>,
}

/// What became of a router's commit.
#[derive(Debug, Clone)]
pub enum RouteOutcome {
    /// It is durable.
    Committed {
        /// The appends that went with it.
        appended: Vec<Appended>,
        /// The partition's revision after it, if the commit changed endpoints.
        revision: Option<Revision>,
    },
    /// Another owner has the partition, or the log is not what the router saw: nothing was written.
    Fenced,
}

/// What a router begins with.
#[derive(Debug, Clone, Default)]
pub struct RouterState {
    /// Lanes behind the checkpoint.
    pub lanes: Vec<LaneRow>,
    /// Events that wait for their next attempt.
    pub retries: Vec<RetryRow>,
    /// Circuits that are not closed.
    pub circuits: Vec<CircuitRow>,
}

/// What changed about a partition's subscriptions.
#[derive(Debug, Clone, Default)]
pub struct RoutingChanges {
    /// The partition's revision; everything up to it is in here.
    pub revision: Revision,
    /// How often a tenant moved away from the partition or to it. What a router holds in memory is of one such count.
    pub moves: u64,
    /// Endpoints that changed after the revision that was asked for, deleted ones too.
    pub endpoints: Vec<EndpointRow>,
    /// Replays that changed after it, ended ones too.
    pub replays: Vec<ReplayRow>,
    /// All dead letters that shall be delivered after all, oldest sequence first, at most 10,000.
    pub redrives: Vec<(EndpointNo, Sequence)>,
}

/// The state of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReplayState {
    /// It is under way.
    Running,
    /// It came to its end.
    Done,
    /// A person ended it.
    Cancelled,
}

impl ReplayState {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Running, Self::Done, Self::Cancelled];

    /// Its name, on the wire and as it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state with this name, if there is one.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.as_str() == name)
    }
}

/// A replay of past events to one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayRow {
    /// The store's short name; zero in a row that was not stored yet.
    pub no: ReplayNo,
    /// Its public id.
    pub id: String,
    /// To which endpoint.
    pub endpoint: EndpointNo,
    /// Whose.
    pub tenant_no: TenantNo,
    /// The partition's revision when it was last changed by a person.
    pub revision: Revision,
    /// Its state.
    pub state: ReplayState,
    /// Events above this sequence,
    pub after: Sequence,
    /// up to this one.
    pub upto: Sequence,
    /// Types in shorthand; all when empty.
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

/// How attempts ended that are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptFilter {
    /// With an answer from 200 to 299.
    Succeeded,
    /// With anything else.
    Failed,
    /// With a status in these bounds.
    Status(u16, u16),
}

/// Which attempts are wanted; newest first.
#[derive(Debug, Clone, Default)]
pub struct AttemptQuery {
    /// How they ended.
    pub ended: Option<AttemptFilter>,
    /// Of this event alone.
    pub sequence: Option<Sequence>,
    /// At this moment or later.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
    /// Only those that stand after this one in the order of the answer.
    pub beyond: Option<(Timestamp, LaneNo, Sequence, u32)>,
    /// At most so many.
    pub limit: usize,
}

/// Which dead letters are wanted, of one tenant; oldest sequence first, then by endpoint.
#[derive(Debug, Clone, Default)]
pub struct DeadQuery {
    /// Of this endpoint alone.
    pub endpoint: Option<EndpointNo>,
    /// Of this event alone.
    pub sequence: Option<Sequence>,
    /// Given up for this reason.
    pub reason: Option<DeadReason>,
    /// Of this type alone.
    pub event_type: Option<EventType>,
    /// Given up at this moment or later.
    pub since: Option<Timestamp>,
    /// Given up before this moment.
    pub until: Option<Timestamp>,
    /// Only those after this one.
    pub after: Option<(Sequence, EndpointNo)>,
    /// At most so many.
    pub limit: usize,
}

/// A dead letter with what the log says of its event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The row.
    pub row: DeadRow,
    /// The endpoint's public id.
    pub endpoint: EndpointId,
    /// The event's id, unless its row was erased.
    pub event_id: Option<EventId>,
    /// The event's type, unless its row was erased.
    pub event_type: Option<EventType>,
}

/// What shall become of dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadFate {
    /// They are delivered after all.
    Redrive,
    /// They are forgotten.
    Discard,
}

/// How an endpoint's delivery stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryState {
    /// The tenant's last sequence.
    pub head: Sequence,
    /// Where the partition's router stands.
    pub checkpoint: Position,
    /// The partition's last position.
    pub position: Position,
    /// Where the lane stands, if it is behind the checkpoint.
    pub settled: Option<Sequence>,
    /// Events in the retries.
    pub retries: u64,
    /// The oldest of them.
    pub oldest_retry: Option<Sequence>,
    /// Its dead letters.
    pub dead: u64,
    /// Its circuit, if it is not closed.
    pub circuit: Option<CircuitRow>,
}

/// What the store keeps of subscriptions and their delivery. Each method is one whole business step, atomic by itself.
#[async_trait]
pub trait DeliveryStore: Send + Sync + 'static {
    /// Changes one endpoint. In one transaction: locks the heads of the endpoint's partition and of all partitions
    /// that are appended to, in order of partition; reads the view; lets `decide` plan; writes the row at the next
    /// revision of its partition; appends. When nothing is planned, nothing is appended.
    async fn change_endpoint(
        &self,
        partition: PartitionId,
        tenant: TenantNo,
        id: &EndpointId,
        decide: DecideEndpoint,
        appends: Vec<Append>,
    ) -> Result<EndpointChanged>;

    /// One endpoint, unless it is deleted.
    async fn endpoint(&self, tenant: TenantNo, id: &EndpointId) -> Result<Option<EndpointRow>>;

    /// A tenant's endpoints by id, deleted ones left out, after the given one; at most `limit`.
    async fn endpoints(&self, tenant: TenantNo, after: Option<&EndpointId>, limit: usize) -> Result<Vec<EndpointRow>>;

    /// Endpoints of all tenants by number, after the given one; at most `limit`. Deleted ones are left out.
    async fn all_endpoints(&self, after: EndpointNo, limit: usize) -> Result<Vec<EndpointRow>>;

    /// What a router begins with, after its claim.
    async fn router_state(&self, partition: PartitionId) -> Result<RouterState>;

    /// What changed about a partition's subscriptions after a revision; everything that is there for revision 0, where
    /// deleted endpoints and ended replays are left out.
    async fn routing(&self, partition: PartitionId, after: Revision) -> Result<RoutingChanges>;

    /// Writes a router's commit and the appends that go with it in one transaction, proved by its epoch: the first
    /// statement moves the checkpoint where the epoch holds, and finds no row otherwise. Neither does it where the
    /// checkpoint would fall, or move beyond the log's end: then the log became shorter than the router saw it.
    async fn commit_route(&self, commit: &RouteCommit, appends: Vec<Append>) -> Result<RouteOutcome>;

    /// Attempts of one endpoint, its replays' too, newest first.
    async fn attempts(&self, endpoint: EndpointNo, query: &AttemptQuery) -> Result<Vec<AttemptRow>>;

    /// Dead letters of one tenant.
    async fn dead_letters(&self, tenant: TenantNo, query: &DeadQuery) -> Result<Vec<DeadLetter>>;

    /// Takes the dead letters away that `query` finds (its limit is at most 1,000), and with `Redrive` puts them where
    /// the router takes them from, at a new revision. Returns which they were.
    async fn settle_dead(
        &self,
        partition: PartitionId,
        tenant: TenantNo,
        query: &DeadQuery,
        fate: DeadFate,
    ) -> Result<Vec<(EndpointNo, Sequence)>>;

    /// One retry.
    async fn retry(&self, lane: LaneNo, sequence: Sequence) -> Result<Option<RetryRow>>;

    /// One dead letter.
    async fn dead(&self, endpoint: EndpointNo, sequence: Sequence) -> Result<Option<DeadRow>>;

    /// How an endpoint's delivery stands; nothing when there is no such endpoint.
    async fn delivery(&self, endpoint: EndpointNo) -> Result<Option<DeliveryState>>;

    /// Stores a replay at the next revision of the partition, with a lane that begins at its `after`. Returns it
    /// numbered, or nothing when the endpoint has `running_max` running replays or is deleted.
    async fn insert_replay(
        &self,
        partition: PartitionId,
        row: ReplayRow,
        running_max: u64,
    ) -> Result<Option<ReplayRow>>;

    /// Ends a running replay at the next revision of the partition; the row as it is then.
    async fn cancel_replay(&self, partition: PartitionId, no: ReplayNo, at: Timestamp) -> Result<Option<ReplayRow>>;

    /// One replay of an endpoint, and where its lane stands while it has one.
    async fn replay(&self, endpoint: EndpointNo, id: &str) -> Result<Option<(ReplayRow, Option<Sequence>)>>;

    /// Replays of an endpoint, newest first, older than the given one; at most `limit`.
    async fn replays(&self, endpoint: EndpointNo, before: Option<ReplayNo>, limit: usize) -> Result<Vec<ReplayRow>>;

    /// Makes room for attempts up to a day after `now` and drops those of the days before `keep_from`, whole days at a
    /// time. Returns whether anything was dropped. Called about every hour, and before a router begins.
    async fn keep_attempts(&self, now: Timestamp, keep_from: Timestamp) -> Result<bool>;
}
