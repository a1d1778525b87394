//! A tenant's move from one partition of this database to another, in one transaction.
//!
//! The log stays as it is: events keep their partition and position, and new ones go to the other partition, under the
//! sequences that follow. What moves is what a router must remember of the tenant. Both partitions' routers are fenced by
//! a new epoch, so that each begins again from what the store holds.

use tidings_event::{PartitionId, Sequence, TenantNo};
use tokio_postgres::error::SqlState;

use super::PostgresStore;
use super::append::LOCK;
use super::failure::of_commit;
use super::flight::{Flight, params};
use super::pool::Lease;
use super::read::number;
use super::shards::PARTITION_OF;
use crate::moves::LOST;
use crate::row::{corrupt, unsigned};
use crate::{Elsewhere, Error, MoveOutcome, Result};

/// A commit of the partition's router locks this first too.
pub(super) const LOCK_ROUTER: &str = "SELECT epoch FROM tidings.leases WHERE role = 'router' AND slot = $1 FOR UPDATE";
pub(super) const TENANT: &str = "SELECT partition, sequence, name FROM tidings.tenants WHERE no = $1 FOR NO KEY UPDATE";
/// Up to which sequence everything is settled for a lane without a row: the last event that lies at or below the
/// router's checkpoint. What lies in other partitions came before the tenant lived here. A binary search, as positions
/// rise along sequences.
pub(super) const SETTLED: &str = "\
    WITH RECURSIVE stand (checkpoint) AS ( \
        SELECT coalesce((SELECT checkpoint FROM tidings.leases WHERE role = 'router' AND slot = $3), 0)), \
    bounds (low, high) AS ( \
        SELECT floor, sequence FROM tidings.tenants WHERE no = $1 \
        UNION ALL \
        SELECT CASE WHEN e.partition <> $2 OR e.position <= s.checkpoint THEN e.sequence ELSE b.low END, \
               CASE WHEN e.partition <> $2 OR e.position <= s.checkpoint THEN b.high ELSE e.sequence - 1 END \
        FROM bounds b CROSS JOIN stand s CROSS JOIN LATERAL \
            (SELECT sequence, partition, position FROM tidings.events \
             WHERE tenant_no = $1 AND sequence >= (b.low + b.high + 1) / 2 ORDER BY sequence LIMIT 1) e \
        WHERE b.low < b.high \
    ) SELECT low FROM bounds WHERE low >= high";
/// What a tenant left in a partition where it was before must lie behind that partition's router: what it routes from here
/// on is then all that the tenant has here, without a gap in between.
pub(super) const IS_READY: &str = "\
    SELECT left_at <= coalesce((SELECT checkpoint FROM tidings.leases WHERE role = 'router' AND slot = $2), 0) \
    FROM tidings.partitions WHERE id = $1";

/// The endpoints of a tenant. As an array, here and below, it is found once, and leads whatever index it is asked of.
macro_rules! endpoints {
    () => {
        "ANY (ARRAY(SELECT no FROM tidings.endpoints WHERE tenant_no = $1))"
    };
}

/// The lanes of a tenant: of its endpoints, and of their replays.
macro_rules! lanes {
    () => {
        concat!(
            "ANY (ARRAY(SELECT no FROM tidings.endpoints WHERE tenant_no = $1 UNION ALL \
              SELECT -no FROM tidings.replays WHERE endpoint = ",
            endpoints!(),
            "))"
        )
    };
}

pub(crate) mod arrive;
pub(crate) mod copy;
pub(crate) mod leave;
pub(crate) mod stand;
pub(crate) mod state;

pub(super) const LANES: &str =
    concat!("UPDATE tidings.lanes SET partition = $3 WHERE partition = $2 AND lane = ", lanes!());
/// Lanes that had no row get one where they are behind the tenant's end.
pub(super) const PUT_LANES: &str = "\
    INSERT INTO tidings.lanes (partition, lane, tenant_no, settled) \
    SELECT $2, e.no, $1, $3 FROM tidings.endpoints e \
    WHERE e.tenant_no = $1 AND e.status <> 'deleted' \
      AND $3 < (SELECT sequence FROM tidings.tenants WHERE no = $1) ON CONFLICT (partition, lane) DO NOTHING";

pub(super) const RETRIES: &str =
    concat!("UPDATE tidings.retries SET partition = $3 WHERE partition = $2 AND lane = ", lanes!());
pub(super) const CIRCUITS: &str =
    concat!("UPDATE tidings.circuits SET partition = $3 WHERE partition = $2 AND lane = ", lanes!());
pub(super) const REDRIVES: &str =
    concat!("UPDATE tidings.redrives SET partition = $3 WHERE partition = $2 AND endpoint = ", endpoints!());
