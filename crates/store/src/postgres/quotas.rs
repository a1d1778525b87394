//! What tenants may send.

use async_trait::async_trait;
use tidings_event::{TenantId, Timestamp};
use tokio_postgres::Row;

use super::PostgresStore;
use super::failure::of_commit;
use super::flight::{Flight, params};
use crate::row::{corrupt, signed, unsigned};
use crate::{QuotaOutcome, QuotaRevision, QuotaRow, QuotaSlice, QuotaStore, Result};

/// The lock on the head's row comes first, in a statement of its own: what is read behind it is what was said last, and
/// revisions rise in the order in which they are committed.
pub(super) const LOCK: &str = "SELECT revision FROM tidings.quotas_head WHERE only_row = 1 FOR UPDATE";
pub(super) const PUT: &str = "\
    WITH head AS (UPDATE tidings.quotas_head SET revision = revision + 1 WHERE only_row = 1 RETURNING revision) \
    INSERT INTO tidings.quotas \
    (tenant, events_per_s, events_burst, bytes_per_s, bytes_burst, revision, changed_by, at) \
    SELECT $1, $2, $3, $4, $5, head.revision, $6, $7 FROM head \
    ON CONFLICT (tenant) DO UPDATE SET \
    events_per_s = excluded.events_per_s, events_burst = excluded.events_burst, bytes_per_s = excluded.bytes_per_s, \
    bytes_burst = excluded.bytes_burst, revision = excluded.revision, changed_by = excluded.changed_by, \
    at = excluded.at RETURNING revision";
pub(super) const OF_TENANT: &str = "\
    SELECT tenant, events_per_s, events_burst, bytes_per_s, bytes_burst, revision, changed_by, at \
    FROM tidings.quotas WHERE tenant = $1";
/// One row at least, so that the head is told even where nothing was changed.
pub(super) const AFTER: &str = "\
    SELECT q.tenant, q.events_per_s, q.events_burst, q.bytes_per_s, q.bytes_burst, q.revision, q.changed_by, q.at, \
    head.revision FROM tidings.quotas_head head LEFT JOIN LATERAL \
    (SELECT * FROM tidings.quotas WHERE revision > $1 ORDER BY revision LIMIT $2) q ON true WHERE head.only_row = 1";

#[async_trait]
impl QuotaStore for PostgresStore {
    async fn put_quota(&self, new: &QuotaRow) -> Result<QuotaOutcome> {
        let lease = self.connections.writer().await?;
        lease.prepare_cached(PUT).await?;
        let tenant = new.tenant.as_str();
        let mut look = Flight::default();
        look.simple("BEGIN");
        look.add(&lease, LOCK, params![]).await?;
        let before = look.add(&lease, OF_TENANT, params![tenant]).await?;
        let before = look.send(&lease).await?[before].first().map(row).transpose()?;
        if new.says_the_same(before.as_ref()) {
            lease.batch_execute("ROLLBACK").await?;
            lease.done();
            return Ok(QuotaOutcome::Same(before));
        }
        let numbers = [new.events_per_s, new.events_burst, new.bytes_per_s, new.bytes_burst];
        let [events_per_s, events_burst, bytes_per_s, bytes_burst] = numbers.map(|number| number.map(signed));
        let values =
            params![tenant, events_per_s, events_burst, bytes_per_s, bytes_burst, new.by.as_str(), new.at.as_micros()];
        let mut write = Flight::default();
        let put = write.add(&lease, PUT, values).await?;
        write.simple("COMMIT");
        let answers = write.send(&lease).await.map_err(of_commit)?;
        let revision: i64 = answers[put].first().ok_or_else(|| corrupt("quotas_head"))?.try_get(0)?;
        lease.done();
        Ok(QuotaOutcome::Changed(QuotaRow { revision: QuotaRevision(unsigned(revision)?), ..new.clone() }))
    }

    async fn quota(&self, tenant: &TenantId) -> Result<Option<QuotaRow>> {
        let rows = self.connections.reader().await?.query(OF_TENANT, &[&tenant.as_str()]).await?;
        rows.first().map(row).transpose()
    }

    async fn quotas(&self, after: QuotaRevision, limit: usize) -> Result<QuotaSlice> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let found = self.connections.reader().await?.query(AFTER, &[&signed(after.0), &limit]).await?;
        let head: i64 = found.first().ok_or_else(|| corrupt("quotas_head"))?.try_get(8)?;
        let mut rows = Vec::with_capacity(found.len());
        for changed in &found {
            if changed.try_get::<_, Option<i64>>(5)?.is_some() {
                rows.push(row(changed)?);
            }
        }
        Ok(QuotaSlice { rows, head: QuotaRevision(unsigned(head)?) })
    }
}

fn row(row: &Row) -> Result<QuotaRow> {
    let number = |column: usize| row.try_get::<_, Option<i64>>(column)?.map(unsigned).transpose();
    Ok(QuotaRow {
        tenant: TenantId::trusted(row.try_get::<_, &str>(0)?),
        events_per_s: number(1)?,
        events_burst: number(2)?,
        bytes_per_s: number(3)?,
        bytes_burst: number(4)?,
        revision: QuotaRevision(unsigned(row.try_get(5)?)?),
        by: row.try_get(6)?,
        at: Timestamp::from_micros(row.try_get(7)?),
    })
}
