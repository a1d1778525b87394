//! Replays: past events once more, in a lane of their own.

use serde_json::json;
use tidings_event::{
    EndpointId, EndpointNo, ReplayNo, Revision, Sequence, TenantId, Violation, violation_code as code,
};
use tidings_store::{EndpointRow, EndpointStatus, ReplayRow, ReplayState};

use super::answers::{NewReplay, PAGE_MAX, Replay, ReplayStarted, Until};
use super::check::{Report, selection};
use super::cursor::{self, List};
use super::error::EndpointError;
use super::scan::scan;
use super::types::{From, Who};
use super::{Endpoints, Result};
use crate::append::now;
use crate::places::Place;
use crate::system::{Fact, Kind};

/// Replays to one endpoint that may run at once.
pub const REPLAYS_MAX: u64 = 4;

impl Endpoints {
    /// Sends past events once more, in a lane of its own, so that live delivery goes on; or only counts them. A
    /// replay stands still while its endpoint is not active. What it cannot deliver becomes dead letters.
    pub async fn replay(&self, who: &Who, tenant: &TenantId, id: &EndpointId, new: NewReplay) -> Result<ReplayStarted> {
        self.check_open()?;
        let mut report = Report::default();
        report.selection(&new.types, new.filter.as_deref());
        report.rate("/rate_per_s", new.rate_per_s);
        if new.from == From::Now {
            report.add("/from", code::RANGE_WRONG, "would leave nothing to replay: it must lie in the past");
        }
        if new.from == From::Sequence(0) {
            report.add("/from", code::NUMBER_OUT_OF_RANGE, "sequences begin at 1");
        }
        report.finish()?;
        let (place, endpoint) = self.row(tenant, id).await?;
        let (after, upto) = self.range(tenant, place, &new).await?;
        let (types, filter) = wanted(&new, &endpoint);
        if new.dry_run {
            let selection = selection(&types, filter.as_deref())?;
            let scanned = scan(&*self.feeds().store, place, after, upto, &selection, drop).await?;
            let (count, complete) = (Some(scanned.matched), scanned.complete);
            return Ok(ReplayStarted { count, scanned: scanned.scanned, complete, replay: None });
        }
        if endpoint.status == EndpointStatus::Disabled {
            return Err(EndpointError::Busy("the endpoint is disabled; make it active before".to_owned()));
        }
        let row = ReplayRow {
            no: ReplayNo(0),
            id: format!("rp_{}", crate::dice::ulid()),
            endpoint: endpoint.no,
            tenant_no: place.no,
            revision: Revision(0),
            state: ReplayState::Running,
            after,
            upto,
            types,
            filter,
            rate_per_s: new.rate_per_s,
            delivered: 0,
            dead: 0,
            created_at: now(),
            ended_at: None,
        };
        let row = self.feeds().store.insert_replay(place.partition, row, REPLAYS_MAX).await?;
        let row = row.ok_or(EndpointError::LimitReached { max: REPLAYS_MAX })?;
        self.feeds().tail.note(place.partition, row.revision);
        self.tell(Kind::ReplayStarted, who, tenant, id, &row).await;
        let replay = Some(view(id, row, Some(after)));
        Ok(ReplayStarted { count: None, scanned: 0, complete: true, replay })
    }

    /// Replays of an endpoint, newest first, and the cursor of the next page.
    pub async fn replays(
        &self,
        tenant: &TenantId,
        id: &EndpointId,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Replay>, Option<String>)> {
        let before = match cursor {
            None => None,
            Some(text) => {
                let [no] = cursor::read(List::Replays, text)?;
                Some(ReplayNo(no))
            }
        };
        let (_, endpoint) = self.row(tenant, id).await?;
        let limit = limit.clamp(1, PAGE_MAX);
        let mut rows = self.feeds().store.replays(endpoint.no, before, limit + 1).await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let cursor = rows.last().filter(|_| more).map(|last| cursor::write(List::Replays, [last.no.get()]));
        Ok((rows.into_iter().map(|row| view(id, row, None)).collect(), cursor))
    }

