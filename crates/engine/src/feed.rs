//! The feed: a tenant's log read from a position, from the past into the present without a seam.

use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, gauge, histogram};
use tidings_core::pattern::{Selection, TypeHint};
use tidings_event::{Sequence, TenantId, Timestamp};
use tidings_store::{ColumnFilter, Direction, ReadLimit, Search, Store, TenantRow, TypeFilter};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::catalog::{Holder, Pool};
use crate::pins::Pins;
use crate::places::{Place, Places};
use crate::ring::FeedEvent;
use crate::tail::{Tail, Tip, Watch};
use crate::turns::Turns;
use crate::{FeedError, metrics as names};

/// Events that one call looks at before it reports its progress.
const SCAN_EVENTS_MAX: usize = 10_000;
/// How long one call looks at events before it reports its progress.
const SCAN_TIME_MAX: Duration = Duration::from_millis(50);
/// Events that are taken from memory at once.
const RING_CHUNK: usize = 256;
/// From this distance on, the index of types is asked instead of reading every event.
const FAR_BEHIND: u64 = 2_000;
/// Sequences that one question to the index of types covers, so that its cost is bounded.
const INDEX_WINDOW: u64 = 100_000;
/// More type filters than this are not put to the index.
const INDEX_TYPES_MAX: usize = 100;

/// A wait is cut to this.
const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Where a feed begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedStart {
    /// At the oldest event that is kept.
    Start,
    /// After the newest event.
    Now,
    /// After this sequence.
    After(Sequence),
    /// At the first event recorded at this moment or later.
    Time(Timestamp),
}

/// What one call of [`FeedReader::next`] found.
#[derive(Debug, Clone)]
pub struct FeedPage {
    /// Events that match, in order of sequence.
    pub events: Vec<Arc<FeedEvent>>,
    /// Everything up to this sequence was looked at; the place to go on from.
    pub after: Sequence,
    /// Whether nothing that was in the log during the call lies beyond `after`.
    pub up_to_date: bool,
    /// The engine shuts down: this page is the last.
    pub ended: bool,
}

/// What readers share.
pub(crate) struct Feeds {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) tail: Arc<Tail>,
    pub(crate) places: Arc<Places>,
    pub(crate) catalog: Arc<Holder>,
    pub(crate) pool: Arc<Pool>,
    /// For reads of the store by readers that are behind.
    pub(crate) turns: Turns,
    pub(crate) ending: CancellationToken,
}

/// Reads one tenant's feed. Costs nothing while it waits.
pub struct FeedReader {
    feeds: Arc<Feeds>,
    selection: Arc<Selection>,
    hints: Vec<TypeFilter>,
    tenant: TenantId,
    state: State,
    after: Sequence,
    pins: Pins,
}

enum State {
    /// The tenant has no events; its first one makes a noise.
    Newcomer(Watch<()>),
    Placed(Placed),
}

struct Placed {
    place: Place,
    watch: Watch<Tip>,
    /// The last sequence that the store was seen to hold; the watch may know of more.
    head: Sequence,
    resets: u64,
    moves: u64,
}

impl FeedReader {
    pub(crate) async fn open(
        feeds: Arc<Feeds>,
        tenant: TenantId,
        start: FeedStart,
        selection: Arc<Selection>,
    ) -> Result<Self, FeedError> {
        // The watch comes first, the look at the store second: what is committed after the look changes the watch.
        let mut newcomer = None;
        let mut place = feeds.places.find(&tenant).await?;
        if place.is_none() {
            newcomer = Some(feeds.tail.watch_newcomer(&tenant));
            place = feeds.places.find(&tenant).await?;
        }
        let (state, after) = match (place, newcomer) {
            (None, None) => return Err(FeedError::Store(no_row())),
            (None, Some(watch)) => match start {
                FeedStart::After(sequence) if sequence > Sequence(0) => return Err(FeedError::Rewound),
                _ => (State::Newcomer(watch), Sequence(0)),
            },
            (Some(place), _) => {
                let (placed, row) = Placed::open(&feeds, &tenant, place).await?;
                let after = begin(&*feeds.store, &row, start).await?;
                (State::Placed(placed), after)
            }
        };
        gauge!(names::FEED_READERS).increment(1);
        let hints = type_filters(&selection);
        Ok(Self { feeds, selection, hints, tenant, state, after, pins: Pins::default() })
    }

