//! Quotas at work: what each tenant may send, known on every node, and held to where events come in.
//!
//! What a request brings is charged before anything of it is judged or queued, to all of its tenants or to none. Each
//! node that serves the API holds to an equal part of a quota; a pump holds its source's outbox to a whole one, and
//! slows down instead of refusing. So a quota bounds each way in by itself.
//!
//! The numbers that tenants have of their own are a snapshot in memory, which follows the store: a change made here
//! holds before it is answered, on other nodes it holds after the next look.

mod meters;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics::counter;
use parking_lot::{Mutex, RwLock};
use serde_json::{Map, json};
use tidings_core::quota::{InForce, Load, Own, Room};
use tidings_event::{Event, TenantId, Timestamp};
use tidings_store::{QuotaOutcome, QuotaRevision, QuotaRow, Result, Store};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::append::{now, weight};
use crate::endpoints::Who;
use crate::options::QuotaOptions;
use crate::pause::sleep_unless;
use crate::system::{Fact, Kind};
use crate::{AppendError, Engine, metrics as names};
pub(crate) use meters::Meters;

/// Rows that one look takes.
const READ_AT_ONCE: usize = 1_000;
/// How long one look at the store may take before it counts as a failure.
const LOOK_MAX: Duration = Duration::from_secs(30);

/// How events come in over the API. Each way has quotas of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// As events.
    Events,
    /// As intents. What becomes of them comes through the outbox of Tidings itself.
    Intents,
}

/// How a tenant stands after a charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Whose.
    pub tenant: TenantId,
    /// Of its quota of events, if it has one.
    pub events: Option<Room>,
    /// Of its quota of bytes, if it has one.
    pub bytes: Option<Room>,
}

/// Why a charge was refused. Nothing was charged.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Throttled {
    /// Tenants would send more than they may.
    #[error("tenants would send more than they may")]
    Exceeded {
        /// How long until the same would pass, if nothing else comes in between.
        wait: Duration,
        /// How the tenants of the call stand.
        standings: Vec<Standing>,
    },
    /// As many tenants as can be are being counted at once.
    #[error("as many tenants as can be are being counted")]
    Overloaded,
}

/// A tenant's quotas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantQuota {
    /// What it has of its own.
    pub own: Own,
    /// What holds.
    pub in_force: InForce,
    /// Who made the last change, and when, if there was one.
    pub changed: Option<(String, Timestamp)>,
}

/// The quotas of all tenants, and how much of them was used here.
pub(crate) struct Quotas {
    store: Arc<dyn Store>,
    default: InForce,
    /// What tenants have of their own; those that have nothing are not in it.
    own: RwLock<HashMap<TenantId, Own>>,
    /// Whether no tenant has any quota, so that nothing needs to be counted.
    free: AtomicBool,
    /// Up to which change `own` is; held by who brings it further.
    known: tokio::sync::Mutex<QuotaRevision>,
    events: Mutex<Meters>,
    intents: Mutex<Meters>,
    /// The moment from which meters count.
    began: Instant,
}

impl Quotas {
    /// Loads what all tenants have of their own.
    pub(crate) async fn load(store: Arc<dyn Store>, options: &QuotaOptions) -> Result<Arc<Self>> {
        let quotas = Arc::new(Self {
            store,
            default: Own::default().over(&options.default),
            own: RwLock::default(),
            free: AtomicBool::new(false),
            known: tokio::sync::Mutex::default(),
            events: Mutex::default(),
            intents: Mutex::default(),
            began: Instant::now(),
        });
        quotas.look().await?;
        Ok(quotas)
    }

    /// Looks for changes that other nodes made, again and again, until the engine ends.
    pub(crate) async fn run(self: Arc<Self>, every: Duration, ending: CancellationToken) {
        let mut failing = false;
        // Nodes that were started together shall not ask together.
        while sleep_unless(every.mul_f64(0.9 + 0.1 * crate::dice::fraction()), &ending).await {
            let looked = tokio::select! {
                biased;
                () = ending.cancelled() => return,
                looked = timeout(LOOK_MAX, self.look()) => looked,
            };
            let problem = match looked {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some(format!("no answer within {} s", LOOK_MAX.as_secs())),
            };
            match problem {
                Some(problem) if !failing => {
                    tracing::warn!(problem, "changes of quotas cannot be asked for; trying again");
                    failing = true;
                }
                None if failing => {
                    tracing::info!("changes of quotas can be asked for again");
                    failing = false;
                }
                _ => {}
            }
        }
    }

    async fn look(&self) -> Result<()> {
        let mut known = self.known.lock().await;
        loop {
            let slice = self.store.quotas(*known, READ_AT_ONCE).await?;
            if slice.head < *known {
                // The store holds an earlier state than the one that was known: what is there now counts.
                *known = QuotaRevision(0);
                self.take(None);
                continue;
            }
            let complete = slice.rows.len() < READ_AT_ONCE;
            for row in &slice.rows {
                *known = row.revision;
                self.take(Some(row));
            }
            if complete {
                self.note_free();
                return Ok(());
            }
        }
    }

    /// Takes over one row; without one, forgets all.
    fn take(&self, row: Option<&QuotaRow>) {
        let mut all = self.own.write();
        match row {
            None => all.clear(),
            Some(row) => {
                let own = own(row);
                if own.is_empty() {
                    all.remove(&row.tenant);
                } else {
                    all.insert(row.tenant.clone(), own);
                }
            }
        }
    }

