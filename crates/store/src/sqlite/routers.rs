//! What a router begins with.

use rusqlite::{Connection, Row, params};
use tidings_event::delivery::{CircuitRow, CircuitState, LaneRow, RetryRow};
use tidings_event::{EndpointNo, LaneNo, PartitionId, Revision, Sequence, TenantNo, Timestamp};

use super::{endpoints, read, replays};
use crate::row::{corrupt, signed, unsigned};
use crate::{Error, Result, RouterState, RoutingChanges, encoding};

/// Lanes whose endpoint is deleted or whose replay has ended: a new router does not hear of them any more.
pub(super) const GONE: &str = "\
    SELECT no FROM endpoints WHERE partition = ?1 AND status = 'deleted' AND forgotten = 0 \
    UNION SELECT lane FROM lanes WHERE partition = ?1 AND lane < 0 \
      AND NOT EXISTS (SELECT 1 FROM replays WHERE no = -lane AND state = 'running') \
    UNION SELECT lane FROM retries WHERE partition = ?1 AND lane < 0 \
      AND NOT EXISTS (SELECT 1 FROM replays WHERE no = -lane AND state = 'running') \
    UNION SELECT lane FROM circuits WHERE partition = ?1 AND lane < 0 \
      AND NOT EXISTS (SELECT 1 FROM replays WHERE no = -lane AND state = 'running')";
pub(super) const LANES: &str = "SELECT lane, tenant_no, settled FROM lanes WHERE partition = ?1 ORDER BY lane";
pub(super) const RETRIES: &str = "\
    SELECT lane, sequence, attempts, next_at, key, previous FROM retries WHERE partition = ?1 ORDER BY lane, sequence";
pub(super) const CIRCUITS: &str =
    "SELECT lane, state, since, until, probes, last FROM circuits WHERE partition = ?1 ORDER BY lane";
pub(super) const CHANGED_ENDPOINTS: &str = concat!(
    "SELECT ",
    endpoints::columns!(),
    " FROM endpoints e WHERE e.partition = ?1 AND e.revision > ?2 AND (?2 > 0 OR e.status <> 'deleted') \
      ORDER BY e.revision"
);
pub(super) const CHANGED_REPLAYS: &str = concat!(
    "SELECT ",
    replays::columns!(),
    " FROM replays r WHERE r.partition = ?1 AND r.revision > ?2 AND (?2 > 0 OR r.state = 'running') \
      ORDER BY r.revision"
);
/// Each endpoint with redrives, found by stepping from one to the next.
pub(super) const REDRIVEN_ENDPOINTS: &str = "\
    WITH RECURSIVE owners (endpoint) AS ( \
        SELECT min(endpoint) FROM redrives WHERE partition = ?1 \
        UNION ALL \
        SELECT (SELECT min(endpoint) FROM redrives WHERE partition = ?1 AND endpoint > o.endpoint) \
        FROM owners o WHERE o.endpoint IS NOT NULL LIMIT ?2 \
    ) SELECT endpoint FROM owners WHERE endpoint IS NOT NULL";
pub(super) const REDRIVES: &str =
    "SELECT sequence FROM redrives WHERE partition = ?1 AND endpoint = ?2 ORDER BY sequence LIMIT ?3";

pub(super) fn retry(row: &Row<'_>) -> Result<RetryRow> {
    Ok(RetryRow {
        lane: LaneNo(row.get(0)?),
        sequence: Sequence(unsigned(row.get(1)?)?),
        attempts: encoding::count_of(row.get(2)?)?,
        next_at: Timestamp::from_micros(row.get(3)?),
        key: row.get::<_, Option<i64>>(4)?.map(i64::cast_unsigned),
        previous: row.get::<_, Option<i64>>(5)?.map(unsigned).transpose()?.map(Sequence),
    })
}

/// A circuit from six columns that begin here.
pub(super) fn circuit(row: &Row<'_>, first: usize) -> Result<CircuitRow> {
    let state: String = row.get(first + 1)?;
    Ok(CircuitRow {
        lane: LaneNo(row.get(first)?),
        state: CircuitState::parse(&state).ok_or_else(|| corrupt("state"))?,
        since: Timestamp::from_micros(row.get(first + 2)?),
        until: Timestamp::from_micros(row.get(first + 3)?),
        probes: encoding::count_of(row.get(first + 4)?)?,
        last: encoding::result_of(row.get(first + 5)?)?,
    })
}

fn lane(row: &Row<'_>) -> Result<LaneRow> {
    Ok(LaneRow { lane: LaneNo(row.get(0)?), tenant: TenantNo(row.get(1)?), settled: Sequence(unsigned(row.get(2)?)?) })
}

/// All rows that a statement gives.
pub(super) fn all<T>(
    connection: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
    row: impl Fn(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut all = Vec::new();
    while let Some(found) = rows.next()? {
        all.push(row(found)?);
    }
    Ok(all)
}

pub(super) fn state(connection: &Connection, partition: PartitionId) -> Result<RouterState> {
    let transaction = connection.unchecked_transaction()?;
    let state = RouterState {
        lanes: all(&transaction, LANES, [partition.get()], lane)?,
        retries: all(&transaction, RETRIES, [partition.get()], retry)?,
        circuits: all(&transaction, CIRCUITS, [partition.get()], |row| circuit(row, 0))?,
    };
    transaction.commit()?;
    Ok(state)
}

pub(super) fn routing(connection: &Connection, partition: PartitionId, after: Revision) -> Result<RoutingChanges> {
    let transaction = connection.unchecked_transaction()?;
    let since = params![partition.get(), signed(after.get())];
    let changes = RoutingChanges {
        revision: read::revision(&transaction, partition)?,
        moves: read::moves(&transaction, partition)?,
        endpoints: all(&transaction, CHANGED_ENDPOINTS, since, endpoints::row)?,
        replays: all(&transaction, CHANGED_REPLAYS, since, replays::row)?,
        redrives: redrives(&transaction, partition)?,
    };
    transaction.commit()?;
    Ok(changes)
}

/// As many for each endpoint, so that one with many leaves room for the others.
fn redrives(connection: &Connection, partition: PartitionId) -> Result<Vec<(EndpointNo, Sequence)>> {
    let max = i64::try_from(encoding::REDRIVES_MAX).map_err(|_| Error::Broken("a bound is too large".to_owned()))?;
    let owners: Vec<i64> = all(connection, REDRIVEN_ENDPOINTS, params![partition.get(), max], |row| Ok(row.get(0)?))?;
    let each = max / i64::try_from(owners.len()).unwrap_or(max).max(1);
    let mut redrives = Vec::new();
    for owner in owners {
        redrives.extend(all(connection, REDRIVES, params![partition.get(), owner, each.max(1)], |row| {
            Ok((EndpointNo(owner), Sequence(unsigned(row.get(0)?)?)))
        })?);
    }
    Ok(encoding::in_order(redrives))
}
