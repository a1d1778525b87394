//! The one way into the log, in two flights: what must be known goes out as one, what is written as the other.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;

use futures_util::SinkExt;
use futures_util::future::join;
use tidings_event::log::{AppendKeys, AppendPlan, AppendView, ENTITY_LOOK_BACK, EntityKey, Existing, Newest};
use tidings_event::{EventId, EventType, PartitionId, Position, Recorded, Revision, Sequence, TenantNo, Timestamp};
use tokio::sync::oneshot;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::failure::of_commit;
use super::flight::{Param, params};
use super::pool::{Connections, Lease};
use super::pooled::Prepared;
use super::read::{columns, decode, number};
use crate::entries;
use crate::names::Names;
use crate::plan::{Before, Heads, check_places};
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
/// For each entity the newest of its last events that is of the types (joined by commas), or else the last that was
/// looked at, where that are as many as are looked at. The scan ends at the first hit.
pub(super) const NEWEST: &str = concat!(
    "SELECT ",
    columns!(),
    ", wanted.at, found.hit \
      FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) \
      WITH ORDINALITY wanted (tenant_no, entity_kind, entity_id, types, at) \
      CROSS JOIN LATERAL (SELECT sequence, hit FROM ( \
          SELECT entity_kind, entity_id, sequence, type = ANY (string_to_array(wanted.types, ',')) AS hit, \
          row_number() OVER (ORDER BY entity_kind DESC, entity_id DESC, sequence DESC) AS looked_at \
          FROM tidings.events WHERE tenant_no = wanted.tenant_no AND entity_kind IS NOT NULL \
          AND (entity_kind, entity_id, sequence) > \
              (wanted.entity_kind COLLATE \"C\", wanted.entity_id COLLATE \"C\", 0) \
          AND (entity_kind, entity_id, sequence) < \
              (wanted.entity_kind COLLATE \"C\", wanted.entity_id COLLATE \"C\", 9223372036854775807) \
          ORDER BY entity_kind DESC, entity_id DESC, sequence DESC LIMIT $5) one \
      WHERE hit OR looked_at = $5 ORDER BY entity_kind DESC, entity_id DESC, sequence DESC LIMIT 1) found \
      LEFT JOIN LATERAL (SELECT * FROM tidings.events WHERE tenant_no = wanted.tenant_no \
      AND sequence >= found.sequence AND sequence <= found.sequence ORDER BY sequence LIMIT 1) e ON found.hit"
);
pub(super) const INSERT_MARKS: &str = "\
    INSERT INTO tidings.marks (tenant_no, sequence, type, version, reasons) \
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[])";
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
    lock: Prepared,
    tenant_heads: Prepared,
    existing: Prepared,
    newest: Prepared,
    insert: Prepared,
    insert_marks: Prepared,
    copy: Prepared,
    advance_partition: Prepared,
    advance_tenants: Prepared,
}

