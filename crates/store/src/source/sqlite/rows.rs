//! The statements on `tidings_outbox`. Each write is a short transaction of its own: producers write too.

use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};
use tidings_event::{EventId, Timestamp};
use tidings_outbox::{IntentOutcome, rusqlite as outbox, same_content, sql};

use super::{Result as SourceResult, classify, from_outbox};
use crate::source::{Intent, IntentAnswer, OutboxRow, OutboxStatus, Refused};

type Result<T> = rusqlite::Result<T>;

/// Rows changed in one transaction at most.
const WRITE_ROWS_MAX: usize = 500;

const READ: &str = "\
select id, source_key, event, created_at from tidings_outbox \
where state = 'confirmed' and error is null and id >= ?1 order by id limit ?2";
const WAITING_BEFORE: &str =
    "select count(*) from tidings_outbox where state = 'confirmed' and error is null and id < ?1";
const DELETE: &str = "delete from tidings_outbox where id = ?1 and state = 'confirmed'";
const REFUSE: &str =
    "update tidings_outbox set attempts = attempts + 1, error = ?2 where id = ?1 and state = 'confirmed'";
const REFUSED: &str = "\
select id, source_key, event, created_at, attempts, error from tidings_outbox \
where state = 'confirmed' and error is not null and id > ?1 order by id limit ?2";
const RETRY: &str = "\
update tidings_outbox set error = null, event = coalesce(?2, event) \
where id = ?1 and state = 'confirmed' and error is not null";
const DISCARD_REFUSED: &str = "delete from tidings_outbox where id = ?1 and state = 'confirmed' and error is not null";
const ROW: &str = "select id, source_key, event, created_at from tidings_outbox where source_key = ?1";
// A created_at that is no moment counts as long ago: a row that someone wrote by hand must not stay for ever.
const STALE_INTENTS: &str = "\
select id, source_key, event, created_at, attempts, coalesce(probe, '{}') from tidings_outbox \
where state = 'intent' and id > ?1 \
and coalesce((julianday('now') - julianday(created_at)) * 86400.0, 1e99) >= \
case when json_type(probe, '$.stale_after_s') in ('integer', 'real') \
then max(0, json_extract(probe, '$.stale_after_s')) else ?2 end \
order by id limit ?3";
const COUNT_UNRESOLVED: &str = "\
update tidings_outbox set attempts = attempts + 1, error = ?2 where id = ?1 and state = 'intent' returning attempts";
const STATUS: &str = "\
select (select version from tidings_outbox_meta), \
(select count(*) from tidings_outbox where state = 'confirmed' and error is null), \
(select created_at from tidings_outbox where state = 'confirmed' and error is null order by id limit 1), \
(select count(*) from tidings_outbox where state = 'intent'), \
(select count(*) from tidings_outbox where state = 'confirmed' and error is not null)";
const CLOCK: &str = "select strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";

pub(super) fn read(connection: &Connection, floor: i64, limit: usize, bytes: usize) -> Result<Vec<OutboxRow>> {
    let mut statement = connection.prepare_cached(READ)?;
    let mut rows = statement.query((floor, count(limit)))?;
    let (mut found, mut size) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let row = outbox_row(row)?;
        size += row.event.len();
        found.push(row);
        if size >= bytes {
            break;
        }
    }
    Ok(found)
}

