//! The bounded queue in front of a partition's appender.
//!
//! Its room is shared by the tenants of the partition. Each may hold as much as is left free, itself included: one that
//! floods gets half of the room, each of two a third, and there is always as much left for the next as anybody has. What
//! waits is taken by tenants in turns, so that who brings little waits for one turn of the others, not for all that they
//! have brought.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;
use tidings_core::append::Request;
use tidings_event::log::Verdict;
use tidings_event::{EventId, TenantNo, Timestamp};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::AppendError;
use crate::options::AppendOptions;

/// What one caller wants for one tenant, and where it waits for the answer.
pub(crate) struct Item {
    pub(crate) tenant: TenantNo,
    /// Each is written as a whole or not at all.
    pub(crate) requests: Vec<Request>,
    pub(crate) size: Size,
    /// Since when it waits.
    pub(crate) since: Instant,
    /// Which of its events are recorded in a trace, if any.
    pub(crate) traced: Option<Box<Traced>>,
    pub(crate) reply: oneshot::Sender<Result<Vec<Verdict>, AppendError>>,
}

/// Events of an item that are recorded in a trace.
pub(crate) struct Traced {
    /// When the item was queued.
    pub(crate) since: Timestamp,
    /// Whether a pump brought it.
    pub(crate) pumped: bool,
    pub(crate) events: Vec<(TenantNo, EventId)>,
}

/// How much room something takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Size {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
}

impl Size {
    fn plus(self, other: Self) -> Self {
        Self { events: self.events + other.events, bytes: self.bytes + other.bytes }
    }

    fn minus(self, other: Self) -> Self {
        Self { events: self.events - other.events, bytes: self.bytes - other.bytes }
    }

    fn fits(self, room: Self) -> bool {
        self.events <= room.events && self.bytes <= room.bytes
    }
}

/// Why something was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Full,
    Closed,
}

impl From<Refusal> for AppendError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Full => Self::Overloaded,
            Refusal::Closed => Self::ShuttingDown,
        }
    }
}

/// Waiting calls, bounded in events and bytes. Room is reserved first and filled afterwards, so that a call over
/// several tenants gets room for all of them or for none.
pub(crate) struct Queue {
    state: Mutex<State>,
    /// Something was put in, or the queue was closed.
    filled: Notify,
    /// Something was taken out, or the queue was closed.
    drained: Notify,
    room: Size,
    take: Size,
}

#[derive(Default)]
struct State {
    lines: HashMap<TenantNo, Line>,
    /// Tenants of whom something waits, the one whose turn is next first.
    turns: VecDeque<TenantNo>,
    /// What waits or has room reserved.
    held: Size,
    closed: bool,
}

/// What one tenant has in the queue.
#[derive(Default)]
struct Line {
    items: VecDeque<Item>,
    held: Size,
}

impl State {
    fn free(&mut self, tenant: TenantNo, size: Size) {
        self.held = self.held.minus(size);
        if let Some(line) = self.lines.get_mut(&tenant) {
            line.held = line.held.minus(size);
            if line.held.events == 0 && line.items.is_empty() {
                self.lines.remove(&tenant);
            }
        }
    }
}

impl Queue {
    pub(crate) fn new(options: &AppendOptions) -> Self {
        Self {
            state: Mutex::default(),
            filled: Notify::new(),
            drained: Notify::new(),
            room: Size { events: options.queue_events, bytes: options.queue_bytes },
            take: Size { events: options.commit_events_max, bytes: options.commit_bytes_max },
        }
    }

