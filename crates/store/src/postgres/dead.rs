//! Dead letters, retries, and how an endpoint's delivery stands.

use tidings_event::delivery::{DeadReason, DeadRow, RetryRow};
use tidings_event::{
    EndpointId, EndpointNo, EventId, EventType, LaneNo, PartitionId, Position, Sequence, TenantNo, Timestamp,
};
use tokio_postgres::Row;

use super::append::LOCK;
use super::flight::{Flight, Param, params};
use super::moves::{LIVES, moved_or_failed};
use super::pool::Lease;
use super::read::number;
use super::routers;
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
    ($which:ident) => {
        concat!(
            " FROM tidings.dead_letters d \
              CROSS JOIN LATERAL (SELECT id, status FROM tidings.endpoints WHERE no = d.endpoint \
                ORDER BY no LIMIT 1) e \
              LEFT JOIN LATERAL (SELECT event_id, type FROM tidings.events WHERE tenant_no = d.tenant_no \
                AND sequence >= d.sequence AND sequence <= d.sequence ORDER BY sequence LIMIT 1) v ON true WHERE ",
            $which!(),
            " AND (d.sequence, d.endpoint) > ($3, $4) AND ($5::text IS NULL OR d.reason = $5) AND d.died_at >= $6 \
              AND d.died_at < $7 AND ($8::text IS NULL OR v.type = $8) AND e.status <> 'deleted' \
              AND d.sequence <= $10 ORDER BY d.sequence, d.endpoint LIMIT $9"
        )
    };
}

macro_rules! of_tenant {
    () => {
        "d.tenant_no = $1 AND $2::bigint IS NULL"
    };
}

/// Adding nothing to the tenant keeps its index out of the plan.
macro_rules! of_endpoint {
    () => {
        "d.endpoint = $2 AND d.sequence >= $3 AND d.tenant_no + 0 = $1"
    };
}

/// Takes away what is found and puts it among the redrives where `$11` says so, at the revision after; the head is
/// locked before.
macro_rules! settle {
    ($which:ident) => {
        concat!(
            "WITH gone AS (DELETE FROM tidings.dead_letters WHERE ctid = ANY (ARRAY(SELECT d.ctid",
            found!($which),
            ")) RETURNING endpoint, sequence), \
              moved AS (INSERT INTO tidings.redrives (partition, endpoint, sequence) \
                SELECT $12, endpoint, sequence FROM gone WHERE $11::boolean ON CONFLICT DO NOTHING), \
              changed AS (UPDATE tidings.partitions SET revision = revision + 1 \
                WHERE id = $12 AND $11 AND EXISTS (SELECT 1 FROM gone)) \
              SELECT endpoint, sequence FROM gone"
        )
    };
}

pub(super) const OF_TENANT: &str = concat!("SELECT ", columns!(), ", e.id, v.event_id, v.type", found!(of_tenant));
pub(super) const OF_ENDPOINT: &str = concat!("SELECT ", columns!(), ", e.id, v.event_id, v.type", found!(of_endpoint));
pub(super) const SETTLE_OF_TENANT: &str = settle!(of_tenant);
pub(super) const SETTLE_OF_ENDPOINT: &str = settle!(of_endpoint);
pub(super) const ONE: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM tidings.dead_letters d WHERE d.endpoint = $1 AND d.sequence >= $2 AND d.sequence <= $2 \
      ORDER BY d.sequence LIMIT 1"
);
pub(super) const RETRY: &str = "\
    SELECT lane, sequence, attempts, next_at, key, previous FROM tidings.retries WHERE partition = \
      CASE WHEN $1::bigint > 0 THEN (SELECT partition FROM tidings.endpoints WHERE no = $1) \
      ELSE (SELECT partition FROM tidings.replays WHERE no = -$1) END \
    AND lane = $1 AND sequence >= $2 AND sequence <= $2 ORDER BY sequence LIMIT 1";
pub(super) const STATE: &str = "\
    SELECT (SELECT sequence FROM tidings.tenants WHERE no = e.tenant_no), \
      (SELECT checkpoint FROM tidings.leases WHERE role = 'router' AND slot = e.partition::text), \
      (SELECT position FROM tidings.partitions WHERE id = e.partition), \
      (SELECT settled FROM tidings.lanes WHERE partition = e.partition AND lane = e.no), \
      (SELECT count(*) FROM tidings.retries WHERE partition = e.partition AND lane = e.no), \
      (SELECT sequence FROM tidings.retries WHERE partition = e.partition AND lane = e.no \
       ORDER BY sequence LIMIT 1), \
      (SELECT count(*) FROM tidings.dead_letters WHERE endpoint = e.no), \
      c.lane, c.state, c.since, c.until, c.probes, c.last \
    FROM tidings.endpoints e LEFT JOIN LATERAL (SELECT lane, state, since, until, probes, last \
      FROM tidings.circuits WHERE partition = e.partition AND lane = e.no ORDER BY lane LIMIT 1) c ON true \
    WHERE e.no = $1 AND e.status <> 'deleted'";

