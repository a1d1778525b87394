//! A tenant's move from one partition to another, in one transaction; see the same of PostgreSQL.

use rusqlite::{Connection, OptionalExtension as _, params};
use tidings_event::{PartitionId, Position, Sequence, TenantNo};

use super::append::{BEGIN, POSITION_BITS, address};
use super::connection::commit;
use super::routers;
use crate::moves::LOST;
use crate::row::unsigned;
use crate::{Elsewhere, Error, MoveOutcome, Result, encoding};

pub(super) const TENANT: &str = "SELECT partition, sequence, name FROM tenants WHERE no = ?1";
pub(super) const POSITION: &str = "SELECT position FROM partitions WHERE id = ?1";
pub(super) const CHECKPOINT: &str = "SELECT checkpoint FROM leases WHERE role = 'router' AND slot = ?1";
/// Up to which sequence everything is settled for a lane without a row: the last event that lies at or below the
/// router's checkpoint, or in another partition.
pub(super) const SETTLED: &str = "\
    WITH RECURSIVE bounds (low, high) AS ( \
        SELECT floor, sequence FROM tenants WHERE no = ?1 \
        UNION ALL \
        SELECT CASE WHEN address >> ?4 <> ?2 OR address <= ?3 THEN sequence ELSE low END, \
               CASE WHEN address >> ?4 <> ?2 OR address <= ?3 THEN high ELSE sequence - 1 END \
        FROM bounds JOIN events ON tenant_no = ?1 AND sequence = (low + high + 1) / 2 WHERE low < high \
    ) SELECT low FROM bounds WHERE low >= high";
pub(super) const IS_READY: &str = "\
    SELECT left_at <= coalesce((SELECT checkpoint FROM leases WHERE role = 'router' AND slot = ?2), 0) \
    FROM partitions WHERE id = ?1";
pub(super) const PUT_LANES: &str = "\
    INSERT INTO lanes (partition, lane, tenant_no, settled) SELECT ?2, no, ?1, ?3 FROM endpoints \
    WHERE tenant_no = ?1 AND status <> 'deleted' AND ?3 < (SELECT sequence FROM tenants WHERE no = ?1) \
    ON CONFLICT (partition, lane) DO NOTHING";
pub(super) const SELECTIONS: &str = "SELECT no, selections FROM endpoints WHERE tenant_no = ?1";
pub(super) const ENDPOINT: &str = "\
    UPDATE endpoints SET partition = ?2, selections = ?3, \
    revision = (SELECT revision + 1 FROM partitions WHERE id = ?2) WHERE no = ?1";

/// The lanes of a tenant: of its endpoints, and of their replays.
macro_rules! lanes {
    () => {
        "(SELECT no FROM endpoints WHERE tenant_no = ?1 UNION ALL \
          SELECT -r.no FROM endpoints e JOIN replays r ON r.endpoint = e.no WHERE e.tenant_no = ?1)"
    };
}

/// Statements that take the tenant, where it was, where it goes.
pub(super) const MOVED: &[&str] = &[
    concat!("UPDATE lanes SET partition = ?3 WHERE partition = ?2 AND lane IN ", lanes!()),
    concat!("UPDATE retries SET partition = ?3 WHERE partition = ?2 AND lane IN ", lanes!()),
    concat!("UPDATE circuits SET partition = ?3 WHERE partition = ?2 AND lane IN ", lanes!()),
    concat!("UPDATE redrives SET partition = ?3 WHERE partition = ?2 AND endpoint IN ", lanes!()),
    "UPDATE replays SET partition = ?3, revision = (SELECT revision + 1 FROM partitions WHERE id = ?3) \
     WHERE +partition = ?2 AND endpoint IN (SELECT no FROM endpoints WHERE tenant_no = ?1)",
];
pub(super) const FENCE: &str = "\
    UPDATE leases SET epoch = epoch + 1, node = NULL, boot = NULL WHERE role = 'router' AND slot IN (?1, ?2)";
pub(super) const LEAVE: &str =
    "UPDATE partitions SET revision = revision + 1, moves = moves + 1, left_at = position WHERE id = ?1";
