//! Dead letters: events that were given up, delivered after all or forgotten.

use tidings_event::{EndpointId, EndpointNo, Sequence, TenantId};
use tidings_store::{DeadFate, DeadLetter, DeadQuery};

use super::answers::{DeadLetterView, DeadSearch, PAGE_MAX};
use super::attempts::ended;
use super::cursor::{self, List};
use super::error::EndpointError;
use super::types::Who;
use super::{Endpoints, Result};
use crate::places::Place;

/// Dead letters that one transaction settles.
const SETTLED_AT_ONCE: usize = 1_000;
/// Dead letters that one call settles at most; whoever is told this many calls again for the rest.
pub const SETTLED_MAX: u64 = 100_000;

const _: () = assert!(SETTLED_MAX.is_multiple_of(SETTLED_AT_ONCE as u64));

impl Endpoints {
    /// Dead letters, oldest sequence first, and the cursor of the next page. None for a tenant that was never seen.
    pub async fn dead_letters(
        &self,
        tenant: &TenantId,
        search: DeadSearch,
    ) -> Result<(Vec<DeadLetterView>, Option<String>)> {
        let after = match &search.cursor {
            None => None,
            Some(text) => {
                let [sequence, endpoint] = cursor::read(List::DeadLetters, text)?;
                let sequence = u64::try_from(sequence).map_err(|_| EndpointError::Cursor)?;
                Some((Sequence(sequence), EndpointNo(endpoint)))
            }
        };
        let Some(place) = self.feeds().places.find(tenant).await? else { return Ok((Vec::new(), None)) };
        let limit = search.limit.clamp(1, PAGE_MAX);
        let mut query = self.query(place, &search).await?;
        query.after = after;
        query.limit = limit + 1;
        let mut found = self.feeds().store.dead_letters(place.no, &query).await?;
        let more = found.len() > limit;
        found.truncate(limit);
        let cursor = found.last().filter(|_| more).map(|last| {
            let sequence = i64::try_from(last.row.sequence.get()).unwrap_or(i64::MAX);
            cursor::write(List::DeadLetters, [sequence, last.row.endpoint.get()])
        });
        Ok((found.into_iter().map(view).collect(), cursor))
    }

    /// One dead letter by its id.
    pub async fn dead_letter(&self, tenant: &TenantId, id: &str) -> Result<DeadLetterView> {
        let (place, query) = self.named(tenant, id).await?;
        let found = self.feeds().store.dead_letters(place.no, &query).await?;
        found.into_iter().next().map(view).ok_or(EndpointError::DeadLetterNotFound)
    }

    /// Delivers a dead letter after all: it becomes a retry with a whole schedule before it.
    pub async fn redrive(&self, who: &Who, tenant: &TenantId, id: &str) -> Result<()> {
        self.settle_one(who, tenant, id, DeadFate::Redrive).await
    }

    /// Forgets a dead letter.
    pub async fn discard(&self, who: &Who, tenant: &TenantId, id: &str) -> Result<()> {
        self.settle_one(who, tenant, id, DeadFate::Discard).await
    }

    /// Delivers all dead letters after all that a search finds, at most [`SETTLED_MAX`]; returns how many.
    pub async fn redrive_all(&self, who: &Who, tenant: &TenantId, search: DeadSearch) -> Result<u64> {
        self.settle_all(who, tenant, &search, DeadFate::Redrive).await
    }

    /// Forgets all dead letters that a search finds, at most [`SETTLED_MAX`]; returns how many.
    pub async fn discard_all(&self, who: &Who, tenant: &TenantId, search: DeadSearch) -> Result<u64> {
        self.settle_all(who, tenant, &search, DeadFate::Discard).await
    }

    async fn settle_one(&self, who: &Who, tenant: &TenantId, id: &str, fate: DeadFate) -> Result<()> {
        self.check_open()?;
        let (place, query) = self.named(tenant, id).await?;
        let settled = self.feeds().store.settle_dead(place.partition, place.no, &query, fate).await?;
        if settled.is_empty() {
            return Err(EndpointError::DeadLetterNotFound);
        }
        self.settled(who, tenant, place, fate, 1).await;
        Ok(())
    }

