//! How a router begins: from what the store holds.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tidings_core::deliver::Router;
use tidings_event::{PartitionId, Position, Revision};
use tidings_store::{Claim, Error, LeaseRole, Result, Slot};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::Means;
use super::clock::Clock;
use super::gauges::Gauges;
use super::routing::Routing;
use super::run::{Done, Run};
use crate::ring::{Pool, Ring};

/// How long reading all of it may take. The lease may run out meanwhile; then the first commit is refused.
const BEGIN_MAX: Duration = Duration::from_secs(60);

/// Bytes of what was last read from the log that are kept for lanes that come after.
const HISTORY_BYTES: usize = 8 * 1024 * 1024;

/// Reads what a router begins with, and makes it. Results come over `results`.
pub(super) async fn begin(
    means: &Arc<Means>,
    partition: PartitionId,
    claim: Claim,
    results: mpsc::Sender<Done>,
) -> Result<Run> {
    let reading = read(means, partition, claim, results);
    timeout(BEGIN_MAX, reading).await.unwrap_or_else(|_| {
        Err(Error::Unavailable {
            reason: "reading what a router begins with took too long".to_owned(),
            ambiguous: false,
        })
    })
}

async fn read(means: &Arc<Means>, partition: PartitionId, claim: Claim, results: mpsc::Sender<Done>) -> Result<Run> {
    let store = &means.store;
    let mark =
        means.tail.mark(partition).ok_or_else(|| Error::Unusable(format!("there is no partition {partition}")))?;
    let resets = mark.borrow().resets;
    // In this order: every lane that is in the state belongs to an endpoint that is known after the last step, and
    // every endpoint of the first step has its row, if it has one, in the state.
    let mut known = store.routing(partition, Revision(0)).await?;
    let state = store.router_state(partition).await?;
    let mut since = store.routing(partition, known.revision).await?;
    known.redrives.clear();
    if known.moves != since.moves {
        let reason = "a tenant moved while its router began".to_owned();
        return Err(Error::Unavailable { reason, ambiguous: false });
    }
    // A tenant that was here, elsewhere, and is here again has left traces in memory that lead nowhere.
    means.tail.forget(partition);

    let mut clock = Clock::start();
    let now = clock.now();
    let limits = means.options.limits.clone();
    let mut router =
        Router::new(partition, claim.epoch, claim.checkpoint, state.lanes, state.retries, state.circuits, limits, now);
    let (routing, specs) = Routing::begin(known);
    specs.into_iter().for_each(|spec| router.configure(spec, now));
    since.revision = since.revision.max(routing.revision);
    let mut run = Run {
        means: means.clone(),
        partition,
        shard: store.shard_of(LeaseRole::Router, &Slot::partition(partition)),
        router,
        routing,
        clock,
        mark,
        results,
        gauges: Gauges::new(partition),
        resets,
        moves: since.moves,
        stretch: None,
        lanes: Vec::new(),
        history: Arc::new(RwLock::new(Ring::new(claim.checkpoint, HISTORY_BYTES, Pool::new(0)))),
        reached: Position(0),
        paced: false,
        fetching: false,
        fetch_at: Instant::now(),
        wanted: Revision(0),
        updating: None,
        update_at: Instant::now(),
        redrives_at: None,
        committing: false,
        commits: 0,
        shown_at: Instant::now(),
        counted_at: Instant::now(),
    };
    let redrives = std::mem::take(&mut since.redrives);
    run.apply(since, now);
    run.redrive(redrives, now);
    // What is left of endpoints and replays that are gone.
    run.router.unconfigured().into_iter().for_each(|lane| run.router.remove(lane));
    Ok(run)
}
