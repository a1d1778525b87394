//! Replays of past events to one endpoint. Each change is one flight, behind the lock on the partition's head.

use tidings_event::{EndpointNo, LaneNo, PartitionId, ReplayNo, Revision, Sequence, TenantNo, Timestamp};
use tokio_postgres::Row;

use super::append::LOCK;
use super::flight::{Flight, params};
use super::moves::{LIVES, REPLAY_LIVES, moved_or_failed};
use super::pool::Lease;
use super::read::number;
use crate::row::{corrupt, signed, unsigned};
use crate::{ReplayRow, ReplayState, Result, encoding};

/// The columns of a replay in the order in which [`row`] takes them.
macro_rules! columns {
    () => {
        "r.no, r.id, r.endpoint, r.tenant_no, r.revision, r.state, r.after_sequence, r.upto_sequence, r.types, \
         r.filter, r.rate_per_s, r.delivered, r.dead, r.created_at, r.ended_at"
    };
}
pub(super) use columns;

/// Nothing where the endpoint is deleted or has as many as it may have.
pub(super) const INSERT: &str = concat!(
    "WITH r AS ( \
        INSERT INTO tidings.replays (id, endpoint, tenant_no, partition, revision, state, after_sequence, \
        upto_sequence, types, filter, rate_per_s, created_at) \
        SELECT $1, e.no, e.tenant_no, e.partition, (SELECT revision + 1 FROM tidings.partitions WHERE id = $3), \
        'running', $4, $5, $6, $7, $8, $9 FROM tidings.endpoints e \
        WHERE e.no = $2 AND e.partition + 0 = $3 AND e.status <> 'deleted' AND \
          (SELECT count(*) FROM tidings.replays WHERE endpoint = $2 AND state = 'running') < $10 \
        RETURNING *), \
    lane AS ( \
        INSERT INTO tidings.lanes (partition, lane, tenant_no, settled) \
        SELECT partition, -no, tenant_no, after_sequence FROM r), \
    changed AS ( \
        UPDATE tidings.partitions SET revision = revision + 1 WHERE id = $3 AND EXISTS (SELECT 1 FROM r)) \
    SELECT ",
    columns!(),
    " FROM r"
);
pub(super) const CANCEL: &str = "\
    WITH ended AS ( \
        UPDATE tidings.replays SET state = 'cancelled', ended_at = $3, \
        revision = (SELECT revision + 1 FROM tidings.partitions WHERE id = $2) \
        WHERE no = $1 AND partition + 0 = $2 AND ended_at IS NULL RETURNING no) \
    UPDATE tidings.partitions SET revision = revision + 1 WHERE id = $2 AND EXISTS (SELECT 1 FROM ended)";
pub(super) const BY_NO: &str =
    concat!("SELECT ", columns!(), " FROM tidings.replays r WHERE r.no = $1 AND r.partition + 0 = $2");
pub(super) const BY_ID: &str = concat!(
    "SELECT ",
    columns!(),
    ", (SELECT settled FROM tidings.lanes WHERE partition = r.partition AND lane = -r.no) \
      FROM tidings.replays r WHERE r.endpoint = $1 AND r.id >= $2 AND r.id <= $2 ORDER BY r.id LIMIT 1"
);
pub(super) const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM tidings.replays r WHERE r.endpoint = $1 AND -r.no > $2 ORDER BY -r.no LIMIT $3"
);

pub(super) fn row(row: &Row) -> Result<ReplayRow> {
    let rate: Option<i64> = row.try_get(10)?;
    Ok(ReplayRow {
        no: ReplayNo(row.try_get(0)?),
        id: row.try_get(1)?,
        endpoint: EndpointNo(row.try_get(2)?),
        tenant_no: TenantNo(row.try_get(3)?),
        revision: Revision(unsigned(row.try_get(4)?)?),
        state: ReplayState::parse(row.try_get(5)?).ok_or_else(|| corrupt("state"))?,
        after: Sequence(unsigned(row.try_get(6)?)?),
        upto: Sequence(unsigned(row.try_get(7)?)?),
        types: encoding::types_of(row.try_get(8)?)?,
        filter: row.try_get(9)?,
        rate_per_s: rate.map(u32::try_from).transpose().map_err(|_| corrupt("rate_per_s"))?,
        delivered: unsigned(row.try_get(11)?)?,
        dead: unsigned(row.try_get(12)?)?,
        created_at: Timestamp::from_micros(row.try_get(13)?),
        ended_at: row.try_get::<_, Option<i64>>(14)?.map(Timestamp::from_micros),
    })
}

pub(super) async fn insert(
    lease: Lease,
    partition: PartitionId,
    new: &ReplayRow,
    running_max: u64,
) -> Result<Option<ReplayRow>> {
    let number = number(partition)?;
    let mut flight = Flight::default();
    flight.simple("BEGIN");
    flight.add(&lease, LOCK, params![number]).await?;
    flight.add(&lease, LIVES, params![new.tenant_no.get(), number]).await?;
    let params = params![
        new.id.as_str(),
        new.endpoint.get(),
        number,
        signed(new.after.get()),
        signed(new.upto.get()),
        encoding::types(&new.types)?,
        new.filter.as_deref(),
        new.rate_per_s.map(i64::from),
        new.created_at.as_micros(),
        signed(running_max),
    ];
    let stored = flight.add(&lease, INSERT, params).await?;
    flight.simple("COMMIT");
    let answers = flight.send(&lease).await.map_err(|failure| moved_or_failed(failure, Some(new.tenant_no)))?;
    lease.done();
    answers[stored].first().map(row).transpose()
}

pub(super) async fn cancel(
    lease: Lease,
    partition: PartitionId,
    no: ReplayNo,
    at: Timestamp,
) -> Result<Option<ReplayRow>> {
    let number = number(partition)?;
    let mut flight = Flight::default();
    flight.simple("BEGIN");
    flight.add(&lease, LOCK, params![number]).await?;
    flight.add(&lease, REPLAY_LIVES, params![no.get(), number]).await?;
    flight.add(&lease, CANCEL, params![no.get(), number, at.as_micros()]).await?;
    let found = flight.add(&lease, BY_NO, params![no.get(), number]).await?;
    flight.simple("COMMIT");
    let answers = flight.send(&lease).await.map_err(|failure| moved_or_failed(failure, None))?;
    lease.done();
    answers[found].first().map(row).transpose()
}

pub(super) async fn by_id(
    lease: Lease,
    endpoint: EndpointNo,
    id: &str,
) -> Result<Option<(ReplayRow, Option<Sequence>)>> {
    let rows = lease.query(BY_ID, &[&endpoint.get(), &id]).await?;
    let Some(found) = rows.first() else { return Ok(None) };
    let settled = found.try_get::<_, Option<i64>>(15)?.map(unsigned).transpose()?;
    Ok(Some((row(found)?, settled.map(Sequence))))
}

pub(super) async fn list(
    lease: Lease,
    endpoint: EndpointNo,
    before: Option<ReplayNo>,
    limit: usize,
) -> Result<Vec<ReplayRow>> {
    let before = before.map_or(i64::MIN, |replay| LaneNo::from(replay).0);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    lease.query(LIST, &[&endpoint.get(), &before, &limit]).await?.iter().map(row).collect()
}
