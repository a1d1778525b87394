//! The meters of the tenants that lately sent something, bounded in number.

use std::collections::HashMap;
use std::time::Duration;

use tidings_core::quota::{InForce, Load, Meter, charge};
use tidings_event::TenantId;

use super::{Standing, Throttled};

/// Tenants that are counted at once. One whose buckets are full again is forgotten: a new meter says the same.
const METERS_MAX: usize = 250_000;
/// Tenants beyond which it is looked for those that can be forgotten.
const SWEEP_MIN: usize = 1_024;
/// The shortest time between two looks where nearly all are in use.
const SWEEP_SPACING: Duration = Duration::from_secs(1);

/// One meter for each tenant that may not be at its start.
#[derive(Default)]
pub(crate) struct Meters {
    all: HashMap<TenantId, Meter>,
    /// From how many on the next look for unused ones is worth it.
    sweep_at: usize,
    swept: Duration,
}

impl Meters {
    /// Charges all loads, or none. Each tenant is named once.
    pub(super) fn charge(
        &mut self,
        loads: Vec<(TenantId, Load, InForce)>,
        sharers: u32,
        now: Duration,
    ) -> Result<Vec<Standing>, Throttled> {
        self.make_room(loads.len(), now)?;
        let mut charged: Vec<(TenantId, Load, Meter)> = Vec::with_capacity(loads.len());
        for (tenant, load, limits) in loads {
            let mut meter = self.all.remove(&tenant).unwrap_or_default();
            meter.shape(&limits, sharers, now);
            charged.push((tenant, load, meter));
        }
        let mut asked: Vec<(&mut Meter, Load)> = charged.iter_mut().map(|(_, load, meter)| (meter, *load)).collect();
        let outcome = charge(&mut asked, now);
        let mut standings = Vec::with_capacity(charged.len());
        for (tenant, _, mut meter) in charged {
            let (events, bytes) = meter.rooms(now);
            standings.push(Standing { tenant: tenant.clone(), events, bytes });
            self.all.insert(tenant, meter);
        }
        match outcome {
            Ok(()) => Ok(standings),
            Err(wait) => Err(Throttled::Exceeded { wait, standings }),
        }
    }

    /// Charges one load of a tenant to a quota that nobody shares. `false` when it does not pass now.
    pub(crate) fn charge_one(&mut self, tenant: &TenantId, load: Load, limits: &InForce, now: Duration) -> bool {
        if !self.all.contains_key(tenant) {
            if self.make_room(1, now).is_err() {
                return false;
            }
            self.all.insert(tenant.clone(), Meter::default());
        }
        let Some(meter) = self.all.get_mut(tenant) else { return false };
        meter.shape(limits, 1, now);
        meter.charge(load, now).is_ok()
    }

    /// Forgets meters that say nothing, so that there is room for so many more.
    fn make_room(&mut self, more: usize, now: Duration) -> Result<(), Throttled> {
        let due = self.all.len() + more > self.sweep_at.max(SWEEP_MIN);
        let full = self.all.len() + more > METERS_MAX;
        if due && (!full || now.saturating_sub(self.swept) >= SWEEP_SPACING) {
            self.all.retain(|_, meter| !meter.is_unused(now));
            self.sweep_at = self.all.len().saturating_mul(2).min(METERS_MAX);
            self.swept = now;
        }
        if self.all.len() + more > METERS_MAX { Err(Throttled::Overloaded) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use tidings_core::quota::Numbers;

    use super::*;

    fn asked(tenant: usize, events: u64) -> Vec<(TenantId, Load, InForce)> {
        let limits = Numbers { events_per_s: 10, events_burst: 10, bytes_per_s: 0, bytes_burst: 0 };
        let tenant = TenantId::parse(format!("t{tenant}")).expect("a tenant's name");
        vec![(tenant, Load { events, bytes: 0 }, limits)]
    }

    #[test]
    fn tenants_that_sent_nothing_for_a_while_are_forgotten() {
        let mut meters = Meters::default();
        for tenant in 0..50_000 {
            let now = Duration::from_millis(tenant as u64);
            meters.charge(asked(tenant, 1), 1, now).expect("a first event passes");
        }
        assert!(meters.all.len() <= SWEEP_MIN, "{}", meters.all.len());
    }

    #[test]
    fn a_tenant_that_used_its_quota_is_not_forgotten_however_many_come() {
        let mut meters = Meters::default();
        meters.charge(asked(0, 1_000), 1, Duration::ZERO).expect("a full bucket");
        for tenant in 1..=10_000 {
            meters.charge(asked(tenant, 1), 1, Duration::from_millis(tenant as u64)).expect("a first event passes");
        }
        assert!(meters.charge(asked(0, 1), 1, Duration::from_secs(10)).is_err());
    }

    #[test]
    fn only_so_many_tenants_are_counted_at_once() {
        let mut meters = Meters::default();
        for tenant in 0..METERS_MAX {
            meters.charge(asked(tenant, 10), 1, Duration::ZERO).expect("room for one more");
        }
        assert!(matches!(meters.charge(asked(METERS_MAX, 1), 1, Duration::ZERO), Err(Throttled::Overloaded)));
        meters.charge(asked(METERS_MAX, 1), 1, Duration::from_secs(2)).expect("room again");
        assert_eq!(meters.all.len(), 1);
    }
}
