//! The reconciler: resolves intents whose producer never came back, by asking what their probe says. It never guesses:
//! an intent whose question has no answer stays, is counted, and is reported once as an event of the system's tenant.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt, stream};
use metrics::counter;
use sha2::{Digest as _, Sha256};
use tidings_core::pace::{Bounds, Pace};
use tidings_core::reconcile::{Answer, Decision, Probe, Stored, decide, retry_after};
use tidings_event::{Event, EventId, TenantId};
use tidings_store::{Intent, IntentAnswer, ProbeAnswer, RowProbe, SourceError};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::append::now;
use crate::egress::Egress;
use crate::options::ReconcileOptions;
use crate::pause::sleep_unless;
use crate::sources::SourceHandle;
use crate::{AppendError, Appender, metrics as names, system};

/// The type of the event by which an intent that cannot be resolved is reported.
const STALLED: &str = "tidings.intent.stalled";
/// How long a page that is under way may take to end when the engine shuts down. Cutting it short loses nothing.
const GRACE: Duration = Duration::from_secs(5);
/// Probes that are under way at once, in one source.
const PROBES_MAX: usize = 8;
/// Unresolved intents that are left alone for a while; beyond them, intents are asked about at every pass.
const RESTING_MAX: usize = 10_000;
/// How long one row probe may take.
const ROW_PROBE_MAX: Duration = Duration::from_secs(10);
/// Characters of a reason that are kept.
const REASON_CHARS_MAX: usize = 500;

/// Why a pass was cut short. The intents are still there and are asked about again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReconcileError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error("the pass panicked")]
    Panicked,
}

/// What one page of stale intents came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) confirmed: usize,
    pub(crate) discarded: usize,
    pub(crate) kept: usize,
    /// Whether there may be further intents behind these.
    pub(crate) more: bool,
}

/// One source's reconciler.
pub(crate) struct Reconciler {
    source: SourceHandle,
    /// All sources, since a probe may name another.
    sources: Arc<[SourceHandle]>,
    egress: Egress,
    appender: Appender,
    options: ReconcileOptions,
    /// The last intent that this pass looked at.
    after: i64,
    /// Until when intents that could not be resolved are left alone.
    resting: HashMap<i64, Instant>,
    failing: bool,
}

impl Reconciler {
    pub(crate) fn new(
        source: SourceHandle,
        sources: Arc<[SourceHandle]>,
        egress: Egress,
        appender: Appender,
        options: ReconcileOptions,
    ) -> Self {
        Self { source, sources, egress, appender, options, after: 0, resting: HashMap::new(), failing: false }
    }

    /// Works until the token ends it.
    pub(crate) async fn run(mut self, ending: CancellationToken) {
        let mut retries = Pace::new(Bounds::FAILURE);
        loop {
            let outcome = {
                let page = AssertUnwindSafe(self.run_once()).catch_unwind();
                tokio::pin!(page);
                tokio::select! {
                    biased;
                    () = ending.cancelled() => {
                        let _unfinished = timeout(GRACE, page).await;
                        return;
                    }
                    outcome = &mut page => outcome.unwrap_or(Err(ReconcileError::Panicked)),
                }
            };
            let delay = match outcome {
                Ok(page) => {
                    self.failing = false;
                    retries.reset();
                    if page.more { Duration::ZERO } else { self.options.interval }
                }
                Err(error) => {
                    self.note_failure(&error);
                    retries.found(0).max(self.options.interval)
                }
            };
            if !sleep_unless(delay, &ending).await {
                return;
            }
        }
    }

    /// Resolves one page of stale intents; the next call goes on behind it, and begins anew behind the last.
    pub(crate) async fn run_once(&mut self) -> Result<Page, ReconcileError> {
        let limit = self.options.batch_rows;
        let stale = self.source.source.stale_intents(self.after, self.options.default_stale_s, limit).await?;
        let mut page = Page { more: stale.len() >= limit, ..Page::default() };
        let last = stale.last().map_or(self.after, |intent| intent.id);
        let now = Instant::now();
        self.resting.retain(|_, until| *until > now);
        let due: Vec<Intent> = stale.into_iter().filter(|intent| !self.resting.contains_key(&intent.id)).collect();
        let resolved: Vec<(i64, Result<Resolved, ReconcileError>)> = {
            let this = &*self;
            stream::iter(due)
                .map(|intent| async move { (intent.id, Box::pin(this.resolve(intent)).await) })
                .buffer_unordered(PROBES_MAX)
                .collect()
                .await
        };
        let mut failure = None;
        for (id, outcome) in resolved {
            match outcome {
                Ok(Resolved::Confirmed) => page.confirmed += 1,
                Ok(Resolved::Discarded) => page.discarded += 1,
                Ok(Resolved::Kept { attempts }) => {
                    page.kept += 1;
                    if self.resting.len() < RESTING_MAX {
                        self.resting.insert(id, Instant::now() + retry_after(attempts));
                    }
                }
                Err(error) => failure = Some(error),
            }
        }
        if page.confirmed > 0 {
            self.source.poke.notify_one();
        }
        if let Some(error) = failure {
            self.after = 0;
            return Err(error);
        }
        self.after = if page.more { last } else { 0 };
        Ok(page)
    }

