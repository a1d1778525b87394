//! What all of a simulation shares: its clock, its trace, its count of faults, and the first promise that was broken.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tidings_event::Timestamp;

/// The wall's time when a simulation begins: 2026-03-15T10:00:00Z, in microseconds.
pub const EPOCH_US: i64 = 1_773_568_800_000_000;

/// One simulated world.
pub struct Universe {
    /// Microseconds since the beginning, up to which every node has lived.
    now_us: AtomicU64,
    /// The database's clock has shown this much; it is not asked to run backwards by nodes that live one after another.
    database_us: AtomicU64,
    /// How far the database's clock is off.
    database_skew_us: AtomicI64,
    /// Whether faults happen.
    faulty: AtomicBool,
    trace: Mutex<Trace>,
    faults: Mutex<BTreeMap<&'static str, u64>>,
    /// When something happened after which events may come again, in seconds.
    excuses: Mutex<BTreeMap<Excuse, BTreeSet<u64>>>,
    broken: Mutex<Option<String>>,
}

/// Whose events may come again because something happened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Excuse {
    /// Everybody's: a node or its way to the database suffered.
    Everybody,
    /// Those of a partition, whose router changed.
    Partition(i64),
    /// Those of one URL, which misbehaved.
    Url(String),
}

/// One line for every effect that can be seen from outside.
struct Trace {
    hash: Sha256,
    lines: u64,
    kept: Option<Vec<String>>,
}

impl Universe {
    /// A world at its beginning. `keep` has the trace's lines kept; otherwise there is its hash alone.
    #[must_use]
    pub fn new(keep: bool) -> Arc<Self> {
        Arc::new(Self {
            now_us: AtomicU64::new(0),
            database_us: AtomicU64::new(0),
            database_skew_us: AtomicI64::new(0),
            faulty: AtomicBool::new(true),
            trace: Mutex::new(Trace { hash: Sha256::new(), lines: 0, kept: keep.then(Vec::new) }),
            faults: Mutex::default(),
            excuses: Mutex::default(),
            broken: Mutex::default(),
        })
    }

    /// Microseconds since the beginning.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        self.now_us.load(Ordering::Relaxed)
    }

    /// Every node has lived up to here.
    pub fn advance_to(&self, now_us: u64) {
        self.now_us.store(now_us, Ordering::Relaxed);
        self.database_reaches(now_us);
    }

    /// A statement reaches the database at this moment.
    pub fn database_reaches(&self, now_us: u64) {
        self.database_us.fetch_max(now_us, Ordering::Relaxed);
    }

    /// Sets the database's clock: so far off the true time.
    pub fn set_database_clock(&self, skew_us: i64) {
        self.database_skew_us.store(skew_us, Ordering::Relaxed);
    }

    /// What the database takes for the present moment.
    #[must_use]
    pub fn database_now(&self) -> Timestamp {
        let elapsed = self.database_us.load(Ordering::Relaxed).cast_signed();
        Timestamp::from_micros(EPOCH_US + elapsed + self.database_skew_us.load(Ordering::Relaxed))
    }

    /// The true time, by which databases of producers go.
    #[must_use]
    pub fn true_now(&self) -> Timestamp {
        Timestamp::from_micros(EPOCH_US + self.database_us.load(Ordering::Relaxed).cast_signed())
    }

    /// Whether faults happen at present.
    #[must_use]
    pub fn is_faulty(&self) -> bool {
        self.faulty.load(Ordering::Relaxed)
    }

    /// From now on all goes well.
    pub fn end_faults(&self) {
        self.faulty.store(false, Ordering::Relaxed);
    }

    /// Writes a line of the trace: something that can be seen from outside happened at a moment.
    pub fn trace(&self, at_us: u64, what: fmt::Arguments<'_>) {
        let line = format!("{:>10}.{:03} {what}\n", at_us / 1_000, at_us % 1_000);
        let mut trace = self.trace.lock();
        trace.hash.update(line.as_bytes());
        trace.lines += 1;
        if let Some(kept) = &mut trace.kept {
            kept.push(line);
        }
    }

    /// Counts a fault, and writes it into the trace.
    pub fn fault(&self, at_us: u64, kind: &'static str, where_: fmt::Arguments<'_>) {
        *self.faults.lock().entry(kind).or_default() += 1;
        self.trace(at_us, format_args!("fault {kind} {where_}"));
    }

    /// A fault that may have a router do again what it had done.
    pub fn upset(&self, at_us: u64, kind: &'static str, where_: fmt::Arguments<'_>) {
        self.fault(at_us, kind, where_);
        self.excuses(at_us, Excuse::Everybody);
    }

    /// How many faults of each kind there were.
    #[must_use]
    pub fn faults(&self) -> BTreeMap<&'static str, u64> {
        self.faults.lock().clone()
    }

    /// Something happened after which events may come again.
    pub fn excuses(&self, at_us: u64, excuse: Excuse) {
        self.excuses.lock().entry(excuse).or_default().insert(at_us / 1_000_000);
    }

    /// Whether such a thing happened between two moments, give or take a second.
    #[must_use]
    pub fn had_excuse(&self, excuse: &Excuse, from_us: u64, to_us: u64) -> bool {
        let (from, to) = (from_us / 1_000_000, to_us / 1_000_000);
        let excuses = self.excuses.lock();
        excuses.get(excuse).is_some_and(|times| times.range(from.saturating_sub(1)..=to + 1).next().is_some())
    }

    /// A promise was broken; the first one that was is kept.
    pub fn breaks(&self, promise: fmt::Arguments<'_>) {
        let text = promise.to_string();
        self.trace(self.now_us(), format_args!("BROKEN {text}"));
        self.broken.lock().get_or_insert(text);
    }

    /// The promise that was broken first, if one was.
    #[must_use]
    pub fn broken(&self) -> Option<String> {
        self.broken.lock().clone()
    }

    /// The hash of the trace so far, how many lines it has, and its lines where they are kept.
    #[must_use]
    pub fn traced(&self) -> (String, u64, Vec<String>) {
        let mut trace = self.trace.lock();
        let hash = trace.hash.clone().finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        (hash, trace.lines, trace.kept.take().unwrap_or_default())
    }
}
