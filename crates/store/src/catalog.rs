//! What the store keeps of the catalog, and of events that break its rules.

use async_trait::async_trait;
use tidings_event::{EventId, EventType, Sequence, SourceKind, TenantId, TenantNo, Text, Timestamp, Version};

use crate::{Append, Appended, ReadLimit, Result};

/// Counts the changes of the catalog. Every change makes the next one; zero is an empty catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct CatalogRevision(pub u64);

/// The name of an entry. What the words mean is the catalog's business.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryKey {
    /// `definition`, `set` or `policy`.
    pub kind: String,
    /// A definition's type, a set's or a policy's name.
    pub name: String,
    /// A definition's version; empty for anything else.
    pub version: String,
}

/// One revision of an entry. None is ever changed or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryRow {
    /// Its name.
    pub key: EntryKey,
    /// The change that made it.
    pub revision: CatalogRevision,
    /// The source, as it was given; none when the change removed the entry.
    pub source: Option<String>,
    /// Who made it: a key's id.
    pub by: String,
    /// Why what the checks found was allowed, where it was.
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// What a change does to one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryChange {
    /// Which entry.
    pub key: EntryKey,
    /// Its new source; none removes it.
    pub source: Option<String>,
    /// Why what the checks found is allowed.
    pub reason: Option<String>,
}

/// A piece of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogSlice {
    /// The newest revision of each entry that was changed after the one asked for, by revision and then by key. What
    /// is not the newest is in no piece.
    pub rows: Vec<EntryRow>,
    /// What was made up to this revision, and not made anew after it, is in `rows` or was there before.
    pub upto: CatalogRevision,
    /// The catalog's revision.
    pub head: CatalogRevision,
}

/// Where one revision of an entry stands in the history of its name. The least is before all of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct HistoryPlace {
    /// The change that made it.
    pub revision: CatalogRevision,
    /// Its version: one change may make several of a name.
    pub version: String,
}

/// Which part of a history to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Of entries of this kind,
    pub kind: String,
    /// of this name,
    pub name: String,
    /// and of this version, if one is named.
    pub version: Option<String>,
    /// Only what comes after this place.
    pub after: HistoryPlace,
    /// How many revisions at most, and how many bytes of sources; at least one revision is read, whatever its size.
    pub limit: ReadLimit,
}

/// A part of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistorySlice {
    /// The revisions, oldest first, those of one change by version.
    pub rows: Vec<EntryRow>,
    /// Whether nothing comes after them.
    pub complete: bool,
}

/// What became of a change of the catalog.
#[derive(Debug, Clone)]
pub enum CatalogOutcome {
    /// It was made; the appends that went with it.
    Changed {
        /// The revision that it made.
        revision: CatalogRevision,
        /// In the order given.
        appended: Vec<Appended>,
    },
    /// The catalog was changed since; nothing was written.
    Stale {
        /// Its revision now.
        head: CatalogRevision,
    },
}

/// An event that is kept aside, out of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// Its number, from 1, rising; assigned by the store (zero before).
    pub no: i64,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its id.
    pub event_id: EventId,
    /// The hash of what it says: events with one id and one such hash are the same event.
    pub content: [u8; 32],
    /// Its type.
    pub event_type: EventType,
    /// Its version.
    pub version: Version,
    /// The whole event, native JSON without sequence.
    pub event: String,
    /// The broken rules, as a JSON array of violations.
    pub reasons: String,
    /// Who sent it: a key's id, or `source/` and the name of an outbox.
    pub sender: String,
    /// When it was put aside, first.
    pub at: Timestamp,
}

/// Which events kept aside to list.
#[derive(Debug, Clone)]
pub struct AsideQuery {
    /// Of which type.
    pub event_type: Option<EventType>,
    /// Only numbers above this one.
    pub after: i64,
    /// How many at most.
    pub limit: usize,
}

/// An event of the log that breaks the catalog's rules and was taken all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkRow {
    /// Whose it is.
    pub tenant: TenantNo,
    /// Which.
    pub sequence: Sequence,
    /// Its type.
    pub event_type: EventType,
    /// Its version.
    pub version: Version,
    /// The broken rules, as a JSON array of violations.
    pub reasons: String,
}

/// Which marks to list, newest first.
#[derive(Debug, Clone)]
pub struct MarkQuery {
    /// Of which type.
    pub event_type: Option<EventType>,
    /// Only sequences below this one.
    pub before: Sequence,
    /// How many at most.
    pub limit: usize,
}

/// Who was seen to emit a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedRow {
    /// The type.
    pub event_type: EventType,
    /// The version.
    pub version: Version,
    /// The source's kind.
    pub source_kind: SourceKind,
    /// The source's id.
    pub source_id: Text,
    /// How many events, about: what was not yet written when a node was killed is missing.
    pub events: u64,
    /// The first.
    pub first_at: Timestamp,
    /// The newest.
    pub last_at: Timestamp,
}

/// The catalog, and what is kept of events that break its rules. Each method is one whole business step, atomic.
#[async_trait]
pub trait CatalogStore: Send + Sync {
    /// The catalog's revision. Asked for every second.
    async fn catalog_revision(&self) -> Result<CatalogRevision>;

    /// What was changed after a revision, each entry in its newest state; about `limit` entries at most, and all of one
    /// change that are the newest.
    async fn catalog(&self, after: CatalogRevision, limit: usize) -> Result<CatalogSlice>;

    /// A part of the history of a name.
    async fn catalog_history(&self, query: &HistoryQuery) -> Result<HistorySlice>;

    /// The newest revision of each version of a name, by version; without a source where it was removed.
    async fn catalog_newest(&self, kind: &str, name: &str) -> Result<Vec<EntryRow>>;

    /// Makes a change if the catalog is still at `expected`, and in the same transaction the appends that tell of it.
    async fn change_catalog(
        &self,
        expected: CatalogRevision,
        changes: Vec<EntryChange>,
        by: &str,
        at: Timestamp,
        appends: Vec<Append>,
    ) -> Result<CatalogOutcome>;

    /// Puts events aside. One that is there already, by its tenant, id and content, stays as it is, and gets the new
    /// reasons where it was judged in the version in which it is there. `tenant_max` bounds how many a tenant may have.
    /// Returns whether they are aside now: all of them are, or none.
    async fn put_aside(&self, events: &[Aside], tenant_max: usize) -> Result<bool>;

    /// A tenant's events kept aside, by number.
    async fn aside(&self, tenant: &TenantId, query: &AsideQuery) -> Result<Vec<Aside>>;

    /// One event kept aside.
    async fn aside_one(&self, tenant: &TenantId, no: i64) -> Result<Option<Aside>>;

    /// Takes events kept aside away: they are in the log now, or were discarded. Returns how many there were.
    async fn clear_aside(&self, tenant: &TenantId, nos: &[i64]) -> Result<u64>;

    /// A tenant's marked events, newest first.
    async fn marks(&self, tenant: TenantNo, query: &MarkQuery) -> Result<Vec<MarkRow>>;

    /// Adds to what was seen. At most `rows_max` rows are kept, those that were seen last.
    async fn observe(&self, seen: &[ObservedRow], rows_max: usize) -> Result<()>;

    /// What was seen, by type, version and source; of one type where it is given.
    async fn observed(&self, event_type: Option<&EventType>, limit: usize) -> Result<Vec<ObservedRow>>;
}
