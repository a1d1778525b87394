//! The inbox in a transaction of `tokio-postgres`. At the isolation level `repeatable read` or above, two deliveries
//! at once end in a serialization failure of the later one; run it again.
//!
//! ```no_run
//! # async fn example(client: &mut tokio_postgres::Client) -> Result<u16, Box<dyn std::error::Error>> {
//! use tidings_outbox::event::TenantId;
//! use tidings_outbox::inbox::{Acceptance, Delivery};
//! use tidings_outbox::tokio_postgres::inbox;
//!
//! let delivery = Delivery::from_headers("1207", Some("1201"))?;
//! let tx = client.transaction().await?;
//! match inbox::accept(&tx, "billing", &TenantId::parse("acme")?, delivery).await? {
//!     Acceptance::Fresh => {
//!         tx.execute("update balance set amount = amount + 100", &[]).await?;
//!         tx.commit().await?;
//!         Ok(204)
//!     }
//!     Acceptance::Duplicate => Ok(204),
//!     Acceptance::Early { .. } => Ok(503),
//! }
//! # }
//! ```

use tidings_event::{Sequence, TenantId};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Transaction};

use super::{Error, classify, install_script};
use crate::inbox::{Acceptance, Delivery, Mark, from_sql, interpret, to_sql};
use crate::sql;

/// Makes the inbox's table. Nothing changes where it is there already.
pub async fn install(client: &mut Client) -> Result<(), Error> {
    install_script(client, sql::POSTGRES_INBOX).await
}

/// Judges a delivery and, when it is fresh, moves the mark. One message; the mark's row is locked until the
/// transaction ends.
pub async fn accept(
    tx: &Transaction<'_>,
    consumer: &str,
    tenant: &TenantId,
    delivery: Delivery,
) -> Result<Acceptance, Error> {
    let (sequence, previous) = (to_sql(delivery.sequence), to_sql(delivery.previous));
    let parameters: [(&(dyn ToSql + Sync), Type); 4] =
        [(&consumer, Type::TEXT), (&tenant.as_str(), Type::TEXT), (&sequence, Type::INT8), (&previous, Type::INT8)];
    let row = tx.query_typed_one(sql::postgres::INBOX_ACCEPT, &parameters).await.map_err(classify)?;
    let moved = row.try_get(0).map_err(Error::Database)?;
    let mark = row.try_get(1).map_err(Error::Database)?;
    Ok(interpret(moved, mark, delivery))
}

/// Moves the mark to a sequence up to which everything has been seen, with the cursor to go on from. Never back.
pub async fn advance(
    tx: &Transaction<'_>,
    consumer: &str,
    tenant: &TenantId,
    sequence: Sequence,
    cursor: Option<&str>,
) -> Result<(), Error> {
    let parameters: [(&(dyn ToSql + Sync), Type); 4] = [
        (&consumer, Type::TEXT),
        (&tenant.as_str(), Type::TEXT),
        (&to_sql(sequence), Type::INT8),
        (&cursor, Type::TEXT),
    ];
    tx.execute_typed(sql::postgres::INBOX_ADVANCE, &parameters).await.map(drop).map_err(classify)
}

/// Sets the first mark of a consumer that joins where events have been delivered before. Nothing changes where there
/// is a mark.
pub async fn begin_at(
    tx: &Transaction<'_>,
    consumer: &str,
    tenant: &TenantId,
    sequence: Sequence,
) -> Result<(), Error> {
    let parameters: [(&(dyn ToSql + Sync), Type); 3] =
        [(&consumer, Type::TEXT), (&tenant.as_str(), Type::TEXT), (&to_sql(sequence), Type::INT8)];
    tx.execute_typed(sql::postgres::INBOX_BEGIN, &parameters).await.map(drop).map_err(classify)
}

/// The mark, if there is one; its row is locked until the transaction ends.
pub async fn mark(tx: &Transaction<'_>, consumer: &str, tenant: &TenantId) -> Result<Option<Mark>, Error> {
    let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&consumer, Type::TEXT), (&tenant.as_str(), Type::TEXT)];
    let row = tx.query_typed_opt(sql::postgres::INBOX_MARK, &parameters).await.map_err(classify)?;
    let Some(row) = row else { return Ok(None) };
    let sequence = row.try_get(0).map_err(Error::Database)?;
    let cursor = row.try_get(1).map_err(Error::Database)?;
    Ok(Some(Mark { sequence: from_sql(sequence), cursor }))
}

/// Forgets the mark, so that effects may happen again: for a replay on purpose.
pub async fn forget(tx: &Transaction<'_>, consumer: &str, tenant: &TenantId) -> Result<(), Error> {
    let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&consumer, Type::TEXT), (&tenant.as_str(), Type::TEXT)];
    tx.execute_typed(sql::postgres::INBOX_FORGET, &parameters).await.map(drop).map_err(classify)
}
