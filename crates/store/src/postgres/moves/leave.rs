//! A tenant leaves this database for another one: it is held, and once it has arrived there what it leaves behind is
//! taken away. Its events stay: they are a part of their partition's log.
//!
//! To hold it is to move it, within this database, to a partition that this database does not have. So all that looks for
//! it where it was finds what it finds after any move, and no router here knows anything of it.

use tidings_event::{Sequence, TenantNo};
use tokio_postgres::error::SqlState;

use super::super::PostgresStore;
use super::super::append::LOCK;
use super::super::commit_route::{DELETE_CIRCUITS, DELETE_LANES, FORGET_REDRIVES, FORGET_RETRIES};
use super::super::failure::of_commit;
use super::super::flight::{Flight, params};
use super::super::pool::Lease;
use super::super::read::number;
use super::super::routers::now;
use super::stand::Passage;
use super::{
    CIRCUITS, FENCE, LANES, LEAVE, LOCK_ROUTER, LOST, PLACE, PUT_LANES, REDRIVES, REPLAYS, RETRIES, SETTLED, TENANT,
    VERIFY,
};
use crate::row::{corrupt, unsigned};
use crate::{Elsewhere, Error, Result};

/// A tenant with more events than this which were not brought over yet is not held: bringing them would take too long.
const BEHIND_MAX: u64 = 5_000;
/// Dead letters that are taken away at once.
const DEAD_AT_ONCE: i64 = 10_000;

/// The revision stays, as no router hears of it.
pub(in crate::postgres) const PACK_ENDPOINTS: &str = "UPDATE tidings.endpoints SET partition = $2 WHERE tenant_no = $1";
pub(in crate::postgres) const PACK_REPLAYS: &str =
    concat!("UPDATE tidings.replays SET partition = $2 WHERE endpoint = ", endpoints!());
pub(in crate::postgres) const HOLD: &str = concat!(
    "INSERT INTO tidings.departures (tenant_no, token, from_partition, to_partition, touched_at) \
     VALUES ($1, $2, $3, $4, ",
    now!(),
    ")"
);
/// Back to where it was: positions of selections are those of that partition still.
pub(in crate::postgres) const UNPACK_ENDPOINTS: &str = "\
    UPDATE tidings.endpoints SET partition = $2, \
    revision = (SELECT revision + 1 FROM tidings.partitions WHERE id = $2) WHERE tenant_no = $1";
pub(in crate::postgres) const HELD: &str = "\
    SELECT 1 FROM tidings.departures WHERE tenant_no = $1 AND token = $2 AND NOT arrived FOR UPDATE";
pub(in crate::postgres) const RETURN: &str =
    "UPDATE tidings.partitions SET revision = revision + 1, moves = moves + 1 WHERE id = $1";
pub(in crate::postgres) const RELEASE: &str = "DELETE FROM tidings.departures WHERE tenant_no = $1 AND token = $2";
/// Readers that still watch the partition that it left look anew.
pub(in crate::postgres) const LEFT: &str = concat!(
    "WITH marked AS (UPDATE tidings.departures SET arrived = true, touched_at = ",
    now!(),
    " WHERE tenant_no = $1 AND token = $2 AND NOT arrived RETURNING from_partition) \
     UPDATE tidings.partitions SET moves = moves + 1 WHERE id IN (SELECT from_partition FROM marked)"
);
/// Divides by zero where the tenant does not leave by this move, or has not arrived.
pub(in crate::postgres) const STILL_LEAVING: &str = concat!(
    "WITH held AS (UPDATE tidings.departures SET touched_at = ",
    now!(),
    " WHERE tenant_no = $1 AND token = $2 AND arrived RETURNING 1) SELECT 1 / count(*) FROM held"
);
pub(in crate::postgres) const REMAINING: &str = "\
    SELECT no, id FROM tidings.endpoints WHERE tenant_no = $1 ORDER BY id LIMIT 1";
pub(in crate::postgres) const REPLAYS_OF: &str =
    "SELECT no, id FROM tidings.replays WHERE endpoint = $1 ORDER BY (-no)";
pub(in crate::postgres) const CLEAR_DEAD: &str = "\
    WITH gone AS (DELETE FROM tidings.dead_letters WHERE ctid = ANY (ARRAY( \
        SELECT ctid FROM tidings.dead_letters WHERE endpoint = $1 ORDER BY sequence LIMIT $2)) RETURNING 1) \
    SELECT count(*) FROM gone";
pub(in crate::postgres) const CLEAR_REPLAYS: &str = "DELETE FROM tidings.replays WHERE endpoint = $1";
pub(in crate::postgres) const CLEAR_ENDPOINT: &str = "DELETE FROM tidings.endpoints WHERE no = $1";
pub(in crate::postgres) const LEAVE_FOR_GOOD: &str = "\
    DELETE FROM tidings.departures WHERE tenant_no = $1 AND token = $2 AND arrived \
    AND NOT EXISTS (SELECT 1 FROM tidings.endpoints WHERE tenant_no = $1) RETURNING 1";

