//! Rows that wait because their tenant may not send more just now, or because its part of the log cannot be reached.
//!
//! A pump never refuses a row for its tenant's quota: the row stays in the outbox, and all later rows of its tenant with
//! it, so that the tenant's order holds. Rows of other tenants pass. A row that waits is read again in every round until
//! it passes, so how many of them a round reads past is bounded; where more wait, what is behind them waits, too.
//!
//! Rows that were lost on their way into the log are kept back in the same way. They are tried again now and then, so
//! that waiting for a database that is down takes little of everybody else's time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use metrics::gauge;
use tidings_catalog::judge::Catalog;
use tidings_core::pace::{Bounds, Pace};
use tidings_event::{Event, Problem, TenantId};
use tidings_store::OutboxRow;
use tokio::time::Instant;

use super::{PARSE_ROWS, row};
use crate::append::count;
use crate::metrics::{self as names, Shown};
use crate::quota::{Meters, Quotas, load};

/// Rows that one round reads past.
const ROWS_MAX: usize = 10_000;
/// Their bytes.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// The shortest time from a round that left rows to the next that nothing hints at.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest: what a second brings fits every bucket, so that nothing of a quota is lost.
const PAUSE_MAX: Duration = Duration::from_millis(900);
/// How many times as long as a round took is waited for the next, so that reading the same rows takes little of the
/// source's time.
const PAUSE_PER_ROUND: u32 = 4;

/// What one source's pump holds back.
pub(super) struct Holds {
    quotas: Arc<Quotas>,
    meters: Meters,
    /// Whose rows wait for a quota, in the round that is under way or was the last.
    tenants: BTreeSet<TenantId>,
    /// Whose rows were lost on their way into the log, and when they are tried again.
    lost: BTreeSet<TenantId>,
    retry_at: Option<Instant>,
    retries: Pace,
    /// How many rows were left, for either reason.
    rows: usize,
    bytes: usize,
    gauge: Shown,
}

/// A row that passes, and its event where that was read to judge so.
pub(super) struct Passing {
    pub(super) row: OutboxRow,
    pub(super) event: Option<Result<Event, Problem>>,
}

impl Holds {
    pub(super) fn new(quotas: Arc<Quotas>, source: &str) -> Self {
        Self {
            quotas,
            meters: Meters::default(),
            tenants: BTreeSet::new(),
            lost: BTreeSet::new(),
            retry_at: None,
            retries: Pace::new(Bounds::FAILURE),
            rows: 0,
            bytes: 0,
            gauge: Shown(gauge!(names::OUTBOX_HELD_BACK, "source" => source.to_owned())),
        }
    }

    /// Begins a round, which reads from the first row on.
    pub(super) fn begin(&mut self, now: Instant) {
        self.tenants.clear();
        (self.rows, self.bytes) = (0, 0);
        if self.retry_at.is_some_and(|at| at <= now) {
            self.try_lost_again();
        }
    }

    /// Notes how the round ended.
    pub(super) fn end(&mut self) {
        self.gauge.set(count(self.tenants.len()));
        if self.lost.is_empty() {
            self.retries.reset();
        }
    }

    /// Keeps a tenant's rows back, of which one was lost on its way into the log: for a while, and for no less than it
    /// took to learn of it.
    pub(super) fn lose(&mut self, tenant: TenantId, bytes: usize, took: Duration) {
        self.rows += 1;
        self.bytes += bytes;
        self.lost.insert(tenant);
        if self.retry_at.is_none() {
            self.retry_at = Some(Instant::now() + self.retries.found(0).max(took));
        }
    }

    /// Lets those pass in the next round whose rows were lost.
    pub(super) fn try_lost_again(&mut self) {
        self.lost.clear();
        self.retry_at = None;
    }

    /// Whether anybody's rows are kept back because they were lost.
    pub(super) fn has_lost(&self) -> bool {
        !self.lost.is_empty()
    }

    /// How many rows were left so far.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Whether no further row can be left: the round goes no further.
    pub(super) fn is_full(&self) -> bool {
        self.rows >= ROWS_MAX || self.bytes >= BYTES_MAX
    }

    /// How long to wait for the next round, if this one left rows.
    pub(super) fn pause(&self, took: Duration) -> Option<Duration> {
        (self.rows > 0).then(|| (took * PAUSE_PER_ROUND).clamp(PAUSE_MIN, PAUSE_MAX))
    }

    /// The rows that pass, in their order. What cannot be read passes: it is refused where it is read.
    pub(super) async fn admit(&mut self, rows: Vec<OutboxRow>, catalog: &Catalog) -> Vec<Passing> {
        // Whoever has a row that waits in this round goes on waiting, also where no quota holds any more.
        if self.tenants.is_empty() && self.lost.is_empty() && self.quotas.is_free() {
            return rows.into_iter().map(|row| Passing { row, event: None }).collect();
        }
        let mut passing = Vec::with_capacity(rows.len());
        for (at, row) in rows.into_iter().enumerate() {
            if at % PARSE_ROWS == PARSE_ROWS - 1 {
                tokio::task::yield_now().await;
            }
            let event = row::read(&row, catalog);
            if event.as_ref().map_or(true, |event| self.passes(event)) {
                passing.push(Passing { row, event: Some(event) });
            } else {
                self.rows += 1;
                self.bytes += row.event.len();
            }
        }
        passing
    }

    fn passes(&mut self, event: &Event) -> bool {
        if self.tenants.contains(&event.tenant) || self.lost.contains(&event.tenant) {
            return false;
        }
        let limits = self.quotas.in_force(&event.tenant);
        if limits.is_free() || self.meters.charge_one(&event.tenant, load(event), &limits, self.quotas.now()) {
            return true;
        }
        self.tenants.insert(event.tenant.clone());
        false
    }
}

/// When rounds come while rows wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spacing {
    /// The next round at the latest.
    pub(super) due: Instant,
    /// The next at the earliest, when something hints at it.
    pub(super) hinted: Instant,
}

impl Spacing {
    pub(super) fn new(ended: Instant, took: Duration, pause: Duration) -> Self {
        Self { due: ended + pause, hinted: ended + took.min(PAUSE_MAX) }
    }
}
