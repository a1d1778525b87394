//! The database as one node sees it: the real statements on a log in memory that all nodes share, behind a way that is
//! slow, breaks, and loses answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tidings_event::delivery::{AttemptRow, DeadRow, RetryRow, RouteCommit};
use tidings_event::log::AppendKeys;
use tidings_event::{
    EndpointId, EndpointNo, Epoch, EventId, EventType, LaneNo, PartitionId, Position, Recorded, ReplayNo, Revision,
    Sequence, TenantId, TenantNo, Text, Timestamp,
};
use tidings_store::{
    Append, Appended, Aside, AsideQuery, AttemptQuery, Backend, Beat, Boot, CatalogOutcome, CatalogRevision,
    CatalogSlice, CatalogStore, Claim, DeadFate, DeadLetter, DeadQuery, Decide, DecideEndpoint, DeliveryState,
    DeliveryStore, Durability, EndpointChanged, EndpointRow, EntryChange, EntryRow, Error, FeedSlice, Head,
    HistoryQuery, HistorySlice, KeyRow, LeaseRole, LeaseRow, LeaseStore, LogInfo, MarkQuery, MarkRow, Member,
    ObservedRow, QuotaRevision, QuotaRow, QuotaSlice, QuotaStore, ReadLimit, ReplayRow, Result, RouteOutcome,
    RouterState, RoutingChanges, Search, ShardNo, Slot, Store, TailSlice, TenantRow,
};

use crate::place::Place;
use crate::sabotage::Sabotage;
use crate::universe::Excuse;

/// Who claimed and committed under which epoch, over all nodes: each epoch of a lease has one owner, and none commits
/// once a later one was claimed.
#[derive(Default)]
pub struct Owners(Mutex<BTreeMap<String, BTreeMap<Epoch, Owner>>>);

/// A run of a node.
type Owner = (String, u32);

/// The database as one run of one node sees it.
pub struct NodeStore {
    pub inner: Arc<dyn Store>,
    pub place: Arc<Place>,
    pub owners: Arc<Owners>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
}

fn unavailable(ambiguous: bool) -> Error {
    Error::Unavailable { reason: "as the seed says".to_owned(), ambiguous }
}

impl NodeStore {
    async fn call<T>(&self, op: &'static str, kind: Kind, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.place.call(op, kind == Kind::Write, unavailable, work).await
    }

    /// A commit as it is without what was taken away.
    async fn sabotaged(&self, commit: &RouteCommit) -> Result<RouteCommit> {
        let mut commit = commit.clone();
        match self.place.sabotage {
            Some(Sabotage::Fence) => {
                let slot = Slot::partition(commit.partition);
                let leases = self.inner.leases(ShardNo(0)).await?;
                let row = leases.iter().find(|row| row.role == LeaseRole::Router && row.slot == slot);
                commit.epoch = row.map_or(commit.epoch, |row| row.epoch);
            }
            Some(Sabotage::LaneRow) => commit.lanes.clear(),
            Some(Sabotage::Retries) => commit.retries.clear(),
            _ => {}
        }
        Ok(commit)
    }

    /// Looks at a commit that the database took.
    fn committed(&self, commit: &RouteCommit) {
        let place = &self.place;
        place.trace(format_args!(
            "routed {} epoch {} to {}: {} lanes, {} caught up, {} retries, {} dead, {} attempts",
            commit.partition,
            commit.epoch.get(),
            commit.checkpoint,
            commit.lanes.len(),
            commit.caught_up.len(),
            commit.retries.len(),
            commit.dead.len(),
            commit.attempts.len(),
        ));
        self.owns(LeaseRole::Router, &Slot::partition(commit.partition), commit.epoch);
    }

