//! The one way into the log, in two flights: what must be known goes out as one, what is written as the other.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::SinkExt;
use futures_util::future::join;
use tidings_event::log::{AppendKeys, AppendView, Existing};
use tidings_event::{EventId, PartitionId, Position, Recorded, Revision, Sequence, TenantNo, Timestamp};
use tokio::sync::oneshot;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};

use super::failure::of_commit;
use super::flight::{Param, params};
use super::pool::{Connections, Lease};
use super::read::{columns, decode, number};
use crate::names::Names;
use crate::plan::{Before, Heads};
use crate::row::{correlation_column, corrupt, signed, unsigned};
use crate::{Appended, Decide, Error, Result};

pub(super) mod copy;

/// From so many rows on a binary copy is faster than arrays, although it takes one more trip.
const COPY_ROWS_MIN: usize = 100;

/// The lock that sequences a partition. It leaves the row's key unlocked, so that tenants can be placed meanwhile.
pub(super) const LOCK: &str = "\
    SELECT position, recorded_at, revision FROM tidings.partitions WHERE id = $1 FOR NO KEY UPDATE";
pub(super) const TENANT_HEADS: &str = "SELECT no, sequence FROM tidings.tenants WHERE no = ANY ($1) AND partition = $2";
/// Each id is looked up by itself, and by bounds with an order: see [`super::read`].
pub(super) const EXISTING: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM unnest($1::bigint[], $2::text[]) wanted (tenant_no, event_id) \
      CROSS JOIN LATERAL (SELECT * FROM tidings.events WHERE tenant_no = wanted.tenant_no \
      AND event_id >= wanted.event_id COLLATE \"C\" AND event_id <= wanted.event_id COLLATE \"C\" \
      ORDER BY event_id LIMIT 1) e"
);
pub(super) const INSERT: &str = "\
    INSERT INTO tidings.events (partition, position, tenant_no, sequence, event_id, type, version, timestamp, \
    recorded_at, project, source_kind, source_id, entity_kind, entity_id, actor, correlation_id, causation_id, \
    context_kind, context_id, traceparent, salt, digest, data_bytes, data) \
    SELECT $1, r.position, r.tenant_no, r.sequence, r.event_id, r.type, r.version, r.timestamp, r.recorded_at, \
    r.project, r.source_kind, r.source_id, r.entity_kind, r.entity_id, r.actor, r.correlation_id, r.causation_id, \
    r.context_kind, r.context_id, r.traceparent, r.salt, r.digest, octet_length(r.data), r.data::json \
    FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::bigint[], \
    $9::bigint[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], \
    $17::text[], $18::text[], $19::text[], $20::text[], $21::bytea[], $22::bytea[], $23::text[]) \
    r (position, tenant_no, sequence, event_id, type, version, timestamp, recorded_at, project, source_kind, \
    source_id, entity_kind, entity_id, actor, correlation_id, causation_id, context_kind, context_id, traceparent, \
    salt, digest, data)";
pub(super) const COPY: &str = "\
    COPY tidings.events (partition, position, tenant_no, sequence, event_id, type, version, timestamp, recorded_at, \
    project, source_kind, source_id, entity_kind, entity_id, actor, correlation_id, causation_id, context_kind, \
    context_id, traceparent, salt, digest, data_bytes, data) FROM STDIN (FORMAT binary)";
pub(super) const ADVANCE_PARTITION: &str =
    "UPDATE tidings.partitions SET position = $2, recorded_at = $3 WHERE id = $1";
pub(super) const ADVANCE_TENANTS: &str = "\
    UPDATE tidings.tenants t SET sequence = heads.sequence \
    FROM unnest($1::bigint[], $2::bigint[]) heads (no, sequence) WHERE t.no = heads.no";

/// The statements of an append, prepared once on each connection, so that none costs a trip of its own.
struct Statements {
    lock: Statement,
    tenant_heads: Statement,
    existing: Statement,
    insert: Statement,
    copy: Statement,
    advance_partition: Statement,
    advance_tenants: Statement,
}

impl Statements {
    async fn of(lease: &Lease) -> Result<Self> {
        Ok(Self {
            lock: lease.prepare_cached(LOCK).await?,
            tenant_heads: lease.prepare_cached(TENANT_HEADS).await?,
            existing: lease.prepare_cached(EXISTING).await?,
            insert: lease.prepare_cached(INSERT).await?,
            copy: lease.prepare_cached(COPY).await?,
            advance_partition: lease.prepare_cached(ADVANCE_PARTITION).await?,
            advance_tenants: lease.prepare_cached(ADVANCE_TENANTS).await?,
        })
    }
}

