//! Reading the log.

use rusqlite::{Connection, OptionalExtension, Row, params};
use tidings_event::{EventId, PartitionId, Position, Recorded, Revision, Sequence, TenantId, TenantNo, Timestamp};

use super::append::{ADDRESS_OF_ID, POSITION_BITS, address};
use crate::names::Names;
use crate::row::{Budget, Decoder, Raw, corrupt, signed, unsigned};
use crate::{Error, FeedSlice, Head, ReadLimit, Result, TailSlice};

/// The columns of a row in the order in which [`raw`] takes them.
macro_rules! columns {
    () => {
        "address, tenant_no, sequence, event_id, type, version, timestamp, recorded_at, project, source_kind, \
         source_id, entity_kind, entity_id, actor, correlation_id, causation_id, context_kind, context_id, \
         traceparent, salt, digest, data"
    };
}

pub(super) const AT_ADDRESS: &str = concat!("SELECT ", columns!(), " FROM events WHERE address = ?1");
pub(super) const TAIL: &str =
    concat!("SELECT ", columns!(), " FROM events WHERE address > ?1 AND address <= ?2 ORDER BY address LIMIT ?3");
pub(super) const FEED: &str =
    concat!("SELECT ", columns!(), " FROM events WHERE tenant_no = ?1 AND sequence > ?2 ORDER BY sequence LIMIT ?3");
pub(super) const TENANT_BOUNDS: &str = "SELECT sequence, floor FROM tenants WHERE no = ?1";
pub(super) const TENANT_NAME: &str = "SELECT name FROM tenants WHERE no = ?1";
pub(super) const REVISION: &str = "SELECT revision FROM partitions WHERE id = ?1";
pub(super) const MOVES: &str = "SELECT moves FROM partitions WHERE id = ?1";
pub(super) const HEADS: &str = "SELECT position, revision, moves FROM partitions ORDER BY id";
/// A binary search: `recorded_at` never falls along a tenant's sequences, because it never falls along positions.
pub(super) const SEQUENCE_BEFORE: &str = "\
    WITH RECURSIVE bounds (low, high) AS ( \
        SELECT floor, sequence FROM tenants WHERE no = ?1 \
        UNION ALL \
        SELECT CASE WHEN recorded_at < ?2 THEN sequence ELSE low END, \
               CASE WHEN recorded_at < ?2 THEN high ELSE sequence - 1 END \
        FROM bounds JOIN events ON tenant_no = ?1 AND sequence = (low + high + 1) / 2 WHERE low < high \
    ) SELECT low FROM bounds WHERE low >= high";

/// Reads rows on one connection and turns them into events.
pub(super) struct Reader<'a> {
    connection: &'a Connection,
    names: &'a Names,
    decoder: Decoder,
    last: Option<(TenantNo, TenantId)>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(connection: &'a Connection, names: &'a Names) -> Self {
        Self { connection, names, decoder: Decoder::default(), last: None }
    }

    /// The event at an address that the same transaction found.
    pub(super) fn at(&mut self, address: i64) -> Result<Recorded> {
        let connection = self.connection;
        let mut statement = connection.prepare_cached(AT_ADDRESS)?;
        let mut rows = statement.query([address])?;
        let row = rows.next()?.ok_or_else(|| corrupt("address"))?;
        self.decode(row)
    }

    pub(super) fn decode(&mut self, row: &Row<'_>) -> Result<Recorded> {
        let raw = raw(row)?;
        let tenant = self.name(raw.tenant_no)?;
        self.decoder.recorded(&raw, tenant)
    }

    fn name(&mut self, no: TenantNo) -> Result<TenantId> {
        if let Some((last, name)) = &self.last
            && *last == no
        {
            return Ok(name.clone());
        }
        let name = match self.names.get(no) {
            Some(name) => name,
            None => {
                let found: Option<String> =
                    self.connection.prepare_cached(TENANT_NAME)?.query_row([no.get()], |row| row.get(0)).optional()?;
                let name = TenantId::trusted(found.ok_or_else(|| corrupt("tenant_no"))?);
                self.names.put(no, &name);
                name
            }
        };
        self.last = Some((no, name.clone()));
        Ok(name)
    }
}

fn raw<'a>(row: &'a Row<'_>) -> Result<Raw<'a>> {
    let text = |index: usize| -> Result<&'a str> { row.get_ref(index)?.as_str().map_err(|_| corrupt("a text")) };
    let optional = |index: usize| -> Result<Option<&'a str>> {
        row.get_ref(index)?.as_str_or_null().map_err(|_| corrupt("a text"))
    };
    let address: i64 = row.get(0)?;
    let pair = |first: usize| -> Result<Option<(&'a str, &'a str)>> { Ok(optional(first)?.zip(optional(first + 1)?)) };
    Ok(Raw {
        partition: PartitionId(u32::try_from(address >> POSITION_BITS).map_err(|_| corrupt("address"))?),
        position: Position(unsigned(address & ((1 << POSITION_BITS) - 1))?),
        tenant_no: TenantNo(row.get(1)?),
        sequence: Sequence(unsigned(row.get(2)?)?),
        event_id: text(3)?,
        event_type: text(4)?,
        version: text(5)?,
        timestamp: row.get(6)?,
        recorded_at: row.get(7)?,
        project: optional(8)?,
        source_kind: text(9)?,
        source_id: text(10)?,
        entity: pair(11)?,
        actor: optional(13)?,
        correlation_id: optional(14)?,
        causation_id: optional(15)?,
        context: pair(16)?,
        traceparent: optional(18)?,
        salt: row.get_ref(19)?.as_blob_or_null().map_err(|_| corrupt("salt"))?,
        digest: row.get_ref(20)?.as_blob().map_err(|_| corrupt("digest"))?,
        data: row.get_ref(21)?.as_bytes_or_null().map_err(|_| corrupt("data"))?,
    })
}

