//! A tenant's events on their way into another database: brought page by page, and proved to be the same there.
//!
//! Rows travel as PostgreSQL writes them itself, so that nothing of them is read and written anew on the way.

use tidings_event::{Sequence, TenantNo};
use tokio_postgres::error::SqlState;

use super::super::PostgresStore;
use super::super::failure::of_commit;
use super::super::flight::{Flight, params};
use crate::Result;
use crate::row::{corrupt, signed, unsigned};

/// Events that one page takes.
const PAGE_EVENTS: i64 = 1_000;
/// Bytes of `data` that one page takes, unless its first event has more.
const PAGE_BYTES: i64 = 4 * 1024 * 1024;

/// Which rows are read is found without their payloads, so that none beyond the limit is touched.
pub(in crate::postgres) const READ: &str = "\
    SELECT h.sequence, e.one::text FROM ( \
        SELECT sequence, data_bytes, sum(data_bytes) OVER (ORDER BY sequence ROWS UNBOUNDED PRECEDING) AS total \
        FROM tidings.events WHERE tenant_no = $1 AND sequence > $2 AND sequence <= $3 ORDER BY sequence LIMIT $4) h \
    CROSS JOIN LATERAL (SELECT v AS one FROM tidings.events v WHERE v.tenant_no = $1 \
        AND v.sequence >= h.sequence AND v.sequence <= h.sequence ORDER BY v.sequence LIMIT 1) e \
    WHERE h.total <= $5 OR h.total = h.data_bytes ORDER BY h.sequence";
pub(in crate::postgres) const READ_MARKS: &str = "\
    SELECT m::text FROM tidings.marks m WHERE m.tenant_no = $1 AND m.sequence > $2 AND m.sequence <= $3 \
    ORDER BY m.sequence";
/// Divides by zero where the event before the page is not there: the page would leave a gap.
pub(in crate::postgres) const FOLLOWS: &str = "\
    SELECT 1 / count(*) FROM (SELECT 1 WHERE $2::bigint = $3::bigint UNION ALL \
        (SELECT 1 FROM tidings.events WHERE tenant_no = $1 AND sequence >= $2 AND sequence <= $2 \
         ORDER BY sequence LIMIT 1)) before";
/// What is there already stays; whether it is the same is proved afterwards.
pub(in crate::postgres) const TAKE: &str = "\
    INSERT INTO tidings.events SELECT (r.one).* FROM \
    (SELECT raw::tidings.events AS one FROM unnest($1::text[]) raw OFFSET 0) r ON CONFLICT DO NOTHING";
pub(in crate::postgres) const TAKE_MARKS: &str = "\
    INSERT INTO tidings.marks SELECT (r.one).* FROM \
    (SELECT raw::tidings.marks AS one FROM unnest($1::text[]) raw OFFSET 0) r ON CONFLICT DO NOTHING";
pub(in crate::postgres) const LAST: &str =
    "SELECT sequence FROM tidings.events WHERE tenant_no = $1 ORDER BY sequence DESC LIMIT 1";
/// Whole rows, payloads and digests included, in order of sequence.
pub(in crate::postgres) const PROOF: &str = "\
    SELECT count(*), coalesce(sha256(string_agg(sha256(convert_to(e.one::text, 'UTF8')), ''::bytea \
        ORDER BY e.sequence)), ''::bytea) \
    FROM (SELECT v.sequence, v AS one FROM tidings.events v WHERE v.tenant_no = $1 AND v.sequence > $2 \
        AND v.sequence <= $3 ORDER BY v.sequence) e";
pub(in crate::postgres) const PROOF_OF_MARKS: &str = "\
    SELECT count(*), coalesce(sha256(string_agg(convert_to(e.one::text, 'UTF8'), ''::bytea \
        ORDER BY e.sequence)), ''::bytea) \
    FROM (SELECT m.sequence, m AS one FROM tidings.marks m WHERE m.tenant_no = $1 AND m.sequence > $2 \
        AND m.sequence <= $3 ORDER BY m.sequence) e";

