//! Delivering events to endpoints: carries out what `tidings_core::deliver` decides.
//!
//! Each partition has one task that owns its router ([`owner`]). While it holds the partition's lease it runs the
//! router ([`run`]): it routes new events, reads for lanes that lag, starts attempts, and writes what must survive.
//! Everything slow runs in tasks of its own and comes back over one bounded channel, so that the router itself never
//! waits for the network or the database.
//!
//! The lease says who should act; the epoch, proved by every commit, says who may. A router that is not sure whether a
//! commit was written is thrown away, and a new one begins from what the store holds: events that were under way then
//! may be sent again, none is lost.

mod attempt;
mod clock;
mod commit;
mod facts;
mod gauges;
mod owner;
mod read;
mod route;
mod routing;
mod run;
mod start;
mod traced;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tidings_core::pace::{Bounds, Pace};
use tidings_event::{PartitionId, Timestamp};
use tidings_store::{LeaseRole, Slot, Store};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::append::now;
use crate::catalog::{Holder, Pool};
use crate::egress::Egress;
use crate::lanes::Lanes;
use crate::lease::{Leases, own};
use crate::options::DeliverOptions;
use crate::pause::sleep_unless;
use crate::places::Places;
use crate::secrets::SecretBox;
use crate::tail::Tail;
use crate::trace::Tracer;

/// How often room is made for attempts, and old ones are dropped.
const KEEP_EVERY: Duration = Duration::from_secs(60 * 60);

/// What the routers of all partitions share.
pub(crate) struct Means {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) leases: Arc<Leases>,
    pub(crate) tail: Arc<Tail>,
    pub(crate) places: Arc<Places>,
    pub(crate) egress: Egress,
    pub(crate) secrets: SecretBox,
    pub(crate) catalog: Arc<Holder>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) lanes: Arc<Lanes>,
    pub(crate) tracer: Tracer,
    pub(crate) options: DeliverOptions,
}

/// Starts the routers of all partitions, each of which works while this node owns it. They end in good order with the token.
pub(crate) fn start(means: Means, ending: &CancellationToken) -> Vec<JoinHandle<()>> {
    let ending = ending.clone();
    vec![tokio::spawn(async move { deliver(Arc::new(means), ending).await })]
}

async fn deliver(means: Arc<Means>, ending: CancellationToken) {
    // A commit needs room for the attempts of its day, so there is none before there is room.
    let mut failures = Pace::new(Bounds::FAILURE);
    while let Err(error) = keep_attempts(&means).await {
        tracing::warn!(%error, "room for attempts cannot be made; nothing is delivered until it can");
        if !sleep_unless(failures.found(0), &ending).await {
            return;
        }
    }
    let mut owners: JoinSet<()> = (0..means.store.log().partitions)
        .map(|partition| own_one(means.clone(), PartitionId(partition), ending.clone()))
        .collect();
    while sleep_unless(KEEP_EVERY, &ending).await {
        if let Err(error) = keep_attempts(&means).await {
            // There is room for a day ahead, so one more try within the hour is soon enough.
            tracing::warn!(%error, "old attempts cannot be dropped");
        }
    }
    while owners.join_next().await.is_some() {}
}

/// Routes a partition whenever this node owns it.
async fn own_one(means: Arc<Means>, partition: PartitionId, ending: CancellationToken) {
    let leases = means.leases.clone();
    let failing = Arc::<AtomicBool>::default();
    let work = move |claim, token| owner::hold(means.clone(), partition, claim, failing.clone(), token);
    own(leases, LeaseRole::Router, Slot::partition(partition), work, ending).await;
}

async fn keep_attempts(means: &Means) -> tidings_store::Result<()> {
    let now = now();
    let kept_us = i64::try_from(means.options.attempts_kept.as_micros()).unwrap_or(i64::MAX);
    let keep_from = Timestamp::from_micros(now.as_micros().saturating_sub(kept_us));
    if means.store.keep_attempts(now, keep_from).await? {
        tracing::info!("attempts that were kept for long enough were dropped");
    }
    Ok(())
}
