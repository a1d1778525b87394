//! What the routers tell the metrics. The handles are made once, as each delivery touches them.

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use tidings_core::deliver::Answer;
use tidings_event::delivery::AttemptResult;
use tidings_event::{PartitionId, Timestamp};

use crate::append::now;
use crate::metrics as names;

pub(super) struct Gauges {
    delivered: Counter,
    refused: Counter,
    failed: Counter,
    seconds: Histogram,
    delay: Histogram,
    pub(super) lag: Gauge,
    pub(super) in_flight: Gauge,
    pub(super) lanes_behind: Gauge,
    pub(super) lag_events: Gauge,
    pub(super) lag_seconds: Gauge,
    pub(super) closed: Gauge,
    pub(super) throttled: Gauge,
    pub(super) open: Gauge,
    owned: Gauge,
    pub(super) retries: Gauge,
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
            lag: gauge!(names::ROUTER_LAG, "partition" => of()),
            in_flight: gauge!(names::DELIVERIES_IN_FLIGHT, "partition" => of()),
            lanes_behind: gauge!(names::LANES_BEHIND, "partition" => of()),
            lag_events: gauge!(names::LANE_LAG_EVENTS, "partition" => of()),
            lag_seconds: gauge!(names::LANE_LAG_SECONDS, "partition" => of()),
            closed: gauge!(names::CIRCUITS, "partition" => of(), "state" => "closed"),
            throttled: gauge!(names::CIRCUITS, "partition" => of(), "state" => "throttled"),
            open: gauge!(names::CIRCUITS, "partition" => of(), "state" => "open"),
            owned: gauge!(names::ROUTER_OWNED, "partition" => of()),
            retries: gauge!(names::RETRIES_WAITING, "partition" => of()),
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

impl Drop for Gauges {
    /// A partition that another node has, or nobody, has nothing to show here.
    fn drop(&mut self) {
        let work = [&self.lag, &self.in_flight, &self.lanes_behind, &self.retries, &self.lag_events, &self.lag_seconds];
        let lanes = [&self.closed, &self.throttled, &self.open, &self.owned];
        work.into_iter().chain(lanes).for_each(|gauge| gauge.set(0));
    }
}
