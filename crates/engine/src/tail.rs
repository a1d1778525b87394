//! The tail: what is new, in memory, and who waits for it.
//!
//! The appender hands over what it has committed. Where that does not follow what is known, because another node
//! appended in between, the hole is read from the log. One poller asks for the heads of all partitions, so that
//! nothing depends on a hand-over and an idle reader costs nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{counter, gauge};
use parking_lot::{Mutex, RwLock};
use tidings_core::pace::{Bounds, Pace};
use tidings_event::{PartitionId, Position, Recorded, Revision, Sequence, TenantId, TenantNo};
use tidings_store::{Appended, Backend, Head, ReadLimit, Result, Store};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::metrics as names;
use crate::options::TailOptions;
use crate::places::Place;
use crate::ring::{FeedEvent, Pool, Ring};

/// How much one read of a hole takes.
const FILL: ReadLimit = ReadLimit { events: 1_000, bytes: 4 * 1024 * 1024 };

/// A partition in which nothing happens for so long gives back the memory that it borrowed.
const QUIET: Duration = Duration::from_secs(10);

/// What is known of a tenant's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tip {
    /// The last sequence that passed through memory.
    pub(crate) sequence: Sequence,
    /// Counts how often the log was found shorter than it had been; readers then check where they stand.
    pub(crate) resets: u64,
}

/// What is known of a partition's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mark {
    /// The last position that passed through memory.
    pub(crate) end: Position,
    /// The newest revision of its subscriptions that is known of.
    pub(crate) revision: Revision,
    /// Counts how often the log was found shorter than it had been.
    pub(crate) resets: u64,
}

/// A piece of a partition, and what its router must know before it routes it.
#[derive(Debug)]
pub(crate) struct Stretch {
    /// Events that follow the position asked for, in order.
    pub(crate) events: Vec<Arc<FeedEvent>>,
    /// Covers every change of subscriptions that was made before the last of the events was appended.
    pub(crate) revision: Revision,
    /// Counts how often the log was found shorter than it had been.
    pub(crate) resets: u64,
}

/// The newest events of all partitions.
pub(crate) struct Tail {
    store: Arc<dyn Store>,
    partitions: Vec<Partition>,
    /// Readers of tenants that have no place yet, woken by the tenant's first event.
    newcomers: Mutex<HashMap<TenantId, watch::Sender<()>>>,
    resets: AtomicU64,
}

struct Partition {
    state: RwLock<State>,
    /// Wakes the partition's router.
    mark: watch::Sender<Mark>,
    /// There are positions beyond the ring's end.
    behind: Notify,
}

struct State {
    ring: Ring,
    /// Never below the revision of any event in the ring.
    revision: Revision,
    resets: u64,
    watches: HashMap<TenantNo, watch::Sender<Tip>>,
}

impl Tail {
    /// Begins at the log's present end.
    pub(crate) async fn open(store: Arc<dyn Store>, options: &TailOptions) -> Result<Arc<Self>> {
        let heads = store.heads().await?;
        // Half of the memory belongs to the partitions in equal parts, the other half to those that are busy.
        let shared = if heads.len() > 1 { options.ring_bytes / 2 } else { 0 };
        let bytes_max = (options.ring_bytes - shared) / heads.len().max(1);
        let pool = Pool::new(shared);
        let partitions = heads
            .into_iter()
            .map(|head| Partition {
                state: RwLock::new(State {
                    ring: Ring::new(head.position, bytes_max, pool.clone()),
                    revision: head.revision,
                    resets: 0,
                    watches: HashMap::new(),
                }),
                mark: watch::Sender::new(Mark { end: head.position, revision: head.revision, resets: 0 }),
                behind: Notify::new(),
            })
            .collect();
        Ok(Arc::new(Self { store, partitions, newcomers: Mutex::default(), resets: AtomicU64::new(0) }))
    }

    /// Starts the poller and one filler for each partition; they end with the token.
    pub(crate) fn start(self: &Arc<Self>, options: &TailOptions, ending: &CancellationToken) -> Vec<JoinHandle<()>> {
        let bounds = options.poll.unwrap_or_else(|| default_poll(self.store.backend()));
        let mut tasks = vec![tokio::spawn({
            let (tail, ending) = (self.clone(), ending.clone());
            async move {
                let _ended = ending.run_until_cancelled(tail.poll(bounds)).await;
            }
        })];
        for partition in 0..self.store.log().partitions {
            let (tail, ending) = (self.clone(), ending.clone());
            tasks.push(tokio::spawn(async move {
                let _ended = ending.run_until_cancelled(tail.fill(PartitionId(partition))).await;
            }));
        }
        tasks
    }

