//! What the routers tell the metrics. The handles are made once, as each delivery touches them.

use metrics::{Counter, Histogram, counter, gauge, histogram};
use tidings_core::deliver::Answer;
use tidings_event::delivery::AttemptResult;
use tidings_event::{PartitionId, Timestamp};

use crate::append::now;
use crate::metrics::{self as names, Shown};

/// A partition that another node has, or nobody, has nothing to show here.
pub(super) struct Gauges {
    delivered: Counter,
    refused: Counter,
    failed: Counter,
    seconds: Histogram,
    delay: Histogram,
    pub(super) lag: Shown,
    pub(super) in_flight: Shown,
    pub(super) lanes_behind: Shown,
    pub(super) lag_events: Shown,
    pub(super) lag_seconds: Shown,
    pub(super) closed: Shown,
    pub(super) throttled: Shown,
    pub(super) open: Shown,
    owned: Shown,
    pub(super) retries: Shown,
    pub(super) commits: Counter,
    pub(super) commit_seconds: Histogram,
}

impl Gauges {
    pub(super) fn new(partition: PartitionId) -> Self {
        let of = || partition.to_string();
        let gauges = Self {
            delivered: counter!(names::DELIVERIES, "outcome" => "delivered"),
            refused: counter!(names::DELIVERIES, "outcome" => "refused"),
            failed: counter!(names::DELIVERIES, "outcome" => "failed"),
            seconds: histogram!(names::DELIVERY_SECONDS),
            delay: histogram!(names::DELIVERY_DELAY),
            lag: Shown(gauge!(names::ROUTER_LAG, "partition" => of())),
            in_flight: Shown(gauge!(names::DELIVERIES_IN_FLIGHT, "partition" => of())),
            lanes_behind: Shown(gauge!(names::LANES_BEHIND, "partition" => of())),
            lag_events: Shown(gauge!(names::LANE_LAG_EVENTS, "partition" => of())),
            lag_seconds: Shown(gauge!(names::LANE_LAG_SECONDS, "partition" => of())),
            closed: Shown(gauge!(names::CIRCUITS, "partition" => of(), "state" => "closed")),
            throttled: Shown(gauge!(names::CIRCUITS, "partition" => of(), "state" => "throttled")),
            open: Shown(gauge!(names::CIRCUITS, "partition" => of(), "state" => "open")),
            owned: Shown(gauge!(names::ROUTER_OWNED, "partition" => of())),
            retries: Shown(gauge!(names::RETRIES_WAITING, "partition" => of())),
            commits: counter!(names::ROUTE_COMMITS),
            commit_seconds: histogram!(names::ROUTE_COMMIT_SECONDS),
        };
        gauges.owned.set(1);
        gauges
    }

    /// A first attempt: how long after the event was recorded it came to be delivered.
    pub(super) fn first_answered(&self, answer: &Answer, recorded_at: Timestamp) {
        if matches!(answer.result, AttemptResult::Status(200..=299)) {
            let since = now().as_micros().saturating_sub(recorded_at.as_micros()).max(0);
            self.delay.record(since as f64 / 1e6);
        }
    }

    pub(super) fn answered(&self, answer: &Answer) {
        let outcome = match answer.result {
            AttemptResult::Status(200..=299) => &self.delivered,
            AttemptResult::Status(_) => &self.refused,
            AttemptResult::Failed(_) => &self.failed,
        };
        outcome.increment(1);
        self.seconds.record(answer.duration);
    }
}
