//! The waker of a connection that is driven by the task that uses it.
//!
//! A connection and the request that waits for it wake each other all the time: an answer has come, the body is wanted.
//! Both are polled by one task, one after the other, so that a wake from within is nothing to schedule the task again
//! for: it would be handed to another worker, which costs more than the exchange itself. Such a wake is only noted, and
//! the poll goes round once more. A wake from without (the socket) goes through to the task.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// Rounds of one poll. What is left to do after them comes up in the task's next turn, so that other tasks have theirs.
const ROUNDS_MAX: u32 = 8;

/// Passes wakes on to the task, but for those that the task causes itself while it polls.
#[derive(Default)]
pub(super) struct Relay {
    task: AtomicWaker,
    polling: AtomicBool,
    woken: AtomicBool,
}

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // In one total order with `poll`: either the poll that is just ending sees the wake, or this sees its end.
        self.woken.store(true, Ordering::SeqCst);
        if !self.polling.load(Ordering::SeqCst) {
            self.task.wake();
        }
    }
}

impl Relay {
    /// Polls with `waker`, which is this relay's own, until there is an output or nothing was woken from within.
    pub(super) fn poll<T>(
        &self,
        waker: &Waker,
        task: &Waker,
        mut round: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.task.register(task);
        self.polling.store(true, Ordering::SeqCst);
        let mut outcome = Poll::Pending;
        for _ in 0..ROUNDS_MAX {
            self.woken.store(false, Ordering::SeqCst);
            outcome = round(&mut Context::from_waker(waker));
            if outcome.is_ready() || !self.woken.load(Ordering::SeqCst) {
                break;
            }
        }
        self.polling.store(false, Ordering::SeqCst);
        if outcome.is_pending() && self.woken.load(Ordering::SeqCst) {
            task.wake_by_ref();
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    struct Counted(AtomicUsize);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_wake_from_within_is_another_round_and_one_from_without_reaches_the_task() {
        let counted = Arc::new(Counted(AtomicUsize::new(0)));
        let task = Waker::from(Arc::clone(&counted));
        let relay = Arc::new(Relay::default());
        let waker = Waker::from(Arc::clone(&relay));
        let mut rounds = 0;
        let outcome = relay.poll(&waker, &task, |cx| {
            rounds += 1;
            if rounds < 3 {
                cx.waker().wake_by_ref();
            }
            Poll::<()>::Pending
        });
        assert_eq!((outcome, rounds, counted.0.load(Ordering::SeqCst)), (Poll::Pending, 3, 0));
        waker.wake_by_ref();
        assert_eq!(counted.0.load(Ordering::SeqCst), 1);
        // One that never comes to rest gives others their turn.
        let outcome = relay.poll(&waker, &task, |cx| {
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        assert_eq!((outcome, counted.0.load(Ordering::SeqCst)), (Poll::Pending, 2));
    }
}
