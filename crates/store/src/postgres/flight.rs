//! Statements that go out together, so that all of them cost one trip.

use futures_util::future::join_all;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};

use super::pool::Lease;
use super::pooled::Prepared;
use crate::Result;

/// A statement's parameter.
pub(super) type Param<'a> = Box<dyn ToSql + Sync + Send + 'a>;

/// Makes a list of parameters.
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        vec![$(Box::new($value) as $crate::postgres::flight::Param<'_>),*]
    };
}
pub(super) use params;

enum Step<'a> {
    Simple(&'static str),
    Prepared(Prepared, Vec<Param<'a>>),
}

/// What goes out together, in this order. A transaction's statement that follows one that failed fails too, and its
/// commit is a rollback, so nothing is done by halves.
#[derive(Default)]
pub(super) struct Flight<'a> {
    steps: Vec<Step<'a>>,
}

impl<'a> Flight<'a> {
    /// Adds a statement without parameters or rows, like BEGIN.
    pub(super) fn simple(&mut self, sql: &'static str) {
        self.steps.push(Step::Simple(sql));
    }

    /// Adds a statement, and tells where its rows will be among the answers. Preparing it costs a trip the first time
    /// on each connection, so all flights of a transaction are made before its first one leaves.
    pub(super) async fn add(&mut self, lease: &Lease, sql: &str, params: Vec<Param<'a>>) -> Result<usize> {
        let statement = lease.prepare_cached(sql).await?;
        Ok(self.push(statement, params))
    }

    /// Adds a statement that was prepared.
    pub(super) fn push(&mut self, statement: Prepared, params: Vec<Param<'a>>) -> usize {
        self.steps.push(Step::Prepared(statement, params));
        self.steps.len() - 1
    }

    /// Sends all; the rows of each, or the first failure in their order.
    pub(super) async fn send(&self, lease: &Lease) -> std::result::Result<Vec<Vec<Row>>, Error> {
        // Futures are sent in the order in which they are first polled, which is the order in which they stand.
        let answers = join_all(self.steps.iter().map(async |step| match step {
            Step::Simple(sql) => lease.batch_execute(sql).await.map(|()| Vec::new()),
            Step::Prepared(statement, params) => {
                let params: Vec<&(dyn ToSql + Sync)> =
                    params.iter().map(|param| &**param as &(dyn ToSql + Sync)).collect();
                lease.run(statement, &params).await
            }
        }))
        .await;
        answers.into_iter().collect()
    }
}