/// One append, in a task of its own: a caller that goes away cannot leave a transaction half done. One that is gone
/// before the rows are sent leaves nothing.
pub(super) async fn append(
    connections: Arc<Connections>,
    names: Arc<Names>,
    partition: PartitionId,
    keys: AppendKeys,
    decide: Decide,
) -> Result<Appended> {
    let (caller, gone) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        let lease = connections.writer().await?;
        let append = Append { names: &names, partition, keys: &keys };
        let outcome = append.run(&lease, decide, gone).await;
        lease.finish(outcome).await
    });
    let outcome = task.await.unwrap_or_else(|_| Err(Error::Broken("an append did not finish".to_owned())));
    drop(caller);
    outcome
}

struct Append<'a> {
    names: &'a Names,
    partition: PartitionId,
    keys: &'a AppendKeys,
}

impl Append<'_> {
    async fn run(&self, lease: &Lease, decide: Decide, mut gone: oneshot::Receiver<()>) -> Result<Appended> {
        let statements = Statements::of(lease).await?;
        let (view, revision) = self.look(lease, &statements).await?;
        let before = Before::of(&view);
        let plan = catch_unwind(AssertUnwindSafe(|| decide(view)))
            .map_err(|_| Error::Broken("the decision panicked; nothing was written".to_owned()))?;
        let heads = before.advance(&plan)?;
        if plan.rows.is_empty() {
            lease.batch_execute("ROLLBACK").await?;
            return Ok(Appended { partition: self.partition, plan, revision });
        }
        if matches!(gone.try_recv(), Err(oneshot::error::TryRecvError::Closed)) {
            return Err(Error::unavailable("the caller went away, so nothing was written"));
        }
        self.write(lease, &statements, &plan.rows, &heads).await?;
        Ok(Appended { partition: self.partition, plan, revision })
    }

    /// The first flight. Each statement has a snapshot of its own, so those after the lock see all that was committed
    /// before it was granted.
    async fn look(&self, lease: &Lease, statements: &Statements) -> Result<(AppendView, Revision)> {
        let partition = number(self.partition)?;
        let tenants: Vec<i64> = self.keys.tenants.iter().map(|no| no.get()).collect();
        let (nos, ids): (Vec<i64>, Vec<&str>) = self.keys.ids.iter().map(|(no, id)| (no.get(), id.as_str())).unzip();
        let (heads_of, present): ([&(dyn ToSql + Sync); 2], [&(dyn ToSql + Sync); 2]) =
            ([&tenants, &partition], [&nos, &ids]);
        let head_of: [&(dyn ToSql + Sync); 1] = [&partition];
        // Futures are sent in the order in which they are first polled, which is the order in which they stand here.
        let (begun, locked, heads, existing) = futures_util::join!(
            lease.batch_execute("BEGIN"),
            lease.query_opt(&statements.lock, &head_of),
            lease.rows(&statements.tenant_heads, &heads_of),
            lease.rows(&statements.existing, &present),
        );
        begun?;
        let locked = locked?.ok_or_else(|| Error::Broken(format!("there is no partition {}", self.partition)))?;
        let existing = decode(lease, self.names, &existing?).await?;
        view(self.partition, &locked, &heads?, existing)
    }

    /// The second flight. The commit goes out with the rest: where a statement before it failed, the server turns it
    /// into a rollback, and the failure is what is reported.
    async fn write(&self, lease: &Lease, statements: &Statements, rows: &[Recorded], heads: &Heads) -> Result<()> {
        let (nos, sequences): (Vec<i64>, Vec<i64>) =
            heads.sequences.iter().map(|(no, sequence)| (no.get(), signed(sequence.get()))).unzip();
        let (partition, position) = (number(self.partition)?, signed(heads.position.get()));
        let recorded_at = heads.recorded_at.as_micros();
        let advance_partition: [&(dyn ToSql + Sync); 3] = [&partition, &position, &recorded_at];
        let advance_tenants: [&(dyn ToSql + Sync); 2] = [&nos, &sequences];
        let close = async || {
            futures_util::join!(
                lease.execute(&statements.advance_partition, &advance_partition),
                lease.execute(&statements.advance_tenants, &advance_tenants),
                lease.batch_execute("COMMIT"),
            )
        };
        let (written, (partition_head, tenant_heads, committed)) = if rows.len() < COPY_ROWS_MIN {
            let params = Columns::of(rows)?.into_params(partition);
            let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|param| &**param as &(dyn ToSql + Sync)).collect();
            join(lease.execute(&statements.insert, &params), close()).await
        } else {
            // Until the copy was accepted nothing was sent that could commit.
            let sink = lease.copy_in::<_, Bytes>(&statements.copy).await?;
            let mut sink = pin!(sink);
            for chunk in copy::encode(partition, rows)? {
                sink.as_mut().feed(chunk).await?;
            }
            join(sink.finish(), close()).await
        };
        let written = written.map_err(of_commit)?;
        partition_head.map_err(of_commit)?;
        tenant_heads.map_err(of_commit)?;
        committed.map_err(of_commit)?;
        debug_assert_eq!(written, rows.len() as u64);
        Ok(())
    }
}

