//! What happened, moment by moment: kept in memory as far as the checker needs it, and in a file for people.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use crate::faults::Fault;

/// Violations kept in words; all are counted.
const VIOLATIONS_MAX: usize = 200;
/// How long after a fault's end its consequences may still show: time-outs, a lease that runs out, a process that
/// starts.
const AFTERMATH: Duration = Duration::from_secs(30);

/// One fault, while it lasts and afterwards.
struct Record {
    fault: Fault,
    from: Duration,
    /// Nothing while it lasts.
    to: Option<Duration>,
    /// Whether it met anything that it could break; known when it is over.
    acted: bool,
}

/// The history of one run. Times count from its beginning.
pub(crate) struct History {
    began: Instant,
    began_by_clock: SystemTime,
    file: Mutex<BufWriter<File>>,
    faults: Mutex<Vec<Record>>,
    violations: Mutex<Violations>,
}

#[derive(Default)]
struct Violations {
    count: u64,
    texts: Vec<String>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl History {
    pub(crate) fn new(path: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            began: Instant::now(),
            began_by_clock: SystemTime::now(),
            file: Mutex::new(BufWriter::new(File::create(path)?)),
            faults: Mutex::default(),
            violations: Mutex::default(),
        })
    }

    /// Since the beginning.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// A moment that the database wrote down, in milliseconds since 1970.
    pub(crate) fn of_clock(&self, unix_ms: u64) -> Duration {
        let began = self.began_by_clock.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Duration::from_millis(unix_ms).saturating_sub(began)
    }

    /// Writes one line into the file.
    pub(crate) fn note(&self, what: &str, mut of: Value) {
        of["at_ms"] = json!(millis(self.now()));
        of["what"] = json!(what);
        let mut file = lock(&self.file);
        // A history that cannot be written is worth less than the run.
        let _ = writeln!(file, "{of}");
    }

    /// A line for people as well.
    pub(crate) fn say(&self, text: &str) {
        self.note("said", json!({ "text": text }));
        let at = self.now().as_secs_f64();
        let _ = writeln!(std::io::stderr(), "[{at:>8.2}] {text}");
    }

    pub(crate) fn flush(&self) {
        let _ = lock(&self.file).flush();
    }

    /// A fault begins; returns its number.
    pub(crate) fn begin(&self, fault: Fault, details: &Value) -> usize {
        let from = self.now();
        let mut faults = lock(&self.faults);
        faults.push(Record { fault, from, to: None, acted: true });
        let no = faults.len() - 1;
        drop(faults);
        self.note("fault", json!({ "no": no, "kind": fault.to_string(), "details": details }));
        no
    }

    /// A fault has ended, and what it hit is as it was; `acted` says whether it met anything that it could break.
    pub(crate) fn end(&self, no: usize, acted: bool) {
        let now = self.now();
        let mut faults = lock(&self.faults);
        (faults[no].to, faults[no].acted) = (Some(now), acted);
        drop(faults);
        self.note("fault_over", json!({ "no": no, "acted": acted }));
    }

    /// How many faults of each kind there were that acted, and how many that did not.
    pub(crate) fn counts(&self) -> (BTreeMap<String, u64>, u64) {
        let (mut counts, mut without_effect) = (BTreeMap::new(), 0);
        for record in lock(&self.faults).iter() {
            if record.acted {
                *counts.entry(record.fault.to_string()).or_default() += 1;
            } else {
                without_effect += 1;
            }
        }
        (counts, without_effect)
    }

    /// Whether a fault of some kind, or what follows one, lies between two moments.
    pub(crate) fn disturbed(&self, from: Duration, to: Duration, explains: impl Fn(&Fault) -> bool) -> bool {
        let until = |fault: &Record| fault.to.map_or(Duration::MAX, |end| end + AFTERMATH);
        lock(&self.faults)
            .iter()
            .any(|fault| fault.acted && fault.from <= to && until(fault) >= from && explains(&fault.fault))
    }

    /// How much of the time between two moments something was hit.
    pub(crate) fn hit_for(&self, from: Duration, to: Duration, hits: &str) -> Duration {
        let overlap = |fault: &Record| fault.to.unwrap_or(to).min(to).saturating_sub(fault.from.max(from));
        lock(&self.faults).iter().filter(|record| record.fault.hits() == hits).map(overlap).sum()
    }

    /// A promise was broken.
    pub(crate) fn broken(&self, text: String) {
        self.say(&format!("BROKEN: {text}"));
        let mut violations = lock(&self.violations);
        violations.count += 1;
        if violations.texts.len() < VIOLATIONS_MAX {
            violations.texts.push(text);
        }
    }

    /// How many promises were broken, and the first of them in words.
    pub(crate) fn violations(&self) -> (u64, Vec<String>) {
        let violations = lock(&self.violations);
        (violations.count, violations.texts.clone())
    }
}

/// Whole milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
