//! The catalog's entries, every revision of them.

use std::sync::Arc;

use tidings_event::Timestamp;
use tokio_postgres::Row;

use super::failure::of_commit;
use super::flight::{Flight, Param, params};
use super::pool::{Connections, Lease};
use super::within::{self, Locks, Within};
use crate::entries::{self as shared, Piece};
use crate::names::Names;
use crate::row::{corrupt, signed, unsigned};
use crate::{
    Append, CatalogOutcome, CatalogRevision, CatalogSlice, EntryChange, EntryKey, EntryRow, Error, HistoryQuery,
    HistorySlice, Result, encoding,
};

/// The columns of an entry in the order in which [`row`] takes them.
macro_rules! columns {
    () => {
        "e.kind, e.name, e.version, e.revision, e.source, e.changed_by, e.reason, e.at"
    };
}

/// The entry that a row of `catalog_newest` speaks of.
macro_rules! newest {
    () => {
        "(SELECT * FROM tidings.catalog_entries WHERE (kind, name, version, revision) >= \
          (n.kind, n.name, n.version, n.revision) AND (kind, name, version, revision) <= \
          (n.kind, n.name, n.version, n.revision) ORDER BY kind, name, version, revision LIMIT 1) e"
    };
}

/// A part of a history in the order of an index: what it may hold in bytes adds up along it, so that no source beyond
/// that is fetched, and whether another row comes after is told with each.
macro_rules! history {
    ($order:literal, $wanted:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            ", e.is_last FROM (SELECT *, row_number() OVER along = 1 AS is_first, lead(revision) OVER along IS NULL AS is_last, \
              coalesce(sum(octet_length(source)) OVER (along ROWS UNBOUNDED PRECEDING), 0) AS total \
              FROM tidings.catalog_entries WHERE ",
            $wanted,
            " WINDOW along AS (ORDER BY ",
            $order,
            ") ORDER BY ",
            $order,
            " LIMIT $5) e WHERE e.total <= $6 OR e.is_first"
        )
    };
}

pub(super) const REVISION: &str = "SELECT revision FROM tidings.catalog WHERE only_row = 1";
pub(super) const LOCK: &str = "SELECT revision FROM tidings.catalog WHERE only_row = 1 FOR NO KEY UPDATE";
/// One statement, so that the head is of the moment of the rows. A catalog without rows to read is a row without an
/// entry.
pub(super) const AFTER: &str = concat!(
    "SELECT ",
    columns!(),
    ", c.revision FROM tidings.catalog c LEFT JOIN LATERAL (SELECT e.* FROM \
      (SELECT * FROM tidings.catalog_newest WHERE revision > $1 AND revision <= $2 \
        ORDER BY revision, kind, name, version LIMIT $3) n CROSS JOIN LATERAL ",
    newest!(),
    ") e ON true WHERE c.only_row = 1"
);
pub(super) const NEWEST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM (SELECT * FROM tidings.catalog_newest WHERE (kind, name) >= ($1, $2) AND (kind, name) <= ($1, $2) \
      ORDER BY kind, name, version) n CROSS JOIN LATERAL ",
    newest!()
);
pub(super) const HISTORY: &str = history!(
    "kind, name, revision, version",
    "(kind, name, revision, version) > ($1, $2, $3, $4) AND (kind, name) <= ($1, $2)"
);
pub(super) const HISTORY_OF_VERSION: &str = history!(
    "kind, name, version, revision",
    "(kind, name, version, revision) > ($1, $2, $4, $3) AND (kind, name, version) <= ($1, $2, $4)"
);
pub(super) const INSERT: &str = "\
    INSERT INTO tidings.catalog_entries (kind, name, version, source, reason, revision, changed_by, at) \
    SELECT r.kind, r.name, r.version, r.source, r.reason, $6, $7, $8 \
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) r (kind, name, version, source, reason)";
pub(super) const PUT_NEWEST: &str = "\
    INSERT INTO tidings.catalog_newest (kind, name, version, revision) \
    SELECT r.kind, r.name, r.version, $4 FROM unnest($1::text[], $2::text[], $3::text[]) r (kind, name, version) \
    ON CONFLICT (kind, name, version) DO UPDATE SET revision = excluded.revision";
pub(super) const ADVANCE: &str = "UPDATE tidings.catalog SET revision = $1 WHERE only_row = 1";

fn row(row: &Row) -> Result<EntryRow> {
    Ok(EntryRow {
        key: EntryKey { kind: row.try_get(0)?, name: row.try_get(1)?, version: row.try_get(2)? },
        revision: CatalogRevision(unsigned(row.try_get(3)?)?),
        source: row.try_get(4)?,
        by: row.try_get(5)?,
        reason: row.try_get(6)?,
        at: Timestamp::from_micros(row.try_get(7)?),
    })
}

fn head(rows: &[Row], column: usize) -> Result<CatalogRevision> {
    let row = rows.first().ok_or_else(|| corrupt("catalog"))?;
    Ok(CatalogRevision(unsigned(row.try_get(column)?)?))
}

pub(super) async fn revision(lease: Lease) -> Result<CatalogRevision> {
    head(&lease.query(REVISION, &[]).await?, 0)
}