    /// Looks at a claim that was granted, or at what was written under one.
    fn owns(&self, role: LeaseRole, slot: &Slot, epoch: Epoch) {
        let place = &self.place;
        let mut owners = self.owners.0.lock();
        let of_lease = owners.entry(format!("{role} {slot}")).or_default();
        let me = (place.name.clone(), place.boot);
        let owner = of_lease.entry(epoch).or_insert_with(|| me.clone());
        if *owner != me {
            place.universe.breaks(format_args!(
                "one owner an epoch: {me:?} and {owner:?} both had {role} {slot} under epoch {}",
                epoch.get()
            ));
        }
        if let Some((last, later)) = of_lease.last_key_value().filter(|(last, _)| **last > epoch) {
            place.universe.breaks(format_args!(
                "the fence: {me:?} wrote as {role} {slot} under epoch {} after {later:?} had claimed {}",
                epoch.get(),
                last.get()
            ));
        }
    }
}

#[async_trait]
impl Store for NodeStore {
    fn backend(&self) -> Backend {
        self.inner.backend()
    }

    fn log(&self) -> LogInfo {
        self.inner.log()
    }

    async fn durability(&self) -> Result<Durability> {
        self.call("durability", Kind::Read, self.inner.durability()).await
    }

    async fn probe_write(&self) -> Result<()> {
        self.call("probe_write", Kind::Write, self.inner.probe_write()).await
    }

    async fn place(&self, tenants: &[(TenantId, PartitionId)]) -> Result<Vec<TenantRow>> {
        self.call("place", Kind::Write, self.inner.place(tenants)).await
    }

    async fn tenant(&self, tenant: &TenantId) -> Result<Option<TenantRow>> {
        self.call("tenant", Kind::Read, self.inner.tenant(tenant)).await
    }

    async fn tenants(&self, after: Option<&TenantId>, limit: usize) -> Result<Vec<TenantRow>> {
        self.call("tenants", Kind::Read, self.inner.tenants(after, limit)).await
    }

    async fn append(&self, partition: PartitionId, keys: AppendKeys, decide: Decide) -> Result<Appended> {
        let work = async {
            let blind = self.place.sabotage == Some(Sabotage::Dedupe);
            let decide: Decide = Box::new(move |mut view| {
                if blind {
                    view.existing.clear();
                }
                decide(view)
            });
            let appended = self.inner.append(partition, keys, decide).await?;
            if let (Some(first), Some(last)) = (appended.plan.rows.first(), appended.plan.rows.last()) {
                self.place.trace(format_args!("appended {partition} {}..={}", first.position, last.position));
            }
            Ok(appended)
        };
        self.call("append", Kind::Write, work).await
    }

    async fn tail(&self, partition: PartitionId, after: Position, limit: ReadLimit) -> Result<TailSlice> {
        self.call("tail", Kind::Read, self.inner.tail(partition, after, limit)).await
    }

    async fn heads(&self) -> Result<Vec<Head>> {
        self.call("heads", Kind::Read, self.inner.heads()).await
    }

    async fn move_tenant(&self, tenant: TenantNo, to: PartitionId) -> Result<tidings_store::MoveOutcome> {
        self.inner.move_tenant(tenant, to).await
    }

    async fn stalled_moves(&self, shard: tidings_store::ShardNo) -> Result<Vec<(TenantNo, TenantId, PartitionId)>> {
        self.inner.stalled_moves(shard).await
    }

    async fn feed(&self, tenant: TenantNo, after: Sequence, limit: ReadLimit) -> Result<FeedSlice> {
        self.call("feed", Kind::Read, self.inner.feed(tenant, after, limit)).await
    }

    async fn sequence_before(&self, tenant: TenantNo, moment: Timestamp) -> Result<Sequence> {
        self.call("sequence_before", Kind::Read, self.inner.sequence_before(tenant, moment)).await
    }

    async fn event(&self, tenant: TenantNo, id: &EventId) -> Result<Option<Recorded>> {
        self.call("event", Kind::Read, self.inner.event(tenant, id)).await
    }

    async fn search(&self, tenant: TenantNo, search: &Search) -> Result<Vec<Recorded>> {
        self.call("search", Kind::Read, self.inner.search(tenant, search)).await
    }

