//! What the store keeps of the catalog, and of events that break its rules.

use std::sync::Arc;

use async_trait::async_trait;
use tidings_event::{EventType, TenantId, TenantNo, Timestamp};

use super::{PostgresStore, asides, entries, marks, observed};
use crate::{
    Append, Aside, AsideQuery, CatalogOutcome, CatalogRevision, CatalogSlice, CatalogStore, EntryChange, EntryRow,
    HistoryQuery, HistorySlice, MarkQuery, MarkRow, ObservedRow, Result,
};

#[async_trait]
impl CatalogStore for PostgresStore {
    async fn catalog_revision(&self) -> Result<CatalogRevision> {
        entries::revision(self.connections.reader().await?).await
    }

    async fn catalog(&self, after: CatalogRevision, limit: usize) -> Result<CatalogSlice> {
        entries::slice(self.connections.reader().await?, after, limit).await
    }

    async fn catalog_history(&self, query: &HistoryQuery) -> Result<HistorySlice> {
        entries::history(self.connections.reader().await?, query).await
    }

    async fn catalog_newest(&self, kind: &str, name: &str) -> Result<Vec<EntryRow>> {
        entries::newest(self.connections.reader().await?, kind, name).await
    }

    async fn change_catalog(
        &self,
        expected: CatalogRevision,
        changes: Vec<EntryChange>,
        by: &str,
        at: Timestamp,
        appends: Vec<Append>,
    ) -> Result<CatalogOutcome> {
        let change = entries::Change { expected, changes, by: by.to_owned(), at };
        entries::change(Arc::clone(&self.connections), Arc::clone(&self.names), change, appends).await
    }

    async fn put_aside(&self, events: &[Aside], tenant_max: usize) -> Result<bool> {
        asides::put(self.connections.writer().await?, events, tenant_max).await
    }

    async fn aside(&self, tenant: &TenantId, query: &AsideQuery) -> Result<Vec<Aside>> {
        asides::list(self.connections.reader().await?, tenant, query).await
    }

    async fn aside_one(&self, tenant: &TenantId, no: i64) -> Result<Option<Aside>> {
        asides::one(self.connections.reader().await?, tenant, no).await
    }

    async fn clear_aside(&self, tenant: &TenantId, nos: &[i64]) -> Result<u64> {
        asides::clear(self.connections.writer().await?, tenant, nos).await
    }

    async fn marks(&self, tenant: TenantNo, query: &MarkQuery) -> Result<Vec<MarkRow>> {
        marks::list(self.connections.reader().await?, tenant, query).await
    }

    async fn observe(&self, seen: &[ObservedRow], rows_max: usize) -> Result<()> {
        observed::add(self.connections.writer().await?, seen, rows_max).await
    }

    async fn observed(&self, event_type: Option<&EventType>, limit: usize) -> Result<Vec<ObservedRow>> {
        observed::list(self.connections.reader().await?, event_type, limit).await
    }
}
