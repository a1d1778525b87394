//! A node: a real engine on a runtime of its own, which is let run a little at a time and may be killed between any two
//! steps that its tasks take.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tidings_bus::Bus;
use tidings_core::pace::Bounds;
use tidings_engine::{
    AppendOptions, DeliverLimits, DeliverOptions, EgressOptions, Engine, NamedSource, NodeOptions, Options,
    PumpOptions, ReconcileOptions, TailOptions, world,
};
use tidings_store::Store;
use tokio::runtime::Runtime;
use tokio::time::{advance, sleep, sleep_until};

use crate::bus::{Broker, NodeBus};
use crate::dice::Dice;
use crate::outbox::{Database, NodeSource};
use crate::place::{Lasting, NodeWorld, Place};
use crate::plan::Plan;
use crate::receivers::{NodePeers, Receivers};
use crate::store::{NodeStore, Owners};
use crate::universe::Universe;

/// How long a node's lease is.
pub const LEASE: Duration = Duration::from_secs(3);

/// What all nodes share.
pub struct Outside {
    pub universe: Arc<Universe>,
    pub plan: Plan,
    pub store: Arc<dyn Store>,
    pub owners: Arc<Owners>,
    pub databases: Vec<(String, Arc<Database>)>,
    pub receivers: Arc<Receivers>,
    /// Where there is a bus.
    pub broker: Option<Arc<Broker>>,
}

/// A node, up or down.
pub struct Node {
    pub name: String,
    pub lasting: Lasting,
    boots: u32,
    run: Option<Run>,
    /// When it starts again, if it is down.
    pub up_at_us: u64,
    /// It does not run until then.
    pub paused_until_us: u64,
    dice: Dice,
}

struct Run {
    runtime: Runtime,
    place: Arc<Place>,
    engine: Arc<Mutex<Option<Engine>>>,
    /// Set once it has ended in good order.
    ended: Arc<Mutex<bool>>,
    stopping: bool,
}

/// A call to a node, whose answer may never come.
pub struct Call<T> {
    answer: Arc<Mutex<Option<T>>>,
    /// When it was made.
    pub since_us: u64,
}

impl<T> Call<T> {
    /// The answer, once it is there.
    pub fn take(&self) -> Option<T> {
        self.answer.lock().take()
    }
}

impl Node {
    pub fn new(name: String, dice: Dice) -> Self {
        Self { name, lasting: Lasting::default(), boots: 0, run: None, up_at_us: 0, paused_until_us: 0, dice }
    }

    pub fn is_up(&self) -> bool {
        self.run.is_some()
    }

    /// Starts it.
    pub fn start(&mut self, outside: &Outside) {
        self.boots += 1;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without IO needs nothing of the machine");
        let (universe, plan) = (&outside.universe, &outside.plan);
        let place = {
            // Outside of it there is another clock.
            let _inside = runtime.enter();
            let place = Place::begin(&self.name, self.boots, universe, plan, &self.lasting, self.dice.fork());
            place.trace(format_args!("starts"));
            place
        };
        let engine = Arc::<Mutex<Option<Engine>>>::default();
        let (slot, here) = (engine.clone(), place.clone());
        let store: Arc<dyn Store> =
            Arc::new(NodeStore { inner: outside.store.clone(), place: place.clone(), owners: outside.owners.clone() });
        let sources = outside.databases.clone();
        let receivers = outside.receivers.clone();
        let bus = outside.broker.as_ref().map(|broker| NodeBus::of(broker, &place));
        let _world = world::enter(NodeWorld::of(&place));
        runtime.spawn(async move {
            loop {
                let sources = sources
                    .iter()
                    .map(|(name, database)| NamedSource {
                        name: name.clone(),
                        source: Arc::new(NodeSource::new(database.clone(), here.clone())),
                        service: None,
                    })
                    .collect();
                match Engine::start(store.clone(), sources, options(&here, &receivers, &bus)).await {
                    Ok(engine) => {
                        here.trace(format_args!("is up"));
                        *slot.lock() = Some(engine);
                        return;
                    }
                    Err(error) => here.trace(format_args!("cannot start: {error}")),
                }
                sleep(Duration::from_millis(200)).await;
            }
        });
        self.run = Some(Run { runtime, place, engine, ended: Arc::default(), stopping: false });
    }

