//! The engine: what callers hold, and the order in which its parts begin and end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tidings_core::pattern::Selection;
use tidings_event::log::Receipt;
use tidings_event::{Event, TenantId};
use tidings_store::{Backend, LogInfo, Result, Store, TenantRow};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::catalog::{Door, Holder, Observed, Pool};
use crate::deliver::Means;
use crate::egress::Egress;
use crate::endpoints::Parts;
use crate::feed::Feeds;
use crate::health::HealthCache;
use crate::keys::KeyCache;
use crate::places::Places;
use crate::sources::{SourceHandle, Sources};
use crate::tail::Tail;
use crate::{
    AppendError, Appender, CatalogOptions, Error, FeedError, FeedReader, FeedStart, NamedSource, Options, catalog,
    deliver, pump, reconcile,
};

/// How long the end of a group of tasks is waited for before they are aborted.
const END_MAX: Duration = Duration::from_secs(20);

/// All stages over one log. Cheap to clone; all clones are the same engine.
#[derive(Clone)]
pub struct Engine {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) appender: Appender,
    pub(crate) feeds: Arc<Feeds>,
    pub(crate) sources: Sources,
    pub(crate) keys: KeyCache,
    pub(crate) health: HealthCache,
    pub(crate) endpoints: Parts,
    pub(crate) catalog: catalog::Parts,
    closed: AtomicBool,
    /// Ends what brings events in by itself, and what delivers them.
    intake: CancellationToken,
    tasks: Mutex<Tasks>,
    /// Held by the one who shuts down; whoever comes second waits for it.
    shutdown: tokio::sync::Mutex<bool>,
}

#[derive(Default)]
struct Tasks {
    intake: Vec<JoinHandle<()>>,
    routers: Vec<JoinHandle<()>>,
    appenders: Vec<JoinHandle<()>>,
    tail: Vec<JoinHandle<()>>,
}

