//! Trying a selection on past events before it is switched on.

use bytes::Bytes;
use tidings_event::{TenantId, violation_code as code};

use super::answers::{Backtest, BacktestQuery, SAMPLE_MAX};
use super::check::{Report, selection};
use super::scan::{Scanned, scan};
use super::{Endpoints, Result};

impl Endpoints {
    /// What a selection would have found among past events, newest first, before it is switched on. Nothing of a
    /// tenant that was never seen.
    pub async fn backtest(&self, tenant: &TenantId, query: BacktestQuery) -> Result<Backtest> {
        let selection = selection(&query.types, query.filter.as_deref())?;
        if let (Some(since), Some(until)) = (query.since, query.until)
            && since > until
        {
            let mut report = Report::default();
            report.add("/until", code::RANGE_WRONG, "lies before 'since'");
            report.finish()?;
        }
        let mut sample = Vec::new();
        let nothing = Backtest { scanned: 0, matched: 0, sample: Vec::new(), complete: true };
        let Some(place) = self.feeds().places.find(tenant).await? else { return Ok(nothing) };
        let store = &*self.feeds().store;
        let Some(row) = store.tenant(tenant).await? else { return Ok(nothing) };
        let after = match query.since {
            Some(since) => store.sequence_before(place.no, since).await?.max(row.floor),
            None => row.floor,
        };
        let upto = match query.until {
            Some(until) => store.sequence_before(place.no, until).await?,
            None => row.head,
        };
        let limit = query.limit.min(SAMPLE_MAX);
        let Scanned { scanned, matched, complete } = scan(store, place, after, upto, &selection, |recorded| {
            if sample.len() < limit {
                sample.push(Bytes::from(recorded.to_json()));
            }
        })
        .await?;
        Ok(Backtest { scanned, matched, sample, complete })
    }
}
