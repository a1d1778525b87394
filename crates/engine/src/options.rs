//! What can be set, with the defaults that are good for most.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tidings_bus::Bus;
use tidings_core::quota::InForce;
use tidings_core::{deliver, pace};
use ulid::Ulid;
use url::Url;

use crate::egress::Peers;
use crate::trace::Tracer;

/// Everything that can be set.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// This node among the others of its log.
    pub node: NodeOptions,
    /// Taking events in.
    pub append: AppendOptions,
    /// Keeping the newest events in memory.
    pub tail: TailOptions,
    /// Emptying the outboxes.
    pub pump: PumpOptions,
    /// Resolving intents that nobody confirmed.
    pub reconcile: ReconcileOptions,
    /// Delivering events to endpoints.
    pub deliver: DeliverOptions,
    /// Where HTTP probes and deliveries may go.
    pub egress: EgressOptions,
    /// Keeping up with the catalog.
    pub catalog: CatalogOptions,
    /// What tenants may send.
    pub quota: QuotaOptions,
    /// What nodes tell each other beside the log, and outside consumers subscribe to; none where nodes only poll.
    pub bus: Option<Arc<dyn Bus>>,
    /// Telling what becomes of single events; off by default.
    pub tracer: Tracer,
}

/// A node among the others of its log.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// Its name. A node that comes back under its old name takes what it had at once; under another name it waits until
    /// the old lease has run out. No two nodes that run may share one.
    pub id: String,
    /// Where it listens, for people who ask which nodes there are.
    pub address: Option<String>,
    /// What it does.
    pub roles: Roles,
    /// How long a node may be silent before others take what it owns.
    pub lease: Duration,
    /// How often it says that it is there; a third of the lease, or less.
    pub beat: Duration,
}

impl Default for NodeOptions {
    fn default() -> Self {
        Self {
            id: Ulid::generate().to_string(),
            address: None,
            roles: Roles::default(),
            lease: Duration::from_secs(3),
            beat: Duration::from_secs(1),
        }
    }
}

/// What a node does. Whatever it does not, it can be asked for all the same: endpoints, say, are managed on any node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles {
    /// Answers calls; counted by others, who share limits with it.
    pub api: bool,
    /// Empties outboxes, Tidings' own among them, and resolves intents.
    pub pump: bool,
    /// Delivers events to endpoints.
    pub router: bool,
    /// Writes events to the bus, where there is one.
    pub publisher: bool,
}

impl Default for Roles {
    /// All of it.
    fn default() -> Self {
        Self { api: true, pump: true, router: true, publisher: true }
    }
}

/// What tenants may send.
#[derive(Debug, Clone)]
pub struct QuotaOptions {
    /// What holds for tenants that have no quotas of their own; zero stands for none.
    pub default: InForce,
    /// How often the store is asked for changes that other nodes made, at most.
    pub poll: Duration,
}

impl Default for QuotaOptions {
    fn default() -> Self {
        Self { default: InForce::default(), poll: Duration::from_secs(2) }
    }
}

/// How the catalog is kept up with.
#[derive(Debug, Clone)]
pub struct CatalogOptions {
    /// How often the store is asked for changes that other nodes made, about.
    pub poll: Duration,
    /// How often it is stored who emits what.
    pub observe: Duration,
}

impl Default for CatalogOptions {
    fn default() -> Self {
        Self { poll: Duration::from_secs(1), observe: Duration::from_secs(5) }
    }
}

/// How events are taken in.
#[derive(Debug, Clone)]
pub struct AppendOptions {
    /// Events that may wait in one partition; further ones are answered as overload.
    pub queue_events: usize,
    /// Bytes of `data` and envelope that may wait in one partition.
    pub queue_bytes: usize,
    /// Events that one commit writes at most, unless a single request has more.
    pub commit_events_max: usize,
    /// Bytes that one commit writes at most, unless a single request has more.
    pub commit_bytes_max: usize,
    /// Tenants whose place is remembered.
    pub places_max: u64,
}

impl Default for AppendOptions {
    fn default() -> Self {
        Self {
            queue_events: 16_000,
            queue_bytes: 32 * 1024 * 1024,
            commit_events_max: 4_000,
            commit_bytes_max: 16 * 1024 * 1024,
            places_max: 100_000,
        }
    }
}