impl Engine {
    /// Starts all stages over a store. One source must be named `platform`: Tidings' own outbox.
    pub async fn start(store: Arc<dyn Store>, sources: Vec<NamedSource>, options: Options) -> Result<Self> {
        let sources = Sources::new(sources)?;
        let (intake, ending) = (CancellationToken::new(), CancellationToken::new());
        // Nothing is taken in before it is known by what it is judged.
        let holder = Holder::load(store.clone()).await?;
        let observed = Arc::<Observed>::default();
        let tail = Tail::open(store.clone(), &options.tail).await?;
        let places = Arc::new(Places::new(store.clone(), options.append.places_max));
        let (appender, appenders) = Appender::start(&store, places.clone(), &tail, &observed, &options.append);
        let pool = Arc::<Pool>::default();
        let door = Door::new(appender.clone(), holder.clone(), store.clone(), places.clone(), pool.clone());
        let door = Arc::new(door);
        let catalog = catalog::Parts { door, holder, observed };
        let egress = Egress::new(&options.egress);
        let mut intake_tasks = start_intake(&sources, &catalog.door, &egress, &options, &intake);
        intake_tasks.extend(start_catalog(&catalog, &store, &options.catalog, &intake));
        let endpoints = Parts::new(egress.clone(), &options.deliver.master);
        let means = Means {
            store: store.clone(),
            tail: tail.clone(),
            places: places.clone(),
            egress,
            secrets: endpoints.secrets.clone(),
            catalog: catalog.holder.clone(),
            pool: pool.clone(),
            options: options.deliver,
        };
        let routers = deliver::start(means, &intake);
        let tasks = Tasks { intake: intake_tasks, routers, appenders, tail: tail.start(&options.tail, &ending) };
        let shared = Shared {
            appender,
            feeds: Arc::new(Feeds { store, tail, places, catalog: catalog.holder.clone(), pool, ending }),
            sources,
            keys: KeyCache::new(),
            health: HealthCache::default(),
            endpoints,
            catalog,
            closed: AtomicBool::new(false),
            intake,
            tasks: Mutex::new(tasks),
            shutdown: tokio::sync::Mutex::new(false),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> LogInfo {
        self.shared.feeds.store.log()
    }

    /// Which database holds the log.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.shared.feeds.store.backend()
    }

    /// The handle by which everything enters the log.
    #[must_use]
    pub fn appender(&self) -> &Appender {
        &self.shared.appender
    }

    /// Appends events in the order given; see [`Appender::append`]. The catalog is not asked; see [`Engine::emit`].
    pub async fn append(&self, events: Vec<Event>) -> Result<Vec<Receipt>, AppendError> {
        self.shared.appender.append(events).await
    }

    /// One tenant, if it was ever seen.
    pub async fn tenant(&self, id: &TenantId) -> Result<Option<TenantRow>> {
        self.shared.feeds.store.tenant(id).await
    }

    /// Tenants by name, after the given one; at most `limit`.
    pub async fn tenants(&self, after: Option<&TenantId>, limit: usize) -> Result<Vec<TenantRow>> {
        self.shared.feeds.store.tenants(after, limit).await
    }

    /// Opens a tenant's feed. A tenant that has no events has an empty feed, which fills once it has some.
    pub async fn feed(
        &self,
        tenant: &TenantId,
        start: FeedStart,
        selection: Arc<Selection>,
    ) -> Result<FeedReader, FeedError> {
        FeedReader::open(self.shared.feeds.clone(), tenant.clone(), start, selection).await
    }

    /// Whether the engine takes anything in.
    pub(crate) fn check_open(&self) -> Result<(), Error> {
        if self.shared.closed.load(Ordering::Acquire) { Err(Error::ShuttingDown) } else { Ok(()) }
    }

    /// Ends the engine: takes nothing in any more, writes what was taken in, ends its readers, closes the store.
    /// Returns when all of it has happened, or has taken far too long; calling it again waits for the same. An engine
    /// that is dropped without this goes on in the background.
    pub async fn shutdown(&self) {
        let mut done = self.shared.shutdown.lock().await;
        if *done {
            return;
        }
        self.shared.closed.store(true, Ordering::Release);
        let Tasks { intake, routers, appenders, tail } = std::mem::take(&mut *self.shared.tasks.lock());
        // What feeds the appenders ends before they do, so that nothing of theirs is turned away half done.
        self.shared.intake.cancel();
        end("intake", intake).await;
        self.shared.appender.close();
        end("appenders", appenders).await;
        end("routers", routers).await;
        self.shared.feeds.ending.cancel();
        end("tail", tail).await;
        if let Err(error) = self.shared.catalog.observed.flush(&*self.shared.feeds.store).await {
            tracing::warn!(%error, "who emitted what lately could not be stored");
        }
        if timeout(END_MAX, self.shared.feeds.store.close()).await.is_err() {
            tracing::warn!("the store did not close in time");
        }
        *done = true;
    }
}

/// Starts what brings events in by itself: for each source its pump and its reconciler.
fn start_intake(
    sources: &Sources,
    door: &Arc<Door>,
    egress: &Egress,
    options: &Options,
    intake: &CancellationToken,
) -> Vec<JoinHandle<()>> {
    let all: Arc<[SourceHandle]> = sources.all().into();
    all.iter()
        .flat_map(|source| {
            let (probed, egress) = (all.clone(), egress.clone());
            [
                pump::start(source.clone(), door.clone(), &options.pump, intake.clone()),
                reconcile::start(
                    source.clone(),
                    probed,
                    egress,
                    door.appender.clone(),
                    &options.reconcile,
                    intake.clone(),
                ),
            ]
        })
        .collect()
}

/// Starts what keeps up with the catalog and what stores who emits what.
fn start_catalog(
    parts: &catalog::Parts,
    store: &Arc<dyn Store>,
    options: &CatalogOptions,
    intake: &CancellationToken,
) -> [JoinHandle<()>; 2] {
    [
        tokio::spawn(parts.holder.clone().run(options.poll, intake.clone())),
        tokio::spawn(parts.observed.clone().run(store.clone(), options.observe, intake.clone())),
    ]
}

/// Waits for tasks to end, for a bounded time; those that do not are aborted.
async fn end(group: &str, tasks: Vec<JoinHandle<()>>) {
    let aborts: Vec<_> = tasks.iter().map(JoinHandle::abort_handle).collect();
    if timeout(END_MAX, futures_util::future::join_all(tasks)).await.is_err() {
        tracing::warn!(group, "some tasks did not end in time and were aborted");
        aborts.iter().for_each(tokio::task::AbortHandle::abort);
    }
}
