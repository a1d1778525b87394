//! Dead letters, retries, and how an endpoint's delivery stands.

use rusqlite::{Connection, OptionalExtension, Row, params};
use tidings_event::delivery::{DeadReason, DeadRow, RetryRow};
use tidings_event::{
    EndpointId, EndpointNo, EventId, EventType, LaneNo, PartitionId, Position, Sequence, TenantNo, Timestamp,
};

use super::append::BEGIN;
use super::connection::commit;
use super::{endpoints, moves, routers};
use crate::row::{corrupt, signed, unsigned};
use crate::{DeadFate, DeadLetter, DeadQuery, DeliveryState, Result, encoding};

/// The columns of a dead letter in the order in which [`dead_row`] takes them.
macro_rules! columns {
    () => {
        "d.endpoint, d.tenant_no, d.sequence, d.attempts, d.last, d.reason, d.died_at"
    };
}

/// What all searches for dead letters have in common; `$which` says where they begin.
macro_rules! found {
    ($which:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            ", e.id, v.event_id, v.type FROM dead_letters d CROSS JOIN endpoints e ON e.no = d.endpoint \
              LEFT JOIN events v ON v.tenant_no = d.tenant_no AND v.sequence = d.sequence WHERE ",
            $which,
            " AND (d.sequence, d.endpoint) > (?3, ?4) AND (?5 IS NULL OR d.reason = ?5) AND d.died_at >= ?6 \
              AND d.died_at < ?7 AND (?8 IS NULL OR v.type = ?8) AND e.status <> 'deleted' \
              AND d.sequence <= ?10 ORDER BY d.sequence, d.endpoint LIMIT ?9"
        )
    };
}

pub(super) const OF_TENANT: &str = found!("d.tenant_no = ?1 AND ?2 IS NULL");
pub(super) const OF_ENDPOINT: &str = found!("d.endpoint = ?2 AND d.sequence >= ?3 AND +d.tenant_no = ?1");
pub(super) const ONE: &str =
    concat!("SELECT ", columns!(), " FROM dead_letters d WHERE d.endpoint = ?1 AND d.sequence = ?2");
pub(super) const DELETE: &str = "DELETE FROM dead_letters WHERE tenant_no = ?1 AND sequence = ?2 AND endpoint = ?3";
pub(super) const PUT_REDRIVE: &str =
    "INSERT INTO redrives (partition, endpoint, sequence) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
pub(super) const PARTITION_OF_ENDPOINT: &str = "SELECT partition FROM endpoints WHERE no = ?1";
pub(super) const PARTITION_OF_REPLAY: &str = "SELECT partition FROM replays WHERE no = ?1";
pub(super) const RETRY: &str = "\
    SELECT lane, sequence, attempts, next_at, key, previous FROM retries \
    WHERE partition = ?1 AND lane = ?2 AND sequence = ?3";
pub(super) const STATE: &str = "\
    SELECT t.sequence, r.checkpoint, p.position, l.settled, \
      (SELECT count(*) FROM retries WHERE partition = e.partition AND lane = e.no), \
      (SELECT min(sequence) FROM retries WHERE partition = e.partition AND lane = e.no), \
      (SELECT count(*) FROM dead_letters WHERE endpoint = e.no), \
      c.lane, c.state, c.since, c.until, c.probes, c.last \
    FROM endpoints e JOIN tenants t ON t.no = e.tenant_no \
      JOIN leases r ON r.role = 'router' AND r.slot = CAST(e.partition AS TEXT) \
      JOIN partitions p ON p.id = e.partition \
      LEFT JOIN lanes l ON l.partition = e.partition AND l.lane = e.no \
      LEFT JOIN circuits c ON c.partition = e.partition AND c.lane = e.no \
    WHERE e.no = ?1 AND e.status <> 'deleted'";

fn dead_row(row: &Row<'_>) -> Result<DeadRow> {
    let reason: String = row.get(5)?;
    Ok(DeadRow {
        endpoint: EndpointNo(row.get(0)?),
        tenant: TenantNo(row.get(1)?),
        sequence: Sequence(unsigned(row.get(2)?)?),
        attempts: encoding::count_of(row.get(3)?)?,
        last: row.get::<_, Option<i32>>(4)?.map(encoding::result_of).transpose()?,
        reason: DeadReason::parse(&reason).ok_or_else(|| corrupt("reason"))?,
        died_at: Timestamp::from_micros(row.get(6)?),
    })
}

