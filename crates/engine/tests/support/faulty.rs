//! A store that fails, waits and counts on demand, over a real one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
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
    ObservedRow, ReadLimit, ReplayRow, Result, RouteOutcome, RouterState, RoutingChanges, Search, ShardNo, Slot, Store,
    TailSlice, TenantRow,
};
use tokio::sync::{Notify, Semaphore, watch};

/// How an append goes wrong.
pub enum Failure {
    /// Nothing is written.
    BeforeCommit,
    /// The rows are written, but the answer is lost.
    AfterCommit,
    /// The decision is never called, and the task panics.
    Panic,
}

pub struct FaultyStore {
    inner: Mutex<Arc<dyn Store>>,
    /// What the next appends do; after these they succeed.
    failures: Mutex<VecDeque<Failure>>,
    /// Each append takes one; plenty unless held.
    gate: Semaphore,
    waiting: AtomicUsize,
    arrived: Notify,
    pub appends: AtomicUsize,
    pub feeds: AtomicUsize,
    pub tenants: AtomicUsize,
    /// Events of partitions that were read.
    pub tailed: AtomicUsize,
    pub searches: AtomicUsize,
    /// Shown as the floor of every tenant.
    pub floor: AtomicU64,
    /// So many of the newest events seem never to have been written, in every partition and tenant.
    pub lost: AtomicU64,
    /// Every append of an event with this id breaks.
    pub allergic_to: Mutex<Option<EventId>>,
    /// What the next commits of routers do; after these they succeed.
    route_failures: Mutex<VecDeque<Failure>>,
    pub route_commits: AtomicUsize,
    /// How often a heartbeat was to be written.
    pub beats: watch::Sender<usize>,
    /// While set, no heartbeat can be written.
    pub mute: AtomicBool,
    /// While set, no head can be read; and how often one could not.
    pub deaf: AtomicBool,
    unheard: watch::Sender<usize>,
    /// To this partition nothing can be appended.
    pub down: Mutex<Option<PartitionId>>,
    /// Each commit of a router takes one; plenty unless held.
    route_gate: Semaphore,
    routes_waiting: watch::Sender<usize>,
    fenced: watch::Sender<usize>,
    /// What the next changes of the quarantine do; after these they succeed.
    aside_failures: Mutex<VecDeque<Failure>>,
    /// How often the catalog's revision was asked for.
    pub revisions: watch::Sender<usize>,
    /// While set, the catalog cannot be read.
    pub catalog_down: AtomicBool,
    /// While set, no quarantine has room.
    pub quarantine_full: AtomicBool,
    /// How many events a tenant may have in quarantine, if fewer than the engine says.
    pub quarantine_max: AtomicUsize,
    /// How often events were to be put aside.
    pub asides: AtomicUsize,
}

const PLENTY: usize = 1_000_000;