    /// Pins the reader to versions: from now on events of these types come in them, as far as they can be converted.
    #[must_use]
    pub fn pinned(mut self, pins: Pins) -> Self {
        self.pins = pins;
        self
    }

    /// Everything up to this sequence was looked at.
    #[must_use]
    pub fn after(&self) -> Sequence {
        self.after
    }

    /// The next events that match, at most `limit`; waits up to `wait` for the first. Returns early, without events
    /// but with progress, when it has looked at many events of which none matched. Dropping the future loses nothing.
    pub async fn next(&mut self, limit: ReadLimit, wait: Duration) -> Result<FeedPage, FeedError> {
        let deadline = tokio::time::Instant::now() + wait.min(WAIT_MAX);
        loop {
            if self.feeds.ending.is_cancelled() {
                return Ok(FeedPage { events: Vec::new(), after: self.after, up_to_date: false, ended: true });
            }
            let scan = self.scan(limit).await?;
            let up_to_date = scan.up_to_date;
            let page = FeedPage { events: scan.events, after: scan.after, up_to_date, ended: false };
            let page = if self.pins.is_empty() { page } else { self.converted(page, limit).await };
            let up_to_date = page.up_to_date;
            self.after = page.after;
            if !page.events.is_empty() || !up_to_date {
                counter!(names::FEED_EVENTS).increment(page.events.len() as u64);
                return Ok(page);
            }
            let ending = self.feeds.ending.clone();
            tokio::select! {
                biased;
                () = ending.cancelled() => {}
                () = self.state.changed() => {}
                () = tokio::time::sleep_until(deadline) => return Ok(page),
            }
        }
    }

    /// The page in the versions that the reader is pinned to. Converted events may be larger than they were: those for
    /// which there is no room are left for the next page.
    async fn converted(&self, page: FeedPage, limit: ReadLimit) -> FeedPage {
        let catalog = self.feeds.catalog.catalog();
        let mut events = Vec::with_capacity(page.events.len());
        let mut bytes = 0;
        for event in &page.events {
            let converted = self.pins.convert(&self.feeds.pool, &catalog, event).await;
            bytes += converted.recorded.event.data.as_bytes().len();
            if bytes > limit.bytes
                && let Some(last) = events.last().map(|last: &Arc<FeedEvent>| last.recorded.sequence)
            {
                return FeedPage { events, after: last, up_to_date: false, ended: page.ended };
            }
            events.push(converted);
            // A conversion is work that would keep a thread from everybody else.
            tokio::task::consume_budget().await;
        }
        FeedPage { events, ..page }
    }

    async fn scan(&mut self, limit: ReadLimit) -> Result<Scan, FeedError> {
        let mut scan = Scan::new(limit, self.after);
        if let State::Newcomer(watch) = &mut self.state {
            watch.look();
            let Some(place) = self.feeds.places.find(&self.tenant).await? else {
                scan.up_to_date = true;
                return Ok(scan);
            };
            let (placed, _) = Placed::open(&self.feeds, &self.tenant, place).await?;
            self.state = State::Placed(placed);
        }
        let State::Placed(placed) = &mut self.state else { return Ok(scan) };
        let tip = placed.tip(&self.feeds, &self.tenant, scan.after).await?;
        while scan.after < tip && !scan.is_full() {
            let chunk = self.feeds.tail.read(placed.place, scan.after, RING_CHUNK);
            if chunk.is_empty() {
                let source = Behind { feeds: &self.feeds, hints: &self.hints, tenant: &self.tenant };
                source.read(placed, &self.selection, &mut scan, tip).await?;
            } else {
                scan.take_all(chunk, &self.selection);
            }
            // Matching many events is work that would keep a thread from everybody else.
            tokio::task::consume_budget().await;
        }
        scan.up_to_date = scan.after >= tip;
        Ok(scan)
    }
}

impl Drop for FeedReader {
    fn drop(&mut self) {
        gauge!(names::FEED_READERS).decrement(1);
    }
}