    async fn settle_all(&self, who: &Who, tenant: &TenantId, search: &DeadSearch, fate: DeadFate) -> Result<u64> {
        self.check_open()?;
        let Some(place) = self.feeds().places.find(tenant).await? else { return Ok(0) };
        let mut query = self.query(place, search).await?;
        query.limit = SETTLED_AT_ONCE;
        // What dies while this runs is not meant.
        let begun = crate::append::now();
        query.until = Some(query.until.map_or(begun, |until| until.min(begun)));
        let mut count = 0;
        loop {
            let settled = self.feeds().store.settle_dead(place.partition, place.no, &query, fate).await?;
            count += settled.len() as u64;
            // The next read begins where this one ended, so that it does not walk over what was taken away.
            query.after = settled.iter().map(|(endpoint, sequence)| (*sequence, *endpoint)).max().or(query.after);
            if settled.len() < SETTLED_AT_ONCE || count >= SETTLED_MAX {
                break;
            }
        }
        self.settled(who, tenant, place, fate, count).await;
        Ok(count)
    }

    async fn settled(&self, who: &Who, tenant: &TenantId, place: Place, fate: DeadFate, count: u64) {
        if count > 0 {
            tracing::info!(%tenant, key = %who.key, count, ?fate, "dead letters were settled by hand");
        }
        if fate == DeadFate::Redrive && count > 0 {
            self.note(place).await;
        }
    }

    /// The query that finds the dead letter of this id and no other.
    async fn named(&self, tenant: &TenantId, id: &str) -> Result<(Place, DeadQuery)> {
        let (endpoint, sequence) = parse_id(id).ok_or(EndpointError::DeadLetterNotFound)?;
        let missing = |error| match error {
            EndpointError::NotFound => EndpointError::DeadLetterNotFound,
            error => error,
        };
        let (place, row) = self.row(tenant, &endpoint).await.map_err(missing)?;
        let query = DeadQuery { endpoint: Some(row.no), sequence: Some(sequence), limit: 1, ..DeadQuery::default() };
        Ok((place, query))
    }

    async fn query(&self, place: Place, search: &DeadSearch) -> Result<DeadQuery> {
        let endpoint = match &search.endpoint {
            None => None,
            Some(id) => Some(self.feeds().store.endpoint(place.no, id).await?.ok_or(EndpointError::NotFound)?.no),
        };
        Ok(DeadQuery {
            endpoint,
            sequence: None,
            reason: search.reason,
            event_type: search.event_type.clone(),
            since: search.since,
            until: search.until,
            after: None,
            limit: 0,
        })
    }
}

fn parse_id(id: &str) -> Option<(EndpointId, Sequence)> {
    let (ulid, sequence) = id.strip_prefix("dl_")?.split_once('_')?;
    let endpoint = EndpointId::parse(format!("ep_{ulid}")).ok()?;
    let sequence: u64 = sequence.parse().ok()?;
    // The store counts in signed numbers.
    (1..=i64::MAX as u64).contains(&sequence).then_some((endpoint, Sequence(sequence)))
}

fn view(letter: DeadLetter) -> DeadLetterView {
    let DeadLetter { row, endpoint, event_id, event_type } = letter;
    let ulid = endpoint.as_str().strip_prefix("ep_").unwrap_or(endpoint.as_str());
    let id = format!("dl_{ulid}_{}", row.sequence);
    let (last_status, last_failure) = row.last.map(ended).unwrap_or_default();
    DeadLetterView {
        id,
        endpoint,
        event_id,
        event_type,
        sequence: row.sequence,
        attempts: row.attempts,
        last_status,
        last_failure,
        reason: row.reason,
        died_at: row.died_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_dead_letter_names_its_endpoint_and_sequence() {
        let (endpoint, sequence) = parse_id("dl_01JD8Q4M6T1V9S0Z3N7R5K2W4X_17").unwrap();
        assert_eq!((endpoint.as_str(), sequence), ("ep_01JD8Q4M6T1V9S0Z3N7R5K2W4X", Sequence(17)));
        for wrong in ["", "dl_", "dl_x_1", "dl_01JD8Q4M6T1V9S0Z3N7R5K2W4X", "dl_01JD8Q4M6T1V9S0Z3N7R5K2W4X_0"] {
            assert_eq!(parse_id(wrong), None, "{wrong}");
        }
        assert_eq!(parse_id("dl_01JD8Q4M6T1V9S0Z3N7R5K2W4X_9223372036854775808"), None);
    }
}
