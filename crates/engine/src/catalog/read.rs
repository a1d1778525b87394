//! What the catalog holds and held, and what it would say of an event.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidings_catalog::entry::{Key, Kind, Mode};
use tidings_catalog::judge::{Catalog, Judgement};
use tidings_catalog::ownership::may_emit;
use tidings_event::log::{ENTITY_LOOK_BACK, Newest};
use tidings_event::{Event, EventType, Sequence, TenantId, Violation};
use tidings_store::{
    CatalogRevision, ColumnFilter, Direction, EntryRow, HistoryPlace, HistoryQuery, HistorySlice, MarkQuery, MarkRow,
    ReadLimit, Search,
};

use super::aside::read_reasons;
use super::error::CatalogError;
use super::holder::entry;
use super::judge::judge_alone;
use super::types::{
    EntryPage, History, HistoryPage, HistorySearch, MarkSearch, Marked, PAGE_BYTES_MAX, PAGE_MAX, Trial,
};
use super::{Catalogs, Emitter, Result};

/// Entries that one page of the whole catalog holds, about.
const ENTRIES_MAX: usize = 1_000;
/// Marks that one read brings into memory: how large they are is seen only then.
const MARKS_AT_ONCE: usize = 50;

impl Catalogs {
    /// A page of the revisions of the entries of this kind and name; of one version where it is given.
    pub async fn history(
        &self,
        kind: Kind,
        name: &str,
        version: Option<&str>,
        search: HistorySearch,
    ) -> Result<HistoryPage> {
        let HistorySearch { after, limit, bytes } = search;
        let after = after.map(|(revision, version)| HistoryPlace { revision: CatalogRevision(revision), version });
        let query = HistoryQuery {
            kind: kind.as_str().to_owned(),
            name: name.to_owned(),
            version: version.map(str::to_owned),
            after: after.unwrap_or_default(),
            limit: ReadLimit { events: limit, bytes },
        };
        let HistorySlice { rows, complete } = self.store().catalog_history(&query).await?;
        Ok(HistoryPage { revisions: rows.into_iter().filter_map(revision).collect(), complete })
    }

    /// The newest revision of each entry that changed after a revision of the catalog; all of them after 0. An entry
    /// that was removed has no source. At most `limit` entries, up to 1,000, unless one change made more of them.
    pub async fn entries(&self, after: u64, limit: usize) -> Result<EntryPage> {
        let slice = self.store().catalog(CatalogRevision(after), limit.clamp(1, ENTRIES_MAX)).await?;
        let entries = slice.rows.into_iter().filter_map(revision).collect();
        Ok(EntryPage { entries, upto: slice.upto.0, head: slice.head.0 })
    }

    /// The catalog as this node knows it, and the revision with which each entry that is there came.
    #[must_use]
    pub fn listing(&self) -> (Catalog, Arc<BTreeMap<Key, u64>>) {
        let snapshot = self.engine.shared.catalog.holder.snapshot();
        (snapshot.catalog, snapshot.revisions)
    }

    /// What would become of an event now if this emitter sent it. Nothing is written.
    pub async fn try_event(&self, emitter: &Emitter, event: &Event) -> Result<Trial> {
        let catalog = self.engine.catalog();
        let known = catalog.definition(&event.event_type, &event.version).is_some();
        let trial = |mode, violations: Vec<Violation>, state_judged| {
            let taken = violations.is_empty() || mode == Mode::Observe;
            Trial { version: event.version.clone(), known, mode, violations, taken, state_judged }
        };
        let owner = catalog.owner(&event.event_type);
        if let Err(violation) = may_emit(owner, &event.source, emitter.holder()) {
            return Ok(trial(Mode::Strict, vec![violation], false));
        }
        let usual = catalog.mode(event.tenant.as_str(), &event.event_type, &event.version);
        let (mode, mut violations, rule) =
            match judge_alone(&self.engine.shared.catalog.door.pool, &catalog, event).await? {
                Judgement::Pass(rule) => (usual, Vec::new(), rule),
                Judgement::Observe(violations, rule) => (Mode::Observe, violations, rule),
                Judgement::Quarantine(violations) => return Ok(trial(Mode::Quarantine, violations, false)),
                Judgement::Refuse(violations) => return Ok(trial(Mode::Strict, violations, false)),
            };
        let Some(rule) = rule else { return Ok(trial(mode, violations, false)) };
        let newest = self.newest(event, rule.types()).await?;
        let more = rule.judge(&newest, event);
        let mode = if more.is_empty() { mode } else { rule.mode() };
        violations.extend(more);
        Ok(trial(mode, violations, true))
    }

