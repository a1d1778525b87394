//! Where work is done that keeps a thread busy for long: never on the threads that serve everybody, and never more of it
//! at once than there is room for.

use std::num::NonZero;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Changes of the catalog that are checked at once: a check may take seconds.
const CHECKS_MAX: usize = 2;

/// Room for work that keeps a thread busy. Whoever finds none waits; a piece of work that was begun keeps its room until
/// it is done, whether anybody still waits for it or not.
pub(crate) struct Pool {
    /// Large requests, by definitions that are quick to judge by.
    large: Arc<Semaphore>,
    /// Events whose definitions are slow to judge by. Theirs alone, so that they hold up one another and nobody else.
    costly: Arc<Semaphore>,
    checks: Arc<Semaphore>,
}

/// What a piece of work needs room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// To judge many events.
    Large,
    /// To judge events by definitions that are slow to judge by.
    Costly,
    /// To check a change of the catalog.
    Check,
}

/// Room for one piece of work.
pub(crate) struct Room(#[expect(dead_code, reason = "held for what it does when it is dropped")] OwnedSemaphorePermit);

/// The work panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broke;

impl Default for Pool {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let room = |count: usize| Arc::new(Semaphore::new(count.max(1)));
        Self { large: room(cores), costly: room(cores / 2), checks: room(CHECKS_MAX) }
    }
}

impl Pool {
    /// Does a piece of work once there is room for it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        kind: Work,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Broke> {
        self.room(kind).await.run(work).await
    }

    /// Waits for room for a piece of work. Room that is not used is given back when it is dropped.
    pub(crate) async fn room(&self, kind: Work) -> Room {
        let room = match kind {
            Work::Large => &self.large,
            Work::Costly => &self.costly,
            Work::Check => &self.checks,
        };
        Room(Arc::clone(room).acquire_owned().await.expect("the semaphores are never closed"))
    }
}

impl Room {
    /// Does the work.
    pub(crate) async fn run<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Broke> {
        let work = move || {
            let _room = self;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| Broke)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn work_that_nobody_waits_for_any_more_keeps_its_room_until_it_is_done() {
        let pool = Arc::new(Pool::default());
        let (began, has_begun) = mpsc::sync_channel(CHECKS_MAX);
        let mut ends = Vec::new();
        for _ in 0..CHECKS_MAX {
            let (end, ended) = mpsc::sync_channel::<()>(1);
            ends.push(end);
            let (pool, began) = (Arc::clone(&pool), began.clone());
            let waiting = tokio::spawn(async move {
                let work = move || {
                    began.send(()).unwrap();
                    _ = ended.recv();
                };
                pool.run(Work::Check, work).await
            });
            let has_begun = &has_begun;
            tokio::task::yield_now().await;
            has_begun.recv().unwrap();
            waiting.abort();
            assert!(waiting.await.unwrap_err().is_cancelled());
        }
        assert_eq!(pool.checks.available_permits(), 0, "both are still at work");
        // Other kinds of work have room of their own.
        assert_eq!(pool.run(Work::Costly, || 1).await, Ok(1));
        drop(ends);
        assert_eq!(pool.run(Work::Check, || 2).await, Ok(2));
    }

    #[tokio::test]
    async fn work_that_panics_gives_its_room_back() {
        let pool = Pool::default();
        for _ in 0..=CHECKS_MAX {
            assert_eq!(pool.run(Work::Check, || panic!("as the test asked")).await, Err::<(), _>(Broke));
        }
    }
}
