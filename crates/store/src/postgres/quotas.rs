//! What tenants may send.

use async_trait::async_trait;
use tidings_event::{TenantId, Timestamp};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::PostgresStore;
use crate::row::{corrupt, signed, unsigned};
use crate::{QuotaRevision, QuotaRow, QuotaSlice, QuotaStore, Result};

/// The lock on the head's row comes first, so revisions rise in the order in which they are committed.
pub(super) const PUT: &str = "\
    WITH head AS (UPDATE tidings.quotas_head SET revision = revision + 1 RETURNING revision) \
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
    (SELECT * FROM tidings.quotas WHERE revision > $1 ORDER BY revision LIMIT $2) q ON true";

#[async_trait]
impl QuotaStore for PostgresStore {
    async fn put_quota(&self, row: &QuotaRow) -> Result<QuotaRow> {
        let tenant = row.tenant.as_str();
        let numbers = [row.events_per_s, row.events_burst, row.bytes_per_s, row.bytes_burst];
        let [events_per_s, events_burst, bytes_per_s, bytes_burst] = numbers.map(|number| number.map(signed));
        let at = row.at.as_micros();
        let params: [&(dyn ToSql + Sync); 7] =
            [&tenant, &events_per_s, &events_burst, &bytes_per_s, &bytes_burst, &row.by, &at];
        let rows = self.connections.writer().await?.query(PUT, &params).await?;
        let revision: i64 = rows.first().ok_or_else(|| corrupt("quotas_head"))?.try_get(0)?;
        Ok(QuotaRow { revision: QuotaRevision(unsigned(revision)?), ..row.clone() })
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
