//! Events in quarantine: looked at, redriven, discarded.
//!
//! An event that is redriven enters the log through the same door as any other and leaves the quarantine after that.
//! A crash between the two repeats the append, which the log answers with the first sequence.

use serde_json::{Map, json};
use tidings_event::{Event, SystemMint, TenantId, Violation, parse_event, violation_code as code};
use tidings_store::{Aside as Row, AsideQuery, Store};
use tokio_util::sync::CancellationToken;

use super::error::CatalogError;
use super::types::{Aside, AsideSearch, Discarded, PAGE_BYTES_MAX, PAGE_MAX, REDRIVEN_MAX, Redriven, RedrivenAll};
use super::{Catalogs, Result};
use crate::AppendError;
use crate::append::{Judged, NotTaken};
use crate::endpoints::Who;
use crate::metrics as names;
use crate::system::{Fact, Kind};

/// Events that are read, judged and appended together.
const REDRIVEN_AT_ONCE: usize = 50;
/// Characters of what is said of an event that cannot be read.
const MESSAGE_CHARS_MAX: usize = 300;
/// Events that one read brings into memory: how large they are is seen only then.
const READ_AT_ONCE: usize = 16;

impl Catalogs {
    /// A tenant's events in quarantine, oldest first, and the cursor of the next page. A page has no more than
    /// [`PAGE_BYTES_MAX`] bytes, unless its only event has more.
    pub async fn aside(&self, tenant: &TenantId, search: AsideSearch) -> Result<(Vec<Aside>, Option<String>)> {
        let after = search.cursor.as_deref().map_or(Ok(0), read_cursor)?;
        let (rows, more) = self.read_aside(tenant, &search, after, search.limit.clamp(1, PAGE_MAX)).await?;
        let cursor = rows.last().filter(|_| more).map(|last| last.no.to_string());
        Ok((rows.into_iter().map(view).collect(), cursor))
    }

    /// Events of a search with numbers above `after`, bounded like a page, and whether there are more.
    async fn read_aside(
        &self,
        tenant: &TenantId,
        search: &AsideSearch,
        mut after: i64,
        limit: usize,
    ) -> Result<(Vec<Row>, bool)> {
        let (mut rows, mut bytes): (Vec<Row>, usize) = (Vec::new(), 0);
        loop {
            // One more than is wanted says whether there are more.
            let wanted = READ_AT_ONCE.min(limit + 1 - rows.len());
            let query = AsideQuery { event_type: search.event_type.clone(), after, limit: wanted };
            let read = self.store().aside(tenant, &query).await?;
            let is_last = read.len() < wanted;
            for row in read {
                bytes += row.event.len() + row.reasons.len();
                if rows.len() == limit || (!rows.is_empty() && bytes > PAGE_BYTES_MAX) {
                    return Ok((rows, true));
                }
                after = row.no;
                rows.push(row);
            }
            if is_last {
                return Ok((rows, false));
            }
        }
    }

    /// One event in quarantine.
    pub async fn aside_one(&self, tenant: &TenantId, no: i64) -> Result<Aside> {
        self.store().aside_one(tenant, no).await?.map(view).ok_or(CatalogError::QuarantinedNotFound)
    }

    /// Brings an event in quarantine into the log, if it breaks no rule any more; with `as_is` even where it does, marked.
    pub async fn redrive(&self, who: &Who, tenant: &TenantId, no: i64, as_is: bool) -> Result<Redriven> {
        self.check_open()?;
        let (catalogs, who, tenant) = (self.clone(), who.clone(), tenant.clone());
        to_its_end(async move { catalogs.redrive_one(&who, &tenant, no, as_is).await }).await
    }