/// What the statements of the first flight found.
pub(super) fn view(
    partition: PartitionId,
    locked: &Row,
    heads: &[Row],
    existing: Vec<Recorded>,
) -> Result<(AppendView, Revision)> {
    let mut sequences = HashMap::with_capacity(heads.len());
    for row in heads {
        sequences.insert(TenantNo(row.try_get(0)?), Sequence(unsigned(row.try_get(1)?)?));
    }
    let view = AppendView {
        partition,
        position: Position(unsigned(locked.try_get(0)?)?),
        recorded_at: Timestamp::from_micros(locked.try_get(1)?),
        sequences,
        existing: existing.into_iter().map(known).collect(),
    };
    Ok((view, Revision(unsigned(locked.try_get(2)?)?)))
}

fn known(recorded: Recorded) -> ((TenantNo, EventId), Existing) {
    let key = (recorded.tenant_no, recorded.event.id.clone());
    (key, Existing { sequence: recorded.sequence, event: recorded.event })
}

/// Rows turned into one array for each column.
#[derive(Default)]
pub(super) struct Columns<'a> {
    numbers: [Vec<i64>; 5],
    texts: [Vec<&'a str>; 5],
    optional: [Vec<Option<&'a str>>; 9],
    salts: Vec<&'a [u8]>,
    digests: Vec<&'a [u8]>,
    datas: Vec<&'a str>,
}

impl<'a> Columns<'a> {
    pub(super) fn of(rows: &'a [Recorded]) -> Result<Self> {
        let mut columns = Self::default();
        for row in rows {
            let event = &row.event;
            let (entity, context) = (event.entity.as_ref(), event.metadata.context.as_ref());
            let numbers = [
                signed(row.position.get()),
                row.tenant_no.get(),
                signed(row.sequence.get()),
                event.timestamp.as_micros(),
                row.recorded_at.as_micros(),
            ];
            let texts = [
                event.id.as_str(),
                event.event_type.as_str(),
                event.version.as_str(),
                event.source.kind.as_str(),
                event.source.id.as_str(),
            ];
            let optional = [
                event.project.as_ref().map(AsRef::as_ref),
                entity.map(|entity| entity.kind.as_str()),
                entity.map(|entity| entity.id.as_str()),
                event.actor.as_ref().map(AsRef::as_ref),
                correlation_column(event),
                event.metadata.causation_id.as_ref().map(AsRef::as_ref),
                context.map(|context| context.kind.as_str()),
                context.map(|context| context.id.as_str()),
                event.metadata.traceparent.as_ref().map(AsRef::as_ref),
            ];
            columns.numbers.iter_mut().zip(numbers).for_each(|(column, value)| column.push(value));
            columns.texts.iter_mut().zip(texts).for_each(|(column, value)| column.push(value));
            columns.optional.iter_mut().zip(optional).for_each(|(column, value)| column.push(value));
            columns.salts.push(&row.salt.0);
            columns.digests.push(&row.digest.0);
            columns.datas.push(std::str::from_utf8(event.data.as_bytes()).map_err(|_| corrupt("data"))?);
        }
        Ok(columns)
    }

    /// In the order of the statement's parameters.
    pub(super) fn into_params(self, partition: i32) -> Vec<Param<'a>> {
        let [position, tenant_no, sequence, timestamp, recorded_at] = self.numbers;
        let [event_id, event_type, version, source_kind, source_id] = self.texts;
        let [project, entity_kind, entity_id, actor, correlation, causation, context_kind, context_id, trace] =
            self.optional;
        params![
            partition,
            position,
            tenant_no,
            sequence,
            event_id,
            event_type,
            version,
            timestamp,
            recorded_at,
            project,
            source_kind,
            source_id,
            entity_kind,
            entity_id,
            actor,
            correlation,
            causation,
            context_kind,
            context_id,
            trace,
            self.salts,
            self.digests,
            self.datas,
        ]
    }
}
