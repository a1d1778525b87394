//! Endpoints, commits and attempts to store.

use std::time::Duration;

use bytes::Bytes;
use tidings_event::delivery::{AttemptResult, AttemptRow, DeadReason, DeadRow, LaneRow, RetryRow, RouteCommit};
use tidings_event::{
    EndpointId, EndpointNo, Event, LaneNo, PartitionId, Position, ReplayNo, Revision, Sequence, TenantNo,
};
use tidings_store::{
    Append, Appended, Beat, Boot, Claim, DecideEndpoint, EndpointChanged, EndpointPlan, EndpointRow, EndpointStatus,
    EndpointView, LeaseRole, Member, Result, RouteOutcome, SelectionRow, Serves, ShardNo, Slot, Store, TenantRow,
};

use crate::make::{keys, moment, plan};

/// Longer than any test takes.
pub(crate) const LEASE: Duration = Duration::from_secs(3_600);

pub(crate) fn endpoint_id(number: u32) -> EndpointId {
    EndpointId::parse(format!("ep_{number:026}")).expect("an endpoint's id")
}

/// A new endpoint of a tenant, as a decision would make it.
pub(crate) fn new_endpoint(tenant: &TenantRow, number: u32) -> EndpointRow {
    EndpointRow {
        no: EndpointNo(0),
        id: endpoint_id(number),
        tenant: tenant.id.clone(),
        tenant_no: tenant.no,
        partition: tenant.partition,
        revision: Revision(0),
        status: EndpointStatus::Active,
        status_reason: None,
        url: "https://example.com/hook".to_owned(),
        selections: vec![SelectionRow {
            after: Sequence(0),
            position: Position(0),
            types: vec!["sales.*".to_owned()],
            filter: None,
        }],
        settings: "{}".to_owned(),
        secrets: vec![1, 2, 3],
        created_at: moment(1),
        updated_at: moment(1),
    }
}

/// A decision that writes what `change` makes of the row that is there, or of none.
pub(crate) fn deciding(
    change: impl FnOnce(EndpointView) -> Option<(EndpointRow, Option<Sequence>)> + Send + 'static,
) -> DecideEndpoint {
    Box::new(move |view| match change(view) {
        Some((row, lane)) => EndpointPlan::Put { row: Box::new(row), lane },
        None => EndpointPlan::Nothing,
    })
}

/// Stores a new endpoint.
pub(crate) async fn create(store: &dyn Store, tenant: &TenantRow, number: u32) -> EndpointRow {
    put(store, new_endpoint(tenant, number), None).await
}

/// Writes a row as it is.
pub(crate) async fn put(store: &dyn Store, row: EndpointRow, lane: Option<Sequence>) -> EndpointRow {
    let (partition, tenant, id) = (row.partition, row.tenant_no, row.id.clone());
    let decide = deciding(move |_| Some((row, lane)));
    let changed = store.change_endpoint(partition, tenant, &id, decide, Vec::new()).await.expect("a change");
    changed.row.expect("a row")
}

/// Changes an endpoint and appends with it.
pub(crate) async fn put_with(store: &dyn Store, row: EndpointRow, appends: Vec<Append>) -> Result<EndpointChanged> {
    let (partition, tenant, id) = (row.partition, row.tenant_no, row.id.clone());
    store.change_endpoint(partition, tenant, &id, deciding(move |_| Some((row, None))), appends).await
}

pub(crate) async fn set_status(store: &dyn Store, row: &EndpointRow, status: EndpointStatus) -> EndpointRow {
    put(store, EndpointRow { status, ..row.clone() }, None).await
}

/// An append of events to their tenant.
pub(crate) fn appending(tenant: &TenantRow, events: Vec<Event>) -> Append {
    let (no, asked) = (tenant.no, keys(tenant.no, &events));
    Append {
        partition: tenant.partition,
        keys: asked,
        decide: Box::new(move |view| plan(&view, no, events, moment(1_000))),
    }
}

/// The run of the node in most tests.
pub(crate) const RUN: Boot = Boot(ulid::Ulid(1));

/// A heartbeat of a node that takes routers; returns who else beats.
pub(crate) async fn beat(store: &dyn Store, node: &str, boot: Boot) -> Vec<Member> {
    beat_in(store, ShardNo(0), node, boot).await
}

async fn beat_in(store: &dyn Store, shard: ShardNo, node: &str, boot: Boot) -> Vec<Member> {
    let serves = Serves { roles: ["router".to_owned()].into(), ..Serves::default() };
    let beat = Beat { node: node.to_owned(), boot, serves, address: None, version: "1.2.3".to_owned() };
    store.beat(shard, &beat, LEASE).await.expect("an answer")
}

pub(crate) async fn claim(store: &dyn Store, partition: u32) -> Claim {
    let slot = Slot::partition(PartitionId(partition));
    beat_in(store, store.shard_of(LeaseRole::Router, &slot), "node", RUN).await;
    store.claim(LeaseRole::Router, &slot, "node", RUN, LEASE).await.expect("an answer").expect("a claim")
}

/// A commit that moves nothing.
pub(crate) fn nothing(partition: u32, claim: Claim) -> RouteCommit {
    RouteCommit {
        partition: PartitionId(partition),
        epoch: claim.epoch,
        checkpoint: claim.checkpoint,
        lanes: Vec::new(),
        caught_up: Vec::new(),
        retries: Vec::new(),
        settled: Vec::new(),
        dead: Vec::new(),
        attempts: Vec::new(),
        circuits: Vec::new(),
        closed: Vec::new(),
        disabled: Vec::new(),
        redriven: Vec::new(),
        replays: Vec::new(),
        ended: Vec::new(),
    }
}

/// Commits, which the epoch must allow; the appends and the new revision.
pub(crate) async fn commit(store: &dyn Store, route: &RouteCommit) -> (Vec<Appended>, Option<Revision>) {
    commit_with(store, route, Vec::new()).await
}

pub(crate) async fn commit_with(
    store: &dyn Store,
    route: &RouteCommit,
    appends: Vec<Append>,
) -> (Vec<Appended>, Option<Revision>) {
    match store.commit_route(route, appends).await.expect("a commit") {
        RouteOutcome::Committed { appended, revision } => (appended, revision),
        RouteOutcome::Fenced => panic!("the epoch holds"),
    }
}

pub(crate) fn lane_row(lane: LaneNo, tenant: TenantNo, settled: u64) -> LaneRow {
    LaneRow { lane, tenant, settled: Sequence(settled) }
}

pub(crate) fn retry_row(lane: LaneNo, sequence: u64) -> RetryRow {
    RetryRow { lane, sequence: Sequence(sequence), attempts: 1, next_at: moment(5), key: None, previous: None }
}

pub(crate) fn dead_row(endpoint: &EndpointRow, sequence: u64) -> DeadRow {
    DeadRow {
        endpoint: endpoint.no,
        tenant: endpoint.tenant_no,
        sequence: Sequence(sequence),
        attempts: 10,
        last: Some(AttemptResult::Status(500)),
        reason: DeadReason::Exhausted,
        died_at: moment(7),
    }
}

pub(crate) fn attempt_row(endpoint: EndpointNo, sequence: u64, at: i64) -> AttemptRow {
    AttemptRow {
        lane: endpoint.into(),
        endpoint,
        sequence: Sequence(sequence),
        attempt: 1,
        at: moment(at),
        duration_us: 1_500,
        result: AttemptResult::Status(200),
        answer: Bytes::new(),
    }
}

pub(crate) fn replay_lane(no: ReplayNo) -> LaneNo {
    LaneNo::from(no)
}
