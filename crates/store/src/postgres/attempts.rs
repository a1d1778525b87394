//! Attempts, in a partition for each day.

use std::collections::BTreeSet;

use bytes::Bytes;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use tidings_event::delivery::AttemptRow;
use tidings_event::{EndpointNo, LaneNo, Sequence, Timestamp};
use tokio_postgres::Row;

use super::flight::{Flight, params};
use super::pool::{Connections, Lease};
use crate::encoding::{self, AttemptBounds, DAY_US};
use crate::row::{corrupt, signed, unsigned};
use crate::{AttemptQuery, Result};

/// The columns of an attempt in the order in which [`row`] takes them.
macro_rules! columns {
    () => {
        "a.endpoint, a.at, a.lane, a.sequence, a.attempt, a.duration_us, a.result, a.answer"
    };
}

/// One endpoint's attempts, newest first; `$which` narrows to an index.
macro_rules! newest {
    ($which:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM tidings.attempts a WHERE a.endpoint = $1 AND a.at >= $2 AND a.at < $3 \
              AND (a.at, a.lane, a.sequence, a.attempt) < ($4, $5, $6, $7) AND a.result BETWEEN $8 AND $9 ",
            $which,
            " ORDER BY a.at DESC, a.lane DESC, a.sequence DESC, a.attempt DESC LIMIT $10"
        )
    };
}

pub(super) const NEWEST: &str = newest!("");
pub(super) const NEWEST_FAILED: &str = newest!("AND a.result NOT BETWEEN 200 AND 299");
/// An event has few attempts; what else is asked of them is asked afterwards.
pub(super) const OF_EVENT: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM tidings.attempts a WHERE a.endpoint = $1 AND a.sequence >= $2 AND a.sequence <= $2 \
      ORDER BY a.sequence LIMIT $3"
);
pub(super) const PARTS: &str = "\
    SELECT c.relname::text FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid \
    WHERE i.inhparent = 'tidings.attempts'::regclass";
pub(super) const TRY_LOCK: &str = "SELECT pg_try_advisory_xact_lock($1)";
/// The transaction that holds the lock waits for as long as the work takes.
const PATIENT: &str = "SET LOCAL idle_in_transaction_session_timeout = 0";
pub(super) const DELETE_REST: &str = "\
    DELETE FROM tidings.attempts_rest WHERE ctid = ANY (ARRAY( \
        SELECT ctid FROM tidings.attempts_rest WHERE at < $1 LIMIT $2))";
pub(super) const FORGOTTEN: &str =
    "SELECT no FROM tidings.endpoints WHERE status = 'deleted' AND forgotten ORDER BY partition, no LIMIT 1";
pub(super) const DELETE_DEAD: &str = "\
    DELETE FROM tidings.dead_letters WHERE ctid = ANY (ARRAY( \
        SELECT ctid FROM tidings.dead_letters WHERE endpoint = $1 ORDER BY sequence LIMIT $2))";
pub(super) const DELETE_REPLAYS: &str = "DELETE FROM tidings.replays WHERE endpoint = $1";
pub(super) const DELETE_ENDPOINT: &str = "DELETE FROM tidings.endpoints WHERE no = $1 AND forgotten";

/// Attempts of one event that are looked at.
const OF_EVENT_MAX: i64 = 10_000;
/// Rows removed by one statement.
const CHUNK_ROWS: i64 = 10_000;
/// Held while days are made and dropped, so that servers do it one at a time. The number is the first eight bytes of
/// "attempts".
const KEEPER_LOCK: i64 = i64::from_be_bytes(*b"attempts");

fn row(row: &Row) -> Result<AttemptRow> {
    Ok(AttemptRow {
        endpoint: EndpointNo(row.try_get(0)?),
        at: Timestamp::from_micros(row.try_get(1)?),
        lane: LaneNo(row.try_get(2)?),
        sequence: Sequence(unsigned(row.try_get(3)?)?),
        attempt: encoding::count_of(row.try_get(4)?)?,
        duration_us: row.try_get::<_, i32>(5)?.cast_unsigned(),
        result: encoding::result_of(row.try_get(6)?)?,
        answer: row.try_get::<_, Option<&[u8]>>(7)?.map(Bytes::copy_from_slice).unwrap_or_default(),
    })
}

pub(super) async fn list(lease: Lease, endpoint: EndpointNo, query: &AttemptQuery) -> Result<Vec<AttemptRow>> {
    let bounds = AttemptBounds::of(query);
    if let Some(sequence) = query.sequence {
        let rows = lease.query(OF_EVENT, &[&endpoint.get(), &signed(sequence.get()), &OF_EVENT_MAX]).await?;
        let mut rows = rows.iter().map(row).collect::<Result<Vec<_>>>()?;
        encoding::newest(&mut rows, &bounds, query.limit);
        return Ok(rows);
    }
    let sql = if bounds.failed { NEWEST_FAILED } else { NEWEST };
    let (at, lane, sequence, attempt) = bounds.below;
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    let mut flight = Flight::default();
    let params = params![
        endpoint.get(),
        bounds.since,
        bounds.until,
        at,
        lane,
        sequence,
        attempt,
        bounds.results.0,
        bounds.results.1,
        limit
    ];
    flight.add(&lease, sql, params).await?;
    let answers = flight.send(&lease).await?;
    lease.done();
    answers.iter().flatten().map(row).collect()
}

