//! Reading the log.
//!
//! A read's limit in bytes is met by the server: `data_bytes` adds up along the order, so that no payload beyond the
//! limit is fetched or sent.
//!
//! A plan is made once for each connection, often while the table is still empty and all indexes look alike, and then
//! kept. So each statement is written such that only the right index can give its rows in the order it asks for: where
//! `a = x` would do, it says `a >= x AND a <= x ORDER BY a`.

use std::collections::HashMap;

use tidings_event::{EventId, PartitionId, Position, Recorded, Revision, Sequence, TenantId, TenantNo, Timestamp};
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};

use super::pool::Lease;
use crate::names::Names;
use crate::row::{Decoder, Raw, corrupt, signed, unsigned};
use crate::{Error, FeedSlice, Head, ReadLimit, Result, TailSlice};

/// The columns of a row in the order in which [`raw`] takes them.
macro_rules! columns {
    () => {
        "e.partition, e.position, e.tenant_no, e.sequence, e.event_id, e.type, e.version, e.timestamp, \
         e.recorded_at, e.project, e.source_kind, e.source_id, e.entity_kind, e.entity_id, e.actor, \
         e.correlation_id, e.causation_id, e.context_kind, e.context_id, e.traceparent, e.salt, e.digest, e.data"
    };
}
pub(super) use columns;

/// The revision is of the moment of the rows, so it covers every change that the last of them was written after.
pub(super) const TAIL: &str = concat!(
    "SELECT ",
    columns!(),
    ", (SELECT revision FROM tidings.partitions WHERE id = $1) FROM (SELECT *, sum(data_bytes) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING) AS total \
      FROM tidings.events WHERE partition = $1 AND position > $2 ORDER BY position LIMIT $3) e \
      WHERE e.total <= $4 OR e.total = e.data_bytes ORDER BY e.position"
);
/// One statement, so that the head, the floor and the events are of one moment. What was erased cannot be read, and
/// what comes after it would not follow what was asked for.
pub(super) const FEED: &str = concat!(
    "SELECT ",
    columns!(),
    ", t.sequence, t.floor FROM tidings.tenants t LEFT JOIN LATERAL \
      (SELECT *, sum(data_bytes) OVER (ORDER BY sequence ROWS UNBOUNDED PRECEDING) AS total \
      FROM tidings.events WHERE tenant_no = $1 AND sequence > $2 ORDER BY sequence LIMIT $3) e \
      ON t.floor <= $2 AND (e.total <= $4 OR e.total = e.data_bytes) \
      WHERE t.no = $1 ORDER BY e.sequence"
);
pub(super) const BY_ID: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM tidings.events e WHERE e.tenant_no = $1 AND e.event_id >= $2 AND e.event_id <= $2 \
      ORDER BY e.event_id LIMIT 1"
);
pub(super) const NAMES: &str = "SELECT no, name FROM tidings.tenants WHERE no = ANY ($1)";
pub(super) const REVISION: &str = "SELECT revision, moves FROM tidings.partitions WHERE id = $1";
pub(super) const HEADS: &str = "SELECT position, revision, moves FROM tidings.partitions ORDER BY id";
/// A binary search: `recorded_at` never falls along a tenant's sequences, because it never falls along positions.
pub(super) const SEQUENCE_BEFORE: &str = "\
    WITH RECURSIVE bounds (low, high) AS ( \
        SELECT floor, sequence FROM tidings.tenants WHERE no = $1 \
        UNION ALL \
        SELECT CASE WHEN e.recorded_at < $2 THEN e.sequence ELSE b.low END, \
               CASE WHEN e.recorded_at < $2 THEN b.high ELSE e.sequence - 1 END \
        FROM bounds b CROSS JOIN LATERAL \
            (SELECT sequence, recorded_at FROM tidings.events \
             WHERE tenant_no = $1 AND sequence >= (b.low + b.high + 1) / 2 ORDER BY sequence LIMIT 1) e \
        WHERE b.low < b.high \
    ) SELECT low FROM bounds WHERE low >= high";

/// JSON text as it was stored.
struct Json<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Json<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::JSON
    }
}

fn raw(row: &Row) -> Result<Raw<'_>> {
    let text = |index: usize| row.try_get::<_, &str>(index);
    let optional = |index: usize| row.try_get::<_, Option<&str>>(index);
    let partition: i32 = row.try_get(0)?;
    Ok(Raw {
        partition: PartitionId(u32::try_from(partition).map_err(|_| corrupt("partition"))?),
        position: Position(unsigned(row.try_get(1)?)?),
        tenant_no: TenantNo(row.try_get(2)?),
        sequence: Sequence(unsigned(row.try_get(3)?)?),
        event_id: text(4)?,
        event_type: text(5)?,
        version: text(6)?,
        timestamp: row.try_get(7)?,
        recorded_at: row.try_get(8)?,
        project: optional(9)?,
        source_kind: text(10)?,
        source_id: text(11)?,
        entity: optional(12)?.zip(optional(13)?),
        actor: optional(14)?,
        correlation_id: optional(15)?,
        causation_id: optional(16)?,
        context: optional(17)?.zip(optional(18)?),
        traceparent: optional(19)?,
        salt: row.try_get(20)?,
        digest: row.try_get(21)?,
        data: row.try_get::<_, Option<Json<'_>>>(22)?.map(|json| json.0),
    })
}

