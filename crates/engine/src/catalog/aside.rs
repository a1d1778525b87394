//! Events in quarantine: looked at, redriven, discarded.
//!
//! An event that is redriven enters the log through the same door as any other and leaves the quarantine after that.
//! A crash between the two repeats the append, which the log answers with the first sequence.

use serde_json::{Map, json};
use tidings_event::{Event, SystemMint, TenantId, Violation, parse_event};
use tidings_store::{Aside as Row, AsideQuery, Store};

use super::error::CatalogError;
use super::types::{Aside, AsideSearch, Discarded, PAGE_MAX, REDRIVEN_MAX, Redriven, RedrivenAll};
use super::{Catalogs, Result};
use crate::AppendError;
use crate::append::NotTaken;
use crate::endpoints::Who;
use crate::metrics as names;
use crate::system::{Fact, Kind};

/// Events that are read, judged and appended together.
const REDRIVEN_AT_ONCE: usize = 50;

impl Catalogs {
    /// A tenant's events in quarantine, oldest first, and the cursor of the next page.
    pub async fn aside(&self, tenant: &TenantId, search: AsideSearch) -> Result<(Vec<Aside>, Option<String>)> {
        let after = search.cursor.as_deref().map_or(Ok(0), read_cursor)?;
        let limit = search.limit.clamp(1, PAGE_MAX);
        let query = AsideQuery { event_type: search.event_type, after, limit: limit + 1 };
        let mut rows = self.store().aside(tenant, &query).await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let cursor = rows.last().filter(|_| more).map(|last| last.no.to_string());
        Ok((rows.into_iter().map(view).collect(), cursor))
    }

    /// One event in quarantine.
    pub async fn aside_one(&self, tenant: &TenantId, no: i64) -> Result<Aside> {
        self.store().aside_one(tenant, no).await?.map(view).ok_or(CatalogError::QuarantinedNotFound)
    }

