//! Changing the catalog: checked against its whole history, made in one transaction with the event that tells of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Map, Value, json};
use tidings_bus::Poke;
use tidings_catalog::entry::{Entry, Key, Kind};
use tidings_catalog::judge::Catalog;
use tidings_catalog::limits;
use tidings_catalog::report::{Change, Report};
use tidings_event::PartitionId;
use tidings_event::limits::DATA_BYTES_MAX;
use tidings_store::{
    CatalogOutcome, CatalogRevision, EntryChange, EntryKey, EntryRow, HistoryPlace, HistoryQuery, ReadLimit,
};

use super::author::Author;
use super::error::CatalogError;
use super::holder::{Snapshot, stored};
use super::types::{Proposal, Pushed};
use super::{Catalogs, Result};
use crate::append::now;
use crate::endpoints::Who;
use crate::system::{self, Fact, Kind as FactKind};

/// How often a change is checked anew because another one came first.
const TRIES: usize = 5;
/// Bytes of the earlier revisions against which one change is checked.
const HISTORY_BYTES_MAX: usize = 128 * 1024 * 1024;
/// How much of a history one read takes.
const HISTORY_READ: ReadLimit = ReadLimit { events: limits::REVISIONS_MAX, bytes: 4 * 1024 * 1024 };
/// Histories that are read at once.
const READS_AT_ONCE: usize = 8;
/// Entries that the event about a change names; it also says how many there are.
const TOLD_MAX: usize = 100;
/// Characters of the reason for which findings about one entry are allowed.
pub const REASON_CHARS_MAX: usize = 500;
/// Bytes that one entry of that event takes beside its reason: names and members.
const TOLD_ENTRY_BYTES: usize = 512;

// None of the characters that JSON writes as six bytes may stand in a reason, so four bytes a character it is at most.
const _: () = assert!(TOLD_MAX * (REASON_CHARS_MAX * 4 + TOLD_ENTRY_BYTES) < DATA_BYTES_MAX);

impl Catalogs {
    /// Makes a change of the catalog, or says why not: everything is checked against all revisions of what it touches.
    /// A change that was made holds on this node before this returns, and on others within about a second. What a key
    /// that is not an admin's may change is said at [`Author`].
    pub async fn push(&self, author: &Author, proposal: Proposal) -> Result<Pushed> {
        self.engine.check_open().map_err(|_| CatalogError::ShuttingDown)?;
        bound(&proposal)?;
        let shared = &self.engine.shared;
        for _ in 0..TRIES {
            shared.catalog.holder.catch_up().await?;
            let base = shared.catalog.holder.snapshot();
            self.check_author(author, &base.catalog, &proposal).await?;
            let room_to_check = self.room_to_check().await;
            let history = self.histories(&proposal).await?;
            room(&base.catalog, &history, &proposal)?;
            let checked = Self::examine(room_to_check, base.catalog.clone(), history, proposal.clone()).await?;
            let changed = changed(&checked, &proposal);
            if checked.has_errors() || proposal.dry_run || changed.is_empty() {
                return Ok(Pushed { report: checked, revision: None });
            }
            if let Some(revision) = self.make(&author.who, &base, &changed, &proposal, &checked).await? {
                return Ok(Pushed { report: checked, revision: Some(revision.0) });
            }
        }
        Err(CatalogError::Busy)
    }

    /// What a proposal is checked against: all revisions of the entries that it names, and the newest of the other
    /// versions of their types, removed ones too.
    async fn histories(&self, proposal: &Proposal) -> Result<Vec<EntryRow>> {
        let keys: BTreeSet<&Key> = proposal.entries.iter().map(|entry| &entry.key).collect();
        let types: BTreeSet<&str> =
            keys.iter().filter(|key| key.kind == Kind::Definition).map(|key| key.name.as_str()).collect();
        let (store, read_bytes) = (self.store(), &AtomicUsize::new(0));
        // Owned: of a future that borrows its item it cannot be told that it may change its thread.
        let named: Vec<Key> = keys.iter().map(|key| (*key).clone()).collect();
        let history = |key: Key| async move { self.history_of(&key, read_bytes).await };
        let of_keys: Vec<Vec<EntryRow>> =
            stream::iter(named).map(history).buffer_unordered(READS_AT_ONCE).try_collect().await?;
        let types: Vec<String> = types.into_iter().map(str::to_owned).collect();
        let newest = |name: String| async move { store.catalog_newest(Kind::Definition.as_str(), &name).await };
        let of_types: Vec<Vec<EntryRow>> =
            stream::iter(types).map(newest).buffer_unordered(READS_AT_ONCE).try_collect().await?;
        let named: BTreeSet<EntryKey> = keys.into_iter().map(stored).collect();
        let others = of_types.into_iter().flatten().filter(|row| !named.contains(&row.key));
        let mut rows: Vec<EntryRow> = of_keys.into_iter().flatten().chain(others).collect();
        rows.sort_by(|a, b| (a.revision, &a.key).cmp(&(b.revision, &b.key)));
        Ok(rows)
    }

