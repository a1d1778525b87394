//! What a change of the catalog would mean for what is there already: retained events that its definitions would refuse,
//! and subscriptions whose filters could not select anything any more.

use std::collections::{HashMap, VecDeque};

use tidings_catalog::entry::{Entry, Kind};
use tidings_catalog::judge::Catalog;
use tidings_catalog::limits::CHANGES_MAX;
use tidings_event::limits::DATA_BYTES_MAX;
use tidings_event::{
    EndpointId, EventId, EventType, Recorded, Sequence, TenantId, TenantNo, Version, Violation, violation_code as code,
};
use tidings_store::{ColumnFilter, Direction, ReadLimit, Search, TenantRow, TypeFilter};

use super::error::CatalogError;
use super::{Catalogs, Result, today};

/// Events that one check of the log reads where nothing else is asked for.
pub const LOG_CHECK_DEFAULT: u64 = 100_000;
/// Events that one check of the log reads at most.
pub const LOG_CHECK_MAX: u64 = 1_000_000;
/// Events that break rules which a report shows for each definition.
pub const LOG_SAMPLES_MAX: usize = 20;
/// What one read of the log takes.
const READ: ReadLimit = ReadLimit { events: 500, bytes: 4 * 1024 * 1024 };
/// Tenants that are listed at once.
const TENANTS_AT_ONCE: usize = 500;
/// Types above which a tenant's whole log is walked, rather than an index for each of them.
const TYPES_MAX: usize = 50;

/// How much of the log to check.
#[derive(Debug, Clone)]
pub struct LogCheck {
    /// Of which tenants; all when none are named. Then also only their subscriptions are looked at.
    pub tenants: Option<Vec<TenantId>>,
    /// How many events to read at most, up to [`LOG_CHECK_MAX`].
    pub events_max: u64,
}

impl Default for LogCheck {
    fn default() -> Self {
        Self { tenants: None, events_max: LOG_CHECK_DEFAULT }
    }
}

/// What a change would mean for what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogReport {
    /// Events that were read.
    pub scanned: u64,
    /// Whether those were all of the types' events that the log retains.
    pub complete: bool,
    /// What came of each definition, in the order of the proposal.
    pub definitions: Vec<LogChecked>,
    /// Subscriptions that the change would blind, by tenant and endpoint; at most [`BLINDED_MAX`](super::BLINDED_MAX).
    pub blinded: Vec<Blinded>,
    /// Whether those are all.
    pub blinded_complete: bool,
}

/// What came of one definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChecked {
    /// Its type.
    pub event_type: EventType,
    /// Its version.
    pub version: Version,
    /// Events of the type and version that were read.
    pub matched: u64,
    /// Events of these that break a rule of the definition.
    pub invalid: u64,
    /// Some of those, the newest of each tenant first; at most [`LOG_SAMPLES_MAX`].
    pub samples: Vec<LogSample>,
}

/// An event of the log that breaks a rule of a proposed definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSample {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its id.
    pub id: EventId,
    /// Its sequence.
    pub sequence: Sequence,
    /// The rules that it breaks.
    pub violations: Vec<Violation>,
}

/// An endpoint with a filter that can select something today, and could not any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blinded {
    /// Whose endpoint it is.
    pub tenant: TenantId,
    /// Which.
    pub endpoint: EndpointId,
    /// The type of which it would get nothing any more.
    pub event_type: EventType,
    /// The version of the type.
    pub version: Version,
    /// The types that it selects, in shorthand; all when empty.
    pub types: Vec<String>,
    /// The path of the filter, like `$.data.amount`.
    pub field: String,
    /// Why it can select nothing.
    pub why: String,
}

impl Catalogs {
    /// Validates retained events of the types that are proposed by what is proposed, newest first, tenant by tenant in
    /// turns, and finds the subscriptions whose filters it would blind. Events are judged one by one: by the schema, the
    /// entity and the rules of their version, not by what the entity did before. Definitions that cannot be read, and
    /// entries that shall go, are passed over.
    pub async fn check_log(&self, proposal: &[Entry], search: LogCheck) -> Result<LogReport> {
        if proposal.len() > CHANGES_MAX {
            return Err(CatalogError::TooLarge { what: "entries", max: CHANGES_MAX });
        }
        let (current, entries) = (self.engine.catalog(), proposal.to_vec());
        let base = current.clone();
        let (proposed, definitions) = self
            .check_aside(move || {
                let proposed = base.with(entries.iter().cloned());
                let definitions = definitions(&proposed, &entries);
                (proposed, definitions)
            })
            .await?;
        let wanted: Vec<(EventType, Version)> =
            definitions.iter().map(|checked| (checked.event_type.clone(), checked.version.clone())).collect();
        let tenants = search.tenants.map(|mut tenants| {
            tenants.sort_unstable();
            tenants.dedup();
            tenants
        });
        let left = search.events_max.clamp(1, LOG_CHECK_MAX);
        let mut walk = Walk { catalogs: self, catalog: &proposed, definitions, left, scanned: 0, complete: true };
        if !wanted.is_empty() {
            walk.run(tenants.as_deref()).await?;
        }
        let Walk { definitions, scanned, complete, .. } = walk;
        let (blinded, blinded_complete) = self.blinded(current, proposed, wanted, tenants).await?;
        Ok(LogReport { scanned, complete, definitions, blinded, blinded_complete })
    }
}

/// Does work that would keep others from a thread.
pub(super) async fn aside_of_others<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| tidings_store::Error::Broken("a check of the catalog did not finish".to_owned()).into())
}

