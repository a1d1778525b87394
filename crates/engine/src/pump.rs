//! The pump: brings what producers committed to their outboxes into the log.
//!
//! Each source has one. It reads whatever is visible and confirmed, in order of id, appends it, and deletes it. It
//! keeps no cursor: a row is behind it only when it is gone, so a transaction that commits late is read later and
//! nothing is skipped. What it appends is what one moment saw, from the first row on, so an event never overtakes one
//! that was committed before it. A crash between appending and deleting repeats the append, which the log answers with the
//! first sequence. Rows that the log refuses are set aside with the reason and hold up nobody; rows of tenants whose part
//! of the log cannot be reached stay, and hold up nobody else.

mod hold;
mod row;
mod traced;
mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use metrics::{counter, gauge, histogram};
use tidings_core::pace::{Bounds, Pace};
use tidings_event::{ErrorCode, Event, Problem, TenantId};
use tidings_store::{OutboxRow, OutboxStatus, SourceError};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::append::now;
use crate::catalog::{Door, Outcome};
use crate::metrics::{self as names, Shown};
use crate::options::PumpOptions;
use crate::pause::sleep_unless;
use crate::quota::Quotas;
use crate::sources::SourceHandle;
use crate::{AppendError, Emitter};
use hold::{Holds, Passing, Spacing};
use traced::Traced;
use window::Window;

/// How long a round that is under way may take to end when the engine shuts down. Cutting it short loses nothing.
const GRACE: Duration = Duration::from_secs(5);
/// How often a source is asked how its outbox stands; it counts rows for that.
const OBSERVE_EVERY: Duration = Duration::from_secs(5);
/// How long that may take.
const OBSERVE_MAX: Duration = Duration::from_secs(2);
/// The shortest time between two looks that found nothing, so that a flood of hints does not become a flood of reads.
const HINT_SPACING: Duration = Duration::from_millis(1);
/// Rows that are parsed before other tasks get their turn.
const PARSE_ROWS: usize = 128;

/// Why a round was cut short. Nothing is lost by it: the rows are still in the outbox.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PumpError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error("the round panicked")]
    Panicked,
}

impl PumpError {
    /// For metrics, and to log a failure once rather than at every try.
    fn kind(&self) -> &'static str {
        match self {
            Self::Source(SourceError::Unavailable(_)) => "source_unavailable",
            Self::Source(SourceError::NotInstalled(_)) => "source_not_installed",
            Self::Source(SourceError::Broken(_)) => "source_broken",
            Self::Append(AppendError::Store(tidings_store::Error::Unavailable { .. })) => "storage_unavailable",
            Self::Append(AppendError::ShuttingDown) => "shutting_down",
            Self::Append(AppendError::Overloaded) => "overloaded",
            Self::Append(_) => "storage_broken",
            Self::Panicked => "panicked",
        }
    }
}

/// What became of rows: those that are in the log or kept aside, those that were refused, each with a problem document,
/// and those of which it is not known, which stay.
#[derive(Debug, Default)]
struct Settled {
    done: Vec<i64>,
    refused: Vec<(i64, String)>,
    lost: Vec<Lost>,
}

/// A row that was lost on its way into the log.
#[derive(Debug)]
struct Lost {
    row: i64,
    bytes: usize,
    tenant: TenantId,
    error: AppendError,
}

/// One source's pump.
pub(crate) struct Pump {
    source: SourceHandle,
    door: Arc<Door>,
    emitter: Emitter,
    options: PumpOptions,
    window: Window,
    holds: Holds,
    /// When the next round comes, if the last one left rows.
    spacing: Option<Spacing>,
    /// What went wrong in the last round, if something did.
    failing: Option<&'static str>,
    /// Why rows were lost in the last round, if some were and others were not.
    losing: Option<AppendError>,
    observed: Option<Instant>,
    gauges: Gauges,
}

/// How the outbox stands, as long as this node empties it.
struct Gauges {
    lag: Shown,
    pending: Shown,
    refused: Shown,
    intents: Shown,
}

impl Pump {
    pub(crate) fn new(source: SourceHandle, door: Arc<Door>, quotas: Arc<Quotas>, options: PumpOptions) -> Self {
        let emitter = Emitter::Source { name: source.name.clone(), service: source.service.clone() };
        let holds = Holds::new(quotas, &source.name);
        let gauges = Gauges::new(&source.name);
        Self {
            source,
            door,
            emitter,
            options,
            window: Window::default(),
            holds,
            spacing: None,
            failing: None,
            losing: None,
            observed: None,
            gauges,
        }
    }

