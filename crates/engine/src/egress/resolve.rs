//! From names to addresses. Nothing here decides what may be reached: every address is checked where it is connected
//! to, so that an answer may be kept for a moment without harm.

use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use moka::sync::Cache;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Lookups under way at once; each holds a thread for as long as the system's resolver takes, which may be half a
/// minute for a name whose servers are silent.
const LOOKUPS_MAX: usize = 64;
/// How long a lookup may wait for its turn.
const TURN_MAX: Duration = Duration::from_secs(10);
/// Names that are remembered.
const NAMES_MAX: u64 = 10_000;
/// How long an answer is remembered, so that many connections to one host ask once.
const KEPT: Duration = Duration::from_secs(10);

/// The addresses of a name, in the order in which they are to be tried; or why there are none.
pub(super) type Addresses = Result<Arc<[IpAddr]>, Unresolved>;

/// A name without addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unresolved {
    #[error("the host's name has no address")]
    NoAddress,
    #[error("too many names are being resolved")]
    Busy,
}

/// Finds addresses: the system's resolver, or a test's.
pub(super) trait Resolve: Send + Sync + 'static {
    fn resolve(&self, name: &Arc<str>) -> BoxFuture<'static, Addresses>;
}

/// The system's resolver.
pub(super) fn system() -> Arc<dyn Resolve> {
    let known = Cache::builder().max_capacity(NAMES_MAX).time_to_live(KEPT).build();
    Arc::new(System { turns: Arc::new(Semaphore::new(LOOKUPS_MAX)), known })
}

struct System {
    turns: Arc<Semaphore>,
    /// Lookups that are under way or were a moment ago. One name is asked for once at a time.
    known: Cache<Arc<str>, Shared<BoxFuture<'static, Addresses>>>,
}

impl Resolve for System {
    fn resolve(&self, name: &Arc<str>) -> BoxFuture<'static, Addresses> {
        let lookup = self.known.get_with(Arc::clone(name), || {
            // A task of its own: who asked first may give up, and others wait for the same answer.
            let task = tokio::spawn(look_up(Arc::clone(&self.turns), Arc::clone(name)));
            task.map(|ended| ended.unwrap_or(Err(Unresolved::NoAddress))).boxed().shared()
        });
        let (known, name) = (self.known.clone(), Arc::clone(name));
        async move {
            let found = lookup.await;
            if found.is_err() {
                // What failed may work the next time.
                known.invalidate(&name);
            }
            found
        }
        .boxed()
    }
}

async fn look_up(turns: Arc<Semaphore>, name: Arc<str>) -> Addresses {
    let Ok(Ok(turn)) = timeout(TURN_MAX, turns.acquire_owned()).await else { return Err(Unresolved::Busy) };
    let asked = tokio::task::spawn_blocking(move || {
        let found = (&*name, 0).to_socket_addrs().map(|found| found.map(|address| address.ip()).collect());
        // Given back only now: the thread was taken for all of the lookup, however long ago its caller gave up.
        drop(turn);
        found
    });
    match asked.await {
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(_)) | Err(_) => Err(Unresolved::NoAddress),
    }
}
