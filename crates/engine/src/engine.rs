//! The engine: what callers hold, and the order in which its parts begin and end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tidings_bus::Bus;
use tidings_core::pattern::Selection;
use tidings_event::log::Receipt;
use tidings_event::{Event, PartitionId, TenantId};
use tidings_store::{Backend, Claim, LeaseRole, LogInfo, MoveOutcome, Result, Serves, Slot, Store, TenantRow};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::bus::{self, Pokes};
use crate::catalog::{Door, Holder, Observed, Pool};
use crate::deliver::Means;
use crate::egress::Egress;
use crate::endpoints::{Parts, Who};
use crate::feed::Feeds;
use crate::health::HealthCache;
use crate::keys::KeyCache;
use crate::lanes::{LaneStatus, Lanes};
use crate::lease::{Held, Leases, own};
use crate::options::DeliverOptions;
use crate::places::Places;
use crate::pump::Pump;
use crate::quota::Quotas;
use crate::reconcile::Reconciler;
use crate::sources::{SourceHandle, Sources};
use crate::system::Fact;
use crate::tail::Tail;
use crate::trace::Tracer;
use crate::turns::Turns;
use crate::{
    AppendError, Appender, CatalogOptions, Error, FeedError, FeedReader, FeedStart, NamedSource, Options, catalog,
    courier, deliver, secrets,
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
    pub(crate) sources: Arc<Sources>,
    pub(crate) keys: Arc<KeyCache>,
    pub(crate) bus: Option<Arc<dyn Bus>>,
    pub(crate) pokes: Arc<Pokes>,
    pub(crate) health: HealthCache,
    pub(crate) endpoints: Parts,
    pub(crate) catalog: catalog::Parts,
    pub(crate) leases: Arc<Leases>,
    pub(crate) quotas: Arc<Quotas>,
    lanes: Arc<Lanes>,
    tracer: Tracer,
    closed: AtomicBool,
    /// Ends what brings events in by itself, and what delivers them.
    intake: CancellationToken,
    /// Ends what is said and heard on the bus.
    bus_ending: CancellationToken,
    tasks: Mutex<Tasks>,
    /// Held by the one who shuts down; whoever comes second waits for it.
    shutdown: tokio::sync::Mutex<bool>,
}

#[derive(Default)]
struct Tasks {
    intake: Vec<JoinHandle<()>>,
    routers: Vec<JoinHandle<()>>,
    appenders: Vec<JoinHandle<()>>,
    bus: Vec<JoinHandle<()>>,
    tail: Vec<JoinHandle<()>>,
    beats: Vec<JoinHandle<()>>,
}

