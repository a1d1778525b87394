//! The one way into the log.

use std::collections::HashMap;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, OptionalExtension, ToSql, params};
use tidings_event::log::{AppendKeys, AppendPlan, AppendView, ENTITY_LOOK_BACK, EntityKey, Existing, Newest};
use tidings_event::{EventId, PartitionId, Position, Recorded, Revision, Sequence, TenantNo, Timestamp};

use super::connection::commit;
use super::read::Reader;
use super::writer::Caller;
use crate::entries;
use crate::names::Names;
use crate::plan::{Before, Heads, check_places};
use crate::row::{correlation_column, corrupt, signed, unsigned};
use crate::{Append, Appended, Decide, Error, Result};

pub(super) const BEGIN: &str = "BEGIN IMMEDIATE";
pub(super) const PARTITION_HEAD: &str = "SELECT position, recorded_at, revision FROM partitions WHERE id = ?1";
pub(super) const TENANT_HEAD: &str = "SELECT sequence FROM tenants WHERE no = ?1 AND partition = ?2";
pub(super) const ADDRESS_OF_ID: &str = "SELECT address FROM events WHERE tenant_no = ?1 AND event_id = ?2";
/// The types that lie behind an entity, newest first.
pub(super) const NEWEST_OF_ENTITY: &str = "\
    SELECT type, address FROM events INDEXED BY events_by_entity \
    WHERE tenant_no = ?1 AND entity_kind = ?2 AND entity_id = ?3 ORDER BY sequence DESC LIMIT ?4";
pub(super) const INSERT_MARK: &str =
    "INSERT INTO marks (tenant_no, sequence, type, version, reasons) VALUES (?1, ?2, ?3, ?4, ?5)";
pub(super) const INSERT_EVENT: &str = "\
    INSERT INTO events (address, tenant_no, sequence, event_id, type, version, timestamp, recorded_at, project, \
    source_kind, source_id, entity_kind, entity_id, actor, correlation_id, causation_id, context_kind, context_id, \
    traceparent, salt, digest, data) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)";
pub(super) const ADVANCE_PARTITION: &str = "UPDATE partitions SET position = ?2, recorded_at = ?3 WHERE id = ?1";
pub(super) const ADVANCE_TENANT: &str = "UPDATE tenants SET sequence = ?2 WHERE no = ?1";

/// Bits of a row's address that hold its position.
pub(super) const POSITION_BITS: u32 = 48;

/// Where a row lies in the table.
pub(super) fn address(partition: PartitionId, position: Position) -> i64 {
    (i64::from(partition.get()) << POSITION_BITS) | signed(position.get()).min((1 << POSITION_BITS) - 1)
}

/// One append: lock, look, decide, write, commit. The caller rolls back what an error leaves open.
pub(super) fn append(
    connection: &mut Connection,
    names: &Names,
    partition: PartitionId,
    keys: AppendKeys,
    decide: Decide,
    caller: Caller<'_>,
) -> Result<Appended> {
    connection.prepare_cached(BEGIN)?.execute([])?;
    let appended = write(connection, names, Append { partition, keys, decide })?;
    if appended.plan.rows.is_empty() {
        connection.execute_batch("ROLLBACK")?;
        return Ok(appended);
    }
    if !caller() {
        return Err(Error::unavailable("the caller went away, so nothing was written"));
    }
    commit(connection)?;
    Ok(appended)
}

/// Looks, decides and writes inside the caller's transaction.
pub(super) fn write(connection: &Connection, names: &Names, append: Append) -> Result<Appended> {
    let Append { partition, keys, decide } = append;
    let (view, revision) = view(connection, names, partition, &keys)?;
    check_places(&keys, &view)?;
    let before = Before::of(&view);
    let plan = decide(view);
    let heads = before.advance(&plan)?;
    if !plan.rows.is_empty() {
        let mut insert = connection.prepare_cached(INSERT_EVENT)?;
        for row in &plan.rows {
            bind(&mut insert, row)?;
            insert.raw_execute()?;
        }
        mark(connection, &plan)?;
        advance(connection, partition, &heads)?;
    }
    Ok(Appended { partition, plan, revision })
}

