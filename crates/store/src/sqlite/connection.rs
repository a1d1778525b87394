//! How a connection to the file is made, what its settings are, and what SQLite's errors mean.

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior, params};
use tidings_event::{LogId, Timestamp};

use super::Synchronous;
use crate::{Durability, Error, LogInfo, Result, migrations};

/// Pages of the write-ahead log after which a commit folds it into the file: 16 MiB of pages.
const CHECKPOINT_PAGES: u32 = 4_000;
/// The write-ahead log is cut back to this when it was folded in.
const JOURNAL_BYTES: u32 = 64 * 1024 * 1024;
/// Page cache of the writer and of each reader, in KiB.
const WRITER_CACHE_KIB: i32 = 32 * 1024;
const READER_CACHE_KIB: i32 = 8 * 1024;
/// Prepared statements kept by each connection.
pub(super) const STATEMENTS_MAX: usize = 128;
const PARTITIONS: &str = "SELECT count(*) FROM partitions";
/// Tries to bring the schema up to date; another process may be at the same.
const MIGRATE_TRIES: usize = 3;

/// All that is needed to open one more connection.
#[derive(Debug, Clone)]
pub(super) struct Opening {
    pub(super) path: PathBuf,
    pub(super) synchronous: Synchronous,
    pub(super) patience: Duration,
    /// The file is left as it is, but for what is written into its tables.
    pub(super) existing: bool,
}

impl Opening {
    /// Opens the file for the first time in this process, creating what is missing; gives the writer's connection.
    pub(super) fn create(&self, partitions: u32) -> Result<(Connection, LogInfo)> {
        self.create_file()?;
        let mut connection = self.writer()?;
        let log = Self::set_up(&mut connection, partitions, LogId(ulid::Ulid::generate()))?;
        Ok((connection, log))
    }

    /// Opens a file for the first time in this process that must hold a log of this version.
    pub(super) fn look(&self) -> Result<(Connection, LogInfo)> {
        let connection = self.writer()?;
        let Some(standing) = standing(&connection)? else { return Err(Error::Unusable("there is no log".to_owned())) };
        standing.must_not_be_older()?;
        check_encoding(&connection)?;
        let log: Option<String> = connection.query_row("SELECT log_id FROM meta", [], |row| row.get(0)).optional()?;
        let log = log.ok_or_else(|| Error::Unusable("there is no log".to_owned()))?;
        let id = LogId(log.parse().map_err(|_| crate::row::corrupt("log_id"))?);
        let partitions = connection.query_row(PARTITIONS, [], |row| row.get(0))?;
        Ok((connection, LogInfo { id, partitions }))
    }

    /// Brings the schema up to date, and tells which log there is; a new one is called `log`.
    pub(super) fn set_up(connection: &mut Connection, partitions: u32, log: LogId) -> Result<LogInfo> {
        connection.set_transaction_behavior(TransactionBehavior::Immediate);
        if !is_behind(connection)? {
            return describe(connection, partitions, log);
        }
        let runner = migrations::sqlite()?;
        let mut tries = MIGRATE_TRIES;
        loop {
            match runner.run(connection) {
                Ok(_) => break,
                Err(error) => {
                    tries -= 1;
                    if tries == 0 {
                        return Err(unless_busy(&error).unwrap_or_else(|| migrations::failure(&error)));
                    }
                }
            }
        }
        describe(connection, partitions, log)
    }

    /// Only the owner may read the log; SQLite gives the files beside it the same mode.
    fn create_file(&self) -> Result<()> {
        use std::os::unix::fs::OpenOptionsExt;
        std::fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .read(true)
            .mode(0o600)
            .open(&self.path)
            .map(drop)
            .map_err(|error| Error::Unusable(format!("cannot open {}: {error}", self.path.display())))
    }

    /// A connection that may write.
    pub(super) fn writer(&self) -> Result<Connection> {
        let connection = self.open()?;
        if !self.existing {
            let mode: String = connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
            if !mode.eq_ignore_ascii_case("wal") {
                return Err(Error::Unusable(format!("the file's journal_mode stays {mode}; it must be wal")));
            }
        }
        let synchronous = match self.synchronous {
            Synchronous::Full => "full",
            Synchronous::Normal => "normal",
        };
        connection.pragma_update(None, "synchronous", synchronous)?;
        connection.pragma_update(None, "fullfsync", true)?;
        connection.pragma_update(None, "checkpoint_fullfsync", true)?;
        connection.pragma_update_and_check(None, "wal_autocheckpoint", CHECKPOINT_PAGES, |_| Ok(()))?;
        connection.pragma_update_and_check(None, "journal_size_limit", JOURNAL_BYTES, |_| Ok(()))?;
        connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
        Ok(connection)
    }

    /// A connection that only reads. It is opened for writing all the same, because the first one after a crash must
    /// recover the write-ahead log.
    pub(super) fn reader(&self) -> Result<Connection> {
        let connection = self.open()?;
        connection.pragma_update(None, "query_only", true)?;
        connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
        Ok(connection)
    }

    fn open(&self) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(self.patience)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        connection.pragma_update(None, "temp_store", "memory")?;
        // What the log refers to is proved before it is written, for all rows of an append at once.
        connection.pragma_update(None, "foreign_keys", false)?;
        Ok(connection)
    }
}

