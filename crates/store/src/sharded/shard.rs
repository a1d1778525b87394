//! One of the log's databases: opened when it is first needed, and again later where it did not answer.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tidings_event::LogId;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::ShardOptions;
use crate::postgres::setup::{Membership, Part};
use crate::postgres::shards::Registered;
use crate::postgres::{PostgresOptions, PostgresStore};
use crate::{Error, Result, ShardNo, Store};

/// The name of shard 0.
pub(super) const HOME: &str = "home";
/// How long the last failure to open is answered with, so that a database that is down costs its callers no wait.
const REST: Duration = Duration::from_secs(1);
/// How long opening may take.
const OPEN_MAX: Duration = Duration::from_secs(90);

pub(super) struct Shard {
    pub(super) no: ShardNo,
    pub(super) name: String,
    home: Arc<PostgresStore>,
    url: String,
    options: PostgresOptions,
    membership: Membership,
    opened: RwLock<Option<Arc<PostgresStore>>>,
    /// When opening failed last, and how; held by the one who opens.
    failed: Mutex<Option<(Instant, Error)>>,
}

impl Shard {
    pub(super) fn new(
        home: Arc<PostgresStore>,
        registered: Registered,
        given: &ShardOptions,
        options: PostgresOptions,
    ) -> Self {
        let log: LogId = home.log().id;
        let partitions = registered.partitions.iter().filter_map(|id| i32::try_from(*id).ok()).collect();
        let Registered { no, name, joined, .. } = registered;
        let membership = Membership { log, shard: no, name: name.clone(), partitions, joined };
        let (opened, failed) = (RwLock::default(), Mutex::default());
        Self { no: ShardNo(no), name, home, url: given.url.clone(), options, membership, opened, failed }
    }

    /// The database, open.
    pub(super) async fn store(&self) -> Result<Arc<PostgresStore>> {
        if let Some(store) = self.opened.read().clone() {
            return Ok(store);
        }
        let mut failed = self.failed.lock().await;
        if let Some(store) = self.opened.read().clone() {
            return Ok(store);
        }
        if let Some((at, error)) = &*failed
            && at.elapsed() < REST
        {
            return Err(error.clone());
        }
        let opened = timeout(OPEN_MAX, self.open()).await;
        match opened.unwrap_or_else(|_| Err(Error::unavailable("the database does not answer"))) {
            Ok(store) => {
                *self.opened.write() = Some(store.clone());
                *failed = None;
                Ok(store)
            }
            Err(error) => {
                let error = self.named(error);
                *failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// How its connections stand; nothing where it is not open.
    pub(super) fn connections(&self) -> Option<crate::ConnectionCounts> {
        self.opened.read().as_ref().and_then(|store| store.connections())
    }

    async fn open(&self) -> Result<Arc<PostgresStore>> {
        let part = Part::Shard(self.membership.clone());
        let store = Arc::new(PostgresStore::open(&self.url, &self.options, &part).await?);
        if !self.membership.joined {
            self.home.note_joined(self.membership.shard).await?;
        }
        Ok(store)
    }

    /// The error with the database that it is of.
    fn named(&self, error: Error) -> Error {
        match error {
            Error::Unavailable { reason, ambiguous } => {
                Error::Unavailable { reason: format!("shard '{}': {reason}", self.name), ambiguous }
            }
            Error::Unusable(reason) if !reason.contains("of shard '") => {
                Error::Unusable(format!("shard '{}': {reason}", self.name))
            }
            other => other,
        }
    }

    pub(super) async fn close(&self) {
        let store = self.opened.read().clone();
        if let Some(store) = store {
            store.close().await;
        }
        // Whoever asks from now on is answered so, for as long as the process lives.
        let mut failed = self.failed.lock().await;
        *failed = Some((Instant::now() + Duration::from_secs(86_400 * 365), Error::unavailable("the store is closed")));
    }
}