/// Some of a tenant's events, with the marks of those that have one.
#[derive(Debug, Default)]
pub(crate) struct Page {
    events: Vec<String>,
    marks: Vec<String>,
    /// The sequence of its last event; nothing in an empty page.
    pub(crate) last: Option<Sequence>,
}

/// What a stretch of a tenant's log comes to. Two databases that say the same hold the same rows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Proof {
    pub(crate) events: u64,
    digest: Vec<u8>,
    marks: u64,
    digest_of_marks: Vec<u8>,
}

impl PostgresStore {
    /// The events that follow a sequence, up to another.
    pub(crate) async fn page(&self, tenant: TenantNo, after: Sequence, upto: Sequence) -> Result<Page> {
        let lease = self.connections.reader().await?;
        let (no, after, upto) = (tenant.get(), signed(after.get()), signed(upto.get()));
        let read = lease.prepare_cached(READ).await?;
        let rows = lease.rows(&read, &[&no, &after, &upto, &PAGE_EVENTS, &PAGE_BYTES]).await?;
        let Some(last) = rows.last() else {
            lease.done();
            return Ok(Page::default());
        };
        let last: i64 = last.try_get(0)?;
        let events = rows.iter().map(|row| row.try_get(1)).collect::<std::result::Result<_, _>>()?;
        let marks = lease.query(READ_MARKS, &[&no, &after, &last]).await?;
        let marks = marks.iter().map(|row| row.try_get(0)).collect::<std::result::Result<_, _>>()?;
        Ok(Page { events, marks, last: Some(Sequence(unsigned(last)?)) })
    }

    /// Takes a page in, in one transaction, where it follows what is there; false where it would leave a gap. `floor` is
    /// up to where the log was erased.
    pub(crate) async fn take_page(
        &self,
        tenant: TenantNo,
        floor: Sequence,
        after: Sequence,
        page: Page,
    ) -> Result<bool> {
        let lease = self.connections.writer().await?;
        let mut flight = Flight::default();
        flight.simple("BEGIN");
        let follows = params![tenant.get(), signed(after.get()), signed(floor.get())];
        flight.add(&lease, FOLLOWS, follows).await?;
        flight.add(&lease, TAKE, params![page.events]).await?;
        if !page.marks.is_empty() {
            flight.add(&lease, TAKE_MARKS, params![page.marks]).await?;
        }
        flight.simple("COMMIT");
        let sent = flight.send(&lease).await;
        drop(flight);
        match sent {
            Ok(_) => {
                lease.done();
                Ok(true)
            }
            Err(failure) if failure.code() == Some(&SqlState::DIVISION_BY_ZERO) => {
                lease.batch_execute("ROLLBACK").await?;
                lease.done();
                Ok(false)
            }
            Err(failure) => Err(of_commit(failure)),
        }
    }

    /// The last of a tenant's events that is here, wherever the tenant lives.
    pub(crate) async fn last_event(&self, tenant: TenantNo) -> Result<Sequence> {
        let rows = self.connections.reader().await?.query(LAST, &[&tenant.get()]).await?;
        rows.first().map_or(Ok(Sequence(0)), |row| Ok(Sequence(unsigned(row.try_get(0)?)?)))
    }

    /// What the events after a sequence, up to another, come to.
    pub(crate) async fn proof(&self, tenant: TenantNo, after: Sequence, upto: Sequence) -> Result<Proof> {
        let lease = self.connections.reader().await?;
        let (no, after, upto) = (tenant.get(), signed(after.get()), signed(upto.get()));
        let mut flight = Flight::default();
        let events = flight.add(&lease, PROOF, params![no, after, upto]).await?;
        let marks = flight.add(&lease, PROOF_OF_MARKS, params![no, after, upto]).await?;
        let answers = flight.send(&lease).await?;
        lease.done();
        let (events, marks) = answers[events].first().zip(answers[marks].first()).ok_or_else(|| corrupt("events"))?;
        Ok(Proof {
            events: unsigned(events.try_get(0)?)?,
            digest: events.try_get(1)?,
            marks: unsigned(marks.try_get(0)?)?,
            digest_of_marks: marks.try_get(1)?,
        })
    }
}