impl FaultyStore {
    pub fn over(inner: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(inner),
            failures: Mutex::default(),
            gate: Semaphore::new(PLENTY),
            waiting: AtomicUsize::new(0),
            arrived: Notify::new(),
            appends: AtomicUsize::new(0),
            feeds: AtomicUsize::new(0),
            tenants: AtomicUsize::new(0),
            tailed: AtomicUsize::new(0),
            searches: AtomicUsize::new(0),
            floor: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            allergic_to: Mutex::new(None),
            route_failures: Mutex::default(),
            route_commits: AtomicUsize::new(0),
            route_gate: Semaphore::new(PLENTY),
            routes_waiting: watch::Sender::default(),
            fenced: watch::Sender::default(),
            beats: watch::Sender::default(),
            mute: AtomicBool::new(false),
            deaf: AtomicBool::new(false),
            unheard: watch::Sender::default(),
            down: Mutex::default(),
            aside_failures: Mutex::default(),
            revisions: watch::Sender::default(),
            catalog_down: AtomicBool::new(false),
            quarantine_full: AtomicBool::new(false),
            quarantine_max: AtomicUsize::new(usize::MAX),
            asides: AtomicUsize::new(0),
        })
    }

    fn inner(&self) -> Arc<dyn Store> {
        self.inner.lock().clone()
    }

    /// From now on another store answers, as after a failover.
    pub fn fail_over_to(&self, store: Arc<dyn Store>) {
        *self.inner.lock() = store;
    }

    /// Waits until heads could not be read.
    pub async fn unheard(&self) {
        self.unheard.subscribe().wait_for(|times| *times > 0).await.expect("the sender is ours");
    }

    pub fn fail_next(&self, failure: Failure) {
        self.failures.lock().push_back(failure);
    }

    pub fn fail_next_route(&self, failure: Failure) {
        self.route_failures.lock().push_back(failure);
    }

    /// How many of the failures that were asked for are still to come.
    pub fn route_failures_left(&self) -> usize {
        self.route_failures.lock().len()
    }

    pub fn fail_next_aside(&self, failure: Failure) {
        self.aside_failures.lock().push_back(failure);
    }

    fn read_catalog(&self) -> Result<()> {
        if self.catalog_down.load(Ordering::SeqCst) { Err(Self::lost(false)) } else { Ok(()) }
    }

    /// From now on appends wait before they do anything.
    pub fn hold(&self) {
        let taken = self.gate.forget_permits(PLENTY);
        assert_eq!(taken, PLENTY, "appends are under way");
    }

    /// Waits until an append waits.
    pub async fn held(&self) {
        loop {
            let arrived = self.arrived.notified();
            if self.waiting.load(Ordering::SeqCst) > 0 {
                return;
            }
            arrived.await;
        }
    }

    /// Lets appends go on.
    pub fn let_go(&self) {
        self.gate.add_permits(PLENTY);
    }

    /// From now on commits and renewals of routers wait before they do anything.
    pub fn hold_routes(&self) {
        self.route_gate.forget_permits(PLENTY);
    }

    /// Waits until a commit of a router waits.
    pub async fn held_routes(&self) {
        self.routes_waiting.subscribe().wait_for(|waiting| *waiting > 0).await.expect("the sender is ours");
    }

    /// Lets commits go on.
    pub fn let_routes_go(&self) {
        self.route_gate.add_permits(PLENTY);
    }

    /// Waits until a router was told that its partition is no longer its own.
    pub async fn fenced(&self) {
        self.fenced.subscribe().wait_for(|times| *times > 0).await.expect("the sender is ours");
    }

    async fn pass_routes(&self) {
        self.routes_waiting.send_modify(|waiting| *waiting += 1);
        drop(self.route_gate.acquire().await.expect("the gate is never closed"));
        self.routes_waiting.send_modify(|waiting| *waiting -= 1);
    }

    fn lost(ambiguous: bool) -> Error {
        Error::Unavailable { reason: "as the test asked".to_owned(), ambiguous }
    }

    fn pretend(&self, row: TenantRow) -> TenantRow {
        let floor = row.floor.max(Sequence(self.floor.load(Ordering::SeqCst)));
        let head = Sequence(row.head.get().saturating_sub(self.lost.load(Ordering::SeqCst)));
        TenantRow { floor, head, ..row }
    }
}

#[async_trait]
impl Store for FaultyStore {
    fn backend(&self) -> Backend {
        self.inner().backend()
    }

    fn connections(&self) -> Option<tidings_store::ConnectionCounts> {
        self.inner().connections()
    }

    fn log(&self) -> LogInfo {
        self.inner().log()
    }

    async fn durability(&self) -> Result<Durability> {
        self.inner().durability().await
    }

    async fn probe_write(&self) -> Result<()> {
        self.inner().probe_write().await
    }

    async fn place(&self, tenants: &[(TenantId, PartitionId)]) -> Result<Vec<TenantRow>> {
        self.inner().place(tenants).await
    }

    async fn tenant(&self, tenant: &TenantId) -> Result<Option<TenantRow>> {
        self.tenants.fetch_add(1, Ordering::SeqCst);
        Ok(self.inner().tenant(tenant).await?.map(|row| self.pretend(row)))
    }

    async fn tenants(&self, after: Option<&TenantId>, limit: usize) -> Result<Vec<TenantRow>> {
        self.inner().tenants(after, limit).await
    }

    async fn append(&self, partition: PartitionId, keys: AppendKeys, decide: Decide) -> Result<Appended> {
        self.appends.fetch_add(1, Ordering::SeqCst);
        self.waiting.fetch_add(1, Ordering::SeqCst);
        self.arrived.notify_waiters();
        drop(self.gate.acquire().await.expect("the gate is never closed"));
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        if let Some(allergen) = &*self.allergic_to.lock()
            && keys.ids.iter().any(|(_, id)| id == allergen)
        {
            return Err(Error::Broken("as the test asked".to_owned()));
        }
        if *self.down.lock() == Some(partition) {
            return Err(Self::lost(false));
        }
        let failure = self.failures.lock().pop_front();
        match failure {
            None => self.inner().append(partition, keys, decide).await,
            Some(Failure::BeforeCommit) => Err(Self::lost(false)),
            Some(Failure::AfterCommit) => {
                self.inner().append(partition, keys, decide).await?;
                Err(Self::lost(true))
            }
            Some(Failure::Panic) => panic!("as the test asked"),
        }
    }

