//! The materializer: the one way into the log.
//!
//! Each partition has one appender task behind a bounded queue. While a commit is under way the queue fills; the next
//! commit takes all of it, up to a cap. So commits grow with the load by themselves and nobody waits on purpose.
//! Salts and hashes are made by the callers, in parallel, before anything is queued.

mod each;
mod traced;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use metrics::{Histogram, counter, gauge, histogram};
use parking_lot::Mutex;
use tidings_core::append::{self as decision, Guard, Prepared, Request};
use tidings_event::log::{Mark, Receipt, Verdict};
use tidings_event::{Event, PartitionId, Salt, Sequence, TenantId, TenantNo, Violation, hash_data};
use tidings_store::{Appended, Decide, Store};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::catalog::{Observed, count_violation};
use crate::options::AppendOptions;
use crate::places::{Place, Places};
use crate::queue::{Item, Queue, Refusal, Size};
use crate::tail::Tail;
use crate::trace::Tracer;
use crate::{AppendError, metrics as names};

use traced::{tell, traced};

/// What an envelope takes in memory beside its `data`, about.
const ENVELOPE_BYTES: usize = 512;

/// The handle by which everything enters the log. Cheap to clone.
#[derive(Clone)]
pub struct Appender {
    places: Arc<Places>,
    queues: Arc<[Queue]>,
    tracer: Tracer,
}

impl Appender {
    /// Starts one appender task for each partition; they end when the handle is closed and their queues are empty.
    pub(crate) fn start(
        store: &Arc<dyn Store>,
        places: Arc<Places>,
        tail: &Arc<Tail>,
        observed: &Arc<Observed>,
        options: &AppendOptions,
        tracer: &Tracer,
    ) -> (Self, Vec<JoinHandle<()>>) {
        let partitions = store.log().partitions;
        let queues: Arc<[Queue]> = (0..partitions).map(|_| Queue::new(options)).collect();
        let tasks = (0..partitions)
            .map(|partition| {
                let task = Committer {
                    store: store.clone(),
                    tail: tail.clone(),
                    observed: observed.clone(),
                    queues: queues.clone(),
                    places: places.clone(),
                    partition: PartitionId(partition),
                    tracer: tracer.clone(),
                    seconds: histogram!(names::APPEND_SECONDS),
                    failing: false,
                };
                tokio::spawn(task.run())
            })
            .collect();
        (Self { places, queues, tracer: tracer.clone() }, tasks)
    }

    /// Appends events in the order given and returns where each of them stands, once that is durable. All events of
    /// a tenant are written, or none. Nothing is lost or repeated by dropping the future or by sending the same
    /// events again. The catalog is not asked: that is for Tidings' own events, and for tests.
    pub async fn append(&self, events: Vec<Event>) -> Result<Vec<Receipt>, AppendError> {
        self.append_judged(events.into_iter().map(Judged::from).collect()).await
    }

    /// The same for events on which the catalog has something to say.
    pub(crate) async fn append_judged(&self, events: Vec<Judged>) -> Result<Vec<Receipt>, AppendError> {
        let Some(Judged { event: first, .. }) = events.first() else { return Ok(Vec::new()) };
        if events.iter().any(|judged| judged.event.tenant != first.tenant) {
            return self.append_to_many(events).await;
        }
        let place = self.places.of(&first.tenant).await?;
        let size = size(&events);
        let queue = self.queue(place.partition)?;
        queue.reserve(place.no, size).map_err(turned_away)?;
        let events = events.into_iter().map(|event| prepare(event, place.no)).collect();
        let answer = self.fill(queue, place.no, vec![Request { events }], size, false);
        match settled(answer).await?.pop() {
            Some(Verdict::Appended(receipts)) => Ok(receipts),
            Some(Verdict::Conflict(indexes)) => Err(AppendError::Conflict { indexes }),
            Some(Verdict::Refused(violations)) => Err(AppendError::Rejected { violations }),
            None => Err(lost()),
        }
    }

