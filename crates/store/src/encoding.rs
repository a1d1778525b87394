//! How the values of delivery lie in columns, the same in both databases.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::{Deserialize, Serialize};
use tidings_event::delivery::{AttemptResult, AttemptRow, Failure, ReplayProgress, RouteCommit};
use tidings_event::{EndpointNo, LaneNo, PartitionId, Position, Sequence};

use crate::row::{corrupt, signed};
use crate::{Append, AttemptFilter, AttemptQuery, DeadQuery, Error, Result, SelectionRow};

/// Microseconds of a day.
pub(crate) const DAY_US: i64 = 86_400_000_000;

/// The day of a moment, counted from 1970-01-01.
pub(crate) fn day(at_us: i64) -> i64 {
    at_us.div_euclid(DAY_US)
}

/// A result as one number: a status as it is, a failure below zero. These numbers never change their meaning.
pub(crate) fn result_code(result: AttemptResult) -> i32 {
    match result {
        AttemptResult::Status(status) => i32::from(status),
        AttemptResult::Failed(failure) => match failure {
            Failure::Dns => -1,
            Failure::Forbidden => -2,
            Failure::Refused => -3,
            Failure::Tls => -4,
            Failure::Timeout => -5,
            Failure::Reset => -6,
            Failure::Protocol => -7,
            Failure::Proxy => -8,
            Failure::Payload => -9,
        },
    }
}

/// The result that a number stands for.
pub(crate) fn result_of(code: i32) -> Result<AttemptResult> {
    if code >= 0 {
        return u16::try_from(code).map(AttemptResult::Status).map_err(|_| corrupt("result"));
    }
    let mut results = Failure::ALL.iter().map(|failure| AttemptResult::Failed(*failure));
    results.find(|result| result_code(*result) == code).ok_or_else(|| corrupt("result"))
}

/// A count as the databases hold it; nothing counts so far that it would not fit.
pub(crate) fn count(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// A count that was stored.
pub(crate) fn count_of(number: i32) -> Result<u32> {
    u32::try_from(number).map_err(|_| corrupt("a negative count"))
}

/// A selection in the JSON of the column.
#[derive(Serialize, Deserialize)]
struct Selection {
    after: u64,
    position: u64,
    types: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    filter: Option<String>,
}

/// Selections as the column holds them.
pub(crate) fn selections(rows: &[SelectionRow]) -> Result<String> {
    let rows: Vec<Selection> = rows
        .iter()
        .map(|row| Selection {
            after: row.after.get(),
            position: row.position.get(),
            types: row.types.clone(),
            filter: row.filter.clone(),
        })
        .collect();
    serde_json::to_string(&rows).map_err(|error| Error::Broken(error.to_string()))
}

/// Selections that were stored.
pub(crate) fn selections_of(text: &str) -> Result<Vec<SelectionRow>> {
    let rows: Vec<Selection> = serde_json::from_str(text).map_err(|_| corrupt("selections"))?;
    let row = |row: Selection| SelectionRow {
        after: Sequence(row.after),
        position: Position(row.position),
        types: row.types,
        filter: row.filter,
    };
    Ok(rows.into_iter().map(row).collect())
}

/// Types as the column holds them.
pub(crate) fn types(types: &[String]) -> Result<String> {
    serde_json::to_string(types).map_err(|error| Error::Broken(error.to_string()))
}

/// Types that were stored.
pub(crate) fn types_of(text: &str) -> Result<Vec<String>> {
    serde_json::from_str(text).map_err(|_| corrupt("types"))
}

/// Which attempts a query wants, as bounds of columns.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AttemptBounds {
    /// Only failed ones, so that the index of those serves.
    pub(crate) failed: bool,
    /// The least and the greatest code of a result.
    pub(crate) results: (i32, i32),
    /// From this moment,
    pub(crate) since: i64,
    /// to before this one.
    pub(crate) until: i64,
    /// Below this moment, lane, sequence and attempt.
    pub(crate) below: (i64, i64, i64, i32),
}

impl AttemptBounds {
    pub(crate) fn of(query: &AttemptQuery) -> Self {
        let all = (i32::MIN, i32::MAX);
        let (failed, results) = match query.ended {
            None => (false, all),
            Some(AttemptFilter::Succeeded) => (false, (200, 299)),
            Some(AttemptFilter::Failed) => (true, all),
            Some(AttemptFilter::Status(low, high)) => (high < 200 || low > 299, (i32::from(low), i32::from(high))),
        };
        let since = query.since.map_or(i64::MIN, |at| at.as_micros());
        let until = query.until.map_or(i64::MAX, |at| at.as_micros());
        let below = match query.beyond {
            None => (i64::MAX, i64::MAX, i64::MAX, i32::MAX),
            Some((at, lane, sequence, attempt)) => (at.as_micros(), lane.0, signed(sequence.get()), count(attempt)),
        };
        Self { failed, results, since, until: until.min(below.0.saturating_add(1)), below }
    }

    /// Whether an attempt with these columns is wanted.
    pub(crate) fn hold(&self, at: i64, lane: i64, sequence: i64, attempt: i32, result: i32) -> bool {
        (self.since..self.until).contains(&at)
            && (at, lane, sequence, attempt) < self.below
            && (self.results.0..=self.results.1).contains(&result)
            && !(self.failed && (200..=299).contains(&result))
    }
}