    /// One replay, with where it stands while it runs.
    pub async fn replay_get(&self, tenant: &TenantId, id: &EndpointId, replay: &str) -> Result<Replay> {
        let (_, endpoint) = self.row(tenant, id).await?;
        let (row, settled) = self.replay_row(endpoint.no, replay).await?;
        Ok(view(id, row, settled))
    }

    /// Ends a replay: what is under way still ends, what waits for a retry is forgotten. One that has ended stays as
    /// it is.
    pub async fn replay_cancel(&self, who: &Who, tenant: &TenantId, id: &EndpointId, replay: &str) -> Result<Replay> {
        self.check_open()?;
        let (place, endpoint) = self.row(tenant, id).await?;
        let (row, settled) = self.replay_row(endpoint.no, replay).await?;
        if row.state != ReplayState::Running {
            return Ok(view(id, row, settled));
        }
        let cancelled = self.feeds().store.cancel_replay(place.partition, row.no, now()).await?;
        let Some(row) = cancelled.filter(|row| row.state == ReplayState::Cancelled) else {
            // It ended by itself meanwhile.
            let (row, settled) = self.replay_row(endpoint.no, replay).await?;
            return Ok(view(id, row, settled));
        };
        self.feeds().tail.note(place.partition, row.revision);
        self.tell(Kind::ReplayCancelled, who, tenant, id, &row).await;
        Ok(view(id, row, None))
    }

    async fn replay_row(&self, endpoint: EndpointNo, id: &str) -> Result<(ReplayRow, Option<Sequence>)> {
        self.feeds().store.replay(endpoint, id).await?.ok_or(EndpointError::ReplayNotFound)
    }

    /// The sequences of a range: after the first, up to the second.
    async fn range(&self, tenant: &TenantId, place: Place, new: &NewReplay) -> Result<(Sequence, Sequence)> {
        let store = &self.feeds().store;
        let row = store.tenant(tenant).await?.ok_or(EndpointError::NotFound)?;
        let after = self.start(place, new.from).await?.after(row.floor, row.head)?;
        let upto = match new.until {
            None => row.head,
            Some(Until::Time(moment)) => store.sequence_before(place.no, moment).await?,
            Some(Until::Sequence(sequence)) => Sequence(sequence).min(row.head),
        };
        if upto <= after {
            let message = "leaves nothing to replay: it lies before 'from', or there are no events yet";
            let (path, message) = ("/until".to_owned(), message.to_owned());
            return Err(EndpointError::Invalid(vec![Violation { path, code: code::RANGE_WRONG, message }]));
        }
        Ok((after, upto))
    }

    /// Tells of a replay. It happened whether this can be written or not, so a failure is only logged.
    async fn tell(&self, kind: Kind, who: &Who, tenant: &TenantId, id: &EndpointId, row: &ReplayRow) {
        let data = json!({
            "replay": row.id,
            "first": row.after.next(),
            "last": row.upto,
            "types": row.types,
            "filtered": row.filter.is_some(),
            "delivered": row.delivered,
            "dead": row.dead,
        });
        let fact = Fact::of_endpoint(kind, Some(who), tenant, id, data);
        self.engine.tell(&fact).await;
    }
}

/// What a replay sends: its own selection, or where it has none the endpoint's as it is now.
fn wanted(new: &NewReplay, endpoint: &EndpointRow) -> (Vec<String>, Option<String>) {
    match endpoint.selections.last() {
        Some(own) if new.types.is_empty() && new.filter.is_none() => (own.types.clone(), own.filter.clone()),
        _ => (new.types.clone(), new.filter.clone()),
    }
}

fn view(endpoint: &EndpointId, row: ReplayRow, settled: Option<Sequence>) -> Replay {
    Replay {
        id: row.id,
        endpoint: endpoint.clone(),
        state: row.state,
        first: row.after.next(),
        last: row.upto,
        settled,
        types: row.types,
        filter: row.filter,
        rate_per_s: row.rate_per_s,
        delivered: row.delivered,
        dead: row.dead,
        created_at: row.created_at,
        ended_at: row.ended_at,
    }
}
