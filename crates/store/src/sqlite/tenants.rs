//! Where tenants live.

use rusqlite::{Connection, Row, params};
use tidings_event::{PartitionId, Sequence, TenantId, TenantNo, Timestamp};

use super::append::BEGIN;
use super::connection::{commit, now};
use crate::row::unsigned;
use crate::{Error, Result, TenantRow};

pub(super) const BY_NAME: &str = "SELECT no, name, partition, sequence, floor, created_at FROM tenants WHERE name = ?1";
pub(super) const LIST: &str = "\
    SELECT no, name, partition, sequence, floor, created_at FROM tenants WHERE name > ?1 ORDER BY name LIMIT ?2";
pub(super) const PLACE: &str =
    "INSERT INTO tenants (name, partition, created_at) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO NOTHING";
pub(super) const PROBE: &str = "UPDATE meta SET probed_at = ?1";

pub(super) fn probe_write(connection: &Connection) -> Result<()> {
    connection.prepare_cached(BEGIN)?.execute([])?;
    connection.prepare_cached(PROBE)?.execute([now()])?;
    commit(connection)
}

pub(super) fn by_name(connection: &Connection, name: &TenantId) -> Result<Option<TenantRow>> {
    let mut statement = connection.prepare_cached(BY_NAME)?;
    let mut rows = statement.query([name.as_str()])?;
    rows.next()?.map(row).transpose()
}

/// The tenants in the order given, if all of them have a place.
pub(super) fn all_known(
    connection: &Connection,
    tenants: &[(TenantId, PartitionId)],
) -> Result<Option<Vec<TenantRow>>> {
    tenants.iter().map(|(name, _)| by_name(connection, name)).collect()
}

pub(super) fn place(connection: &Connection, tenants: &[(TenantId, PartitionId)]) -> Result<Vec<TenantRow>> {
    connection.prepare_cached(BEGIN)?.execute([])?;
    let at = now();
    let mut insert = connection.prepare_cached(PLACE)?;
    for (name, partition) in tenants {
        insert.execute(params![name.as_str(), partition.get(), at])?;
    }
    let rows = all_known(connection, tenants)?;
    commit(connection)?;
    rows.ok_or_else(|| Error::Broken("a tenant that was placed is not there".to_owned()))
}

pub(super) fn list(connection: &Connection, after: Option<&TenantId>, limit: usize) -> Result<Vec<TenantRow>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(LIST)?;
    let mut rows = statement.query(params![after.map_or("", TenantId::as_str), limit])?;
    let mut list = Vec::new();
    while let Some(found) = rows.next()? {
        list.push(row(found)?);
    }
    Ok(list)
}

fn row(row: &Row<'_>) -> Result<TenantRow> {
    Ok(TenantRow {
        no: TenantNo(row.get(0)?),
        id: TenantId::trusted(row.get::<_, String>(1)?),
        partition: PartitionId(row.get(2)?),
        head: Sequence(unsigned(row.get(3)?)?),
        floor: Sequence(unsigned(row.get(4)?)?),
        created_at: Timestamp::from_micros(row.get(5)?),
        is_moving: false,
    })
}
