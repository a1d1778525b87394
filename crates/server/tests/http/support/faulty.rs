//! A store that fails, waits and shows another floor on demand, over a real one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use tidings_event::log::{AppendKeys, AppendPlan};
use tidings_event::{EventId, PartitionId, Position, Recorded, Sequence, TenantId, TenantNo, Text, Timestamp};
use tidings_store::{
    Backend, Decide, Durability, Error, FeedSlice, KeyRow, LogInfo, ReadLimit, Result, Search, Store, TenantRow,
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

    async fn append(&self, partition: PartitionId, keys: AppendKeys, decide: Decide) -> Result<AppendPlan> {
        drop(self.gate.acquire().await.expect("the gate is never closed"));
        self.check()?;
        let plan = self.inner.append(partition, keys, decide).await?;
        if self.breaks_after_append.swap(false, Ordering::SeqCst) {
            self.set_broken(true);
        }
        Ok(plan)
    }

    async fn tail(&self, partition: PartitionId, after: Position, limit: ReadLimit) -> Result<Vec<Recorded>> {
        self.check()?;
        self.inner.tail(partition, after, limit).await
    }

    async fn head(&self, partition: PartitionId) -> Result<Position> {
        self.check()?;
        self.inner.head(partition).await
    }

    async fn heads(&self) -> Result<Vec<Position>> {
        self.check()?;
        self.inner.heads().await
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
