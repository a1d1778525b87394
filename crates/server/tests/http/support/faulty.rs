//! A store that fails, waits and shows another floor on demand, over a real one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
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
    ObservedRow, ReadLimit, ReplayRow, Result, RouteOutcome, RouterState, RoutingChanges, Search, ShardNo, Slot, Store,
    TailSlice, TenantRow,
};
use tokio::sync::Semaphore;

/// What the database says when it fails. No caller may read it.
pub(crate) const SECRET: &str = "FATAL: password authentication failed for user \"tidings\" at 10.0.0.7";

pub(crate) struct FaultyStore {
    inner: Arc<dyn Store>,
    broken: AtomicBool,
    floor: AtomicU64,
    breaks_after_append: AtomicBool,
    /// Each append takes one; plenty unless held.
    gate: Semaphore,
}

const PLENTY: usize = 1_000_000;

impl FaultyStore {
    pub(crate) fn over(inner: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            broken: AtomicBool::new(false),
            floor: AtomicU64::new(0),
            breaks_after_append: AtomicBool::new(false),
            gate: Semaphore::new(PLENTY),
        })
    }

    /// From now on the database cannot be reached, or can again.
    pub(crate) fn set_broken(&self, broken: bool) {
        self.broken.store(broken, Ordering::SeqCst);
    }

    /// The database cannot be reached once the next append has committed.
    pub(crate) fn break_after_append(&self) {
        self.breaks_after_append.store(true, Ordering::SeqCst);
    }

    /// From now on sequences at or below seem to be erased, for every tenant.
    pub(crate) fn set_floor(&self, floor: u64) {
        self.floor.store(floor, Ordering::SeqCst);
    }

    /// From now on appends wait before they do anything.
    pub(crate) fn hold(&self) {
        assert_eq!(self.gate.forget_permits(PLENTY), PLENTY, "appends are under way");
    }

    /// Lets appends go on.
    pub(crate) fn let_go(&self) {
        self.gate.add_permits(PLENTY);
    }

    fn check(&self) -> Result<()> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(Error::Unavailable { reason: SECRET.to_owned(), ambiguous: true });
        }
        Ok(())
    }

    fn floor(&self) -> Sequence {
        Sequence(self.floor.load(Ordering::SeqCst))
    }
}

#[async_trait]
impl Store for FaultyStore {
    fn backend(&self) -> Backend {
        self.inner.backend()
    }

    fn connections(&self) -> Option<tidings_store::ConnectionCounts> {
        self.inner.connections()
    }

    fn log(&self) -> LogInfo {
        self.inner.log()
    }

    async fn durability(&self) -> Result<Durability> {
        self.check()?;
        self.inner.durability().await
    }

    async fn probe_write(&self) -> Result<()> {
        self.check()?;
        self.inner.probe_write().await
    }

    async fn place(&self, tenants: &[(TenantId, PartitionId)]) -> Result<Vec<TenantRow>> {
        self.check()?;
        self.inner.place(tenants).await
    }

    async fn tenant(&self, tenant: &TenantId) -> Result<Option<TenantRow>> {
        self.check()?;
        let row = self.inner.tenant(tenant).await?;
        Ok(row.map(|row| TenantRow { floor: row.floor.max(self.floor()), ..row }))
    }

    async fn tenants(&self, after: Option<&TenantId>, limit: usize) -> Result<Vec<TenantRow>> {
        self.check()?;
        self.inner.tenants(after, limit).await
    }

    async fn append(&self, partition: PartitionId, keys: AppendKeys, decide: Decide) -> Result<Appended> {
        drop(self.gate.acquire().await.expect("the gate is never closed"));
        self.check()?;
        let appended = self.inner.append(partition, keys, decide).await?;
        if self.breaks_after_append.swap(false, Ordering::SeqCst) {
            self.set_broken(true);
        }
        Ok(appended)
    }

    async fn tail(&self, partition: PartitionId, after: Position, limit: ReadLimit) -> Result<TailSlice> {
        self.check()?;
        self.inner.tail(partition, after, limit).await
    }

    async fn heads(&self) -> Result<Vec<Head>> {
        self.check()?;
        self.inner.heads().await
    }

    async fn move_tenant(&self, tenant: TenantNo, to: PartitionId) -> Result<tidings_store::MoveOutcome> {
        self.inner.move_tenant(tenant, to).await
    }

    async fn stalled_moves(&self, shard: tidings_store::ShardNo) -> Result<Vec<(TenantNo, TenantId, PartitionId)>> {
        self.inner.stalled_moves(shard).await
    }

    async fn feed(&self, tenant: TenantNo, after: Sequence, limit: ReadLimit) -> Result<FeedSlice> {
        self.check()?;
        let slice = self.inner.feed(tenant, after, limit).await?;
        Ok(FeedSlice { floor: slice.floor.max(self.floor()), ..slice })
    }

    async fn sequence_before(&self, tenant: TenantNo, moment: Timestamp) -> Result<Sequence> {
        self.check()?;
        self.inner.sequence_before(tenant, moment).await
    }

