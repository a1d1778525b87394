//! What the routers tell the metrics. The handles are made once, as each delivery touches them.

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use tidings_core::deliver::Answer;
use tidings_event::PartitionId;
use tidings_event::delivery::AttemptResult;

use crate::metrics as names;

pub(super) struct Gauges {
    delivered: Counter,
    refused: Counter,
    failed: Counter,
    seconds: Histogram,
    pub(super) lag: Gauge,
    pub(super) in_flight: Gauge,
    pub(super) lanes_behind: Gauge,
    pub(super) circuits_open: Gauge,
    pub(super) retries: Gauge,
    pub(super) commits: Counter,
    pub(super) commit_seconds: Histogram,
}

impl Gauges {
    pub(super) fn new(partition: PartitionId) -> Self {
        let of = || partition.to_string();
        Self {
            delivered: counter!(names::DELIVERIES, "outcome" => "delivered"),
            refused: counter!(names::DELIVERIES, "outcome" => "refused"),
            failed: counter!(names::DELIVERIES, "outcome" => "failed"),
            seconds: histogram!(names::DELIVERY_SECONDS),
            lag: gauge!(names::ROUTER_LAG, "partition" => of()),
            in_flight: gauge!(names::DELIVERIES_IN_FLIGHT, "partition" => of()),
            lanes_behind: gauge!(names::LANES_BEHIND, "partition" => of()),
            circuits_open: gauge!(names::CIRCUITS_OPEN, "partition" => of()),
            retries: gauge!(names::RETRIES_WAITING, "partition" => of()),
            commits: counter!(names::ROUTE_COMMITS),
            commit_seconds: histogram!(names::ROUTE_COMMIT_SECONDS),
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
        for gauge in [&self.lag, &self.in_flight, &self.lanes_behind, &self.circuits_open, &self.retries] {
            gauge.set(0);
        }
    }
}
