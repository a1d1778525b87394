//! Events that are kept aside, out of the log.
//!
//! A tenant's row in `quarantines` is locked first, so that its bound holds and its events are numbered in the order in
//! which they are committed.

use std::collections::BTreeMap;

use tidings_event::{EventId, EventType, TenantId, Timestamp, Version};
use tokio_postgres::Row;

use super::failure::of_commit;
use super::flight::{Flight, params};
use super::pool::Lease;
use crate::entries::each_once;
use crate::row::{corrupt, unsigned};
use crate::{Aside, AsideQuery, Result};

/// The columns of an event in the order in which [`row`] takes them.
macro_rules! columns {
    () => {
        "no, tenant, event_id, hash, type, version, event, reasons, sender, at"
    };
}

/// Locks the rows, which are made where there are none.
pub(super) const LOCK: &str = "\
    INSERT INTO tidings.quarantines AS q (tenant, events) SELECT tenant, 0 FROM unnest($1::text[]) r (tenant) \
    ON CONFLICT (tenant) DO UPDATE SET events = q.events RETURNING tenant, events";
/// Locks the row of one tenant, if it has any.
pub(super) const LOCK_ONE: &str = "SELECT events FROM tidings.quarantines WHERE tenant = $1 FOR NO KEY UPDATE";
/// A row that was there has been updated, which its xmax shows.
pub(super) const PUT: &str = "\
    INSERT INTO tidings.asides AS a (tenant, event_id, hash, type, version, event, reasons, sender, at) \
    SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::text[], $5::text[], $6::text[], $7::text[], \
    $8::text[], $9::bigint[]) \
    ON CONFLICT (tenant, event_id, hash) DO UPDATE SET \
    reasons = CASE WHEN a.version = excluded.version THEN excluded.reasons ELSE a.reasons END \
    RETURNING tenant, xmax = 0";
pub(super) const ADD: &str = "\
    INSERT INTO tidings.quarantines AS q (tenant, events) \
    SELECT * FROM unnest($1::text[], $2::bigint[]) \
    ON CONFLICT (tenant) DO UPDATE SET events = q.events + excluded.events";
pub(super) const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM tidings.asides WHERE (tenant, no) > ($1, $2) AND tenant <= $1 ORDER BY tenant, no LIMIT $3"
);
pub(super) const OF_TYPE: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM tidings.asides WHERE (tenant, type, no) > ($1, $4, $2) AND (tenant, type) <= ($1, $4) \
      ORDER BY tenant, type, no LIMIT $3"
);
pub(super) const ONE: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM tidings.asides WHERE (tenant, no) >= ($1, $2) AND (tenant, no) <= ($1, $2) ORDER BY tenant, no"
);
pub(super) const CLEAR: &str = "\
    WITH gone AS (DELETE FROM tidings.asides WHERE ctid = ANY (ARRAY( \
        SELECT a.ctid FROM unnest($2::bigint[]) wanted (no) CROSS JOIN LATERAL ( \
            SELECT ctid FROM tidings.asides WHERE (tenant, no) >= ($1, wanted.no) AND (tenant, no) <= ($1, wanted.no) \
            ORDER BY tenant, no LIMIT 1) a)) RETURNING 1), \
    counted AS (SELECT count(*) AS events FROM gone), \
    less AS (UPDATE tidings.quarantines q SET events = q.events - counted.events FROM counted WHERE q.tenant = $1) \
    SELECT events FROM counted";

fn row(row: &Row) -> Result<Aside> {
    Ok(Aside {
        no: row.try_get(0)?,
        tenant: TenantId::trusted(row.try_get::<_, &str>(1)?),
        event_id: EventId::trusted(row.try_get::<_, &str>(2)?),
        content: row.try_get::<_, &[u8]>(3)?.try_into().map_err(|_| corrupt("hash"))?,
        event_type: EventType::trusted(row.try_get::<_, &str>(4)?),
        version: Version::trusted(row.try_get::<_, &str>(5)?),
        event: row.try_get(6)?,
        reasons: row.try_get(7)?,
        sender: row.try_get(8)?,
        at: Timestamp::from_micros(row.try_get(9)?),
    })
}

