//! Searching a tenant's events, and the tree of causes around one of them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tidings_core::pattern::Selection;
use tidings_event::limits::DATA_BYTES_MAX;
use tidings_event::{EventId, Recorded, Sequence, TenantId, TenantNo, Text, Timestamp};
use tidings_store::{ColumnFilter, Direction, ReadLimit, Result, Search};
use tokio::time::Instant;

use crate::Engine;
use crate::feed::type_filters;

/// Events that one search looks at before it reports its progress.
const SCAN_EVENTS_MAX: usize = 10_000;
/// How long one search looks at events before it reports its progress.
const SCAN_TIME_MAX: Duration = Duration::from_millis(250);
/// Events that a trace returns at most.
pub const TRACE_EVENTS_MAX: usize = 1_000;
/// Causes that a trace follows upwards at most.
pub const TRACE_DEPTH_MAX: usize = 100;
/// Causes whose effects are asked for at once.
const TRACE_CHUNK: usize = 200;

/// A search over one tenant's events. Everything that is given must hold.
#[derive(Debug, Clone)]
pub struct SearchQuery {
    /// What the columns must hold.
    pub columns: ColumnFilter,
    /// What the events must match.
    pub selection: Arc<Selection>,
    /// Only events recorded at this moment or later.
    pub since: Option<Timestamp>,
    /// Only events recorded before this moment.
    pub until: Option<Timestamp>,
    /// Only sequences above this one: where a forward search goes on.
    pub after: Option<Sequence>,
    /// Only sequences below this one: where a backward search goes on.
    pub before: Option<Sequence>,
    /// Which way.
    pub direction: Direction,
    /// How much.
    pub limit: ReadLimit,
}

/// A piece of a search's answer.
#[derive(Debug, Clone)]
pub struct SearchPage {
    /// Events that match, in the direction asked for. May be empty although there are more.
    pub events: Vec<Recorded>,
    /// Where to go on: `after` of a forward search, `before` of a backward one. `None` when nothing is left.
    pub next: Option<Sequence>,
}

/// The events that hang together with one by their causes.
#[derive(Debug, Clone)]
pub struct Trace {
    /// The event itself, its causes, and all that they led to, by sequence.
    pub events: Vec<Recorded>,
    /// Whether there is more than a trace may hold.
    pub truncated: bool,
}

impl Engine {
    /// Events of a tenant that match; none for a tenant that has no events.
    pub async fn search(&self, tenant: &TenantId, query: SearchQuery) -> Result<SearchPage> {
        let Some(place) = self.shared.feeds.places.find(tenant).await? else {
            return Ok(SearchPage { events: Vec::new(), next: None });
        };
        let store = &*self.shared.feeds.store;
        let mut after = query.after.unwrap_or_default();
        // The store takes signed numbers of 64 bits.
        let mut before = query.before.unwrap_or(Sequence(i64::MAX as u64));
        if let Some(since) = query.since {
            after = after.max(store.sequence_before(place.no, since).await?);
        }
        if let Some(until) = query.until {
            before = before.min(store.sequence_before(place.no, until).await?.next());
        }
        let mut columns = query.columns;
        if columns.types.is_empty() {
            columns.types = type_filters(&query.selection);
        }
        let search = Search { columns, after, before, direction: query.direction, limit: query.limit };
        self.gather(place.no, search, &query.selection).await
    }

    async fn gather(&self, tenant: TenantNo, mut search: Search, selection: &Selection) -> Result<SearchPage> {
        let until = Instant::now() + SCAN_TIME_MAX;
        let wanted = search.limit;
        let mut page = SearchPage { events: Vec::new(), next: None };
        let (mut bytes, mut looked_at) = (0, 0);
        // One more than wanted tells whether there is more.
        let step = if selection.is_all() { wanted.events + 1 } else { (wanted.events + 1).max(500) };
        search.limit = ReadLimit { events: step, bytes: wanted.bytes.max(1 << 20) };
        while search.after.next() < search.before {
            let found = self.shared.feeds.store.search(tenant, &search).await?;
            let exhausted = is_exhausted(&found, search.limit);
            for recorded in found {
                let sequence = recorded.sequence;
                if selection.matches(&recorded) {
                    let sum = bytes + recorded.event.data.as_bytes().len();
                    let full = page.events.len() >= wanted.events || (sum > wanted.bytes && !page.events.is_empty());
                    if full {
                        page.next = Some(progress(&search));
                        return Ok(page);
                    }
                    bytes = sum;
                    page.events.push(recorded);
                }
                looked_at += 1;
                match search.direction {
                    Direction::Forward => search.after = sequence,
                    Direction::Backward => search.before = sequence,
                }
            }
            if exhausted {
                return Ok(page);
            }
            if looked_at >= SCAN_EVENTS_MAX || Instant::now() >= until {
                page.next = Some(progress(&search));
                return Ok(page);
            }
        }
        Ok(page)
    }

