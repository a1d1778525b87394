//! The nodes of a log and what each owns.

use std::time::Duration;

use async_trait::async_trait;
use tidings_event::{Epoch, PartitionId, Position, Timestamp};
use tokio_postgres::Row;

use super::PostgresStore;
use super::commit_route::forget;
use super::failure::of_commit;
use super::flight::Flight;
use super::pool::Lease;
use super::read::{REVISION, number};
use super::routers::{GONE, now};
use crate::lease::{in_order, latest};
use crate::row::{corrupt, signed, unsigned};
use crate::{Beat, Boot, Claim, Error, LeaseRole, LeaseRow, LeaseStore, Member, Result, Serves, ShardNo, Slot};

/// What tells that a node beats: its row `n` is younger than `$ttl`. A heartbeat from further ahead than it lasts was
/// not written by this clock: the clock was set back.
macro_rules! beats {
    ($ttl:literal) => {
        concat!("n.seen_at + ", $ttl, " > ", now!(), " AND n.seen_at - ", $ttl, " <= ", now!())
    };
}

/// Rows of runs that were not seen for an hour go too.
pub(super) const BEAT: &str = concat!(
    "WITH own AS ( \
        INSERT INTO tidings.nodes (id, boot, serves, address, version, started_at, seen_at) VALUES ($1, $2, $3, $4, $5, ",
    now!(),
    ", ",
    now!(),
    ") ON CONFLICT (id, boot) DO UPDATE SET serves = excluded.serves, address = excluded.address, \
        version = excluded.version, seen_at = excluded.seen_at \
        RETURNING no, id, boot, serves, address, version, started_at, seen_at), \
    gone AS (DELETE FROM tidings.nodes WHERE seen_at + 3600000000 + $6 < ",
    now!(),
    " AND NOT (id = $1 AND boot = $2)) \
    SELECT no, id, boot, serves, address, version, started_at, seen_at FROM own \
    UNION ALL SELECT n.no, n.id, n.boot, n.serves, n.address, n.version, n.started_at, n.seen_at FROM tidings.nodes n \
    WHERE NOT (n.id = $1 AND n.boot = $2) AND ",
    beats!("$6")
);
/// Who has it must not beat any more, or be another run of the same node; who takes it must, and be its last run.
pub(super) const CLAIM: &str = concat!(
    "UPDATE tidings.leases SET node = $3, boot = $4, epoch = epoch + 1 WHERE role = $1 AND slot = $2 \
     AND (node IS NULL OR node = $3 OR NOT EXISTS ( \
        SELECT 1 FROM tidings.nodes n WHERE n.id = leases.node AND n.boot = leases.boot AND ",
    beats!("$5"),
    ")) AND (SELECT n.boot FROM tidings.nodes n WHERE n.id = $3 AND ",
    beats!("$5"),
    " ORDER BY n.no DESC LIMIT 1) = $4 RETURNING epoch, checkpoint"
);
pub(super) const CREATE: &str =
    "INSERT INTO tidings.leases (role, slot) VALUES ($1, $2) ON CONFLICT (role, slot) DO NOTHING RETURNING 1";
pub(super) const RELEASE: &str =
    "UPDATE tidings.leases SET node = NULL, boot = NULL WHERE role = $1 AND slot = $2 AND epoch = $3";
pub(super) const ADVANCE: &str = "\
    UPDATE tidings.leases SET checkpoint = $4 \
    WHERE role = $1 AND slot = $2 AND epoch = $3 AND node IS NOT NULL RETURNING 1";
pub(super) const LEAVE: &str = "\
    WITH gone AS (DELETE FROM tidings.nodes WHERE id = $1 AND boot = $2) \
    UPDATE tidings.leases SET node = NULL, boot = NULL WHERE node = $1 AND boot = $2";
pub(super) const LIST: &str = "SELECT role, slot, node, boot, epoch, checkpoint FROM tidings.leases";
pub(super) const MASTER_CHECK: &str = "\
    UPDATE tidings.meta SET master_check = CASE WHEN $2 THEN $1 ELSE coalesce(master_check, $1) END \
    RETURNING master_check = $1";

/// A length of time in whole microseconds.
fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX).min(i64::MAX / 4)
}

#[async_trait]
impl LeaseStore for PostgresStore {
    fn shards(&self) -> u16 {
        1
    }

    fn shard_of(&self, _role: LeaseRole, _slot: &Slot) -> ShardNo {
        ShardNo(0)
    }

    async fn beat(&self, _shard: ShardNo, beat: &Beat, ttl: Duration) -> Result<Vec<Member>> {
        let serves = serde_json::to_string(&beat.serves).map_err(|_| corrupt("serves"))?;
        let boot = beat.boot.to_string();
        let params: &[&(dyn tokio_postgres::types::ToSql + Sync)] =
            &[&beat.node, &boot, &serves, &beat.address, &beat.version, &micros(ttl)];
        let rows = self.connections.writer().await?.query(BEAT, params).await?;
        Ok(latest(rows.iter().map(member).collect::<Result<_>>()?))
    }

    async fn leave(&self, _shard: ShardNo, node: &str, boot: Boot) -> Result<()> {
        self.connections.writer().await?.query(LEAVE, &[&node, &boot.to_string()]).await.map(drop)
    }

    async fn claim(
        &self,
        role: LeaseRole,
        slot: &Slot,
        node: &str,
        boot: Boot,
        ttl: Duration,
    ) -> Result<Option<Claim>> {
        claim(self.connections.writer().await?, role, slot, node, boot, ttl).await
    }