/// What became of holding a tenant.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Nothing is taken in for it here any more.
    Held,
    /// Too much of it was not brought over yet; nothing was done.
    Behind,
}

/// An endpoint that a tenant left behind, with its replays: numbers and ids.
#[derive(Debug)]
pub(crate) struct LeftBehind {
    pub(crate) no: i64,
    pub(crate) id: String,
    pub(crate) replays: Vec<(i64, String)>,
}

impl PostgresStore {
    /// Holds a tenant whose events were brought over up to `copied`.
    pub(crate) async fn hold(&self, tenant: TenantNo, passage: &Passage, copied: Sequence) -> Result<Hold> {
        let lease = self.connections.writer().await?;
        let outcome = hold(&lease, tenant, passage, copied).await;
        lease.finish(outcome).await
    }

    /// Lets a held tenant go on where it was, which certainly has not arrived and never will. Does nothing where it is
    /// not held by this move any more.
    pub(crate) async fn release_tenant(&self, tenant: TenantNo, passage: &Passage) -> Result<()> {
        let lease = self.connections.writer().await?;
        let outcome = release(&lease, tenant, passage).await;
        lease.finish(outcome).await
    }

    /// Takes note that a tenant has arrived.
    pub(crate) async fn note_left(&self, tenant: TenantNo, passage: &Passage) -> Result<()> {
        let lease = self.connections.writer().await?;
        let mut flight = Flight::default();
        flight.simple("BEGIN");
        flight.add(&lease, LOCK, params![number(passage.from)?]).await?;
        flight.add(&lease, LEFT, params![tenant.get(), passage.token.as_str()]).await?;
        flight.simple("COMMIT");
        flight.send(&lease).await.map_err(of_commit)?;
        drop(flight);
        lease.done();
        Ok(())
    }

    /// The next of the endpoints that a tenant left behind.
    pub(crate) async fn left_behind(&self, tenant: TenantNo) -> Result<Option<LeftBehind>> {
        let lease = self.connections.reader().await?;
        let remaining = lease.prepare_cached(REMAINING).await?;
        let rows = lease.rows(&remaining, &[&tenant.get()]).await?;
        let Some(row) = rows.first() else {
            lease.done();
            return Ok(None);
        };
        let (no, id): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
        let replays = lease.query(REPLAYS_OF, &[&no]).await?;
        let replays = replays.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_>>()?;
        Ok(Some(LeftBehind { no, id, replays }))
    }

    /// Takes away an endpoint that a tenant left behind, once the tenant has arrived.
    pub(crate) async fn clear(&self, tenant: TenantNo, passage: &Passage, endpoint: &LeftBehind) -> Result<()> {
        let lease = self.connections.writer().await?;
        let outcome = clear(&lease, tenant, passage, endpoint).await;
        lease.finish(outcome).await
    }

    /// The end of a move: whether it came with this call.
    pub(crate) async fn leave_for_good(&self, tenant: TenantNo, passage: &Passage) -> Result<bool> {
        let lease = self.connections.writer().await?;
        Ok(!lease.query(LEAVE_FOR_GOOD, &[&tenant.get(), &passage.token]).await?.is_empty())
    }
}

async fn hold(lease: &Lease, tenant: TenantNo, passage: &Passage, copied: Sequence) -> Result<Hold> {
    for sql in
        [LANES, PUT_LANES, RETRIES, CIRCUITS, REDRIVES, PACK_ENDPOINTS, PACK_REPLAYS, FENCE, LEAVE, PLACE, HOLD, VERIFY]
    {
        lease.prepare_cached(sql).await?;
    }
    let (no, from, into) = (tenant.get(), number(passage.from)?, number(passage.to)?);
    let mut flight = Flight::default();
    flight.simple("BEGIN");
    flight.add(lease, LOCK_ROUTER, params![from.to_string()]).await?;
    flight.add(lease, LOCK, params![from]).await?;
    let found = flight.add(lease, TENANT, params![no]).await?;
    let settled = flight.add(lease, SETTLED, params![no, from, from.to_string()]).await?;
    let answers = flight.send(lease).await?;
    let row = answers[found].first().ok_or_else(|| corrupt("tenants"))?;
    let (lives, head): (i32, i64) = (row.try_get(0)?, row.try_get(1)?);
    if lives != from {
        return Err(Error::Moved(Elsewhere(vec![tenant])));
    }
    if unsigned(head)?.saturating_sub(copied.get()) > BEHIND_MAX {
        lease.batch_execute("ROLLBACK").await?;
        return Ok(Hold::Behind);
    }
    // Without it nobody can say what was delivered, and to say that all was would lose it.
    let settled: i64 = answers[settled].first().ok_or_else(|| Error::Broken(LOST.to_owned()))?.try_get(0)?;
    let mut flight = Flight::default();
    flight.add(lease, LANES, params![no, from, into]).await?;
    flight.add(lease, PUT_LANES, params![no, into, settled]).await?;
    for sql in [RETRIES, CIRCUITS, REDRIVES] {
        flight.add(lease, sql, params![no, from, into]).await?;
    }
    flight.add(lease, PACK_REPLAYS, params![no, into]).await?;
    flight.add(lease, PACK_ENDPOINTS, params![no, into]).await?;
    flight.add(lease, FENCE, params![vec![from.to_string()]]).await?;
    flight.add(lease, LEAVE, params![from]).await?;
    flight.add(lease, PLACE, params![no, into]).await?;
    flight.add(lease, HOLD, params![no, passage.token.as_str(), from, into]).await?;
    flight.add(lease, VERIFY, params![no, from, into, head]).await?;
    flight.simple("COMMIT");
    flight.send(lease).await.map_err(|failure| unproved(failure, tenant))?;
    drop(flight);
    Ok(Hold::Held)
}

