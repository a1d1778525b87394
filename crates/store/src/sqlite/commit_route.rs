//! A router's commit: one transaction that its epoch allows.

use rusqlite::{Connection, params};
use tidings_event::delivery::{AttemptRow, RouteCommit};
use tidings_event::{LaneNo, PartitionId};

use super::append::{self, BEGIN};
use super::connection::{commit, now};
use super::endpoints::{PUT_LANE, bump};
use crate::encoding::{self, count, result_code};
use crate::names::Names;
use crate::row::signed;
use crate::{Append, Result, RouteOutcome};

/// Proves the epoch and moves the checkpoint. The checkpoint never moves beyond the log's end: what
/// came later at those positions would never be routed.
pub(super) const FENCE: &str = "\
    UPDATE leases SET checkpoint = ?3 \
    WHERE role = 'router' AND slot = ?4 AND epoch = ?2 AND checkpoint <= ?3 AND node IS NOT NULL \
      AND (checkpoint = ?3 OR ?3 <= (SELECT position FROM partitions WHERE id = ?1))";
pub(super) const INSERT_ATTEMPT: &str = "\
    INSERT INTO attempts (day, endpoint, at, lane, sequence, attempt, duration_us, result, answer) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING";
pub(super) const DELETE_LANE: &str = "DELETE FROM lanes WHERE partition = ?1 AND lane = ?2";
pub(super) const PUT_RETRY: &str = "\
    INSERT INTO retries (partition, lane, sequence, attempts, next_at, key, previous) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (partition, lane, sequence) DO UPDATE SET \
    attempts = excluded.attempts, next_at = excluded.next_at, key = excluded.key, previous = excluded.previous";
pub(super) const DELETE_RETRY: &str = "DELETE FROM retries WHERE partition = ?1 AND lane = ?2 AND sequence = ?3";
pub(super) const PUT_CIRCUIT: &str = "\
    INSERT INTO circuits (partition, lane, state, since, until, probes, last) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
    ON CONFLICT (partition, lane) DO UPDATE SET state = excluded.state, since = excluded.since, \
    until = excluded.until, probes = excluded.probes, last = excluded.last";
pub(super) const DELETE_CIRCUIT: &str = "DELETE FROM circuits WHERE partition = ?1 AND lane = ?2";
pub(super) const PUT_DEAD: &str = "\
    INSERT INTO dead_letters (tenant_no, sequence, endpoint, attempts, last, reason, died_at) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (tenant_no, sequence, endpoint) DO UPDATE SET \
    attempts = excluded.attempts, last = excluded.last, reason = excluded.reason, died_at = excluded.died_at";
pub(super) const DELETE_REDRIVE: &str = "DELETE FROM redrives WHERE partition = ?1 AND endpoint = ?2 AND sequence = ?3";
/// What a commit counted already is not counted again.
pub(super) const COUNT_REPLAY: &str = "\
    UPDATE replays SET delivered = delivered + ?2, dead = dead + ?3, counted_by = ?4 \
    WHERE no = ?1 AND partition = ?5 AND counted_by IS NOT ?4";
pub(super) const END_REPLAY: &str =
    "UPDATE replays SET state = 'done', ended_at = ?2 WHERE no = ?1 AND partition = ?3 AND state = 'running'";
pub(super) const DISABLE: &str = "\
    UPDATE endpoints SET status = 'disabled', status_reason = ?2, updated_at = ?3, \
    revision = (SELECT revision + 1 FROM partitions WHERE id = ?4) \
    WHERE no = ?1 AND partition = ?4 AND status = 'active'";
pub(super) const FORGET_RETRIES: &str = "DELETE FROM retries WHERE partition = ?1 AND lane = ?2";
pub(super) const FORGET_REDRIVES: &str = "DELETE FROM redrives WHERE partition = ?1 AND endpoint = ?2";
pub(super) const FORGET_ENDPOINT: &str =
    "UPDATE endpoints SET forgotten = 1 WHERE no = ?2 AND partition = ?1 AND status = 'deleted'";

pub(super) fn commit_route(
    connection: &Connection,
    names: &Names,
    route: &RouteCommit,
    appends: Vec<Append>,
) -> Result<RouteOutcome> {
    connection.prepare_cached(BEGIN)?.execute([])?;
    let at = now();
    let slot = route.partition.to_string();
    let proof = params![route.partition.get(), signed(route.epoch.get()), signed(route.checkpoint.get()), slot];
    if connection.prepare_cached(FENCE)?.execute(proof)? == 0 {
        connection.execute_batch("ROLLBACK")?;
        return Ok(RouteOutcome::Fenced);
    }
    insert_attempts(connection, &route.attempts)?;
    write_lanes(connection, route)?;
    write_dead(connection, route)?;
    write_replays(connection, route, at)?;
    forget(connection, route.partition, &encoding::ended(route))?;
    let revision = if disable(connection, route, at)? { Some(bump(connection, route.partition)?) } else { None };
    let appended =
        appends.into_iter().map(|append| append::write(connection, names, append)).collect::<Result<Vec<_>>>()?;
    commit(connection)?;
    Ok(RouteOutcome::Committed { appended, revision })
}

