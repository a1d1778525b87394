//! Events and intents in a transaction of `tokio-postgres`.
//!
//! Nothing is prepared: each call is one message to the server and one answer, and the message is sent when the
//! future is first polled. So an append costs no round trip of its own when it is awaited together with a statement
//! of the caller's:
//!
//! ```no_run
//! # async fn example(client: &mut tokio_postgres::Client) -> Result<(), Box<dyn std::error::Error>> {
//! use tidings_outbox::event::{Data, Event, EventType, Source, SourceKind, SystemMint, TenantId, Text};
//! use tidings_outbox::tokio_postgres::{Error, append};
//!
//! let event = Event::new(
//!     EventType::parse("sales.lead.status_changed")?,
//!     TenantId::parse("acme")?,
//!     Source { kind: SourceKind::Service, id: Text::parse("sales")? },
//!     Data::parse(r#"{"from":"new","to":"qualified"}"#).map_err(|violation| violation.message)?,
//!     &mut SystemMint::default(),
//! );
//! let tx = client.transaction().await?;
//! let change = async {
//!     tx.execute("update leads set status = 'qualified' where id = 'lead_42'", &[]).await.map_err(Error::Database)
//! };
//! futures_util::try_join!(change, append(&tx, &event))?;
//! tx.commit().await?; // Both, or neither.
//! # Ok(())
//! # }
//! ```
//!
//! Let the statement that locks the changed row come first: two transactions that change one row then also write
//! their events in the order of their changes.

use tidings_event::limits::DATA_BYTES_MAX;
use tidings_event::{Event, EventId};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, GenericClient, Row, Statement, Transaction};

use crate::{IntentOutcome, Probe, content, sql};

pub mod inbox;

/// Why a call failed.
pub type Error = crate::Error<::tokio_postgres::Error>;

/// Makes the outbox's table and functions, or brings them to [`sql::VERSION`]. Nothing changes where they are there
/// already. Needs the right to create a schema, or one named `tidings` that belongs to the caller.
pub async fn install(client: &mut Client) -> Result<(), Error> {
    install_script(client, sql::POSTGRES_OUTBOX).await
}

pub(crate) async fn install_script(client: &mut Client, script: &str) -> Result<(), Error> {
    let tx = client.transaction().await.map_err(Error::Database)?;
    // A message of the server's for each "if not exists" helps nobody.
    tx.batch_execute("set local client_min_messages = warning").await.map_err(Error::Database)?;
    if let Err(error) = tx.batch_execute(script).await {
        drop(tx);
        let too_new = error.code().is_some_and(|code| code.code() == sql::TOO_NEW_SQLSTATE);
        return Err(match version(client).await {
            Ok(Some(installed)) if too_new => Error::TooNew { installed, known: sql::VERSION },
            _ => Error::Database(error),
        });
    }
    tx.commit().await.map_err(Error::Database)
}

/// The installed version of the outbox; nothing where there is none.
pub async fn version(client: &Client) -> Result<Option<u32>, Error> {
    match client.query_typed_one(sql::postgres::VERSION, &[]).await.map_err(classify) {
        Ok(row) => Ok(Some(row.try_get::<_, i32>(0).map_err(Error::Database)?.unsigned_abs())),
        Err(Error::NotInstalled) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes an event into the outbox. It is in the log soon after the transaction commits, and never if it rolls back.
///
/// Appending the same event again changes nothing, so a transaction whose commit was in doubt may simply run again.
pub async fn append(tx: &Transaction<'_>, event: &Event) -> Result<(), Error> {
    let json = render(event)?;
    let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&event.id.as_str(), Type::TEXT), (&json, Type::TEXT)];
    let inserted = tx.execute_typed(sql::postgres::APPEND, &parameters).await.map_err(classify)?;
    if inserted == 1 { Ok(()) } else { check_same(tx, event).await }
}

/// Prepares [`append_prepared`] on a connection.
///
/// Worth its one trip where a connection is kept: the server then plans the insert once, not with every event.
/// A pool that keeps statements (`prepare_cached`) can prepare [`sql::postgres::APPEND`](crate::sql::postgres::APPEND)
/// itself.
pub async fn prepare(client: &impl GenericClient) -> Result<Statement, Error> {
    client.prepare_typed(sql::postgres::APPEND, &[Type::TEXT, Type::TEXT]).await.map_err(classify)
}

/// Like [`append`], with the statement from [`prepare`] on the same connection.
pub async fn append_prepared(tx: &Transaction<'_>, statement: &Statement, event: &Event) -> Result<(), Error> {
    let json = render(event)?;
    let inserted = tx.execute(statement, &[&event.id.as_str(), &json]).await.map_err(classify)?;
    if inserted == 1 { Ok(()) } else { check_same(tx, event).await }
}

