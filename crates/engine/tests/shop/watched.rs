//! An outbox that tells when something was done to it, and fails on demand.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tidings_event::{EventId, Timestamp};
use tidings_store::{
    Intent, IntentAnswer, OutboxRow, OutboxSource, OutboxStatus, ProbeAnswer, Refused, RowProbe, SourceError,
};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::support::PATIENCE;

pub struct Watched {
    inner: Arc<dyn OutboxSource>,
    acted: Notify,
    /// How many of the next deletes fail, before they delete anything.
    pub failing_deletes: AtomicUsize,
    /// Reads that have ended, from the first row on.
    pub reads: AtomicUsize,
    /// How often a probe could not tell.
    pub unresolved: AtomicUsize,
}

type Result<T> = std::result::Result<T, SourceError>;

impl Watched {
    pub fn over(inner: Arc<dyn OutboxSource>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            acted: Notify::new(),
            failing_deletes: AtomicUsize::new(0),
            reads: AtomicUsize::new(0),
            unresolved: AtomicUsize::new(0),
        })
    }

    /// Waits until the outbox stands as wanted.
    pub async fn until(&self, wanted: impl Fn(&OutboxStatus) -> bool) {
        let waiting = async {
            loop {
                let acted = self.acted.notified();
                tokio::pin!(acted);
                acted.as_mut().enable();
                if self.inner.status().await.is_ok_and(|status| wanted(&status)) {
                    return;
                }
                acted.await;
            }
        };
        if timeout(PATIENCE, waiting).await.is_err() {
            panic!("the outbox stays as {:?}", self.inner.status().await);
        }
    }

    /// Waits until a counter of this outbox has risen by so much from now.
    pub async fn rises(&self, counter: impl Fn(&Self) -> &AtomicUsize, by: usize) {
        let wanted = counter(self).load(Ordering::SeqCst) + by;
        let waiting = async {
            loop {
                let acted = self.acted.notified();
                tokio::pin!(acted);
                acted.as_mut().enable();
                if counter(self).load(Ordering::SeqCst) >= wanted {
                    return;
                }
                acted.await;
            }
        };
        timeout(PATIENCE, waiting).await.unwrap();
    }

    /// Waits until all that was committed before this call was read and dealt with: a read that begins and ends after
    /// the call, and one more, since the first ends before its rows are dealt with.
    pub async fn emptied(&self) {
        self.rises(|this| &this.reads, 3).await;
        self.until(|status| status.pending == 0).await;
    }
}

#[async_trait]
impl OutboxSource for Watched {
    async fn read(&self, floor: i64, limit: usize, bytes: usize) -> Result<Vec<OutboxRow>> {
        let answer = self.inner.read(floor, limit, bytes).await;
        if floor == i64::MIN {
            self.reads.fetch_add(1, Ordering::SeqCst);
        }
        self.acted.notify_waiters();
        answer
    }

    async fn waiting_before(&self, id: i64) -> Result<u64> {
        self.inner.waiting_before(id).await
    }

    async fn delete(&self, ids: &[i64]) -> Result<()> {
        let failing = self.failing_deletes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if failing.is_ok() {
            self.acted.notify_waiters();
            return Err(SourceError::Unavailable("as the test asked".to_owned()));
        }
        let answer = self.inner.delete(ids).await;
        self.acted.notify_waiters();
        answer
    }

    async fn refuse(&self, refused: &[(i64, String)]) -> Result<()> {
        let answer = self.inner.refuse(refused).await;
        self.acted.notify_waiters();
        answer
    }

    async fn changed(&self) -> Result<bool> {
        self.inner.changed().await
    }

    async fn hint(&self) {
        self.inner.hint().await;
    }

    async fn refused(&self, after: i64, limit: usize) -> Result<Vec<Refused>> {
        self.inner.refused(after, limit).await
    }

    async fn retry(&self, id: i64, event: Option<&[u8]>) -> Result<bool> {
        let answer = self.inner.retry(id, event).await;
        self.acted.notify_waiters();
        answer
    }

    async fn discard_refused(&self, id: i64) -> Result<bool> {
        let answer = self.inner.discard_refused(id).await;
        self.acted.notify_waiters();
        answer
    }

    async fn append_intent(&self, key: &EventId, event: &[u8], probe: Option<&[u8]>) -> Result<bool> {
        let answer = self.inner.append_intent(key, event, probe).await;
        self.acted.notify_waiters();
        answer
    }

    async fn row(&self, key: &EventId) -> Result<Option<OutboxRow>> {
        self.inner.row(key).await
    }

    async fn confirm_intent(&self, key: &EventId) -> Result<IntentAnswer> {
        let answer = self.inner.confirm_intent(key).await;
        self.acted.notify_waiters();
        answer
    }

    async fn discard_intent(&self, key: &EventId) -> Result<IntentAnswer> {
        let answer = self.inner.discard_intent(key).await;
        self.acted.notify_waiters();
        answer
    }

    async fn stale_intents(&self, after: i64, default_stale_s: u32, limit: usize) -> Result<Vec<Intent>> {
        self.inner.stale_intents(after, default_stale_s, limit).await
    }

    async fn count_unresolved(&self, id: i64, reason: &str) -> Result<u32> {
        let answer = self.inner.count_unresolved(id, reason).await;
        self.unresolved.fetch_add(1, Ordering::SeqCst);
        self.acted.notify_waiters();
        answer
    }

    async fn probe_row(&self, probe: &RowProbe) -> Result<ProbeAnswer> {
        self.inner.probe_row(probe).await
    }

    async fn status(&self) -> Result<OutboxStatus> {
        self.inner.status().await
    }

    async fn clock(&self) -> Result<Timestamp> {
        self.inner.clock().await
    }
}