    async fn tail(&self, partition: PartitionId, after: Position, limit: ReadLimit) -> Result<TailSlice> {
        let mut slice = self.inner().tail(partition, after, limit).await?;
        let lost = self.lost.load(Ordering::SeqCst);
        if lost > 0 {
            let end = self.heads().await?[partition.0 as usize].position;
            slice.events.retain(|event| event.position <= end);
        }
        self.tailed.fetch_add(slice.events.len(), Ordering::SeqCst);
        Ok(slice)
    }

    async fn heads(&self) -> Result<Vec<Head>> {
        if self.deaf.load(Ordering::SeqCst) {
            self.unheard.send_modify(|times| *times += 1);
            return Err(Self::lost(false));
        }
        let lost = self.lost.load(Ordering::SeqCst);
        let shorten = |head: Head| Head { position: Position(head.position.get().saturating_sub(lost)), ..head };
        Ok(self.inner().heads().await?.into_iter().map(shorten).collect())
    }

    async fn move_tenant(&self, tenant: TenantNo, to: PartitionId) -> Result<tidings_store::MoveOutcome> {
        self.inner().move_tenant(tenant, to).await
    }

    async fn stalled_moves(&self, shard: tidings_store::ShardNo) -> Result<Vec<(TenantNo, TenantId, PartitionId)>> {
        self.inner().stalled_moves(shard).await
    }

    async fn feed(&self, tenant: TenantNo, after: Sequence, limit: ReadLimit) -> Result<FeedSlice> {
        self.feeds.fetch_add(1, Ordering::SeqCst);
        let mut slice = self.inner().feed(tenant, after, limit).await?;
        slice.floor = slice.floor.max(Sequence(self.floor.load(Ordering::SeqCst)));
        slice.head = Sequence(slice.head.get().saturating_sub(self.lost.load(Ordering::SeqCst)));
        slice.events.retain(|event| event.sequence <= slice.head);
        if after < slice.floor {
            slice.events.clear();
        }
        Ok(slice)
    }

    async fn sequence_before(&self, tenant: TenantNo, moment: Timestamp) -> Result<Sequence> {
        self.inner().sequence_before(tenant, moment).await
    }

    async fn event(&self, tenant: TenantNo, id: &EventId) -> Result<Option<Recorded>> {
        self.inner().event(tenant, id).await
    }

    async fn search(&self, tenant: TenantNo, search: &Search) -> Result<Vec<Recorded>> {
        self.searches.fetch_add(1, Ordering::SeqCst);
        self.inner().search(tenant, search).await
    }

    async fn caused_by(&self, tenant: TenantNo, causes: &[Text], limit: usize) -> Result<Vec<Recorded>> {
        self.inner().caused_by(tenant, causes, limit).await
    }

    async fn insert_key(&self, key: &KeyRow) -> Result<()> {
        self.inner().insert_key(key).await
    }

    async fn key_by_hash(&self, hash: &[u8; 32]) -> Result<Option<KeyRow>> {
        self.inner().key_by_hash(hash).await
    }

    async fn keys(&self, after: Option<&str>, limit: usize) -> Result<Vec<KeyRow>> {
        self.inner().keys(after, limit).await
    }

    async fn revoke_key(&self, id: &str, at: Timestamp) -> Result<Option<KeyRow>> {
        self.inner().revoke_key(id, at).await
    }

    async fn close(&self) {
        self.inner().close().await;
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
        self.inner().change_endpoint(partition, tenant, id, decide, appends).await
    }

    async fn endpoint(&self, tenant: TenantNo, id: &EndpointId) -> Result<Option<EndpointRow>> {
        self.inner().endpoint(tenant, id).await
    }

    async fn endpoints(&self, tenant: TenantNo, after: Option<&EndpointId>, limit: usize) -> Result<Vec<EndpointRow>> {
        self.inner().endpoints(tenant, after, limit).await
    }

    async fn all_endpoints(&self, after: EndpointNo, limit: usize) -> Result<Vec<EndpointRow>> {
        self.inner().all_endpoints(after, limit).await
    }

