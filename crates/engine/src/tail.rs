//! The tail: what is new, in memory, and who waits for it.
//!
//! The appender hands over what it has committed. Where that does not follow what is known, because another node
//! appended in between, the hole is read from the log. What others append is also heard on the bus, where there is one:
//! only events that follow are taken from it, anything else is read from the log. One poller asks for the heads of all
//! partitions ([`poll`]), so that nothing depends on a hand-over or a bus, and an idle reader costs nothing.
//!
//! A database that fails over may come back without events that it had acknowledged, and give their places to others. So
//! whenever there is a sign of that, what memory holds is compared with the log before anything is added to it
//! ([`fill`]); where the two differ memory begins anew, and with it all that go by it.

mod ahead;
mod fill;
mod poll;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use metrics::counter;
use parking_lot::{Mutex, RwLock};
use tidings_bus::{Bus, Heard, Poke};
use tidings_event::{PartitionId, Position, Recorded, Revision, Sequence, TenantId, TenantNo};
use tidings_store::{Appended, Error, Head, LeaseRole, Result, ShardNo, Slot, Store};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::bus::Pokes;
use crate::metrics as names;
use crate::options::TailOptions;
use crate::places::{Place, Places};
use crate::ring::{FeedEvent, Pool, Ring};
use crate::watch;
use ahead::Ahead;
use poll::Paces;

/// For how many times as long as a look at the log took it is not looked at again: a busy partition is read in large
/// pieces then, and a database that is slow to answer is not asked more often for that.
const REST: u32 = 4;

/// What is known of a tenant's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tip {
    /// The last sequence that passed through memory.
    pub(crate) sequence: Sequence,
    /// Counts how often the log was found shorter than it had been; readers then check where they stand.
    pub(crate) resets: u64,
    /// Counts how often a tenant moved away from the partition or to it; readers then ask where theirs lives.
    pub(crate) moves: u64,
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

/// How soon events that others appended are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// They are to be published here.
    Now,
    /// They are to be routed here.
    Soon,
    /// Readers may wait for them.
    Later,
}

/// That a partition is published from this node, for as long as this lives.
pub(crate) struct PublishedHere {
    tail: Arc<Tail>,
    id: PartitionId,
}