/// Whether the schema has steps to come, those of a new file included.
fn is_behind(connection: &Connection) -> Result<bool> {
    standing(connection)?.map_or(Ok(true), migrations::Standing::is_behind)
}

/// How far the schema is; nothing where there is none.
fn standing(connection: &Connection) -> Result<Option<migrations::Standing>> {
    let has = |sql: &str| -> Result<bool> { Ok(connection.query_row(sql, [], |row| row.get(0))?) };
    if !has("SELECT count(*) > 0 FROM sqlite_schema WHERE name = 'schema_history'")? {
        return Ok(None);
    }
    let step: Option<i32> = connection.query_row("SELECT max(version) FROM schema_history", [], |row| row.get(0))?;
    let Some(step) = step else { return Ok(None) };
    let says = has("SELECT count(*) > 0 FROM pragma_table_info('meta') WHERE name = 'needs_step'")?;
    let needs = match says {
        true => connection.query_row("SELECT needs_step FROM meta", [], |row| row.get(0)).optional()?,
        false => None,
    };
    Ok(Some(migrations::Standing { step, needs }))
}

fn check_encoding(connection: &Connection) -> Result<()> {
    let encoding: String = connection.pragma_query_value(None, "encoding", |row| row.get(0))?;
    match encoding.as_str() {
        "UTF-8" => Ok(()),
        _ => Err(Error::Unusable(format!("the file's encoding is {encoding}; it must be UTF-8"))),
    }
}

/// Reads which log the file holds; gives a new file its log.
fn describe(connection: &mut Connection, partitions: u32, log: LogId) -> Result<LogInfo> {
    check_encoding(connection)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let known: Option<String> = transaction.query_row("SELECT log_id FROM meta", [], |row| row.get(0)).optional()?;
    let log_id = match known {
        Some(text) => text.parse().map_err(|_| crate::row::corrupt("log_id"))?,
        None => {
            let LogId(log_id) = log;
            transaction.execute(
                "INSERT INTO meta (only_row, log_id, created_at, probed_at) VALUES (1, ?1, ?2, ?2)",
                params![log_id.to_string(), now()],
            )?;
            let mut insert = transaction.prepare("INSERT INTO partitions (id) VALUES (?1)")?;
            let mut lease =
                transaction.prepare("INSERT INTO leases (role, slot) VALUES ('router', ?1), ('publisher', ?1)")?;
            for partition in 0..partitions {
                insert.execute([partition])?;
                lease.execute([partition.to_string()])?;
            }
            log_id
        }
    };
    let partitions = transaction.query_row(PARTITIONS, [], |row| row.get(0))?;
    transaction.commit()?;
    Ok(LogInfo { id: LogId(log_id), partitions })
}

/// The settings in force on the writer's connection.
pub(super) fn durability(connection: &Connection) -> Result<Durability> {
    let journal_mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    let synchronous: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
    let synchronous = match synchronous {
        0 => "OFF",
        1 => "NORMAL",
        2 => "FULL",
        _ => "EXTRA",
    };
    let mut warnings = Vec::new();
    if matches!(synchronous, "OFF" | "NORMAL") {
        warnings.push(format!("synchronous={synchronous}: the last acknowledged events can be lost in a power cut"));
    }
    Ok(Durability {
        settings: vec![
            ("journal_mode".to_owned(), journal_mode.to_uppercase()),
            ("synchronous".to_owned(), synchronous.to_owned()),
        ],
        warnings,
    })
}

/// The present moment in microseconds, as the tables hold it.
pub(super) fn now() -> i64 {
    super::inline::told().unwrap_or_else(|| Timestamp::new(jiff::Timestamp::now())).as_micros()
}

/// Commits, and tells whether a failure leaves it open what became of the transaction.
pub(super) fn commit(connection: &Connection) -> Result<()> {
    let committed = connection.prepare_cached("COMMIT")?.execute([]);
    committed.map(drop).map_err(|error| match Error::from(error) {
        // The frames may be on the disk although the sync failed; a crash before the next write could revive them.
        Error::Unavailable { reason, .. } => Error::Unavailable { reason, ambiguous: true },
        other => other,
    })
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        let Some(code) = error.sqlite_error_code() else {
            return Self::Broken(error.to_string());
        };
        match code {
            Code::DatabaseBusy | Code::DatabaseLocked => {
                Self::unavailable(format!("another process holds the file for too long ({error})"))
            }
            Code::DiskFull => Self::unavailable(format!("there is no room left ({error})")),
            Code::SystemIoFailure
            | Code::CannotOpen
            | Code::ReadOnly
            | Code::PermissionDenied
            | Code::OutOfMemory
            | Code::FileLockingProtocolFailed
            | Code::OperationInterrupted => Self::unavailable(error.to_string()),
            Code::DatabaseCorrupt | Code::NotADatabase | Code::NoLargeFileSupport => Self::Unusable(error.to_string()),
            _ => Self::Broken(error.to_string()),
        }
    }
}

/// A migration that failed only because another process holds the file.
fn unless_busy(error: &refinery::Error) -> Option<Error> {
    use std::error::Error as _;
    let cause = error.source()?.downcast_ref::<rusqlite::Error>()?;
    let code = cause.sqlite_error_code()?;
    use rusqlite::ErrorCode as Code;
    matches!(code, Code::DatabaseBusy | Code::DatabaseLocked | Code::DiskFull | Code::SystemIoFailure)
        .then(|| Error::unavailable(cause.to_string()))
}