fn insert_attempts(connection: &Connection, attempts: &[AttemptRow]) -> Result<()> {
    if attempts.is_empty() {
        return Ok(());
    }
    let mut insert = connection.prepare_cached(INSERT_ATTEMPT)?;
    for row in attempts {
        let at = row.at.as_micros();
        insert.raw_bind_parameter(1, encoding::day(at))?;
        insert.raw_bind_parameter(2, row.endpoint.get())?;
        insert.raw_bind_parameter(3, at)?;
        insert.raw_bind_parameter(4, row.lane.0)?;
        insert.raw_bind_parameter(5, signed(row.sequence.get()))?;
        insert.raw_bind_parameter(6, count(row.attempt))?;
        insert.raw_bind_parameter(7, row.duration_us)?;
        insert.raw_bind_parameter(8, result_code(row.result))?;
        insert.raw_bind_parameter(9, (!row.answer.is_empty()).then_some(&row.answer[..]))?;
        insert.raw_execute()?;
    }
    Ok(())
}

/// What stands in both lists of a commit stays: better twice than never.
fn write_lanes(connection: &Connection, route: &RouteCommit) -> Result<()> {
    let partition = route.partition.get();
    for lane in &route.caught_up {
        connection.prepare_cached(DELETE_LANE)?.execute(params![partition, lane.0])?;
    }
    for row in &route.lanes {
        let lane = params![partition, row.lane.0, row.tenant.get(), signed(row.settled.get())];
        connection.prepare_cached(PUT_LANE)?.execute(lane)?;
    }
    for (lane, sequence) in &route.settled {
        connection.prepare_cached(DELETE_RETRY)?.execute(params![partition, lane.0, signed(sequence.get())])?;
    }
    for row in &route.retries {
        connection.prepare_cached(PUT_RETRY)?.execute(params![
            partition,
            row.lane.0,
            signed(row.sequence.get()),
            count(row.attempts),
            row.next_at.as_micros(),
            row.key.map(u64::cast_signed),
            row.previous.map(|previous| signed(previous.get())),
        ])?;
    }
    for lane in &route.closed {
        connection.prepare_cached(DELETE_CIRCUIT)?.execute(params![partition, lane.0])?;
    }
    for row in &route.circuits {
        connection.prepare_cached(PUT_CIRCUIT)?.execute(params![
            partition,
            row.lane.0,
            row.state.as_str(),
            row.since.as_micros(),
            row.until.as_micros(),
            count(row.probes),
            result_code(row.last),
        ])?;
    }
    Ok(())
}

fn write_dead(connection: &Connection, route: &RouteCommit) -> Result<()> {
    for row in &route.dead {
        connection.prepare_cached(PUT_DEAD)?.execute(params![
            row.tenant.get(),
            signed(row.sequence.get()),
            row.endpoint.get(),
            count(row.attempts),
            row.last.map(result_code),
            row.reason.as_str(),
            row.died_at.as_micros(),
        ])?;
    }
    for (endpoint, sequence) in &route.redriven {
        let key = params![route.partition.get(), endpoint.get(), signed(sequence.get())];
        connection.prepare_cached(DELETE_REDRIVE)?.execute(key)?;
    }
    Ok(())
}

fn write_replays(connection: &Connection, route: &RouteCommit, at: i64) -> Result<()> {
    if route.replays.is_empty() {
        return Ok(());
    }
    let (partition, by) = (route.partition.get(), encoding::fingerprint(route));
    for replay in route.replays.iter().filter(|replay| encoding::moved(replay)) {
        let (delivered, dead) = (signed(replay.delivered), signed(replay.dead));
        connection.prepare_cached(COUNT_REPLAY)?.execute(params![
            replay.replay.get(),
            delivered,
            dead,
            by,
            partition
        ])?;
        if replay.done {
            connection.prepare_cached(END_REPLAY)?.execute(params![replay.replay.get(), at, partition])?;
        }
    }
    Ok(())
}

/// Takes away what lanes left behind, and marks endpoints that were deleted as forgotten by their router.
pub(super) fn forget(connection: &Connection, partition: PartitionId, lanes: &[LaneNo]) -> Result<()> {
    for lane in lanes {
        for sql in [DELETE_LANE, FORGET_RETRIES, DELETE_CIRCUIT] {
            connection.prepare_cached(sql)?.execute(params![partition.get(), lane.0])?;
        }
        if lane.endpoint().is_some() {
            for sql in [FORGET_REDRIVES, FORGET_ENDPOINT] {
                connection.prepare_cached(sql)?.execute(params![partition.get(), lane.0])?;
            }
        }
    }
    Ok(())
}

/// Whether an endpoint was disabled: those that are not active any more were changed meanwhile, and stay as they are.
fn disable(connection: &Connection, route: &RouteCommit, at: i64) -> Result<bool> {
    let mut disabled = 0;
    for (endpoint, reason) in &route.disabled {
        let change = params![endpoint.get(), reason.as_str(), at, route.partition.get()];
        disabled += connection.prepare_cached(DISABLE)?.execute(change)?;
    }
    Ok(disabled > 0)
}