fn dead_row(row: &Row) -> Result<DeadRow> {
    Ok(DeadRow {
        endpoint: EndpointNo(row.try_get(0)?),
        tenant: TenantNo(row.try_get(1)?),
        sequence: Sequence(unsigned(row.try_get(2)?)?),
        attempts: encoding::count_of(row.try_get(3)?)?,
        last: row.try_get::<_, Option<i32>>(4)?.map(encoding::result_of).transpose()?,
        reason: DeadReason::parse(row.try_get(5)?).ok_or_else(|| corrupt("reason"))?,
        died_at: Timestamp::from_micros(row.try_get(6)?),
    })
}

fn letter(row: &Row) -> Result<DeadLetter> {
    Ok(DeadLetter {
        row: dead_row(row)?,
        endpoint: EndpointId::trusted(row.try_get::<_, &str>(7)?),
        event_id: row.try_get::<_, Option<&str>>(8)?.map(EventId::trusted),
        event_type: row.try_get::<_, Option<&str>>(9)?.map(EventType::trusted),
    })
}

/// The first ten parameters.
fn search(tenant: TenantNo, query: &DeadQuery, limit: usize) -> Vec<Param<'_>> {
    let ((sequence, endpoint), upto) = encoding::dead_bounds(query);
    params![
        tenant.get(),
        query.endpoint.map(EndpointNo::get),
        sequence,
        endpoint,
        query.reason.map(DeadReason::as_str),
        query.since.map_or(i64::MIN, Timestamp::as_micros),
        query.until.map_or(i64::MAX, Timestamp::as_micros),
        query.event_type.as_ref().map(EventType::as_str),
        i64::try_from(limit).unwrap_or(i64::MAX),
        upto,
    ]
}

pub(super) async fn list(lease: Lease, tenant: TenantNo, query: &DeadQuery) -> Result<Vec<DeadLetter>> {
    let sql = if query.endpoint.is_some() { OF_ENDPOINT } else { OF_TENANT };
    let mut flight = Flight::default();
    let found = flight.add(&lease, sql, search(tenant, query, query.limit)).await?;
    let answers = flight.send(&lease).await?;
    lease.done();
    answers[found].iter().map(letter).collect()
}

pub(super) async fn settle(
    lease: Lease,
    partition: PartitionId,
    tenant: TenantNo,
    query: &DeadQuery,
    fate: DeadFate,
) -> Result<Vec<(EndpointNo, Sequence)>> {
    let sql = if query.endpoint.is_some() { SETTLE_OF_ENDPOINT } else { SETTLE_OF_TENANT };
    let number = number(partition)?;
    let mut params = search(tenant, query, query.limit.min(encoding::SETTLED_MAX));
    params.extend(params![fate == DeadFate::Redrive, number]);
    let mut flight = Flight::default();
    flight.simple("BEGIN");
    flight.add(&lease, LOCK, params![number]).await?;
    flight.add(&lease, LIVES, params![tenant.get(), number]).await?;
    let settled = flight.add(&lease, sql, params).await?;
    flight.simple("COMMIT");
    let answers = flight.send(&lease).await.map_err(|failure| moved_or_failed(failure, Some(tenant)))?;
    lease.done();
    let key = |row: &Row| Ok((EndpointNo(row.try_get(0)?), Sequence(unsigned(row.try_get(1)?)?)));
    Ok(encoding::in_order(answers[settled].iter().map(key).collect::<Result<_>>()?))
}

pub(super) async fn dead(lease: Lease, endpoint: EndpointNo, sequence: Sequence) -> Result<Option<DeadRow>> {
    let rows = lease.query(ONE, &[&endpoint.get(), &signed(sequence.get())]).await?;
    rows.first().map(dead_row).transpose()
}

pub(super) async fn retry(lease: Lease, lane: LaneNo, sequence: Sequence) -> Result<Option<RetryRow>> {
    let rows = lease.query(RETRY, &[&lane.0, &signed(sequence.get())]).await?;
    rows.first().map(routers::retry).transpose()
}

pub(super) async fn state(lease: Lease, endpoint: EndpointNo) -> Result<Option<DeliveryState>> {
    let rows = lease.query(STATE, &[&endpoint.get()]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let sequence = |index: usize| -> Result<Option<Sequence>> {
        Ok(row.try_get::<_, Option<i64>>(index)?.map(unsigned).transpose()?.map(Sequence))
    };
    Ok(Some(DeliveryState {
        head: Sequence(unsigned(row.try_get(0)?)?),
        checkpoint: Position(unsigned(row.try_get(1)?)?),
        position: Position(unsigned(row.try_get(2)?)?),
        settled: sequence(3)?,
        retries: unsigned(row.try_get(4)?)?,
        oldest_retry: sequence(5)?,
        dead: unsigned(row.try_get(6)?)?,
        circuit: match row.try_get::<_, Option<i64>>(7)? {
            Some(_) => Some(routers::circuit(row, 7)?),
            None => None,
        },
    }))
}
