//! The loop of an owner.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use metrics::{counter, gauge};
use tidings_core::pace::{Bounds, Pace};
use tidings_store::{Claim, LeaseRole, Slot};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::{Key, Leases, Mine, POKED_MIN, View};
use crate::metrics as names;
use crate::pause::sleep_unless;
use crate::watch;

/// How often a lease is asked for that another node still has. It is only ever asked for by the one that shall have it.
const WAIT: Duration = Duration::from_millis(100);
/// How long a claim may take. One whose answer comes too late is claimed again, or given back by the next heartbeat where
/// the slot is not wanted any more.
const CLAIM_MAX: Duration = Duration::from_secs(5);
/// How long giving back may take. Where it fails the next heartbeat does it.
const RELEASE_MAX: Duration = Duration::from_secs(2);
/// Work that went on for so long before it failed is begun again without delay.
const STEADY: Duration = Duration::from_secs(10);

/// How the work for a slot ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// It was told to; nothing of it is under way.
    InOrder,
    /// Another owner has the slot.
    Fenced,
    /// What it went by is no longer so; it shall begin again at once.
    Again,
    /// It cannot go on, and shall begin again.
    Failed,
}

/// Runs `work` whenever this node owns the slot, until `ending` ends. The work's own token ends when the slot shall be
/// given back, when it is lost, or with `ending`; the slot is given back only once the work has returned.
pub(crate) async fn own<W, F>(leases: Arc<Leases>, role: LeaseRole, slot: Slot, work: W, ending: CancellationToken)
where
    W: Fn(Claim, CancellationToken) -> F,
    F: Future<Output = Held>,
{
    let key: Key = (role, slot);
    let shard = leases.store.shard_of(role, &key.1);
    let Some(shard) = leases.shards.get(usize::from(shard.0)) else { return };
    let mut view = shard.view.subscribe();
    let mut pokes = leases.pokes.subscribe();
    let mut failures = Pace::new(Bounds::FAILURE);
    let mut failing = false;
    loop {
        tokio::select! {
            biased;
            () = ending.cancelled() => return,
            () = shall_own(&mut view, &key, true) => {}
        }
        let claim = leases.store.claim(role, &key.1, &leases.node, leases.boot, leases.ttl);
        let claimed = timeout(CLAIM_MAX, claim).await;
        if matches!(claimed, Ok(Ok(_))) && std::mem::take(&mut failing) {
            tracing::info!(%role, slot = %key.1, "a lease can be claimed again");
        }
        let delay = match claimed {
            Ok(Ok(Some(claim))) => {
                counter!(names::LEASE_CLAIMS, "role" => role.as_str()).increment(1);
                let began = Instant::now();
                let held = leases.clone().hold(&key, claim, &work, &mut view, &ending).await;
                match held {
                    _ if ending.is_cancelled() => return,
                    Held::InOrder | Held::Again => {
                        failures.reset();
                        Duration::ZERO
                    }
                    Held::Fenced => WAIT,
                    Held::Failed => {
                        if began.elapsed() >= STEADY {
                            failures.reset();
                        }
                        failures.found(0)
                    }
                }
            }
            Ok(Ok(None)) => WAIT,
            Ok(Err(error)) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%role, slot = %key.1, %error, "a lease cannot be claimed; trying again");
                }
                failures.found(0)
            }
            Err(_) => failures.found(0),
        };
        let waits = Instant::now();
        tokio::select! {
            biased;
            () = ending.cancelled() => return,
            // Hints come from anybody on the bus: many at once are one.
            _ = pokes.changed() => {
                sleep_unless(delay.min(POKED_MIN).saturating_sub(waits.elapsed()), &ending).await;
                drop(pokes.borrow_and_update());
            }
            () = tokio::time::sleep(delay) => {}
        }
    }
}

/// Waits until a slot shall be this node's, or until it shall not.
async fn shall_own(view: &mut watch::Receiver<View>, key: &Key, wanted: bool) {
    if view.wait_for(|view| view.mine.contains(key) == wanted).await.is_err() {
        // Nobody tells any more; who waits is ended otherwise.
        std::future::pending::<()>().await;
    }
}

impl Leases {
    /// Runs the work under a claim until it ends, however it does, and gives the slot back.
    async fn hold<W, F>(
        self: Arc<Self>,
        key: &Key,
        claim: Claim,
        work: &W,
        view: &mut watch::Receiver<View>,
        ending: &CancellationToken,
    ) -> Held
    where
        W: Fn(Claim, CancellationToken) -> F,
        F: Future<Output = Held>,
    {
        let (role, slot) = key;
        let token = ending.child_token();
        let holding = Holding::begin(self.clone(), key.clone(), claim, token.clone());
        // A panic must not leave the slot without an owner for ever.
        let mut work = pin!(AssertUnwindSafe(work(claim, token.clone())).catch_unwind());
        let ended = tokio::select! {
            biased;
            ended = &mut work => ended,
            () = shall_own(view, key, false) => {
                tracing::debug!(%role, %slot, "another node shall own this");
                counter!(names::LEASE_MOVES, "role" => role.as_str()).increment(1);
                token.cancel();
                work.await
            }
        };
        let held = ended.unwrap_or(Held::Failed);
        drop(holding);
        if held == Held::Fenced {
            counter!(names::LEASE_LOSSES, "role" => role.as_str()).increment(1);
            return held;
        }
        // It stays this node's, if it still shall; the next claim makes an epoch of its own.
        if held == Held::Again && !token.is_cancelled() {
            return held;
        }
        match timeout(RELEASE_MAX, self.store.release(*role, slot, claim.epoch)).await {
            Ok(Ok(())) => self.moved(),
            _ => tracing::warn!(%role, %slot, "a lease could not be given back yet"),
        }
        held
    }
}

/// That this node has a lease, for as long as it lives.
struct Holding {
    leases: Arc<Leases>,
    key: Key,
}

impl Holding {
    fn begin(leases: Arc<Leases>, key: Key, claim: Claim, token: CancellationToken) -> Self {
        leases.held.lock().insert(key.clone(), Mine { epoch: claim.epoch, token });
        gauge!(names::LEASES_HELD, "role" => key.0.as_str()).increment(1);
        Self { leases, key }
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.leases.held.lock().remove(&self.key);
        gauge!(names::LEASES_HELD, "role" => self.key.0.as_str()).decrement(1);
    }
}