impl Statements {
    async fn of(lease: &Lease) -> Result<Self> {
        Ok(Self {
            lock: lease.prepare_cached(LOCK).await?,
            tenant_heads: lease.prepare_cached(TENANT_HEADS).await?,
            existing: lease.prepare_cached(EXISTING).await?,
            newest: lease.prepare_cached(NEWEST).await?,
            insert: lease.prepare_cached(INSERT).await?,
            insert_marks: lease.prepare_cached(INSERT_MARKS).await?,
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
        check_places(self.keys, &view)?;
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
        self.write(lease, &statements, &plan, &heads).await?;
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
        let entities = entities(&self.keys.entities);
        let newest = async {
            if self.keys.entities.is_empty() {
                return Ok(Vec::new());
            }
            let params: Vec<&(dyn ToSql + Sync)> =
                entities.iter().map(|param| &**param as &(dyn ToSql + Sync)).collect();
            lease.rows(&statements.newest, &params).await
        };
        // Futures are sent in the order in which they are first polled, which is the order in which they stand here.
        let (begun, locked, heads, existing, newest) = futures_util::join!(
            lease.batch_execute("BEGIN"),
            lease.query_opt(&statements.lock, &head_of),
            lease.rows(&statements.tenant_heads, &heads_of),
            lease.rows(&statements.existing, &present),
            newest,
        );
        begun?;
        let locked = locked?.ok_or_else(|| Error::Broken(format!("there is no partition {}", self.partition)))?;
        let existing = decode(lease, self.names, &existing?).await?;
        let (mut view, revision) = view(self.partition, &locked, &heads?, existing)?;
        view.newest = newest_of(lease, self.names, &self.keys.entities, &newest?).await?;
        Ok((view, revision))
    }

    /// The second flight. The commit goes out with the rest: where a statement before it failed, the server turns it
    /// into a rollback, and the failure is what is reported.
    async fn write(&self, lease: &Lease, statements: &Statements, plan: &AppendPlan, heads: &Heads) -> Result<()> {
        let rows = &plan.rows[..];
        let (nos, sequences): (Vec<i64>, Vec<i64>) =
            heads.sequences.iter().map(|(no, sequence)| (no.get(), signed(sequence.get()))).unzip();
        let (partition, position) = (number(self.partition)?, signed(heads.position.get()));
        let recorded_at = heads.recorded_at.as_micros();
        let advance_partition: [&(dyn ToSql + Sync); 3] = [&partition, &position, &recorded_at];
        let advance_tenants: [&(dyn ToSql + Sync); 2] = [&nos, &sequences];
        let marks = marks(plan)?;
        let insert_marks = async || {
            if plan.marks.is_empty() {
                return Ok(0);
            }
            let params: Vec<&(dyn ToSql + Sync)> = marks.iter().map(|param| &**param as &(dyn ToSql + Sync)).collect();
            lease.execute(&statements.insert_marks, &params).await
        };
        let close = async || {
            futures_util::join!(
                insert_marks(),
                lease.execute(&statements.advance_partition, &advance_partition),
                lease.execute(&statements.advance_tenants, &advance_tenants),
                lease.batch_execute("COMMIT"),
            )
        };
        let (written, (marked, partition_head, tenant_heads, committed)) = if rows.len() < COPY_ROWS_MIN {
            let params = Columns::of(rows)?.into_params(partition);
            let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|param| &**param as &(dyn ToSql + Sync)).collect();
            join(lease.execute(&statements.insert, &params), close()).await
        } else {
            // Until the copy was accepted nothing was sent that could commit.
            let sink = lease.copy_in(&statements.copy).await?;
            let mut sink = pin!(sink);
            for chunk in copy::encode(partition, rows)? {
                sink.as_mut().feed(chunk).await?;
            }
            join(sink.finish(), close()).await
        };
        let written = written.map_err(of_commit)?;
        marked.map_err(of_commit)?;
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
        newest: HashMap::new(),
    };
    Ok((view, Revision(unsigned(locked.try_get(2)?)?)))
}

fn known(recorded: Recorded) -> ((TenantNo, EventId), Existing) {
    let key = (recorded.tenant_no, recorded.event.id.clone());
    (key, Existing { sequence: recorded.sequence, event: recorded.event })
}

/// What [`NEWEST`] asks.
pub(super) fn entities(entities: &[EntityKey]) -> Vec<Param<'static>> {
    let texts = |of: fn(&EntityKey) -> String| entities.iter().map(of).collect::<Vec<String>>();
    params![
        entities.iter().map(|key| key.tenant.get()).collect::<Vec<i64>>(),
        texts(|key| key.entity.kind.to_string()),
        texts(|key| key.entity.id.to_string()),
        texts(|key| key.types.iter().map(EventType::as_str).collect::<Vec<_>>().join(",")),
        i64::try_from(ENTITY_LOOK_BACK).unwrap_or(i64::MAX),
    ]
}

/// What [`NEWEST`] found, by what was asked.
pub(super) async fn newest_of(
    lease: &Lease,
    names: &Names,
    asked: &[EntityKey],
    rows: &[Row],
) -> Result<HashMap<EntityKey, Newest>> {
    let mut newest = HashMap::with_capacity(rows.len());
    let (mut hits, mut keys) = (Vec::new(), Vec::new());
    for row in rows {
        let at = usize::try_from(row.try_get::<_, i64>(23)? - 1).ok();
        let key = at.and_then(|at| asked.get(at)).ok_or_else(|| corrupt("at"))?;
        if row.try_get(24)? {
            hits.push(row);
            keys.push(key);
        } else {
            newest.insert(key.clone(), Newest::Unknown);
        }
    }
    let events = decode(lease, names, hits).await?;
    newest.extend(keys.into_iter().cloned().zip(events.into_iter().map(|row| Newest::Event(Box::new(row.event)))));
    Ok(newest)
}

/// The parameters of [`INSERT_MARKS`].
pub(super) fn marks(plan: &AppendPlan) -> Result<Vec<Param<'_>>> {
    let rows: Vec<&Recorded> = entries::marked(plan).map(|(row, _)| row).collect();
    let reasons: Vec<String> =
        entries::marked(plan).map(|(_, mark)| entries::reasons(&mark.violations)).collect::<Result<_>>()?;
    Ok(params![
        rows.iter().map(|row| row.tenant_no.get()).collect::<Vec<i64>>(),
        rows.iter().map(|row| signed(row.sequence.get())).collect::<Vec<i64>>(),
        rows.iter().map(|row| row.event.event_type.as_str()).collect::<Vec<&str>>(),
        rows.iter().map(|row| row.event.version.as_str()).collect::<Vec<&str>>(),
        reasons,
    ])
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