    /// Keeps room for so much of a tenant, if it then holds no more than is left free. An empty queue takes a request of
    /// any size: requests are bounded where they are read. Room that was reserved is filled with [`Self::fill`] or given
    /// back with [`Self::release`], without waiting in between.
    pub(crate) fn reserve(&self, tenant: TenantNo, size: Size) -> Result<(), Refusal> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Refusal::Closed);
        }
        let own = state.lines.get(&tenant).map_or(Size::default(), |line| line.held).plus(size);
        let held = state.held.plus(size);
        if state.held.events > 0 && !held.plus(own).fits(self.room) {
            return Err(Refusal::Full);
        }
        state.held = held;
        state.lines.entry(tenant).or_default().held = own;
        Ok(())
    }

    /// Keeps room for so much as soon as there is some.
    pub(crate) async fn reserve_when_drained(&self, tenant: TenantNo, size: Size) -> Result<(), Refusal> {
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            match self.reserve(tenant, size) {
                Err(Refusal::Full) => drained.await,
                answer => return answer,
            }
        }
    }

    /// Puts an item into the room that was reserved for it.
    pub(crate) fn fill(&self, item: Item) {
        let mut state = self.state.lock();
        let tenant = item.tenant;
        let line = state.lines.entry(tenant).or_default();
        line.items.push_back(item);
        if line.items.len() == 1 {
            state.turns.push_back(tenant);
        }
        drop(state);
        self.filled.notify_one();
    }

    /// Gives reserved room back.
    pub(crate) fn release(&self, tenant: TenantNo, size: Size) {
        self.state.lock().free(tenant, size);
        self.filled.notify_one();
        self.drained.notify_waiters();
    }

    /// Takes as many items as one commit may hold, at least one; waits for the first. `None` once the queue is closed
    /// and all that was promised room has been taken.
    pub(crate) async fn take(&self) -> Option<Vec<Item>> {
        loop {
            // The permit of a notification that comes between the look and the wait is kept.
            if let Some(items) = self.take_now() {
                return (!items.is_empty()).then_some(items);
            }
            self.filled.notified().await;
            // Whoever is ready to run now has its turn first, and joins the same commit.
            tokio::task::yield_now().await;
        }
    }

    /// Items for one commit, one of each tenant in turn; none of them when the queue is closed and empty; `None` when
    /// there is nothing yet.
    fn take_now(&self) -> Option<Vec<Item>> {
        let mut state = self.state.lock();
        if state.turns.is_empty() {
            return (state.closed && state.held.events == 0).then(Vec::new);
        }
        let mut items: Vec<Item> = Vec::with_capacity(state.turns.len().min(64));
        let mut taken = Size::default();
        while let Some(tenant) = state.turns.front().copied() {
            let Some(line) = state.lines.get_mut(&tenant) else {
                state.turns.pop_front();
                continue;
            };
            let next = line.items.front().map_or(taken, |item| taken.plus(item.size));
            if !items.is_empty() && !next.fits(self.take) {
                break;
            }
            taken = next;
            let item = line.items.pop_front();
            let has_more = !line.items.is_empty();
            state.turns.pop_front();
            if has_more {
                state.turns.push_back(tenant);
            }
            if let Some(item) = item {
                state.free(tenant, item.size);
                items.push(item);
            }
        }
        drop(state);
        self.drained.notify_waiters();
        Some(items)
    }

    /// Takes nothing in any more; what waits is still taken out.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.filled.notify_one();
        self.drained.notify_waiters();
    }

    /// Events that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.state.lock().held.events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Answer = oneshot::Receiver<Result<Vec<Verdict>, AppendError>>;

    fn item(tenant: i64, events: usize) -> (Item, Answer) {
        let (reply, answer) = oneshot::channel();
        let size = Size { events, bytes: events };
        let tenant = TenantNo(tenant);
        (Item { tenant, requests: Vec::new(), size, since: Instant::now(), traced: None, reply }, answer)
    }

    fn queue(room: usize, take: usize) -> Queue {
        Queue::new(&AppendOptions { queue_events: room, commit_events_max: take, ..AppendOptions::default() })
    }

    fn put(queue: &Queue, tenant: i64, events: usize) -> Result<(), Refusal> {
        let (item, _answer) = item(tenant, events);
        queue.reserve(item.tenant, item.size)?;
        queue.fill(item);
        Ok(())
    }

    /// Puts in as many single events as are taken.
    fn flood(queue: &Queue, tenant: i64) -> usize {
        (0..).take_while(|_| put(queue, tenant, 1).is_ok()).count()
    }

    fn tenants(items: &[Item]) -> Vec<i64> {
        items.iter().map(|item| item.tenant.get()).collect()
    }

    #[test]
    fn one_tenants_flood_leaves_as_much_room_for_its_neighbours_as_it_has_itself() {
        let queue = queue(120, 10);
        assert_eq!(flood(&queue, 1), 60);
        assert_eq!(flood(&queue, 2), 30, "half of what was left");
        assert_eq!(flood(&queue, 3), 15);
        assert_eq!(put(&queue, 4, 7), Ok(()));
        assert_eq!(flood(&queue, 1), 0);
    }

    #[tokio::test]
    async fn tenants_that_flood_together_get_equal_shares_and_leave_one_for_the_next() {
        let queue = queue(120, 1);
        for _ in 0..400 {
            for tenant in 1..=3 {
                flood(&queue, tenant);
            }
            queue.take().await.unwrap();
        }
        let held: Vec<usize> = (1..=3).map(|no| queue.state.lock().lines[&TenantNo(no)].held.events).collect();
        assert!(held.iter().all(|held| (29..=31).contains(held)), "{held:?}");
        assert!(put(&queue, 4, 10).is_ok());
    }

    #[tokio::test]
    async fn tenants_are_taken_in_turns_each_in_its_own_order() {
        let queue = queue(1_000, 4);
        for events in [1, 2, 1, 1] {
            put(&queue, 1, events).unwrap();
        }
        put(&queue, 2, 1).unwrap();
        let items = queue.take().await.unwrap();
        assert_eq!(tenants(&items), [1, 2, 1], "the neighbour need not wait for all that came before it");
        assert_eq!(items[2].size.events, 2, "the next one of the first");
        put(&queue, 3, 1).unwrap();
        assert_eq!(tenants(&queue.take().await.unwrap()), [1, 3, 1]);
        assert_eq!(queue.waiting(), 0);
        assert!(queue.state.lock().lines.is_empty());
    }

    #[tokio::test]
    async fn what_does_not_fit_a_commit_is_the_first_of_the_next() {
        let queue = queue(1_000, 5);
        put(&queue, 1, 4).unwrap();
        put(&queue, 2, 4).unwrap();
        put(&queue, 3, 1).unwrap();
        assert_eq!(tenants(&queue.take().await.unwrap()), [1]);
        assert_eq!(tenants(&queue.take().await.unwrap()), [2, 3]);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_until_something_was_taken() {
        let queue = queue(10, 5);
        put(&queue, 1, 4).unwrap();
        assert_eq!(put(&queue, 1, 2), Err(Refusal::Full));
        assert_eq!(put(&queue, 2, 4), Err(Refusal::Full));
        put(&queue, 2, 3).unwrap();
        assert_eq!(queue.take().await.unwrap().len(), 1, "the second does not fit the same commit");
        put(&queue, 1, 2).unwrap();
    }

    #[tokio::test]
    async fn an_empty_queue_takes_a_request_that_is_larger_than_its_room() {
        let queue = queue(10, 5);
        put(&queue, 1, 100).unwrap();
        assert_eq!(put(&queue, 2, 1), Err(Refusal::Full));
        assert_eq!(queue.take().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_closed_queue_gives_out_what_was_promised_and_ends() {
        let queue = queue(10, 5);
        put(&queue, 1, 1).unwrap();
        let (late, _answer) = item(1, 2);
        queue.reserve(late.tenant, late.size).unwrap();
        queue.close();
        assert_eq!(put(&queue, 1, 1), Err(Refusal::Closed));
        assert_eq!(queue.take().await.unwrap().len(), 1);
        assert!(queue.take_now().is_none(), "room is still reserved");
        queue.fill(late);
        assert_eq!(queue.take().await.unwrap().len(), 1);
        assert!(queue.take().await.is_none());
    }

    #[tokio::test]
    async fn a_waiting_reservation_gets_the_room_that_a_take_frees() {
        let queue = queue(4, 4);
        put(&queue, 1, 2).unwrap();
        let waiting = queue.reserve_when_drained(TenantNo(1), Size { events: 2, bytes: 2 });
        tokio::pin!(waiting);
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        queue.take().await.unwrap();
        waiting.await.unwrap();
    }

    #[test]
    fn room_that_is_given_back_is_there_for_others() {
        let queue = queue(10, 5);
        put(&queue, 1, 2).unwrap();
        let size = Size { events: 4, bytes: 4 };
        queue.reserve(TenantNo(2), size).unwrap();
        assert_eq!(queue.reserve(TenantNo(3), Size { events: 3, bytes: 3 }), Err(Refusal::Full));
        queue.release(TenantNo(2), size);
        assert_eq!(queue.reserve(TenantNo(3), Size { events: 3, bytes: 3 }), Ok(()));
        assert_eq!(queue.waiting(), 5);
    }
}
