//! Events that are kept aside, out of the log.

use rusqlite::{Connection, OptionalExtension, Row, params};
use tidings_event::{EventId, EventType, TenantId, Timestamp, Version};

use super::append::BEGIN;
use super::connection::commit;
use super::routers::all;
use crate::entries::each_once;
use crate::{Aside, AsideQuery, Result};

/// The columns of an event in the order in which [`row`] takes them.
macro_rules! columns {
    () => {
        "no, tenant, event_id, hash, type, version, event, reasons, sender, at"
    };
}

pub(super) const COUNT: &str = "SELECT events FROM quarantines WHERE tenant = ?1";
pub(super) const ADD: &str = "\
    INSERT INTO quarantines (tenant, events) VALUES (?1, ?2) \
    ON CONFLICT (tenant) DO UPDATE SET events = events + excluded.events";
pub(super) const SUBTRACT: &str = "UPDATE quarantines SET events = events - ?2 WHERE tenant = ?1";
pub(super) const RENEW: &str = "\
    UPDATE asides SET reasons = CASE WHEN version = ?4 THEN ?5 ELSE reasons END \
    WHERE tenant = ?1 AND event_id = ?2 AND hash = ?3";
pub(super) const INSERT: &str = "\
    INSERT INTO asides (tenant, event_id, hash, type, version, event, reasons, sender, at) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
pub(super) const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM asides INDEXED BY asides_by_tenant WHERE tenant = ?1 AND no > ?2 ORDER BY no LIMIT ?3"
);
pub(super) const OF_TYPE: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM asides INDEXED BY asides_by_type WHERE tenant = ?1 AND no > ?2 AND type = ?4 ORDER BY no LIMIT ?3"
);
pub(super) const ONE: &str = concat!("SELECT ", columns!(), " FROM asides WHERE no = ?2 AND tenant = ?1");
pub(super) const DELETE: &str = "DELETE FROM asides WHERE no = ?2 AND tenant = ?1";

fn row(row: &Row<'_>) -> Result<Aside> {
    Ok(Aside {
        no: row.get(0)?,
        tenant: TenantId::trusted(row.get::<_, String>(1)?),
        event_id: EventId::trusted(row.get::<_, String>(2)?),
        content: row.get(3)?,
        event_type: EventType::trusted(row.get::<_, String>(4)?),
        version: Version::trusted(row.get::<_, String>(5)?),
        event: row.get(6)?,
        reasons: row.get(7)?,
        sender: row.get(8)?,
        at: Timestamp::from_micros(row.get(9)?),
    })
}

pub(super) fn put(connection: &Connection, events: &[Aside], tenant_max: usize) -> Result<bool> {
    let most = i64::try_from(tenant_max).unwrap_or(i64::MAX);
    connection.prepare_cached(BEGIN)?.execute([])?;
    for aside in each_once(events) {
        let (tenant, id, content) = (aside.tenant.as_str(), aside.event_id.as_str(), &aside.content[..]);
        let renewed = params![tenant, id, content, aside.version.as_str(), aside.reasons];
        if connection.prepare_cached(RENEW)?.execute(renewed)? > 0 {
            continue;
        }
        connection.prepare_cached(INSERT)?.execute(params![
            tenant,
            id,
            content,
            aside.event_type.as_str(),
            aside.version.as_str(),
            aside.event,
            aside.reasons,
            aside.sender,
            aside.at.as_micros(),
        ])?;
        connection.prepare_cached(ADD)?.execute(params![tenant, 1])?;
        let count: Option<i64> = connection.prepare_cached(COUNT)?.query_row([tenant], |row| row.get(0)).optional()?;
        if count.unwrap_or(0) > most {
            connection.execute_batch("ROLLBACK")?;
            return Ok(false);
        }
    }
    commit(connection)?;
    Ok(true)
}

pub(super) fn list(connection: &Connection, tenant: &TenantId, query: &AsideQuery) -> Result<Vec<Aside>> {
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    match &query.event_type {
        None => all(connection, LIST, params![tenant.as_str(), query.after, limit], row),
        Some(wanted) => all(connection, OF_TYPE, params![tenant.as_str(), query.after, limit, wanted.as_str()], row),
    }
}

pub(super) fn one(connection: &Connection, tenant: &TenantId, no: i64) -> Result<Option<Aside>> {
    Ok(all(connection, ONE, params![tenant.as_str(), no], row)?.pop())
}

pub(super) fn clear(connection: &Connection, tenant: &TenantId, nos: &[i64]) -> Result<u64> {
    connection.prepare_cached(BEGIN)?.execute([])?;
    let mut cleared = 0_i64;
    for no in nos {
        let gone = connection.prepare_cached(DELETE)?.execute(params![tenant.as_str(), no])?;
        cleared += i64::try_from(gone).unwrap_or(0);
    }
    if cleared > 0 {
        connection.prepare_cached(SUBTRACT)?.execute(params![tenant.as_str(), cleared])?;
    }
    commit(connection)?;
    crate::row::unsigned(cleared)
}