/// Rows of a statement until the limit is met.
fn take(reader: &mut Reader<'_>, mut rows: rusqlite::Rows<'_>, limit: ReadLimit) -> Result<Vec<Recorded>> {
    let mut budget = Budget::new(limit);
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        let event = reader.decode(row)?;
        if !budget.take(event.event.data.as_bytes().len()) {
            break;
        }
        events.push(event);
    }
    Ok(events)
}

fn row_limit(limit: ReadLimit) -> i64 {
    i64::try_from(limit.events.max(1)).unwrap_or(i64::MAX)
}

pub(super) fn tail(
    connection: &Connection,
    names: &Names,
    partition: PartitionId,
    after: Position,
    limit: ReadLimit,
) -> Result<TailSlice> {
    // One transaction, so that the revision is of the moment of the rows.
    let transaction = connection.unchecked_transaction()?;
    let events = {
        let end = address(partition, Position(u64::MAX));
        let mut statement = transaction.prepare_cached(TAIL)?;
        let rows = statement.query(params![address(partition, after), end, row_limit(limit)])?;
        take(&mut Reader::new(&transaction, names), rows, limit)?
    };
    let revision = revision(&transaction, partition)?;
    transaction.commit()?;
    Ok(TailSlice { events, revision })
}

pub(super) fn revision(connection: &Connection, partition: PartitionId) -> Result<Revision> {
    let found: Option<i64> =
        connection.prepare_cached(REVISION)?.query_row([partition.get()], |row| row.get(0)).optional()?;
    let found = found.ok_or_else(|| Error::Broken(format!("there is no partition {partition}")))?;
    Ok(Revision(unsigned(found)?))
}

pub(super) fn moves(connection: &Connection, partition: PartitionId) -> Result<u64> {
    let found: Option<i64> =
        connection.prepare_cached(MOVES)?.query_row([partition.get()], |row| row.get(0)).optional()?;
    unsigned(found.unwrap_or(0))
}

pub(super) fn heads(connection: &Connection) -> Result<Vec<Head>> {
    let mut statement = connection.prepare_cached(HEADS)?;
    let mut rows = statement.query([])?;
    let mut heads = Vec::new();
    while let Some(row) = rows.next()? {
        let (position, revision) = (Position(unsigned(row.get(0)?)?), Revision(unsigned(row.get(1)?)?));
        heads.push(Head { position, revision, moves: unsigned(row.get(2)?)? });
    }
    Ok(heads)
}

pub(super) fn feed(
    connection: &Connection,
    names: &Names,
    tenant: TenantNo,
    after: Sequence,
    limit: ReadLimit,
) -> Result<FeedSlice> {
    // One transaction, so that the head, the floor and the events are of one moment.
    let transaction = connection.unchecked_transaction()?;
    let bounds: Option<(i64, i64)> = transaction
        .prepare_cached(TENANT_BOUNDS)?
        .query_row([tenant.get()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (head, floor) = bounds.unwrap_or_default();
    let mut slice =
        FeedSlice { events: Vec::new(), head: Sequence(unsigned(head)?), floor: Sequence(unsigned(floor)?) };
    // What was erased cannot be read, and what comes after it would not follow what was asked for.
    if after < slice.head && after >= slice.floor {
        let mut statement = transaction.prepare_cached(FEED)?;
        let rows = statement.query(params![tenant.get(), signed(after.get()), row_limit(limit)])?;
        slice.events = take(&mut Reader::new(&transaction, names), rows, limit)?;
    }
    transaction.commit()?;
    Ok(slice)
}

pub(super) fn sequence_before(connection: &Connection, tenant: TenantNo, moment: Timestamp) -> Result<Sequence> {
    let found: Option<i64> = connection
        .prepare_cached(SEQUENCE_BEFORE)?
        .query_row(params![tenant.get(), moment.as_micros()], |row| row.get(0))
        .optional()?;
    Ok(Sequence(unsigned(found.unwrap_or(0))?))
}

pub(super) fn event(
    connection: &Connection,
    names: &Names,
    tenant: TenantNo,
    id: &EventId,
) -> Result<Option<Recorded>> {
    let transaction = connection.unchecked_transaction()?;
    let address: Option<i64> = transaction
        .prepare_cached(ADDRESS_OF_ID)?
        .query_row(params![tenant.get(), id.as_str()], |row| row.get(0))
        .optional()?;
    let found = match address {
        Some(address) => Some(Reader::new(&transaction, names).at(address)?),
        None => None,
    };
    transaction.commit()?;
    Ok(found)
}
