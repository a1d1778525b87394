//! A partition's router under its lease: beginning, running, ending.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use metrics::counter;
use tidings_event::PartitionId;
use tidings_store::Claim;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Means;
use super::run::{Done, Run};
use super::start::begin;
use crate::lease::Held;
use crate::metrics as names;

/// How long attempts of a router that was thrown away are waited for before the next one begins.
const LEFTOVERS_MAX: Duration = Duration::from_secs(5);

/// Why a router ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// It was told to; all that it could settle is written.
    InOrder,
    /// Another owner has the partition.
    Fenced,
    /// A tenant moved away from the partition or to it: what it holds in memory is not what belongs there any more.
    Moved,
    /// What it holds in memory may not be what the store holds.
    Unsure(String),
}

/// Runs a router under a claim until it ends, however it does. `failing` is whether the last one could not begin.
pub(super) async fn hold(
    means: Arc<Means>,
    partition: PartitionId,
    claim: Claim,
    failing: Arc<AtomicBool>,
    ending: CancellationToken,
) -> Held {
    let (sender, mut results) = mpsc::channel(Run::results_max(&means.options.limits));
    let began = tokio::select! {
        biased;
        () = ending.cancelled() => return Held::InOrder,
        began = begin(&means, partition, claim, sender) => began,
    };
    let began = match began {
        Ok(run) => {
            if failing.swap(false, Ordering::AcqRel) {
                tracing::info!(%partition, "the router could begin");
            }
            run
        }
        Err(error) => {
            if !failing.swap(true, Ordering::AcqRel) {
                tracing::warn!(%partition, %error, "the router cannot begin; trying again");
            }
            return Held::Failed;
        }
    };
    tracing::debug!(%partition, epoch = claim.epoch.get(), checkpoint = claim.checkpoint.get(), "routing");
    let ended = AssertUnwindSafe(Box::pin(began.run(&mut results, &ending)))
        .catch_unwind()
        .await
        .unwrap_or_else(|_| Ended::Unsure("the router panicked".to_owned()));
    match ended {
        // Attempts that are still under way end with the channel: what they sent late would arrive between what the
        // next owner sends.
        Ended::InOrder => Held::InOrder,
        Ended::Moved => {
            tracing::info!(%partition, "a tenant moved; the router begins again");
            Held::Again
        }
        Ended::Fenced => {
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

/// Waits until all attempts of a router that is gone have ended, for a while; what is still under way then is broken
/// off.
async fn leftovers(mut results: mpsc::Receiver<Done>) {
    let all_ended = async { while results.recv().await.is_some() {} };
    let _some_left = timeout(LEFTOVERS_MAX, all_ended).await;
}
