//! The one writer: an operating system's thread with a bounded queue of whole transactions.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use super::connection::Opening;
use super::inline::Inline;
use crate::{Error, Result};

type Job = Box<dyn FnOnce(&mut Seat) + Send>;

/// Tells whether the caller of a write still waits for it.
pub(super) type Caller<'a> = &'a dyn Fn() -> bool;

/// Hands transactions to the writer's thread.
pub(super) enum Writer {
    /// To a thread of their own.
    Thread { queue: Mutex<Option<mpsc::Sender<Job>>>, ended: watch::Receiver<bool> },
    /// To whoever calls.
    Inline(Arc<Inline>),
}

impl Writer {
    /// Starts the thread. It ends when the writer is closed or dropped, after what is queued by then.
    pub(super) fn start(opening: Opening, connection: Connection, queue: usize) -> Result<Self> {
        let (sender, mut jobs) = mpsc::channel::<Job>(queue.max(1));
        let (ending, ended) = watch::channel(false);
        std::thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || {
                let mut seat = Seat { opening, connection: Some(connection) };
                while let Some(job) = jobs.blocking_recv() {
                    job(&mut seat);
                }
                seat.leave();
                ending.send_replace(true);
            })
            .map_err(|error| Error::unavailable(format!("no thread for the writer: {error}")))?;
        Ok(Self::Thread { queue: Mutex::new(Some(sender)), ended })
    }

    /// Runs one transaction. A caller that went away before its turn costs nothing.
    pub(super) async fn call<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection, Caller<'_>) -> Result<T> + Send + 'static,
    {
        let queue = match self {
            Self::Thread { queue, .. } => queue,
            Self::Inline(inline) => return inline.run(|connection| work(connection, &|| true)),
        };
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |seat| {
            if reply.is_closed() {
                return;
            }
            let outcome = seat.run(|connection| work(connection, &|| !reply.is_closed()));
            // The caller may have gone meanwhile; then nobody asks.
            let _ = reply.send(outcome);
        });
        let sent = queue.lock().as_ref().map(|queue| queue.try_send(job));
        match sent {
            Some(Ok(())) => {}
            Some(Err(mpsc::error::TrySendError::Full(_))) => {
                return Err(Error::unavailable("too many writes are waiting"));
            }
            Some(Err(mpsc::error::TrySendError::Closed(_))) | None => return Err(closed()),
        }
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Ends the thread after what is queued, and waits for it.
    pub(super) async fn close(&self) {
        let Self::Thread { queue, ended } = self else { return };
        queue.lock().take();
        // An error means that the thread is gone already.
        let _ = ended.clone().wait_for(|ended| *ended).await;
    }
}

pub(super) fn closed() -> Error {
    Error::unavailable("the store is closed")
}

/// The connection of a thread, replaced when it is no longer sound.
pub(super) struct Seat {
    opening: Opening,
    connection: Option<Connection>,
}

impl Seat {
    /// Runs a piece of work; whatever it does, no transaction stays open behind it.
    fn run<T>(&mut self, work: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            empty => empty.insert(self.opening.writer()?),
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| work(connection)))
            .unwrap_or_else(|_| Err(Error::Broken("a write panicked and was rolled back".to_owned())));
        if outcome.is_err() && !is_sound(connection) {
            self.connection = None;
        }
        outcome
    }

    fn leave(&mut self) {
        if let Some(connection) = self.connection.take() {
            if !self.opening.existing {
                // Keeps the planner's statistics fresh; a failure changes nothing that is stored.
                let _ = connection.execute_batch("PRAGMA optimize");
            }
            if let Err((_, error)) = connection.close() {
                tracing::warn!(%error, "the file was not closed in order");
            }
        }
    }
}

/// Leaves an open transaction, and asks whether the connection still reads.
pub(super) fn is_sound(connection: &Connection) -> bool {
    if !connection.is_autocommit() && connection.execute_batch("ROLLBACK").is_err() && !connection.is_autocommit() {
        return false;
    }
    connection.query_row("SELECT count(*) FROM meta", [], |row| row.get::<_, i64>(0)).is_ok()
}