    fn note_free(&self) {
        let free = self.default.is_free() && self.own.read().values().all(|own| own.over(&self.default).is_free());
        self.free.store(free, Ordering::Release);
    }

    /// What holds for a tenant.
    pub(crate) fn in_force(&self, tenant: &TenantId) -> InForce {
        self.own.read().get(tenant).map_or(self.default, |own| own.over(&self.default))
    }

    /// Whether no tenant has any quota.
    pub(crate) fn is_free(&self) -> bool {
        self.free.load(Ordering::Acquire)
    }

    /// The present moment, as meters count.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Charges what events bring. `sharers` is by how many nodes quotas are shared.
    pub(crate) fn charge(&self, way: Way, sharers: u32, events: &[Event]) -> Result<Vec<Standing>, Throttled> {
        if self.is_free() {
            return Ok(Vec::new());
        }
        let loads: Vec<(TenantId, Load, InForce)> = loads(events)
            .into_iter()
            .map(|(tenant, load)| (tenant.clone(), load, self.in_force(tenant)))
            .filter(|(_, _, limits)| !limits.is_free())
            .collect();
        let meters = match way {
            Way::Events => &self.events,
            Way::Intents => &self.intents,
        };
        let charged = meters.lock().charge(loads, sharers, self.now());
        match &charged {
            Ok(_) => {}
            Err(_) => counter!(names::QUOTA_REFUSED, "way" => way.as_str()).increment(1),
        }
        charged
    }

    async fn put(&self, row: &QuotaRow) -> Result<QuotaOutcome> {
        // A look that is under way could otherwise bring back what held before.
        let _known = self.known.lock().await;
        let outcome = self.store.put_quota(row).await?;
        // One that another node made is taken over too: what is said here holds here before it is answered.
        let (QuotaOutcome::Changed(row) | QuotaOutcome::Same(Some(row))) = &outcome else { return Ok(outcome) };
        self.take(Some(row));
        self.note_free();
        Ok(outcome)
    }
}

impl Way {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Intents => "intents",
        }
    }
}

impl From<Throttled> for AppendError {
    fn from(_: Throttled) -> Self {
        Self::Overloaded
    }
}

/// What events bring, by tenant.
fn loads(events: &[Event]) -> BTreeMap<&TenantId, Load> {
    let mut loads: BTreeMap<&TenantId, Load> = BTreeMap::new();
    for event in events {
        let load = loads.entry(&event.tenant).or_default();
        load.events += 1;
        load.bytes += weight(event) as u64;
    }
    loads
}

/// What one event brings.
pub(crate) fn load(event: &Event) -> Load {
    Load { events: 1, bytes: weight(event) as u64 }
}

fn own(row: &QuotaRow) -> Own {
    Own {
        events_per_s: row.events_per_s,
        events_burst: row.events_burst,
        bytes_per_s: row.bytes_per_s,
        bytes_burst: row.bytes_burst,
    }
}

impl Engine {
    /// Charges what a request brings to the quotas of all its tenants, or says how long to wait and charges nothing.
    /// Returns how those of them stand that have quotas. Events that the log holds already are charged like others.
    pub fn charge(&self, way: Way, events: &[Event]) -> Result<Vec<Standing>, Throttled> {
        self.shared.quotas.charge(way, self.shared.leases.serving_api(), events)
    }

    /// A tenant's quotas. What holds is told as this node knows it.
    pub async fn quota(&self, tenant: &TenantId) -> Result<TenantQuota> {
        Ok(self.told(self.shared.feeds.store.quota(tenant).await?.as_ref()))
    }

    /// Says what quotas a tenant has of its own, in place of what was said before, and tells of it. It holds on this
    /// node from now on, and on others within seconds. What was said already changes nothing, and is not told. Numbers
    /// must be within their bounds ([`Own::too_large`]).
    pub async fn set_quota(&self, who: &Who, tenant: &TenantId, own: Own) -> Result<TenantQuota> {
        let row = QuotaRow {
            tenant: tenant.clone(),
            events_per_s: own.events_per_s,
            events_burst: own.events_burst,
            bytes_per_s: own.bytes_per_s,
            bytes_burst: own.bytes_burst,
            revision: QuotaRevision(0),
            by: who.key.clone(),
            at: now(),
        };
        match self.shared.quotas.put(&row).await? {
            QuotaOutcome::Changed(row) => {
                self.tell(&fact(who, tenant, &own)).await;
                Ok(self.told(Some(&row)))
            }
            QuotaOutcome::Same(row) => Ok(self.told(row.as_ref())),
        }
    }

    fn told(&self, row: Option<&QuotaRow>) -> TenantQuota {
        let own = row.map(own).unwrap_or_default();
        TenantQuota {
            own,
            in_force: own.over(&self.shared.quotas.default),
            changed: row.map(|row| (row.by.clone(), row.at)),
        }
    }
}

/// What is told of a change: the numbers that hold from now on.
fn fact(who: &Who, tenant: &TenantId, own: &Own) -> Fact {
    let mut data = Map::new();
    data.insert("events_per_s".to_owned(), json!(own.events_per_s));
    data.insert("events_burst".to_owned(), json!(own.events_burst));
    data.insert("bytes_per_s".to_owned(), json!(own.bytes_per_s));
    data.insert("bytes_burst".to_owned(), json!(own.bytes_burst));
    let entity = ("tenant", tenant.as_str().to_owned());
    Fact { kind: Kind::LimitsChanged, who: Some(who.clone()), tenant: Some(tenant.clone()), entity, data }
}
