//! Replays of past events to one endpoint.

use rusqlite::{Connection, Row, params};
use tidings_event::{EndpointNo, LaneNo, PartitionId, ReplayNo, Revision, Sequence, TenantNo, Timestamp};

use super::append::BEGIN;
use super::connection::commit;
use super::endpoints::{self, PUT_LANE};
use super::{moves, read, routers};
use crate::row::{corrupt, signed, unsigned};
use crate::{Elsewhere, Error, ReplayRow, ReplayState, Result, encoding};

/// The columns of a replay in the order in which [`row`] takes them.
macro_rules! columns {
    () => {
        "r.no, r.id, r.endpoint, r.tenant_no, r.revision, r.state, r.after_sequence, r.upto_sequence, r.types, \
         r.filter, r.rate_per_s, r.delivered, r.dead, r.created_at, r.ended_at"
    };
}
pub(super) use columns;

/// Nothing where the endpoint is deleted or has as many as it may have.
pub(super) const INSERT: &str = "\
    INSERT INTO replays (id, endpoint, tenant_no, partition, revision, state, after_sequence, upto_sequence, types, \
    filter, rate_per_s, created_at) \
    SELECT ?1, no, tenant_no, partition, ?4, 'running', ?5, ?6, ?7, ?8, ?9, ?10 FROM endpoints \
    WHERE no = ?2 AND partition = ?3 AND status <> 'deleted' \
      AND (SELECT count(*) FROM replays WHERE endpoint = ?2 AND state = 'running') < ?11";
pub(super) const CANCEL: &str = "\
    UPDATE replays SET state = 'cancelled', ended_at = ?3, revision = ?4 \
    WHERE no = ?1 AND partition = ?2 AND state = 'running'";
pub(super) const BY_NO: &str = concat!("SELECT ", columns!(), " FROM replays r WHERE r.no = ?1 AND r.partition = ?2");
pub(super) const LIVES: &str = "SELECT 1 FROM replays WHERE no = ?1";
pub(super) const BY_ID: &str = concat!(
    "SELECT ",
    columns!(),
    ", l.settled FROM replays r LEFT JOIN lanes l ON l.partition = r.partition AND l.lane = -r.no \
      WHERE r.endpoint = ?1 AND r.id = ?2"
);
pub(super) const LIST: &str =
    concat!("SELECT ", columns!(), " FROM replays r WHERE r.endpoint = ?1 AND r.no < ?2 ORDER BY r.no DESC LIMIT ?3");

pub(super) fn row(row: &Row<'_>) -> Result<ReplayRow> {
    let state: String = row.get(5)?;
    let rate: Option<i64> = row.get(10)?;
    Ok(ReplayRow {
        no: ReplayNo(row.get(0)?),
        id: row.get(1)?,
        endpoint: EndpointNo(row.get(2)?),
        tenant_no: TenantNo(row.get(3)?),
        revision: Revision(unsigned(row.get(4)?)?),
        state: ReplayState::parse(&state).ok_or_else(|| corrupt("state"))?,
        after: Sequence(unsigned(row.get(6)?)?),
        upto: Sequence(unsigned(row.get(7)?)?),
        types: encoding::types_of(&row.get::<_, String>(8)?)?,
        filter: row.get(9)?,
        rate_per_s: rate.map(u32::try_from).transpose().map_err(|_| corrupt("rate_per_s"))?,
        delivered: unsigned(row.get(11)?)?,
        dead: unsigned(row.get(12)?)?,
        created_at: Timestamp::from_micros(row.get(13)?),
        ended_at: row.get::<_, Option<i64>>(14)?.map(Timestamp::from_micros),
    })
}

pub(super) fn insert(
    connection: &Connection,
    partition: PartitionId,
    mut row: ReplayRow,
    running_max: u64,
) -> Result<Option<ReplayRow>> {
    connection.prepare_cached(BEGIN)?.execute([])?;
    moves::check(connection, row.tenant_no, partition)?;
    row.revision = read::revision(connection, partition)?.next();
    let written = connection.prepare_cached(INSERT)?.execute(params![
        row.id,
        row.endpoint.get(),
        partition.get(),
        signed(row.revision.get()),
        signed(row.after.get()),
        signed(row.upto.get()),
        encoding::types(&row.types)?,
        row.filter,
        row.rate_per_s,
        row.created_at.as_micros(),
        signed(running_max),
    ])?;
    if written == 0 {
        connection.execute_batch("ROLLBACK")?;
        return Ok(None);
    }
    let no = ReplayNo(connection.last_insert_rowid());
    let stored = routers::all(connection, BY_NO, params![no.get(), partition.get()], self::row)?.pop();
    let row = stored.ok_or_else(|| corrupt("replays"))?;
    let lane = params![partition.get(), LaneNo::from(no).0, row.tenant_no.get(), signed(row.after.get())];
    connection.prepare_cached(PUT_LANE)?.execute(lane)?;
    endpoints::bump(connection, partition)?;
    commit(connection)?;
    Ok(Some(row))
}

pub(super) fn cancel(
    connection: &Connection,
    partition: PartitionId,
    no: ReplayNo,
    at: Timestamp,
) -> Result<Option<ReplayRow>> {
    connection.prepare_cached(BEGIN)?.execute([])?;
    let revision = signed(read::revision(connection, partition)?.next().get());
    let change = params![no.get(), partition.get(), at.as_micros(), revision];
    if connection.prepare_cached(CANCEL)?.execute(change)? > 0 {
        endpoints::bump(connection, partition)?;
    }
    let found = routers::all(connection, BY_NO, params![no.get(), partition.get()], row)?.pop();
    if found.is_none() && connection.prepare_cached(LIVES)?.exists([no.get()])? {
        return Err(Error::Moved(Elsewhere(Vec::new())));
    }
    commit(connection)?;
    Ok(found)
}

pub(super) fn by_id(
    connection: &Connection,
    endpoint: EndpointNo,
    id: &str,
) -> Result<Option<(ReplayRow, Option<Sequence>)>> {
    let found = |found: &Row<'_>| {
        let settled = found.get::<_, Option<i64>>(15)?.map(unsigned).transpose()?;
        Ok((row(found)?, settled.map(Sequence)))
    };
    Ok(routers::all(connection, BY_ID, params![endpoint.get(), id], found)?.pop())
}

pub(super) fn list(
    connection: &Connection,
    endpoint: EndpointNo,
    before: Option<ReplayNo>,
    limit: usize,
) -> Result<Vec<ReplayRow>> {
    let (before, limit) = (before.map_or(i64::MAX, ReplayNo::get), i64::try_from(limit).unwrap_or(i64::MAX));
    routers::all(connection, LIST, params![endpoint.get(), before, limit], row)
}
