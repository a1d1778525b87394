//! What came of runs, as one line each and as figures of all.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// What came of a seed.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// The promise that was broken, if one was.
    pub broken: Option<String>,
    /// How long the world lived, in its own microseconds.
    pub simulated_us: u64,
    /// Events in the log.
    pub events: u64,
    /// Deliveries that endpoints took.
    pub deliveries: u64,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// The trace's hash: two runs of one seed have the same.
    pub hash: String,
    /// The trace's length.
    pub lines: u64,
    /// The trace's lines, where they were kept.
    pub trace: Vec<String>,
}

/// Kinds of faults at which a node dies where it stands.
const CRASHES: [&str; 3] = ["node_killed", "killed_before_call", "killed_after_call"];

/// The figures of many runs.
#[derive(Debug, Clone, Default)]
pub struct Report {
    seeds: u64,
    simulated_us: u64,
    events: u64,
    deliveries: u64,
    faults: BTreeMap<&'static str, u64>,
    failures: BTreeMap<u64, String>,
}

impl Report {
    /// Adds a run.
    pub fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.simulated_us += outcome.simulated_us;
        self.events += outcome.events;
        self.deliveries += outcome.deliveries;
        for (kind, count) in &outcome.faults {
            *self.faults.entry(kind).or_default() += count;
        }
        if let Some(broken) = &outcome.broken {
            self.failures.insert(outcome.seed, broken.clone());
        }
    }

    /// Adds the figures of others.
    pub fn join(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.simulated_us += other.simulated_us;
        self.events += other.events;
        self.deliveries += other.deliveries;
        for (kind, count) in other.faults {
            *self.faults.entry(kind).or_default() += count;
        }
        self.failures.extend(other.failures);
    }

    /// Seeds that broke a promise, and which.
    #[must_use]
    pub fn failures(&self) -> &BTreeMap<u64, String> {
        &self.failures
    }

    /// As JSON: `version`, `seeds`, `simulated_seconds`, `events`, `deliveries`, `crashes`, `faults` by kind, `failures`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let crashes: u64 = CRASHES.iter().filter_map(|kind| self.faults.get(kind)).sum();
        let failures = self.failures.iter().map(|(seed, broken)| json!({ "seed": seed, "broken": broken }));
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "seeds": self.seeds,
            "simulated_seconds": self.simulated_us / 1_000_000,
            "events": self.events,
            "deliveries": self.deliveries,
            "crashes": crashes,
            "faults": self.faults,
            "failures": failures.collect::<Vec<_>>(),
        })
    }
}
