//! Events and intents in a transaction of `sqlx` on PostgreSQL.
//!
//! Each statement is prepared once for each connection, as sqlx does with all, and costs one round trip from then on.
//!
//! ```no_run
//! # async fn example(pool: &sqlx::PgPool, event: &tidings_outbox::event::Event) -> Result<(), Box<dyn std::error::Error>> {
//! let mut tx = pool.begin().await?;
//! sqlx::query("update leads set status = 'qualified' where id = 'lead_42'").execute(&mut *tx).await?;
//! tidings_outbox::sqlx::append(&mut tx, event).await?;
//! tx.commit().await?; // Both, or neither.
//! # Ok(())
//! # }
//! ```

use sqlx::{PgConnection, PgPool, Postgres, Row, Transaction};
use tidings_event::limits::DATA_BYTES_MAX;
use tidings_event::{Event, EventId};

use crate::{IntentOutcome, Probe, content, sql};

pub mod inbox;

/// Why a call failed.
pub type Error = crate::Error<::sqlx::Error>;

/// Makes the outbox's table and functions, or brings them to [`sql::VERSION`]. Nothing changes where they are there
/// already. Needs the right to create a schema, or one named `tidings` that belongs to the caller.
pub async fn install(pool: &PgPool) -> Result<(), Error> {
    install_script(pool, sql::POSTGRES_OUTBOX).await
}

pub(crate) async fn install_script(pool: &PgPool, script: &'static str) -> Result<(), Error> {
    let mut tx = pool.begin().await.map_err(Error::Database)?;
    let quiet = ::sqlx::raw_sql("set local client_min_messages = warning").execute(&mut *tx).await;
    quiet.map_err(Error::Database)?;
    if let Err(error) = ::sqlx::raw_sql(script).execute(&mut *tx).await {
        drop(tx);
        let too_new = code(&error).is_some_and(|code| code == sql::TOO_NEW_SQLSTATE);
        return Err(match version(pool).await {
            Ok(Some(installed)) if too_new => Error::TooNew { installed, known: sql::VERSION },
            _ => Error::Database(error),
        });
    }
    tx.commit().await.map_err(Error::Database)
}

/// The installed version of the outbox; nothing where there is none.
pub async fn version(pool: &PgPool) -> Result<Option<u32>, Error> {
    match ::sqlx::query(sql::postgres::VERSION).fetch_one(pool).await.map_err(classify) {
        Ok(row) => Ok(Some(row.try_get::<i32, _>(0).map_err(Error::Database)?.unsigned_abs())),
        Err(Error::NotInstalled) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes an event into the outbox. It is in the log soon after the transaction commits, and never if it rolls back.
///
/// Appending the same event again changes nothing, so a transaction whose commit was in doubt may simply run again.
pub async fn append(tx: &mut Transaction<'_, Postgres>, event: &Event) -> Result<(), Error> {
    if insert(tx, event).await? { Ok(()) } else { check_same(tx, event).await }
}

/// Writes an event of which it is not certain yet that it becomes true. Commit it before the change that it speaks
/// of begins; afterwards [`confirm_intent`] or [`discard_intent`]. What is forgotten is resolved by the probe; without
/// one it stays open until someone decides.
///
/// Writing the same intent again changes nothing.
pub async fn append_intent(
    tx: &mut Transaction<'_, Postgres>,
    event: &Event,
    probe: Option<&Probe>,
) -> Result<(), Error> {
    let statement = ::sqlx::query(sql::postgres::APPEND_INTENT)
        .bind(event.id.as_str())
        .bind(render(event)?)
        .bind(probe.map(Probe::to_json));
    let inserted = statement.execute(&mut **tx).await.map_err(classify)?.rows_affected();
    if inserted == 1 { Ok(()) } else { check_same(tx, event).await }
}

/// Confirms an intent: its event goes to the log, after those that wait already.
pub async fn confirm_intent(tx: &mut Transaction<'_, Postgres>, key: &EventId) -> Result<IntentOutcome, Error> {
    resolve(tx, sql::postgres::CONFIRM_INTENT, key).await
}

/// Discards an intent: its event is never seen.
pub async fn discard_intent(tx: &mut Transaction<'_, Postgres>, key: &EventId) -> Result<IntentOutcome, Error> {
    resolve(tx, sql::postgres::DISCARD_INTENT, key).await
}

/// Tells Tidings that something was committed. A hint: it may be lost. [`Waker`](crate::Waker) sends it not more
/// often than is good.
pub async fn notify(pool: &PgPool) -> Result<(), Error> {
    ::sqlx::raw_sql(sql::postgres::NOTIFY).execute(pool).await.map(drop).map_err(Error::Database)
}

async fn insert(tx: &mut PgConnection, event: &Event) -> Result<bool, Error> {
    let statement = ::sqlx::query(sql::postgres::APPEND).bind(event.id.as_str()).bind(render(event)?);
    Ok(statement.execute(tx).await.map_err(classify)?.rows_affected() == 1)
}

async fn resolve(tx: &mut PgConnection, statement: &'static str, key: &EventId) -> Result<IntentOutcome, Error> {
    let row = ::sqlx::query(statement).bind(key.as_str()).fetch_one(tx).await.map_err(classify)?;
    Ok(match row.try_get(0).map_err(Error::Database)? {
        "done" => IntentOutcome::Done,
        "confirmed" => IntentOutcome::AlreadyConfirmed,
        _ => IntentOutcome::Absent,
    })
}

async fn check_same(tx: &mut PgConnection, event: &Event) -> Result<(), Error> {
    let found = ::sqlx::query(sql::postgres::STORED).bind(event.id.as_str()).fetch_optional(&mut *tx).await;
    let same = match found.map_err(classify)? {
        Some(row) => content::same_content(row.try_get(0).map_err(Error::Database)?, &content::render(event)),
        // The row that was in the way has been taken into the log since. Whether it is the same event, the log will
        // judge when this one is written again.
        None => insert(tx, event).await?,
    };
    if same { Ok(()) } else { Err(Error::SourceKeyTaken(event.id.clone())) }
}

fn render(event: &Event) -> Result<String, Error> {
    let bytes = event.data.as_bytes().len();
    if bytes > DATA_BYTES_MAX {
        return Err(Error::DataTooLarge { id: event.id.clone(), bytes });
    }
    Ok(content::render(event))
}

fn code(error: &::sqlx::Error) -> Option<std::borrow::Cow<'_, str>> {
    error.as_database_error().and_then(|error| error.code())
}

/// A missing table (42P01) or schema (3F000) has a name of its own.
pub(crate) fn classify(error: ::sqlx::Error) -> Error {
    let missing = code(&error).is_some_and(|code| code == "42P01" || code == "3F000");
    if missing { Error::NotInstalled } else { Error::Database(error) }
}
