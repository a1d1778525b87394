//! Which lanes are behind: what the routers of this node last saw, for people to look at.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use parking_lot::Mutex;
use tidings_core::deliver::LaneLook;
use tidings_event::delivery::CircuitState;
use tidings_event::{EndpointId, LaneNo, PartitionId, TenantId, Timestamp};

/// How many lanes are remembered of a partition.
pub(crate) const WORST: usize = 20;

/// A lane that is not up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneStatus {
    /// In which partition.
    pub partition: PartitionId,
    /// Whose.
    pub tenant: TenantId,
    /// To which endpoint.
    pub endpoint: EndpointId,
    /// Whether it is a replay of that endpoint rather than its own lane.
    pub is_replay: bool,
    /// Events of the tenant that it has not come past, whether it wants them or not.
    pub lag_events: u64,
    /// When the oldest event that is in memory and not settled was recorded.
    pub oldest: Option<Timestamp>,
    /// Its circuit.
    pub circuit: CircuitState,
    /// Attempts under way.
    pub in_flight: usize,
    /// Events that wait for their next attempt.
    pub retries: usize,
}

/// The order of lanes by how many events each is behind, the furthest first.
pub(crate) type Rank = (Reverse<u64>, Option<Timestamp>, LaneNo);

/// The lanes that are furthest behind, of many that are looked at.
#[derive(Debug, Default)]
pub(crate) struct Worst {
    /// No more than are shown.
    pub(crate) lanes: BTreeMap<Rank, LaneLook>,
    /// When the oldest event was recorded that any lane holds and has not settled.
    pub(crate) oldest: Option<Timestamp>,
}

impl Worst {
    /// Looks at one more.
    pub(crate) fn take(&mut self, events: u64, look: LaneLook) {
        self.oldest = self.oldest.into_iter().chain(look.oldest).min();
        self.lanes.insert((Reverse(events), look.oldest, look.lane), look);
        if self.lanes.len() > WORST {
            self.lanes.pop_last();
        }
    }
}

/// What each router last saw.
#[derive(Default)]
pub(crate) struct Lanes {
    by_partition: Mutex<BTreeMap<PartitionId, Vec<LaneStatus>>>,
}

impl Lanes {
    /// Takes what a router saw.
    pub(crate) fn show(&self, partition: PartitionId, lanes: Vec<LaneStatus>) {
        self.by_partition.lock().insert(partition, lanes);
    }

    /// Forgets a partition that this node no longer routes.
    pub(crate) fn forget(&self, partition: PartitionId) {
        self.by_partition.lock().remove(&partition);
    }

    /// The worst first.
    pub(crate) fn worst(&self, limit: usize) -> Vec<LaneStatus> {
        let mut all: Vec<LaneStatus> = self.by_partition.lock().values().flatten().cloned().collect();
        all.sort_by_key(|lane| (Reverse(lane.lag_events), lane.oldest, lane.partition));
        all.truncate(limit);
        all
    }
}
