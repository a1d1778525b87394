//! Connections, lent so that none comes back with something unfinished on it.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Object, Pool, Runtime, Timeouts};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::address::Address;
use super::failure::{closed, of_pool};
use super::pooled::{Borrowed, Prepared};
use crate::{ConnectionCounts, Error, Result};

/// What every connection is set to.
///
/// The timeouts free a partition's lock when its holder hangs. Every statement of this crate finds its rows by one
/// index, in order; a plan made while a table was small must not become a walk through all of it. Of the indexes that
/// begin alike only the right one gives the order, so a sort is as much a sign of the wrong one as a scan is.
const SESSION: &str = "\
    SET lock_timeout = '10s'; SET statement_timeout = '30s'; SET idle_in_transaction_session_timeout = '20s'; \
    SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off; \
    SET enable_incremental_sort = off; SET jit = off; SET plan_cache_mode = force_generic_plan";

/// Where the server's platform can, it ends a query whose asker is gone.
const NOTICE_LEAVING: &str = "SET client_connection_check_interval = '5s'";

/// All connections of a store.
pub(super) struct Connections {
    pool: Pool,
    /// Reads take no more than these, so that writes always find a connection.
    reads: Arc<Semaphore>,
    patience: Duration,
    /// What is known of statements where a pooler lends the server's connections by the transaction.
    borrowed: Option<Arc<Borrowed>>,
}

impl Connections {
    pub(super) fn new(address: &Address, connections: usize, patience: Duration) -> Result<Self> {
        let connections = connections.clamp(2, 1_000);
        let writers = (connections / 4).max(1);
        let pooled = address.pooled;
        let pool = Pool::builder(address.manager())
            .max_size(connections)
            .runtime(Runtime::Tokio1)
            .timeouts(Timeouts { wait: Some(patience), create: Some(patience), recycle: Some(patience) })
            .post_create(Hook::async_fn(move |client, _| {
                Box::pin(async move {
                    // Behind a pooler the next to use the server's connection would find it set so.
                    if pooled {
                        return Ok(());
                    }
                    client.batch_execute(SESSION).await.map_err(HookError::Backend)?;
                    // Not every platform can; it is a courtesy to the server.
                    let _ = client.batch_execute(NOTICE_LEAVING).await;
                    Ok(())
                })
            }))
            .build()
            .map_err(|error| Error::Broken(error.to_string()))?;
        let borrowed = pooled.then(Arc::default);
        Ok(Self { pool, reads: Arc::new(Semaphore::new(connections - writers)), patience, borrowed })
    }

    /// How they stand.
    pub(super) fn counts(&self) -> ConnectionCounts {
        let status = self.pool.status();
        ConnectionCounts {
            idle: status.available,
            used: status.size.saturating_sub(status.available),
            waiting: status.waiting,
        }
    }

    /// A connection to write on.
    pub(super) async fn writer(&self) -> Result<Lease> {
        let object = self.pool.get().await.map_err(of_pool)?;
        Ok(self.lend(object, None))
    }

    /// A connection to read on.
    pub(super) async fn reader(&self) -> Result<Lease> {
        let permit = tokio::time::timeout(self.patience, Arc::clone(&self.reads).acquire_owned())
            .await
            .map_err(|_| Error::unavailable("all readers are busy"))?
            .map_err(|_| closed())?;
        let object = self.pool.get().await.map_err(of_pool)?;
        Ok(self.lend(object, Some(permit)))
    }

    fn lend(&self, object: Object, permit: Option<OwnedSemaphorePermit>) -> Lease {
        Lease { object: Some(object), borrowed: self.borrowed.clone(), open: AtomicBool::new(false), _permit: permit }
    }

    /// Waits for what is being done, then closes all connections.
    pub(super) async fn close(&self) {
        let all = self.pool.status().max_size;
        let mut held = Vec::with_capacity(all);
        // Holding all of them proves that nobody else works; a server that is gone must not hold up the shutdown.
        let gathered = tokio::time::timeout(self.patience, async {
            for _ in 0..all.min(self.pool.status().size) {
                held.push(self.pool.get().await);
            }
        });
        let _ = gathered.await;
        self.reads.close();
        self.pool.close();
    }
}

/// A connection on loan. It goes back to the pool only by [`Lease::done`]; dropped before, as by a caller that went
/// away or by an error, it is closed, and the server rolls back what was open on it.
pub(super) struct Lease {
    object: Option<Object>,
    pub(super) borrowed: Option<Arc<Borrowed>>,
    /// Whether a transaction is open, or about to be: kept where a pooler is in between.
    pub(super) open: AtomicBool,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Lease {
    /// Gives the connection back: nothing is open or under way on it.
    pub(super) fn done(mut self) {
        drop(self.object.take());
    }

    /// Gives the connection back after a transaction, unless that failed such that the connection may be unsound. A plan
    /// or decision that failed says nothing about the connection, once it has left the transaction.
    pub(super) async fn finish<T>(self, outcome: Result<T>) -> Result<T> {
        match outcome {
            Ok(value) => {
                self.done();
                Ok(value)
            }
            Err(moved @ Error::Moved(_)) if self.batch_execute("ROLLBACK").await.is_ok() => {
                self.done();
                Err(moved)
            }
            Err(Error::Broken(reason)) if self.batch_execute("ROLLBACK").await.is_ok() => {
                self.done();
                Err(Error::Broken(reason))
            }
            Err(error) => Err(error),
        }
    }

    /// Runs a prepared statement; the connection stays on loan.
    pub(super) async fn rows(
        &self,
        statement: &Prepared,
        params: &[&(dyn tokio_postgres::types::ToSql + Sync)],
    ) -> Result<Vec<tokio_postgres::Row>> {
        Ok(self.run(statement, params).await?)
    }

    /// Runs one statement and gives the connection back, unless that failed.
    pub(super) async fn query(
        self,
        sql: &str,
        params: &[&(dyn tokio_postgres::types::ToSql + Sync)],
    ) -> Result<Vec<tokio_postgres::Row>> {
        let statement = self.prepare_cached(sql).await?;
        let rows = self.rows(&statement, params).await?;
        self.done();
        Ok(rows)
    }
}

impl Deref for Lease {
    type Target = deadpool_postgres::ClientWrapper;

    fn deref(&self) -> &Self::Target {
        self.object.as_ref().expect("a lease holds its connection until it is done")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(object) = self.object.take() {
            drop(Object::take(object));
        }
    }
}
