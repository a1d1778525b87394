//! A store that fails, waits and counts on demand, over a real one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use tidings_event::log::{AppendKeys, AppendPlan};
use tidings_event::{EventId, PartitionId, Position, Recorded, Sequence, TenantId, TenantNo, Text, Timestamp};
use tidings_store::{
    Backend, Decide, Durability, Error, FeedSlice, KeyRow, LogInfo, ReadLimit, Result, Search, Store, TenantRow,
};
use tokio::sync::{Notify, Semaphore};

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
    inner: Arc<dyn Store>,
    /// What the next appends do; after these they succeed.
    failures: Mutex<VecDeque<Failure>>,
    /// Each append takes one; plenty unless held.
    gate: Semaphore,
    waiting: AtomicUsize,
    arrived: Notify,
    pub appends: AtomicUsize,
    pub feeds: AtomicUsize,
    pub tenants: AtomicUsize,
    pub searches: AtomicUsize,
    /// Shown as the floor of every tenant.
    pub floor: AtomicU64,
    /// So many of the newest events seem never to have been written, in every partition and tenant.
    pub lost: AtomicU64,
    /// Every append of an event with this id breaks.
    pub allergic_to: Mutex<Option<EventId>>,
}

const PLENTY: usize = 1_000_000;

impl FaultyStore {
    pub fn over(inner: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            failures: Mutex::default(),
            gate: Semaphore::new(PLENTY),
            waiting: AtomicUsize::new(0),
            arrived: Notify::new(),
            appends: AtomicUsize::new(0),
            feeds: AtomicUsize::new(0),
            tenants: AtomicUsize::new(0),
            searches: AtomicUsize::new(0),
            floor: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            allergic_to: Mutex::new(None),
        })
    }

    pub fn fail_next(&self, failure: Failure) {
        self.failures.lock().push_back(failure);
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
        self.inner.backend()
    }

    fn log(&self) -> LogInfo {
        self.inner.log()
    }

    async fn durability(&self) -> Result<Durability> {
        self.inner.durability().await
    }

    async fn probe_write(&self) -> Result<()> {
        self.inner.probe_write().await
    }

    async fn place(&self, tenants: &[(TenantId, PartitionId)]) -> Result<Vec<TenantRow>> {
        self.inner.place(tenants).await
    }

    async fn tenant(&self, tenant: &TenantId) -> Result<Option<TenantRow>> {
        self.tenants.fetch_add(1, Ordering::SeqCst);
        Ok(self.inner.tenant(tenant).await?.map(|row| self.pretend(row)))
    }

    async fn tenants(&self, after: Option<&TenantId>, limit: usize) -> Result<Vec<TenantRow>> {
        self.inner.tenants(after, limit).await
    }

    async fn append(&self, partition: PartitionId, keys: AppendKeys, decide: Decide) -> Result<AppendPlan> {
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
        let failure = self.failures.lock().pop_front();
        match failure {
            None => self.inner.append(partition, keys, decide).await,
            Some(Failure::BeforeCommit) => Err(Self::lost(false)),
            Some(Failure::AfterCommit) => {
                self.inner.append(partition, keys, decide).await?;
                Err(Self::lost(true))
            }
            Some(Failure::Panic) => panic!("as the test asked"),
        }
    }

    async fn tail(&self, partition: PartitionId, after: Position, limit: ReadLimit) -> Result<Vec<Recorded>> {
        self.inner.tail(partition, after, limit).await
    }

    async fn head(&self, partition: PartitionId) -> Result<Position> {
        self.inner.head(partition).await
    }

    async fn heads(&self) -> Result<Vec<Position>> {
        let lost = self.lost.load(Ordering::SeqCst);
        let heads = self.inner.heads().await?;
        Ok(heads.into_iter().map(|head| Position(head.get().saturating_sub(lost))).collect())
    }

    async fn feed(&self, tenant: TenantNo, after: Sequence, limit: ReadLimit) -> Result<FeedSlice> {
        self.feeds.fetch_add(1, Ordering::SeqCst);
        let slice = self.inner.feed(tenant, after, limit).await?;
        Ok(FeedSlice { floor: slice.floor.max(Sequence(self.floor.load(Ordering::SeqCst))), ..slice })
    }

    async fn sequence_before(&self, tenant: TenantNo, moment: Timestamp) -> Result<Sequence> {
        self.inner.sequence_before(tenant, moment).await
    }

    async fn event(&self, tenant: TenantNo, id: &EventId) -> Result<Option<Recorded>> {
        self.inner.event(tenant, id).await
    }

    async fn search(&self, tenant: TenantNo, search: &Search) -> Result<Vec<Recorded>> {
        self.searches.fetch_add(1, Ordering::SeqCst);
        self.inner.search(tenant, search).await
    }

    async fn caused_by(&self, tenant: TenantNo, causes: &[Text], limit: usize) -> Result<Vec<Recorded>> {
        self.inner.caused_by(tenant, causes, limit).await
    }

    async fn insert_key(&self, key: &KeyRow) -> Result<()> {
        self.inner.insert_key(key).await
    }

    async fn key_by_hash(&self, hash: &[u8; 32]) -> Result<Option<KeyRow>> {
        self.inner.key_by_hash(hash).await
    }

    async fn keys(&self, after: Option<&str>, limit: usize) -> Result<Vec<KeyRow>> {
        self.inner.keys(after, limit).await
    }

    async fn revoke_key(&self, id: &str, at: Timestamp) -> Result<Option<KeyRow>> {
        self.inner.revoke_key(id, at).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
