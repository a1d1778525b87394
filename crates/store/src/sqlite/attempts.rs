//! Attempts, day by day.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tidings_event::delivery::AttemptRow;
use tidings_event::{EndpointNo, LaneNo, Sequence, Timestamp};

use super::append::BEGIN;
use super::connection::commit;
use super::routers;
use crate::encoding::{self, AttemptBounds};
use crate::row::{corrupt, signed, unsigned};
use crate::{AttemptQuery, Result};

/// The columns of an attempt in the order in which [`row`] takes them.
macro_rules! columns {
    () => {
        "a.endpoint, a.at, a.lane, a.sequence, a.attempt, a.duration_us, a.result, a.answer"
    };
}

/// One day's attempts, newest first; `$by` and `$which` narrow to an index.
macro_rules! of_day {
    ($by:literal, $which:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM attempts a ",
            $by,
            " WHERE a.day = ?1 AND a.endpoint = ?2 AND a.at >= ?3 AND a.at < ?4 \
              AND (a.at, a.lane, a.sequence, a.attempt) < (?5, ?6, ?7, ?8) AND a.result BETWEEN ?9 AND ?10 ",
            $which,
            " ORDER BY a.at DESC, a.lane DESC, a.sequence DESC, a.attempt DESC LIMIT ?11"
        )
    };
}

pub(super) const OF_DAY: &str = of_day!("", "");
pub(super) const FAILED_OF_DAY: &str = of_day!("INDEXED BY attempts_failed", "AND a.result NOT BETWEEN 200 AND 299");
/// An event has few attempts; what else is asked of them is asked afterwards.
pub(super) const OF_EVENT: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM attempts a INDEXED BY attempts_by_sequence WHERE a.day = ?1 AND a.endpoint = ?2 AND a.sequence = ?3"
);
pub(super) const DAY_BEFORE: &str = "SELECT day FROM attempts WHERE day <= ?1 ORDER BY day DESC LIMIT 1";
pub(super) const FIRST_DAY: &str = "SELECT day FROM attempts WHERE day < ?1 ORDER BY day LIMIT 1";
pub(super) const DELETE: &str = "\
    DELETE FROM attempts WHERE (day, endpoint, at, lane, sequence, attempt) IN \
    (SELECT day, endpoint, at, lane, sequence, attempt FROM attempts WHERE day = ?1 LIMIT ?2)";
pub(super) const FORGOTTEN: &str = "SELECT no FROM endpoints WHERE status = 'deleted' AND forgotten = 1 LIMIT 1";
pub(super) const DELETE_DEAD: &str = "\
    DELETE FROM dead_letters WHERE (tenant_no, sequence, endpoint) IN \
    (SELECT tenant_no, sequence, endpoint FROM dead_letters WHERE endpoint = ?1 LIMIT ?2)";
pub(super) const DELETE_REPLAYS: &str = "DELETE FROM replays WHERE endpoint = ?1";
pub(super) const DELETE_ENDPOINT: &str = "DELETE FROM endpoints WHERE no = ?1";

/// Rows removed in one transaction, so that others get their turn.
const CHUNK_ROWS: i64 = 5_000;

fn row(row: &Row<'_>) -> Result<AttemptRow> {
    Ok(AttemptRow {
        endpoint: EndpointNo(row.get(0)?),
        at: Timestamp::from_micros(row.get(1)?),
        lane: LaneNo(row.get(2)?),
        sequence: Sequence(unsigned(row.get(3)?)?),
        attempt: encoding::count_of(row.get(4)?)?,
        duration_us: row.get(5)?,
        result: encoding::result_of(row.get(6)?)?,
        answer: match row.get_ref(7)?.as_blob_or_null().map_err(|_| corrupt("answer"))? {
            Some(answer) => Bytes::copy_from_slice(answer),
            None => Bytes::new(),
        },
    })
}

pub(super) fn list(connection: &Connection, endpoint: EndpointNo, query: &AttemptQuery) -> Result<Vec<AttemptRow>> {
    let bounds = AttemptBounds::of(query);
    let transaction = connection.unchecked_transaction()?;
    let mut found = Vec::new();
    let mut last = encoding::day(bounds.until.saturating_sub(1));
    while found.len() < query.limit {
        let day: Option<i64> =
            transaction.prepare_cached(DAY_BEFORE)?.query_row([last], |row| row.get(0)).optional()?;
        let Some(day) = day.filter(|day| *day >= encoding::day(bounds.since)) else { break };
        let room = query.limit - found.len();
        found.extend(of_day(&transaction, day, endpoint, query, &bounds, room)?);
        last = day - 1;
    }
    transaction.commit()?;
    Ok(found)
}

/// A day's attempts that are wanted, newest first, at most `limit`.
fn of_day(
    connection: &Connection,
    day: i64,
    endpoint: EndpointNo,
    query: &AttemptQuery,
    bounds: &AttemptBounds,
    limit: usize,
) -> Result<Vec<AttemptRow>> {
    if let Some(sequence) = query.sequence {
        let key = params![day, endpoint.get(), signed(sequence.get())];
        let mut rows = routers::all(connection, OF_EVENT, key, row)?;
        encoding::newest(&mut rows, bounds, limit);
        return Ok(rows);
    }
    let sql = if bounds.failed { FAILED_OF_DAY } else { OF_DAY };
    let (at, lane, sequence, attempt) = bounds.below;
    let params = params![
        day,
        endpoint.get(),
        bounds.since,
        bounds.until,
        at,
        lane,
        sequence,
        attempt,
        bounds.results.0,
        bounds.results.1,
        i64::try_from(limit).unwrap_or(i64::MAX),
    ];
    routers::all(connection, sql, params, row)
}

/// What one transaction of tidying did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tidied {
    /// There was nothing left to do.
    Nothing,
    /// Something, and there may be more. Says whether attempts were dropped.
    Some { attempts: bool },
}

/// Removes a bounded piece of what is no longer kept: attempts of the days before, then what endpoints leave behind
/// that their routers have forgotten.
pub(super) fn tidy(connection: &Connection, keep_from: Timestamp) -> Result<Tidied> {
    connection.prepare_cached(BEGIN)?.execute([])?;
    let first = encoding::day(keep_from.as_micros());
    let old: Option<i64> = connection.prepare_cached(FIRST_DAY)?.query_row([first], |row| row.get(0)).optional()?;
    let tidied = if let Some(day) = old {
        connection.prepare_cached(DELETE)?.execute([day, CHUNK_ROWS])?;
        Tidied::Some { attempts: true }
    } else {
        let forgotten: Option<i64> =
            connection.prepare_cached(FORGOTTEN)?.query_row([], |row| row.get(0)).optional()?;
        match forgotten {
            None => Tidied::Nothing,
            Some(endpoint) => {
                if connection.prepare_cached(DELETE_DEAD)?.execute([endpoint, CHUNK_ROWS])? == 0 {
                    connection.prepare_cached(DELETE_REPLAYS)?.execute([endpoint])?;
                    connection.prepare_cached(DELETE_ENDPOINT)?.execute([endpoint])?;
                }
                Tidied::Some { attempts: false }
            }
        }
    };
    commit(connection)?;
    Ok(tidied)
}
