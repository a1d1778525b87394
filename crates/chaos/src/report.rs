//! What a run comes to.

use std::collections::BTreeMap;

use serde::Serialize;

/// Whether every promise held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All of them.
    Passed,
    /// Some were broken; see [`Report::violations`].
    Failed,
}

/// Lengths of time in milliseconds.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Handover {
    /// How many were measured.
    pub count: u64,
    /// Half were no longer.
    pub p50: u64,
    /// All but one in a hundred were no longer.
    pub p99: u64,
    /// The longest.
    pub max: u64,
}

impl Handover {
    pub(crate) fn of(mut times: Vec<u64>) -> Self {
        times.sort_unstable();
        let at = |part: usize| times.get((times.len() * part).div_ceil(100).saturating_sub(1)).copied().unwrap_or(0);
        Self { count: times.len() as u64, p50: at(50), p99: at(99), max: at(100) }
    }
}

/// The report of one run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What the program under test says of its version.
    pub version: String,
    /// How long faults were made.
    pub minutes: f64,
    /// What the faults were drawn from.
    pub seed: u64,
    /// How many faults there were that met something they could break, by kind.
    pub faults: BTreeMap<String, u64>,
    /// All of them.
    pub faults_total: u64,
    /// Faults beside them that met nothing.
    pub without_effect: u64,
    /// Nodes.
    pub nodes: usize,
    /// Whether a broker was there.
    pub nats: bool,
    /// Whether a disk of its own could run full.
    pub disk: bool,
    /// Events whose transaction committed, or that were acknowledged.
    pub events_accepted: u64,
    /// Events in the log, without Tidings' own.
    pub log_events: u64,
    /// Deliveries that receivers took, repeats among them.
    pub deliveries: u64,
    /// Deliveries of an event that its receiver had taken before.
    pub duplicates: u64,
    /// The most of them that one receiver got.
    pub duplicates_of_one_receiver: u64,
    /// Events that were given up, which none may be: the schedule is longer than any fault.
    pub dead_letters: u64,
    /// Messages that somebody outside heard on the broker.
    pub bus_messages: u64,
    /// Messages that the broker's streams held in the end, each held against the log.
    pub bus_held: u64,
    /// Events that feed readers read, and how often they connected anew.
    pub read: u64,
    /// Connections and requests of feed readers.
    pub reader_connections: u64,
    /// Requests and transactions of producers that had to be made again.
    pub producer_retries: u64,
    /// Events that were accepted and are missing somewhere.
    pub lost: u64,
    /// Events that came to an ordered endpoint after a later one.
    pub out_of_order: u64,
    /// Owners that stood still beyond their lease and lost partitions meanwhile.
    pub paused_owners: u64,
    /// Rows that somebody wrote who did not own them any more.
    pub stale_writes: u64,
    /// How often a partition or another thing with one owner was claimed.
    pub claims: u64,
    /// From the kill of an owner until another had claimed each of its partitions, in milliseconds; without any other
    /// fault.
    pub handover_ms: Handover,
    /// The same with other faults beside it.
    pub handover_beside_faults_ms: Handover,
    /// From the kill of an owner until the first delivery of each of its partitions, in milliseconds; without any other
    /// fault.
    pub redelivery_ms: Handover,
    /// How often the books were held against the receivers while everything ran.
    pub looks: u64,
    /// Nodes that ended by themselves, which one may that cannot reach its database at its start.
    pub restarts: u64,
    /// Seconds from the last fault's end until everybody had everything.
    pub drain_s: f64,
    /// Promises that were broken.
    pub broken: u64,
    /// The first of them in words.
    pub violations: Vec<String>,
    /// Whether all held.
    pub verdict: Verdict,
}

#[cfg(test)]
mod tests {
    use super::Handover;

    #[test]
    fn a_handover_tells_its_middle_and_its_end() {
        let of = Handover::of((1..=200).rev().collect());
        assert_eq!((of.count, of.p50, of.p99, of.max), (200, 100, 198, 200));
        assert_eq!(Handover::of(vec![]).max, 0);
    }
}