/// A day's part of the table: its name says which day.
fn part(day: i64) -> String {
    let moment = jiff::Timestamp::from_microsecond(day.saturating_mul(DAY_US)).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("attempts_{}", moment.to_zoned(TimeZone::UTC).strftime("%Y%m%d"))
}

/// The day that a part's name says; none for the rest.
fn day_of(part: &str) -> Option<i64> {
    let date = Date::strptime("%Y%m%d", part.strip_prefix("attempts_")?).ok()?;
    let moment = date.to_zoned(TimeZone::UTC).ok()?.timestamp();
    Some(encoding::day(moment.as_microsecond()))
}

/// Makes room for today and tomorrow, drops the days before `keep_from`, and takes away what endpoints leave behind
/// that their routers have forgotten. One server at a time; another one finds nothing to do.
pub(super) async fn keep(connections: &Connections, now: Timestamp, keep_from: Timestamp) -> Result<bool> {
    // Held by a transaction of its own: where something fails, the connection is closed and the lock with it. A lock of
    // the session would stay behind on a connection that a pooler lends.
    let guard = connections.writer().await?;
    let try_lock = guard.prepare_cached(TRY_LOCK).await?;
    guard.batch_execute("BEGIN").await?;
    guard.batch_execute(PATIENT).await?;
    let locked = guard.rows(&try_lock, &[&KEEPER_LOCK]).await?.first().is_some_and(|row| row.get(0));
    let outcome = match locked {
        true => keep_alone(connections.writer().await?, now, keep_from).await,
        false => Ok(false),
    };
    guard.batch_execute("ROLLBACK").await?;
    guard.done();
    outcome
}

async fn keep_alone(lease: Lease, now: Timestamp, keep_from: Timestamp) -> Result<bool> {
    let parts = lease.prepare_cached(PARTS).await?;
    let days: BTreeSet<i64> = lease.rows(&parts, &[]).await?.iter().filter_map(|row| day_of(row.get(0))).collect();
    let today = encoding::day(now.as_micros());
    for day in [today, today + 1] {
        if !days.contains(&day) {
            make(&lease, day).await?;
        }
    }
    let first = encoding::day(keep_from.as_micros());
    let mut dropped = false;
    for day in days.range(..first) {
        // Readers and commits hold the table for moments; who waits for them holds up all that come after.
        let sql = format!("BEGIN; SET LOCAL lock_timeout = '2s'; DROP TABLE tidings.{}; COMMIT", part(*day));
        lease.batch_execute(&sql).await?;
        dropped = true;
    }
    let rest = lease.prepare_cached(DELETE_REST).await?;
    while lease.execute(&rest, &[&first.saturating_mul(DAY_US), &CHUNK_ROWS]).await? > 0 {
        dropped = true;
    }
    sweep(&lease).await?;
    lease.done();
    Ok(dropped)
}

/// Makes a day's part beside the table and then hangs it in. Reads go on; writes wait for the moment that it takes,
/// because one that has chosen the rest by then would find that it may not go there. What the rest holds of that day
/// moves over.
async fn make(lease: &Lease, day: i64) -> Result<()> {
    let (part, from, to) = (part(day), day.saturating_mul(DAY_US), (day + 1).saturating_mul(DAY_US));
    let sql = format!(
        "BEGIN; SET LOCAL lock_timeout = '2s'; \
         LOCK TABLE tidings.attempts IN SHARE ROW EXCLUSIVE MODE; \
         LOCK TABLE tidings.attempts_rest IN ACCESS EXCLUSIVE MODE; \
         CREATE TABLE tidings.{part} (LIKE tidings.attempts); \
         WITH moved AS (DELETE FROM tidings.attempts_rest WHERE at >= {from} AND at < {to} RETURNING *) \
         INSERT INTO tidings.{part} SELECT * FROM moved; \
         ALTER TABLE tidings.attempts ATTACH PARTITION tidings.{part} FOR VALUES FROM ({from}) TO ({to}); \
         COMMIT"
    );
    Ok(lease.batch_execute(&sql).await?)
}

/// Endpoints that were deleted and that no router knows any more, with what they leave behind.
async fn sweep(lease: &Lease) -> Result<()> {
    let forgotten = lease.prepare_cached(FORGOTTEN).await?;
    let delete_dead = lease.prepare_cached(DELETE_DEAD).await?;
    let delete_replays = lease.prepare_cached(DELETE_REPLAYS).await?;
    let delete_endpoint = lease.prepare_cached(DELETE_ENDPOINT).await?;
    while let Some(row) = lease.rows(&forgotten, &[]).await?.first() {
        let endpoint: i64 = row.try_get(0)?;
        while lease.execute(&delete_dead, &[&endpoint, &CHUNK_ROWS]).await? > 0 {}
        lease.execute(&delete_replays, &[&endpoint]).await?;
        if lease.execute(&delete_endpoint, &[&endpoint]).await? == 0 {
            return Err(corrupt("forgotten"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_named_by_its_day_and_known_by_its_name() {
        for (day, name) in [(0, "attempts_19700101"), (20_527, "attempts_20260315"), (-1, "attempts_19691231")] {
            assert_eq!(part(day), name);
            assert_eq!(day_of(name), Some(day));
        }
        for other in ["attempts_rest", "attempts", "attempts_2026", "attempts_20261301", "other_20260101"] {
            assert_eq!(day_of(other), None, "{other}");
        }
    }
}