    async fn caused_by(&self, tenant: TenantNo, causes: &[Text], limit: usize) -> Result<Vec<Recorded>> {
        self.call("caused_by", Kind::Read, self.inner.caused_by(tenant, causes, limit)).await
    }

    async fn key_by_hash(&self, hash: &[u8; 32]) -> Result<Option<KeyRow>> {
        self.call("key_by_hash", Kind::Read, self.inner.key_by_hash(hash)).await
    }

    async fn insert_key(&self, key: &KeyRow) -> Result<()> {
        self.call("insert_key", Kind::Write, self.inner.insert_key(key)).await
    }

    async fn keys(&self, after: Option<&str>, limit: usize) -> Result<Vec<KeyRow>> {
        self.call("keys", Kind::Read, self.inner.keys(after, limit)).await
    }

    async fn revoke_key(&self, id: &str, at: Timestamp) -> Result<Option<KeyRow>> {
        self.call("revoke_key", Kind::Write, self.inner.revoke_key(id, at)).await
    }

    async fn close(&self) {
        // Others use it still.
    }
}

#[async_trait]
impl DeliveryStore for NodeStore {
    async fn change_endpoint(
        &self,
        partition: PartitionId,
        tenant: TenantNo,
        id: &EndpointId,
        decide: DecideEndpoint,
        appends: Vec<Append>,
    ) -> Result<EndpointChanged> {
        self.call("change_endpoint", Kind::Write, self.inner.change_endpoint(partition, tenant, id, decide, appends))
            .await
    }

    async fn endpoint(&self, tenant: TenantNo, id: &EndpointId) -> Result<Option<EndpointRow>> {
        self.call("endpoint", Kind::Read, self.inner.endpoint(tenant, id)).await
    }

    async fn endpoints(&self, tenant: TenantNo, after: Option<&EndpointId>, limit: usize) -> Result<Vec<EndpointRow>> {
        self.call("endpoints", Kind::Read, self.inner.endpoints(tenant, after, limit)).await
    }

    async fn all_endpoints(&self, after: EndpointNo, limit: usize) -> Result<Vec<EndpointRow>> {
        self.call("all_endpoints", Kind::Read, self.inner.all_endpoints(after, limit)).await
    }

    async fn router_state(&self, partition: PartitionId) -> Result<RouterState> {
        let work = async {
            let mut state = self.inner.router_state(partition).await?;
            if self.place.sabotage == Some(Sabotage::LanePlace) {
                state.lanes.iter_mut().for_each(|lane| lane.settled = Sequence(0));
            }
            Ok(state)
        };
        self.call("router_state", Kind::Read, work).await
    }

    async fn routing(&self, partition: PartitionId, after: Revision) -> Result<RoutingChanges> {
        self.call("routing", Kind::Read, self.inner.routing(partition, after)).await
    }

    async fn commit_route(&self, commit: &RouteCommit, appends: Vec<Append>) -> Result<RouteOutcome> {
        let work = async {
            let written = self.sabotaged(commit).await?;
            let outcome = self.inner.commit_route(&written, appends).await?;
            match outcome {
                RouteOutcome::Committed { .. } => self.committed(commit),
                RouteOutcome::Fenced => {
                    self.place.trace(format_args!("fenced {} epoch {}", commit.partition, commit.epoch.get()));
                }
            }
            Ok(outcome)
        };
        self.call("commit_route", Kind::Write, work).await
    }

    async fn attempts(&self, endpoint: EndpointNo, query: &AttemptQuery) -> Result<Vec<AttemptRow>> {
        self.call("attempts", Kind::Read, self.inner.attempts(endpoint, query)).await
    }

    async fn dead_letters(&self, tenant: TenantNo, query: &DeadQuery) -> Result<Vec<DeadLetter>> {
        self.call("dead_letters", Kind::Read, self.inner.dead_letters(tenant, query)).await
    }