    async fn router_state(&self, partition: PartitionId) -> Result<RouterState> {
        self.inner().router_state(partition).await
    }

    async fn routing(&self, partition: PartitionId, after: Revision) -> Result<RoutingChanges> {
        self.inner().routing(partition, after).await
    }

    async fn commit_route(&self, commit: &RouteCommit, appends: Vec<Append>) -> Result<RouteOutcome> {
        self.route_commits.fetch_add(1, Ordering::SeqCst);
        self.pass_routes().await;
        let failure = self.route_failures.lock().pop_front();
        match failure {
            None => {
                let outcome = self.inner().commit_route(commit, appends).await;
                if matches!(outcome, Ok(RouteOutcome::Fenced)) {
                    self.fenced.send_modify(|times| *times += 1);
                }
                outcome
            }
            Some(Failure::BeforeCommit) => Err(Self::lost(false)),
            Some(Failure::AfterCommit) => {
                self.inner().commit_route(commit, appends).await?;
                Err(Self::lost(true))
            }
            Some(Failure::Panic) => panic!("as the test asked"),
        }
    }

    async fn attempts(&self, endpoint: EndpointNo, query: &AttemptQuery) -> Result<Vec<AttemptRow>> {
        self.inner().attempts(endpoint, query).await
    }

    async fn dead_letters(&self, tenant: TenantNo, query: &DeadQuery) -> Result<Vec<DeadLetter>> {
        self.inner().dead_letters(tenant, query).await
    }

    async fn settle_dead(
        &self,
        partition: PartitionId,
        tenant: TenantNo,
        query: &DeadQuery,
        fate: DeadFate,
    ) -> Result<Vec<(EndpointNo, Sequence)>> {
        self.inner().settle_dead(partition, tenant, query, fate).await
    }

    async fn retry(&self, lane: LaneNo, sequence: Sequence) -> Result<Option<RetryRow>> {
        self.inner().retry(lane, sequence).await
    }

    async fn dead(&self, endpoint: EndpointNo, sequence: Sequence) -> Result<Option<DeadRow>> {
        self.inner().dead(endpoint, sequence).await
    }

    async fn delivery(&self, endpoint: EndpointNo) -> Result<Option<DeliveryState>> {
        self.inner().delivery(endpoint).await
    }

    async fn insert_replay(
        &self,
        partition: PartitionId,
        row: ReplayRow,
        running_max: u64,
    ) -> Result<Option<ReplayRow>> {
        self.inner().insert_replay(partition, row, running_max).await
    }

    async fn cancel_replay(&self, partition: PartitionId, no: ReplayNo, at: Timestamp) -> Result<Option<ReplayRow>> {
        self.inner().cancel_replay(partition, no, at).await
    }

    async fn replay(&self, endpoint: EndpointNo, id: &str) -> Result<Option<(ReplayRow, Option<Sequence>)>> {
        self.inner().replay(endpoint, id).await
    }

    async fn replays(&self, endpoint: EndpointNo, before: Option<ReplayNo>, limit: usize) -> Result<Vec<ReplayRow>> {
        self.inner().replays(endpoint, before, limit).await
    }

    async fn keep_attempts(&self, now: Timestamp, keep_from: Timestamp) -> Result<bool> {
        self.inner().keep_attempts(now, keep_from).await
    }
}

#[async_trait]
impl CatalogStore for FaultyStore {
    async fn catalog_revision(&self) -> Result<CatalogRevision> {
        self.revisions.send_modify(|times| *times += 1);
        self.read_catalog()?;
        self.inner().catalog_revision().await
    }

    async fn catalog(&self, after: CatalogRevision, limit: usize) -> Result<CatalogSlice> {
        self.read_catalog()?;
        self.inner().catalog(after, limit).await
    }

    async fn catalog_history(&self, query: &HistoryQuery) -> Result<HistorySlice> {
        self.inner().catalog_history(query).await
    }

    async fn catalog_newest(&self, kind: &str, name: &str) -> Result<Vec<EntryRow>> {
        self.inner().catalog_newest(kind, name).await
    }

    async fn change_catalog(
        &self,
        expected: CatalogRevision,
        changes: Vec<EntryChange>,
        by: &str,
        at: Timestamp,
        appends: Vec<Append>,
    ) -> Result<CatalogOutcome> {
        self.inner().change_catalog(expected, changes, by, at, appends).await
    }

