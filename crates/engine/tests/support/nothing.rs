//! An outbox in which nothing ever is.

use async_trait::async_trait;
use tidings_event::{EventId, Timestamp};
use tidings_store::{
    Intent, IntentAnswer, OutboxRow, OutboxSource, OutboxStatus, ProbeAnswer, Refused, RowProbe, SourceError,
};

pub struct Nothing;

type Result<T> = std::result::Result<T, SourceError>;

#[async_trait]
impl OutboxSource for Nothing {
    async fn read(&self, _floor: i64, _limit: usize, _bytes: usize) -> Result<Vec<OutboxRow>> {
        Ok(Vec::new())
    }

    async fn waiting_before(&self, _id: i64) -> Result<u64> {
        Ok(0)
    }

    async fn delete(&self, _ids: &[i64]) -> Result<()> {
        Ok(())
    }

    async fn refuse(&self, _refused: &[(i64, String)]) -> Result<()> {
        Ok(())
    }

    async fn changed(&self) -> Result<bool> {
        Ok(false)
    }

    async fn hint(&self) {
        std::future::pending::<()>().await;
    }

    async fn refused(&self, _after: i64, _limit: usize) -> Result<Vec<Refused>> {
        Ok(Vec::new())
    }

    async fn retry(&self, _id: i64, _event: Option<&[u8]>) -> Result<bool> {
        Ok(false)
    }

    async fn discard_refused(&self, _id: i64) -> Result<bool> {
        Ok(false)
    }

    async fn append_intent(&self, _key: &EventId, _event: &[u8], _probe: Option<&[u8]>) -> Result<bool> {
        Ok(false)
    }

    async fn row(&self, _key: &EventId) -> Result<Option<OutboxRow>> {
        Ok(None)
    }

    async fn confirm_intent(&self, _key: &EventId) -> Result<IntentAnswer> {
        Ok(IntentAnswer::Absent)
    }

    async fn discard_intent(&self, _key: &EventId) -> Result<IntentAnswer> {
        Ok(IntentAnswer::Absent)
    }

    async fn stale_intents(&self, _after: i64, _default_stale_s: u32, _limit: usize) -> Result<Vec<Intent>> {
        Ok(Vec::new())
    }

    async fn count_unresolved(&self, _id: i64, _reason: &str) -> Result<u32> {
        Ok(0)
    }

    async fn probe_row(&self, _probe: &RowProbe) -> Result<ProbeAnswer> {
        Ok(ProbeAnswer::Missing)
    }

    async fn status(&self) -> Result<OutboxStatus> {
        Ok(OutboxStatus { version: 1, pending: 0, oldest_pending: None, intents: 0, refused: 0 })
    }

    async fn clock(&self) -> Result<Timestamp> {
        Ok(Timestamp::new(jiff::Timestamp::now()))
    }
}