    /// One event by its id.
    pub async fn event(&self, tenant: &TenantId, id: &EventId) -> Result<Option<Recorded>> {
        match self.shared.feeds.places.find(tenant).await? {
            Some(place) => self.shared.feeds.store.event(place.no, id).await,
            None => Ok(None),
        }
    }

    /// The tree of causes around an event; `None` when there is no such event. Holds at most [`TRACE_EVENTS_MAX`]
    /// events: the event and its causes first, then what it led to, then what else its causes led to.
    pub async fn trace(&self, tenant: &TenantId, id: &EventId) -> Result<Option<Trace>> {
        let Some(place) = self.shared.feeds.places.find(tenant).await? else { return Ok(None) };
        let Some(event) = self.shared.feeds.store.event(place.no, id).await? else { return Ok(None) };
        let mut tracer = Tracer { engine: self, tenant: place.no, seen: HashSet::new(), trace: Trace::empty() };
        let path = tracer.causes(event).await?;
        // The path runs from the event upwards; its effects come before those of its causes.
        let expanded: Vec<Text> = path.iter().filter_map(|id| Text::parse(id.as_str()).ok()).collect();
        for id in expanded {
            tracer.effects(id).await?;
        }
        let mut trace = tracer.trace;
        trace.events.sort_unstable_by_key(|recorded| recorded.sequence);
        Ok(Some(trace))
    }
}

impl Trace {
    fn empty() -> Self {
        Self { events: Vec::new(), truncated: false }
    }
}

struct Tracer<'a> {
    engine: &'a Engine,
    tenant: TenantNo,
    seen: HashSet<EventId>,
    trace: Trace,
}

impl Tracer<'_> {
    /// Takes an event and its causes; returns their ids, from the event upwards.
    async fn causes(&mut self, event: Recorded) -> Result<Vec<EventId>> {
        let mut path = Vec::new();
        let mut next = Some(event);
        while let Some(recorded) = next.take() {
            let id = recorded.event.id.clone();
            let cause = recorded.event.metadata.causation_id.clone();
            self.seen.insert(id.clone());
            self.trace.events.push(recorded);
            path.push(id);
            let Some(cause) = cause.and_then(|cause| EventId::parse(cause.as_str()).ok()) else { break };
            if self.seen.contains(&cause) {
                break;
            }
            if path.len() > TRACE_DEPTH_MAX {
                self.trace.truncated = true;
                break;
            }
            next = self.engine.shared.feeds.store.event(self.tenant, &cause).await?;
        }
        Ok(path)
    }

    /// Takes everything that an event led to, level by level.
    async fn effects(&mut self, of: Text) -> Result<()> {
        let mut level = vec![of];
        while !level.is_empty() {
            let mut below = Vec::new();
            for causes in level.chunks(TRACE_CHUNK) {
                // One more than there is room for tells whether there is more; what was seen comes again.
                let limit = TRACE_EVENTS_MAX + 1;
                let found = self.engine.shared.feeds.store.caused_by(self.tenant, causes, limit).await?;
                self.trace.truncated |= found.len() >= limit;
                for recorded in found {
                    if self.seen.contains(&recorded.event.id) {
                        continue;
                    }
                    if self.trace.events.len() >= TRACE_EVENTS_MAX {
                        self.trace.truncated = true;
                        return Ok(());
                    }
                    self.seen.insert(recorded.event.id.clone());
                    below.extend(Text::parse(recorded.event.id.as_str()).ok());
                    self.trace.events.push(recorded);
                }
            }
            level = below;
        }
        Ok(())
    }
}

/// Whether a read that returned this cannot have been cut short: another event would have fitted.
fn is_exhausted(found: &[Recorded], limit: ReadLimit) -> bool {
    let bytes: usize = found.iter().map(|recorded| recorded.event.data.as_bytes().len()).sum();
    found.is_empty() || (found.len() < limit.events && bytes + DATA_BYTES_MAX <= limit.bytes)
}

fn progress(search: &Search) -> Sequence {
    match search.direction {
        Direction::Forward => search.after,
        Direction::Backward => search.before,
    }
}