    /// Works until the token ends it.
    pub(crate) async fn run(mut self, ending: CancellationToken) {
        let mut pace = Pace::new(self.options.poll);
        let mut retries = Pace::new(Bounds::FAILURE);
        loop {
            let outcome = {
                let round = AssertUnwindSafe(self.run_once()).catch_unwind();
                tokio::pin!(round);
                tokio::select! {
                    biased;
                    () = ending.cancelled() => {
                        let _unfinished = timeout(GRACE, round).await;
                        return;
                    }
                    outcome = &mut round => outcome.unwrap_or(Err(PumpError::Panicked)),
                }
            };
            let goes_on = match outcome {
                Ok(rows) => {
                    match self.losing.take() {
                        Some(error) => self.note_failure(&error.into(), "some tenants' rows wait in the outbox"),
                        None if self.holds.has_lost() => {}
                        None => self.note_success(),
                    }
                    retries.reset();
                    if rows > 0 {
                        pace.reset();
                    }
                    // Where rows wait, what little passes must not have all of them read again at once.
                    let enough = if self.spacing.is_some() { self.options.batch_rows } else { 1 };
                    rows >= enough || self.wait_for_work(&mut pace, &ending).await
                }
                Err(error) => {
                    self.note_failure(&error, "the outbox cannot be emptied; trying again");
                    sleep_unless(retries.found(0), &ending).await
                }
            };
            if !goes_on || ending.is_cancelled() {
                return;
            }
            self.observe().await;
        }
    }

    /// Empties the outbox once: reads, appends and deletes until less than a full batch was found, or for as long as
    /// [`PumpOptions::sweep`]. Returns how many rows it dealt with; rows that were refused count, and rows that wait for
    /// their tenant's quota or its part of the log do not. Fails where rows were lost and none was dealt with.
    pub(crate) async fn run_once(&mut self) -> Result<usize, PumpError> {
        let began = Instant::now();
        let bound = self.window.begin(began, self.options.sweep);
        // Rows that were left must come before later ones of their tenants.
        let floor = if self.holds.rows() > 0 { i64::MIN } else { bound };
        self.holds.begin(began);
        (self.spacing, self.losing) = (None, None);
        let mut rows = self.read(floor).await?;
        self.window.measure(floor, began.elapsed(), self.is_full(&rows));
        let mut found = 0;
        while let (Some(first), Some(last)) = (rows.first().map(|row| row.id), rows.last().map(|row| row.id)) {
            self.window.saw(first, last);
            let is_full = self.is_full(&rows);
            let passing = self.holds.admit(rows, &self.door.holder.catalog()).await;
            // Behind a full batch there is more, which is read while this one is appended. The rows in flight lie
            // below what is read, so none is read twice.
            // What waits is read past however long that takes, or nobody behind it would have a turn.
            let goes_on = found + passing.len() == 0 || !self.window.is_sweep_due(Instant::now(), self.options.sweep);
            let ahead = is_full && goes_on && !self.holds.is_full();
            let asked = Instant::now();
            let (settled, next) = tokio::join!(self.materialize(passing), async {
                if ahead { self.read(last.saturating_add(1)).await } else { Ok(Vec::new()) }
            },);
            let mut settled = settled?;
            found += settled.done.len() + settled.refused.len();
            for Lost { bytes, tenant, error, .. } in settled.lost.drain(..) {
                self.holds.lose(tenant, bytes, asked.elapsed());
                self.losing.get_or_insert(error);
            }
            self.clear(settled).await?;
            rows = next?;
            if self.is_overtaken(&rows).await? {
                break;
            }
        }
        if found == 0
            && let Some(error) = self.losing.take()
        {
            // The whole round is tried again, at the pace of failures.
            self.holds.try_lost_again();
            return Err(error.into());
        }
        self.holds.end();
        let took = began.elapsed();
        self.spacing = self.holds.pause(took).map(|pause| Spacing::new(Instant::now(), took, pause));
        Ok(found)
    }

    /// Whether a row became visible below rows that were read ahead. Its transaction may have committed before theirs,
    /// and theirs may build on it, so the next round reads from the first row on: what is appended is always all that
    /// some moment saw, up to a row.
    async fn is_overtaken(&self, ahead: &[OutboxRow]) -> Result<bool, SourceError> {
        let Some(first) = ahead.first() else { return Ok(false) };
        if self.holds.rows() > 0 {
            // All that may be below are the rows that wait.
            let below = self.source.source.waiting_before(first.id).await?;
            return Ok(below != self.holds.rows() as u64);
        }
        let lowest = self.source.source.read(self.window.bound(), 1, 1).await?;
        Ok(lowest.first().is_none_or(|row| row.id != first.id))
    }

    async fn read(&self, floor: i64) -> Result<Vec<OutboxRow>, SourceError> {
        self.source.source.read(floor, self.options.batch_rows, self.options.batch_bytes).await
    }