impl Drop for PublishedHere {
    fn drop(&mut self) {
        if let Some(partition) = self.tail.partition(self.id) {
            partition.publishers.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// The newest events of all partitions.
pub(crate) struct Tail {
    store: Arc<dyn Store>,
    /// Where there is one.
    bus: Option<Arc<dyn Bus>>,
    pokes: Arc<Pokes>,
    places: Arc<Places>,
    partitions: Vec<Partition>,
    /// Readers of tenants that have no place yet, woken by the tenant's first event.
    newcomers: Mutex<HashMap<TenantId, watch::Sender<()>>>,
    resets: AtomicU64,
    /// By how many positions memory lags behind the log, in each of its databases.
    lags: Vec<AtomicU64>,
}

struct Partition {
    state: RwLock<State>,
    /// Wakes the partition's router.
    mark: watch::Sender<Mark>,
    /// There are positions beyond the ring's end.
    behind: Notify,
    /// Memory was found to agree with the log, or has begun anew.
    agreed: Notify,
    /// Somebody on this node began to want the partition's events.
    wanted: Notify,
    /// Publishers of this node.
    publishers: AtomicUsize,
}

struct State {
    ring: Ring,
    /// Never below the revision of any event in the ring.
    revision: Revision,
    resets: u64,
    moves: u64,
    /// Whether the partition's end was ever known; it is not while its database was not heard from.
    is_known: bool,
    /// Whether the log may say something else than memory does. Until they were compared, nothing is added to memory.
    in_doubt: bool,
    /// What was committed here beyond the ring's end.
    ahead: Ahead,
    watches: HashMap<TenantNo, watch::Sender<Tip>>,
}

impl Tail {
    /// Begins at the log's present end.
    pub(crate) async fn open(
        store: Arc<dyn Store>,
        bus: Option<Arc<dyn Bus>>,
        pokes: Arc<Pokes>,
        places: Arc<Places>,
        options: &TailOptions,
    ) -> Result<Arc<Self>> {
        let heads = heads(&store).await?;
        // Half of the memory belongs to the partitions in equal parts, the other half to those that are busy.
        let shared = if heads.len() > 1 { options.ring_bytes / 2 } else { 0 };
        let bytes_max = (options.ring_bytes - shared) / heads.len().max(1);
        let pool = Pool::new(shared);
        let partitions = heads
            .into_iter()
            .map(|found| (found.is_some(), found.unwrap_or_default()))
            .map(|(is_known, head)| Partition {
                state: RwLock::new(State {
                    ring: Ring::new(head.position, bytes_max, pool.clone()),
                    revision: head.revision,
                    resets: 0,
                    moves: head.moves,
                    is_known,
                    in_doubt: false,
                    ahead: Ahead::default(),
                    watches: HashMap::new(),
                }),
                mark: watch::Sender::new(Mark { end: head.position, revision: head.revision, resets: 0 }),
                behind: Notify::new(),
                agreed: Notify::new(),
                wanted: Notify::new(),
                publishers: AtomicUsize::new(0),
            })
            .collect();
        let lags = (0..store.shards().max(1)).map(|_| AtomicU64::new(0)).collect();
        Ok(Arc::new(Self {
            store,
            bus,
            pokes,
            places,
            partitions,
            newcomers: Mutex::default(),
            resets: AtomicU64::new(0),
            lags,
        }))
    }

    /// Starts the poller and one filler for each partition; they end with the token.
    pub(crate) fn start(self: &Arc<Self>, options: &TailOptions, ending: &CancellationToken) -> Vec<JoinHandle<()>> {
        let paces = Paces::of(options, self.store.backend());
        // One for each database, so that one that is down holds up no other.
        let mut tasks: Vec<JoinHandle<()>> = (0..self.store.shards().max(1))
            .map(|shard| {
                let (tail, ending) = (self.clone(), ending.clone());
                tokio::spawn(async move {
                    let _ended = ending.run_until_cancelled(tail.poll(ShardNo(shard), paces)).await;
                })
            })
            .collect();
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

    /// Hands over rows that were committed here, in order of position, with the partition's revision under which they
    /// were written or a later one, and hints at them to others.
    pub(crate) fn publish(&self, id: PartitionId, rows: Vec<Recorded>, revision: Revision) {
        let Some(last) = rows.last().map(|row| row.position) else { return self.note(id, revision) };
        self.take(id, rows, revision, None);
        self.pokes.note(Poke::Partition(id, last));
    }

    /// Takes what was heard on the bus as far as it follows; what is missing in between is read from the log.
    pub(crate) fn hear(&self, id: PartitionId, heard: Heard) {
        let Some(partition) = self.partition(id) else { return };
        let Heard { mut events, revision } = heard;
        counter!(names::BUS_HEARD).increment(events.len() as u64);
        let end = {
            let state = partition.state.read();
            if events.iter().any(|event| state.ring.contradicts(event)) {
                drop(state);
                return partition.doubt();
            }
            state.ring.end()
        };
        let furthest = events.iter().map(|event| event.position).max().unwrap_or_default();
        let mut next = end.next();
        events.retain(|event| {
            let follows = event.position == next;
            if follows {
                next = next.next();
            }
            follows
        });
        if !events.is_empty() {
            self.take(id, events, revision, None);
        }
        if furthest > partition.state.read().ring.end() {
            counter!(names::BUS_HOLES).increment(1);
            partition.behind.notify_one();
        }
    }

    /// How soon this node needs a partition's events up to a position; not at all where it has them or wants none.
    pub(crate) fn urgency(&self, id: PartitionId, position: Position) -> Option<Urgency> {
        let partition = self.partition(id)?;
        let state = partition.state.read();
        if state.ring.end() >= position || !self.is_wanted(partition, &state) {
            return None;
        }
        Some(if partition.publishers.load(Ordering::Acquire) > 0 {
            Urgency::Now
        } else if partition.mark.receiver_count() > 0 {
            Urgency::Soon
        } else {
            Urgency::Later
        })
    }

    /// Notes that a partition is published from this node.
    pub(crate) fn publishing(self: &Arc<Self>, id: PartitionId) -> PublishedHere {
        if let Some(partition) = self.partition(id) {
            partition.publishers.fetch_add(1, Ordering::AcqRel);
        }
        PublishedHere { tail: self.clone(), id }
    }

    /// Takes rows of the log, in order of position, without a gap between them; where it is said after how many resets
    /// they were asked for, only if there was none since.
    fn take(&self, id: PartitionId, rows: Vec<Recorded>, revision: Revision, asked_after: Option<u64>) {
        let Some(partition) = self.partition(id) else { return };
        let Some(first) = rows.first().map(|row| row.position) else { return self.learn(id, revision) };
        let mut events: Vec<Arc<FeedEvent>> = rows.into_iter().map(|row| Arc::new(FeedEvent::new(row))).collect();
        let mut wakes = Vec::new();
        {
            let mut state = partition.state.write();
            if !state.is_known {
                // The poller finds the end soon.
                return;
            }
            if asked_after.is_some_and(|resets| resets != state.resets) {
                return;
            }
            if state.in_doubt || events.iter().any(|event| state.ring.contradicts(&event.recorded)) {
                drop(state);
                return partition.doubt();
            }
            state.revision = state.revision.max(revision);
            if first > state.ring.end().next() {
                if self.is_wanted(partition, &state) {
                    state.ahead.keep(events);
                    drop(state);
                    partition.behind.notify_one();
                    return;
                }
                state.ring.clear(Position(first.get() - 1));
            }
            let last = Position(first.get() + events.len() as u64 - 1);
            let end = last.max(state.ring.end());
            events.extend(state.ahead.follow(end));
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

    /// Takes note that a partition's subscriptions were changed here, and hints at it to others.
    pub(crate) fn note(&self, id: PartitionId, revision: Revision) {
        self.learn(id, revision);
        self.pokes.note(Poke::Subscriptions(id));
    }

    fn learn(&self, id: PartitionId, revision: Revision) {
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
        let partition = self.partition(id)?;
        let mark = partition.mark.subscribe();
        partition.want();
        Some(mark)
    }

    /// Whether anybody on this node reads the partition's newest events: its router, its publisher, a live reader of one
    /// of its tenants. What others append to a partition that nobody here reads is not brought into memory; whoever
    /// comes later begins where memory does, or in the log.
    fn is_wanted(&self, partition: &Partition, state: &State) -> bool {
        partition.mark.receiver_count() > 0 || !state.watches.is_empty() || !self.newcomers.lock().is_empty()
    }

    /// Whether anybody on this node reads the partition's newest events.
    pub(crate) fn wants(&self, id: PartitionId) -> bool {
        self.partition(id).is_some_and(|partition| self.is_wanted(partition, &partition.state.read()))
    }

    /// Waits until somebody on this node reads the partition's newest events.
    pub(crate) async fn wanted(&self, id: PartitionId) {
        while !self.wants(id) {
            match self.partition(id) {
                Some(partition) => partition.wanted.notified().await,
                None => std::future::pending().await,
            }
        }
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
            let (resets, moves) = (self.resets.load(Ordering::Acquire), state.moves);
            let tip = Tip { sequence, resets, moves };
            let receiver = state.watches.entry(place.no).or_insert_with(|| watch::Sender::new(tip)).subscribe();
            if state.watches.len() == 1 {
                partition.want();
            }
            receiver
        });
        Watch { tail: self.clone(), key: Key::Tenant(place), receiver }
    }

    /// Watches for the first event of a tenant that has no place yet.
    pub(crate) fn watch_newcomer(self: &Arc<Self>, tenant: &TenantId) -> Watch<()> {
        let mut newcomers = self.newcomers.lock();
        let receiver = newcomers.entry(tenant.clone()).or_insert_with(|| watch::Sender::new(())).subscribe();
        if newcomers.len() == 1 {
            self.partitions.iter().for_each(Partition::want);
        }
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

    /// Forgets the events of a partition that are in memory, but not where it ends.
    pub(crate) fn forget(&self, id: PartitionId) {
        if let Some(partition) = self.partition(id) {
            let mut state = partition.state.write();
            let end = state.ring.end();
            state.ring.clear(end);
        }
    }
}

impl Partition {
    /// Has memory compared with the log before anything is added to it.
    fn doubt(&self) {
        {
            let mut state = self.state.write();
            state.in_doubt = true;
            state.ahead.clear();
        }
        self.behind.notify_one();
    }

    /// Brings in what was left out while nobody wanted it.
    fn want(&self) {
        self.wanted.notify_one();
        self.behind.notify_one();
    }

    /// Tells the router where the partition stands. Called with the state locked, so that what is told never goes back.
    fn tell(&self, state: &State) {
        let mark = Mark { end: state.ring.end(), revision: state.revision, resets: state.resets };
        self.mark.send_if_modified(|told| std::mem::replace(told, mark) != mark);
    }
}

/// The head of each partition, in order; none of those whose database does not answer. Home must.
async fn heads(store: &Arc<dyn Store>) -> Result<Vec<Option<Head>>> {
    let mut heads = vec![None; store.log().partitions as usize];
    for shard in 0..store.shards().max(1) {
        match store.heads_of(ShardNo(shard)).await {
            Ok(found) => {
                for (id, head) in found {
                    if let Some(slot) = heads.get_mut(id.0 as usize) {
                        *slot = Some(head);
                    }
                }
            }
            Err(error) if shard == 0 => return Err(error),
            Err(error) => tracing::warn!(shard, %error, "the heads of one of the log's databases cannot be read yet"),
        }
    }
    Ok(heads)
}

/// The head of one partition, asked of its own database alone: another that is down does not matter.
pub(crate) async fn head(store: &dyn Store, partition: PartitionId) -> Result<Head> {
    let shard = store.shard_of(LeaseRole::Router, &Slot::partition(partition));
    let found = store.heads_of(shard).await?.into_iter().find(|(id, _)| *id == partition);
    found.map(|(_, head)| head).ok_or_else(|| Error::Broken(format!("there is no partition {partition}")))
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