/// Where the search for dead letters begins and ends: after a sequence and an endpoint, up to a sequence.
pub(crate) fn dead_bounds(query: &DeadQuery) -> ((i64, i64), i64) {
    let after = query.after.map_or((0, 0), |(sequence, endpoint)| (signed(sequence.get()), endpoint.get()));
    match query.sequence.map(|sequence| signed(sequence.get())) {
        Some(sequence) => (after.max((sequence.saturating_sub(1), i64::MAX)), sequence),
        None => (after, i64::MAX),
    }
}

/// Puts attempts in order, newest first, and keeps those that are wanted.
pub(crate) fn newest(rows: &mut Vec<AttemptRow>, bounds: &AttemptBounds, limit: usize) {
    let key = |row: &AttemptRow| (row.at, row.lane, row.sequence, row.attempt);
    rows.retain(|row| {
        let (lane, sequence) = (row.lane.0, signed(row.sequence.get()));
        bounds.hold(row.at.as_micros(), lane, sequence, count(row.attempt), result_code(row.result))
    });
    rows.sort_unstable_by_key(|row| std::cmp::Reverse(key(row)));
    rows.truncate(limit);
}

/// Names a commit, so that what it counts is counted once however often it is written. Stable as long as its router
/// lives, which is as long as the same commit can come again.
pub(crate) fn fingerprint(commit: &RouteCommit) -> i64 {
    let mut hasher = DefaultHasher::new();
    (commit.partition, commit.epoch, commit.checkpoint).hash(&mut hasher);
    for attempt in &commit.attempts {
        (attempt.lane, attempt.sequence, attempt.attempt, attempt.at).hash(&mut hasher);
    }
    for dead in &commit.dead {
        (dead.endpoint, dead.sequence, dead.died_at).hash(&mut hasher);
    }
    for lane in &commit.lanes {
        (lane.lane, lane.settled).hash(&mut hasher);
    }
    commit.settled.hash(&mut hasher);
    hasher.finish().cast_signed()
}

/// The lanes that end with a commit: those it names, and those of replays that are done.
pub(crate) fn ended(commit: &RouteCommit) -> Vec<LaneNo> {
    let done = commit.replays.iter().filter(|replay| replay.done).map(|replay| LaneNo::from(replay.replay));
    let lanes: BTreeSet<LaneNo> = commit.ended.iter().copied().chain(done).collect();
    lanes.into_iter().collect()
}

/// A replay that moved nowhere needs no row changed.
pub(crate) fn moved(progress: &ReplayProgress) -> bool {
    progress.done || progress.delivered > 0 || progress.dead > 0
}

/// Rows by their key, in its order, the last of each: so that rows are locked in one order, and each once.
pub(crate) fn last_of<'a, T, K: Ord>(rows: &'a [T], key: impl Fn(&'a T) -> K) -> Vec<&'a T> {
    let last: BTreeMap<K, &T> = rows.iter().map(|row| (key(row), row)).collect();
    last.into_values().collect()
}

/// The partitions whose heads a transaction locks, in the order in which it does.
pub(crate) fn heads_locked(own: Option<PartitionId>, appends: &[Append]) -> Vec<PartitionId> {
    let all: BTreeSet<PartitionId> = appends.iter().map(|append| append.partition).chain(own).collect();
    all.into_iter().collect()
}

/// Redrives read at once.
pub(crate) const REDRIVES_MAX: usize = 10_000;
/// Dead letters settled at once.
pub(crate) const SETTLED_MAX: usize = 1_000;

/// In the order that a router takes them in.
pub(crate) fn in_order(mut redrives: Vec<(EndpointNo, Sequence)>) -> Vec<(EndpointNo, Sequence)> {
    redrives.sort_unstable_by_key(|(endpoint, sequence)| (*sequence, *endpoint));
    redrives.truncate(REDRIVES_MAX);
    redrives
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_result_is_read_back_and_no_two_share_a_code() {
        let mut results: Vec<AttemptResult> = Failure::ALL.iter().copied().map(AttemptResult::Failed).collect();
        results.extend([0, 100, 200, 299, 404, 599, 999, u16::MAX].map(AttemptResult::Status));
        let codes: BTreeSet<i32> = results.iter().copied().map(result_code).collect();
        assert_eq!(codes.len(), results.len());
        for result in results {
            assert_eq!(result_of(result_code(result)).ok(), Some(result));
        }
        for code in [-10, i32::MIN, i32::MAX, 65_536] {
            assert!(result_of(code).is_err());
        }
    }

    #[test]
    fn a_range_of_statuses_goes_by_the_index_of_failures_only_where_it_holds_no_success() {
        for (low, high, failed) in [(400, 499, true), (0, 199, true), (200, 200, false), (299, 500, false)] {
            let query = AttemptQuery { ended: Some(AttemptFilter::Status(low, high)), ..AttemptQuery::default() };
            assert_eq!(AttemptBounds::of(&query).failed, failed, "{low} to {high}");
        }
    }
}