    async fn resolve(&self, intent: Intent) -> Result<Resolved, ReconcileError> {
        let answer = self.ask(&intent).await;
        let decision = decide(&answer, intent.attempts);
        let (metric, resolved) = match decision {
            Decision::Keep { report } => {
                let Answer::CannotTell(reason) = answer else {
                    return Ok(Resolved::Kept { attempts: intent.attempts });
                };
                if report {
                    self.report(&intent, &reason).await?;
                }
                let attempts = self.source.source.count_unresolved(intent.id, &reason).await?;
                (names::INTENTS_UNRESOLVED, Resolved::Kept { attempts })
            }
            Decision::Confirm => {
                self.close(&intent, true).await?;
                (names::INTENTS_CONFIRMED, Resolved::Confirmed)
            }
            Decision::Discard => {
                self.close(&intent, false).await?;
                (names::INTENTS_DISCARDED, Resolved::Discarded)
            }
        };
        counter!(metric, "source" => self.source.name.to_string()).increment(1);
        Ok(resolved)
    }

    /// Confirms or discards. The producer may have come back meanwhile: its word stands.
    async fn close(&self, intent: &Intent, exists: bool) -> Result<IntentAnswer, SourceError> {
        // A key that is no event id was never confirmed by anyone; the pump will refuse its row, visibly.
        let key = EventId::trusted(intent.source_key.as_str());
        if exists {
            self.source.source.confirm_intent(&key).await
        } else {
            self.source.source.discard_intent(&key).await
        }
    }

    async fn ask(&self, intent: &Intent) -> Answer {
        let probe = match Stored::parse(&intent.probe) {
            Ok(Stored { probe: Some(probe), .. }) => probe,
            Ok(Stored { probe: None, .. }) => return cannot_tell("the intent has no probe"),
            Err(error) => return cannot_tell(&format!("the intent's probe is not valid: {error}")),
        };
        match probe {
            Probe::Http { url } => self.ask_http(&url).await,
            Probe::Row { source, table, key, revision, .. } => {
                self.ask_row(source.as_deref(), &RowProbe { table, key, revision }).await
            }
        }
    }

    /// A probe that names no source is answered by the database in which its intent lies.
    async fn ask_row(&self, source: Option<&str>, probe: &RowProbe) -> Answer {
        let asked = match source {
            None => &self.source,
            Some(name) => match self.sources.iter().find(|source| &*source.name == name) {
                Some(source) => source,
                None => return cannot_tell(&format!("no source is named {name:?}")),
            },
        };
        match timeout(ROW_PROBE_MAX, asked.source.probe_row(probe)).await {
            Ok(Ok(ProbeAnswer::Exists)) => Answer::Exists,
            Ok(Ok(ProbeAnswer::Missing)) => Answer::Missing,
            Ok(Ok(ProbeAnswer::CannotTell(reason))) => cannot_tell(&reason),
            Ok(Err(error)) => cannot_tell(&error.to_string()),
            Err(_) => cannot_tell("the source gave no answer in time"),
        }
    }

    async fn ask_http(&self, url: &str) -> Answer {
        match self.egress.get(url).await {
            Ok(status) => match status.as_u16() {
                200..=299 => Answer::Exists,
                404 | 410 => Answer::Missing,
                status => cannot_tell(&format!("the probe answered with status {status}")),
            },
            Err(error) => cannot_tell(&error.to_string()),
        }
    }

    /// Tells the operator. The event's id is made of the intent, so a repeated report is a duplicate; if it is worded
    /// differently then, the first wording stands.
    async fn report(&self, intent: &Intent, reason: &str) -> Result<(), AppendError> {
        match self.appender.append(vec![stalled(&self.source.name, intent, reason)]).await {
            Ok(_) | Err(AppendError::Conflict { .. }) => {
                tracing::warn!(source = %self.source.name, event_id = intent.source_key, reason, "an intent cannot be resolved");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn note_failure(&mut self, error: &ReconcileError) {
        counter!(names::INTENTS_ERRORS, "source" => self.source.name.to_string()).increment(1);
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(source = %self.source.name, %error, "intents cannot be resolved; trying again");
        }
    }
}

enum Resolved {
    Confirmed,
    Discarded,
    Kept { attempts: u32 },
}

fn cannot_tell(reason: &str) -> Answer {
    Answer::CannotTell(reason.chars().take(REASON_CHARS_MAX).collect())
}

fn stalled(source: &str, intent: &Intent, reason: &str) -> Event {
    let mut hash = Sha256::new();
    for part in [source.as_bytes(), intent.source_key.as_bytes(), &intent.id.to_be_bytes()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.update(intent.created_at.as_micros().to_be_bytes());
    let digest: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let id = format!("intent_stalled_{digest}");
    let data = serde_json::json!({
        "source": source,
        "source_key": intent.source_key,
        "row_id": intent.id,
        "created_at": intent.created_at,
        "reason": reason,
    });
    system::own(STALLED, &TenantId::system(), &id, now(), &data)
}

#[cfg(test)]
mod tests {
    use tidings_event::{EventType, Text, Timestamp};

    use super::*;

    #[test]
    fn a_stalled_intent_is_reported_under_one_id() {
        let intent = |id: i64, key: &str| Intent {
            id,
            source_key: key.to_owned(),
            event: Vec::new(),
            probe: Vec::new(),
            created_at: Timestamp::from_micros(7),
            attempts: 0,
        };
        let id = |source: &str, intent: &Intent| stalled(source, intent, "why").id;
        assert_eq!(id("a", &intent(1, "k")), id("a", &intent(1, "k")));
        let others = [id("b", &intent(1, "k")), id("a", &intent(2, "k")), id("a", &intent(1, "l"))];
        assert!(others.iter().all(|other| *other != id("a", &intent(1, "k"))));
        let event = stalled("a", &intent(1, "k"), "why");
        assert!(EventId::parse(event.id.as_str()).is_ok() && EventType::parse(event.event_type.as_str()).is_ok());
        assert!(Text::parse(event.metadata.correlation_id.as_str()).is_ok());
    }
}
