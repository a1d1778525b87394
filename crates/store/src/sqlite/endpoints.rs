//! Endpoints: who wants which events, and where they are delivered to.

use rusqlite::{Connection, OptionalExtension, Row, params};
use tidings_event::{EndpointId, EndpointNo, PartitionId, Position, Revision, Sequence, TenantId, TenantNo, Timestamp};

use super::append::{self, BEGIN};
use super::connection::commit;
use super::writer::Caller;
use super::{read, routers};
use crate::names::Names;
use crate::row::{corrupt, signed, unsigned};
use crate::{
    Append, DecideEndpoint, Elsewhere, EndpointChanged, EndpointPlan, EndpointRow, EndpointStatus, EndpointView, Error,
    Result, encoding,
};

/// The columns of an endpoint in the order in which [`row`] takes them.
macro_rules! columns {
    () => {
        "e.no, e.id, (SELECT name FROM tenants WHERE no = e.tenant_no), e.tenant_no, e.partition, e.revision, \
         e.status, e.status_reason, e.url, e.selections, e.settings, e.secrets, e.created_at, e.updated_at"
    };
}
pub(super) use columns;

/// Deleted ones too.
pub(super) const BY_ID: &str = concat!("SELECT ", columns!(), " FROM endpoints e WHERE e.tenant_no = ?1 AND e.id = ?2");
pub(super) const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM endpoints e WHERE e.tenant_no = ?1 AND e.id > ?2 AND e.status <> 'deleted' ORDER BY e.id LIMIT ?3"
);
pub(super) const ALL: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM endpoints e WHERE e.no > ?1 AND e.status <> 'deleted' ORDER BY e.no LIMIT ?2"
);
pub(super) const COUNT: &str = "SELECT count(*) FROM endpoints WHERE tenant_no = ?1 AND status <> 'deleted'";
pub(super) const BOUNDS: &str = "\
    SELECT t.sequence, t.floor, p.position, p.revision, r.checkpoint \
    FROM tenants t JOIN partitions p ON p.id = t.partition \
      JOIN leases r ON r.role = 'router' AND r.slot = CAST(p.id AS TEXT) \
    WHERE t.no = ?1 AND t.partition = ?2";
pub(super) const SETTLED: &str = "SELECT settled FROM lanes WHERE partition = ?1 AND lane = ?2";
pub(super) const INSERT: &str = "\
    INSERT INTO endpoints (id, tenant_no, partition, revision, status, status_reason, url, selections, settings, \
    secrets, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
pub(super) const UPDATE: &str = "\
    UPDATE endpoints SET revision = ?2, status = ?3, status_reason = ?4, url = ?5, selections = ?6, settings = ?7, \
    secrets = ?8, created_at = ?9, updated_at = ?10 WHERE no = ?1";
pub(super) const CANCEL_REPLAYS: &str = "\
    UPDATE replays SET state = 'cancelled', ended_at = ?2, revision = ?3 WHERE endpoint = ?1 AND state = 'running'";
pub(super) const PUT_LANE: &str = "\
    INSERT INTO lanes (partition, lane, tenant_no, settled) VALUES (?1, ?2, ?3, ?4) \
    ON CONFLICT (partition, lane) DO UPDATE SET tenant_no = excluded.tenant_no, settled = excluded.settled";
pub(super) const BUMP: &str = "UPDATE partitions SET revision = revision + 1 WHERE id = ?1";

pub(super) fn row(row: &Row<'_>) -> Result<EndpointRow> {
    let status: String = row.get(6)?;
    Ok(EndpointRow {
        no: EndpointNo(row.get(0)?),
        id: EndpointId::trusted(row.get::<_, String>(1)?),
        tenant: TenantId::trusted(row.get::<_, String>(2)?),
        tenant_no: TenantNo(row.get(3)?),
        partition: PartitionId(row.get(4)?),
        revision: Revision(unsigned(row.get(5)?)?),
        status: EndpointStatus::parse(&status).ok_or_else(|| corrupt("status"))?,
        status_reason: row.get(7)?,
        url: row.get(8)?,
        selections: encoding::selections_of(&row.get::<_, String>(9)?)?,
        settings: row.get(10)?,
        secrets: row.get(11)?,
        created_at: Timestamp::from_micros(row.get(12)?),
        updated_at: Timestamp::from_micros(row.get(13)?),
    })
}

pub(super) fn by_id(connection: &Connection, tenant: TenantNo, id: &EndpointId) -> Result<Option<EndpointRow>> {
    let mut statement = connection.prepare_cached(BY_ID)?;
    let mut rows = statement.query(params![tenant.get(), id.as_str()])?;
    let found = rows.next()?.map(row).transpose()?;
    Ok(found.filter(|row| row.status != EndpointStatus::Deleted))
}

pub(super) fn list(
    connection: &Connection,
    tenant: TenantNo,
    after: Option<&EndpointId>,
    limit: usize,
) -> Result<Vec<EndpointRow>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(LIST)?;
    let mut rows = statement.query(params![tenant.get(), after.map_or("", EndpointId::as_str), limit])?;
    let mut list = Vec::new();
    while let Some(found) = rows.next()? {
        list.push(row(found)?);
    }
    Ok(list)
}