    fn is_full(&self, rows: &[OutboxRow]) -> bool {
        let bytes: usize = rows.iter().map(|row| row.event.len()).sum();
        rows.len() >= self.options.batch_rows || bytes >= self.options.batch_bytes / 4 * 3
    }

    /// Appends rows in order. Each stands for itself: one that is refused leaves the others alone.
    async fn materialize(&self, rows: Vec<Passing>) -> Result<Settled, AppendError> {
        let (rows, events): (Vec<OutboxRow>, Vec<_>) = rows.into_iter().map(|one| (one.row, one.event)).unzip();
        let mut settled = self.take_in(&rows, events).await?;
        let (broken, lost) = settled.lost.into_iter().partition(Lost::is_broken);
        settled.lost = lost;
        self.materialize_singly(&rows, broken, &mut settled).await?;
        self.count(&settled, &rows);
        Ok(settled)
    }

    /// Parses, judges and appends rows. Those that are kept aside count as done: they are where they belong.
    async fn take_in(
        &self,
        rows: &[OutboxRow],
        read: Vec<Option<Result<Event, Problem>>>,
    ) -> Result<Settled, AppendError> {
        let catalog = self.door.holder.catalog();
        let mut settled = Settled::default();
        let mut traces = Vec::new();
        let mut taken = Vec::with_capacity(rows.len());
        let mut events = Vec::with_capacity(rows.len());
        for (count, (row, read)) in rows.iter().zip(read).enumerate() {
            if count % PARSE_ROWS == PARSE_ROWS - 1 {
                tokio::task::yield_now().await;
            }
            match read.unwrap_or_else(|| row::read(row, &catalog)) {
                Ok(mut event) => {
                    traces.extend(Traced::begin(self.door.appender.tracer(), &mut event, &self.source.name, row));
                    taken.push((row, event.tenant.clone()));
                    events.push(event);
                }
                Err(problem) => settled.refuse(row.id, &problem),
            }
        }
        if events.is_empty() {
            return Ok(settled);
        }
        for ((row, tenant), outcome) in taken.into_iter().zip(self.door.emit_each(&self.emitter, events).await?) {
            match outcome {
                Outcome::Taken | Outcome::Aside => settled.done.push(row.id),
                Outcome::Refused(problem) => settled.refuse(row.id, &problem),
                Outcome::Lost(error) => {
                    settled.lost.push(Lost { row: row.id, bytes: row.event.len(), tenant, error: *error });
                }
            }
        }
        let lost: BTreeSet<i64> = settled.lost.iter().map(|lost| lost.row).collect();
        for traced in traces.into_iter().filter(|traced| !lost.contains(&traced.row)) {
            let refused = settled.refused.iter().any(|(id, _)| *id == traced.row);
            traced.end(self.door.appender.tracer(), refused);
        }
        Ok(settled)
    }

    /// Finds among rows whose append broke in a way that should be impossible the one that breaks it, and sets it aside.
    /// When none of them can be appended it is not the rows that are broken, and all of them stay.
    async fn materialize_singly(
        &self,
        rows: &[OutboxRow],
        broken: Vec<Lost>,
        settled: &mut Settled,
    ) -> Result<(), AppendError> {
        if broken.len() < 2 {
            settled.lost.extend(broken);
            return Ok(());
        }
        let mut broken: BTreeMap<i64, Lost> = broken.into_iter().map(|lost| (lost.row, lost)).collect();
        let (mut singly, mut unfit, mut lost) = (Settled::default(), Vec::new(), BTreeSet::new());
        for row in rows {
            let Some(before) = broken.remove(&row.id) else { continue };
            if lost.contains(&before.tenant) {
                singly.lost.push(before);
                continue;
            }
            let one = self.take_in(std::slice::from_ref(row), vec![None]).await?;
            singly.done.extend(one.done);
            singly.refused.extend(one.refused);
            for one in one.lost {
                if one.is_broken() {
                    unfit.push((row, one));
                } else {
                    lost.insert(one.tenant.clone());
                    singly.lost.push(one);
                }
            }
        }
        if singly.done.is_empty() {
            singly.lost.extend(unfit.into_iter().map(|(_, lost)| lost));
        } else {
            for (row, Lost { error, .. }) in unfit {
                let event_id = row.source_key.as_str();
                tracing::error!(source = %self.source.name, row = row.id, event_id, %error, "an outbox row breaks its append");
                singly.refuse(row.id, &Problem::new(ErrorCode::Internal, "the log could not take this event"));
            }
        }
        settled.done.extend(singly.done);
        settled.refused.extend(singly.refused);
        settled.lost.extend(singly.lost);
        Ok(())
    }

