//! What the store keeps of tenants' quotas.

use async_trait::async_trait;
use tidings_event::{TenantId, Timestamp};

use crate::Result;

/// Counts the changes of all tenants' quotas. Every change makes the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct QuotaRevision(pub u64);

/// What was said about a tenant's quotas last. What the numbers mean is for the caller to know; none says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaRow {
    /// Whose they are. It may not have been seen yet.
    pub tenant: TenantId,
    /// Events a second.
    pub events_per_s: Option<u64>,
    /// Events at once.
    pub events_burst: Option<u64>,
    /// Bytes a second.
    pub bytes_per_s: Option<u64>,
    /// Bytes at once.
    pub bytes_burst: Option<u64>,
    /// The change that made it so. Given by the store.
    pub revision: QuotaRevision,
    /// Who made it: a key's id.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

impl QuotaRow {
    /// Whether both say the same numbers. `before` is what was said, if anything was.
    pub(crate) fn says_the_same(&self, before: Option<&Self>) -> bool {
        let numbers = |row: &Self| [row.events_per_s, row.events_burst, row.bytes_per_s, row.bytes_burst];
        numbers(self) == before.map_or([None; 4], numbers)
    }
}

/// What came of saying what a tenant's quotas are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuotaOutcome {
    /// They changed: the row with its revision.
    Changed(QuotaRow),
    /// They were the same, and nothing was written: the row as it was, if there was one. One that says nothing is not made.
    Same(Option<QuotaRow>),
}

/// A piece of what was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaSlice {
    /// Rows that were changed after the revision asked for, in order of their revisions. A row that was changed again
    /// since is there with its newest revision alone.
    pub rows: Vec<QuotaRow>,
    /// The newest revision, read no later than the rows.
    pub head: QuotaRevision,
}

/// Tenants' quotas. Each method is one whole business step, atomic by itself.
#[async_trait]
pub trait QuotaStore: Send + Sync {
    /// Says what a tenant's quotas are from now on, in place of what was said before; the revision of the argument does
    /// not matter. Where the numbers are what they were, nothing is written.
    async fn put_quota(&self, row: &QuotaRow) -> Result<QuotaOutcome>;

    /// What was said about a tenant's quotas, if anything ever was.
    async fn quota(&self, tenant: &TenantId) -> Result<Option<QuotaRow>>;

    /// What was changed after a revision, at most `limit` rows. Asked for every few seconds.
    async fn quotas(&self, after: QuotaRevision, limit: usize) -> Result<QuotaSlice>;
}