fn letter(row: &Row<'_>) -> Result<DeadLetter> {
    Ok(DeadLetter {
        row: dead_row(row)?,
        endpoint: EndpointId::trusted(row.get::<_, String>(7)?),
        event_id: row.get::<_, Option<String>>(8)?.map(EventId::trusted),
        event_type: row.get::<_, Option<String>>(9)?.map(EventType::trusted),
    })
}

pub(super) fn list(connection: &Connection, tenant: TenantNo, query: &DeadQuery) -> Result<Vec<DeadLetter>> {
    let sql = if query.endpoint.is_some() { OF_ENDPOINT } else { OF_TENANT };
    let ((sequence, endpoint), upto) = encoding::dead_bounds(query);
    let params = params![
        tenant.get(),
        query.endpoint.map(EndpointNo::get),
        sequence,
        endpoint,
        query.reason.map(DeadReason::as_str),
        query.since.map_or(i64::MIN, Timestamp::as_micros),
        query.until.map_or(i64::MAX, Timestamp::as_micros),
        query.event_type.as_ref().map(EventType::as_str),
        i64::try_from(query.limit).unwrap_or(i64::MAX),
        upto,
    ];
    routers::all(connection, sql, params, letter)
}

pub(super) fn settle(
    connection: &Connection,
    partition: PartitionId,
    tenant: TenantNo,
    query: &DeadQuery,
    fate: DeadFate,
) -> Result<Vec<(EndpointNo, Sequence)>> {
    connection.prepare_cached(BEGIN)?.execute([])?;
    moves::check(connection, tenant, partition)?;
    let query = DeadQuery { limit: query.limit.min(encoding::SETTLED_MAX), ..query.clone() };
    let mut settled = Vec::new();
    for letter in list(connection, tenant, &query)? {
        let (endpoint, sequence) = (letter.row.endpoint, letter.row.sequence);
        let key = params![tenant.get(), signed(sequence.get()), endpoint.get()];
        connection.prepare_cached(DELETE)?.execute(key)?;
        if fate == DeadFate::Redrive {
            let key = params![partition.get(), endpoint.get(), signed(sequence.get())];
            connection.prepare_cached(PUT_REDRIVE)?.execute(key)?;
        }
        settled.push((endpoint, sequence));
    }
    if fate == DeadFate::Redrive && !settled.is_empty() {
        endpoints::bump(connection, partition)?;
    }
    commit(connection)?;
    Ok(settled)
}

pub(super) fn dead(connection: &Connection, endpoint: EndpointNo, sequence: Sequence) -> Result<Option<DeadRow>> {
    let key = params![endpoint.get(), signed(sequence.get())];
    Ok(routers::all(connection, ONE, key, dead_row)?.pop())
}

pub(super) fn retry(connection: &Connection, lane: LaneNo, sequence: Sequence) -> Result<Option<RetryRow>> {
    let (sql, no) = match lane.replay() {
        Some(replay) => (PARTITION_OF_REPLAY, replay.get()),
        None => (PARTITION_OF_ENDPOINT, lane.0),
    };
    let partition: Option<i64> = connection.prepare_cached(sql)?.query_row([no], |row| row.get(0)).optional()?;
    let Some(partition) = partition else { return Ok(None) };
    let key = params![partition, lane.0, signed(sequence.get())];
    Ok(routers::all(connection, RETRY, key, routers::retry)?.pop())
}

pub(super) fn state(connection: &Connection, endpoint: EndpointNo) -> Result<Option<DeliveryState>> {
    let state = |row: &Row<'_>| {
        let sequence = |index: usize| -> Result<Option<Sequence>> {
            Ok(row.get::<_, Option<i64>>(index)?.map(unsigned).transpose()?.map(Sequence))
        };
        Ok(DeliveryState {
            head: Sequence(unsigned(row.get(0)?)?),
            checkpoint: Position(unsigned(row.get(1)?)?),
            position: Position(unsigned(row.get(2)?)?),
            settled: sequence(3)?,
            retries: unsigned(row.get(4)?)?,
            oldest_retry: sequence(5)?,
            dead: unsigned(row.get(6)?)?,
            circuit: match row.get::<_, Option<i64>>(7)? {
                Some(_) => Some(routers::circuit(row, 7)?),
                None => None,
            },
        })
    };
    Ok(routers::all(connection, STATE, [endpoint.get()], state)?.pop())
}