/// Writes several events into the outbox, in order, with one message.
pub async fn append_all(tx: &Transaction<'_>, events: &[Event]) -> Result<(), Error> {
    let keys: Vec<&str> = events.iter().map(|event| event.id.as_str()).collect();
    let bodies = events.iter().map(render).collect::<Result<Vec<_>, _>>()?;
    let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&keys, Type::TEXT_ARRAY), (&bodies, Type::TEXT_ARRAY)];
    let inserted = tx.query_typed(sql::postgres::APPEND_ALL, &parameters).await.map_err(classify)?;
    if inserted.len() == events.len() {
        return Ok(());
    }
    let inserted = inserted.iter().map(|row| row.try_get(0)).collect::<Result<std::collections::HashSet<&str>, _>>();
    let inserted = inserted.map_err(Error::Database)?;
    let mut seen = std::collections::HashSet::new();
    for event in events {
        // The first of a key that was inserted is the row itself.
        let is_row = seen.insert(event.id.as_str()) && inserted.contains(event.id.as_str());
        if !is_row {
            check_same(tx, event).await?;
        }
    }
    Ok(())
}

/// Writes an event of which it is not certain yet that it becomes true. Commit it before the change that it speaks
/// of begins; afterwards [`confirm_intent`] or [`discard_intent`]. What is forgotten is resolved by the probe; without
/// one it stays open until someone decides.
///
/// Writing the same intent again changes nothing.
pub async fn append_intent(tx: &Transaction<'_>, event: &Event, probe: Option<&Probe>) -> Result<(), Error> {
    let json = render(event)?;
    let probe = probe.map(Probe::to_json);
    let parameters: [(&(dyn ToSql + Sync), Type); 3] =
        [(&event.id.as_str(), Type::TEXT), (&json, Type::TEXT), (&probe, Type::TEXT)];
    let inserted = tx.execute_typed(sql::postgres::APPEND_INTENT, &parameters).await.map_err(classify)?;
    if inserted == 1 { Ok(()) } else { check_same(tx, event).await }
}

/// Confirms an intent: its event goes to the log, after those that wait already.
pub async fn confirm_intent(tx: &Transaction<'_>, key: &EventId) -> Result<IntentOutcome, Error> {
    resolve(tx, sql::postgres::CONFIRM_INTENT, key).await
}

/// Discards an intent: its event is never seen.
pub async fn discard_intent(tx: &Transaction<'_>, key: &EventId) -> Result<IntentOutcome, Error> {
    resolve(tx, sql::postgres::DISCARD_INTENT, key).await
}

/// Tells Tidings that something was committed. A hint: it may be lost. [`Waker`](crate::Waker) sends it not more
/// often than is good.
pub async fn notify(client: &Client) -> Result<(), Error> {
    client.batch_execute(sql::postgres::NOTIFY).await.map_err(Error::Database)
}

async fn resolve(tx: &Transaction<'_>, statement: &str, key: &EventId) -> Result<IntentOutcome, Error> {
    let row = tx.query_typed_one(statement, &[(&key.as_str(), Type::TEXT)]).await.map_err(classify)?;
    Ok(match text(&row, 0)? {
        "done" => IntentOutcome::Done,
        "confirmed" => IntentOutcome::AlreadyConfirmed,
        _ => IntentOutcome::Absent,
    })
}

async fn check_same(tx: &Transaction<'_>, event: &Event) -> Result<(), Error> {
    let key = event.id.as_str();
    let row = tx.query_typed_opt(sql::postgres::STORED, &[(&key, Type::TEXT)]).await.map_err(classify)?;
    let Some(row) = row else {
        // The row that was in the way has been taken into the log since, with all that this transaction could say
        // of it. Whether it is the same event, the log will judge when this one is written again.
        let json = render(event)?;
        let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&key, Type::TEXT), (&json, Type::TEXT)];
        let inserted = tx.execute_typed(sql::postgres::APPEND, &parameters).await.map_err(classify)?;
        return if inserted == 1 { Ok(()) } else { Err(Error::SourceKeyTaken(event.id.clone())) };
    };
    if content::same_content(text(&row, 0)?, &content::render(event)) {
        Ok(())
    } else {
        Err(Error::SourceKeyTaken(event.id.clone()))
    }
}

fn text(row: &Row, column: usize) -> Result<&str, Error> {
    row.try_get(column).map_err(Error::Database)
}

fn render(event: &Event) -> Result<String, Error> {
    let bytes = event.data.as_bytes().len();
    if bytes > DATA_BYTES_MAX {
        return Err(Error::DataTooLarge { id: event.id.clone(), bytes });
    }
    Ok(content::render(event))
}

pub(crate) fn classify(error: ::tokio_postgres::Error) -> Error {
    match error.code() {
        Some(code) if [SqlState::UNDEFINED_TABLE, SqlState::INVALID_SCHEMA_NAME].contains(code) => Error::NotInstalled,
        _ => Error::Database(error),
    }
}
