//! Connections that wait for their next request: bounded in number, in waiting and in age.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};

use super::connection::Connection;

/// Connections that wait, to one origin. As many as can be busy with it at once: with fewer, a busy origin would be
/// dialled again and again.
const PER_ORIGIN_MAX: usize = 1_024;
/// Connections that wait, in all.
const IN_ALL_MAX: usize = 2_048;
/// Connections that are made at once to one origin. More would overflow the queue in which a receiver's system keeps
/// those that it has not taken yet, and each that is dropped there is tried again only after a second.
const DIALS_MAX: usize = 16;
/// Origins beyond which those are forgotten that nobody dials.
const DIALLED_MAX: usize = 256;
/// How often those are closed that have waited long enough.
const SWEEP: Duration = Duration::from_secs(5);

/// The connections that wait, and who makes new ones.
#[derive(Default)]
pub(super) struct Pool {
    waiting: Mutex<Waiting>,
    dials: Mutex<HashMap<Arc<str>, Weak<Semaphore>>>,
}

#[derive(Default)]
struct Waiting {
    /// By origin, the one that waits longest first.
    origins: HashMap<Arc<str>, Vec<Kept>>,
    count: usize,
    swept: bool,
}

struct Kept {
    connection: Connection,
    until: Instant,
}

impl Pool {
    /// The connection to an origin that was used last, of those that are still open.
    pub(super) fn take(&self, origin: &Arc<str>) -> Option<Connection> {
        loop {
            let kept = {
                let mut waiting = self.waiting.lock();
                let kept = waiting.origins.get_mut(origin)?.pop()?;
                waiting.count -= 1;
                kept
            };
            let Kept { mut connection, until } = kept;
            if Instant::now() < until && connection.is_open() {
                return Some(connection);
            }
        }
    }

    /// Waits for a turn to make a new connection to an origin.
    pub(super) async fn turn_to_dial(&self, origin: &Arc<str>) -> Option<OwnedSemaphorePermit> {
        let turns = {
            let mut dials = self.dials.lock();
            match dials.get(origin).and_then(Weak::upgrade) {
                Some(turns) => turns,
                None => {
                    if dials.len() >= DIALLED_MAX {
                        dials.retain(|_, turns| turns.strong_count() > 0);
                    }
                    let turns = Arc::new(Semaphore::new(DIALS_MAX));
                    dials.insert(Arc::clone(origin), Arc::downgrade(&turns));
                    turns
                }
            }
        };
        // It is never closed.
        turns.acquire_owned().await.ok()
    }

    /// Keeps a connection for the next request, if it can take one and there is room; closes it otherwise.
    pub(super) fn put(self: &Arc<Self>, origin: &Arc<str>, mut connection: Connection) {
        let now = Instant::now();
        let until = connection.keep_until(now);
        if until <= now || !connection.is_open() {
            return;
        }
        let mut waiting = self.waiting.lock();
        if waiting.count >= IN_ALL_MAX {
            return;
        }
        let kept = Kept { connection, until };
        match waiting.origins.get_mut(origin) {
            Some(of_origin) if of_origin.len() >= PER_ORIGIN_MAX => return,
            Some(of_origin) => of_origin.push(kept),
            None => {
                waiting.origins.insert(Arc::clone(origin), vec![kept]);
            }
        }
        waiting.count += 1;
        if !std::mem::replace(&mut waiting.swept, true) {
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Closes what has waited long enough; whether anything waits still.
    pub(super) fn close_old(&self, now: Instant) -> bool {
        let mut old = Vec::new();
        let mut waiting = self.waiting.lock();
        waiting.origins.retain(|_, of_origin| {
            old.extend(of_origin.extract_if(.., |kept| kept.until <= now));
            !of_origin.is_empty()
        });
        waiting.count -= old.len();
        waiting.swept = waiting.count > 0;
        let any = waiting.swept;
        // Closing takes system calls, which nobody should wait for.
        drop(waiting);
        drop(old);
        any
    }
}

/// Runs while anything waits.
async fn sweep(pool: Weak<Pool>) {
    loop {
        sleep(SWEEP).await;
        let Some(pool) = pool.upgrade() else { return };
        if !pool.close_old(Instant::now()) {
            return;
        }
    }
}
