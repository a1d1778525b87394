//! The bounded queue in front of a partition's appender.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tidings_core::append::Request;
use tidings_event::log::Verdict;
use tokio::sync::{Notify, oneshot};

use crate::AppendError;
use crate::options::AppendOptions;

/// What one caller wants of one partition, and where it waits for the answer.
pub(crate) struct Item {
    /// Each is written as a whole or not at all.
    pub(crate) requests: Vec<Request>,
    pub(crate) size: Size,
    pub(crate) reply: oneshot::Sender<Result<Vec<Verdict>, AppendError>>,
}

/// How much room something takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Size {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
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
/// several partitions gets room in all of them or in none.
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
    items: VecDeque<Item>,
    /// What waits or has room reserved.
    held: Size,
    closed: bool,
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

    /// Keeps room for so much. An empty queue takes a request of any size: requests are bounded where they are read.
    /// Room that was reserved is filled with [`Self::fill`] or given back with [`Self::release`], without waiting in
    /// between.
    pub(crate) fn reserve(&self, size: Size) -> Result<(), Refusal> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Refusal::Closed);
        }
        let held = Size { events: state.held.events + size.events, bytes: state.held.bytes + size.bytes };
        if state.held.events > 0 && (held.events > self.room.events || held.bytes > self.room.bytes) {
            return Err(Refusal::Full);
        }
        state.held = held;
        Ok(())
    }

    /// Keeps room for so much as soon as there is some.
    pub(crate) async fn reserve_when_drained(&self, size: Size) -> Result<(), Refusal> {
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            match self.reserve(size) {
                Err(Refusal::Full) => drained.await,
                answer => return answer,
            }
        }
    }

    /// Puts an item into the room that was reserved for it.
    pub(crate) fn fill(&self, item: Item) {
        self.state.lock().items.push_back(item);
        self.filled.notify_one();
    }

    /// Gives reserved room back.
    pub(crate) fn release(&self, size: Size) {
        let mut state = self.state.lock();
        state.held.events -= size.events;
        state.held.bytes -= size.bytes;
        drop(state);
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

    /// Items for one commit; none of them when the queue is closed and empty; `None` when there is nothing yet.
    fn take_now(&self) -> Option<Vec<Item>> {
        let mut state = self.state.lock();
        if state.items.is_empty() {
            return (state.closed && state.held.events == 0).then(Vec::new);
        }
        let mut items = Vec::with_capacity(state.items.len().min(64));
        let mut taken = Size::default();
        while let Some(item) = state.items.front() {
            let next = Size { events: taken.events + item.size.events, bytes: taken.bytes + item.size.bytes };
            if !items.is_empty() && (next.events > self.take.events || next.bytes > self.take.bytes) {
                break;
            }
            taken = next;
            items.extend(state.items.pop_front());
        }
        state.held.events -= taken.events;
        state.held.bytes -= taken.bytes;
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

    fn item(events: usize) -> (Item, oneshot::Receiver<Result<Vec<Verdict>, AppendError>>) {
        let (reply, answer) = oneshot::channel();
        (Item { requests: Vec::new(), size: Size { events, bytes: events }, reply }, answer)
    }

    fn queue(room: usize, take: usize) -> Queue {
        Queue::new(&AppendOptions { queue_events: room, commit_events_max: take, ..AppendOptions::default() })
    }

    fn put(queue: &Queue, events: usize) -> Result<(), Refusal> {
        let (item, _answer) = item(events);
        queue.reserve(item.size)?;
        queue.fill(item);
        Ok(())
    }

    #[tokio::test]
    async fn a_full_queue_refuses_until_something_was_taken() {
        let queue = queue(10, 5);
        put(&queue, 4).unwrap();
        put(&queue, 6).unwrap();
        assert_eq!(put(&queue, 1), Err(Refusal::Full));
        assert_eq!(queue.take().await.unwrap().len(), 1, "the second does not fit the same commit");
        put(&queue, 4).unwrap();
        assert_eq!(put(&queue, 1), Err(Refusal::Full));
    }

    #[tokio::test]
    async fn an_empty_queue_takes_a_request_that_is_larger_than_its_room() {
        let queue = queue(10, 5);
        put(&queue, 100).unwrap();
        assert_eq!(put(&queue, 1), Err(Refusal::Full));
        assert_eq!(queue.take().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_closed_queue_gives_out_what_was_promised_and_ends() {
        let queue = queue(10, 5);
        put(&queue, 1).unwrap();
        let (late, _answer) = item(2);
        queue.reserve(late.size).unwrap();
        queue.close();
        assert_eq!(put(&queue, 1), Err(Refusal::Closed));
        assert_eq!(queue.take().await.unwrap().len(), 1);
        assert!(queue.take_now().is_none(), "room is still reserved");
        queue.fill(late);
        assert_eq!(queue.take().await.unwrap().len(), 1);
        assert!(queue.take().await.is_none());
    }

    #[tokio::test]
    async fn a_waiting_reservation_gets_the_room_that_a_take_frees() {
        let queue = queue(4, 4);
        put(&queue, 4).unwrap();
        let size = Size { events: 2, bytes: 2 };
        let waiting = queue.reserve_when_drained(size);
        tokio::pin!(waiting);
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        queue.take().await.unwrap();
        waiting.await.unwrap();
    }
}