    /// All revisions of one entry. Of a set and a policy only the newest one's source counts, and is kept.
    async fn history_of(&self, key: &Key, read_bytes: &AtomicUsize) -> Result<Vec<EntryRow>> {
        let EntryKey { kind, name, version } = stored(key);
        let after = HistoryPlace::default();
        let mut query = HistoryQuery { kind, name, version: Some(version), after, limit: HISTORY_READ };
        let mut rows: Vec<EntryRow> = Vec::new();
        loop {
            let slice = self.store().catalog_history(&query).await?;
            if key.kind == Kind::Definition {
                let bytes = slice.rows.iter().filter_map(|row| row.source.as_ref()).map(String::len).sum();
                if read_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > HISTORY_BYTES_MAX {
                    return Err(CatalogError::TooLarge { what: "bytes of earlier revisions", max: HISTORY_BYTES_MAX });
                }
            }
            rows.extend(slice.rows);
            if key.kind != Kind::Definition
                && let Some((_, superseded)) = rows.split_last_mut()
            {
                superseded.iter_mut().for_each(|row| row.source = None);
            }
            let Some(last) = rows.last().filter(|_| !slice.complete) else { return Ok(rows) };
            query.after = HistoryPlace { revision: last.revision, version: last.key.version.clone() };
        }
    }

    /// Writes the change and the event that tells of it; none where another change came first.
    async fn make(
        &self,
        who: &Who,
        base: &Snapshot,
        changed: &[Entry],
        proposal: &Proposal,
        report: &Report,
    ) -> Result<Option<CatalogRevision>> {
        let shared = &self.engine.shared;
        let next = CatalogRevision(base.revision.0 + 1);
        let changes: Vec<EntryChange> = changed
            .iter()
            .map(|Entry { key, source }| EntryChange {
                key: stored(key),
                source: source.clone(),
                reason: proposal.overrides.get(key).cloned(),
            })
            .collect();
        let at = now();
        let fact = fact(who, next, report, &proposal.overrides);
        let appends = system::appends(&shared.feeds.places, fact.events(&crate::dice::ulid().to_string(), at)).await?;
        let partitions: Vec<PartitionId> = appends.iter().map(|append| append.partition).collect();
        let outcome = shared.feeds.store.change_catalog(base.revision, changes, &who.key, at, appends).await;
        match outcome {
            Ok(CatalogOutcome::Changed { revision, appended }) => {
                shared.feeds.tail.publish_all(appended);
                shared.catalog.holder.changed(base.revision, revision, changed.to_vec()).await;
                shared.pokes.note(Poke::Catalog);
                tracing::info!(
                    revision = revision.0,
                    entries = changed.len(),
                    key = who.key,
                    "the catalog was changed"
                );
                Ok(Some(revision))
            }
            Ok(CatalogOutcome::Stale { .. }) => Ok(None),
            Err(error) => {
                // It may have happened all the same, so the tail looks for it.
                partitions.into_iter().for_each(|partition| shared.feeds.tail.look(partition));
                Err(error.into())
            }
        }
    }
}

