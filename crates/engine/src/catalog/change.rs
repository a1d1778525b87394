//! Changing the catalog: checked against its whole history, made in one transaction with the event that tells of it.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Map, Value, json};
use tidings_catalog::check::{Known, apply_overrides, check};
use tidings_catalog::entry::{Entry, Key, Kind};
use tidings_catalog::judge::Catalog;
use tidings_catalog::report::{Change, Report};
use tidings_catalog::{limits, source};
use tidings_event::{EventType, PartitionId, Text, Version, Violation, violation_code as code};
use tidings_store::{CatalogOutcome, CatalogRevision, EntryChange, EntryRow, Role};
use ulid::Ulid;

use super::error::CatalogError;
use super::holder::{Snapshot, entry, stored};
use super::types::{Proposal, Pushed};
use super::{Catalogs, Result, today};
use crate::append::now;
use crate::endpoints::Who;
use crate::system::{self, Fact, Kind as FactKind};

/// How often a change is checked anew because another one came first.
const TRIES: usize = 5;
/// Histories that are read at once.
const READS_AT_ONCE: usize = 8;
/// Entries that the event about a change names; it also says how many there are.
const TOLD_MAX: usize = 100;
/// Characters of one reason.
const REASON_CHARS_MAX: usize = 500;

impl Catalogs {
    /// Makes a change of the catalog, or says why not: everything is checked against all revisions of what it touches.
    /// A change that was made holds on this node before this returns, and on others within about a second. A key that is
    /// not an admin's changes only definitions that its service owns, before and after.
    pub async fn push(&self, who: &Who, service: Option<&Text>, proposal: Proposal) -> Result<Pushed> {
        self.engine.check_open().map_err(|_| CatalogError::ShuttingDown)?;
        bound(&proposal)?;
        let shared = &self.engine.shared;
        for _ in 0..TRIES {
            shared.catalog.holder.catch_up().await?;
            let base = shared.catalog.holder.snapshot();
            let history = self.histories(&proposal).await?;
            check_owner(who, service, &base.catalog, &proposal)?;
            room(&base.catalog, &history, &proposal)?;
            let checked = examine(base.catalog.clone(), history, proposal.clone()).await?;
            let changed = changed(&checked, &proposal);
            if checked.has_errors() || proposal.dry_run || changed.is_empty() {
                return Ok(Pushed { report: checked, revision: None });
            }
            if let Some(revision) = self.make(who, &base, &changed, &proposal, &checked).await? {
                return Ok(Pushed { report: checked, revision: Some(revision.0) });
            }
        }
        Err(CatalogError::Busy)
    }

    /// All revisions of what a proposal touches: of a definition those of all versions of its type.
    async fn histories(&self, proposal: &Proposal) -> Result<Vec<EntryRow>> {
        let store = &self.engine.shared.feeds.store;
        let names: BTreeSet<(Kind, &str)> =
            proposal.entries.iter().map(|entry| (entry.key.kind, entry.key.name.as_str())).collect();
        let names: Vec<(Kind, String)> = names.into_iter().map(|(kind, name)| (kind, name.to_owned())).collect();
        let read =
            |(kind, name): (Kind, String)| async move { store.catalog_history(kind.as_str(), &name, None).await };
        let found: Vec<Vec<EntryRow>> =
            stream::iter(names).map(read).buffer_unordered(READS_AT_ONCE).try_collect().await?;
        let mut rows: Vec<EntryRow> = found.into_iter().flatten().collect();
        rows.sort_by(|a, b| (a.revision, &a.key).cmp(&(b.revision, &b.key)));
        Ok(rows)
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
        let appends = system::appends(&shared.feeds.places, fact.events(&Ulid::generate().to_string(), at)).await?;
        let partitions: Vec<PartitionId> = appends.iter().map(|append| append.partition).collect();
        let outcome = shared.feeds.store.change_catalog(base.revision, changes, &who.key, at, appends).await;
        match outcome {
            Ok(CatalogOutcome::Changed { revision, appended }) => {
                shared.feeds.tail.publish_all(appended);
                shared.catalog.holder.changed(base.revision, revision, changed.to_vec()).await;
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
    Ok(())
}

/// Whether the caller owns all that it wants to change. What cannot be read has no owner, and is refused by the checks.
fn check_owner(who: &Who, service: Option<&Text>, catalog: &Catalog, proposal: &Proposal) -> Result<()> {
    if who.role == Role::Admin {
        return Ok(());
    }
    let mut violations = Vec::new();
    for entry in &proposal.entries {
        let Key { kind, name, version } = &entry.key;
        let (code, message) = match service {
            None => (code::KEY_WITHOUT_SERVICE, format!("{kind} {name}: the key belongs to no service")),
            Some(_) if *kind != Kind::Definition => {
                (code::TYPE_NOT_OWNED, format!("{kind} {name}: only an admin changes sets and policies"))
            }
            Some(service) => match owners(catalog, entry).into_iter().find(|owner| owner != service.as_str()) {
                None => continue,
                Some(owner) => {
                    (code::TYPE_NOT_OWNED, format!("{name}@{version} belongs to {owner}, and the key to {service}"))
                }
            },
        };
        violations.push(Violation { path: String::new(), code, message });
    }
    violations.truncate(tidings_event::limits::VIOLATIONS_MAX);
    if violations.is_empty() { Ok(()) } else { Err(CatalogError::NotOwned(violations)) }
}

/// Who owns a definition: by the current version of its type, by this version as it is, and as it shall be.
fn owners(catalog: &Catalog, entry: &Entry) -> Vec<String> {
    let mut owners = Vec::new();
    if let (Ok(name), Ok(version)) = (EventType::parse(&entry.key.name), Version::parse(&entry.key.version)) {
        owners.extend(catalog.owner(&name).map(str::to_owned));
        owners.extend(catalog.definition(&name, &version).map(|definition| definition.owner.clone()));
    }
    let after = entry.source.as_deref().and_then(|text| source::read(text).ok());
    owners.extend(after.map(|definition| definition.owner));
    owners
}

/// Runs the checks where nobody waits for them: they may take seconds.
async fn examine(catalog: Catalog, history: Vec<EntryRow>, proposal: Proposal) -> Result<Report> {
    let today = today();
    let checks = move || {
        let touched: BTreeSet<(Kind, &str)> =
            proposal.entries.iter().map(|entry| (entry.key.kind, entry.key.name.as_str())).collect();
        let others = catalog.entries().filter(|entry| !touched.contains(&(entry.key.kind, entry.key.name.as_str())));
        let known = Known::new(others.cloned().chain(history.iter().filter_map(entry)));
        let mut report = check(&known, &proposal.entries, today);
        apply_overrides(&mut report, &proposal.overrides);
        report
    };
    let broken = |_| CatalogError::Store(tidings_store::Error::Broken("a check of the catalog broke".to_owned()));
    tokio::task::spawn_blocking(checks).await.map_err(broken)
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
