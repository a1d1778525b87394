//! Who was seen to emit which type.

use rusqlite::{Connection, Row, params};
use tidings_event::{EventType, SourceKind, Text, Timestamp, Version};

use super::append::BEGIN;
use super::connection::commit;
use super::routers::all;
use crate::entries::{BEYOND_TYPES, merged};
use crate::row::{corrupt, signed, unsigned};
use crate::{ObservedRow, Result};

pub(super) const COUNT: &str = "SELECT count(*) FROM observed";
pub(super) const UPDATE: &str = "\
    UPDATE observed SET events = min(events, 9223372036854775807 - ?5) + ?5, first_at = min(first_at, ?6), \
    last_at = max(last_at, ?7) WHERE type = ?1 AND version = ?2 AND source_kind = ?3 AND source_id = ?4";
pub(super) const INSERT: &str = "\
    INSERT INTO observed (type, version, source_kind, source_id, events, first_at, last_at) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
/// Takes the rows away that were seen the longest ago.
pub(super) const TRIM: &str = "\
    DELETE FROM observed WHERE (type, version, source_kind, source_id) IN \
    (SELECT type, version, source_kind, source_id FROM observed \
        ORDER BY last_at, type, version, source_kind, source_id LIMIT ?1)";
pub(super) const LIST: &str = "\
    SELECT type, version, source_kind, source_id, events, first_at, last_at FROM observed \
    WHERE type >= ?1 AND type <= ?2 ORDER BY type, version, source_kind, source_id LIMIT ?3";

fn row(row: &Row<'_>) -> Result<ObservedRow> {
    let kind: String = row.get(2)?;
    Ok(ObservedRow {
        event_type: EventType::trusted(row.get::<_, String>(0)?),
        version: Version::trusted(row.get::<_, String>(1)?),
        source_kind: SourceKind::parse(&kind).ok_or_else(|| corrupt("source_kind"))?,
        source_id: Text::trusted(row.get::<_, String>(3)?),
        events: unsigned(row.get(4)?)?,
        first_at: Timestamp::from_micros(row.get(5)?),
        last_at: Timestamp::from_micros(row.get(6)?),
    })
}

pub(super) fn add(connection: &Connection, seen: &[ObservedRow], rows_max: usize) -> Result<()> {
    let most = i64::try_from(rows_max).unwrap_or(i64::MAX);
    connection.prepare_cached(BEGIN)?.execute([])?;
    let mut is_fresh = false;
    for row in merged(seen) {
        let columns = params![
            row.event_type.as_str(),
            row.version.as_str(),
            row.source_kind.as_str(),
            row.source_id.as_str(),
            signed(row.events),
            row.first_at.as_micros(),
            row.last_at.as_micros(),
        ];
        if connection.prepare_cached(UPDATE)?.execute(columns)? == 0 {
            connection.prepare_cached(INSERT)?.execute(columns)?;
            is_fresh = true;
        }
    }
    if is_fresh {
        let count: i64 = connection.prepare_cached(COUNT)?.query_row([], |row| row.get(0))?;
        if count > most {
            connection.prepare_cached(TRIM)?.execute([count - most])?;
        }
    }
    commit(connection)
}

pub(super) fn list(connection: &Connection, event_type: Option<&EventType>, limit: usize) -> Result<Vec<ObservedRow>> {
    let (first, last) = event_type.map_or(("", BEYOND_TYPES), |wanted| (wanted.as_str(), wanted.as_str()));
    all(connection, LIST, params![first, last, i64::try_from(limit).unwrap_or(i64::MAX)], row)
}
