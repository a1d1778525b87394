//! Whose turn it is: tenants one after another, and within a tenant its lanes one after another.
//!
//! However much one tenant has waiting, another waits for at most one turn of each tenant that waits too.

use std::collections::VecDeque;

use tidings_event::{LaneNo, TenantNo};

use super::hash::NumberMap;

/// Lanes that wait for something. Whoever puts a lane in takes care that it is in once.
#[derive(Debug, Default)]
pub(super) struct Fair {
    /// Tenants of which a lane waits.
    turn: VecDeque<TenantNo>,
    tenants: NumberMap<TenantNo, Waiting>,
}

/// What is known of a tenant while a lane of it waits or it holds something.
#[derive(Debug, Default)]
struct Waiting {
    lanes: VecDeque<LaneNo>,
    /// How much of what is shared out the tenant holds.
    held: usize,
}

impl Fair {
    /// Puts a lane behind the others of its tenant.
    pub(super) fn push(&mut self, tenant: TenantNo, lane: LaneNo) {
        let waiting = self.tenants.entry(tenant).or_default();
        if waiting.lanes.is_empty() {
            self.turn.push_back(tenant);
        }
        waiting.lanes.push_back(lane);
    }

    /// Takes the lane whose turn it is. A tenant that holds `quota` or more is passed over while another waits that
    /// does not.
    pub(super) fn pop(&mut self, quota: usize) -> Option<(TenantNo, LaneNo)> {
        // Not more tenants can be over their quota than share out the whole, so this looks at few.
        let over = |fair: &Self, tenant| fair.tenants.get(tenant).is_some_and(|waiting| waiting.held >= quota);
        let passed = self.turn.iter().take_while(|tenant| over(self, tenant)).count();
        if passed < self.turn.len() {
            self.turn.rotate_left(passed);
        }
        let tenant = self.turn.pop_front()?;
        let waiting = self.tenants.get_mut(&tenant)?;
        let lane = waiting.lanes.pop_front()?;
        if waiting.lanes.is_empty() {
            self.forget(tenant);
        } else {
            self.turn.push_back(tenant);
        }
        Some((tenant, lane))
    }

    /// The tenant holds one more.
    pub(super) fn hold(&mut self, tenant: TenantNo) {
        self.tenants.entry(tenant).or_default().held += 1;
    }

    /// The tenant holds so many less.
    pub(super) fn release(&mut self, tenant: TenantNo, count: usize) {
        if let Some(waiting) = self.tenants.get_mut(&tenant) {
            waiting.held = waiting.held.saturating_sub(count);
            self.forget(tenant);
        }
    }

    fn forget(&mut self, tenant: TenantNo) {
        if self.tenants.get(&tenant).is_some_and(|waiting| waiting.lanes.is_empty() && waiting.held == 0) {
            self.tenants.remove(&tenant);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(fair: &mut Fair) -> Vec<(i64, i64)> {
        std::iter::from_fn(|| fair.pop(usize::MAX)).map(|(tenant, lane)| (tenant.0, lane.0)).collect()
    }

    #[test]
    fn tenants_take_turns_and_so_do_their_lanes() {
        let mut fair = Fair::default();
        for (tenant, lane) in [(1, 10), (1, 11), (1, 12), (2, 20), (3, 30), (3, 31)] {
            fair.push(TenantNo(tenant), LaneNo(lane));
        }
        assert_eq!(drain(&mut fair), [(1, 10), (2, 20), (3, 30), (1, 11), (3, 31), (1, 12)]);
        assert!(fair.turn.is_empty() && fair.tenants.is_empty());
    }

    #[test]
    fn a_tenant_over_its_quota_is_passed_over_while_another_waits() {
        let mut fair = Fair::default();
        fair.hold(TenantNo(1));
        fair.hold(TenantNo(1));
        for (tenant, lane) in [(1, 10), (2, 20), (1, 11), (2, 21)] {
            fair.push(TenantNo(tenant), LaneNo(lane));
        }
        let order: Vec<i64> = std::iter::from_fn(|| fair.pop(2)).map(|(_, lane)| lane.0).collect();
        assert_eq!(order, [20, 21, 10, 11]);
        fair.release(TenantNo(1), 2);
        assert!(fair.tenants.is_empty());
    }
}