/// Turns rows into events; asks for tenants' names that were not seen yet.
pub(super) async fn decode<'r, R>(lease: &Lease, names: &Names, rows: R) -> Result<Vec<Recorded>>
where
    R: IntoIterator<Item = &'r Row> + Clone,
{
    let mut known: HashMap<TenantNo, Option<TenantId>> = HashMap::new();
    let mut last = None;
    for row in rows.clone() {
        let no = TenantNo(row.try_get(2)?);
        if last != Some(no) {
            known.entry(no).or_insert_with(|| names.get(no));
            last = Some(no);
        }
    }
    let missing: Vec<i64> = known.iter().filter(|(_, name)| name.is_none()).map(|(no, _)| no.get()).collect();
    if !missing.is_empty() {
        let statement = lease.prepare_cached(NAMES).await?;
        for row in lease.rows(&statement, &[&missing]).await? {
            let (no, name) = (TenantNo(row.try_get(0)?), TenantId::trusted(row.try_get::<_, &str>(1)?));
            names.put(no, &name);
            known.insert(no, Some(name));
        }
    }
    let mut decoder = Decoder::default();
    let mut events = Vec::new();
    for row in rows {
        let raw = raw(row)?;
        let tenant = known.get(&raw.tenant_no).cloned().flatten().ok_or_else(|| corrupt("tenant_no"))?;
        events.push(decoder.recorded(&raw, tenant)?);
    }
    Ok(events)
}

/// A limit as the statements take it: rows, and bytes.
pub(super) fn bounds(limit: ReadLimit) -> (i64, i64) {
    let signed = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    (signed(limit.events.max(1)), signed(limit.bytes))
}

pub(super) fn number(partition: PartitionId) -> Result<i32> {
    i32::try_from(partition.get()).map_err(|_| Error::Broken(format!("there is no partition {partition}")))
}

pub(super) async fn tail(
    lease: Lease,
    names: &Names,
    partition: PartitionId,
    after: Position,
    limit: ReadLimit,
) -> Result<TailSlice> {
    let (events, bytes) = bounds(limit);
    let statement = lease.prepare_cached(TAIL).await?;
    let after = signed(after.get());
    let rows = lease.rows(&statement, &[&number(partition)?, &after, &events, &bytes]).await?;
    let revision: Option<i64> = match rows.first() {
        Some(row) => Some(row.try_get(23)?),
        // Nothing to read is nothing to cover; what is read after it is late enough.
        None => {
            let statement = lease.prepare_cached(REVISION).await?;
            let rows = lease.rows(&statement, &[&number(partition)?]).await?;
            rows.first().map(|row| row.try_get(0)).transpose()?
        }
    };
    let revision = revision.ok_or_else(|| Error::Broken(format!("there is no partition {partition}")))?;
    let events = decode(&lease, names, &rows).await?;
    lease.done();
    Ok(TailSlice { events, revision: Revision(unsigned(revision)?) })
}

pub(super) async fn heads(lease: Lease) -> Result<Vec<Head>> {
    let head = |row: &Row| -> Result<Head> {
        let (position, revision) = (unsigned(row.try_get(0)?)?, unsigned(row.try_get(1)?)?);
        Ok(Head { position: Position(position), revision: Revision(revision), moves: unsigned(row.try_get(2)?)? })
    };
    lease.query(HEADS, &[]).await?.iter().map(head).collect()
}

pub(super) async fn feed(
    lease: Lease,
    names: &Names,
    tenant: TenantNo,
    after: Sequence,
    limit: ReadLimit,
) -> Result<FeedSlice> {
    let (events, bytes) = bounds(limit);
    let statement = lease.prepare_cached(FEED).await?;
    let after = signed(after.get());
    let rows = lease.rows(&statement, &[&tenant.get(), &after, &events, &bytes]).await?;
    let mut slice = FeedSlice { events: Vec::new(), head: Sequence(0), floor: Sequence(0) };
    if let Some(row) = rows.first() {
        slice.head = Sequence(unsigned(row.try_get(23)?)?);
        slice.floor = Sequence(unsigned(row.try_get(24)?)?);
        // A tenant without events to read is a row without an event.
        if row.try_get::<_, Option<i64>>(1)?.is_some() {
            slice.events = decode(&lease, names, &rows).await?;
        }
    }
    lease.done();
    Ok(slice)
}

pub(super) async fn sequence_before(lease: Lease, tenant: TenantNo, moment: Timestamp) -> Result<Sequence> {
    let rows = lease.query(SEQUENCE_BEFORE, &[&tenant.get(), &moment.as_micros()]).await?;
    match rows.first() {
        Some(row) => Ok(Sequence(unsigned(row.try_get(0)?)?)),
        None => Ok(Sequence(0)),
    }
}

pub(super) async fn event(lease: Lease, names: &Names, tenant: TenantNo, id: &EventId) -> Result<Option<Recorded>> {
    let statement = lease.prepare_cached(BY_ID).await?;
    let rows = lease.rows(&statement, &[&tenant.get(), &id.as_str()]).await?;
    let found = decode(&lease, names, &rows).await?.pop();
    lease.done();
    Ok(found)
}
