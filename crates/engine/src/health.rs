//! Whether the engine can do its work, and how safe its acknowledgements are.

use std::time::Duration;

use futures_util::future::join_all;
use metrics::gauge;
use tidings_bus::{Bus, BusHealth};
use tidings_store::{Backend, Durability, LogInfo, OutboxStatus, ShardState};
use tokio::time::{Instant, timeout};

use crate::Engine;
use crate::append::now;
use crate::catalog::CatalogHealth;
use crate::metrics as names;
use crate::sources::SourceHandle;

/// How long an answer is reused, so that many probes cost one look.
const CACHED_FOR: Duration = Duration::from_secs(1);
/// How long one look may take before it counts as a failure.
const LOOK_MAX: Duration = Duration::from_secs(2);

/// How the engine stands.
#[derive(Debug, Clone)]
pub struct Health {
    /// The log.
    pub log: LogInfo,
    /// Which database holds it.
    pub backend: Backend,
    /// Whether events can be taken in and read: the storage commits writes and the engine is not shutting down.
    pub ready: bool,
    /// Whether the engine is shutting down.
    pub shutting_down: bool,
    /// Why the storage did not commit a write just now; `None` when it did.
    pub storage_problem: Option<String>,
    /// How safe an acknowledged write is; `None` when the storage does not answer.
    pub durability: Option<Durability>,
    /// Each of the log's databases, where it has several. One that is down takes its own tenants down and nobody else, so
    /// only home decides `ready`.
    pub shards: Vec<ShardState>,
    /// Each source. A source that is down delays its own events and nothing else, so it does not decide `ready`.
    pub sources: Vec<SourceHealth>,
    /// The bus, where there is one. The log holds what is acknowledged, so it does not decide `ready`, and how durable its
    /// streams are does not weaken any acknowledgement.
    pub bus: Option<BusHealth>,
    /// The catalog as this node knows it. One that is behind, or holds what cannot be read, does not decide `ready`.
    pub catalog: CatalogHealth,
}

/// How a source stands.
#[derive(Debug, Clone)]
pub struct SourceHealth {
    /// Its name.
    pub name: String,
    /// Its outbox; `None` when it does not answer.
    pub status: Option<OutboxStatus>,
    /// How long its oldest waiting row has waited, in milliseconds by the clock of its database; zero when none waits.
    pub lag_ms: Option<u64>,
    /// How far the database's clock is ahead of this machine's, in milliseconds.
    pub clock_ahead_ms: Option<i64>,
    /// Why it did not answer.
    pub problem: Option<String>,
}

/// The last answer. Whoever holds the lock looks; the others wait for what is found.
pub(crate) type HealthCache = tokio::sync::Mutex<Option<(Instant, Health)>>;

impl Engine {
    /// How the engine stands, not older than about a second. The problems it names are for operators, not for
    /// callers from outside.
    pub async fn health(&self) -> Health {
        let mut cache = self.shared.health.lock().await;
        let fresh = cache.as_ref().filter(|(at, _)| at.elapsed() < CACHED_FOR).map(|(_, health)| health.clone());
        let mut health = match fresh {
            Some(health) => health,
            None => {
                let health = self.look().await;
                *cache = Some((Instant::now(), health.clone()));
                health
            }
        };
        health.shutting_down = self.check_open().is_err();
        health.ready = health.storage_problem.is_none() && !health.shutting_down;
        metrics::gauge!(crate::metrics::READY).set(if health.ready { 1.0 } else { 0.0 });
        health
    }

    async fn look(&self) -> Health {
        let store = &*self.shared.feeds.store;
        let (written, durability, sources, bus, shards) = tokio::join!(
            timeout(LOOK_MAX, store.probe_write()),
            timeout(LOOK_MAX, store.durability()),
            join_all(self.shared.sources.all().iter().map(source_health)),
            bus_health(self.shared.bus.as_deref()),
            timeout(LOOK_MAX, store.shard_states()),
        );
        if let Some(counts) = store.connections() {
            for (state, count) in [("idle", counts.idle), ("used", counts.used), ("waiting", counts.waiting)] {
                metrics::gauge!(crate::metrics::STORE_CONNECTIONS, "state" => state).set(crate::append::count(count));
            }
        }
        let storage_problem = match written {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no write was committed within {} s", LOOK_MAX.as_secs())),
        };
        Health {
            log: store.log(),
            backend: store.backend(),
            ready: storage_problem.is_none(),
            shutting_down: false,
            storage_problem,
            durability: durability.ok().and_then(Result::ok),
            shards: shards.unwrap_or_default(),
            sources,
            bus,
            catalog: self.shared.catalog.holder.health(),
        }
    }
}

async fn bus_health(bus: Option<&dyn Bus>) -> Option<BusHealth> {
    let bus = bus?;
    let health = timeout(LOOK_MAX, bus.health()).await.unwrap_or_else(|_| BusHealth {
        connected: bus.is_connected(),
        settings: Vec::new(),
        warnings: vec![format!("the bus did not answer within {} s", LOOK_MAX.as_secs())],
    });
    gauge!(names::BUS_CONNECTED).set(f64::from(u8::from(health.connected)));
    Some(health)
}

async fn source_health(source: &SourceHandle) -> SourceHealth {
    let look = async {
        let status = source.source.status().await?;
        let clock = source.source.clock().await?;
        Ok::<_, tidings_store::SourceError>((status, clock, now()))
    };
    let mut health =
        SourceHealth { name: source.name.to_string(), status: None, lag_ms: None, clock_ahead_ms: None, problem: None };
    match timeout(LOOK_MAX, look).await {
        Ok(Ok((status, clock, here))) => {
            let waited = status.oldest_pending.map_or(0, |oldest| clock.as_micros() - oldest.as_micros());
            health.lag_ms = Some(u64::try_from(waited / 1_000).unwrap_or(0));
            health.clock_ahead_ms = Some((clock.as_micros() - here.as_micros()) / 1_000);
            health.status = Some(status);
        }
        Ok(Err(error)) => health.problem = Some(error.to_string()),
        Err(_) => health.problem = Some(format!("no answer within {} s", LOOK_MAX.as_secs())),
    }
    health
}
