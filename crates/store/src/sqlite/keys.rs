//! API keys.

use rusqlite::{Connection, Row, params};
use tidings_event::{TenantId, Text, Timestamp};

use super::append::BEGIN;
use super::connection::commit;
use crate::row::corrupt;
use crate::{Error, KeyRow, Result, Role};

macro_rules! columns {
    () => {
        "id, hash, role, tenants, type_prefixes, description, created_at, expires_at, revoked_at, service"
    };
}

pub(super) const INSERT: &str =
    concat!("INSERT INTO keys (", columns!(), ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)");
pub(super) const BY_HASH: &str = concat!("SELECT ", columns!(), " FROM keys WHERE hash = ?1");
pub(super) const LIST: &str = concat!("SELECT ", columns!(), " FROM keys WHERE id > ?1 ORDER BY id LIMIT ?2");
/// A second revocation keeps the moment of the first.
pub(super) const REVOKE: &str =
    concat!("UPDATE keys SET revoked_at = coalesce(revoked_at, ?2) WHERE id = ?1 RETURNING ", columns!());

pub(super) fn insert(connection: &Connection, key: &KeyRow) -> Result<()> {
    let tenants: Vec<&str> = key.tenants.iter().map(TenantId::as_str).collect();
    connection.prepare_cached(BEGIN)?.execute([])?;
    connection.prepare_cached(INSERT)?.execute(params![
        key.id,
        &key.hash[..],
        key.role.as_str(),
        json(&tenants)?,
        json(&key.type_prefixes)?,
        key.description,
        key.created_at.as_micros(),
        key.expires_at.map(Timestamp::as_micros),
        key.revoked_at.map(Timestamp::as_micros),
        key.service.as_ref().map(Text::as_str),
    ])?;
    commit(connection)
}

pub(super) fn by_hash(connection: &Connection, hash: &[u8; 32]) -> Result<Option<KeyRow>> {
    let mut statement = connection.prepare_cached(BY_HASH)?;
    let mut rows = statement.query([&hash[..]])?;
    rows.next()?.map(row).transpose()
}

pub(super) fn list(connection: &Connection, after: Option<&str>, limit: usize) -> Result<Vec<KeyRow>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(LIST)?;
    let mut rows = statement.query(params![after.unwrap_or(""), limit])?;
    let mut list = Vec::new();
    while let Some(found) = rows.next()? {
        list.push(row(found)?);
    }
    Ok(list)
}

pub(super) fn revoke(connection: &Connection, id: &str, at: Timestamp) -> Result<Option<KeyRow>> {
    connection.prepare_cached(BEGIN)?.execute([])?;
    let revoked = {
        let mut statement = connection.prepare_cached(REVOKE)?;
        let mut rows = statement.query(params![id, at.as_micros()])?;
        rows.next()?.map(row).transpose()?
    };
    commit(connection)?;
    Ok(revoked)
}

fn row(row: &Row<'_>) -> Result<KeyRow> {
    let role: String = row.get(2)?;
    let tenants: Vec<String> = list_of(&row.get::<_, String>(3)?, "tenants")?;
    Ok(KeyRow {
        id: row.get(0)?,
        hash: row.get(1)?,
        role: Role::parse(&role).ok_or_else(|| corrupt("role"))?,
        tenants: tenants.into_iter().map(TenantId::trusted).collect(),
        type_prefixes: list_of(&row.get::<_, String>(4)?, "type_prefixes")?,
        service: row.get::<_, Option<String>>(9)?.map(Text::trusted),
        description: row.get(5)?,
        created_at: Timestamp::from_micros(row.get(6)?),
        expires_at: row.get::<_, Option<i64>>(7)?.map(Timestamp::from_micros),
        revoked_at: row.get::<_, Option<i64>>(8)?.map(Timestamp::from_micros),
    })
}

fn json<T: serde::Serialize>(list: &[T]) -> Result<String> {
    serde_json::to_string(list).map_err(|error| Error::Broken(error.to_string()))
}

fn list_of(text: &str, column: &str) -> Result<Vec<String>> {
    serde_json::from_str(text).map_err(|_| corrupt(column))
}
