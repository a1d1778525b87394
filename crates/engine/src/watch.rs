//! A value that many look at, and that wakes those who wait for a change.
//!
//! It is used as tokio's is, but wakes in the order in which waiting began. Tokio's picks one of several queues at random
//! for each waiter, which spreads contention and makes no two runs of a simulation alike.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::{RwLock, RwLockReadGuard};
use tokio::sync::Notify;

/// The sender is gone: the value does not change any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed;

struct Shared<T> {
    value: RwLock<T>,
    /// Counts the changes; moved while the value is locked.
    version: AtomicU64,
    senders: AtomicUsize,
    receivers: AtomicUsize,
    changed: Notify,
}

/// Sets the value. All clones are the same sender.
pub(crate) struct Sender<T>(Arc<Shared<T>>);

/// Looks at the value.
pub(crate) struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// The change that was seen last.
    seen: u64,
}

impl<T> Sender<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Arc::new(Shared {
            value: RwLock::new(value),
            version: AtomicU64::new(0),
            senders: AtomicUsize::new(1),
            receivers: AtomicUsize::new(0),
            changed: Notify::new(),
        }))
    }

    /// One who has seen the present value.
    pub(crate) fn subscribe(&self) -> Receiver<T> {
        self.0.receivers.fetch_add(1, Ordering::SeqCst);
        Receiver { shared: self.0.clone(), seen: self.0.version.load(Ordering::SeqCst) }
    }

    pub(crate) fn borrow(&self) -> RwLockReadGuard<'_, T> {
        self.0.value.read()
    }

    /// Changes the value where `change` says that it did; returns whether it did.
    pub(crate) fn send_if_modified(&self, change: impl FnOnce(&mut T) -> bool) -> bool {
        {
            let mut value = self.0.value.write();
            if !change(&mut value) {
                return false;
            }
            self.0.version.fetch_add(1, Ordering::SeqCst);
        }
        self.0.changed.notify_waiters();
        true
    }

    pub(crate) fn send_modify(&self, change: impl FnOnce(&mut T)) {
        self.send_if_modified(|value| {
            change(value);
            true
        });
    }

    pub(crate) fn send_replace(&self, value: T) {
        self.send_modify(|old| *old = value);
    }

    pub(crate) fn receiver_count(&self) -> usize {
        self.0.receivers.load(Ordering::SeqCst)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.senders.fetch_add(1, Ordering::SeqCst);
        Self(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.0.senders.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.changed.notify_waiters();
        }
    }
}

impl<T> Receiver<T> {
    pub(crate) fn borrow(&self) -> RwLockReadGuard<'_, T> {
        self.shared.value.read()
    }

    /// The present value, which counts as seen.
    pub(crate) fn borrow_and_update(&mut self) -> RwLockReadGuard<'_, T> {
        let value = self.shared.value.read();
        self.seen = self.shared.version.load(Ordering::SeqCst);
        value
    }

    /// Waits for a change that was not seen, which then counts as seen. Safe to drop.
    pub(crate) async fn changed(&mut self) -> Result<(), Closed> {
        loop {
            // It hears of every change from here on, so none is missed between the look and the wait.
            let changed = self.shared.changed.notified();
            let version = self.shared.version.load(Ordering::SeqCst);
            if version != self.seen {
                self.seen = version;
                return Ok(());
            }
            if self.shared.senders.load(Ordering::SeqCst) == 0 {
                return Err(Closed);
            }
            changed.await;
        }
    }

    /// Waits until the value is as wanted, which then counts as seen. Safe to drop.
    pub(crate) async fn wait_for(&mut self, wanted: impl Fn(&T) -> bool) -> Result<(), Closed> {
        loop {
            if wanted(&self.borrow_and_update()) {
                return Ok(());
            }
            self.changed().await?;
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.receivers.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Wake, Waker};

    use parking_lot::Mutex;

    use super::*;

    struct Named(usize, Arc<Mutex<Vec<usize>>>);

    impl Wake for Named {
        fn wake(self: Arc<Self>) {
            self.1.lock().push(self.0);
        }
    }

    #[test]
    fn whoever_waits_is_woken_in_the_order_in_which_waiting_began() {
        let sender = Sender::new(0);
        let woken = Arc::<Mutex<Vec<usize>>>::default();
        let mut receivers: Vec<_> = (0..20).map(|_| sender.subscribe()).collect();
        assert_eq!(sender.receiver_count(), 20);
        let mut waiting: Vec<_> = receivers.iter_mut().map(|receiver| Box::pin(receiver.changed())).collect();
        for (number, wait) in waiting.iter_mut().enumerate() {
            let waker = Waker::from(Arc::new(Named(number, woken.clone())));
            assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        sender.send_replace(1);
        assert_eq!(*woken.lock(), (0..20).collect::<Vec<_>>());
        let mut ready = Context::from_waker(Waker::noop());
        assert!(waiting.iter_mut().all(|wait| wait.as_mut().poll(&mut ready) == Poll::Ready(Ok(()))));
        drop(waiting);
        drop(receivers);
        assert_eq!(sender.receiver_count(), 0);
    }

    #[tokio::test]
    async fn a_change_is_seen_once_and_one_that_is_none_is_not_seen() {
        let sender = Sender::new(1);
        let mut receiver = sender.subscribe();
        assert!(!sender.send_if_modified(|_| false));
        let mut ready = Context::from_waker(Waker::noop());
        assert!(pin!(receiver.changed()).poll(&mut ready).is_pending());
        sender.send_modify(|value| *value += 1);
        assert_eq!(receiver.changed().await, Ok(()));
        assert_eq!(*receiver.borrow(), 2);
        assert!(pin!(receiver.changed()).poll(&mut ready).is_pending());
        sender.send_replace(3);
        assert_eq!(*receiver.borrow_and_update(), 3);
        assert!(pin!(receiver.changed()).poll(&mut ready).is_pending());
        assert_eq!(receiver.wait_for(|value| *value == 3).await, Ok(()));
        drop(sender);
        assert_eq!(receiver.changed().await, Err(Closed));
        assert_eq!(receiver.wait_for(|value| *value == 4).await, Err(Closed));
    }
}
