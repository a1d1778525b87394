//! API keys.

use tidings_event::{TenantId, Text, Timestamp};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::pool::Lease;
use crate::row::corrupt;
use crate::{KeyRow, Result, Role};

macro_rules! columns {
    () => {
        "id, hash, role, tenants, type_prefixes, description, created_at, expires_at, revoked_at, service"
    };
}

pub(super) const INSERT: &str =
    concat!("INSERT INTO tidings.keys (", columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)");
pub(super) const BY_HASH: &str = concat!("SELECT ", columns!(), " FROM tidings.keys WHERE hash = $1");
pub(super) const LIST: &str = concat!("SELECT ", columns!(), " FROM tidings.keys WHERE id > $1 ORDER BY id LIMIT $2");
/// A second revocation keeps the moment of the first.
pub(super) const REVOKE: &str =
    concat!("UPDATE tidings.keys SET revoked_at = coalesce(revoked_at, $2) WHERE id = $1 RETURNING ", columns!());

pub(super) async fn insert(lease: Lease, key: &KeyRow) -> Result<()> {
    let tenants: Vec<&str> = key.tenants.iter().map(TenantId::as_str).collect();
    let (hash, role, created_at) = (&key.hash[..], key.role.as_str(), key.created_at.as_micros());
    let (expires_at, revoked_at) = (key.expires_at.map(Timestamp::as_micros), key.revoked_at.map(Timestamp::as_micros));
    let service = key.service.as_ref().map(Text::as_str);
    let params: [&(dyn ToSql + Sync); 10] = [
        &key.id,
        &hash,
        &role,
        &tenants,
        &key.type_prefixes,
        &key.description,
        &created_at,
        &expires_at,
        &revoked_at,
        &service,
    ];
    lease.query(INSERT, &params).await.map(drop)
}

pub(super) async fn by_hash(lease: Lease, hash: &[u8; 32]) -> Result<Option<KeyRow>> {
    lease.query(BY_HASH, &[&&hash[..]]).await?.first().map(row).transpose()
}

pub(super) async fn list(lease: Lease, after: Option<&str>, limit: usize) -> Result<Vec<KeyRow>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    lease.query(LIST, &[&after.unwrap_or(""), &limit]).await?.iter().map(row).collect()
}

pub(super) async fn revoke(lease: Lease, id: &str, at: Timestamp) -> Result<Option<KeyRow>> {
    lease.query(REVOKE, &[&id, &at.as_micros()]).await?.first().map(row).transpose()
}

fn row(row: &Row) -> Result<KeyRow> {
    let tenants: Vec<&str> = row.try_get(3)?;
    Ok(KeyRow {
        id: row.try_get(0)?,
        hash: row.try_get::<_, &[u8]>(1)?.try_into().map_err(|_| corrupt("hash"))?,
        role: Role::parse(row.try_get(2)?).ok_or_else(|| corrupt("role"))?,
        tenants: tenants.into_iter().map(TenantId::trusted).collect(),
        type_prefixes: row.try_get(4)?,
        service: row.try_get::<_, Option<&str>>(9)?.map(Text::trusted),
        description: row.try_get(5)?,
        created_at: Timestamp::from_micros(row.try_get(6)?),
        expires_at: row.try_get::<_, Option<i64>>(7)?.map(Timestamp::from_micros),
        revoked_at: row.try_get::<_, Option<i64>>(8)?.map(Timestamp::from_micros),
    })
}