pub(super) async fn slice(lease: Lease, after: CatalogRevision, limit: usize) -> Result<CatalogSlice> {
    let most = i64::try_from(limit).map_or(i64::MAX, |limit| limit.saturating_add(1));
    let statement = lease.prepare_cached(AFTER).await?;
    let read = async |upto: i64, most: i64| {
        let rows = lease.rows(&statement, &[&signed(after.0), &upto, &most]).await?;
        let head = head(&rows, 8)?;
        let mut entries = Vec::with_capacity(rows.len());
        for found in &rows {
            if found.try_get::<_, Option<i64>>(3)?.is_some() {
                entries.push(row(found)?);
            }
        }
        entries.sort_unstable_by(|one, other| (one.revision, &one.key).cmp(&(other.revision, &other.key)));
        Ok::<_, Error>((entries, head))
    };
    let (entries, head) = read(i64::MAX, most).await?;
    let slice = match shared::cut(entries, after, head, limit) {
        Piece::Cut(slice) => slice,
        Piece::First(upto) => {
            let (rows, head) = read(signed(upto.0), i64::MAX).await?;
            CatalogSlice { rows, upto, head }
        }
    };
    lease.done();
    Ok(slice)
}

pub(super) async fn history(lease: Lease, query: &HistoryQuery) -> Result<HistorySlice> {
    let HistoryQuery { kind, name, version, after, limit } = query;
    let sql = if version.is_some() { HISTORY_OF_VERSION } else { HISTORY };
    let version = version.as_ref().unwrap_or(&after.version);
    let count = i64::try_from(limit.events.max(1)).unwrap_or(i64::MAX);
    let bytes = i64::try_from(limit.bytes).unwrap_or(i64::MAX);
    let found = lease.query(sql, &[kind, name, &signed(after.revision.0), version, &count, &bytes]).await?;
    let complete = found.last().map_or(Ok(true), |last| last.try_get(8))?;
    Ok(HistorySlice { rows: found.iter().map(row).collect::<Result<_>>()?, complete })
}

pub(super) async fn newest(lease: Lease, kind: &str, name: &str) -> Result<Vec<EntryRow>> {
    let mut rows = lease.query(NEWEST, &[&kind, &name]).await?.iter().map(row).collect::<Result<Vec<_>>>()?;
    rows.sort_unstable_by(|one, other| one.key.cmp(&other.key));
    Ok(rows)
}

/// A change of the catalog.
pub(super) struct Change {
    pub(super) expected: CatalogRevision,
    pub(super) changes: Vec<EntryChange>,
    pub(super) by: String,
    pub(super) at: Timestamp,
}

/// One change, in a task of its own: a caller that goes away does not leave the heads locked.
pub(super) async fn change(
    connections: Arc<Connections>,
    names: Arc<Names>,
    change: Change,
    appends: Vec<Append>,
) -> Result<CatalogOutcome> {
    shared::check(&change.changes)?;
    let task = tokio::spawn(async move {
        let lease = connections.writer().await?;
        let outcome = change.run(&lease, &names, appends).await;
        lease.finish(outcome).await
    });
    task.await.unwrap_or_else(|_| Err(Error::Broken("a change of the catalog did not finish".to_owned())))
}

impl Change {
    /// The catalog's head is locked before those of the partitions, which is the order in which all lock them.
    async fn run(&self, lease: &Lease, names: &Names, appends: Vec<Append>) -> Result<CatalogOutcome> {
        for sql in [INSERT, PUT_NEWEST, ADVANCE] {
            lease.prepare_cached(sql).await?;
        }
        let mut flight = Flight::default();
        flight.simple("BEGIN");
        let own = flight.add(lease, LOCK, Vec::new()).await?;
        let locks = Locks::add(&mut flight, lease, encoding::heads_locked(None, &appends)).await?;
        let within = Within::look(&mut flight, lease, appends).await?;
        let answers = flight.send(lease).await?;

        let head = head(&answers[own], 0)?;
        if head != self.expected {
            lease.batch_execute("ROLLBACK").await?;
            return Ok(CatalogOutcome::Stale { head });
        }
        let revision = CatalogRevision(head.0 + 1);
        let decided = within.decide(lease, names, &locks, &answers, None).await?;

        let mut flight = Flight::default();
        flight.add(lease, INSERT, self.rows(revision)).await?;
        flight.add(lease, PUT_NEWEST, self.keys(revision)).await?;
        flight.add(lease, ADVANCE, params![signed(revision.0)]).await?;
        within::write(&mut flight, lease, &decided).await?;
        flight.simple("COMMIT");
        flight.send(lease).await.map_err(of_commit)?;
        drop(flight);
        Ok(CatalogOutcome::Changed { revision, appended: within::appended(decided) })
    }

    fn keys(&self, revision: CatalogRevision) -> Vec<Param<'_>> {
        let texts = |of: fn(&EntryChange) -> &str| self.changes.iter().map(of).collect::<Vec<&str>>();
        params![
            texts(|change| &change.key.kind),
            texts(|change| &change.key.name),
            texts(|change| &change.key.version),
            signed(revision.0),
        ]
    }

    fn rows(&self, revision: CatalogRevision) -> Vec<Param<'_>> {
        let texts = |of: fn(&EntryChange) -> &str| self.changes.iter().map(of).collect::<Vec<&str>>();
        let optional = |of: fn(&EntryChange) -> Option<&str>| self.changes.iter().map(of).collect::<Vec<_>>();
        params![
            texts(|change| &change.key.kind),
            texts(|change| &change.key.name),
            texts(|change| &change.key.version),
            optional(|change| change.source.as_deref()),
            optional(|change| change.reason.as_deref()),
            signed(revision.0),
            self.by.as_str(),
            self.at.as_micros(),
        ]
    }
}