    async fn clear(&self, settled: Settled) -> Result<(), SourceError> {
        if !settled.refused.is_empty() {
            self.source.source.refuse(&settled.refused).await?;
        }
        if !settled.done.is_empty() {
            self.source.source.delete(&settled.done).await?;
        }
        Ok(())
    }

    /// Waits until there may be something to read. `false` when the pump has to end.
    async fn wait_for_work(&self, pace: &mut Pace, ending: &CancellationToken) -> bool {
        let looked = Instant::now();
        if let Some(spacing) = self.spacing {
            return self.wait_for_quota(spacing, ending).await;
        }
        loop {
            let hinted = tokio::select! {
                biased;
                () = ending.cancelled() => return false,
                () = self.source.poke.notified() => true,
                () = self.source.source.hint() => true,
                () = tokio::time::sleep(pace.found(0)) => false,
            };
            if hinted {
                return sleep_unless(HINT_SPACING.saturating_sub(looked.elapsed()), ending).await;
            }
            if self.window.is_sweep_due(Instant::now(), self.options.sweep) {
                return true;
            }
            // A failure is met again by the read, and told there.
            if self.source.source.changed().await.unwrap_or(true) {
                return true;
            }
        }
    }

    /// Waits until rows that were left may pass, or others may have come. `false` when the pump has to end.
    async fn wait_for_quota(&self, spacing: Spacing, ending: &CancellationToken) -> bool {
        let next = tokio::select! {
            biased;
            () = ending.cancelled() => return false,
            () = self.source.poke.notified() => spacing.hinted,
            () = self.source.source.hint() => spacing.hinted,
            () = tokio::time::sleep_until(spacing.due) => return true,
        };
        sleep_unless(next.saturating_duration_since(Instant::now()).max(HINT_SPACING), ending).await
    }

    fn count(&self, settled: &Settled, rows: &[OutboxRow]) {
        let source = || self.source.name.to_string();
        counter!(names::OUTBOX_MATERIALIZED, "source" => source()).increment(settled.done.len() as u64);
        counter!(names::OUTBOX_REFUSALS, "source" => source()).increment(settled.refused.len() as u64);
        if let Some(oldest) = rows.first() {
            let waited_us = now().as_micros().saturating_sub(oldest.created_at.as_micros()).max(0);
            let waited = Duration::from_micros(u64::try_from(waited_us).unwrap_or(0));
            histogram!(names::OUTBOX_DELAY, "source" => source()).record(waited);
        }
    }

    /// Tells the metrics how the outbox stands, now and then. What cannot be asked is left as it was.
    async fn observe(&mut self) {
        if self.observed.is_some_and(|at| at.elapsed() < OBSERVE_EVERY) {
            return;
        }
        self.observed = Some(Instant::now());
        let look =
            async { Ok::<_, SourceError>((self.source.source.status().await?, self.source.source.clock().await?)) };
        let Ok(Ok((status, clock))) = timeout(OBSERVE_MAX, look).await else { return };
        let lag_us = status.oldest_pending.map_or(0, |oldest| clock.as_micros() - oldest.as_micros()).max(0);
        self.gauges.show(&status, lag_us as f64 / 1e6);
    }

    fn note_success(&mut self) {
        if self.failing.take().is_some() {
            tracing::info!(source = %self.source.name, "the outbox is being emptied again");
        }
    }

    fn note_failure(&mut self, error: &PumpError, what: &'static str) {
        let kind = error.kind();
        counter!(names::OUTBOX_ERRORS, "source" => self.source.name.to_string(), "kind" => kind).increment(1);
        if self.failing != Some(kind) {
            self.failing = Some(kind);
            tracing::warn!(source = %self.source.name, kind, %error, what, "not all of an outbox reaches the log");
        }
    }
}

impl Gauges {
    fn new(source: &str) -> Self {
        let of = |name: &'static str| Shown(gauge!(name, "source" => source.to_owned()));
        Self {
            lag: of(names::OUTBOX_LAG),
            pending: of(names::OUTBOX_PENDING),
            refused: of(names::OUTBOX_REFUSED),
            intents: of(names::OUTBOX_INTENTS),
        }
    }

    fn show(&self, status: &OutboxStatus, lag_s: f64) {
        self.lag.set(lag_s);
        self.pending.set(status.pending as f64);
        self.refused.set(status.refused as f64);
        self.intents.set(status.intents as f64);
    }
}

impl Lost {
    /// Whether its append failed in a way that should be impossible.
    fn is_broken(&self) -> bool {
        matches!(self.error, AppendError::Store(tidings_store::Error::Broken(_)))
    }
}

impl Settled {
    fn refuse(&mut self, id: i64, problem: &Problem) {
        self.refused.push((id, String::from_utf8_lossy(&problem.to_json()).into_owned()));
    }
}