impl Engine {
    /// Starts all stages over a store. One source must be named `platform`: Tidings' own outbox.
    pub async fn start(store: Arc<dyn Store>, sources: Vec<NamedSource>, options: Options) -> Result<Self> {
        let sources = Arc::new(Sources::new(sources)?);
        let keys = Arc::new(KeyCache::new());
        let pokes = Pokes::new(options.bus.is_some());
        let (intake, ending) = (CancellationToken::new(), CancellationToken::new());
        prove_master(&*store, &options.deliver).await?;
        // Nothing is taken in before it is known by what it is judged.
        let holder = Holder::load(store.clone()).await?;
        let quotas = Quotas::load(store.clone(), &options.quota).await?;
        let observed = Arc::<Observed>::default();
        let places = Arc::new(Places::new(store.clone(), options.append.places_max));
        let turns = Turns::new(options.tail.store_reads);
        let tail = Tail::open(store.clone(), options.bus.clone(), pokes.clone(), places.clone(), &options.tail).await?;
        metrics::gauge!(crate::metrics::PARTITIONS).set(f64::from(store.log().partitions));
        let tracer = options.tracer.clone();
        let (appender, appenders) = Appender::start(&store, places.clone(), &tail, &observed, &options.append, &tracer);
        let pool = Arc::<Pool>::default();
        let door = Door::new(appender.clone(), holder.clone(), store.clone(), places.clone(), pool.clone());
        let door = Arc::new(door);
        let catalog = catalog::Parts { door, holder, observed };
        let egress = Egress::new(&options.egress);
        let leases = Leases::open(store.clone(), &options.node, serves(&sources, &options)).await;
        let mut intake_tasks = start_intake(&sources, &leases, &catalog.door, &quotas, &egress, &options, &intake);
        intake_tasks.extend(courier::start(&store, &appender, &intake));
        intake_tasks.extend(start_catalog(&catalog, &store, &options.catalog, &intake));
        intake_tasks.push(tokio::spawn(quotas.clone().run(options.quota.poll, intake.clone())));
        let endpoints = Parts::new(egress.clone(), &options.deliver.master);
        let means = Means {
            store: store.clone(),
            leases: leases.clone(),
            tail: tail.clone(),
            places: places.clone(),
            egress,
            secrets: endpoints.secrets.clone(),
            catalog: catalog.holder.clone(),
            pool: pool.clone(),
            lanes: Arc::default(),
            tracer: tracer.clone(),
            options: options.deliver,
        };
        let lanes = means.lanes.clone();
        let routers = deliver::start(means, &intake);
        let bus_ending = CancellationToken::new();
        let bus_tasks = options.bus.clone().map_or_else(Vec::new, |bus| {
            let means = bus::Means {
                bus,
                store: store.clone(),
                tail: tail.clone(),
                leases: leases.clone(),
                pokes: pokes.clone(),
                sources: sources.clone(),
                catalog: catalog.holder.clone(),
                keys: keys.clone(),
            };
            bus::start(means, options.node.roles.publisher, &bus_ending)
        });
        let (tail_tasks, beats) = (tail.start(&options.tail, &ending), leases.start(&ending));
        let tasks = Tasks { intake: intake_tasks, routers, appenders, bus: bus_tasks, tail: tail_tasks, beats };
        let shared = Shared {
            appender,
            feeds: Arc::new(Feeds { store, tail, places, catalog: catalog.holder.clone(), pool, turns, ending }),
            sources,
            keys,
            bus: options.bus,
            pokes,
            bus_ending,
            health: HealthCache::default(),
            endpoints,
            catalog,
            leases,
            quotas,
            lanes,
            tracer,
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

    /// What records the way of single events.
    #[must_use]
    pub fn tracer(&self) -> &Tracer {
        &self.shared.tracer
    }

    /// The lanes that are furthest behind among the partitions that this node routes: each partition's few worst, as they
    /// stood some seconds ago; the worst first, at most `limit`.
    #[must_use]
    pub fn lanes(&self, limit: usize) -> Vec<LaneStatus> {
        self.shared.lanes.worst(limit)
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

    /// Moves a tenant to another partition, while everything goes on: what is appended to it from then on goes there, under
    /// the sequences that follow. Its deliveries stand still for a moment, and what was under way may be sent again. Where
    /// the partition lies in another database, it does as much as takes a moment and tells how far that is. May be called
    /// again whatever came of it. A move that was made is told, with who asked for it.
    pub async fn move_tenant(&self, who: &Who, id: &TenantId, to: PartitionId) -> Result<MoveOutcome> {
        let feeds = &self.shared.feeds;
        let Some(place) = feeds.places.look(id).await? else { return Ok(MoveOutcome::NoTenant) };
        let outcome = feeds.store.move_tenant(place.no, to).await?;
        feeds.places.forget();
        if let MoveOutcome::Moved { from, .. } = outcome {
            tracing::info!(tenant = %id, %from, %to, key = who.key, "a tenant was moved to another partition");
            self.tell(&Fact::of_move(Some(who), id, from, to)).await;
        }
        Ok(outcome)
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
        let Tasks { intake, routers, appenders, bus, tail, beats } = std::mem::take(&mut *self.shared.tasks.lock());
        // Others learn at once that they shall own what this node gives back.
        self.shared.leases.retire();
        // What feeds the appenders ends before they do, so that nothing of theirs is turned away half done.
        self.shared.intake.cancel();
        end("intake", intake).await;
        self.shared.appender.close();
        end("appenders", appenders).await;
        end("routers", routers).await;
        self.shared.bus_ending.cancel();
        end("bus", bus).await;
        self.shared.feeds.ending.cancel();
        end("tail", tail).await;
        end("heartbeats", beats).await;
        self.shared.leases.leave().await;
        if let Err(error) = self.shared.catalog.observed.flush(&*self.shared.feeds.store).await {
            tracing::warn!(%error, "who emitted what lately could not be stored");
        }
        if let Some(bus) = &self.shared.bus {
            bus.close().await;
        }
        if timeout(END_MAX, self.shared.feeds.store.close()).await.is_err() {
            tracing::warn!("the store did not close in time");
        }
        *done = true;
    }
}

/// What this node takes upon itself.
fn serves(sources: &Sources, options: &Options) -> Serves {
    let roles = options.node.roles;
    let taken = [
        (roles.api, Serves::API),
        (roles.pump, LeaseRole::Pump.as_str()),
        (roles.router, LeaseRole::Router.as_str()),
        (roles.publisher && options.bus.is_some(), LeaseRole::Publisher.as_str()),
    ];
    Serves {
        roles: taken.iter().filter(|(taken, _)| *taken).map(|(_, role)| (*role).to_owned()).collect(),
        sources: sources.all().iter().map(|source| source.name.to_string()).collect(),
    }
}

/// Refuses a node whose master key is not the one of the others: it could not read what they sealed, nor they what it
/// seals.
async fn prove_master(store: &dyn Store, options: &DeliverOptions) -> Result<()> {
    if store.master_check(&secrets::master_check(&options.master), options.replace_master).await? {
        return Ok(());
    }
    Err(tidings_store::Error::Unusable(
        "its log was used with another master key, under which secrets of endpoints and cursors are sealed; all nodes of \
         one log need the same (TIDINGS_MASTER_KEY, or master.key in the data directory). Where that key is lost for \
         good, `tidings serve --replace-master-key` goes on with this one"
            .to_owned(),
    ))
}

/// Starts what brings events in by itself: for each source its pump and its reconciler, which work while this node owns
/// the source.
fn start_intake(
    sources: &Sources,
    leases: &Arc<Leases>,
    door: &Arc<Door>,
    quotas: &Arc<Quotas>,
    egress: &Egress,
    options: &Options,
    intake: &CancellationToken,
) -> Vec<JoinHandle<()>> {
    let all: Arc<[SourceHandle]> = sources.all().into();
    let start = |source: &SourceHandle| {
        let (source, probed, egress, door) = (source.clone(), all.clone(), egress.clone(), door.clone());
        let quotas = quotas.clone();
        let (pumping, reconciling) = (options.pump.clone(), options.reconcile.clone());
        let slot = Slot::source(&source.name);
        let work = move |_claim: Claim, token: CancellationToken| {
            let pump = Pump::new(source.clone(), door.clone(), quotas.clone(), pumping.clone());
            let appender = door.appender.clone();
            let reconciler =
                Reconciler::new(source.clone(), probed.clone(), egress.clone(), appender, reconciling.clone());
            async move {
                tokio::join!(pump.run(token.clone()), reconciler.run(token));
                Held::InOrder
            }
        };
        tokio::spawn(own(leases.clone(), LeaseRole::Pump, slot, work, intake.clone()))
    };
    all.iter().map(start).collect()
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
