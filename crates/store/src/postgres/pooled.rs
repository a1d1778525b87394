//! Statements, and how they are sent: by name on a connection of our own, whole through a pooler that lends the
//! server's connections by the transaction.
//!
//! Behind such a pooler (PgBouncer with `pool_mode = transaction`) nothing may stay on a connection: no prepared
//! statement, no setting, no lock of a session. So each statement goes out whole, in a transaction that sets what
//! holds for it alone; what the types of its parameters are is asked once and remembered.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use parking_lot::RwLock;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{CopyInSink, Error, Row, Statement};

use super::pool::Lease;

/// What every connection of our own is set to, for one transaction.
const TRANSACTION: &str = "\
    SET LOCAL lock_timeout = '10s'; SET LOCAL statement_timeout = '30s'; \
    SET LOCAL idle_in_transaction_session_timeout = '20s'; \
    SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off; \
    SET LOCAL enable_incremental_sort = off; SET LOCAL jit = off; SET LOCAL plan_cache_mode = force_generic_plan";

/// The types of statements' parameters, by the statement. Statements are constants of this crate, or made of few, so
/// there is an end to them.
#[derive(Default)]
pub(super) struct Borrowed(RwLock<HashMap<String, Whole>>);

/// A statement that is sent whole.
#[derive(Clone)]
pub(super) struct Whole {
    sql: Arc<str>,
    types: Arc<[Type]>,
}

/// A statement, ready to be sent.
#[derive(Clone)]
pub(super) enum Prepared {
    /// The connection knows it.
    Named(Statement),
    /// It is sent whole.
    Whole(Whole),
}

impl Prepared {
    /// How many parameters it takes.
    pub(super) fn takes(&self) -> usize {
        match self {
            Self::Named(statement) => statement.params().len(),
            Self::Whole(whole) => whole.types.len(),
        }
    }
}

type Params<'p> = &'p [&'p (dyn ToSql + Sync)];

impl Lease {
    /// Prepares a statement, once on each connection; behind a pooler its types are asked for, once on all.
    pub(super) async fn prepare_cached(&self, sql: &str) -> Result<Prepared, Error> {
        let Some(borrowed) = &self.borrowed else {
            return Ok(Prepared::Named((**self).prepare_cached(sql).await?));
        };
        if let Some(whole) = borrowed.0.read().get(sql) {
            return Ok(Prepared::Whole(whole.clone()));
        }
        let whole = Whole { sql: sql.into(), types: self.types_of(sql).await?.into() };
        borrowed.0.write().insert(sql.to_owned(), whole.clone());
        Ok(Prepared::Whole(whole))
    }

    /// Asks the server for the types of a statement's parameters. The statement that is prepared for it is closed
    /// before the transaction ends, and with it the connection given back.
    async fn types_of(&self, sql: &str) -> Result<Vec<Type>, Error> {
        if self.open.load(Ordering::Relaxed) {
            return Ok((**self).prepare(sql).await?.params().to_vec());
        }
        (**self).batch_execute("BEGIN").await?;
        let types = (**self).prepare(sql).await?.params().to_vec();
        (**self).batch_execute("COMMIT").await?;
        Ok(types)
    }

    /// Runs statements without parameters. One that begins a transaction sets it up where the connection is not.
    pub(super) async fn batch_execute(&self, sql: &str) -> Result<(), Error> {
        if self.borrowed.is_some() {
            if sql == "COMMIT" || sql == "ROLLBACK" {
                self.open.store(false, Ordering::Relaxed);
            } else if sql.starts_with("BEGIN") && !sql.contains(';') {
                self.open.store(true, Ordering::Relaxed);
                return (**self).batch_execute(&format!("{sql}; {TRANSACTION}")).await;
            }
        }
        (**self).batch_execute(sql).await
    }

    /// Runs a statement and takes its rows. Futures of one connection are sent in the order of their first poll.
    pub(super) async fn run(&self, statement: &Prepared, params: Params<'_>) -> Result<Vec<Row>, Error> {
        match statement {
            Prepared::Named(statement) => (**self).query(statement, params).await,
            Prepared::Whole(whole) => {
                let params = whole.params(params);
                self.within((**self).query_typed(&whole.sql, &params)).await
            }
        }
    }

    /// Runs a statement that gives one row or none.
    pub(super) async fn query_opt(&self, statement: &Prepared, params: Params<'_>) -> Result<Option<Row>, Error> {
        Ok(self.run(statement, params).await?.into_iter().next())
    }

    /// Runs a statement; how many rows it wrote.
    pub(super) async fn execute(&self, statement: &Prepared, params: Params<'_>) -> Result<u64, Error> {
        match statement {
            Prepared::Named(statement) => (**self).execute(statement, params).await,
            Prepared::Whole(whole) => {
                let params = whole.params(params);
                self.within((**self).execute_typed(&whole.sql, &params)).await
            }
        }
    }

    /// Begins a copy, in a transaction.
    pub(super) async fn copy_in(&self, statement: &Prepared) -> Result<CopyInSink<Bytes>, Error> {
        match statement {
            Prepared::Named(statement) => (**self).copy_in(statement).await,
            Prepared::Whole(whole) => {
                // It is closed behind the copy, which is before the end of the transaction.
                let statement = (**self).prepare(&whole.sql).await?;
                (**self).copy_in(&statement).await
            }
        }
    }

    /// In the transaction that is open, or else in one of its own, in one flight.
    async fn within<T>(&self, statement: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        if self.open.load(Ordering::Relaxed) {
            return statement.await;
        }
        let begin = format!("BEGIN; {TRANSACTION}");
        let (begun, answer, ended) =
            futures_util::join!((**self).batch_execute(&begin), statement, (**self).batch_execute("COMMIT"));
        begun?;
        let answer = answer?;
        ended?;
        Ok(answer)
    }
}

impl Whole {
    /// A parameter too many or too few is the server's to refuse.
    fn params<'p>(&self, params: Params<'p>) -> Vec<(&'p (dyn ToSql + Sync), Type)> {
        params.iter().zip(self.types.iter()).map(|(value, kind)| (*value, kind.clone())).collect()
    }
}
