//! The inbox in a transaction of `sqlx` on PostgreSQL. At the isolation level `repeatable read` or above, two
//! deliveries at once end in a serialization failure of the later one; run it again.

use sqlx::{PgPool, Postgres, Row, Transaction};
use tidings_event::{Sequence, TenantId};

use super::{Error, classify, install_script};
use crate::inbox::{Acceptance, Delivery, Mark, from_sql, interpret, to_sql};
use crate::sql;

/// Makes the inbox's table. Nothing changes where it is there already.
pub async fn install(pool: &PgPool) -> Result<(), Error> {
    install_script(pool, sql::POSTGRES_INBOX).await
}

/// Judges a delivery and, when it is fresh, moves the mark. The mark's row is locked until the transaction ends.
pub async fn accept(
    tx: &mut Transaction<'_, Postgres>,
    consumer: &str,
    tenant: &TenantId,
    delivery: Delivery,
) -> Result<Acceptance, Error> {
    let statement = ::sqlx::query(sql::postgres::INBOX_ACCEPT)
        .bind(consumer)
        .bind(tenant.as_str())
        .bind(to_sql(delivery.sequence))
        .bind(to_sql(delivery.previous));
    let row = statement.fetch_one(&mut **tx).await.map_err(classify)?;
    let moved = row.try_get(0).map_err(Error::Database)?;
    let mark = row.try_get(1).map_err(Error::Database)?;
    Ok(interpret(moved, mark, delivery))
}

/// Moves the mark to a sequence up to which everything has been seen, with the cursor to go on from. Never back.
pub async fn advance(
    tx: &mut Transaction<'_, Postgres>,
    consumer: &str,
    tenant: &TenantId,
    sequence: Sequence,
    cursor: Option<&str>,
) -> Result<(), Error> {
    let statement = ::sqlx::query(sql::postgres::INBOX_ADVANCE)
        .bind(consumer)
        .bind(tenant.as_str())
        .bind(to_sql(sequence))
        .bind(cursor);
    statement.execute(&mut **tx).await.map(drop).map_err(classify)
}

/// Sets the first mark of a consumer that joins where events have been delivered before. Nothing changes where there
/// is a mark.
pub async fn begin_at(
    tx: &mut Transaction<'_, Postgres>,
    consumer: &str,
    tenant: &TenantId,
    sequence: Sequence,
) -> Result<(), Error> {
    let statement =
        ::sqlx::query(sql::postgres::INBOX_BEGIN).bind(consumer).bind(tenant.as_str()).bind(to_sql(sequence));
    statement.execute(&mut **tx).await.map(drop).map_err(classify)
}

/// The mark, if there is one; its row is locked until the transaction ends.
pub async fn mark(
    tx: &mut Transaction<'_, Postgres>,
    consumer: &str,
    tenant: &TenantId,
) -> Result<Option<Mark>, Error> {
    let statement = ::sqlx::query(sql::postgres::INBOX_MARK).bind(consumer).bind(tenant.as_str());
    let Some(row) = statement.fetch_optional(&mut **tx).await.map_err(classify)? else { return Ok(None) };
    let sequence = row.try_get(0).map_err(Error::Database)?;
    let cursor = row.try_get(1).map_err(Error::Database)?;
    Ok(Some(Mark { sequence: from_sql(sequence), cursor }))
}

/// Forgets the mark, so that effects may happen again: for a replay on purpose.
pub async fn forget(tx: &mut Transaction<'_, Postgres>, consumer: &str, tenant: &TenantId) -> Result<(), Error> {
    let statement = ::sqlx::query(sql::postgres::INBOX_FORGET).bind(consumer).bind(tenant.as_str());
    statement.execute(&mut **tx).await.map(drop).map_err(classify)
}
