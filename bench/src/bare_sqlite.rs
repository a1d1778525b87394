//! What SQLite can do without Tidings: the same rows into the same table with the same indexes, read back as bare rows.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

type Row = Vec<Value>;

/// A connection with the settings that the store uses for its writer.
fn open(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -65_536)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection)
}

/// The columns that are stored, not computed.
fn columns(connection: &Connection) -> Result<Vec<String>> {
    let mut statement = connection.prepare("SELECT name FROM pragma_table_info('events')")?;
    let names = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok(names)
}

/// The first `count` rows of a log.
pub(crate) fn rows(log: &Path, count: usize) -> Result<Vec<Row>> {
    let connection = open(log)?;
    let names = columns(&connection)?.join(", ");
    let mut statement =
        connection.prepare(&format!("SELECT {names} FROM events ORDER BY tenant_no, sequence LIMIT ?1"))?;
    let columns = statement.column_count();
    let mut rows = statement.query([count as i64])?;
    let mut all = Vec::with_capacity(count);
    while let Some(row) = rows.next()? {
        all.push((0..columns).map(|i| row.get(i)).collect::<rusqlite::Result<Row>>()?);
    }
    Ok(all)
}

/// Rows per second when the rows are inserted into an empty log in transactions of `batch` rows. The table may be
/// read-only but for inserts, so it must be empty when this begins.
pub(crate) fn insert(empty_log: &Path, rows: &[Row], batch: usize) -> Result<f64> {
    let mut connection = open(empty_log)?;
    connection.pragma_update(None, "foreign_keys", "OFF")?;
    let names = columns(&connection)?;
    let marks = vec!["?"; names.len()].join(",");
    let sql = format!("INSERT INTO events ({}) VALUES ({marks})", names.join(", "));
    let began = Instant::now();
    for chunk in rows.chunks(batch) {
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        {
            let mut statement = transaction.prepare_cached(&sql)?;
            for row in chunk {
                statement.execute(params_from_iter(row))?;
            }
        }
        transaction.commit()?;
    }
    Ok(rows.len() as f64 / began.elapsed().as_secs_f64())
}

/// Rows per second when a log is read in pages by its key, every column fetched.
pub(crate) fn keyset(log: &Path, page: usize) -> Result<f64> {
    let connection = open(log)?;
    let mut statement =
        connection.prepare("SELECT * FROM events WHERE tenant_no = ?1 AND sequence > ?2 ORDER BY sequence LIMIT ?3")?;
    let columns = statement.column_count();
    let sequence_at = statement.column_index("sequence")?;
    let tenant: i64 = connection.query_row("SELECT tenant_no FROM events LIMIT 1", [], |row| row.get(0))?;
    let began = Instant::now();
    let (mut after, mut read, mut bytes) = (0i64, 0usize, 0usize);
    loop {
        let mut rows = statement.query((tenant, after, page as i64))?;
        let mut got = 0;
        while let Some(row) = rows.next()? {
            for i in 0..columns {
                bytes += row.get_ref(i)?.as_bytes_or_null().ok().flatten().map_or(8, <[u8]>::len);
            }
            after = row.get(sequence_at)?;
            got += 1;
        }
        if got == 0 {
            break;
        }
        read += got;
    }
    std::hint::black_box(bytes);
    Ok(read as f64 / began.elapsed().as_secs_f64())
}
