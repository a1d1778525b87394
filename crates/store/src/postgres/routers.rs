//! What a router begins with.

use tidings_event::delivery::{CircuitRow, CircuitState, LaneRow, RetryRow};
use tidings_event::{EndpointNo, LaneNo, PartitionId, Revision, Sequence, TenantNo, Timestamp};
use tokio_postgres::Row;

use super::flight::{Flight, params};
use super::pool::Lease;
use super::read::{REVISION, number};
use super::{endpoints, replays};
use crate::row::{corrupt, signed, unsigned};
use crate::{Error, Result, RouterState, RoutingChanges, encoding};

/// The present moment by the server's clock, in microseconds; not that of the transaction's beginning.
macro_rules! now {
    () => {
        "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
    };
}
pub(super) use now;

/// Lanes whose endpoint is deleted or whose replay has ended: a new router does not hear of them any more.
pub(super) const GONE: &str = "\
    SELECT lane FROM ( \
        (SELECT no AS lane FROM tidings.endpoints WHERE partition >= $1 AND partition <= $1 AND status = 'deleted' \
         AND NOT forgotten ORDER BY partition, no) \
        UNION ALL (SELECT lane FROM tidings.lanes WHERE partition = $1 AND lane < 0 ORDER BY lane) \
        UNION ALL (SELECT lane FROM tidings.retries WHERE partition = $1 AND lane < 0 ORDER BY lane) \
        UNION ALL (SELECT lane FROM tidings.circuits WHERE partition = $1 AND lane < 0 ORDER BY lane)) gone \
    WHERE lane > 0 OR coalesce((SELECT state FROM tidings.replays WHERE no = -gone.lane), '') <> 'running'";
pub(super) const LANES: &str = "SELECT lane, tenant_no, settled FROM tidings.lanes WHERE partition = $1 ORDER BY lane";
pub(super) const RETRIES: &str = "\
    SELECT lane, sequence, attempts, next_at, key, previous FROM tidings.retries \
    WHERE partition = $1 ORDER BY lane, sequence";
pub(super) const CIRCUITS: &str =
    "SELECT lane, state, since, until, probes, last FROM tidings.circuits WHERE partition = $1 ORDER BY lane";
pub(super) const CHANGED_ENDPOINTS: &str = concat!(
    "SELECT ",
    endpoints::columns!(),
    " FROM tidings.endpoints e WHERE e.partition = $1 AND e.revision > $2 AND ($2 > 0 OR e.status <> 'deleted') \
      ORDER BY e.revision"
);
pub(super) const CHANGED_REPLAYS: &str = concat!(
    "SELECT ",
    replays::columns!(),
    " FROM tidings.replays r WHERE r.partition = $1 AND r.revision > $2 AND ($2 > 0 OR r.state = 'running') \
      ORDER BY r.revision"
);
/// Each endpoint with redrives is found by stepping from one to the next, and gets as much room as every other, so that
/// one with many leaves room for the others.
pub(super) const REDRIVES: &str = "\
    WITH RECURSIVE owners (endpoint) AS ( \
        (SELECT endpoint FROM tidings.redrives WHERE partition = $1 ORDER BY endpoint LIMIT 1) \
        UNION ALL \
        SELECT n.endpoint FROM owners o CROSS JOIN LATERAL ( \
            SELECT endpoint FROM tidings.redrives WHERE partition = $1 AND endpoint > o.endpoint \
            ORDER BY endpoint LIMIT 1) n), \
    some_owners AS MATERIALIZED (SELECT endpoint FROM owners LIMIT $2) \
    SELECT o.endpoint, r.sequence FROM some_owners o CROSS JOIN LATERAL ( \
        SELECT sequence FROM tidings.redrives WHERE partition = $1 AND endpoint = o.endpoint ORDER BY sequence \
        LIMIT (SELECT greatest(1, $2 / greatest(1, count(*))) FROM some_owners)) r";