    /// Hands over what appends within another transaction have written.
    pub(crate) fn publish_all(&self, appended: Vec<Appended>) {
        for Appended { partition, plan, revision } in appended {
            self.publish(partition, plan.rows, revision);
        }
    }

    /// Hands over rows that were committed, in order of position, with the partition's revision under which they were
    /// written or a later one.
    pub(crate) fn publish(&self, id: PartitionId, rows: Vec<Recorded>, revision: Revision) {
        let Some(partition) = self.partition(id) else { return };
        let Some(first) = rows.first().map(|row| row.position) else { return self.note(id, revision) };
        let events: Vec<Arc<FeedEvent>> = rows.into_iter().map(|row| Arc::new(FeedEvent::new(row))).collect();
        let mut wakes = Vec::new();
        {
            let mut state = partition.state.write();
            state.revision = state.revision.max(revision);
            if first > state.ring.end().next() {
                drop(state);
                partition.behind.notify_one();
                return;
            }
            for (index, event) in events.iter().enumerate() {
                let tenant = event.recorded.tenant_no;
                let last_of_run = events.get(index + 1).is_none_or(|next| next.recorded.tenant_no != tenant);
                if last_of_run && let Some(watch) = state.watches.get(&tenant) {
                    wakes.push((watch.clone(), event.recorded.sequence));
                }
                state.ring.push(event.clone());
            }
            partition.tell(&state);
        }
        for (watch, sequence) in wakes {
            watch.send_if_modified(|tip| {
                let newer = sequence > tip.sequence;
                tip.sequence = tip.sequence.max(sequence);
                newer
            });
        }
        self.wake_newcomers(&events);
    }

    fn wake_newcomers(&self, events: &[Arc<FeedEvent>]) {
        for event in events.iter().filter(|event| event.recorded.sequence == Sequence(1)) {
            if let Some(watch) = self.newcomers.lock().get(&event.recorded.event.tenant) {
                watch.send_replace(());
            }
        }
    }

    /// Takes note that a partition's subscriptions were changed.
    pub(crate) fn note(&self, id: PartitionId, revision: Revision) {
        let Some(partition) = self.partition(id) else { return };
        let mut state = partition.state.write();
        if revision > state.revision {
            state.revision = revision;
            partition.tell(&state);
        }
    }

    /// Up to `limit` events of a partition that follow a position, from memory; none of them when memory does not hold
    /// the very next.
    pub(crate) fn after(&self, id: PartitionId, position: Position, limit: usize) -> Stretch {
        match self.partition(id) {
            Some(partition) => {
                let state = partition.state.read();
                let events = state.ring.after(position, limit);
                Stretch { events, revision: state.revision, resets: state.resets }
            }
            None => Stretch { events: Vec::new(), revision: Revision::default(), resets: 0 },
        }
    }

    /// Watches a partition's end. Whatever is committed or changed after this call changes the watch.
    pub(crate) fn mark(&self, id: PartitionId) -> Option<watch::Receiver<Mark>> {
        Some(self.partition(id)?.mark.subscribe())
    }

    /// Has the partition's filler look for rows that memory does not know.
    pub(crate) fn look(&self, id: PartitionId) {
        if let Some(partition) = self.partition(id) {
            partition.behind.notify_one();
        }
    }

    /// Up to `limit` events of a tenant that follow a sequence, from memory; none when memory does not hold the next.
    pub(crate) fn read(&self, place: Place, after: Sequence, limit: usize) -> Vec<Arc<FeedEvent>> {
        match self.partition(place.partition) {
            Some(partition) => partition.state.read().ring.read(place.no, after, limit),
            None => Vec::new(),
        }
    }

    /// The newest sequence of a tenant in memory, if there is any.
    pub(crate) fn last(&self, place: Place) -> Option<Sequence> {
        self.partition(place.partition)?.state.read().ring.last(place.no)
    }