async fn release(lease: &Lease, tenant: TenantNo, passage: &Passage) -> Result<()> {
    for sql in [LANES, RETRIES, CIRCUITS, REDRIVES, UNPACK_ENDPOINTS, REPLAYS, FENCE, RETURN, PLACE, RELEASE, VERIFY] {
        lease.prepare_cached(sql).await?;
    }
    let (no, from, into) = (tenant.get(), number(passage.from)?, number(passage.to)?);
    let mut flight = Flight::default();
    flight.simple("BEGIN");
    flight.add(lease, LOCK_ROUTER, params![from.to_string()]).await?;
    flight.add(lease, LOCK, params![from]).await?;
    let found = flight.add(lease, TENANT, params![no]).await?;
    let held = flight.add(lease, HELD, params![no, passage.token.as_str()]).await?;
    let answers = flight.send(lease).await?;
    if answers[held].is_empty() {
        lease.batch_execute("ROLLBACK").await?;
        return Ok(());
    }
    let head: i64 = answers[found].first().ok_or_else(|| corrupt("tenants"))?.try_get(1)?;
    let mut flight = Flight::default();
    for sql in [LANES, RETRIES, CIRCUITS, REDRIVES] {
        flight.add(lease, sql, params![no, into, from]).await?;
    }
    flight.add(lease, REPLAYS, params![no, from]).await?;
    flight.add(lease, UNPACK_ENDPOINTS, params![no, from]).await?;
    flight.add(lease, FENCE, params![vec![from.to_string()]]).await?;
    flight.add(lease, RETURN, params![from]).await?;
    flight.add(lease, PLACE, params![no, from]).await?;
    flight.add(lease, RELEASE, params![no, passage.token.as_str()]).await?;
    flight.add(lease, VERIFY, params![no, into, from, head]).await?;
    flight.simple("COMMIT");
    flight.send(lease).await.map_err(|failure| unproved(failure, tenant))?;
    drop(flight);
    Ok(())
}

async fn clear(lease: &Lease, tenant: TenantNo, passage: &Passage, endpoint: &LeftBehind) -> Result<()> {
    let into = number(passage.to)?;
    let lanes: Vec<i64> = std::iter::once(endpoint.no).chain(endpoint.replays.iter().map(|(no, _)| -no)).collect();
    loop {
        let mut flight = Flight::default();
        flight.simple("BEGIN");
        flight.add(lease, STILL_LEAVING, params![tenant.get(), passage.token.as_str()]).await?;
        let dead = flight.add(lease, CLEAR_DEAD, params![endpoint.no, DEAD_AT_ONCE]).await?;
        flight.simple("COMMIT");
        let answers = flight.send(lease).await.map_err(|failure| gone(failure, tenant))?;
        let count: i64 = answers[dead].first().ok_or_else(|| corrupt("dead_letters"))?.try_get(0)?;
        if count < DEAD_AT_ONCE {
            break;
        }
    }
    let mut flight = Flight::default();
    flight.simple("BEGIN");
    flight.add(lease, STILL_LEAVING, params![tenant.get(), passage.token.as_str()]).await?;
    for sql in [DELETE_LANES, FORGET_RETRIES, DELETE_CIRCUITS] {
        flight.add(lease, sql, params![into, lanes.clone()]).await?;
    }
    flight.add(lease, FORGET_REDRIVES, params![into, vec![endpoint.no]]).await?;
    flight.add(lease, CLEAR_REPLAYS, params![endpoint.no]).await?;
    flight.add(lease, CLEAR_ENDPOINT, params![endpoint.no]).await?;
    flight.simple("COMMIT");
    flight.send(lease).await.map_err(|failure| gone(failure, tenant))?;
    drop(flight);
    Ok(())
}

/// What a flight's failure means that proved that nothing is left in between.
fn unproved(failure: tokio_postgres::Error, tenant: TenantNo) -> Error {
    if failure.code() == Some(&SqlState::DIVISION_BY_ZERO) {
        return Error::Broken(format!("the move of tenant {tenant} would leave something behind; nothing was moved"));
    }
    of_commit(failure)
}

/// What a flight's failure means that proved that the tenant still leaves: somebody else has tidied.
fn gone(failure: tokio_postgres::Error, tenant: TenantNo) -> Error {
    if failure.code() == Some(&SqlState::DIVISION_BY_ZERO) {
        return Error::Moved(Elsewhere(vec![tenant]));
    }
    of_commit(failure)
}
