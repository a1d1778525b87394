//! The node's part in the bus: it publishes partitions that it owns ([`publish`]), hears what others publish
//! ([`follow`]), and tells and takes hints ([`pokes`]).
//!
//! Nothing here is needed for correctness. Without a bus, or with one that is away, nodes poll the log; what the bus
//! loses, repeats or makes up is found by position, and read from the log.

mod follow;
mod pokes;
mod publish;

use std::sync::Arc;

use tidings_bus::Bus;
use tidings_event::PartitionId;
use tidings_store::{LeaseRole, Slot, Store};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::catalog::Holder;
use crate::keys::KeyCache;
use crate::lease::{Leases, own};
use crate::sources::Sources;
use crate::tail::Tail;

pub(crate) use pokes::Pokes;

/// What the bus's tasks work with.
pub(crate) struct Means {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) tail: Arc<Tail>,
    pub(crate) leases: Arc<Leases>,
    pub(crate) pokes: Arc<Pokes>,
    pub(crate) sources: Arc<Sources>,
    pub(crate) catalog: Arc<Holder>,
    pub(crate) keys: Arc<KeyCache>,
}

/// Starts what the bus needs on this node. All of it ends with the token.
pub(crate) fn start(means: Means, publishes: bool, ending: &CancellationToken) -> Vec<JoinHandle<()>> {
    let means = Arc::new(means);
    let mut tasks = vec![
        tokio::spawn(pokes::tell(means.clone(), ending.clone())),
        tokio::spawn(pokes::hear(means.clone(), ending.clone())),
    ];
    for partition in (0..means.store.log().partitions).map(PartitionId) {
        tasks.push(tokio::spawn(follow::run(means.clone(), partition, ending.clone())));
        if publishes {
            let (leases, slot) = (means.leases.clone(), Slot::partition(partition));
            let means = means.clone();
            let work = move |claim, token| publish::run(means.clone(), partition, claim, token);
            tasks.push(tokio::spawn(own(leases, LeaseRole::Publisher, slot, work, ending.clone())));
        }
    }
    tasks
}