    /// What records the way of single events.
    pub(crate) fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    /// Events that wait for a commit, in all partitions.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queues.iter().map(Queue::waiting).sum()
    }

    /// Takes nothing in any more. What was taken in is still written.
    pub(crate) fn close(&self) {
        self.queues.iter().for_each(Queue::close);
    }

    /// Splits a call into one request for each tenant, queues them, and joins the answers.
    async fn append_to_many(&self, events: Vec<Judged>) -> Result<Vec<Receipt>, AppendError> {
        let count = events.len();
        let places = self.places_of(&events).await?;
        let parts = split(events, &places)?;
        self.reserve_all(&parts)?;
        let mut answers = Vec::with_capacity(parts.len());
        for ((partition, tenant), part) in parts {
            let queue = self.queue(partition)?;
            answers.push((part.indexes, self.fill(queue, tenant, part.requests, part.size, false)));
        }
        join(count, answers).await
    }

    /// Queues requests for which there is room.
    fn fill(&self, queue: &Queue, tenant: TenantNo, requests: Vec<Request>, size: Size, pumped: bool) -> Answer {
        let (reply, answer) = oneshot::channel();
        let traced = if self.tracer.is_on() { traced(&self.tracer, &requests, pumped) } else { None };
        queue.fill(Item { tenant, requests, size, since: Instant::now(), traced, reply });
        answer
    }

    /// Room for all parts, or for none of them.
    fn reserve_all(&self, parts: &Parts) -> Result<(), AppendError> {
        let mut reserved: Vec<(&Queue, TenantNo, Size)> = Vec::with_capacity(parts.len());
        for ((partition, tenant), part) in parts {
            let answer = self.queue(*partition).and_then(|queue| {
                queue.reserve(*tenant, part.size).map_err(turned_away)?;
                Ok(queue)
            });
            match answer {
                Ok(queue) => reserved.push((queue, *tenant, part.size)),
                Err(error) => {
                    reserved.into_iter().for_each(|(queue, tenant, size)| queue.release(tenant, size));
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    async fn places_of(&self, events: &[Judged]) -> Result<HashMap<TenantId, Place>, AppendError> {
        let tenants = tenants_of(events);
        let places = self.places.of_all(&tenants).await?;
        Ok(tenants.into_iter().zip(places).collect())
    }

    fn queue(&self, partition: PartitionId) -> Result<&Queue, AppendError> {
        self.queues.get(partition.0 as usize).ok_or_else(|| {
            let reason = format!("a tenant lives in partition {partition}, which this log does not have");
            AppendError::Store(tidings_store::Error::Unusable(reason))
        })
    }
}

/// The event's id is taken by other content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the event's id is taken by other content")]
pub struct IdTaken;

/// Why one event of several was not taken.
#[derive(Debug, Clone)]
pub(crate) enum NotTaken {
    /// Its id is taken by other content.
    IdTaken,
    /// It must not follow what its entity's last event said.
    Refused(Vec<Violation>),
    /// Whether it is in the log is not known: its tenant's part of the log failed, has no room or gives no answer. What
    /// it came with was dealt with all the same, and bringing it again is safe.
    Lost(AppendError),
}

/// An event with what the catalog says of it.
#[derive(Debug, Clone)]
pub(crate) struct Judged {
    pub(crate) event: Event,
    /// The rules that it breaks, if it is to be written all the same.
    pub(crate) mark: Option<Arc<[Violation]>>,
    /// What must hold with regard to its entity's last event, if anything.
    pub(crate) guard: Option<Arc<dyn Guard>>,
    /// Whether it is to be put aside where the guard refuses it.
    pub(crate) aside_if_refused: bool,
}

impl From<Event> for Judged {
    fn from(event: Event) -> Self {
        Self { event, mark: None, guard: None, aside_if_refused: false }
    }
}

/// What a call wants, by partition and tenant.
type Parts = BTreeMap<(PartitionId, TenantNo), Part>;

/// What a call wants for one tenant.
#[derive(Default)]
struct Part {
    requests: Vec<Request>,
    /// For each request the places of its events in the call.
    indexes: Vec<Vec<usize>>,
    size: Size,
}

type Answer = oneshot::Receiver<Result<Vec<Verdict>, AppendError>>;

/// One request for each tenant, in the partition where the tenant lives.
fn split(events: Vec<Judged>, places: &HashMap<TenantId, Place>) -> Result<Parts, AppendError> {
    let mut parts = Parts::new();
    for (index, judged) in events.into_iter().enumerate() {
        let place = place_in(places, &judged.event)?;
        let part = parts.entry((place.partition, place.no)).or_insert_with(|| Part {
            requests: vec![Request { events: Vec::new() }],
            indexes: vec![Vec::new()],
            size: Size::default(),
        });
        part.size.events += 1;
        part.size.bytes += weight(&judged.event);
        if let (Some(request), Some(indexes)) = (part.requests.first_mut(), part.indexes.first_mut()) {
            request.events.push(prepare(judged, place.no));
            indexes.push(index);
        }
    }
    Ok(parts)
}

/// Waits for all parts and puts their receipts back into the order of the call. A failed storage outweighs a
/// conflict, since only after a retry the conflicts are known in full; and a conflict outweighs a refusal.
async fn join(count: usize, answers: Vec<(Vec<Vec<usize>>, Answer)>) -> Result<Vec<Receipt>, AppendError> {
    let mut receipts = vec![Receipt { sequence: Sequence(0), duplicate: false }; count];
    let mut conflicts = Vec::new();
    let mut refused = Vec::new();
    let mut failure = None;
    for (indexes, answer) in answers {
        let verdicts = match settled(answer).await {
            Ok(verdicts) => verdicts,
            Err(error) => {
                failure = Some(error);
                continue;
            }
        };
        for (indexes, verdict) in indexes.into_iter().zip(verdicts) {
            match verdict {
                Verdict::Appended(given) => {
                    for (index, receipt) in indexes.into_iter().zip(given) {
                        if let Some(slot) = receipts.get_mut(index) {
                            *slot = receipt;
                        }
                    }
                }
                Verdict::Conflict(local) => {
                    conflicts.extend(local.into_iter().filter_map(|index| indexes.get(index).copied()));
                }
                Verdict::Refused(local) => {
                    let of_call = |(index, violations)| Some((indexes.get(index).copied()?, violations));
                    refused.extend(local.into_iter().filter_map(of_call));
                }
            }
        }
    }
    match failure {
        Some(error) => Err(error),
        None if !conflicts.is_empty() => {
            conflicts.sort_unstable();
            Err(AppendError::Conflict { indexes: conflicts })
        }
        None if !refused.is_empty() => {
            refused.sort_by_key(|(index, _)| *index);
            Err(AppendError::Rejected { violations: refused })
        }
        None => Ok(receipts),
    }
}

fn turned_away(refusal: Refusal) -> AppendError {
    if refusal == Refusal::Full {
        counter!(names::APPENDS_OVERLOADED).increment(1);
    }
    refusal.into()
}

fn place_in(places: &HashMap<TenantId, Place>, event: &Event) -> Result<Place, AppendError> {
    places.get(&event.tenant).copied().ok_or_else(lost)
}

/// The tenants of events, each once.
fn tenants_of(events: &[Judged]) -> Vec<TenantId> {
    let distinct: BTreeSet<&TenantId> = events.iter().map(|judged| &judged.event.tenant).collect();
    distinct.into_iter().cloned().collect()
}

/// What needs no lock is worked out before the lock is taken.
pub(crate) fn prepare(judged: impl Into<Judged>, tenant_no: TenantNo) -> Prepared {
    let Judged { event, mark, guard, .. } = judged.into();
    let salt = Salt(crate::dice::bytes());
    let data_hash = hash_data(&salt, &event.data);
    Prepared { event, tenant_no, salt, data_hash, mark, guard }
}

/// What an event takes in memory, about: what quotas and queues count.
pub(crate) fn weight(event: &Event) -> usize {
    event.data.as_bytes().len() + ENVELOPE_BYTES
}

fn size(events: &[Judged]) -> Size {
    Size { events: events.len(), bytes: events.iter().map(|judged| weight(&judged.event)).sum() }
}

async fn settled(answer: impl Future<Output = <Answer as Future>::Output>) -> Result<Vec<Verdict>, AppendError> {
    answer.await.unwrap_or_else(|_| Err(lost()))
}

/// The appender broke while it held a request: whether that was written is not known.
fn lost() -> AppendError {
    AppendError::Store(tidings_store::Error::Broken("the appender gave no answer".to_owned()))
}

/// The appender task of one partition.
struct Committer {
    store: Arc<dyn Store>,
    tail: Arc<Tail>,
    observed: Arc<Observed>,
    queues: Arc<[Queue]>,
    places: Arc<Places>,
    partition: PartitionId,
    tracer: Tracer,
    seconds: Histogram,
    failing: bool,
}

impl Committer {
    async fn run(mut self) {
        let queues = self.queues.clone();
        let Some(queue) = queues.get(self.partition.0 as usize) else { return };
        while let Some(items) = queue.take().await {
            // A panic must not leave the partition without an appender; its callers are told that the answer is lost.
            if AssertUnwindSafe(self.commit(items)).catch_unwind().await.is_err() {
                tracing::error!(partition = %self.partition, "a commit panicked");
                self.tail.look(self.partition);
            }
            gauge!(names::QUEUE_EVENTS).set(count(queue.waiting()));
            // The callers that were just answered may bring their next event before the next commit is closed.
            tokio::task::yield_now().await;
        }
    }

    async fn commit(&mut self, mut items: Vec<Item>) {
        while !items.is_empty() {
            items = self.commit_here(items).await;
        }
    }

    /// Commits, and settles all that was taken. Where tenants have moved nothing is written: what is theirs goes to where
    /// they live, and the rest is returned.
    async fn commit_here(&mut self, mut items: Vec<Item>) -> Vec<Item> {
        let counts: Vec<usize> = items.iter().map(|item| item.requests.len()).collect();
        let requests: Vec<Request> = items.iter_mut().flat_map(|item| std::mem::take(&mut item.requests)).collect();
        histogram!(names::COMMIT_CALLS).record(count(items.len()));
        let keys = decision::keys(&requests);
        let undecided = Arc::new(Mutex::new(Some(requests)));
        let decide: Decide = Box::new({
            let undecided = undecided.clone();
            move |view| decision::plan(view, undecided.lock().take().unwrap_or_default(), now())
        });
        let began = Instant::now();
        let outcome = self.store.append(self.partition, keys, decide).await;
        histogram!(names::COMMIT_SECONDS).record(began.elapsed());
        let left = undecided.lock().take();
        if let (Err(tidings_store::Error::Moved(elsewhere)), Some(left)) = (&outcome, left) {
            return self.redirect(items, counts, left, &elsewhere.0);
        }
        let mut callers = Vec::with_capacity(items.len());
        let mut traced = Vec::new();
        for (item, requests) in items.into_iter().zip(counts) {
            callers.push(Caller { requests, since: item.since, reply: item.reply });
            traced.extend(item.traced);
        }
        match outcome {
            Ok(appended) => {
                if !traced.is_empty() {
                    tell(&self.tracer, self.partition, &appended.plan.rows, &traced, began.elapsed());
                }
                self.settle(appended, callers);
            }
            Err(error) => self.fail(&error, callers),
        }
        Vec::new()
    }

    /// Sends what belongs to tenants that moved to where they live; returns the rest.
    fn redirect(&self, items: Vec<Item>, counts: Vec<usize>, requests: Vec<Request>, moved: &[TenantNo]) -> Vec<Item> {
        let mut requests = requests.into_iter();
        let mut rest = Vec::with_capacity(items.len());
        for (mut item, count) in items.into_iter().zip(counts) {
            item.requests.extend(requests.by_ref().take(count));
            if moved.contains(&item.tenant) {
                tokio::spawn(forward(self.places.clone(), self.queues.clone(), item));
            } else {
                rest.push(item);
            }
        }
        rest
    }

    /// Readers first, callers second: whoever was answered finds its event on this node's feed.
    fn settle(&mut self, Appended { plan, revision, .. }: Appended, callers: Vec<Caller>) {
        if std::mem::take(&mut self.failing) {
            tracing::info!(partition = %self.partition, "appends succeed again");
        }
        histogram!(names::COMMIT_EVENTS).record(count(plan.rows.len()));
        counter!(names::EVENTS_APPENDED).increment(plan.rows.len() as u64);
        let receipts = plan.verdicts.iter().map(|verdict| match verdict {
            Verdict::Appended(receipts) => receipts.iter().filter(|receipt| receipt.duplicate).count(),
            Verdict::Conflict(_) | Verdict::Refused(_) => 0,
        });
        counter!(names::EVENTS_DUPLICATE).increment(receipts.sum::<usize>() as u64);
        count_marks(&plan.marks);
        self.observed.count(&plan.rows);
        self.tail.publish(self.partition, plan.rows, revision);
        let mut verdicts = plan.verdicts.into_iter();
        for Caller { requests, since, reply } in callers {
            self.seconds.record(since.elapsed());
            // A caller that went away has its events in the log all the same.
            let _gone = reply.send(Ok(verdicts.by_ref().take(requests).collect()));
        }
    }

    /// Everybody in the commit is told. It may have happened all the same, so the tail looks for it.
    fn fail(&mut self, error: &tidings_store::Error, callers: Vec<Caller>) {
        counter!(names::COMMITS_FAILED).increment(1);
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(partition = %self.partition, %error, "an append failed");
        }
        self.tail.look(self.partition);
        for Caller { reply, .. } in callers {
            let _gone = reply.send(Err(AppendError::Store(error.clone())));
        }
    }
}

/// Puts an item where its tenant lives by now; its caller waits for the answer all the while.
async fn forward(places: Arc<Places>, queues: Arc<[Queue]>, item: Item) {
    let tenant =
        item.requests.iter().find_map(|request| request.events.first()).map(|first| first.event.tenant.clone());
    let queue = match tenant {
        Some(tenant) => match places.anew(&tenant).await {
            Ok(place) => queues.get(place.partition.0 as usize).ok_or_else(lost),
            Err(error) => Err(AppendError::Store(error)),
        },
        None => Err(lost()),
    };
    let reserved = match queue {
        Ok(queue) => {
            queue.reserve_when_drained(item.tenant, item.size).await.map(|()| queue).map_err(AppendError::from)
        }
        Err(error) => Err(error),
    };
    match reserved {
        Ok(queue) => queue.fill(item),
        Err(error) => {
            let _gone = item.reply.send(Err(error));
        }
    }
}

/// Counts what was written although it breaks rules of the catalog.
fn count_marks(marks: &[Mark]) {
    if marks.is_empty() {
        return;
    }
    counter!(names::EVENTS_MARKED).increment(marks.len() as u64);
    marks.iter().flat_map(|mark| mark.violations.iter()).for_each(count_violation);
}

/// Who waits for a commit.
struct Caller {
    /// How many requests of the commit are its own.
    requests: usize,
    /// Since when it waits.
    since: Instant,
    reply: oneshot::Sender<Result<Vec<Verdict>, AppendError>>,
}

/// The present moment by the wall clock; see [`crate::world`].
pub(crate) use crate::world::now;

/// A count as metrics take it.
pub(crate) fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::INFINITY, f64::from)
}