/// Checks what can be checked before anything is read.
fn bound(proposal: &Proposal) -> Result<()> {
    if proposal.entries.len() > limits::CHANGES_MAX {
        return Err(CatalogError::TooLarge { what: "entries", max: limits::CHANGES_MAX });
    }
    let bytes: usize = proposal.entries.iter().filter_map(|entry| entry.source.as_ref()).map(String::len).sum();
    if bytes > limits::CHANGE_BYTES_MAX {
        return Err(CatalogError::TooLarge { what: "bytes", max: limits::CHANGE_BYTES_MAX });
    }
    if proposal.overrides.len() > limits::CHANGES_MAX {
        return Err(CatalogError::TooLarge { what: "reasons", max: limits::CHANGES_MAX });
    }
    if proposal.overrides.values().any(|reason| reason.chars().count() > REASON_CHARS_MAX) {
        return Err(CatalogError::TooLarge { what: "characters in one reason", max: REASON_CHARS_MAX });
    }
    let keys = proposal.entries.iter().map(|entry| &entry.key).chain(proposal.overrides.keys());
    let mut texts = keys.flat_map(|key| [&key.name, &key.version]).chain(proposal.overrides.values());
    if texts.any(|text| text.contains(char::is_control)) {
        return Err(CatalogError::ControlCharacter);
    }
    Ok(())
}

/// The entries that the change really changes; of several under one key the last.
fn changed(report: &Report, proposal: &Proposal) -> Vec<Entry> {
    let change: BTreeMap<&Key, Change> = report.entries.iter().map(|checked| (&checked.key, checked.change)).collect();
    let entries: BTreeMap<&Key, &Entry> = proposal.entries.iter().map(|entry| (&entry.key, entry)).collect();
    let is_changed = |key: &Key| change.get(key).is_some_and(|change| *change != Change::Unchanged);
    entries.into_iter().filter(|(key, _)| is_changed(key)).map(|(_, entry)| entry.clone()).collect()
}

/// Whether there is room for all that is new.
fn room(catalog: &Catalog, history: &[EntryRow], proposal: &Proposal) -> Result<()> {
    let full = |what, max| Err(CatalogError::Full { what, max });
    let mut revisions: BTreeMap<_, usize> = BTreeMap::new();
    history.iter().for_each(|row| *revisions.entry(&row.key).or_default() += 1);
    let mut keys: BTreeSet<&Key> = catalog.entries().map(|entry| &entry.key).collect();
    let before = keys.len();
    for entry in &proposal.entries {
        if entry.source.is_none() {
            keys.remove(&entry.key);
            continue;
        }
        keys.insert(&entry.key);
        let is_new = catalog.entry(&entry.key).is_none_or(|known| known.source != entry.source);
        if is_new && revisions.get(&stored(&entry.key)).is_some_and(|count| *count >= limits::REVISIONS_MAX) {
            return full("revisions of one entry", limits::REVISIONS_MAX);
        }
    }
    if keys.len() <= before {
        return Ok(());
    }
    let mut versions: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut sets, mut policies) = (0, 0);
    for key in &keys {
        match key.kind {
            Kind::Definition => *versions.entry(&key.name).or_default() += 1,
            Kind::Set => sets += 1,
            Kind::Policy => policies += 1,
        }
    }
    if versions.len() > limits::TYPES_MAX {
        return full("types", limits::TYPES_MAX);
    }
    if versions.values().any(|count| *count > limits::VERSIONS_MAX) {
        return full("versions of one type", limits::VERSIONS_MAX);
    }
    if sets > limits::SETS_MAX {
        return full("sets", limits::SETS_MAX);
    }
    if policies > limits::POLICIES_MAX {
        return full("policies", limits::POLICIES_MAX);
    }
    Ok(())
}

fn fact(who: &Who, revision: CatalogRevision, report: &Report, reasons: &BTreeMap<Key, String>) -> Fact {
    let changed = || report.entries.iter().filter(|checked| checked.change != Change::Unchanged);
    let entries: Vec<Value> = changed()
        .take(TOLD_MAX)
        .map(|checked| {
            let Key { kind, name, version } = &checked.key;
            let mut told = Map::new();
            told.insert("kind".to_owned(), json!(kind.as_str()));
            told.insert("name".to_owned(), json!(name));
            told.insert("version".to_owned(), json!(version));
            told.insert("change".to_owned(), json!(checked.change.as_str()));
            if let Some(reason) = reasons.get(&checked.key) {
                told.insert("reason".to_owned(), json!(reason));
            }
            Value::Object(told)
        })
        .collect();
    let mut data = Map::new();
    data.insert("revision".to_owned(), json!(revision.0));
    data.insert("entries".to_owned(), json!(entries));
    data.insert("count".to_owned(), json!(changed().count()));
    Fact {
        kind: FactKind::CatalogChanged,
        who: Some(who.clone()),
        tenant: None,
        entity: ("catalog", "catalog".to_owned()),
        data,
    }
}
