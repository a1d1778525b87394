//! A new life for a log that was restored from a copy.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, TransactionBehavior};
use tidings_event::LogId;
use tokio_postgres::IsolationLevel;

use crate::open::{Target, target};
use crate::postgres::address::Address;
use crate::postgres::setup::MIGRATION_LOCK;
use crate::row::corrupt;
use crate::{Error, Result};

/// By how much every epoch rises. The copy does not know the epochs that were given out after it was made; no owner from
/// that time may pass for one of the new life.
const EPOCHS: i64 = 1 << 32;
/// A node that was seen within so many microseconds may still be alive: the longest lease that can be set.
const SEEN_WITHIN_US: i64 = 60_000_000;
/// How long to wait for another process that holds the file.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) const RENEW_SQLITE: &str = "UPDATE meta SET log_id = ?1";
pub(super) const LOG_SQLITE: &str = "SELECT log_id FROM meta";
const EVENTS_SQLITE: &str = "SELECT coalesce(sum(position), 0) FROM partitions";
pub(super) const FREE_SQLITE: &str = "UPDATE leases SET node = NULL, boot = NULL, epoch = epoch + ?1";
pub(super) const FORGET_SQLITE: &str = "DELETE FROM nodes";
pub(super) const EXISTS_POSTGRES: &str = "SELECT 1 FROM pg_catalog.pg_class WHERE oid = to_regclass('tidings.meta')";
pub(super) const LOG_POSTGRES: &str = "SELECT log_id FROM tidings.meta FOR UPDATE";
pub(super) const RENEW_POSTGRES: &str = "UPDATE tidings.meta SET log_id = $1";
pub(super) const FREE_POSTGRES: &str = "UPDATE tidings.leases SET node = NULL, boot = NULL, epoch = epoch + $1";
pub(super) const FORGET_POSTGRES: &str = "DELETE FROM tidings.nodes";
pub(super) const LIVE_POSTGRES: &str = "\
    SELECT DISTINCT id FROM tidings.nodes \
    WHERE seen_at + $1 > (extract(epoch FROM clock_timestamp()) * 1000000)::bigint ORDER BY id";

/// What became of a renewal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renewed {
    /// The log has a new id.
    Done {
        /// The id that cursors from before carry.
        before: LogId,
        /// The one that they carry from now on.
        after: LogId,
    },
    /// Nodes were seen on it just now; nothing was changed.
    InUse(Vec<String>),
}

/// Gives a log a new id, so that everything that was read from the one before is recognised as such: a cursor is
/// answered with 409, the streams on the bus are begun anew. Frees every lease and raises its epoch beyond any that was
/// given out, and forgets the nodes. Events, sequences and positions stay as they are.
///
/// The databases are those of one log, the first of them its home. They must hold a log of this version's schema: open
/// and close it before. A PostgreSQL log on which nodes were seen within the last minute is refused; who owns an SQLite
/// file is known to the caller.
pub async fn renew_log(urls: &[String]) -> Result<Renewed> {
    let after = LogId(ulid::Ulid::generate());
    let mut servers = Vec::with_capacity(urls.len());
    for url in urls {
        match target(url)? {
            Target::Sqlite(path) if urls.len() == 1 => {
                let before = renew_sqlite(path, after).await?;
                return Ok(Renewed::Done { before, after });
            }
            Target::Sqlite(_) => {
                return Err(Error::Unusable("a log in several databases has them in PostgreSQL".to_owned()));
            }
            Target::Postgres(url) => servers.push(url),
        }
    }
    renew_postgres(&servers, after).await
}

/// Whether the database that a URL names can be reached and holds a log. Makes nothing.
pub async fn holds_log(url: &str) -> Result<bool> {
    match target(url)? {
        Target::Sqlite(path) => Ok(path.exists()),
        Target::Postgres(url) => {
            let client = connect(&url).await?;
            Ok(client.query_typed_opt(EXISTS_POSTGRES, &[]).await?.is_some())
        }
    }
}

async fn connect(url: &str) -> Result<tokio_postgres::Client> {
    let address = Address::parse(url).map_err(|reason| Error::Unusable(format!("the URL is wrong: {reason}")))?;
    address.connect().await
}