fn lane(row: &Row) -> Result<LaneRow> {
    Ok(LaneRow {
        lane: LaneNo(row.try_get(0)?),
        tenant: TenantNo(row.try_get(1)?),
        settled: Sequence(unsigned(row.try_get(2)?)?),
    })
}

pub(super) fn retry(row: &Row) -> Result<RetryRow> {
    Ok(RetryRow {
        lane: LaneNo(row.try_get(0)?),
        sequence: Sequence(unsigned(row.try_get(1)?)?),
        attempts: encoding::count_of(row.try_get(2)?)?,
        next_at: Timestamp::from_micros(row.try_get(3)?),
        key: row.try_get::<_, Option<i64>>(4)?.map(i64::cast_unsigned),
        previous: row.try_get::<_, Option<i64>>(5)?.map(unsigned).transpose()?.map(Sequence),
    })
}

/// A circuit from six columns that begin here.
pub(super) fn circuit(row: &Row, first: usize) -> Result<CircuitRow> {
    Ok(CircuitRow {
        lane: LaneNo(row.try_get(first)?),
        state: CircuitState::parse(row.try_get(first + 1)?).ok_or_else(|| corrupt("state"))?,
        since: Timestamp::from_micros(row.try_get(first + 2)?),
        until: Timestamp::from_micros(row.try_get(first + 3)?),
        probes: encoding::count_of(row.try_get(first + 4)?)?,
        last: encoding::result_of(row.try_get(first + 5)?)?,
    })
}

/// A transaction that reads, all of it of one moment.
const READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

pub(super) async fn state(lease: Lease, partition: PartitionId) -> Result<RouterState> {
    let number = number(partition)?;
    let mut flight = Flight::default();
    flight.simple(READ);
    let lanes = flight.add(&lease, LANES, params![number]).await?;
    let retries = flight.add(&lease, RETRIES, params![number]).await?;
    let circuits = flight.add(&lease, CIRCUITS, params![number]).await?;
    flight.simple("COMMIT");
    let answers = flight.send(&lease).await?;
    lease.done();
    Ok(RouterState {
        lanes: answers[lanes].iter().map(lane).collect::<Result<_>>()?,
        retries: answers[retries].iter().map(retry).collect::<Result<_>>()?,
        circuits: answers[circuits].iter().map(|row| circuit(row, 0)).collect::<Result<_>>()?,
    })
}

pub(super) async fn routing(lease: Lease, partition: PartitionId, after: Revision) -> Result<RoutingChanges> {
    let (number, after) = (number(partition)?, signed(after.get()));
    let max = i64::try_from(encoding::REDRIVES_MAX).map_err(|_| corrupt("a bound"))?;
    let mut flight = Flight::default();
    flight.simple(READ);
    let revision = flight.add(&lease, REVISION, params![number]).await?;
    let changed = flight.add(&lease, CHANGED_ENDPOINTS, params![number, after]).await?;
    let replayed = flight.add(&lease, CHANGED_REPLAYS, params![number, after]).await?;
    let redrives = flight.add(&lease, REDRIVES, params![number, max]).await?;
    flight.simple("COMMIT");
    let answers = flight.send(&lease).await?;
    lease.done();
    let revision =
        answers[revision].first().ok_or_else(|| Error::Broken(format!("there is no partition {partition}")))?;
    let redrive = |row: &Row| Ok((EndpointNo(row.try_get(0)?), Sequence(unsigned(row.try_get(1)?)?)));
    Ok(RoutingChanges {
        revision: Revision(unsigned(revision.try_get(0)?)?),
        moves: unsigned(revision.try_get(1)?)?,
        endpoints: answers[changed].iter().map(endpoints::row).collect::<Result<_>>()?,
        replays: answers[replayed].iter().map(replays::row).collect::<Result<_>>()?,
        redrives: encoding::in_order(answers[redrives].iter().map(redrive).collect::<Result<_>>()?),
    })
}
