//! The nodes of a log and what each owns.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tidings_event::{Epoch, LaneNo, Position, Timestamp};

use super::append::BEGIN;
use super::commit_route::forget;
use super::connection::{commit, now};
use super::routers::{GONE, all};
use super::{SqliteStore, read};
use crate::lease::{in_order, latest};
use crate::row::{corrupt, signed, unsigned};
use crate::{Beat, Boot, Claim, Error, LeaseRole, LeaseRow, LeaseStore, Member, Result, Serves, ShardNo, Slot};

pub(super) const BEAT: &str = "\
    INSERT INTO nodes (id, boot, serves, address, version, started_at, seen_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6) \
    ON CONFLICT (id, boot) DO UPDATE SET serves = excluded.serves, address = excluded.address, \
    version = excluded.version, seen_at = excluded.seen_at";
/// Rows of runs that were not seen for an hour.
pub(super) const SWEEP: &str = "DELETE FROM nodes WHERE seen_at + 3600000000 + ?2 < ?1";
/// A heartbeat from further ahead than it lasts was not written by this clock: the clock was set back.
pub(super) const MEMBERS: &str = "\
    SELECT no, id, boot, serves, address, version, started_at, seen_at FROM nodes \
    WHERE seen_at + ?2 > ?1 AND seen_at - ?2 <= ?1 OR (id = ?3 AND boot = ?4)";
/// Who has it must not beat any more, or be another run of the same node; who takes it must, and be its last run.
pub(super) const CLAIM: &str = "\
    UPDATE leases SET node = ?3, boot = ?4, epoch = epoch + 1 WHERE role = ?1 AND slot = ?2 \
    AND (node IS NULL OR node = ?3 OR NOT EXISTS ( \
        SELECT 1 FROM nodes n WHERE n.id = leases.node AND n.boot = leases.boot \
        AND n.seen_at + ?5 > ?6 AND n.seen_at - ?5 <= ?6)) \
    AND (SELECT n.boot FROM nodes n WHERE n.id = ?3 AND n.seen_at + ?5 > ?6 AND n.seen_at - ?5 <= ?6 \
         AND n.no = (SELECT max(m.no) FROM nodes m WHERE m.id = ?3 AND m.seen_at + ?5 > ?6 AND m.seen_at - ?5 <= ?6) \
        ) = ?4 \
    RETURNING epoch, checkpoint";
pub(super) const CREATE: &str = "INSERT INTO leases (role, slot) VALUES (?1, ?2) ON CONFLICT (role, slot) DO NOTHING";
pub(super) const RELEASE: &str =
    "UPDATE leases SET node = NULL, boot = NULL WHERE role = ?1 AND slot = ?2 AND epoch = ?3";
pub(super) const ADVANCE: &str =
    "UPDATE leases SET checkpoint = ?4 WHERE role = ?1 AND slot = ?2 AND epoch = ?3 AND node IS NOT NULL";
pub(super) const LEAVE: &str = "UPDATE leases SET node = NULL, boot = NULL WHERE node = ?1 AND boot = ?2";
pub(super) const FORGET: &str = "DELETE FROM nodes WHERE id = ?1 AND boot = ?2";
pub(super) const LIST: &str = "SELECT role, slot, node, boot, epoch, checkpoint FROM leases";
pub(super) const MASTER_CHECK: &str = "\
    UPDATE meta SET master_check = CASE WHEN ?2 THEN ?1 ELSE coalesce(master_check, ?1) END \
    RETURNING master_check = ?1";

/// A length of time in whole microseconds.
fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX).min(i64::MAX / 4)
}

#[async_trait]
impl LeaseStore for SqliteStore {
    fn shards(&self) -> u16 {
        1
    }

    fn shard_of(&self, _role: LeaseRole, _slot: &Slot) -> ShardNo {
        ShardNo(0)
    }

    async fn beat(&self, _shard: ShardNo, beat: &Beat, ttl: Duration) -> Result<Vec<Member>> {
        let beat = beat.clone();
        self.writer.call(move |connection, _| write_beat(connection, &beat, micros(ttl))).await
    }

    async fn leave(&self, _shard: ShardNo, node: &str, boot: Boot) -> Result<()> {
        let node = node.to_owned();
        self.writer.call(move |connection, _| leave(connection, &node, boot)).await
    }

    async fn claim(
        &self,
        role: LeaseRole,
        slot: &Slot,
        node: &str,
        boot: Boot,
        ttl: Duration,
    ) -> Result<Option<Claim>> {
        let (slot, node) = (slot.clone(), node.to_owned());
        self.writer.call(move |connection, _| claim(connection, role, &slot, &node, boot, micros(ttl))).await
    }

    async fn release(&self, role: LeaseRole, slot: &Slot, epoch: Epoch) -> Result<()> {
        let slot = slot.clone();
        let release = move |connection: &Connection| {
            let of = params![role.as_str(), slot.as_str(), signed(epoch.get())];
            connection.prepare_cached(RELEASE)?.execute(of)?;
            Ok(())
        };
        self.writer.call(move |connection, _| release(connection)).await
    }

    async fn advance(&self, role: LeaseRole, slot: &Slot, epoch: Epoch, checkpoint: Position) -> Result<bool> {
        let slot = slot.clone();
        let advance = move |connection: &Connection| {
            let to = params![role.as_str(), slot.as_str(), signed(epoch.get()), signed(checkpoint.get())];
            Ok(connection.prepare_cached(ADVANCE)?.execute(to)? > 0)
        };
        self.writer.call(move |connection, _| advance(connection)).await
    }

