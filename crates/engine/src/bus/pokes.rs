//! Hints between nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidings_bus::Poke;
use tidings_event::{PartitionId, Position};
use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Means;
use crate::pause::sleep_unless;
use crate::tail::Urgency;

/// The shortest time between two messages of hints.
const SPACING: Duration = Duration::from_millis(2);
/// How long events that others appended are waited for on the bus before they are read from the log: where a router
/// waits for them, and where at most readers do. The partition's publisher does not wait.
const PATIENCE_ROUTED: Duration = Duration::from_millis(3);
const PATIENCE_READ: Duration = Duration::from_millis(20);

/// The shortest time between two hints at keys that are followed: each has all keys asked for anew, and hints come from
/// anybody on the bus.
const KEYS_SPACING: Duration = Duration::from_millis(100);

/// Hints that other nodes are to be given. Each thing is said once, however often it was noted meanwhile, so there are
/// never more than there are partitions and sources.
#[derive(Default)]
pub(crate) struct Pokes {
    /// Whether there is anybody who tells them.
    told: bool,
    waiting: Mutex<Waiting>,
    some: Notify,
}

#[derive(Default)]
struct Waiting {
    positions: BTreeMap<PartitionId, Position>,
    others: BTreeSet<Poke>,
}

impl Pokes {
    /// A place for hints; without a bus they go nowhere.
    pub(crate) fn new(told: bool) -> Arc<Self> {
        Arc::new(Self { told, ..Self::default() })
    }

    /// Notes a hint. Cheap.
    pub(crate) fn note(&self, poke: Poke) {
        if !self.told {
            return;
        }
        let mut waiting = self.waiting.lock();
        match poke {
            Poke::Partition(partition, position) => {
                let furthest = waiting.positions.entry(partition).or_default();
                *furthest = position.max(*furthest);
            }
            other => {
                waiting.others.insert(other);
            }
        }
        drop(waiting);
        self.some.notify_one();
    }

    fn take(&self) -> Vec<Poke> {
        let Waiting { positions, others } = std::mem::take(&mut *self.waiting.lock());
        let positions = positions.into_iter().map(|(partition, position)| Poke::Partition(partition, position));
        others.into_iter().chain(positions).collect()
    }
}

/// Tells the other nodes what was noted: the first hint at once, what follows it closely together.
pub(super) async fn tell(means: Arc<Means>, ending: CancellationToken) {
    let mut moves = means.leases.moves();
    loop {
        tokio::select! {
            biased;
            () = ending.cancelled() => break,
            _ = moves.changed() => means.pokes.note(Poke::Leases),
            () = means.pokes.some.notified() => {}
        }
        tell_now(&means);
        if !sleep_unless(SPACING, &ending).await {
            break;
        }
    }
    // That this node gives back what it has is the last that it says.
    means.pokes.note(Poke::Leases);
    tell_now(&means);
}

fn tell_now(means: &Means) {
    let pokes = means.pokes.take();
    if !pokes.is_empty() {
        means.bus.poke(&pokes);
    }
}

/// Wakes whomever the other nodes' hints concern.
pub(super) async fn hear(means: Arc<Means>, ending: CancellationToken) {
    let mut pokes = means.bus.pokes();
    // Partitions that reach further than is known here, and when they are read from the log.
    let mut awaited: BTreeMap<PartitionId, (Instant, Position)> = BTreeMap::new();
    // When keys were last forgotten, and when they are next, if a hint says so.
    let (mut forgotten, mut forget_at): (Option<Instant>, Option<Instant>) = (None, None);
    loop {
        let due = awaited.values().map(|(due, _)| *due).chain(forget_at).min();
        tokio::select! {
            biased;
            () = ending.cancelled() => return,
            poke = pokes.recv() => match poke {
                Ok(Poke::Partition(partition, position)) => {
                    let patience = match means.tail.urgency(partition, position) {
                        None => continue,
                        Some(Urgency::Now) => {
                            means.tail.look(partition);
                            continue;
                        }
                        Some(Urgency::Soon) => PATIENCE_ROUTED,
                        Some(Urgency::Later) => PATIENCE_READ,
                    };
                    let (_, furthest) = awaited.entry(partition).or_insert((Instant::now() + patience, position));
                    *furthest = position.max(*furthest);
                }
                Ok(Poke::Keys) => forget_at = forget_at.or(Some(keys_due(forgotten))),
                Ok(poke) => wake(&means, &poke),
                // Whatever was lost may have concerned anybody.
                Err(RecvError::Lagged(_)) => {
                    wake_all(&means);
                    forget_at = forget_at.or(Some(keys_due(forgotten)));
                }
                Err(RecvError::Closed) => {
                    ending.cancelled().await;
                    return;
                }
            },
            () = at(due) => {
                let now = Instant::now();
                if forget_at.take_if(|due| *due <= now).is_some() {
                    means.keys.forget();
                    forgotten = Some(now);
                }
                awaited.retain(|partition, (due, position)| {
                    if *due > now {
                        return true;
                    }
                    if means.tail.urgency(*partition, *position).is_some() {
                        means.tail.look(*partition);
                    }
                    false
                });
            }
        }
    }
}

/// When a hint at keys that comes now is followed.
fn keys_due(forgotten: Option<Instant>) -> Instant {
    forgotten.map_or_else(Instant::now, |at| at + KEYS_SPACING)
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

fn wake(means: &Means, poke: &Poke) {
    match poke {
        Poke::Partition(partition, _) | Poke::Subscriptions(partition) => means.tail.look(*partition),
        Poke::Source(name) => {
            if let Ok(source) = means.sources.get(name) {
                source.poke.notify_one();
            }
        }
        Poke::Catalog => means.catalog.poke(),
        // Followed with some space between two of them.
        Poke::Keys => {}
        Poke::Leases => means.leases.poke(),
    }
}

fn wake_all(means: &Means) {
    (0..means.store.log().partitions).for_each(|partition| means.tail.look(PartitionId(partition)));
    means.sources.all().iter().for_each(|source| source.poke.notify_one());
    means.catalog.poke();
    means.leases.poke();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_are_bounded_by_what_there_is_to_hint_at() {
        let pokes = Pokes::new(true);
        for position in (0..10_000).chain(0..5_000) {
            pokes.note(Poke::Partition(PartitionId(1), Position(position)));
            pokes.note(Poke::Source("shop".to_owned()));
            pokes.note(Poke::Keys);
        }
        let told = [Poke::Source("shop".to_owned()), Poke::Keys, Poke::Partition(PartitionId(1), Position(9_999))];
        assert_eq!(pokes.take(), told);
        assert_eq!(pokes.take(), []);
        let nobody = Pokes::new(false);
        nobody.note(Poke::Keys);
        assert_eq!(nobody.take(), []);
    }
}
