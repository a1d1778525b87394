//! Events of the log that break rules of the catalog. They are written by appends.

use tidings_event::{EventType, Sequence, TenantNo, Version};
use tokio_postgres::Row;

use super::pool::Lease;
use crate::row::{signed, unsigned};
use crate::{MarkQuery, MarkRow, Result};

pub(super) const LIST: &str = "\
    SELECT tenant_no, sequence, type, version, reasons FROM tidings.marks \
    WHERE tenant_no = $1 AND sequence < $2 ORDER BY sequence DESC LIMIT $3";
pub(super) const OF_TYPE: &str = "\
    SELECT tenant_no, sequence, type, version, reasons FROM tidings.marks \
    WHERE tenant_no = $1 AND (type, sequence) < ($4, $2) AND type >= $4 ORDER BY type DESC, sequence DESC LIMIT $3";

fn row(row: &Row) -> Result<MarkRow> {
    Ok(MarkRow {
        tenant: TenantNo(row.try_get(0)?),
        sequence: Sequence(unsigned(row.try_get(1)?)?),
        event_type: EventType::trusted(row.try_get::<_, &str>(2)?),
        version: Version::trusted(row.try_get::<_, &str>(3)?),
        reasons: row.try_get(4)?,
    })
}

pub(super) async fn list(lease: Lease, tenant: TenantNo, query: &MarkQuery) -> Result<Vec<MarkRow>> {
    let (before, limit) = (signed(query.before.get()), i64::try_from(query.limit).unwrap_or(i64::MAX));
    let rows = match &query.event_type {
        None => lease.query(LIST, &[&tenant.get(), &before, &limit]).await?,
        Some(wanted) => lease.query(OF_TYPE, &[&tenant.get(), &before, &limit, &wanted.as_str()]).await?,
    };
    rows.iter().map(row).collect()
}
