//! Who owns a partition's router: claiming it, running it, giving it back.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use metrics::counter;
use tidings_core::pace::{Bounds, Pace};
use tidings_event::PartitionId;
use tidings_store::Claim;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::Means;
use super::run::{Done, Run};
use super::start::begin;
use crate::metrics as names;
use crate::pump::sleep_unless;

/// How long attempts of a router that was thrown away are waited for before the next one begins.
const LEFTOVERS_MAX: Duration = Duration::from_secs(5);
/// A router that ran for so long before it failed is begun again without delay.
const STEADY: Duration = Duration::from_secs(10);
/// How long giving a partition back may take.
const RELEASE_MAX: Duration = Duration::from_secs(2);

/// Why a router ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// It was told to; all that it could settle is written.
    InOrder,
    /// Another owner has the partition.
    Fenced,
    /// What it holds in memory may not be what the store holds.
    Unsure(String),
}

/// Owns a partition whenever nobody else does, until the token ends it.
pub(super) async fn own(means: Arc<Means>, partition: PartitionId, ending: CancellationToken) {
    let lease = means.options.lease;
    let mut failures = Pace::new(Bounds::FAILURE);
    let mut waiting = false;
    while !ending.is_cancelled() {
        let delay = match means.store.claim_router(partition, &means.options.node, lease).await {
            Ok(Some(claim)) => {
                waiting = false;
                counter!(names::ROUTER_CLAIMS).increment(1);
                let began = Instant::now();
                // A panic must not leave the partition without a router.
                let held = AssertUnwindSafe(hold(&means, partition, claim, &ending)).catch_unwind().await;
                match held.unwrap_or(Held::Failed) {
                    Held::InOrder => return,
                    // Whoever took it has had it for a moment only: that owner should get the chance to keep it.
                    Held::Fenced => lease,
                    Held::Failed => {
                        if began.elapsed() >= STEADY {
                            failures.reset();
                        }
                        failures.found(0)
                    }
                }
            }
            Ok(None) => {
                if !std::mem::replace(&mut waiting, true) {
                    tracing::debug!(%partition, "another node routes this partition");
                }
                lease / 3
            }
            Err(error) => {
                tracing::warn!(%partition, %error, "the router cannot be claimed");
                failures.found(0)
            }
        };
        sleep_unless(delay, &ending).await;
    }
}

/// What came of a claim.
enum Held {
    InOrder,
    Fenced,
    Failed,
}

/// Runs a router under a claim until it ends, however it does.
async fn hold(means: &Arc<Means>, partition: PartitionId, claim: Claim, ending: &CancellationToken) -> Held {
    let (sender, mut results) = mpsc::channel(Run::results_max(&means.options.limits));
    let began = match begin(means, partition, claim, sender).await {
        Ok(run) => run,
        Err(error) => {
            tracing::warn!(%partition, %error, "the router cannot begin");
            return Held::Failed;
        }
    };
    tracing::debug!(%partition, epoch = claim.epoch.get(), checkpoint = claim.checkpoint.get(), "routing");
    let ended = AssertUnwindSafe(Box::pin(began.run(&mut results, ending)))
        .catch_unwind()
        .await
        .unwrap_or_else(|_| Ended::Unsure("the router panicked".to_owned()));
    match ended {
        Ended::InOrder => {
            let released = timeout(RELEASE_MAX, means.store.release_router(partition, claim.epoch)).await;
            if !matches!(released, Ok(Ok(()))) {
                tracing::warn!(%partition, "the partition could not be given back; others wait for the lease to end");
            }
            Held::InOrder
        }
        Ended::Fenced => {
            counter!(names::ROUTERS_FENCED).increment(1);
            tracing::warn!(%partition, epoch = claim.epoch.get(), "another node routes this partition now");
            leftovers(results).await;
            Held::Fenced
        }
        Ended::Unsure(reason) => {
            counter!(names::ROUTER_RESTARTS).increment(1);
            tracing::warn!(%partition, reason, "the router begins again from what the store holds");
            leftovers(results).await;
            Held::Failed
        }
    }
}

/// Waits until all attempts of a router that is gone have ended, for a while: what it sent late would arrive between
/// what the next one sends.
async fn leftovers(mut results: mpsc::Receiver<Done>) {
    let all_ended = async { while results.recv().await.is_some() {} };
    let _some_left = timeout(LEFTOVERS_MAX, all_ended).await;
}
