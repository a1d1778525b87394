//! What the store keeps of the catalog, and of events that break its rules.

use std::sync::Arc;

use async_trait::async_trait;
use tidings_event::{EventType, TenantId, TenantNo, Timestamp};

use super::{SqliteStore, asides, entries, marks, observed};
use crate::{
    Append, Aside, AsideQuery, CatalogOutcome, CatalogRevision, CatalogSlice, CatalogStore, EntryChange, EntryRow,
    HistoryQuery, HistorySlice, MarkQuery, MarkRow, ObservedRow, Result,
};

#[async_trait]
impl CatalogStore for SqliteStore {
    async fn catalog_revision(&self) -> Result<CatalogRevision> {
        self.readers.call(entries::revision).await
    }

    async fn catalog(&self, after: CatalogRevision, limit: usize) -> Result<CatalogSlice> {
        self.readers.call(move |connection| entries::slice(connection, after, limit)).await
    }

    async fn catalog_history(&self, query: &HistoryQuery) -> Result<HistorySlice> {
        let query = query.clone();
        self.readers.call(move |connection| entries::history(connection, &query)).await
    }

    async fn catalog_newest(&self, kind: &str, name: &str) -> Result<Vec<EntryRow>> {
        let (kind, name) = (kind.to_owned(), name.to_owned());
        self.readers.call(move |connection| entries::newest(connection, &kind, &name)).await
    }

    async fn change_catalog(
        &self,
        expected: CatalogRevision,
        changes: Vec<EntryChange>,
        by: &str,
        at: Timestamp,
        appends: Vec<Append>,
    ) -> Result<CatalogOutcome> {
        let (names, change) = (Arc::clone(&self.names), entries::Change { expected, changes, by: by.to_owned(), at });
        self.writer.call(move |connection, caller| entries::change(connection, &names, &change, appends, caller)).await
    }

    async fn put_aside(&self, events: &[Aside], tenant_max: usize) -> Result<bool> {
        let events = events.to_vec();
        self.writer.call(move |connection, _| asides::put(connection, &events, tenant_max)).await
    }

    async fn aside(&self, tenant: &TenantId, query: &AsideQuery) -> Result<Vec<Aside>> {
        let (tenant, query) = (tenant.clone(), query.clone());
        self.readers.call(move |connection| asides::list(connection, &tenant, &query)).await
    }

    async fn aside_one(&self, tenant: &TenantId, no: i64) -> Result<Option<Aside>> {
        let tenant = tenant.clone();
        self.readers.call(move |connection| asides::one(connection, &tenant, no)).await
    }

    async fn clear_aside(&self, tenant: &TenantId, nos: &[i64]) -> Result<u64> {
        let (tenant, nos) = (tenant.clone(), nos.to_vec());
        self.writer.call(move |connection, _| asides::clear(connection, &tenant, &nos)).await
    }

    async fn marks(&self, tenant: TenantNo, query: &MarkQuery) -> Result<Vec<MarkRow>> {
        let query = query.clone();
        self.readers.call(move |connection| marks::list(connection, tenant, &query)).await
    }

    async fn observe(&self, seen: &[ObservedRow], rows_max: usize) -> Result<()> {
        let seen = seen.to_vec();
        self.writer.call(move |connection, _| observed::add(connection, &seen, rows_max)).await
    }

    async fn observed(&self, event_type: Option<&EventType>, limit: usize) -> Result<Vec<ObservedRow>> {
        let event_type = event_type.cloned();
        self.readers.call(move |connection| observed::list(connection, event_type.as_ref(), limit)).await
    }
}
