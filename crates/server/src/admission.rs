//! Who gets in: bounds on what is worked on, held in memory and kept open at once. Nothing waits here; what does not
//! fit is refused, and the caller is asked to come back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tidings_event::{ErrorCode, TenantId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::failure::Failure;
use crate::limits::{BODIES_BYTES_MAX, REQUESTS_MAX, SCANS_MAX, STREAMS_MAX, TENANT_SCANS_MAX, TENANT_STREAMS_MAX};
use crate::telemetry::HTTP_STREAMS;

/// How many may be in at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) requests: usize,
    pub(crate) streams: usize,
    pub(crate) tenant_streams: usize,
    pub(crate) scans: usize,
    pub(crate) tenant_scans: usize,
    pub(crate) bodies_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            requests: REQUESTS_MAX,
            streams: STREAMS_MAX,
            tenant_streams: TENANT_STREAMS_MAX,
            scans: SCANS_MAX,
            tenant_scans: TENANT_SCANS_MAX,
            bodies_bytes: BODIES_BYTES_MAX,
        }
    }
}

/// The places that are left.
pub(crate) struct Admission {
    requests: Arc<Semaphore>,
    bodies: Arc<Semaphore>,
    streams: Places,
    scans: Places,
}

impl Admission {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            requests: Arc::new(Semaphore::new(bounds.requests)),
            bodies: Arc::new(Semaphore::new(bounds.bodies_bytes)),
            streams: Places::new("feed readers that wait or stream", bounds.streams, bounds.tenant_streams),
            scans: Places::new("counts and back-tests under way", bounds.scans, bounds.tenant_scans),
        }
    }

    /// A place for a request that is worked on now.
    pub(crate) fn request(&self) -> Result<OwnedSemaphorePermit, Failure> {
        Arc::clone(&self.requests).try_acquire_owned().map_err(|_| Failure::overloaded("requests under way"))
    }

    /// Room for a piece of a request's body.
    pub(crate) fn body(&self, size_bytes: usize) -> Result<OwnedSemaphorePermit, Failure> {
        let permits = u32::try_from(size_bytes).unwrap_or(u32::MAX);
        Arc::clone(&self.bodies).try_acquire_many_owned(permits).map_err(|_| Failure::overloaded("bodies in memory"))
    }

    /// A place for a feed reader that waits or streams. One tenant's readers cannot take all of them.
    pub(crate) fn stream(&self, tenant: &TenantId) -> Result<StreamPlace, Failure> {
        let place = self.streams.take(tenant)?;
        metrics::gauge!(HTTP_STREAMS).increment(1.0);
        Ok(StreamPlace { _place: place })
    }

    /// A place for a look through the past events of many tenants. Such looks count together, as those of a tenant
    /// without a name: there is none.
    pub(crate) fn scan_of_all(&self) -> Result<Place, Failure> {
        self.scans.take(&TenantId::trusted("")).map_err(|failure| match failure.code() {
            ErrorCode::RateLimited => Failure::new(
                ErrorCode::RateLimited,
                "As many looks through all that the log holds are under way as may be.",
            ),
            _ => failure,
        })
    }

    /// A place for a look through a tenant's past events.
    pub(crate) fn scan(&self, tenant: &TenantId) -> Result<Place, Failure> {
        self.scans.take(tenant)
    }
}

/// Places of one kind, of which one tenant cannot take all.
struct Places {
    what: &'static str,
    all: Arc<Semaphore>,
    tenant_max: usize,
    taken: Arc<Mutex<HashMap<TenantId, usize>>>,
}

impl Places {
    fn new(what: &'static str, max: usize, tenant_max: usize) -> Self {
        Self { what, all: Arc::new(Semaphore::new(max)), tenant_max, taken: Arc::default() }
    }

    fn take(&self, tenant: &TenantId) -> Result<Place, Failure> {
        let permit = Arc::clone(&self.all).try_acquire_owned().map_err(|_| Failure::overloaded(self.what))?;
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.get(tenant).copied().unwrap_or_default();
        if own >= self.tenant_max {
            let detail = format!("This tenant has {own} {}, the most it may have.", self.what);
            return Err(Failure::new(ErrorCode::RateLimited, detail));
        }
        taken.insert(tenant.clone(), own + 1);
        Ok(Place { tenant: tenant.clone(), taken: Arc::clone(&self.taken), _permit: permit })
    }
}

/// A place that one tenant has, given back when it is dropped.
pub(crate) struct Place {
    tenant: TenantId,
    taken: Arc<Mutex<HashMap<TenantId, usize>>>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.tenant) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.tenant);
            }
        }
    }
}

/// A feed reader's place, given back when it is dropped.
pub(crate) struct StreamPlace {
    _place: Place,
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        metrics::gauge!(HTTP_STREAMS).decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).expect("a tenant's name")
    }

    #[test]
    fn one_tenants_readers_leave_room_for_another_tenants() {
        let admission = Admission::new(Bounds { streams: 3, tenant_streams: 2, ..Bounds::default() });
        let first = admission.stream(&tenant("acme")).expect("a place");
        let _second = admission.stream(&tenant("acme")).expect("a place");
        let refused = admission.stream(&tenant("acme")).err().expect("no third place");
        assert_eq!(refused.code(), ErrorCode::RateLimited);
        let _other = admission.stream(&tenant("globex")).expect("a place for the other tenant");
        let refused = admission.stream(&tenant("globex")).err().expect("no place in all");
        assert_eq!(refused.code(), ErrorCode::Overloaded);
        drop(first);
        admission.stream(&tenant("acme")).expect("the place that was given back");
    }

    #[test]
    fn requests_and_bodies_beyond_the_bounds_are_refused_as_overload() {
        let admission = Admission::new(Bounds { requests: 1, bodies_bytes: 10, ..Bounds::default() });
        let held = admission.request().expect("a place");
        assert_eq!(admission.request().expect_err("no place").code(), ErrorCode::Overloaded);
        drop(held);
        drop(admission.request().expect("the place that was given back"));
        let _bytes = admission.body(8).expect("room");
        assert_eq!(admission.body(3).expect_err("no room").code(), ErrorCode::Overloaded);
    }
}