/// Positions of selections are those of the partition: from here on, those of the other one's end.
pub(super) const ENDPOINTS: &str = "\
    UPDATE tidings.endpoints e SET partition = $2, \
    revision = (SELECT revision + 1 FROM tidings.partitions WHERE id = $2), \
    selections = (SELECT jsonb_agg(jsonb_set(s.one, '{position}', \
        (SELECT to_jsonb(position) FROM tidings.partitions WHERE id = $2)) ORDER BY s.at)::text \
        FROM jsonb_array_elements(e.selections::jsonb) WITH ORDINALITY s (one, at)) \
    WHERE e.tenant_no = $1";
pub(super) const REPLAYS: &str = concat!(
    "UPDATE tidings.replays SET partition = $2, \
     revision = (SELECT revision + 1 FROM tidings.partitions WHERE id = $2) WHERE endpoint = ",
    endpoints!()
);
pub(super) const FENCE: &str = "\
    UPDATE tidings.leases SET epoch = epoch + 1, node = NULL, boot = NULL \
    WHERE role = 'router' AND slot = ANY ($1)";
pub(super) const LEAVE: &str =
    "UPDATE tidings.partitions SET revision = revision + 1, moves = moves + 1, left_at = position WHERE id = $1";
/// Along a tenant's sequences no moment falls, so the other partition's next one is not before this one's last.
pub(super) const ENTER: &str = "\
    UPDATE tidings.partitions SET revision = revision + 1, moves = moves + 1, \
    recorded_at = greatest(recorded_at, (SELECT recorded_at FROM tidings.partitions WHERE id = $1)) WHERE id = $2";
pub(super) const PLACE: &str =
    "UPDATE tidings.tenants SET partition = $2, moves = moves + 1 WHERE no = $1 AND partition <> $2";
pub(super) const NOTE_PLACE: &str = "\
    UPDATE tidings.tenants SET partition = $2, moves = moves + 1 \
    WHERE no = $1 AND partition <> $2 AND partition <> ALL ($3)";
/// Divides by zero where anything of the tenant is left behind, or more than one router could act on it.
pub(super) const VERIFY: &str = concat!(
    "SELECT 1 / (CASE WHEN EXISTS (SELECT 1 FROM tidings.lanes WHERE partition = $2 AND lane = ",
    lanes!(),
    ") OR EXISTS (SELECT 1 FROM tidings.retries WHERE partition = $2 AND lane = ",
    lanes!(),
    ") OR EXISTS (SELECT 1 FROM tidings.circuits WHERE partition = $2 AND lane = ",
    lanes!(),
    ") OR EXISTS (SELECT 1 FROM tidings.redrives WHERE partition = $2 AND endpoint = ",
    endpoints!(),
    ") OR EXISTS (SELECT 1 FROM tidings.endpoints WHERE tenant_no = $1 AND partition <> $3) \
       OR EXISTS (SELECT 1 FROM tidings.leases WHERE role = 'router' AND slot IN ($2::text, $3::text) \
           AND node IS NOT NULL) \
       OR (SELECT sequence FROM tidings.tenants WHERE no = $1 AND partition = $3) IS DISTINCT FROM $4 \
      THEN 0 ELSE 1 END)"
);
/// Divides by zero where the tenant does not live in the partition.
pub(super) const LIVES: &str = "SELECT 1 / count(*) FROM tidings.tenants WHERE no = $1 AND partition = $2";
/// Divides by zero where the replay is in another partition.
pub(super) const REPLAY_LIVES: &str =
    "SELECT 1 / (1 - count(*)) FROM tidings.replays WHERE no = $1 AND partition + 0 <> $2";

/// What a flight's failure means that proved where a tenant lives.
pub(super) fn moved_or_failed(failure: tokio_postgres::Error, tenant: Option<TenantNo>) -> Error {
    if failure.code() == Some(&SqlState::DIVISION_BY_ZERO) {
        return Error::Moved(Elsewhere(tenant.into_iter().collect()));
    }
    of_commit(failure)
}

impl PostgresStore {
    /// Moves a tenant within this database.
    pub(crate) async fn move_within(&self, tenant: TenantNo, to: PartitionId) -> Result<MoveOutcome> {
        if !self.partitions.contains(&to) {
            return Ok(MoveOutcome::NoPartition);
        }
        let connections = self.connections.clone();
        let own = self.partitions.iter().map(|own| number(*own)).collect::<Result<Vec<i32>>>()?;
        let task = tokio::spawn(async move {
            let lease = connections.writer().await?;
            let outcome = run(&lease, &own, tenant, to).await;
            lease.finish(outcome).await
        });
        task.await.unwrap_or_else(|_| Err(Error::Broken("a move did not finish".to_owned())))
    }

    /// Whether a tenant may come to a partition: its router has come past what a tenant left there.
    pub(crate) async fn is_ready(&self, partition: PartitionId) -> Result<bool> {
        let rows =
            self.connections.reader().await?.query(IS_READY, &[&number(partition)?, &partition.to_string()]).await?;
        Ok(rows.first().ok_or_else(|| corrupt("partitions"))?.try_get(0)?)
    }