pub(super) fn waiting_before(connection: &Connection, id: i64) -> Result<u64> {
    let count: i64 = connection.prepare_cached(WAITING_BEFORE)?.query_row([id], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

pub(super) fn delete(connection: &mut Connection, ids: &[i64]) -> Result<()> {
    in_pieces(connection, ids, DELETE, |statement, id| statement.execute([id]))
}

pub(super) fn refuse(connection: &mut Connection, refused: &[(i64, String)]) -> Result<()> {
    in_pieces(connection, refused, REFUSE, |statement, (id, error)| statement.execute(params![id, error]))
}

pub(super) fn refused(connection: &Connection, after: i64, limit: usize) -> Result<Vec<Refused>> {
    let mut statement = connection.prepare_cached(REFUSED)?;
    let rows = statement.query_map((after, count(limit)), |row| {
        Ok(Refused { row: outbox_row(row)?, attempts: row.get(4)?, error: row.get(5)? })
    })?;
    rows.collect()
}

pub(super) fn retry(connection: &Connection, id: i64, event: Option<&str>) -> Result<bool> {
    Ok(connection.prepare_cached(RETRY)?.execute((id, event))? == 1)
}

pub(super) fn discard_refused(connection: &Connection, id: i64) -> Result<bool> {
    Ok(connection.prepare_cached(DISCARD_REFUSED)?.execute([id])? == 1)
}

pub(super) fn append_intent(
    connection: &mut Connection,
    key: &EventId,
    event: &str,
    probe: Option<&str>,
) -> Result<bool> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let inserted = tx.prepare_cached(sql::sqlite::APPEND_INTENT)?.execute((key.as_str(), event, probe))? == 1;
    let same = inserted || {
        let mut statement = tx.prepare_cached(sql::sqlite::STORED)?;
        let stored: Option<String> = statement.query_row([key.as_str()], |row| row.get(0)).optional()?;
        stored.is_some_and(|stored| same_content(&stored, event))
    };
    tx.commit()?;
    Ok(same)
}

pub(super) fn row(connection: &Connection, key: &EventId) -> Result<Option<OutboxRow>> {
    connection.prepare_cached(ROW)?.query_row([key.as_str()], outbox_row).optional()
}

pub(super) fn resolve(connection: &mut Connection, key: &EventId, confirm: bool) -> SourceResult<IntentAnswer> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(|error| classify(&error))?;
    let outcome = if confirm { outbox::confirm_intent(&tx, key) } else { outbox::discard_intent(&tx, key) };
    let outcome = outcome.map_err(from_outbox)?;
    tx.commit().map_err(|error| classify(&error))?;
    Ok(match outcome {
        IntentOutcome::Done => IntentAnswer::Done,
        IntentOutcome::AlreadyConfirmed => IntentAnswer::AlreadyConfirmed,
        IntentOutcome::Absent => IntentAnswer::Absent,
    })
}

pub(super) fn stale_intents(
    connection: &Connection,
    after: i64,
    default_stale_s: u32,
    limit: usize,
) -> Result<Vec<Intent>> {
    let mut statement = connection.prepare_cached(STALE_INTENTS)?;
    let rows = statement.query_map((after, default_stale_s, count(limit)), |row| {
        let OutboxRow { id, source_key, event, created_at } = outbox_row(row)?;
        Ok(Intent { id, source_key, event, probe: bytes(row, 5)?, created_at, attempts: row.get(4)? })
    })?;
    rows.collect()
}

pub(super) fn count_unresolved(connection: &Connection, id: i64, reason: &str) -> Result<u32> {
    let mut statement = connection.prepare_cached(COUNT_UNRESOLVED)?;
    Ok(statement.query_row((id, reason), |row| row.get(0)).optional()?.unwrap_or(0))
}

pub(super) fn status(connection: &Connection) -> Result<OutboxStatus> {
    connection.prepare_cached(STATUS)?.query_row([], |row| {
        let oldest: Option<String> = row.get(2)?;
        Ok(OutboxStatus {
            version: row.get(0)?,
            pending: number(row, 1)?,
            oldest_pending: oldest.as_deref().map(moment),
            intents: number(row, 3)?,
            refused: number(row, 4)?,
        })
    })
}

pub(super) fn clock(connection: &Connection) -> Result<Timestamp> {
    connection.query_row(CLOCK, [], |row| row.get(0)).map(|text: String| moment(&text))
}

/// Runs a statement for each item, in transactions of bounded size.
fn in_pieces<T>(
    connection: &mut Connection,
    items: &[T],
    sql: &str,
    mut each: impl FnMut(&mut rusqlite::CachedStatement<'_>, &T) -> Result<usize>,
) -> Result<()> {
    for piece in items.chunks(WRITE_ROWS_MAX) {
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut statement = tx.prepare_cached(sql)?;
        for item in piece {
            each(&mut statement, item)?;
        }
        drop(statement);
        tx.commit()?;
    }
    Ok(())
}

/// The first four columns of a statement.
fn outbox_row(row: &Row<'_>) -> Result<OutboxRow> {
    let created_at: String = row.get(3)?;
    Ok(OutboxRow { id: row.get(0)?, source_key: row.get(1)?, event: bytes(row, 2)?, created_at: moment(&created_at) })
}

fn number(row: &Row<'_>, column: usize) -> Result<u64> {
    row.get(column).map(i64::unsigned_abs)
}

fn bytes(row: &Row<'_>, column: usize) -> Result<Vec<u8>> {
    Ok(row.get_ref(column)?.as_bytes()?.to_vec())
}

/// A moment that someone wrote by hand and that is none must not hold the row up: it counts as long ago.
fn moment(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap_or_else(|_| Timestamp::from_micros(0))
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