    async fn redrive_one(&self, who: &Who, tenant: &TenantId, no: i64, as_is: bool) -> Result<Redriven> {
        let row = self.store().aside_one(tenant, no).await?.ok_or(CatalogError::QuarantinedNotFound)?;
        let shared = &self.engine.shared;
        let judged = match self.judge_again(&row, as_is).await? {
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
    /// with `as_is` also the others, marked. At most [`REDRIVEN_MAX`] in one call; the answer says where to go on. Ends
    /// early where nobody waits for the answer any more.
    pub async fn redrive_all(
        &self,
        who: &Who,
        tenant: &TenantId,
        search: AsideSearch,
        as_is: bool,
    ) -> Result<RedrivenAll> {
        self.check_open()?;
        let unwanted = CancellationToken::new();
        let _waiting = unwanted.clone().drop_guard();
        let (catalogs, who, tenant) = (self.clone(), who.clone(), tenant.clone());
        to_its_end(async move {
            let mut answer = RedrivenAll::default();
            let done = catalogs.redrive_until(&unwanted, &tenant, &search, as_is, &mut answer).await;
            // What was redriven before a failure is told all the same.
            if answer.redriven > 0 {
                catalogs.tell(&who, &tenant, Kind::QuarantineRedriven, answer.redriven, &[], as_is).await;
            }
            done.map(|()| answer)
        })
        .await
    }

    /// Redrives page by page, and notes in the answer what was done.
    async fn redrive_until(
        &self,
        unwanted: &CancellationToken,
        tenant: &TenantId,
        search: &AsideSearch,
        as_is: bool,
        answer: &mut RedrivenAll,
    ) -> Result<()> {
        let mut after = search.cursor.as_deref().map_or(Ok(0), read_cursor)?;
        loop {
            let (rows, more) = self.read_aside(tenant, search, after, REDRIVEN_AT_ONCE).await?;
            let Some(last) = rows.last().map(|row| row.no) else { return Ok(()) };
            let (redriven, kept) = self.redrive_page(tenant, rows, as_is).await?;
            answer.redriven += redriven;
            answer.kept += kept;
            after = last;
            if !more {
                return Ok(());
            }
            if answer.redriven + answer.kept >= REDRIVEN_MAX || unwanted.is_cancelled() {
                answer.cursor = Some(after.to_string());
                return Ok(());
            }
        }
    }

    /// Redrives events, each for itself; returns how many are in the log now and how many stay.
    async fn redrive_page(&self, tenant: &TenantId, rows: Vec<Row>, as_is: bool) -> Result<(u64, u64)> {
        let shared = &self.engine.shared;
        let count = rows.len() as u64;
        let (mut nos, mut judged) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for row in &rows {
            if let Ok(one) = self.judge_again(row, as_is).await? {
                nos.push(row.no);
                judged.push(one);
            }
            tokio::task::yield_now().await;
        }
        let outcomes = shared.appender.append_each_judged(judged).await;
        let mut taken: Vec<i64> = Vec::with_capacity(nos.len());
        for (no, outcome) in nos.into_iter().zip(outcomes) {
            match outcome {
                Ok(_) => taken.push(no),
                Err(NotTaken::IdTaken | NotTaken::Refused(_)) => {}
                // They are of one tenant, so either all are lost or none is.
                Err(NotTaken::Lost(error)) => return Err(error.into()),
            }
        }
        if !taken.is_empty() {
            self.store().clear_aside(tenant, &taken).await?;
        }
        let redriven = taken.len() as u64;
        Ok((redriven, count - redriven))
    }

    /// Judges the event of a row once more. One that cannot be read any more stays where it is, and holds up no other.
    async fn judge_again(&self, row: &Row, as_is: bool) -> Result<std::result::Result<Judged, Vec<Violation>>> {
        match event(row) {
            Ok(event) => Ok(self.engine.shared.catalog.door.judge_again(event, as_is).await?),
            Err(violation) => {
                tracing::warn!(tenant = %row.tenant, event_id = %row.event_id, no = row.no, why = violation.message,
                    "an event in quarantine cannot be read");
                Ok(Err(vec![violation]))
            }
        }
    }

    /// Forgets an event in quarantine.
    pub async fn discard(&self, who: &Who, tenant: &TenantId, no: i64) -> Result<()> {
        self.check_open()?;
        let (catalogs, who, tenant) = (self.clone(), who.clone(), tenant.clone());
        to_its_end(async move {
            if catalogs.store().clear_aside(&tenant, &[no]).await? == 0 {
                return Err(CatalogError::QuarantinedNotFound);
            }
            catalogs.tell(&who, &tenant, Kind::QuarantineDiscarded, 1, &[no], false).await;
            Ok(())
        })
        .await
    }

    /// Forgets all events in quarantine that a search finds, oldest first, at most [`REDRIVEN_MAX`] in one call. Ends
    /// early where nobody waits for the answer any more.
    pub async fn discard_all(&self, who: &Who, tenant: &TenantId, search: AsideSearch) -> Result<Discarded> {
        self.check_open()?;
        let unwanted = CancellationToken::new();
        let _waiting = unwanted.clone().drop_guard();
        let (catalogs, who, tenant) = (self.clone(), who.clone(), tenant.clone());
        to_its_end(async move {
            let mut answer = Discarded::default();
            let done = catalogs.discard_until(&unwanted, &tenant, &search, &mut answer).await;
            if answer.discarded > 0 {
                catalogs.tell(&who, &tenant, Kind::QuarantineDiscarded, answer.discarded, &[], false).await;
            }
            done.map(|()| answer)
        })
        .await
    }

    /// Discards page by page, and notes in the answer what was done.
    async fn discard_until(
        &self,
        unwanted: &CancellationToken,
        tenant: &TenantId,
        search: &AsideSearch,
        answer: &mut Discarded,
    ) -> Result<()> {
        let mut after = search.cursor.as_deref().map_or(Ok(0), read_cursor)?;
        loop {
            let (rows, more) = self.read_aside(tenant, search, after, PAGE_MAX).await?;
            let nos: Vec<i64> = rows.iter().map(|row| row.no).collect();
            let Some(last) = nos.last() else { return Ok(()) };
            after = *last;
            answer.discarded += self.store().clear_aside(tenant, &nos).await?;
            if !more {
                return Ok(());
            }
            if answer.discarded >= REDRIVEN_MAX || unwanted.is_cancelled() {
                answer.more = true;
                return Ok(());
            }
        }
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

/// Works to the end even if nobody waits for the answer any more: what was done to events is told only after it.
async fn to_its_end<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    tokio::spawn(work).await.unwrap_or_else(|_| Err(broken("work on the quarantine did not finish")))
}

/// The event of a row. It was whole when it was put aside, so that the mint has nothing to add.
fn event(row: &Row) -> std::result::Result<Event, Violation> {
    parse_event(row.event.as_bytes(), &mut SystemMint::default()).map_err(|rejection| Violation {
        path: String::new(),
        code: code::RULE_NOT_JUDGED,
        message: format!("cannot be read any more: {rejection}").chars().take(MESSAGE_CHARS_MAX).collect(),
    })
}

fn view(row: Row) -> Aside {
    let Row { no, tenant: _, content: _, event_id, event_type, version, event, reasons, sender, at } = row;
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
