//! Events of the log that break rules of the catalog. They are written by appends.

use rusqlite::{Connection, Row, params};
use tidings_event::{EventType, Sequence, TenantNo, Version};

use super::routers::all;
use crate::row::{signed, unsigned};
use crate::{MarkQuery, MarkRow, Result};

pub(super) const LIST: &str = "\
    SELECT tenant_no, sequence, type, version, reasons FROM marks \
    WHERE tenant_no = ?1 AND sequence < ?2 ORDER BY sequence DESC LIMIT ?3";
pub(super) const OF_TYPE: &str = "\
    SELECT tenant_no, sequence, type, version, reasons FROM marks INDEXED BY marks_by_type \
    WHERE tenant_no = ?1 AND sequence < ?2 AND type = ?4 ORDER BY sequence DESC LIMIT ?3";

fn row(row: &Row<'_>) -> Result<MarkRow> {
    Ok(MarkRow {
        tenant: TenantNo(row.get(0)?),
        sequence: Sequence(unsigned(row.get(1)?)?),
        event_type: EventType::trusted(row.get::<_, String>(2)?),
        version: Version::trusted(row.get::<_, String>(3)?),
        reasons: row.get(4)?,
    })
}

pub(super) fn list(connection: &Connection, tenant: TenantNo, query: &MarkQuery) -> Result<Vec<MarkRow>> {
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    let before = signed(query.before.get());
    match &query.event_type {
        None => all(connection, LIST, params![tenant.get(), before, limit], row),
        Some(wanted) => all(connection, OF_TYPE, params![tenant.get(), before, limit, wanted.as_str()], row),
    }
}