    /// Up to `limit` events of a tenant that follow a sequence, from memory, and whether the last of them is the
    /// tenant's last; nothing when memory does not hold the next, or may not reach as far as `position`.
    pub(crate) fn read_to_end(
        &self,
        place: Place,
        after: Sequence,
        limit: usize,
        position: Position,
    ) -> Option<(Vec<Arc<FeedEvent>>, bool)> {
        let state = self.partition(place.partition)?.state.read();
        let last = state.ring.last(place.no).filter(|_| state.ring.end() >= position)?;
        if after >= last {
            return Some((Vec::new(), true));
        }
        let events = state.ring.read(place.no, after, limit);
        let at_end = events.last()?.recorded.sequence == last;
        Some((events, at_end))
    }

    /// Watches a tenant's end. Whatever is committed after this call changes the watch.
    pub(crate) fn watch(self: &Arc<Self>, place: Place) -> Watch<Tip> {
        let receiver = self.partition(place.partition).map(|partition| {
            let mut state = partition.state.write();
            let sequence = state.ring.last(place.no).unwrap_or_default();
            let resets = self.resets.load(Ordering::Acquire);
            state.watches.entry(place.no).or_insert_with(|| watch::Sender::new(Tip { sequence, resets })).subscribe()
        });
        Watch { tail: self.clone(), key: Key::Tenant(place), receiver }
    }

    /// Watches for the first event of a tenant that has no place yet.
    pub(crate) fn watch_newcomer(self: &Arc<Self>, tenant: &TenantId) -> Watch<()> {
        let mut newcomers = self.newcomers.lock();
        let receiver = newcomers.entry(tenant.clone()).or_insert_with(|| watch::Sender::new(())).subscribe();
        drop(newcomers);
        Watch { tail: self.clone(), key: Key::Newcomer(tenant.clone()), receiver: Some(receiver) }
    }

    /// Forgets a watch that nobody holds any more.
    fn unwatch(&self, key: &Key) {
        match key {
            Key::Tenant(place) => {
                let Some(partition) = self.partition(place.partition) else { return };
                let mut state = partition.state.write();
                if state.watches.get(&place.no).is_some_and(|watch| watch.receiver_count() == 0) {
                    state.watches.remove(&place.no);
                }
            }
            Key::Newcomer(tenant) => {
                let mut newcomers = self.newcomers.lock();
                if newcomers.get(tenant).is_some_and(|watch| watch.receiver_count() == 0) {
                    newcomers.remove(tenant);
                }
            }
        }
    }

    fn partition(&self, id: PartitionId) -> Option<&Partition> {
        self.partitions.get(id.0 as usize)
    }

    fn ends(&self) -> Vec<Position> {
        self.partitions.iter().map(|partition| partition.state.read().ring.end()).collect()
    }