    async fn settle_dead(
        &self,
        partition: PartitionId,
        tenant: TenantNo,
        query: &DeadQuery,
        fate: DeadFate,
    ) -> Result<Vec<(EndpointNo, Sequence)>> {
        self.call("settle_dead", Kind::Write, self.inner.settle_dead(partition, tenant, query, fate)).await
    }

    async fn retry(&self, lane: LaneNo, sequence: Sequence) -> Result<Option<RetryRow>> {
        self.call("retry", Kind::Read, self.inner.retry(lane, sequence)).await
    }

    async fn dead(&self, endpoint: EndpointNo, sequence: Sequence) -> Result<Option<DeadRow>> {
        self.call("dead", Kind::Read, self.inner.dead(endpoint, sequence)).await
    }

    async fn delivery(&self, endpoint: EndpointNo) -> Result<Option<DeliveryState>> {
        self.call("delivery", Kind::Read, self.inner.delivery(endpoint)).await
    }

    async fn insert_replay(
        &self,
        partition: PartitionId,
        row: ReplayRow,
        running_max: u64,
    ) -> Result<Option<ReplayRow>> {
        self.call("insert_replay", Kind::Write, self.inner.insert_replay(partition, row, running_max)).await
    }

    async fn cancel_replay(&self, partition: PartitionId, no: ReplayNo, at: Timestamp) -> Result<Option<ReplayRow>> {
        self.call("cancel_replay", Kind::Write, self.inner.cancel_replay(partition, no, at)).await
    }

    async fn replay(&self, endpoint: EndpointNo, id: &str) -> Result<Option<(ReplayRow, Option<Sequence>)>> {
        self.call("replay", Kind::Read, self.inner.replay(endpoint, id)).await
    }

    async fn replays(&self, endpoint: EndpointNo, before: Option<ReplayNo>, limit: usize) -> Result<Vec<ReplayRow>> {
        self.call("replays", Kind::Read, self.inner.replays(endpoint, before, limit)).await
    }

    async fn keep_attempts(&self, now: Timestamp, keep_from: Timestamp) -> Result<bool> {
        self.call("keep_attempts", Kind::Write, self.inner.keep_attempts(now, keep_from)).await
    }
}

#[async_trait]
impl CatalogStore for NodeStore {
    async fn catalog_revision(&self) -> Result<CatalogRevision> {
        self.call("catalog_revision", Kind::Read, self.inner.catalog_revision()).await
    }

    async fn catalog(&self, after: CatalogRevision, limit: usize) -> Result<CatalogSlice> {
        self.call("catalog", Kind::Read, self.inner.catalog(after, limit)).await
    }

    async fn catalog_history(&self, query: &HistoryQuery) -> Result<HistorySlice> {
        self.call("catalog_history", Kind::Read, self.inner.catalog_history(query)).await
    }

    async fn catalog_newest(&self, kind: &str, name: &str) -> Result<Vec<EntryRow>> {
        self.call("catalog_newest", Kind::Read, self.inner.catalog_newest(kind, name)).await
    }

    async fn change_catalog(
        &self,
        expected: CatalogRevision,
        changes: Vec<EntryChange>,
        by: &str,
        at: Timestamp,
        appends: Vec<Append>,
    ) -> Result<CatalogOutcome> {
        self.call("change_catalog", Kind::Write, self.inner.change_catalog(expected, changes, by, at, appends)).await
    }

    async fn put_aside(&self, events: &[Aside], tenant_max: usize) -> Result<bool> {
        self.call("put_aside", Kind::Write, self.inner.put_aside(events, tenant_max)).await
    }

    async fn aside(&self, tenant: &TenantId, query: &AsideQuery) -> Result<Vec<Aside>> {
        self.call("aside", Kind::Read, self.inner.aside(tenant, query)).await
    }

    async fn aside_one(&self, tenant: &TenantId, no: i64) -> Result<Option<Aside>> {
        self.call("aside_one", Kind::Read, self.inner.aside_one(tenant, no)).await
    }

