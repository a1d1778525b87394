//! Connections that only read, lent to blocking tasks.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::connection::Opening;
use super::inline::Inline;
use super::writer::closed;
use crate::{Error, Result};

/// A bounded set of reading connections, opened when they are first needed.
pub(super) enum Readers {
    /// On threads that may block.
    Threads { pool: Arc<Pool>, permits: Arc<Semaphore>, size: u32 },
    /// On the connection that writes, by whoever calls.
    Inline(Arc<Inline>),
}

pub(super) struct Pool {
    opening: Opening,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(opening: Opening, size: usize) -> Self {
        let size = u32::try_from(size.min(1_024)).unwrap_or(1);
        let permits = Arc::new(Semaphore::new(size as usize));
        Self::Threads { pool: Arc::new(Pool { opening, idle: Mutex::new(Vec::new()) }), permits, size }
    }

    /// Runs a read on a connection of its own. What it sees is what was committed when it began its transaction.
    pub(super) async fn call<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let (pool, permits) = match self {
            Self::Threads { pool, permits, .. } => (pool, permits),
            Self::Inline(inline) => return inline.run(|connection| work(connection)),
        };
        let patience: Duration = pool.opening.patience;
        let permit = tokio::time::timeout(patience, Arc::clone(permits).acquire_owned())
            .await
            .map_err(|_| Error::unavailable("all readers are busy"))?
            .map_err(|_| closed())?;
        let pool = Arc::clone(pool);
        let read = tokio::task::spawn_blocking(move || {
            let outcome = pool.run(work);
            drop(permit);
            outcome
        });
        read.await.unwrap_or_else(|_| Err(Error::Broken("a read panicked".to_owned())))
    }

    /// Waits for what is being read, then closes the connections.
    pub(super) async fn close(&self) {
        let Self::Threads { pool, permits, size } = self else { return };
        if let Ok(all) = permits.acquire_many(*size).await {
            permits.close();
            drop(all);
        }
        pool.idle.lock().clear();
    }
}

impl Pool {
    fn run<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let idle = self.idle.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.opening.reader()?,
        };
        let outcome = work(&connection);
        // A connection that failed, or is still inside a transaction, is not used again.
        if outcome.is_ok() && connection.is_autocommit() {
            self.idle.lock().push(connection);
        }
        outcome
    }
}
