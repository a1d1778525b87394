//! The catalog's entries, every revision of them.

use rusqlite::{Connection, Row, params};
use tidings_event::Timestamp;

use super::append::{self, BEGIN};
use super::connection::commit;
use super::routers::all;
use super::writer::Caller;
use crate::entries::{self as shared, Piece};
use crate::names::Names;
use crate::row::{signed, unsigned};
use crate::{
    Append, CatalogOutcome, CatalogRevision, CatalogSlice, EntryChange, EntryKey, EntryRow, Error, HistoryQuery,
    HistorySlice, Result,
};

/// The columns of an entry in the order in which [`row`] takes them.
macro_rules! columns {
    () => {
        "e.kind, e.name, e.version, e.revision, e.source, e.changed_by, e.reason, e.at"
    };
}

pub(super) const REVISION: &str = "SELECT revision FROM catalog WHERE only_row = 1";
pub(super) const AFTER: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM catalog_newest n CROSS JOIN catalog_entries e INDEXED BY catalog_entries_by_key \
      ON e.kind = n.kind AND e.name = n.name AND e.version = n.version AND e.revision = n.revision \
      WHERE n.revision > ?1 AND n.revision <= ?2 ORDER BY n.revision, n.kind, n.name, n.version LIMIT ?3"
);
pub(super) const NEWEST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM catalog_newest n CROSS JOIN catalog_entries e INDEXED BY catalog_entries_by_key \
      ON e.kind = n.kind AND e.name = n.name AND e.version = n.version AND e.revision = n.revision \
      WHERE n.kind = ?1 AND n.name = ?2 ORDER BY n.version"
);
pub(super) const HISTORY: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM catalog_entries e INDEXED BY catalog_entries_by_name WHERE e.kind = ?1 AND e.name = ?2 \
      AND (e.revision, e.version) > (?3, ?4) ORDER BY e.revision, e.version LIMIT ?5"
);
pub(super) const HISTORY_OF_VERSION: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM catalog_entries e INDEXED BY catalog_entries_by_key WHERE e.kind = ?1 AND e.name = ?2 AND e.version = ?4 \
      AND e.revision > ?3 ORDER BY e.revision LIMIT ?5"
);
pub(super) const INSERT: &str = "\
    INSERT INTO catalog_entries (kind, name, version, revision, source, changed_by, reason, at) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
pub(super) const PUT_NEWEST: &str = "\
    INSERT INTO catalog_newest (kind, name, version, revision) VALUES (?1, ?2, ?3, ?4) \
    ON CONFLICT (kind, name, version) DO UPDATE SET revision = excluded.revision";
pub(super) const ADVANCE: &str = "UPDATE catalog SET revision = ?1 WHERE only_row = 1";

fn row(row: &Row<'_>) -> Result<EntryRow> {
    Ok(EntryRow {
        key: EntryKey { kind: row.get(0)?, name: row.get(1)?, version: row.get(2)? },
        revision: CatalogRevision(unsigned(row.get(3)?)?),
        source: row.get(4)?,
        by: row.get(5)?,
        reason: row.get(6)?,
        at: Timestamp::from_micros(row.get(7)?),
    })
}

pub(super) fn revision(connection: &Connection) -> Result<CatalogRevision> {
    let revision = connection.prepare_cached(REVISION)?.query_row([], |row| row.get(0))?;
    Ok(CatalogRevision(unsigned(revision)?))
}

pub(super) fn slice(connection: &Connection, after: CatalogRevision, limit: usize) -> Result<CatalogSlice> {
    // One transaction, so that the head is of the moment of the rows.
    let transaction = connection.unchecked_transaction()?;
    let head = revision(&transaction)?;
    let most = i64::try_from(limit).map_or(i64::MAX, |limit| limit.saturating_add(1));
    let rows = all(&transaction, AFTER, params![signed(after.0), i64::MAX, most], row)?;
    let slice = match shared::cut(rows, after, head, limit) {
        Piece::Cut(slice) => slice,
        Piece::First(upto) => {
            let rows = all(&transaction, AFTER, params![signed(after.0), signed(upto.0), i64::MAX], row)?;
            CatalogSlice { rows, upto, head }
        }
    };
    transaction.commit()?;
    Ok(slice)
}

pub(super) fn history(connection: &Connection, query: &HistoryQuery) -> Result<HistorySlice> {
    let HistoryQuery { kind, name, version, after, limit } = query;
    let sql = if version.is_some() { HISTORY_OF_VERSION } else { HISTORY };
    let version = version.as_ref().unwrap_or(&after.version);
    let count = limit.events.max(1);
    let mut statement = connection.prepare_cached(sql)?;
    let more = i64::try_from(count).map_or(i64::MAX, |count| count.saturating_add(1));
    let mut found = statement.query(params![kind, name, signed(after.revision.0), version, more])?;
    let (mut rows, mut bytes) = (Vec::new(), 0_usize);
    while let Some(next) = found.next()? {
        let next = row(next)?;
        bytes = bytes.saturating_add(next.source.as_ref().map_or(0, String::len));
        if rows.len() == count || (!rows.is_empty() && bytes > limit.bytes) {
            return Ok(HistorySlice { rows, complete: false });
        }
        rows.push(next);
    }
    Ok(HistorySlice { rows, complete: true })
}

pub(super) fn newest(connection: &Connection, kind: &str, name: &str) -> Result<Vec<EntryRow>> {
    all(connection, NEWEST, params![kind, name], row)
}

/// A change of the catalog.
pub(super) struct Change {
    pub(super) expected: CatalogRevision,
    pub(super) changes: Vec<EntryChange>,
    pub(super) by: String,
    pub(super) at: Timestamp,
}

pub(super) fn change(
    connection: &Connection,
    names: &Names,
    change: &Change,
    appends: Vec<Append>,
    caller: Caller<'_>,
) -> Result<CatalogOutcome> {
    shared::check(&change.changes)?;
    connection.prepare_cached(BEGIN)?.execute([])?;
    let head = revision(connection)?;
    if head != change.expected {
        connection.execute_batch("ROLLBACK")?;
        return Ok(CatalogOutcome::Stale { head });
    }
    let revision = CatalogRevision(head.0 + 1);
    for EntryChange { key, source, reason } in &change.changes {
        connection.prepare_cached(INSERT)?.execute(params![
            key.kind,
            key.name,
            key.version,
            signed(revision.0),
            source,
            change.by,
            reason,
            change.at.as_micros(),
        ])?;
        connection.prepare_cached(PUT_NEWEST)?.execute(params![key.kind, key.name, key.version, signed(revision.0)])?;
    }
    connection.prepare_cached(ADVANCE)?.execute([signed(revision.0)])?;
    let appended =
        appends.into_iter().map(|append| append::write(connection, names, append)).collect::<Result<Vec<_>>>()?;
    if !caller() {
        return Err(Error::unavailable("the caller went away, so nothing was written"));
    }
    commit(connection)?;
    Ok(CatalogOutcome::Changed { revision, appended })
}