/// How the newest events are kept in memory for readers.
#[derive(Debug, Clone)]
pub struct TailOptions {
    /// Bytes of memory for the newest events, all partitions together.
    pub ring_bytes: usize,
    /// How often the log is asked for events that other nodes appended. `None` takes what suits the database: 5 to
    /// 50 ms on PostgreSQL; every second on SQLite, where every event comes through this process.
    pub poll: Option<pace::Bounds>,
    /// Reads of the log by feed readers that are behind what is in memory, at once. Fewer than the store has connections
    /// for reading, so that such readers leave some for everybody else.
    pub store_reads: usize,
}

impl Default for TailOptions {
    fn default() -> Self {
        Self { ring_bytes: 32 * 1024 * 1024, poll: None, store_reads: 4 }
    }
}

/// How outboxes are emptied.
#[derive(Debug, Clone)]
pub struct PumpOptions {
    /// Rows that one read takes at most.
    pub batch_rows: usize,
    /// Bytes that one read takes, about.
    pub batch_bytes: usize,
    /// How often a source is looked at.
    pub poll: pace::Bounds,
    /// How often a source is read from its first row on even where its reads are slow, and even where nothing hints at
    /// anything new. Also bounds one round over a backlog.
    pub sweep: Duration,
}

impl Default for PumpOptions {
    fn default() -> Self {
        Self {
            batch_rows: 1_000,
            batch_bytes: 8 * 1024 * 1024,
            poll: pace::Bounds::POLL,
            sweep: Duration::from_secs(1),
        }
    }
}

/// How intents that nobody confirmed are resolved.
#[derive(Debug, Clone)]
pub struct ReconcileOptions {
    /// Seconds after which an intent is asked about, where it names none.
    pub default_stale_s: u32,
    /// How often stale intents are looked for.
    pub interval: Duration,
    /// Intents that one read takes at most.
    pub batch_rows: usize,
}

impl Default for ReconcileOptions {
    fn default() -> Self {
        Self { default_stale_s: 300, interval: Duration::from_secs(1), batch_rows: 100 }
    }
}

/// Where requests of this server may go.
#[derive(Clone)]
pub struct EgressOptions {
    /// Private ranges that are allowed all the same.
    pub allow_cidrs: Vec<IpNet>,
    /// Whether plain HTTP is allowed.
    pub allow_http: bool,
    /// The ports that are allowed. Empty allows all but a short list of those at which something else than HTTP is at
    /// home, such as mail, databases and remote login.
    pub allow_ports: Vec<u16>,
    /// The proxy that all requests go through: `http://` (by CONNECT) or `socks5://`, with credentials in the URL where
    /// it asks for them. Names are resolved and checked here, and the proxy is told the address.
    pub proxy: Option<Url>,
    /// How long a probe may take, connecting included.
    pub timeout: Duration,
    /// What answers in place of the network, in simulations.
    pub peers: Option<Arc<dyn Peers>>,
}

impl Default for EgressOptions {
    fn default() -> Self {
        Self {
            allow_cidrs: Vec::new(),
            allow_http: false,
            allow_ports: Vec::new(),
            proxy: None,
            timeout: Duration::from_secs(10),
            peers: None,
        }
    }
}

impl std::fmt::Debug for EgressOptions {
    /// All but what may hold credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EgressOptions")
            .field("allow_cidrs", &self.allow_cidrs)
            .field("allow_http", &self.allow_http)
            .field("allow_ports", &self.allow_ports)
            .field("proxied", &self.proxy.is_some())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl EgressOptions {
    /// Whether a proxy of this kind can be used; with any other every request fails.
    #[must_use]
    pub fn is_proxy(url: &Url) -> bool {
        crate::egress::is_proxy(url)
    }
}

/// How events are delivered to endpoints.
#[derive(Clone)]
pub struct DeliverOptions {
    /// The key under which endpoints' secrets are sealed: the same on all nodes of a log, and over restarts.
    pub master: [u8; 32],
    /// Whether that key takes the place of another one that the log was used with; what was sealed under the other is
    /// lost. Without it such a node is refused.
    pub replace_master: bool,
    /// The bounds of each router.
    pub limits: deliver::Limits,
    /// For how long attempts are kept, in whole days.
    pub attempts_kept: Duration,
}

impl Default for DeliverOptions {
    fn default() -> Self {
        Self {
            master: [0; 32],
            replace_master: false,
            limits: deliver::Limits::default(),
            attempts_kept: Duration::from_secs(30 * 24 * 60 * 60),
        }
    }
}

impl std::fmt::Debug for DeliverOptions {
    /// Everything but the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeliverOptions")
            .field("limits", &self.limits)
            .field("attempts_kept", &self.attempts_kept)
            .finish_non_exhaustive()
    }
}