impl State {
    async fn changed(&mut self) {
        match self {
            Self::Newcomer(watch) => watch.changed().await,
            Self::Placed(placed) => placed.watch.changed().await,
        }
    }
}

impl Placed {
    async fn open(feeds: &Feeds, tenant: &TenantId, place: Place) -> Result<(Self, TenantRow), FeedError> {
        let mut watch = feeds.tail.watch(place);
        let Tip { resets, moves, .. } = watch.look();
        let row = row(&*feeds.store, tenant).await?;
        Ok((Self { place, watch, head: row.head, resets, moves }, row))
    }

    /// The last sequence that is known of, never below one that a caller of append was told on this node.
    async fn tip(&mut self, feeds: &Feeds, tenant: &TenantId, after: Sequence) -> Result<Sequence, FeedError> {
        let mut tip = self.watch.look();
        if tip.moves != self.moves {
            // The watch comes first here too; where the tenant stayed, this costs a look.
            let place = feeds.places.look(tenant).await?.ok_or_else(|| FeedError::Store(no_row()))?;
            if place == self.place {
                self.moves = tip.moves;
            } else {
                *self = Self::open(feeds, tenant, place).await?.0;
                tip = self.watch.look();
            }
        }
        if tip.resets != self.resets {
            let row = row(&*feeds.store, tenant).await?;
            if after > row.head {
                return Err(FeedError::Rewound);
            }
            (self.head, self.resets) = (row.head, tip.resets);
        }
        Ok(self.head.max(tip.sequence))
    }
}

/// Reads what memory does not hold.
struct Behind<'a> {
    feeds: &'a Feeds,
    hints: &'a [TypeFilter],
    tenant: &'a TenantId,
}

/// Times a read until it is dropped.
struct StoreRead(Instant);

impl Drop for StoreRead {
    fn drop(&mut self) {
        histogram!(names::FEED_STORE_SECONDS).record(self.0.elapsed());
    }
}

impl Behind<'_> {
    async fn read(
        &self,
        placed: &mut Placed,
        selection: &Selection,
        scan: &mut Scan,
        tip: Sequence,
    ) -> Result<(), FeedError> {
        counter!(names::FEED_STORE_READS).increment(1);
        // Many who are far behind must leave connections for everybody else, and turns for other tenants' readers.
        let _turn = self.feeds.turns.take(placed.place.no).await;
        let _timed = StoreRead(Instant::now());
        if !self.hints.is_empty() && tip.get() - scan.after.get() > FAR_BEHIND {
            return self.read_by_type(placed, selection, scan, tip).await;
        }
        let slice = self.feeds.store.feed(placed.place.no, scan.after, scan.store_limit(selection)).await?;
        if scan.after < slice.floor {
            return Err(FeedError::Expired { oldest: slice.floor.next() });
        }
        if scan.after > slice.head {
            return Err(FeedError::Rewound);
        }
        placed.head = slice.head;
        if slice.events.first().is_none_or(|event| event.sequence != scan.after.next()) {
            let reason = format!("the feed of tenant {} has a gap after {}", placed.place.no, scan.after);
            return Err(FeedError::Store(tidings_store::Error::Broken(reason)));
        }
        scan.take_all(slice.events.into_iter().map(FeedEvent::new).map(Arc::new), selection);
        Ok(())
    }

    /// Asks the index of types for a window of sequences; between what it finds nothing can match.
    async fn read_by_type(
        &self,
        placed: &mut Placed,
        selection: &Selection,
        scan: &mut Scan,
        tip: Sequence,
    ) -> Result<(), FeedError> {
        let window_end = tip.min(Sequence(scan.after.get() + INDEX_WINDOW));
        let search = Search {
            columns: ColumnFilter { types: self.hints.to_vec(), ..ColumnFilter::default() },
            after: scan.after,
            before: window_end.next(),
            direction: Direction::Forward,
            limit: scan.store_limit(selection),
        };
        let found = self.feeds.store.search(placed.place.no, &search).await?;
        // Asked after the search: what retention erased meanwhile must not pass for events that do not match.
        let row = row(&*self.feeds.store, self.tenant).await?;
        if scan.after < row.floor {
            return Err(FeedError::Expired { oldest: row.floor.next() });
        }
        placed.head = placed.head.max(row.head);
        if found.is_empty() {
            scan.skip_to(window_end);
        } else {
            scan.take_all(found.into_iter().map(FeedEvent::new).map(Arc::new), selection);
        }
        Ok(())
    }
}