    async fn put_aside(&self, events: &[Aside], tenant_max: usize) -> Result<bool> {
        self.asides.fetch_add(1, Ordering::SeqCst);
        let tenant_max = tenant_max.min(self.quarantine_max.load(Ordering::SeqCst));
        let failure = self.aside_failures.lock().pop_front();
        match failure {
            None if self.quarantine_full.load(Ordering::SeqCst) => Ok(false),
            None => self.inner().put_aside(events, tenant_max).await,
            Some(Failure::BeforeCommit) => Err(Self::lost(false)),
            Some(Failure::AfterCommit) => {
                self.inner().put_aside(events, tenant_max).await?;
                Err(Self::lost(true))
            }
            Some(Failure::Panic) => panic!("as the test asked"),
        }
    }

    async fn aside(&self, tenant: &TenantId, query: &AsideQuery) -> Result<Vec<Aside>> {
        self.inner().aside(tenant, query).await
    }

    async fn aside_one(&self, tenant: &TenantId, no: i64) -> Result<Option<Aside>> {
        self.inner().aside_one(tenant, no).await
    }

    async fn clear_aside(&self, tenant: &TenantId, nos: &[i64]) -> Result<u64> {
        let failure = self.aside_failures.lock().pop_front();
        match failure {
            None => self.inner().clear_aside(tenant, nos).await,
            Some(Failure::BeforeCommit) => Err(Self::lost(false)),
            Some(Failure::AfterCommit) => {
                self.inner().clear_aside(tenant, nos).await?;
                Err(Self::lost(true))
            }
            Some(Failure::Panic) => panic!("as the test asked"),
        }
    }

    async fn marks(&self, tenant: TenantNo, query: &MarkQuery) -> Result<Vec<MarkRow>> {
        self.inner().marks(tenant, query).await
    }

    async fn observe(&self, seen: &[ObservedRow], rows_max: usize) -> Result<()> {
        self.inner().observe(seen, rows_max).await
    }

    async fn observed(&self, event_type: Option<&EventType>, limit: usize) -> Result<Vec<ObservedRow>> {
        self.inner().observed(event_type, limit).await
    }
}

#[async_trait]
impl tidings_store::QuotaStore for FaultyStore {
    async fn put_quota(&self, row: &tidings_store::QuotaRow) -> Result<tidings_store::QuotaOutcome> {
        self.inner().put_quota(row).await
    }

    async fn quota(&self, tenant: &TenantId) -> Result<Option<tidings_store::QuotaRow>> {
        self.inner().quota(tenant).await
    }

    async fn quotas(&self, after: tidings_store::QuotaRevision, limit: usize) -> Result<tidings_store::QuotaSlice> {
        self.inner().quotas(after, limit).await
    }
}

#[async_trait]
impl LeaseStore for FaultyStore {
    fn shards(&self) -> u16 {
        self.inner().shards()
    }

    fn shard_of(&self, role: LeaseRole, slot: &Slot) -> ShardNo {
        self.inner().shard_of(role, slot)
    }

    async fn beat(&self, shard: ShardNo, beat: &Beat, ttl: Duration) -> Result<Vec<Member>> {
        self.beats.send_modify(|beats| *beats += 1);
        if self.mute.load(Ordering::SeqCst) {
            return Err(Self::lost(false));
        }
        self.inner().beat(shard, beat, ttl).await
    }

    async fn leave(&self, shard: ShardNo, node: &str, boot: Boot) -> Result<()> {
        self.inner().leave(shard, node, boot).await
    }

    async fn claim(
        &self,
        role: LeaseRole,
        slot: &Slot,
        node: &str,
        boot: Boot,
        ttl: Duration,
    ) -> Result<Option<Claim>> {
        self.inner().claim(role, slot, node, boot, ttl).await
    }

    async fn release(&self, role: LeaseRole, slot: &Slot, epoch: Epoch) -> Result<()> {
        self.inner().release(role, slot, epoch).await
    }

    async fn advance(&self, role: LeaseRole, slot: &Slot, epoch: Epoch, checkpoint: Position) -> Result<bool> {
        self.inner().advance(role, slot, epoch, checkpoint).await
    }

    async fn leases(&self, shard: ShardNo) -> Result<Vec<LeaseRow>> {
        self.inner().leases(shard).await
    }

    async fn master_check(&self, check: &[u8; 32], replace: bool) -> Result<bool> {
        self.inner().master_check(check, replace).await
    }
}
