//! A hint after a commit, at most once in a while.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// The least time between two hints of one process. A NOTIFY takes a lock that all committing transactions of a
/// PostgreSQL server share, so one for each event would cost more than it gains.
const INTERVAL: Duration = Duration::from_millis(3);

/// Tells Tidings, after a commit, that there is something to read, so that it need not wait for its next poll.
///
/// Optional: hints may be lost, and polling alone finds every event. However often it is woken, it sends at most one
/// hint in three milliseconds, and never drops the last one.
///
/// ```no_run
/// # #[cfg(feature = "tokio-postgres")]
/// # async fn example(client: std::sync::Arc<::tokio_postgres::Client>) {
/// let waker = tidings_outbox::Waker::start(move || {
///     let client = client.clone();
///     async move {
///         // A lost hint costs a few milliseconds, no event.
///         let _ = tidings_outbox::tokio_postgres::notify(&client).await;
///     }
/// });
/// // After each commit:
/// waker.wake();
/// # }
/// ```
#[derive(Debug)]
pub struct Waker {
    due: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Waker {
    /// Starts the task that sends the hints, on the current tokio runtime. It ends when the waker is dropped.
    pub fn start<F, S>(mut send: F) -> Self
    where
        F: FnMut() -> S + Send + 'static,
        S: Future<Output = ()> + Send,
    {
        let due = Arc::new(Notify::new());
        let woken = Arc::clone(&due);
        let task = tokio::spawn(async move {
            loop {
                woken.notified().await;
                send().await;
                tokio::time::sleep(INTERVAL).await;
            }
        });
        Self { due, task }
    }

    /// Asks for a hint. Never blocks.
    pub fn wake(&self) {
        self.due.notify_one();
    }
}

impl Drop for Waker {
    fn drop(&mut self) {
        self.task.abort();
    }
}