/// One bounded look at a piece of the feed.
struct Scan {
    limit: ReadLimit,
    until: Instant,
    events: Vec<Arc<FeedEvent>>,
    bytes: usize,
    looked_at: usize,
    after: Sequence,
    full: bool,
    up_to_date: bool,
}

impl Scan {
    fn new(limit: ReadLimit, after: Sequence) -> Self {
        Self {
            limit,
            until: Instant::now() + SCAN_TIME_MAX,
            events: Vec::new(),
            bytes: 0,
            looked_at: 0,
            after,
            full: false,
            up_to_date: false,
        }
    }

    fn is_full(&self) -> bool {
        self.full || self.looked_at >= SCAN_EVENTS_MAX || Instant::now() >= self.until
    }

    /// Looks at events in order, as far as there is room for those that match.
    fn take_all(&mut self, events: impl IntoIterator<Item = Arc<FeedEvent>>, selection: &Selection) {
        for event in events {
            if selection.is_all() || selection.matches(&event.recorded) {
                let bytes = self.bytes + event.recorded.event.data.as_bytes().len();
                if !self.events.is_empty() && bytes > self.limit.bytes {
                    self.full = true;
                    return;
                }
                self.bytes = bytes;
                self.after = event.recorded.sequence;
                self.events.push(event);
                if self.events.len() >= self.limit.events {
                    self.full = true;
                    return;
                }
            } else {
                self.after = event.recorded.sequence;
            }
            self.looked_at += 1;
        }
    }

    fn skip_to(&mut self, sequence: Sequence) {
        self.after = sequence;
        self.looked_at += 1;
    }

    /// What to read from the store: no more than can be used, but enough to find something where most do not match.
    fn store_limit(&self, selection: &Selection) -> ReadLimit {
        let wanted = self.limit.events.saturating_sub(self.events.len()).max(1);
        let events = if selection.is_all() { wanted } else { wanted.max(500) };
        let bytes = self.limit.bytes.saturating_sub(self.bytes).max(1);
        ReadLimit { events: events.min(1_000), bytes: if selection.is_all() { bytes } else { bytes.max(1 << 20) } }
    }
}

async fn row(store: &dyn Store, tenant: &TenantId) -> Result<TenantRow, FeedError> {
    store.tenant(tenant).await?.ok_or_else(no_row).map_err(FeedError::Store)
}

fn no_row() -> tidings_store::Error {
    tidings_store::Error::Broken("a tenant that was placed has no row".to_owned())
}

/// The sequence after which a feed begins. A place that cannot be given is an error, never moved.
async fn begin(store: &dyn Store, row: &TenantRow, start: FeedStart) -> Result<Sequence, FeedError> {
    let after = match start {
        FeedStart::Start => row.floor,
        FeedStart::Now => row.head,
        FeedStart::After(sequence) => sequence,
        FeedStart::Time(moment) => store.sequence_before(row.no, moment).await?,
    };
    if after > row.head && matches!(start, FeedStart::After(_)) {
        Err(FeedError::Rewound)
    } else if after < row.floor {
        Err(FeedError::Expired { oldest: row.floor.next() })
    } else {
        Ok(after)
    }
}

/// The selection's types as the store's index can be asked for them; empty when it cannot.
pub(crate) fn type_filters(selection: &Selection) -> Vec<TypeFilter> {
    let hints: Vec<TypeFilter> = selection
        .type_hints()
        .into_iter()
        .map(|hint| match hint {
            TypeHint::Exact(event_type) => TypeFilter::Exact(event_type),
            TypeHint::Prefix(prefix) => TypeFilter::Prefix(prefix),
        })
        .collect();
    if hints.len() > INDEX_TYPES_MAX { Vec::new() } else { hints }
}