    /// Lets it live up to a moment. It dies in between where the seed says so.
    pub fn live_until(&mut self, until_us: u64, universe: &Universe) {
        if self.paused_until_us > universe.now_us() {
            return;
        }
        let Some(run) = &self.run else { return };
        let _world = world::enter(NodeWorld::of(&run.place));
        let place = run.place.clone();
        run.runtime.block_on(async move {
            let until = place.instant(until_us);
            // A node that was paused finds that the time has passed all at once.
            if let Some(slept) = until.checked_duration_since(tokio::time::Instant::now())
                && slept > Duration::from_millis(500)
            {
                advance(slept - Duration::from_millis(1)).await;
                place.woke_us.store(place.now_us(), Ordering::Relaxed);
            }
            tokio::select! {
                biased;
                () = place.kill_now.notified() => {}
                () = sleep_until(until) => {}
            }
        });
        let (killed, ended) = (run.place.is_killed(), *run.ended.lock());
        if killed {
            self.kill("killed");
        } else if ended {
            self.kill("ended");
        }
    }

    /// Ends it as `kill -9` does: whatever its tasks were about is dropped where it stands.
    pub fn kill(&mut self, how: &str) {
        let Some(run) = self.run.take() else { return };
        let _world = world::enter(NodeWorld::of(&run.place));
        {
            let _inside = run.runtime.enter();
            run.place.trace(format_args!("{how}"));
        }
        let engine = run.engine.lock().take();
        run.runtime.shutdown_background();
        drop(engine);
        self.paused_until_us = 0;
        let now = run.place.universe.now_us();
        self.up_at_us = now + self.dice.within(20_000, 2_500_000);
    }

    /// Has it end in good order.
    pub fn stop(&mut self) -> bool {
        let Some(run) = self.run.as_mut().filter(|run| !run.stopping) else { return false };
        let Some(engine) = run.engine.lock().clone() else { return false };
        run.stopping = true;
        let ended = run.ended.clone();
        run.runtime.spawn(async move {
            engine.shutdown().await;
            *ended.lock() = true;
        });
        true
    }

    /// Calls it, if it is there to be called.
    pub fn call<T, F>(&self, universe: &Universe, work: impl FnOnce(Engine, Arc<Place>) -> F) -> Option<Call<T>>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let run = self.run.as_ref()?;
        let engine = run.engine.lock().clone()?;
        let answer = Arc::<Mutex<Option<T>>>::default();
        let slot = answer.clone();
        let work = work(engine, run.place.clone());
        run.runtime.spawn(async move {
            let answer = work.await;
            *slot.lock() = Some(answer);
        });
        Some(Call { answer, since_us: universe.now_us() })
    }
}

fn options(place: &Arc<Place>, receivers: &Arc<Receivers>, bus: &Option<Arc<NodeBus>>) -> Options {
    let poll = |busy: u64, idle: u64| Bounds {
        busy: Duration::from_millis(busy),
        linger: Duration::ZERO,
        idle: Duration::from_millis(idle),
    };
    Options {
        node: NodeOptions { id: place.name.clone(), lease: LEASE, ..NodeOptions::default() },
        bus: bus.clone().map(|bus| bus as Arc<dyn Bus>),
        append: AppendOptions { queue_events: 64, commit_events_max: 16, ..AppendOptions::default() },
        tail: TailOptions { ring_bytes: 16 * 1024, poll: Some(poll(10, 400)), ..TailOptions::default() },
        pump: PumpOptions { batch_rows: 4, poll: poll(10, 400), ..PumpOptions::default() },
        reconcile: ReconcileOptions { default_stale_s: 2, ..ReconcileOptions::default() },
        deliver: DeliverOptions { master: [7; 32], limits: limits(), ..DeliverOptions::default() },
        egress: EgressOptions {
            allow_http: true,
            peers: Some(Arc::new(NodePeers { receivers: receivers.clone(), place: place.clone() })),
            ..EgressOptions::default()
        },
        ..Options::default()
    }
}

/// Small, so that a short run meets every bound.
fn limits() -> DeliverLimits {
    DeliverLimits {
        in_flight_max: 12,
        lane_in_flight_max: 4,
        window: 8,
        undurable_max: 12,
        retries_max: 8,
        uncommitted_max: 32,
        probe_min: Duration::from_millis(500),
        probe_max: Duration::from_secs(3),
        open_after: 3,
        ..DeliverLimits::default()
    }
}
