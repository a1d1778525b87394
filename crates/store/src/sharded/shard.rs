//! One of the log's databases: opened when it is first needed, and again later where it did not answer.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tidings_event::LogId;
use tokio::sync::watch;
use tokio::task::JoinHandle;
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
/// How long opening may take; it may have to bring the schema up to date.
pub(super) const OPEN_MAX: Duration = Duration::from_secs(90);
/// How long a call waits for a database that is being opened for the first time. Once that has failed nobody waits: a
/// database that hangs must not keep the room that calls for the others need.
const WAIT_MAX: Duration = Duration::from_secs(3);

pub(super) struct Shard {
    pub(super) no: ShardNo,
    pub(super) name: String,
    home: Arc<PostgresStore>,
    url: String,
    options: PostgresOptions,
    membership: Membership,
    opened: RwLock<Option<Arc<PostgresStore>>>,
    opening: Mutex<Opening>,
    /// Changes whenever opening has ended, well or not.
    ended: watch::Sender<()>,
}

#[derive(Default)]
struct Opening {
    /// The one task that opens.
    task: Option<JoinHandle<()>>,
    /// When opening failed last, and how.
    failed: Option<(Instant, Error)>,
    closed: bool,
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
        let (opened, opening, ended) = (RwLock::default(), Mutex::default(), watch::Sender::new(()));
        Self { no: ShardNo(no), name, home, url: given.url.clone(), options, membership, opened, opening, ended }
    }

    /// The database, open, or why it is not. It is opened in the background, however the caller fares.
    pub(super) async fn store(self: &Arc<Self>) -> Result<Arc<PostgresStore>> {
        if let Some(store) = self.opened.read().clone() {
            return Ok(store);
        }
        let mut ended = self.ended.subscribe();
        self.begin();
        let failed = self.opening.lock().failed.clone();
        if let Some((_, error)) = failed {
            return Err(error);
        }
        self.outcome(&mut ended, WAIT_MAX).await
    }

    /// The database, open, once opening it has ended; not much later than `patience`.
    pub(super) async fn opened_within(self: &Arc<Self>, patience: Duration) -> Result<Arc<PostgresStore>> {
        let mut ended = self.ended.subscribe();
        self.begin();
        self.outcome(&mut ended, patience).await
    }

    async fn outcome(&self, ended: &mut watch::Receiver<()>, patience: Duration) -> Result<Arc<PostgresStore>> {
        let is_opening = self.opening.lock().task.is_some();
        let in_time = !is_opening || timeout(patience, ended.changed()).await.is_ok();
        if let Some(store) = self.opened.read().clone() {
            return Ok(store);
        }
        let failed = self.opening.lock().failed.clone().filter(|_| in_time);
        Err(failed.map_or_else(|| self.named(Error::unavailable("the database does not answer")), |(_, error)| error))
    }

    /// Begins to open it, unless it is open, being opened, closed for good, or failed a moment ago.
    fn begin(self: &Arc<Self>) {
        let mut opening = self.opening.lock();
        let rests = opening.failed.as_ref().is_some_and(|(at, _)| at.elapsed() < REST);
        let works = opening.task.as_ref().is_some_and(|task| !task.is_finished());
        if rests || works || opening.closed || self.opened.read().is_some() {
            return;
        }
        let shard = self.clone();
        opening.task = Some(tokio::spawn(async move {
            let opened = timeout(OPEN_MAX, shard.open()).await;
            let opened = opened.unwrap_or_else(|_| Err(Error::unavailable("the database does not answer")));
            shard.note(opened).await;
        }));
    }

    async fn note(&self, opened: Result<Arc<PostgresStore>>) {
        let too_late = {
            let mut opening = self.opening.lock();
            opening.task = None;
            match opened {
                Ok(store) if opening.closed => Some(store),
                Ok(store) => {
                    *self.opened.write() = Some(store);
                    opening.failed = None;
                    None
                }
                Err(error) => {
                    if !opening.closed {
                        opening.failed = Some((Instant::now(), self.named(error)));
                    }
                    None
                }
            }
        };
        self.ended.send_replace(());
        if let Some(store) = too_late {
            store.close().await;
        }
    }

    /// How its connections stand; nothing where it is not open.
    pub(super) fn connections(&self) -> Option<crate::ConnectionCounts> {
        self.opened.read().as_ref().and_then(|store| store.connections())
    }

    async fn open(&self) -> Result<Arc<PostgresStore>> {
        let part = Part::Shard(self.membership.clone());
        let store = Arc::new(PostgresStore::open(&self.url, &self.options, &part).await?);
        if !self.membership.joined && !self.options.existing {
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
        {
            let mut opening = self.opening.lock();
            opening.closed = true;
            opening.failed = Some((Instant::now(), Error::unavailable("the store is closed")));
        }
        let store = self.opened.read().clone();
        if let Some(store) = store {
            store.close().await;
        }
    }
}