    async fn release(&self, role: LeaseRole, slot: &Slot, epoch: Epoch) -> Result<()> {
        let lease = self.connections.writer().await?;
        lease.query(RELEASE, &[&role.as_str(), &slot.as_str(), &signed(epoch.get())]).await.map(drop)
    }

    async fn advance(&self, role: LeaseRole, slot: &Slot, epoch: Epoch, checkpoint: Position) -> Result<bool> {
        let lease = self.connections.writer().await?;
        let (epoch, checkpoint) = (signed(epoch.get()), signed(checkpoint.get()));
        Ok(!lease.query(ADVANCE, &[&role.as_str(), &slot.as_str(), &epoch, &checkpoint]).await?.is_empty())
    }

    async fn leases(&self, _shard: ShardNo) -> Result<Vec<LeaseRow>> {
        let rows = self.connections.reader().await?.query(LIST, &[]).await?;
        Ok(in_order(rows.iter().filter_map(|found| row(found).transpose()).collect::<Result<_>>()?))
    }

    async fn master_check(&self, check: &[u8; 32], replace: bool) -> Result<bool> {
        let rows = self.connections.writer().await?.query(MASTER_CHECK, &[&check.as_slice(), &replace]).await?;
        Ok(rows.first().ok_or_else(|| corrupt("meta"))?.try_get(0)?)
    }
}

async fn claim(
    lease: Lease,
    role: LeaseRole,
    slot: &Slot,
    node: &str,
    boot: Boot,
    ttl: Duration,
) -> Result<Option<Claim>> {
    let (name, boot, ttl) = (role.as_str(), boot.to_string(), micros(ttl));
    let statement = lease.prepare_cached(CLAIM).await?;
    let params: &[&(dyn tokio_postgres::types::ToSql + Sync)] = &[&name, &slot.as_str(), &node, &boot, &ttl];
    let mut claimed = lease.rows(&statement, params).await?;
    let partition = if role == LeaseRole::Pump { None } else { Some(partition(slot)?) };
    if claimed.is_empty() {
        // Tells a lease that another has from one that was never taken, and from one of nothing.
        if let Some(partition) = partition {
            let known = lease.prepare_cached(REVISION).await?;
            if lease.rows(&known, &[&number(partition)?]).await?.is_empty() {
                return Err(Error::Broken(format!("there is no partition {partition}")));
            }
        }
        let create = lease.prepare_cached(CREATE).await?;
        if !lease.rows(&create, &[&name, &slot.as_str()]).await?.is_empty() {
            claimed = lease.rows(&statement, params).await?;
        }
    }
    let Some(claimed) = claimed.first() else {
        lease.done();
        return Ok(None);
    };
    let claim =
        Claim { epoch: Epoch(unsigned(claimed.try_get(0)?)?), checkpoint: Position(unsigned(claimed.try_get(1)?)?) };
    if let (LeaseRole::Router, Some(partition)) = (role, partition) {
        tidy(&lease, number(partition)?).await?;
    }
    lease.done();
    Ok(Some(claim))
}

/// Takes away what no router of a partition will hear of. The owner before is fenced by now, so nothing of it comes
/// back.
async fn tidy(lease: &Lease, partition: i32) -> Result<()> {
    let gone = lease.prepare_cached(GONE).await?;
    let gone: Vec<i64> = lease.rows(&gone, &[&partition]).await?.iter().map(|row| row.get(0)).collect();
    if !gone.is_empty() {
        let mut flight = Flight::default();
        flight.simple("BEGIN");
        forget(&mut flight, lease, partition, gone).await?;
        flight.simple("COMMIT");
        flight.send(lease).await.map_err(of_commit)?;
    }
    Ok(())
}

fn partition(slot: &Slot) -> Result<PartitionId> {
    slot.as_partition().ok_or_else(|| Error::Broken(format!("there is no partition {slot}")))
}

fn member(row: &Row) -> Result<(i64, Member)> {
    let member = Member {
        node: row.try_get(1)?,
        boot: boot(row.try_get(2)?)?,
        serves: serves(row.try_get(3)?),
        address: row.try_get(4)?,
        version: row.try_get(5)?,
        started_at: Timestamp::from_micros(row.try_get(6)?),
        seen_at: Timestamp::from_micros(row.try_get(7)?),
    };
    Ok((row.try_get(0)?, member))
}

/// A lease; nothing where its role is of a version that knows more than this one.
fn row(row: &Row) -> Result<Option<LeaseRow>> {
    let Some(role) = LeaseRole::parse(row.try_get(0)?) else { return Ok(None) };
    let (node, run): (Option<String>, Option<&str>) = (row.try_get(2)?, row.try_get(3)?);
    Ok(Some(LeaseRow {
        role,
        slot: Slot::stored(row.try_get(1)?),
        owner: node.zip(run.map(boot).transpose()?),
        epoch: Epoch(unsigned(row.try_get(4)?)?),
        checkpoint: Position(unsigned(row.try_get(5)?)?),
    }))
}

fn boot(text: &str) -> Result<Boot> {
    text.parse().map(Boot).map_err(|_| corrupt("boot"))
}

/// What cannot be read, of a version that says it otherwise, takes nothing that we know of.
fn serves(text: &str) -> Serves {
    serde_json::from_str(text).unwrap_or_default()
}
