//! The catalog and what is kept aside are at home; marks are where their events are.

use async_trait::async_trait;
use tidings_event::{EventType, TenantId, TenantNo, Timestamp};

use super::ShardedStore;
use super::places::where_it_lives;
use crate::{
    Append, Aside, AsideQuery, CatalogOutcome, CatalogRevision, CatalogSlice, CatalogStore, EntryChange, EntryRow,
    HistoryQuery, HistorySlice, MarkQuery, MarkRow, ObservedRow, Result,
};

#[async_trait]
impl CatalogStore for ShardedStore {
    async fn catalog_revision(&self) -> Result<CatalogRevision> {
        self.all.home.catalog_revision().await
    }

    async fn catalog(&self, after: CatalogRevision, limit: usize) -> Result<CatalogSlice> {
        self.all.home.catalog(after, limit).await
    }

    async fn catalog_history(&self, query: &HistoryQuery) -> Result<HistorySlice> {
        self.all.home.catalog_history(query).await
    }

    async fn catalog_newest(&self, kind: &str, name: &str) -> Result<Vec<EntryRow>> {
        self.all.home.catalog_newest(kind, name).await
    }

    async fn change_catalog(
        &self,
        expected: CatalogRevision,
        changes: Vec<EntryChange>,
        by: &str,
        at: Timestamp,
        appends: Vec<Append>,
    ) -> Result<CatalogOutcome> {
        self.all.home.change_catalog(expected, changes, by, at, appends).await
    }

    async fn put_aside(&self, events: &[Aside], tenant_max: usize) -> Result<bool> {
        self.all.home.put_aside(events, tenant_max).await
    }

    async fn aside(&self, tenant: &TenantId, query: &AsideQuery) -> Result<Vec<Aside>> {
        self.all.home.aside(tenant, query).await
    }

    async fn aside_one(&self, tenant: &TenantId, no: i64) -> Result<Option<Aside>> {
        self.all.home.aside_one(tenant, no).await
    }

    async fn clear_aside(&self, tenant: &TenantId, nos: &[i64]) -> Result<u64> {
        self.all.home.clear_aside(tenant, nos).await
    }

    async fn marks(&self, tenant: TenantNo, query: &MarkQuery) -> Result<Vec<MarkRow>> {
        where_it_lives!(self.all, self.all.look(tenant), |store| store.marks(tenant, query))
    }

    async fn observe(&self, seen: &[ObservedRow], rows_max: usize) -> Result<()> {
        self.all.home.observe(seen, rows_max).await
    }

    async fn observed(&self, event_type: Option<&EventType>, limit: usize) -> Result<Vec<ObservedRow>> {
        self.all.home.observed(event_type, limit).await
    }
}
