//! The inbox in a transaction of `rusqlite`. Begin it with `TransactionBehavior::Immediate`: a transaction that reads
//! before it writes may otherwise find that it cannot write any more.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use rusqlite::TransactionBehavior;
//! use tidings_outbox::event::TenantId;
//! use tidings_outbox::inbox::{Acceptance, Delivery};
//! use tidings_outbox::rusqlite::inbox;
//!
//! let mut connection = rusqlite::Connection::open_in_memory()?;
//! connection.execute_batch("create table balance (amount int); insert into balance values (0)")?;
//! inbox::install(&connection)?;
//! let tenant = TenantId::parse("acme")?;
//!
//! for _ in 0..2 {
//!     let delivery = Delivery::from_headers("7", None)?;
//!     let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
//!     if inbox::accept(&tx, "billing", &tenant, delivery)? == Acceptance::Fresh {
//!         tx.execute("update balance set amount = amount + 100", [])?;
//!         tx.commit()?;
//!     }
//! }
//! assert_eq!(connection.query_row("select amount from balance", [], |row| row.get::<_, i64>(0))?, 100);
//! # Ok(())
//! # }
//! ```

use rusqlite::{Connection, OptionalExtension};
use tidings_event::{Sequence, TenantId};

use super::{Error, InTransaction, classify, execute};
use crate::inbox::{Acceptance, Delivery, Mark, from_sql, interpret, to_sql};
use crate::sql;

/// Makes the inbox's table. Nothing changes where it is there already.
pub fn install(connection: &Connection) -> Result<(), Error> {
    connection.execute_batch(sql::SQLITE_INBOX).map_err(Error::Database)
}

/// Judges a delivery and, when it is fresh, moves the mark.
pub fn accept<T: InTransaction>(
    tx: &T,
    consumer: &str,
    tenant: &TenantId,
    delivery: Delivery,
) -> Result<Acceptance, Error> {
    let (sequence, previous) = (to_sql(delivery.sequence), to_sql(delivery.previous));
    let moved = execute(tx, sql::sqlite::INBOX_ACCEPT, (consumer, tenant.as_str(), sequence, previous))? == 1;
    let mark = if moved { None } else { mark(tx, consumer, tenant)?.map(|mark| to_sql(mark.sequence)) };
    Ok(interpret(moved, mark, delivery))
}

/// Moves the mark to a sequence up to which everything has been seen, with the cursor to go on from. Never back.
pub fn advance<T: InTransaction>(
    tx: &T,
    consumer: &str,
    tenant: &TenantId,
    sequence: Sequence,
    cursor: Option<&str>,
) -> Result<(), Error> {
    execute(tx, sql::sqlite::INBOX_ADVANCE, (consumer, tenant.as_str(), to_sql(sequence), cursor)).map(drop)
}

/// Sets the first mark of a consumer that joins where events have been delivered before. Nothing changes where there
/// is a mark.
pub fn begin_at<T: InTransaction>(tx: &T, consumer: &str, tenant: &TenantId, sequence: Sequence) -> Result<(), Error> {
    execute(tx, sql::sqlite::INBOX_BEGIN, (consumer, tenant.as_str(), to_sql(sequence))).map(drop)
}

/// The mark, if there is one.
pub fn mark<T: InTransaction>(tx: &T, consumer: &str, tenant: &TenantId) -> Result<Option<Mark>, Error> {
    let mut statement = tx.prepare_cached(sql::sqlite::INBOX_MARK).map_err(classify)?;
    let mark = statement.query_row([consumer, tenant.as_str()], |row| {
        Ok(Mark { sequence: from_sql(row.get(0)?), cursor: row.get(1)? })
    });
    mark.optional().map_err(Error::Database)
}

/// Forgets the mark, so that effects may happen again: for a replay on purpose.
pub fn forget<T: InTransaction>(tx: &T, consumer: &str, tenant: &TenantId) -> Result<(), Error> {
    execute(tx, sql::sqlite::INBOX_FORGET, (consumer, tenant.as_str())).map(drop)
}
