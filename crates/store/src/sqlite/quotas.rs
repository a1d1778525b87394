//! What tenants may send.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};
use tidings_event::{TenantId, Timestamp};

use super::SqliteStore;
use super::append::BEGIN;
use super::connection::commit;
use super::routers::all;
use crate::row::{signed, unsigned};
use crate::{QuotaOutcome, QuotaRevision, QuotaRow, QuotaSlice, QuotaStore, Result};

macro_rules! columns {
    () => {
        "tenant, events_per_s, events_burst, bytes_per_s, bytes_burst, revision, changed_by, at"
    };
}

pub(super) const ADVANCE: &str = "UPDATE quotas_head SET revision = revision + 1 WHERE only_row = 1 RETURNING revision";
pub(super) const PUT: &str =
    concat!("INSERT OR REPLACE INTO quotas (", columns!(), ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
pub(super) const OF_TENANT: &str = concat!("SELECT ", columns!(), " FROM quotas WHERE tenant = ?1");
pub(super) const HEAD: &str = "SELECT revision FROM quotas_head WHERE only_row = 1";
pub(super) const AFTER: &str =
    concat!("SELECT ", columns!(), " FROM quotas WHERE revision > ?1 ORDER BY revision LIMIT ?2");

#[async_trait]
impl QuotaStore for SqliteStore {
    async fn put_quota(&self, row: &QuotaRow) -> Result<QuotaOutcome> {
        let row = row.clone();
        self.writer.call(move |connection, _| put(connection, row)).await
    }

    async fn quota(&self, tenant: &TenantId) -> Result<Option<QuotaRow>> {
        let tenant = tenant.clone();
        let found = move |connection: &Connection| all(connection, OF_TENANT, [tenant.as_str()], row);
        Ok(self.readers.call(found).await?.pop())
    }

    async fn quotas(&self, after: QuotaRevision, limit: usize) -> Result<QuotaSlice> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let slice = move |connection: &Connection| {
            let head = head(connection, HEAD)?;
            let rows = all(connection, AFTER, params![signed(after.0), limit], row)?;
            Ok(QuotaSlice { rows, head })
        };
        self.readers.call(slice).await
    }
}

fn head(connection: &Connection, sql: &str) -> Result<QuotaRevision> {
    let revision: i64 = connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    Ok(QuotaRevision(unsigned(revision)?))
}

fn put(connection: &Connection, new: QuotaRow) -> Result<QuotaOutcome> {
    connection.prepare_cached(BEGIN)?.execute([])?;
    let before = all(connection, OF_TENANT, [new.tenant.as_str()], row)?.pop();
    if new.says_the_same(before.as_ref()) {
        connection.execute_batch("ROLLBACK")?;
        return Ok(QuotaOutcome::Same(before));
    }
    let revision = head(connection, ADVANCE)?;
    connection.prepare_cached(PUT)?.execute(params![
        new.tenant.as_str(),
        new.events_per_s.map(signed),
        new.events_burst.map(signed),
        new.bytes_per_s.map(signed),
        new.bytes_burst.map(signed),
        signed(revision.0),
        new.by,
        new.at.as_micros(),
    ])?;
    commit(connection)?;
    Ok(QuotaOutcome::Changed(QuotaRow { revision, ..new }))
}

fn row(row: &Row<'_>) -> Result<QuotaRow> {
    let number = |column: usize| row.get::<_, Option<i64>>(column)?.map(unsigned).transpose();
    Ok(QuotaRow {
        tenant: TenantId::trusted(row.get::<_, String>(0)?),
        events_per_s: number(1)?,
        events_burst: number(2)?,
        bytes_per_s: number(3)?,
        bytes_burst: number(4)?,
        revision: QuotaRevision(unsigned(row.get(5)?)?),
        by: row.get(6)?,
        at: Timestamp::from_micros(row.get(7)?),
    })
}