fn view(
    connection: &Connection,
    names: &Names,
    partition: PartitionId,
    keys: &AppendKeys,
) -> Result<(AppendView, Revision)> {
    let (position, recorded_at, revision): (i64, i64, i64) = connection
        .prepare_cached(PARTITION_HEAD)?
        .query_row([partition.get()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?
        .ok_or_else(|| Error::Broken(format!("there is no partition {partition}")))?;
    let mut sequences = HashMap::with_capacity(keys.tenants.len());
    let mut head = connection.prepare_cached(TENANT_HEAD)?;
    for tenant in &keys.tenants {
        let found: Option<i64> = head.query_row(params![tenant.get(), partition.get()], |row| row.get(0)).optional()?;
        if let Some(sequence) = found {
            sequences.insert(*tenant, Sequence(unsigned(sequence)?));
        }
    }
    let view = AppendView {
        partition,
        position: Position(unsigned(position)?),
        recorded_at: Timestamp::from_micros(recorded_at),
        sequences,
        existing: existing(connection, names, &keys.ids)?,
        newest: newest(connection, names, &keys.entities)?,
    };
    Ok((view, Revision(unsigned(revision)?)))
}

/// Which of the ids are taken, and by what. A miss costs one look into the index, no row is read.
fn existing(
    connection: &Connection,
    names: &Names,
    ids: &[(TenantNo, EventId)],
) -> Result<HashMap<(TenantNo, EventId), Existing>> {
    let mut found = HashMap::new();
    let mut look = connection.prepare_cached(ADDRESS_OF_ID)?;
    let mut reader = Reader::new(connection, names);
    for (tenant, id) in ids {
        look.raw_bind_parameter(1, tenant.get())?;
        look.raw_bind_parameter(2, id.as_str())?;
        let address: Option<i64> = match look.raw_query().next()? {
            Some(row) => Some(row.get(0)?),
            None => None,
        };
        if let Some(address) = address {
            let recorded = reader.at(address)?;
            found.insert((*tenant, id.clone()), Existing { sequence: recorded.sequence, event: recorded.event });
        }
    }
    Ok(found)
}

/// The newest event of each entity that is of the types asked for; nothing of one that has none.
fn newest(connection: &Connection, names: &Names, entities: &[EntityKey]) -> Result<HashMap<EntityKey, Newest>> {
    let mut found = HashMap::with_capacity(entities.len());
    if entities.is_empty() {
        return Ok(found);
    }
    let mut look = connection.prepare_cached(NEWEST_OF_ENTITY)?;
    let mut reader = Reader::new(connection, names);
    let look_back = i64::try_from(ENTITY_LOOK_BACK).unwrap_or(i64::MAX);
    for key in entities {
        let entity = params![key.tenant.get(), key.entity.kind.as_str(), key.entity.id.as_str(), look_back];
        let mut rows = look.query(entity)?;
        let (mut looked_at, mut address) = (0, None);
        while let Some(row) = rows.next()? {
            looked_at += 1;
            let name = row.get_ref(0)?.as_str().map_err(|_| corrupt("type"))?;
            if key.types.iter().any(|wanted| wanted.as_str() == name) {
                address = Some(row.get(1)?);
                break;
            }
        }
        if let Some(address) = address {
            found.insert(key.clone(), Newest::Event(Box::new(reader.at(address)?.event)));
        } else if looked_at == ENTITY_LOOK_BACK {
            found.insert(key.clone(), Newest::Unknown);
        }
    }
    Ok(found)
}

fn mark(connection: &Connection, plan: &AppendPlan) -> Result<()> {
    for (row, mark) in entries::marked(plan) {
        connection.prepare_cached(INSERT_MARK)?.execute(params![
            row.tenant_no.get(),
            signed(row.sequence.get()),
            row.event.event_type.as_str(),
            row.event.version.as_str(),
            entries::reasons(&mark.violations)?,
        ])?;
    }
    Ok(())
}

fn advance(connection: &Connection, partition: PartitionId, heads: &Heads) -> Result<()> {
    connection.prepare_cached(ADVANCE_PARTITION)?.execute(params![
        partition.get(),
        signed(heads.position.get()),
        heads.recorded_at.as_micros()
    ])?;
    let mut tenant = connection.prepare_cached(ADVANCE_TENANT)?;
    for (no, sequence) in &heads.sequences {
        tenant.execute(params![no.get(), signed(sequence.get())])?;
    }
    Ok(())
}

/// JSON text that was checked when it was parsed, bound without checking it again.
struct Json<'a>(&'a [u8]);

impl ToSql for Json<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0)))
    }
}

fn bind(insert: &mut CachedStatement<'_>, row: &Recorded) -> Result<()> {
    let event = &row.event;
    let entity = event.entity.as_ref();
    let context = event.metadata.context.as_ref();
    insert.raw_bind_parameter(1, address(row.partition, row.position))?;
    insert.raw_bind_parameter(2, row.tenant_no.get())?;
    insert.raw_bind_parameter(3, signed(row.sequence.get()))?;
    insert.raw_bind_parameter(4, event.id.as_str())?;
    insert.raw_bind_parameter(5, event.event_type.as_str())?;
    insert.raw_bind_parameter(6, event.version.as_str())?;
    insert.raw_bind_parameter(7, event.timestamp.as_micros())?;
    insert.raw_bind_parameter(8, row.recorded_at.as_micros())?;
    insert.raw_bind_parameter(9, event.project.as_ref().map(AsRef::<str>::as_ref))?;
    insert.raw_bind_parameter(10, event.source.kind.as_str())?;
    insert.raw_bind_parameter(11, event.source.id.as_str())?;
    insert.raw_bind_parameter(12, entity.map(|entity| entity.kind.as_str()))?;
    insert.raw_bind_parameter(13, entity.map(|entity| entity.id.as_str()))?;
    insert.raw_bind_parameter(14, event.actor.as_ref().map(AsRef::<str>::as_ref))?;
    insert.raw_bind_parameter(15, correlation_column(event))?;
    insert.raw_bind_parameter(16, event.metadata.causation_id.as_ref().map(AsRef::<str>::as_ref))?;
    insert.raw_bind_parameter(17, context.map(|context| context.kind.as_str()))?;
    insert.raw_bind_parameter(18, context.map(|context| context.id.as_str()))?;
    insert.raw_bind_parameter(19, event.metadata.traceparent.as_ref().map(AsRef::<str>::as_ref))?;
    insert.raw_bind_parameter(20, &row.salt.0[..])?;
    insert.raw_bind_parameter(21, &row.digest.0[..])?;
    insert.raw_bind_parameter(22, Json(event.data.as_bytes()))?;
    Ok(())
}