    /// The newest event of the same entity and of some types, as far as an append would look for it.
    async fn newest(&self, event: &Event, types: &[EventType]) -> Result<Newest> {
        let Some(entity) = &event.entity else { return Ok(Newest::None) };
        let Some(place) = self.engine.shared.feeds.places.find(&event.tenant).await? else { return Ok(Newest::None) };
        let columns = ColumnFilter {
            entity_kind: Some(entity.kind.clone()),
            entity_id: Some(entity.id.clone()),
            ..ColumnFilter::default()
        };
        let (mut before, mut left) = (Sequence(i64::MAX as u64), ENTITY_LOOK_BACK);
        while left > 0 {
            let search = Search {
                columns: columns.clone(),
                after: Sequence(0),
                before,
                direction: Direction::Backward,
                limit: ReadLimit { events: left, bytes: PAGE_BYTES_MAX },
            };
            let found = self.store().search(place.no, &search).await?;
            let Some(oldest) = found.last() else { return Ok(Newest::None) };
            (before, left) = (oldest.sequence, left - found.len().min(left));
            if let Some(newest) = found.into_iter().find(|recorded| types.contains(&recorded.event.event_type)) {
                return Ok(Newest::Event(Box::new(newest.event)));
            }
        }
        Ok(Newest::Unknown)
    }

    /// A tenant's events that were taken although they break rules, newest first, and the cursor of the next page. A
    /// page has no more than [`PAGE_BYTES_MAX`] bytes, unless its only event has more.
    pub async fn marks(&self, tenant: &TenantId, search: MarkSearch) -> Result<(Vec<Marked>, Option<String>)> {
        let mut before = match search.cursor.as_deref() {
            None => Sequence(i64::MAX as u64),
            Some(text) => {
                let number: u64 = text.parse().map_err(|_| CatalogError::Cursor)?;
                Sequence(number.min(i64::MAX as u64))
            }
        };
        let Some(place) = self.engine.shared.feeds.places.find(tenant).await? else { return Ok((Vec::new(), None)) };
        let limit = search.limit.clamp(1, PAGE_MAX);
        let (mut rows, mut bytes): (Vec<MarkRow>, usize) = (Vec::new(), 0);
        let more = 'read: loop {
            // One more than is wanted says whether there are more.
            let wanted = MARKS_AT_ONCE.min(limit + 1 - rows.len());
            let query = MarkQuery { event_type: search.event_type.clone(), before, limit: wanted };
            let read = self.store().marks(place.no, &query).await?;
            let is_last = read.len() < wanted;
            for row in read {
                bytes += row.reasons.len();
                if rows.len() == limit || (!rows.is_empty() && bytes > PAGE_BYTES_MAX) {
                    break 'read true;
                }
                before = row.sequence;
                rows.push(row);
            }
            if is_last {
                break false;
            }
        };
        let cursor = rows.last().filter(|_| more).map(|last| last.sequence.to_string());
        let marked = rows.into_iter().map(|row| Marked {
            sequence: row.sequence,
            event_type: row.event_type,
            version: row.version,
            reasons: read_reasons(&row.reasons),
        });
        Ok((marked.collect(), cursor))
    }
}

fn revision(row: EntryRow) -> Option<History> {
    let entry = entry(&row)?;
    Some(History { revision: row.revision.0, entry, by: row.by, reason: row.reason, at: row.at })
}