    async fn clear_aside(&self, tenant: &TenantId, nos: &[i64]) -> Result<u64> {
        self.call("clear_aside", Kind::Write, self.inner.clear_aside(tenant, nos)).await
    }

    async fn marks(&self, tenant: TenantNo, query: &MarkQuery) -> Result<Vec<MarkRow>> {
        self.call("marks", Kind::Read, self.inner.marks(tenant, query)).await
    }

    async fn observe(&self, seen: &[ObservedRow], rows_max: usize) -> Result<()> {
        self.call("observe", Kind::Write, self.inner.observe(seen, rows_max)).await
    }

    async fn observed(&self, event_type: Option<&EventType>, limit: usize) -> Result<Vec<ObservedRow>> {
        self.call("observed", Kind::Read, self.inner.observed(event_type, limit)).await
    }
}

#[async_trait]
impl LeaseStore for NodeStore {
    fn shards(&self) -> u16 {
        self.inner.shards()
    }

    fn shard_of(&self, role: LeaseRole, slot: &Slot) -> ShardNo {
        self.inner.shard_of(role, slot)
    }

    async fn beat(&self, shard: ShardNo, beat: &Beat, ttl: Duration) -> Result<Vec<Member>> {
        self.call("beat", Kind::Write, self.inner.beat(shard, beat, ttl)).await
    }

    async fn leave(&self, shard: ShardNo, node: &str, boot: Boot) -> Result<()> {
        self.call("leave", Kind::Write, self.inner.leave(shard, node, boot)).await
    }

    async fn claim(
        &self,
        role: LeaseRole,
        slot: &Slot,
        node: &str,
        boot: Boot,
        ttl: Duration,
    ) -> Result<Option<Claim>> {
        let work = async {
            let claim = self.inner.claim(role, slot, node, boot, ttl).await?;
            if let Some(claim) = claim {
                if let (LeaseRole::Router, Some(partition)) = (role, slot.as_partition()) {
                    self.place.universe.excuses(self.place.now_us(), Excuse::Partition(i64::from(partition.0)));
                }
                self.place.trace(format_args!("claimed {role} {slot} epoch {}", claim.epoch.get()));
                self.owns(role, slot, claim.epoch);
            }
            Ok(claim)
        };
        self.call("claim", Kind::Write, work).await
    }

    async fn release(&self, role: LeaseRole, slot: &Slot, epoch: Epoch) -> Result<()> {
        self.call("release", Kind::Write, self.inner.release(role, slot, epoch)).await
    }

    async fn advance(&self, role: LeaseRole, slot: &Slot, epoch: Epoch, checkpoint: Position) -> Result<bool> {
        let work = async {
            let is_moved = self.inner.advance(role, slot, epoch, checkpoint).await?;
            if is_moved {
                self.owns(role, slot, epoch);
            }
            Ok(is_moved)
        };
        self.call("advance", Kind::Write, work).await
    }

    async fn leases(&self, shard: ShardNo) -> Result<Vec<LeaseRow>> {
        self.call("leases", Kind::Read, self.inner.leases(shard)).await
    }
    async fn master_check(&self, check: &[u8; 32], replace: bool) -> Result<bool> {
        self.call("master_check", Kind::Write, self.inner.master_check(check, replace)).await
    }
}

#[async_trait]
impl QuotaStore for NodeStore {
    async fn put_quota(&self, row: &QuotaRow) -> Result<tidings_store::QuotaOutcome> {
        self.call("put_quota", Kind::Write, self.inner.put_quota(row)).await
    }

    async fn quota(&self, tenant: &TenantId) -> Result<Option<QuotaRow>> {
        self.call("quota", Kind::Read, self.inner.quota(tenant)).await
    }

    async fn quotas(&self, after: QuotaRevision, limit: usize) -> Result<QuotaSlice> {
        self.call("quotas", Kind::Read, self.inner.quotas(after, limit)).await
    }
}
