//! Events and intents in a transaction of `rusqlite`.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use tidings_outbox::event::{Data, Event, EventType, Source, SourceKind, SystemMint, TenantId, Text};
//!
//! let mut connection = rusqlite::Connection::open_in_memory()?;
//! connection.execute_batch("create table leads (id text primary key, status text)")?;
//! tidings_outbox::rusqlite::install(&mut connection)?;
//!
//! let event = Event::new(
//!     EventType::parse("sales.lead.created")?,
//!     TenantId::parse("acme")?,
//!     Source { kind: SourceKind::Service, id: Text::parse("sales")? },
//!     Data::parse(r#"{"status":"new"}"#).map_err(|violation| violation.message)?,
//!     &mut SystemMint::default(),
//! );
//! let tx = connection.transaction()?;
//! tx.execute("insert into leads values ('lead_42', 'new')", [])?;
//! tidings_outbox::rusqlite::append(&tx, &event)?;
//! tx.commit()?; // Both, or neither.
//! # Ok(())
//! # }
//! ```

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use tidings_event::limits::DATA_BYTES_MAX;
use tidings_event::{Event, EventId};

use crate::{IntentOutcome, Probe, content, sql};

pub mod inbox;

/// Why a call failed.
pub type Error = crate::Error<::rusqlite::Error>;

/// A transaction of the caller's: `rusqlite::Transaction` or `rusqlite::Savepoint`. Sealed.
pub trait InTransaction: sealed::Sealed {}

mod sealed {
    pub trait Sealed: std::ops::Deref<Target = rusqlite::Connection> {}
}

impl sealed::Sealed for ::rusqlite::Transaction<'_> {}
impl InTransaction for ::rusqlite::Transaction<'_> {}
impl sealed::Sealed for ::rusqlite::Savepoint<'_> {}
impl InTransaction for ::rusqlite::Savepoint<'_> {}

/// Makes the outbox's table, or brings it to [`sql::VERSION`]. Nothing changes where it is there already. Puts the
/// database into WAL mode, so that Tidings reads while producers write.
pub fn install(connection: &mut Connection) -> Result<(), Error> {
    // Answered with the mode in force; a database in memory has no other.
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(())).map_err(Error::Database)?;
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(Error::Database)?;
    if let Some(installed) = version(&tx)?
        && installed > sql::VERSION
    {
        return Err(Error::TooNew { installed, known: sql::VERSION });
    }
    tx.execute_batch(sql::SQLITE_OUTBOX).map_err(Error::Database)?;
    tx.commit().map_err(Error::Database)
}

/// The installed version of the outbox; nothing where there is none.
pub fn version(connection: &Connection) -> Result<Option<u32>, Error> {
    match connection.query_row(sql::sqlite::VERSION, [], |row| row.get(0)).optional() {
        Err(error) if is_missing_table(&error) => Ok(None),
        answer => answer.map_err(Error::Database),
    }
}

/// Writes an event into the outbox. It is in the log soon after the transaction commits, and never if it rolls back.
///
/// Appending the same event again changes nothing, so a transaction whose commit was in doubt may simply run again.
pub fn append<T: InTransaction>(tx: &T, event: &Event) -> Result<(), Error> {
    let json = render(event)?;
    let inserted = execute(tx, sql::sqlite::APPEND, (event.id.as_str(), &json))?;
    if inserted == 1 { Ok(()) } else { check_same(tx, event) }
}

/// Writes an event of which it is not certain yet that it becomes true. Commit it before the change that it speaks
/// of begins; afterwards [`confirm_intent`] or [`discard_intent`]. What is forgotten is resolved by the probe; without
/// one it stays open until someone decides.
///
/// Writing the same intent again changes nothing.
pub fn append_intent<T: InTransaction>(tx: &T, event: &Event, probe: Option<&Probe>) -> Result<(), Error> {
    let json = render(event)?;
    let probe = probe.map(Probe::to_json);
    let inserted = execute(tx, sql::sqlite::APPEND_INTENT, (event.id.as_str(), &json, probe))?;
    if inserted == 1 { Ok(()) } else { check_same(tx, event) }
}

/// Confirms an intent: its event goes to the log, after those that wait already.
pub fn confirm_intent<T: InTransaction>(tx: &T, key: &EventId) -> Result<IntentOutcome, Error> {
    match take(tx, key)? {
        Some(event) => {
            execute(tx, sql::sqlite::APPEND, (key.as_str(), event))?;
            Ok(IntentOutcome::Done)
        }
        None => left(tx, key),
    }
}

/// Discards an intent: its event is never seen.
pub fn discard_intent<T: InTransaction>(tx: &T, key: &EventId) -> Result<IntentOutcome, Error> {
    match take(tx, key)? {
        Some(_) => Ok(IntentOutcome::Done),
        None => left(tx, key),
    }
}

fn take(tx: &Connection, key: &EventId) -> Result<Option<String>, Error> {
    let mut statement = tx.prepare_cached(sql::sqlite::TAKE_INTENT).map_err(classify)?;
    statement.query_row([key.as_str()], |row| row.get(0)).optional().map_err(Error::Database)
}

/// What is there under the key of an intent that is not open.
fn left(tx: &Connection, key: &EventId) -> Result<IntentOutcome, Error> {
    Ok(if stored(tx, key)?.is_some() { IntentOutcome::AlreadyConfirmed } else { IntentOutcome::Absent })
}

fn stored(tx: &Connection, key: &EventId) -> Result<Option<String>, Error> {
    let mut statement = tx.prepare_cached(sql::sqlite::STORED).map_err(classify)?;
    statement.query_row([key.as_str()], |row| row.get(0)).optional().map_err(Error::Database)
}

fn check_same(tx: &Connection, event: &Event) -> Result<(), Error> {
    match stored(tx, &event.id)? {
        Some(stored) if content::same_content(&stored, &content::render(event)) => Ok(()),
        _ => Err(Error::SourceKeyTaken(event.id.clone())),
    }
}

fn execute(tx: &Connection, sql: &str, parameters: impl ::rusqlite::Params) -> Result<usize, Error> {
    tx.prepare_cached(sql).map_err(classify)?.execute(parameters).map_err(Error::Database)
}

fn render(event: &Event) -> Result<String, Error> {
    let bytes = event.data.as_bytes().len();
    if bytes > DATA_BYTES_MAX {
        return Err(Error::DataTooLarge { id: event.id.clone(), bytes });
    }
    Ok(content::render(event))
}

pub(crate) fn classify(error: ::rusqlite::Error) -> Error {
    if is_missing_table(&error) { Error::NotInstalled } else { Error::Database(error) }
}

/// SQLite has no code of its own for a missing table; the text has been the same since version 3.0.
fn is_missing_table(error: &::rusqlite::Error) -> bool {
    match error {
        ::rusqlite::Error::SqliteFailure(_, Some(message)) => message.starts_with("no such table: tidings_"),
        ::rusqlite::Error::SqlInputError { msg, .. } => msg.starts_with("no such table: tidings_"),
        _ => false,
    }
}