    /// Brings an event in quarantine into the log, if it breaks no rule any more; with `as_is` even where it does, marked.
    pub async fn redrive(&self, who: &Who, tenant: &TenantId, no: i64, as_is: bool) -> Result<Redriven> {
        self.check_open()?;
        let row = self.store().aside_one(tenant, no).await?.ok_or(CatalogError::QuarantinedNotFound)?;
        let shared = &self.engine.shared;
        let judged = match shared.catalog.door.judge_again(event(&row)?, as_is) {
            Ok(judged) => judged,
            Err(violations) => return Ok(Redriven::Kept(violations)),
        };
        match shared.appender.append_judged(vec![judged]).await {
            Ok(receipts) => {
                self.store().clear_aside(tenant, &[no]).await?;
                self.tell(who, tenant, Kind::QuarantineRedriven, 1, &[no], as_is).await;
                let receipt = receipts.first().copied();
                receipt.map(Redriven::Appended).ok_or_else(|| broken("an event that was appended has no receipt"))
            }
            Err(AppendError::Rejected { violations }) => {
                Ok(Redriven::Kept(violations.into_iter().flat_map(|(_, violations)| violations).collect()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Brings all events in quarantine into the log that a search finds and that break no rule any more, oldest first;
    /// with `as_is` also the others, marked. At most [`REDRIVEN_MAX`] in one call; the answer says where to go on.
    pub async fn redrive_all(
        &self,
        who: &Who,
        tenant: &TenantId,
        search: AsideSearch,
        as_is: bool,
    ) -> Result<RedrivenAll> {
        self.check_open()?;
        let mut after = search.cursor.as_deref().map_or(Ok(0), read_cursor)?;
        let mut answer = RedrivenAll::default();
        let mut failure = None;
        loop {
            let query = AsideQuery { event_type: search.event_type.clone(), after, limit: REDRIVEN_AT_ONCE };
            let rows = self.store().aside(tenant, &query).await?;
            let Some(last) = rows.last().map(|row| row.no) else { break };
            let full = rows.len() == REDRIVEN_AT_ONCE;
            match self.redrive_page(tenant, rows, as_is).await {
                Ok((redriven, kept)) => {
                    answer.redriven += redriven;
                    answer.kept += kept;
                }
                // What was redriven before is told all the same.
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
            after = last;
            if !full {
                break;
            }
            if answer.redriven + answer.kept >= REDRIVEN_MAX {
                answer.cursor = Some(after.to_string());
                break;
            }
        }
        if answer.redriven > 0 {
            self.tell(who, tenant, Kind::QuarantineRedriven, answer.redriven, &[], as_is).await;
        }
        failure.map_or(Ok(answer), Err)
    }

    /// Redrives events, each for itself; returns how many are in the log now and how many stay.
    async fn redrive_page(&self, tenant: &TenantId, rows: Vec<Row>, as_is: bool) -> Result<(u64, u64)> {
        let shared = &self.engine.shared;
        let count = rows.len() as u64;
        let (mut nos, mut judged) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for row in &rows {
            if let Ok(one) = shared.catalog.door.judge_again(event(row)?, as_is) {
                nos.push(row.no);
                judged.push(one);
            }
            tokio::task::yield_now().await;
        }
        let outcomes = shared.appender.append_each_judged(judged).await?;
        let taken = nos.into_iter().zip(outcomes).filter(|(_, outcome)| match outcome {
            Ok(_) => true,
            Err(NotTaken::IdTaken | NotTaken::Refused(_)) => false,
        });
        let taken: Vec<i64> = taken.map(|(no, _)| no).collect();
        if !taken.is_empty() {
            self.store().clear_aside(tenant, &taken).await?;
        }
        let redriven = taken.len() as u64;
        Ok((redriven, count - redriven))
    }

    /// Forgets an event in quarantine.
    pub async fn discard(&self, who: &Who, tenant: &TenantId, no: i64) -> Result<()> {
        self.check_open()?;
        if self.store().clear_aside(tenant, &[no]).await? == 0 {
            return Err(CatalogError::QuarantinedNotFound);
        }
        self.tell(who, tenant, Kind::QuarantineDiscarded, 1, &[no], false).await;
        Ok(())
    }

    /// Forgets all events in quarantine that a search finds, oldest first, at most [`REDRIVEN_MAX`] in one call.
    pub async fn discard_all(&self, who: &Who, tenant: &TenantId, search: AsideSearch) -> Result<Discarded> {
        self.check_open()?;
        let mut after = search.cursor.as_deref().map_or(Ok(0), read_cursor)?;
        let mut answer = Discarded::default();
        loop {
            let query = AsideQuery { event_type: search.event_type.clone(), after, limit: PAGE_MAX };
            let nos: Vec<i64> = self.store().aside(tenant, &query).await?.iter().map(|row| row.no).collect();
            let Some(last) = nos.last() else { break };
            after = *last;
            answer.discarded += self.store().clear_aside(tenant, &nos).await?;
            if nos.len() < PAGE_MAX {
                break;
            }
            if answer.discarded >= REDRIVEN_MAX {
                answer.more = true;
                break;
            }
        }
        if answer.discarded > 0 {
            self.tell(who, tenant, Kind::QuarantineDiscarded, answer.discarded, &[], false).await;
        }
        Ok(answer)
    }

    pub(super) fn store(&self) -> &dyn Store {
        &*self.engine.shared.feeds.store
    }

    pub(super) fn check_open(&self) -> Result<()> {
        self.engine.check_open().map_err(|_| CatalogError::ShuttingDown)
    }

    /// Tells of what a person did. It happened whether this can be written or not, so a failure is only logged.
    async fn tell(&self, who: &Who, tenant: &TenantId, kind: Kind, count: u64, nos: &[i64], as_is: bool) {
        tracing::info!(%tenant, key = who.key, count, kind = kind.as_str(), "events in quarantine were settled by hand");
        metrics::counter!(match kind {
            Kind::QuarantineRedriven => names::CATALOG_REDRIVEN,
            _ => names::CATALOG_DISCARDED,
        })
        .increment(count);
        let mut data = Map::new();
        data.insert("count".to_owned(), json!(count));
        if !nos.is_empty() {
            data.insert("nos".to_owned(), json!(nos));
        }
        if kind == Kind::QuarantineRedriven {
            data.insert("as_is".to_owned(), json!(as_is));
        }
        let entity = ("quarantine", tenant.to_string());
        let fact = Fact { kind, who: Some(who.clone()), tenant: Some(tenant.clone()), entity, data };
        self.engine.tell(&fact).await;
    }
}

/// The event of a row. It was whole when it was put aside, so that the mint has nothing to add.
fn event(row: &Row) -> Result<Event> {
    parse_event(row.event.as_bytes(), &mut SystemMint::default())
        .map_err(|rejection| broken(&format!("an event in quarantine cannot be read: {rejection}")))
}

fn view(row: Row) -> Aside {
    let Row { no, tenant: _, event_id, event_type, version, event, reasons, sender, at } = row;
    Aside { no, event_id, event_type, version, event, reasons: read_reasons(&reasons), sender, at }
}

/// The broken rules of a row.
pub(super) fn read_reasons(reasons: &str) -> Vec<Violation> {
    serde_json::from_str(reasons).unwrap_or_default()
}

fn read_cursor(text: &str) -> Result<i64> {
    text.parse().ok().filter(|no| *no > 0).ok_or(CatalogError::Cursor)
}

fn broken(reason: &str) -> CatalogError {
    CatalogError::Store(tidings_store::Error::Broken(reason.to_owned()))
}