/// What is proposed and can be read, with nothing found yet.
fn definitions(proposed: &Catalog, entries: &[Entry]) -> Vec<LogChecked> {
    let mut definitions: Vec<LogChecked> = Vec::new();
    for entry in entries.iter().filter(|entry| entry.key.kind == Kind::Definition && entry.source.is_some()) {
        let (Ok(event_type), Ok(version)) = (EventType::parse(&entry.key.name), Version::parse(&entry.key.version))
        else {
            continue;
        };
        let twice = definitions.iter().any(|known| known.event_type == event_type && known.version == version);
        if !twice && proposed.definition(&event_type, &version).is_some() {
            let samples = Vec::new();
            definitions.push(LogChecked { event_type, version, matched: 0, invalid: 0, samples });
        }
    }
    definitions
}

/// A tenant whose log is being walked, and from where on down.
struct Turn {
    no: TenantNo,
    before: Sequence,
}

/// A walk through the logs of tenants. It holds one page of events at a time, and where each tenant stands that has more
/// than a page.
struct Walk<'a> {
    catalogs: &'a Catalogs,
    catalog: &'a Catalog,
    definitions: Vec<LogChecked>,
    left: u64,
    scanned: u64,
    complete: bool,
}

impl Walk<'_> {
    async fn run(&mut self, tenants: Option<&[TenantId]>) -> Result<()> {
        let mut turns = VecDeque::new();
        let mut after = None;
        let mut named = tenants.map(<[TenantId]>::iter);
        loop {
            let rows = match &mut named {
                Some(named) => self.named(named.by_ref().take(TENANTS_AT_ONCE)).await?,
                None => self.catalogs.store().tenants(after.as_ref(), TENANTS_AT_ONCE).await?,
            };
            if rows.is_empty() && named.as_ref().is_none_or(|left| left.len() == 0) {
                break;
            }
            after = rows.last().map(|row| row.id.clone());
            for row in rows {
                self.take(Turn { no: row.no, before: row.head.next() }, &mut turns).await?;
            }
            if self.is_over() {
                return Ok(());
            }
        }
        while let Some(turn) = turns.pop_front().filter(|_| !self.is_over()) {
            self.take(turn, &mut turns).await?;
        }
        Ok(())
    }

    /// Whether nothing more can be learned.
    fn is_over(&self) -> bool {
        self.left == 0 && !self.complete
    }

    async fn named(&self, names: impl Iterator<Item = &TenantId>) -> Result<Vec<TenantRow>> {
        let mut rows = Vec::new();
        for name in names {
            rows.extend(self.catalogs.store().tenant(name).await?);
        }
        Ok(rows)
    }

    /// Reads and judges one page of a tenant's events; where there may be more, its next turn comes after the others'.
    async fn take(&mut self, turn: Turn, turns: &mut VecDeque<Turn>) -> Result<()> {
        self.catalogs.engine.check_open().map_err(|_| CatalogError::ShuttingDown)?;
        if self.left == 0 {
            // Whether there is one more is a question that one row answers.
            self.complete = self.complete && self.read(&turn, 1).await?.is_empty();
            return Ok(());
        }
        let limit = READ.events.min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let found = self.read(&turn, limit).await?;
        let Some(before) = found.last().map(|oldest| oldest.sequence) else { return Ok(()) };
        let bytes: usize = found.iter().map(|recorded| recorded.event.data.as_bytes().len()).sum();
        let count = found.len();
        self.scanned += count as u64;
        self.left -= (count as u64).min(self.left);
        let (catalog, mut definitions) = (self.catalog.clone(), std::mem::take(&mut self.definitions));
        let judging = move || {
            judge(&catalog, &mut definitions, found);
            definitions
        };
        self.definitions = self.catalogs.check_aside(judging).await?;
        // A page that another event would have fitted into was the last one.
        if count >= limit || bytes + DATA_BYTES_MAX > READ.bytes {
            turns.push_back(Turn { before, ..turn });
        }
        Ok(())
    }

    async fn read(&self, turn: &Turn, events: usize) -> Result<Vec<Recorded>> {
        let mut types: Vec<&EventType> = self.definitions.iter().map(|checked| &checked.event_type).collect();
        types.sort_unstable();
        types.dedup();
        if types.len() > TYPES_MAX {
            types.clear();
        }
        let types = types.into_iter().cloned().map(TypeFilter::Exact).collect();
        let search = Search {
            columns: ColumnFilter { types, ..ColumnFilter::default() },
            after: Sequence(0),
            before: turn.before,
            direction: Direction::Backward,
            limit: ReadLimit { events, ..READ },
        };
        Ok(self.catalogs.store().search(turn.no, &search).await?)
    }
}

/// Judges a page by what is proposed.
fn judge(catalog: &Catalog, definitions: &mut [LogChecked], page: Vec<Recorded>) {
    let mut by_type: HashMap<EventType, Vec<(Version, usize)>> = HashMap::new();
    for (index, checked) in definitions.iter().enumerate() {
        by_type.entry(checked.event_type.clone()).or_default().push((checked.version.clone(), index));
    }
    let today = today();
    for Recorded { event, sequence, .. } in page {
        let versions = by_type.get(&event.event_type).map_or(&[][..], Vec::as_slice);
        let found = versions.iter().find(|(version, _)| *version == event.version);
        let Some(checked) = found.and_then(|(_, index)| definitions.get_mut(*index)) else { continue };
        checked.matched += 1;
        let mut violations = catalog.violations(&event, today);
        // What was written before its sunset was in order.
        violations.retain(|violation| violation.code != code::TYPE_SUNSET);
        if violations.is_empty() {
            continue;
        }
        checked.invalid += 1;
        if checked.samples.len() < LOG_SAMPLES_MAX {
            checked.samples.push(LogSample { tenant: event.tenant, id: event.id, sequence, violations });
        }
    }
}