pub(super) fn all(connection: &Connection, after: EndpointNo, limit: usize) -> Result<Vec<EndpointRow>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    routers::all(connection, ALL, params![after.get(), limit], row)
}

/// What a change names.
pub(super) struct Change<'a> {
    pub(super) partition: PartitionId,
    pub(super) tenant: TenantNo,
    pub(super) id: &'a EndpointId,
}

pub(super) fn change(
    connection: &Connection,
    names: &Names,
    change: &Change<'_>,
    decide: DecideEndpoint,
    appends: Vec<Append>,
    caller: Caller<'_>,
) -> Result<EndpointChanged> {
    connection.prepare_cached(BEGIN)?.execute([])?;
    let (view, revision) = view(connection, change)?;
    let before = view.row.as_ref().map(|row| row.no);
    let EndpointPlan::Put { mut row, lane } = decide(view) else {
        connection.execute_batch("ROLLBACK")?;
        return Ok(EndpointChanged { row: None, appended: Vec::new() });
    };
    if row.no != before.unwrap_or_default() || row.id != *change.id {
        return Err(Error::Broken("an endpoint was to be written in the place of another".to_owned()));
    }
    row.revision = revision.next();
    put(connection, change, &mut row, lane)?;
    connection.prepare_cached(BUMP)?.execute([change.partition.get()])?;
    let appended =
        appends.into_iter().map(|append| append::write(connection, names, append)).collect::<Result<Vec<_>>>()?;
    if !caller() {
        return Err(Error::unavailable("the caller went away, so nothing was written"));
    }
    commit(connection)?;
    Ok(EndpointChanged { row: Some(*row), appended })
}

fn view(connection: &Connection, change: &Change<'_>) -> Result<(EndpointView, Revision)> {
    let Change { partition, tenant, id } = *change;
    let (head, floor, position, revision, checkpoint): (i64, i64, i64, i64, i64) = connection
        .prepare_cached(BOUNDS)?
        .query_row(params![tenant.get(), partition.get()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })
        .optional()?
        .ok_or_else(|| Error::Moved(Elsewhere(vec![tenant])))?;
    let row = by_id(connection, tenant, id)?;
    let settled = match &row {
        Some(row) => settled(connection, partition, row.no.get())?,
        None => None,
    };
    let count: i64 = connection.prepare_cached(COUNT)?.query_row([tenant.get()], |row| row.get(0))?;
    let view = EndpointView {
        row,
        count: unsigned(count)?,
        head: Sequence(unsigned(head)?),
        floor: Sequence(unsigned(floor)?),
        position: Position(unsigned(position)?),
        checkpoint: Position(unsigned(checkpoint)?),
        settled,
    };
    Ok((view, Revision(unsigned(revision)?)))
}

/// Where a lane stands, if it has a row.
pub(super) fn settled(connection: &Connection, partition: PartitionId, lane: i64) -> Result<Option<Sequence>> {
    let settled: Option<i64> =
        connection.prepare_cached(SETTLED)?.query_row(params![partition.get(), lane], |row| row.get(0)).optional()?;
    Ok(settled.map(unsigned).transpose()?.map(Sequence))
}

fn put(connection: &Connection, change: &Change<'_>, row: &mut EndpointRow, lane: Option<Sequence>) -> Result<()> {
    let (revision, status) = (signed(row.revision.get()), row.status.as_str());
    let selections = encoding::selections(&row.selections)?;
    let (created_at, updated_at) = (row.created_at.as_micros(), row.updated_at.as_micros());
    row.tenant_no = change.tenant;
    row.partition = change.partition;
    if row.no == EndpointNo(0) {
        connection.prepare_cached(INSERT)?.execute(params![
            row.id.as_str(),
            row.tenant_no.get(),
            row.partition.get(),
            revision,
            status,
            row.status_reason,
            row.url,
            selections,
            row.settings,
            row.secrets,
            created_at,
            updated_at,
        ])?;
        row.no = EndpointNo(connection.last_insert_rowid());
    } else {
        connection.prepare_cached(UPDATE)?.execute(params![
            row.no.get(),
            revision,
            status,
            row.status_reason,
            row.url,
            selections,
            row.settings,
            row.secrets,
            created_at,
            updated_at,
        ])?;
    }
    if row.status == EndpointStatus::Deleted {
        connection.prepare_cached(CANCEL_REPLAYS)?.execute(params![row.no.get(), updated_at, revision])?;
    }
    if let Some(settled) = lane {
        let lane = params![row.partition.get(), row.no.get(), row.tenant_no.get(), signed(settled.get())];
        connection.prepare_cached(PUT_LANE)?.execute(lane)?;
    }
    Ok(())
}

/// The partition's revision after one more change of its subscriptions, inside the caller's transaction.
pub(super) fn bump(connection: &Connection, partition: PartitionId) -> Result<Revision> {
    connection.prepare_cached(BUMP)?.execute([partition.get()])?;
    read::revision(connection, partition)
}