    async fn leases(&self, _shard: ShardNo) -> Result<Vec<LeaseRow>> {
        self.readers
            .call(|connection| Ok(in_order(all(connection, LIST, [], row)?.into_iter().flatten().collect())))
            .await
    }

    async fn master_check(&self, check: &[u8; 32], replace: bool) -> Result<bool> {
        let check = *check;
        let keep = move |connection: &Connection| {
            Ok(connection.prepare_cached(MASTER_CHECK)?.query_row(params![check, replace], |row| row.get(0))?)
        };
        self.writer.call(move |connection, _| keep(connection)).await
    }
}

fn write_beat(connection: &Connection, beat: &Beat, ttl: i64) -> Result<Vec<Member>> {
    let serves = serde_json::to_string(&beat.serves).map_err(|_| corrupt("serves"))?;
    let (boot, at) = (beat.boot.to_string(), now());
    let _relaxed = Relaxed::begin(connection)?;
    connection.prepare_cached(BEGIN)?.execute([])?;
    let own = params![beat.node, boot, serves, beat.address, beat.version, at];
    connection.prepare_cached(BEAT)?.execute(own)?;
    connection.prepare_cached(SWEEP)?.execute(params![at, ttl])?;
    let found = all(connection, MEMBERS, params![at, ttl, beat.node, boot], member)?;
    commit(connection)?;
    Ok(latest(found))
}

/// While it lives, commits are not synced. A heartbeat that a power cut takes away is of a node that the cut took, too.
/// What was committed before stays as safe as it was, and the next commit that is synced takes all before it along.
struct Relaxed<'a> {
    connection: &'a Connection,
    synchronous: i64,
}

impl<'a> Relaxed<'a> {
    fn begin(connection: &'a Connection) -> Result<Self> {
        let synchronous = connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
        connection.pragma_update(None, "synchronous", 1)?;
        Ok(Self { connection, synchronous })
    }
}

impl Drop for Relaxed<'_> {
    fn drop(&mut self) {
        // It cannot be set within a transaction; one that is still open has failed.
        if !self.connection.is_autocommit() {
            let _failed_anyway = self.connection.execute_batch("ROLLBACK");
        }
        if let Err(error) = self.connection.pragma_update(None, "synchronous", self.synchronous) {
            tracing::error!(%error, "commits may not be synced until the next heartbeat");
        }
    }
}

fn leave(connection: &Connection, node: &str, boot: Boot) -> Result<()> {
    let run = boot.to_string();
    connection.prepare_cached(BEGIN)?.execute([])?;
    connection.prepare_cached(FORGET)?.execute(params![node, run])?;
    connection.prepare_cached(LEAVE)?.execute(params![node, run])?;
    commit(connection)
}

fn claim(
    connection: &Connection,
    role: LeaseRole,
    slot: &Slot,
    node: &str,
    boot: Boot,
    ttl: i64,
) -> Result<Option<Claim>> {
    let partition = match role {
        LeaseRole::Pump => None,
        _ => Some(slot.as_partition().ok_or_else(|| Error::Broken(format!("there is no partition {slot}")))?),
    };
    if let Some(partition) = partition {
        read::revision(connection, partition)?;
    }
    connection.prepare_cached(BEGIN)?.execute([])?;
    connection.prepare_cached(CREATE)?.execute(params![role.as_str(), slot.as_str()])?;
    let claimed: Option<(i64, i64)> = connection
        .prepare_cached(CLAIM)?
        .query_row(params![role.as_str(), slot.as_str(), node, boot.to_string(), ttl, now()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some((epoch, checkpoint)) = claimed else {
        connection.execute_batch("ROLLBACK")?;
        return Ok(None);
    };
    // The owner before is fenced by now, so nothing that is tidied away comes back.
    if let (LeaseRole::Router, Some(partition)) = (role, partition) {
        let gone = all(connection, GONE, [partition.get()], |row| Ok(LaneNo(row.get(0)?)))?;
        forget(connection, partition, &gone)?;
    }
    commit(connection)?;
    Ok(Some(Claim { epoch: Epoch(unsigned(epoch)?), checkpoint: Position(unsigned(checkpoint)?) }))
}

fn member(row: &Row<'_>) -> Result<(i64, Member)> {
    let serves: String = row.get(3)?;
    let member = Member {
        node: row.get(1)?,
        boot: boot(&row.get::<_, String>(2)?)?,
        // What cannot be read, of a version that says it otherwise, takes nothing that we know of.
        serves: serde_json::from_str::<Serves>(&serves).unwrap_or_default(),
        address: row.get(4)?,
        version: row.get(5)?,
        started_at: Timestamp::from_micros(row.get(6)?),
        seen_at: Timestamp::from_micros(row.get(7)?),
    };
    Ok((row.get(0)?, member))
}

/// A lease; nothing where its role is of a version that knows more than this one.
fn row(row: &Row<'_>) -> Result<Option<LeaseRow>> {
    let Some(role) = LeaseRole::parse(&row.get::<_, String>(0)?) else { return Ok(None) };
    let run = row.get::<_, Option<String>>(3)?.map(|text| boot(&text)).transpose()?;
    Ok(Some(LeaseRow {
        role,
        slot: Slot::stored(row.get(1)?),
        owner: row.get::<_, Option<String>>(2)?.zip(run),
        epoch: Epoch(unsigned(row.get(4)?)?),
        checkpoint: Position(unsigned(row.get(5)?)?),
    }))
}

fn boot(text: &str) -> Result<Boot> {
    text.parse().map(Boot).map_err(|_| corrupt("boot"))
}