    async fn event(&self, tenant: TenantNo, id: &EventId) -> Result<Option<Recorded>> {
        self.check()?;
        self.inner.event(tenant, id).await
    }

    async fn search(&self, tenant: TenantNo, search: &Search) -> Result<Vec<Recorded>> {
        self.check()?;
        self.inner.search(tenant, search).await
    }

    async fn caused_by(&self, tenant: TenantNo, causes: &[Text], limit: usize) -> Result<Vec<Recorded>> {
        self.check()?;
        self.inner.caused_by(tenant, causes, limit).await
    }

    async fn insert_key(&self, key: &KeyRow) -> Result<()> {
        self.check()?;
        self.inner.insert_key(key).await
    }

    async fn key_by_hash(&self, hash: &[u8; 32]) -> Result<Option<KeyRow>> {
        self.check()?;
        self.inner.key_by_hash(hash).await
    }

    async fn keys(&self, after: Option<&str>, limit: usize) -> Result<Vec<KeyRow>> {
        self.check()?;
        self.inner.keys(after, limit).await
    }

    async fn revoke_key(&self, id: &str, at: Timestamp) -> Result<Option<KeyRow>> {
        self.check()?;
        self.inner.revoke_key(id, at).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

#[async_trait]
impl DeliveryStore for FaultyStore {
    async fn change_endpoint(
        &self,
        partition: PartitionId,
        tenant: TenantNo,
        id: &EndpointId,
        decide: DecideEndpoint,
        appends: Vec<Append>,
    ) -> Result<EndpointChanged> {
        self.check()?;
        self.inner.change_endpoint(partition, tenant, id, decide, appends).await
    }

    async fn endpoint(&self, tenant: TenantNo, id: &EndpointId) -> Result<Option<EndpointRow>> {
        self.check()?;
        self.inner.endpoint(tenant, id).await
    }

    async fn endpoints(&self, tenant: TenantNo, after: Option<&EndpointId>, limit: usize) -> Result<Vec<EndpointRow>> {
        self.check()?;
        self.inner.endpoints(tenant, after, limit).await
    }

    async fn all_endpoints(&self, after: EndpointNo, limit: usize) -> Result<Vec<EndpointRow>> {
        self.check()?;
        self.inner.all_endpoints(after, limit).await
    }

    async fn router_state(&self, partition: PartitionId) -> Result<RouterState> {
        self.check()?;
        self.inner.router_state(partition).await
    }

    async fn routing(&self, partition: PartitionId, after: Revision) -> Result<RoutingChanges> {
        self.check()?;
        self.inner.routing(partition, after).await
    }

    async fn commit_route(&self, commit: &RouteCommit, appends: Vec<Append>) -> Result<RouteOutcome> {
        self.check()?;
        self.inner.commit_route(commit, appends).await
    }

    async fn attempts(&self, endpoint: EndpointNo, query: &AttemptQuery) -> Result<Vec<AttemptRow>> {
        self.check()?;
        self.inner.attempts(endpoint, query).await
    }

    async fn dead_letters(&self, tenant: TenantNo, query: &DeadQuery) -> Result<Vec<DeadLetter>> {
        self.check()?;
        self.inner.dead_letters(tenant, query).await
    }

    async fn settle_dead(
        &self,
        partition: PartitionId,
        tenant: TenantNo,
        query: &DeadQuery,
        fate: DeadFate,
    ) -> Result<Vec<(EndpointNo, Sequence)>> {
        self.check()?;
        self.inner.settle_dead(partition, tenant, query, fate).await
    }

    async fn retry(&self, lane: LaneNo, sequence: Sequence) -> Result<Option<RetryRow>> {
        self.check()?;
        self.inner.retry(lane, sequence).await
    }

    async fn dead(&self, endpoint: EndpointNo, sequence: Sequence) -> Result<Option<DeadRow>> {
        self.check()?;
        self.inner.dead(endpoint, sequence).await
    }

    async fn delivery(&self, endpoint: EndpointNo) -> Result<Option<DeliveryState>> {
        self.check()?;
        self.inner.delivery(endpoint).await
    }

    async fn insert_replay(
        &self,
        partition: PartitionId,
        row: ReplayRow,
        running_max: u64,
    ) -> Result<Option<ReplayRow>> {
        self.check()?;
        self.inner.insert_replay(partition, row, running_max).await
    }

    async fn cancel_replay(&self, partition: PartitionId, no: ReplayNo, at: Timestamp) -> Result<Option<ReplayRow>> {
        self.check()?;
        self.inner.cancel_replay(partition, no, at).await
    }

    async fn replay(&self, endpoint: EndpointNo, id: &str) -> Result<Option<(ReplayRow, Option<Sequence>)>> {
        self.check()?;
        self.inner.replay(endpoint, id).await
    }

    async fn replays(&self, endpoint: EndpointNo, before: Option<ReplayNo>, limit: usize) -> Result<Vec<ReplayRow>> {
        self.check()?;
        self.inner.replays(endpoint, before, limit).await
    }

    async fn keep_attempts(&self, now: Timestamp, keep_from: Timestamp) -> Result<bool> {
        self.check()?;
        self.inner.keep_attempts(now, keep_from).await
    }
}

#[async_trait]
impl CatalogStore for FaultyStore {
    async fn catalog_revision(&self) -> Result<CatalogRevision> {
        self.check()?;
        self.inner.catalog_revision().await
    }

    async fn catalog(&self, after: CatalogRevision, limit: usize) -> Result<CatalogSlice> {
        self.check()?;
        self.inner.catalog(after, limit).await
    }

    async fn catalog_history(&self, query: &HistoryQuery) -> Result<HistorySlice> {
        self.check()?;
        self.inner.catalog_history(query).await
    }

    async fn catalog_newest(&self, kind: &str, name: &str) -> Result<Vec<EntryRow>> {
        self.check()?;
        self.inner.catalog_newest(kind, name).await
    }

    async fn change_catalog(
        &self,
        expected: CatalogRevision,
        changes: Vec<EntryChange>,
        by: &str,
        at: Timestamp,
        appends: Vec<Append>,
    ) -> Result<CatalogOutcome> {
        self.check()?;
        self.inner.change_catalog(expected, changes, by, at, appends).await
    }

    async fn put_aside(&self, events: &[Aside], tenant_max: usize) -> Result<bool> {
        self.check()?;
        self.inner.put_aside(events, tenant_max).await
    }

    async fn aside(&self, tenant: &TenantId, query: &AsideQuery) -> Result<Vec<Aside>> {
        self.check()?;
        self.inner.aside(tenant, query).await
    }

    async fn aside_one(&self, tenant: &TenantId, no: i64) -> Result<Option<Aside>> {
        self.check()?;
        self.inner.aside_one(tenant, no).await
    }

    async fn clear_aside(&self, tenant: &TenantId, nos: &[i64]) -> Result<u64> {
        self.check()?;
        self.inner.clear_aside(tenant, nos).await
    }

    async fn marks(&self, tenant: TenantNo, query: &MarkQuery) -> Result<Vec<MarkRow>> {
        self.check()?;
        self.inner.marks(tenant, query).await
    }

    async fn observe(&self, seen: &[ObservedRow], rows_max: usize) -> Result<()> {
        self.check()?;
        self.inner.observe(seen, rows_max).await
    }

    async fn observed(&self, event_type: Option<&EventType>, limit: usize) -> Result<Vec<ObservedRow>> {
        self.check()?;
        self.inner.observed(event_type, limit).await
    }
}

#[async_trait]
impl tidings_store::QuotaStore for FaultyStore {
    async fn put_quota(&self, row: &tidings_store::QuotaRow) -> Result<tidings_store::QuotaOutcome> {
        self.inner.put_quota(row).await
    }

    async fn quota(&self, tenant: &TenantId) -> Result<Option<tidings_store::QuotaRow>> {
        self.inner.quota(tenant).await
    }

    async fn quotas(&self, after: tidings_store::QuotaRevision, limit: usize) -> Result<tidings_store::QuotaSlice> {
        self.inner.quotas(after, limit).await
    }
}

#[async_trait]
impl LeaseStore for FaultyStore {
    fn shards(&self) -> u16 {
        self.inner.shards()
    }

    fn shard_of(&self, role: LeaseRole, slot: &Slot) -> ShardNo {
        self.inner.shard_of(role, slot)
    }

    async fn beat(&self, shard: ShardNo, beat: &Beat, ttl: Duration) -> Result<Vec<Member>> {
        self.check()?;
        self.inner.beat(shard, beat, ttl).await
    }

    async fn leave(&self, shard: ShardNo, node: &str, boot: Boot) -> Result<()> {
        self.check()?;
        self.inner.leave(shard, node, boot).await
    }

    async fn claim(
        &self,
        role: LeaseRole,
        slot: &Slot,
        node: &str,
        boot: Boot,
        ttl: Duration,
    ) -> Result<Option<Claim>> {
        self.check()?;
        self.inner.claim(role, slot, node, boot, ttl).await
    }

    async fn release(&self, role: LeaseRole, slot: &Slot, epoch: Epoch) -> Result<()> {
        self.check()?;
        self.inner.release(role, slot, epoch).await
    }

    async fn advance(&self, role: LeaseRole, slot: &Slot, epoch: Epoch, checkpoint: Position) -> Result<bool> {
        self.check()?;
        self.inner.advance(role, slot, epoch, checkpoint).await
    }

    async fn leases(&self, shard: ShardNo) -> Result<Vec<LeaseRow>> {
        self.check()?;
        self.inner.leases(shard).await
    }

    async fn master_check(&self, check: &[u8; 32], replace: bool) -> Result<bool> {
        self.check()?;
        self.inner.master_check(check, replace).await
    }
}
