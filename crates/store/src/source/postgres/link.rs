//! A connection that comes back.

use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row};

use super::connect::{Messages, Target};
use super::{SourceError, check_version, timed};

/// The server's own limits, so that no statement of ours holds a producer up.
const OUTBOX_SESSION: &str = "set statement_timeout = '30s'; set lock_timeout = '5s'; \
    set idle_in_transaction_session_timeout = '30s'";
/// A probe changes nothing and may meet a table without a fitting index.
const PROBE_SESSION: &str = "set statement_timeout = '5s'; set lock_timeout = '2s'; \
    set default_transaction_read_only = on";
/// The same for one transaction, where a pooler lends the server's connections by the transaction.
const OUTBOX_TRANSACTION: &str = "begin; set local statement_timeout = '30s'; set local lock_timeout = '5s'; \
    set local idle_in_transaction_session_timeout = '30s'";
const PROBE_TRANSACTION: &str = "begin read only; set local statement_timeout = '5s'; set local lock_timeout = '2s'; \
    set local idle_in_transaction_session_timeout = '30s'";

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Setup {
    /// The outbox: it must be there, of a version that this server knows.
    Outbox,
    /// Row probes.
    Probe,
}

/// One connection, made when it is needed and made again when it was lost.
pub(super) struct Link {
    target: Target,
    setup: Setup,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: Option<Arc<Open>>,
    /// When the last try to connect failed, and why.
    failed: Option<(Instant, String)>,
}

/// A connection with the task that moves it.
pub(super) struct Open {
    client: Client,
    /// What each statement's own transaction begins with, where nothing may stay on the connection.
    begin: Option<&'static str>,
    /// Held by the transaction that is on its way: what others sent in between would be part of it.
    turn: Mutex<()>,
    _driver: Driver,
}

/// A statement's parameters, each with its type.
type Parameters<'p> = &'p [(&'p (dyn ToSql + Sync), Type)];

impl Open {
    pub(super) async fn query(&self, statement: &str, parameters: Parameters<'_>) -> Result<Vec<Row>, Error> {
        self.within(self.client.query_typed(statement, parameters)).await
    }

    /// Runs a statement that gives one row.
    pub(super) async fn query_one(&self, statement: &str, parameters: Parameters<'_>) -> Result<Row, Error> {
        self.within(self.client.query_typed_one(statement, parameters)).await
    }

    pub(super) async fn execute(&self, statement: &str, parameters: Parameters<'_>) -> Result<u64, Error> {
        self.within(self.client.execute_typed(statement, parameters)).await
    }

    /// By itself on a connection of our own, else in a transaction with its settings, in one flight. A caller that goes
    /// away leaves nothing open: the three are sent together.
    async fn within<T>(&self, statement: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let Some(begin) = self.begin else { return statement.await };
        let _turn = self.turn.lock().await;
        let (begun, answer, ended) =
            futures_util::join!(self.client.batch_execute(begin), statement, self.client.batch_execute("commit"));
        begun?;
        let answer = answer?;
        ended?;
        Ok(answer)
    }
}

/// The task that moves a connection; it ends when this is dropped.
pub(super) struct Driver(JoinHandle<()>);

impl Driver {
    pub(super) fn start(mut messages: Messages) -> Self {
        // Notices and notifications are of no use here; the end of the connection ends the task.
        Self(tokio::spawn(async move { while let Some(Ok(_)) = messages.next().await {} }))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Link {
    pub(super) fn new(target: Target, setup: Setup) -> Self {
        Self { target, setup, state: Mutex::default() }
    }

    /// The connection, a new one if the last was lost.
    pub(super) async fn client(&self) -> Result<Arc<Open>, SourceError> {
        let asked_at = Instant::now();
        let mut state = self.state.lock().await;
        if let Some(open) = state.open.as_ref().filter(|open| !open.client.is_closed()) {
            return Ok(Arc::clone(open));
        }
        // A try that failed while this caller waited for its turn counts for it too: otherwise the last of many
        // callers would wait for as many tries.
        if let Some((_, reason)) = state.failed.as_ref().filter(|(failed_at, _)| *failed_at >= asked_at) {
            return Err(SourceError::Unavailable(reason.clone()));
        }
        let connected = self.connect().await;
        match &connected {
            Ok(open) => *state = State { open: Some(Arc::clone(open)), failed: None },
            Err(SourceError::Unavailable(reason)) => state.failed = Some((Instant::now(), reason.clone())),
            Err(_) => {}
        }
        connected
    }

    async fn connect(&self) -> Result<Arc<Open>, SourceError> {
        let (client, messages) = self.target.open().await?;
        let (session, transaction) = match self.setup {
            Setup::Outbox => (OUTBOX_SESSION, OUTBOX_TRANSACTION),
            Setup::Probe => (PROBE_SESSION, PROBE_TRANSACTION),
        };
        let begin = self.target.is_pooled().then_some(transaction);
        let open = Open { client, begin, turn: Mutex::default(), _driver: Driver::start(messages) };
        // Behind a pooler the next to use the server's connection would find it set so.
        if begin.is_none() {
            timed(open.client.batch_execute(session)).await?;
        }
        if self.setup == Setup::Outbox {
            check_version(&open).await?;
        }
        Ok(Arc::new(open))
    }
}