    /// Takes note at home of where a tenant lives, which its own database knows better.
    ///
    /// A tenant that lives at home is left alone: who comes so late speaks of a place from before.
    pub(crate) async fn note_place(&self, tenant: TenantNo, at: PartitionId) -> Result<()> {
        let own = self.partitions.iter().map(|own| number(*own)).collect::<Result<Vec<i32>>>()?;
        self.connections.writer().await?.query(NOTE_PLACE, &[&tenant.get(), &number(at)?, &own]).await.map(drop)
    }
}

async fn run(lease: &Lease, own: &[i32], tenant: TenantNo, to: PartitionId) -> Result<MoveOutcome> {
    let place = lease.prepare_cached(PARTITION_OF).await?;
    let Some(row) = lease.rows(&place, &[&tenant.get()]).await?.into_iter().next() else {
        return Ok(MoveOutcome::NoTenant);
    };
    let from: i32 = row.try_get(0)?;
    let into = number(to)?;
    if from == into {
        return Ok(MoveOutcome::Already);
    }
    if !own.contains(&from) {
        // It is held here, on its way into another database, or has gone there: what is kept of it must not come to life.
        return Err(Error::Moved(Elsewhere(vec![tenant])));
    }
    for sql in [LANES, PUT_LANES, RETRIES, CIRCUITS, REDRIVES, ENDPOINTS, REPLAYS, FENCE, LEAVE, ENTER, PLACE, VERIFY] {
        lease.prepare_cached(sql).await?;
    }
    let (low, high) = (from.min(into), from.max(into));
    let mut flight = Flight::default();
    flight.simple("BEGIN");
    for partition in [low, high] {
        flight.add(lease, LOCK_ROUTER, params![partition.to_string()]).await?;
    }
    for partition in [low, high] {
        flight.add(lease, LOCK, params![partition]).await?;
    }
    let found = flight.add(lease, TENANT, params![tenant.get()]).await?;
    let settled = flight.add(lease, SETTLED, params![tenant.get(), from, from.to_string()]).await?;
    let ready = flight.add(lease, IS_READY, params![into, into.to_string()]).await?;
    let answers = flight.send(lease).await?;
    let is_ready: bool = answers[ready].first().ok_or_else(|| corrupt("partitions"))?.try_get(0)?;
    let row = answers[found].first().ok_or_else(|| corrupt("tenants"))?;
    let (lives, head, name): (i32, i64, &str) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let refusal = if lives != from {
        // Somebody else moved it meanwhile.
        Some(Error::Moved(Elsewhere(vec![tenant])))
    } else {
        None
    };
    let is_fixed = name.starts_with('$');
    if refusal.is_some() || is_fixed || !is_ready {
        lease.batch_execute("ROLLBACK").await?;
        return refusal.map_or(Ok(if is_fixed { MoveOutcome::Fixed } else { MoveOutcome::Later }), Err);
    }
    // Without it nobody can say what was delivered, and to say that all was would lose it.
    let settled = answers[settled].first().ok_or_else(|| Error::Broken(LOST.to_owned()))?.try_get(0)?;
    write(lease, tenant, (from, into), (settled, head)).await?;
    let from = u32::try_from(from).map_err(|_| corrupt("partition"))?;
    Ok(MoveOutcome::Moved { from: PartitionId(from), head: Sequence(unsigned(head)?) })
}

/// The second flight: all that moves, the fence, the proof, the commit.
async fn write(lease: &Lease, tenant: TenantNo, (from, into): (i32, i32), (settled, head): (i64, i64)) -> Result<()> {
    let no = tenant.get();
    let mut flight = Flight::default();
    flight.add(lease, LANES, params![no, from, into]).await?;
    flight.add(lease, PUT_LANES, params![no, into, settled]).await?;
    for sql in [RETRIES, CIRCUITS, REDRIVES] {
        flight.add(lease, sql, params![no, from, into]).await?;
    }
    flight.add(lease, REPLAYS, params![no, into]).await?;
    flight.add(lease, ENDPOINTS, params![no, into]).await?;
    flight.add(lease, FENCE, params![vec![from.to_string(), into.to_string()]]).await?;
    flight.add(lease, LEAVE, params![from]).await?;
    flight.add(lease, ENTER, params![from, into]).await?;
    flight.add(lease, PLACE, params![no, into]).await?;
    flight.add(lease, VERIFY, params![no, from, into, head]).await?;
    flight.simple("COMMIT");
    match flight.send(lease).await {
        Ok(_) => Ok(()),
        Err(failure) if failure.code() == Some(&SqlState::DIVISION_BY_ZERO) => {
            Err(Error::Broken(format!("the move of tenant {tenant} would leave something behind; nothing was moved")))
        }
        Err(failure) => Err(of_commit(failure)),
    }
}