    /// Compares the log's heads with what memory holds, again and again.
    async fn poll(&self, bounds: Bounds) {
        let mut pace = Pace::new(bounds);
        let mut failures = Pace::new(Bounds::FAILURE);
        let mut failing = false;
        let mut delay = bounds.busy;
        let mut looked = (Instant::now(), self.ends());
        loop {
            tokio::time::sleep(delay).await;
            // Taken before the heads are asked for: a head below this end means that the log itself became shorter.
            let ends = self.ends();
            if looked.0.elapsed() >= QUIET {
                self.give_back(&looked.1, &ends);
                looked = (Instant::now(), ends.clone());
            }
            match self.store.heads().await {
                Ok(heads) => {
                    if std::mem::take(&mut failing) {
                        failures.reset();
                        tracing::info!("the log can be read again");
                    }
                    delay = pace.found(self.compare(&ends, &heads));
                }
                Err(error) => {
                    counter!(names::TAIL_FAILED).increment(1);
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(%error, "the log's heads cannot be read");
                    }
                    delay = failures.found(0);
                }
            }
        }
    }

    /// Has partitions in which nothing happened between two looks give back what they borrowed.
    fn give_back(&self, before: &[Position], after: &[Position]) {
        for (partition, _) in
            self.partitions.iter().zip(before.iter().zip(after)).filter(|(_, (then, now))| then == now)
        {
            if partition.state.read().ring.has_borrowed() {
                partition.state.write().ring.give_back();
            }
        }
    }

    /// Sends fillers to where the log is ahead; returns in how many partitions it is.
    fn compare(&self, ends: &[Position], heads: &[Head]) -> usize {
        let mut ahead = 0;
        let mut lag = 0;
        for ((partition, end), head) in self.partitions.iter().zip(ends).zip(heads) {
            if head.position < *end {
                self.reset(partition, *head);
                continue;
            }
            let mut state = partition.state.write();
            if head.revision > state.revision {
                state.revision = head.revision;
                partition.tell(&state);
            }
            drop(state);
            let missing = head.position.get().saturating_sub(partition.state.read().ring.end().get());
            if missing > 0 {
                ahead += 1;
                lag += missing;
                partition.behind.notify_one();
            }
        }
        gauge!(names::TAIL_LAG).set(u32::try_from(lag).map_or(f64::INFINITY, f64::from));
        ahead
    }

    /// The log lost rows that it had acknowledged (a failover to a replica that was behind): memory begins anew, and
    /// every reader checks where it stands.
    fn reset(&self, partition: &Partition, head: Head) {
        tracing::error!(head = %head.position, "the log is shorter than it was: acknowledged events were lost by the database");
        let resets = self.resets.fetch_add(1, Ordering::AcqRel) + 1;
        let mut state = partition.state.write();
        state.ring.clear(head.position);
        (state.revision, state.resets) = (head.revision, resets);
        partition.tell(&state);
        for watch in state.watches.values() {
            watch.send_replace(Tip { sequence: Sequence(0), resets });
        }
    }

    /// Reads what the ring lacks, whenever there is a sign of it.
    async fn fill(&self, id: PartitionId) {
        let Some(partition) = self.partition(id) else { return };
        let mut failures = Pace::new(Bounds::FAILURE);
        loop {
            partition.behind.notified().await;
            loop {
                let end = partition.state.read().ring.end();
                match self.store.tail(id, end, FILL).await {
                    Ok(slice) if slice.events.is_empty() => {
                        self.note(id, slice.revision);
                        break;
                    }
                    Ok(slice) => {
                        counter!(names::TAIL_FILLED).increment(slice.events.len() as u64);
                        self.publish(id, slice.events, slice.revision);
                        if partition.state.read().ring.end() > end {
                            failures.reset();
                            continue;
                        }
                        tracing::error!(partition = %id, after = %end, "the log has a hole");
                        tokio::time::sleep(failures.found(0)).await;
                    }
                    Err(error) => {
                        counter!(names::TAIL_FAILED).increment(1);
                        tracing::debug!(partition = %id, %error, "the tail cannot be read");
                        tokio::time::sleep(failures.found(0)).await;
                    }
                }
            }
        }
    }
}

impl Partition {
    /// Tells the router where the partition stands. Called with the state locked, so that what is told never goes back.
    fn tell(&self, state: &State) {
        let mark = Mark { end: state.ring.end(), revision: state.revision, resets: state.resets };
        self.mark.send_if_modified(|told| std::mem::replace(told, mark) != mark);
    }
}

fn default_poll(backend: Backend) -> Bounds {
    match backend {
        Backend::Sqlite => {
            Bounds { busy: Duration::from_secs(1), linger: Duration::ZERO, idle: Duration::from_secs(1) }
        }
        Backend::Postgres => {
            Bounds { busy: Duration::from_millis(5), linger: Duration::ZERO, idle: Duration::from_millis(50) }
        }
    }
}

enum Key {
    Tenant(Place),
    Newcomer(TenantId),
}

/// A reader's ear on the tail; the last one of a tenant takes the tenant's wake-ups with it.
pub(crate) struct Watch<T> {
    tail: Arc<Tail>,
    key: Key,
    /// Empty only where there is nothing to hear.
    receiver: Option<watch::Receiver<T>>,
}

impl<T: Copy + Default> Watch<T> {
    /// The present value; [`Self::changed`] waits for the next one after it.
    pub(crate) fn look(&mut self) -> T {
        self.receiver.as_mut().map_or_else(T::default, |receiver| *receiver.borrow_and_update())
    }

    /// Waits until there is a value that was not looked at. Safe to drop.
    pub(crate) async fn changed(&mut self) {
        if let Some(receiver) = &mut self.receiver
            && receiver.changed().await.is_ok()
        {
            return;
        }
        // A sender lives as long as a receiver does, so this is reached only where there is nothing to hear.
        std::future::pending::<()>().await;
    }
}

impl<T> Drop for Watch<T> {
    fn drop(&mut self) {
        self.receiver = None;
        self.tail.unwatch(&self.key);
    }
}