pub(super) async fn put(lease: Lease, events: &[Aside], tenant_max: usize) -> Result<bool> {
    let most = i64::try_from(tenant_max).unwrap_or(i64::MAX);
    let rows = each_once(events);
    let mut tenants: Vec<&str> = rows.iter().map(|aside| aside.tenant.as_str()).collect();
    tenants.dedup();
    lease.prepare_cached(ADD).await?;
    let mut flight = Flight::default();
    flight.simple("BEGIN");
    let locked = flight.add(&lease, LOCK, params![tenants]).await?;
    let texts = |of: for<'a> fn(&'a Aside) -> &'a str| rows.iter().map(|aside| of(aside)).collect::<Vec<&str>>();
    let params = params![
        texts(|aside| aside.tenant.as_str()),
        texts(|aside| aside.event_id.as_str()),
        rows.iter().map(|aside| &aside.content[..]).collect::<Vec<&[u8]>>(),
        texts(|aside| aside.event_type.as_str()),
        texts(|aside| aside.version.as_str()),
        texts(|aside| &aside.event),
        texts(|aside| &aside.reasons),
        texts(|aside| &aside.sender),
        rows.iter().map(|aside| aside.at.as_micros()).collect::<Vec<i64>>(),
    ];
    let put = flight.add(&lease, PUT, params).await?;
    let answers = flight.send(&lease).await?;

    let mut fresh: BTreeMap<&str, i64> = BTreeMap::new();
    for row in &answers[put] {
        if row.try_get(1)? {
            *fresh.entry(row.try_get(0)?).or_default() += 1;
        }
    }
    for row in &answers[locked] {
        let (tenant, events): (&str, i64) = (row.try_get(0)?, row.try_get(1)?);
        if fresh.get(tenant).is_some_and(|fresh| events.saturating_add(*fresh) > most) {
            lease.batch_execute("ROLLBACK").await?;
            lease.done();
            return Ok(false);
        }
    }
    let (tenants, counts): (Vec<&str>, Vec<i64>) = fresh.into_iter().unzip();
    let mut flight = Flight::default();
    flight.add(&lease, ADD, params![tenants, counts]).await?;
    flight.simple("COMMIT");
    flight.send(&lease).await.map_err(of_commit)?;
    lease.done();
    Ok(true)
}

pub(super) async fn list(lease: Lease, tenant: &TenantId, query: &AsideQuery) -> Result<Vec<Aside>> {
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    let rows = match &query.event_type {
        None => lease.query(LIST, &[&tenant.as_str(), &query.after, &limit]).await?,
        Some(wanted) => lease.query(OF_TYPE, &[&tenant.as_str(), &query.after, &limit, &wanted.as_str()]).await?,
    };
    rows.iter().map(row).collect()
}

pub(super) async fn one(lease: Lease, tenant: &TenantId, no: i64) -> Result<Option<Aside>> {
    lease.query(ONE, &[&tenant.as_str(), &no]).await?.first().map(row).transpose()
}

pub(super) async fn clear(lease: Lease, tenant: &TenantId, nos: &[i64]) -> Result<u64> {
    let mut flight = Flight::default();
    flight.simple("BEGIN");
    flight.add(&lease, LOCK_ONE, params![tenant.as_str()]).await?;
    let cleared = flight.add(&lease, CLEAR, params![tenant.as_str(), nos]).await?;
    flight.simple("COMMIT");
    let answers = flight.send(&lease).await.map_err(of_commit)?;
    lease.done();
    let count: i64 = answers[cleared].first().map(|row| row.try_get(0)).transpose()?.unwrap_or(0);
    unsigned(count)
}