async fn renew_postgres(urls: &[String], after: LogId) -> Result<Renewed> {
    let mut clients = Vec::with_capacity(urls.len());
    for url in urls {
        clients.push(connect(url).await?);
    }
    let (mut held, mut live) = (Vec::with_capacity(clients.len()), BTreeSet::new());
    for client in &mut clients {
        // A node that starts holds the same lock until it has read which log this is. So who runs is asked once the lock
        // is ours, by a statement that sees what was committed until then.
        let transaction = client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start().await?;
        transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK]).await?;
        for row in transaction.query(LIVE_POSTGRES, &[&SEEN_WITHIN_US]).await? {
            live.insert(row.try_get::<_, String>(0)?);
        }
        held.push(transaction);
    }
    if !live.is_empty() {
        return Ok(Renewed::InUse(live.into_iter().collect()));
    }
    let mut before = None;
    for transaction in &held {
        let row = transaction.query_opt(LOG_POSTGRES, &[]).await?;
        let was: String = row.ok_or_else(|| Error::Unusable("there is no log".to_owned()))?.try_get(0)?;
        before.get_or_insert(was);
        transaction.execute(RENEW_POSTGRES, &[&after.to_string()]).await?;
        transaction.execute(FREE_POSTGRES, &[&EPOCHS]).await?;
        transaction.execute(FORGET_POSTGRES, &[]).await?;
    }
    for transaction in held {
        transaction.commit().await?;
    }
    let before = before.ok_or_else(|| Error::Unusable("no database is named".to_owned()))?;
    Ok(Renewed::Done { before: parse(&before)?, after })
}

async fn renew_sqlite(path: PathBuf, after: LogId) -> Result<LogId> {
    blocking(move || {
        let mut connection = open(&path)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let before: Option<String> = transaction.query_row(LOG_SQLITE, [], |row| row.get(0)).optional()?;
        let before = before.ok_or_else(|| Error::Unusable("there is no log".to_owned()))?;
        transaction.execute(RENEW_SQLITE, [after.to_string()])?;
        transaction.execute(FREE_SQLITE, [EPOCHS])?;
        transaction.execute(FORGET_SQLITE, [])?;
        transaction.commit()?;
        parse(&before)
    })
    .await
}

fn parse(id: &str) -> Result<LogId> {
    id.parse().map(LogId).map_err(|_| corrupt("log_id"))
}

fn open(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "synchronous", "full")?;
    Ok(connection)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Error::Broken("a task on the file did not finish".to_owned()))?
}

/// Copies an SQLite file into a new one, as it is at one moment, while others read and write it. The copy is whole and
/// on the disk when this returns; it is compact and has no file beside it. Fails where the target exists.
///
/// Others may write meanwhile; what they write is kept beside the file (`-wal`) until the copy is done.
pub async fn copy_sqlite(from: &Path, to: &Path) -> Result<()> {
    let (from, to) = (from.to_owned(), to.to_owned());
    blocking(move || {
        let unusable =
            |what: &str, error: &std::io::Error| Error::Unusable(format!("{} cannot be {what}: {error}", to.display()));
        // SQLite would write into a file that is there and empty, whatever its mode.
        use std::os::unix::fs::OpenOptionsExt as _;
        let mut options = std::fs::OpenOptions::new();
        let made = options.write(true).create_new(true).mode(0o600).open(&to);
        made.map_err(|error| unusable("made", &error))?;
        let path = to.to_str().ok_or_else(|| Error::Unusable("the path of the copy is not UTF-8".to_owned()))?;
        open(&from)?.execute("VACUUM INTO ?1", [path])?;
        // SQLite itself does not wait for the disk here.
        std::fs::File::open(&to).and_then(|file| file.sync_all()).map_err(|error| unusable("synced", &error))
    })
    .await
}

/// Which log an SQLite file holds, and how many events. Works with a log of any version, and changes nothing.
pub async fn sqlite_log(path: &Path) -> Result<(LogId, u64)> {
    let path = path.to_owned();
    blocking(move || {
        let connection = open(&path)?;
        let log: Option<String> = connection.query_row(LOG_SQLITE, [], |row| row.get(0)).optional()?;
        let log = log.ok_or_else(|| Error::Unusable("there is no log".to_owned()))?;
        let events: i64 = connection.query_row(EVENTS_SQLITE, [], |row| row.get(0))?;
        Ok((parse(&log)?, u64::try_from(events).unwrap_or(0)))
    })
    .await
}

/// The size of an SQLite file's pages in use, in bytes: about what a copy of it will have.
pub async fn sqlite_size(path: &Path) -> Result<u64> {
    let path = path.to_owned();
    blocking(move || {
        let connection = open(&path)?;
        let pragma = |name: &str| -> Result<i64> { Ok(connection.pragma_query_value(None, name, |row| row.get(0))?) };
        let used = pragma("page_count")?.saturating_sub(pragma("freelist_count")?);
        Ok(u64::try_from(used.saturating_mul(pragma("page_size")?)).unwrap_or(0))
    })
    .await
}
