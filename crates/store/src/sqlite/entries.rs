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
use crate::{Append, CatalogOutcome, CatalogRevision, CatalogSlice, EntryChange, EntryKey, EntryRow, Error, Result};

/// The columns of an entry in the order in which [`row`] takes them.
macro_rules! columns {
    () => {
        "kind, name, version, revision, source, changed_by, reason, at"
    };
}

pub(super) const REVISION: &str = "SELECT revision FROM catalog WHERE only_row = 1";
pub(super) const AFTER: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM catalog_entries WHERE revision > ?1 AND revision <= ?2 ORDER BY revision, kind, name, version LIMIT ?3"
);
pub(super) const HISTORY: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM catalog_entries INDEXED BY catalog_entries_by_key WHERE kind = ?1 AND name = ?2 \
      AND (?3 IS NULL OR version = ?3) ORDER BY version, revision"
);
pub(super) const INSERT: &str =
    concat!("INSERT INTO catalog_entries (", columns!(), ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
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
        Piece::First => {
            let first = CatalogRevision(after.0.saturating_add(1));
            let bounds = params![signed(after.0), signed(first.0), i64::MAX];
            shared::slice(all(&transaction, AFTER, bounds, row)?, first, head)
        }
    };
    transaction.commit()?;
    Ok(slice)
}

pub(super) fn history(connection: &Connection, kind: &str, name: &str, version: Option<&str>) -> Result<Vec<EntryRow>> {
    let mut rows = all(connection, HISTORY, params![kind, name, version], row)?;
    rows.sort_by_key(|row| row.revision);
    Ok(rows)
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