pub(super) const ENTER: &str = "\
    UPDATE partitions SET revision = revision + 1, moves = moves + 1, \
    recorded_at = max(recorded_at, (SELECT recorded_at FROM partitions WHERE id = ?1)) WHERE id = ?2";
pub(super) const PLACE: &str = "UPDATE tenants SET partition = ?2, moves = moves + 1 WHERE no = ?1";
pub(super) const LIVES: &str = "SELECT 1 FROM tenants WHERE no = ?1 AND partition = ?2";

/// Proves that a tenant lives in a partition.
pub(super) fn check(connection: &Connection, tenant: TenantNo, partition: PartitionId) -> Result<()> {
    let lives: Option<i64> = connection
        .prepare_cached(LIVES)?
        .query_row(params![tenant.get(), partition.get()], |row| row.get(0))
        .optional()?;
    lives.map(drop).ok_or_else(|| Error::Moved(Elsewhere(vec![tenant])))
}

pub(super) fn run(connection: &Connection, tenant: TenantNo, to: PartitionId) -> Result<MoveOutcome> {
    connection.prepare_cached(BEGIN)?.execute([])?;
    let outcome = write(connection, tenant, to)?;
    match outcome {
        MoveOutcome::Moved { .. } => commit(connection)?,
        _ => connection.execute_batch("ROLLBACK")?,
    }
    Ok(outcome)
}

fn write(connection: &Connection, tenant: TenantNo, to: PartitionId) -> Result<MoveOutcome> {
    let found: Option<(u32, i64, String)> = connection
        .prepare_cached(TENANT)?
        .query_row([tenant.get()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((from, head, name)) = found else { return Ok(MoveOutcome::NoTenant) };
    let end: Option<i64> = connection.prepare_cached(POSITION)?.query_row([to.get()], |row| row.get(0)).optional()?;
    let Some(end) = end else { return Ok(MoveOutcome::NoPartition) };
    if from == to.get() {
        return Ok(MoveOutcome::Already);
    }
    if name.starts_with('$') {
        return Ok(MoveOutcome::Fixed);
    }
    let is_ready: bool =
        connection.prepare_cached(IS_READY)?.query_row(params![to.get(), to.to_string()], |row| row.get(0))?;
    if !is_ready {
        return Ok(MoveOutcome::Later);
    }
    let from = PartitionId(from);
    let checkpoint: Option<i64> =
        connection.prepare_cached(CHECKPOINT)?.query_row([from.to_string()], |row| row.get(0)).optional()?;
    let reached = address(from, Position(unsigned(checkpoint.unwrap_or(0))?));
    let settled: i64 = connection
        .prepare_cached(SETTLED)?
        .query_row(params![tenant.get(), from.get(), reached, POSITION_BITS], |row| row.get(0))
        .optional()?
        // Without it nobody can say what was delivered, and to say that all was would lose it.
        .ok_or_else(|| Error::Broken(LOST.to_owned()))?;
    for sql in MOVED {
        connection.prepare_cached(sql)?.execute(params![tenant.get(), from.get(), to.get()])?;
    }
    connection.prepare_cached(PUT_LANES)?.execute(params![tenant.get(), to.get(), settled])?;
    let endpoints: Vec<(i64, String)> =
        routers::all(connection, SELECTIONS, params![tenant.get()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for (no, selections) in endpoints {
        // Positions of selections are those of the partition: from here on, those of the other one's end.
        let mut selections = encoding::selections_of(&selections)?;
        let end = Position(unsigned(end)?);
        selections.iter_mut().for_each(|selection| selection.position = end);
        let selections = encoding::selections(&selections)?;
        connection.prepare_cached(ENDPOINT)?.execute(params![no, to.get(), selections])?;
    }
    connection.prepare_cached(FENCE)?.execute(params![from.to_string(), to.to_string()])?;
    connection.prepare_cached(LEAVE)?.execute([from.get()])?;
    connection.prepare_cached(ENTER)?.execute([from.get(), to.get()])?;
    connection.prepare_cached(PLACE)?.execute(params![tenant.get(), to.get()])?;
    Ok(MoveOutcome::Moved { from, head: Sequence(unsigned(head)?) })
}
