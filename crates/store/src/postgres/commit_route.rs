//! A router's commit. Where it appends nothing it is one flight: the fence fails as a statement where the epoch is
//! spent, so that what follows it in the transaction fails too.

mod copy;

use std::pin::pin;
use std::sync::Arc;

use futures_util::SinkExt;
use futures_util::future::join;
use tidings_event::delivery::{AttemptRow, RouteCommit};
use tidings_event::{LaneNo, Revision};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Error as Failure, Row};

use super::endpoints::PUT_LANES;
use super::failure::of_commit;
use super::flight::{Flight, Param, params};
use super::pool::{Connections, Lease};
use super::read::number;
use super::routers::now;
use super::shards::INSERT_UNTOLD;
use super::within::{self, Locks, Within};
use crate::encoding::{self, count, last_of, result_code};
use crate::names::Names;
use crate::row::{signed, unsigned};
use crate::{Append, Error, Result, RouteOutcome};

/// From so many attempts on a binary copy is cheaper than arrays, although it takes two more trips.
const COPY_ROWS_MIN: usize = 200;

/// Proves the epoch and moves the checkpoint. Divides by zero where the epoch is spent. The checkpoint
/// never moves beyond the log's end: a database that failed over to a replica that was behind has a shorter log than the
/// router saw, and what comes later at those positions would never be routed.
pub(super) const FENCE: &str = "WITH held AS (UPDATE tidings.leases SET checkpoint = $3 \
      WHERE role = 'router' AND slot = $4 AND epoch = $2 AND checkpoint <= $3 AND node IS NOT NULL \
      AND (checkpoint = $3 OR $3 <= (SELECT position FROM tidings.partitions WHERE id = $1)) RETURNING 1) \
      SELECT 1 / count(*) FROM held";
pub(super) const INSERT_ATTEMPTS: &str = "\
    INSERT INTO tidings.attempts (endpoint, at, lane, sequence, attempt, duration_us, result, answer) \
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::integer[], $6::integer[], \
    $7::integer[], $8::bytea[]) ON CONFLICT DO NOTHING";
pub(super) const COPY_ATTEMPTS: &str = "\
    COPY tidings.attempts (endpoint, at, lane, sequence, attempt, duration_us, result, answer) \
    FROM STDIN (FORMAT binary)";
pub(super) const DELETE_LANES: &str = "DELETE FROM tidings.lanes WHERE partition = $1 AND lane = ANY ($2)";
pub(super) const PUT_RETRIES: &str = "\
    INSERT INTO tidings.retries (partition, lane, sequence, attempts, next_at, key, previous) \
    SELECT $1, r.lane, r.sequence, r.attempts, r.next_at, r.key, r.previous \
    FROM unnest($2::bigint[], $3::bigint[], $4::integer[], $5::bigint[], $6::bigint[], $7::bigint[]) \
    r (lane, sequence, attempts, next_at, key, previous) \
    ON CONFLICT (partition, lane, sequence) DO UPDATE SET attempts = excluded.attempts, \
    next_at = excluded.next_at, key = excluded.key, previous = excluded.previous";
/// Each row is looked up by itself, by bounds with an order, so that only the right index can serve: see
/// [`super::read`].
pub(super) const DELETE_RETRIES: &str = "\
    DELETE FROM tidings.retries WHERE ctid = ANY (ARRAY( \
        SELECT r.ctid FROM unnest($2::bigint[], $3::bigint[]) gone (lane, sequence) CROSS JOIN LATERAL ( \
            SELECT ctid FROM tidings.retries WHERE partition = $1 AND lane = gone.lane \
            AND sequence >= gone.sequence AND sequence <= gone.sequence ORDER BY sequence LIMIT 1) r))";
pub(super) const PUT_CIRCUITS: &str = "\
    INSERT INTO tidings.circuits (partition, lane, state, since, until, probes, last) \
    SELECT $1, r.lane, r.state, r.since, r.until, r.probes, r.last \
    FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::integer[], $7::integer[]) \
    r (lane, state, since, until, probes, last) \
    ON CONFLICT (partition, lane) DO UPDATE SET state = excluded.state, since = excluded.since, \
    until = excluded.until, probes = excluded.probes, last = excluded.last";
pub(super) const DELETE_CIRCUITS: &str = "DELETE FROM tidings.circuits WHERE partition = $1 AND lane = ANY ($2)";
pub(super) const PUT_DEAD: &str = "\
    INSERT INTO tidings.dead_letters (tenant_no, sequence, endpoint, attempts, last, reason, died_at) \
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::integer[], $5::integer[], $6::text[], \
    $7::bigint[]) \
    ON CONFLICT (tenant_no, sequence, endpoint) DO UPDATE SET attempts = excluded.attempts, last = excluded.last, \
    reason = excluded.reason, died_at = excluded.died_at";
pub(super) const DELETE_REDRIVES: &str = "\
    DELETE FROM tidings.redrives WHERE ctid = ANY (ARRAY( \
        SELECT r.ctid FROM unnest($2::bigint[], $3::bigint[]) gone (endpoint, sequence) CROSS JOIN LATERAL ( \
            SELECT ctid FROM tidings.redrives WHERE partition = $1 AND endpoint = gone.endpoint \
            AND sequence >= gone.sequence AND sequence <= gone.sequence ORDER BY sequence LIMIT 1) r))";
/// What a commit counted already is not counted again. Adding nothing to the partition keeps its index out of the plan.
pub(super) const COUNT_REPLAYS: &str = "\
    UPDATE tidings.replays SET counted_by = $5, \
    delivered = delivered + ($3::bigint[])[array_position($2::bigint[], no)], \
    dead = dead + ($4::bigint[])[array_position($2::bigint[], no)] \
    WHERE no = ANY ($2) AND partition + 0 = $1 AND counted_by IS DISTINCT FROM $5";
pub(super) const END_REPLAYS: &str = concat!(
    "UPDATE tidings.replays SET state = 'done', ended_at = ",
    now!(),
    " WHERE no = ANY ($2) AND partition + 0 = $1 AND ended_at IS NULL"
);
pub(super) const DISABLE: &str = concat!(
    "WITH disabled AS (UPDATE tidings.endpoints SET status = 'disabled', \
      status_reason = ($3::text[])[array_position($2::bigint[], no)], updated_at = ",
    now!(),
    ", revision = (SELECT revision + 1 FROM tidings.partitions WHERE id = $1) \
      WHERE no = ANY ($2) AND partition + 0 = $1 AND status = 'active' RETURNING no) \
      UPDATE tidings.partitions SET revision = revision + 1 \
      WHERE id = $1 AND EXISTS (SELECT 1 FROM disabled) RETURNING revision"
);
pub(super) const FORGET_RETRIES: &str = "DELETE FROM tidings.retries WHERE partition = $1 AND lane = ANY ($2)";
pub(super) const FORGET_REDRIVES: &str = "DELETE FROM tidings.redrives WHERE partition = $1 AND endpoint = ANY ($2)";
/// The status stands between bounds so that the index of all that were deleted does not serve.
pub(super) const FORGET_ENDPOINTS: &str = "\
    UPDATE tidings.endpoints SET forgotten = true \
    WHERE no = ANY ($2) AND partition + 0 = $1 AND status >= 'deleted' AND status <= 'deleted'";

/// One commit, in a task of its own: a caller that goes away does not leave the heads locked.
pub(super) async fn commit_route(
    connections: Arc<Connections>,
    names: Arc<Names>,
    route: RouteCommit,
    appends: Vec<Append>,
    elsewhere: Vec<Append>,
) -> Result<RouteOutcome> {
    let task = tokio::spawn(async move {
        let lease = connections.writer().await?;
        let outcome = run(&lease, &names, &route, appends, elsewhere).await;
        lease.finish(outcome).await
    });
    task.await.unwrap_or_else(|_| Err(Error::Broken("a router's commit did not finish".to_owned())))
}

async fn run(
    lease: &Lease,
    names: &Names,
    route: &RouteCommit,
    appends: Vec<Append>,
    elsewhere: Vec<Append>,
) -> Result<RouteOutcome> {
    let partition = number(route.partition)?;
    let deciding = !appends.is_empty();
    // The router's row is locked by the fence; the heads come next, before any other row that others lock too.
    let own = (!route.disabled.is_empty()).then_some(route.partition);
    let mut rest = Flight::default();
    let locks = Locks::add(&mut rest, lease, encoding::heads_locked(own, &appends)).await?;
    write_lanes(&mut rest, lease, partition, route).await?;
    write_dead(&mut rest, lease, partition, route).await?;
    write_replays(&mut rest, lease, partition, route).await?;
    let ended: Vec<i64> = encoding::ended(route).into_iter().map(|lane| lane.0).collect();
    forget(&mut rest, lease, partition, ended).await?;
    let disabled = disable(&mut rest, lease, partition, route).await?;
    let untold = within::elsewhere(elsewhere)?;
    if !untold.is_empty() {
        rest.add(lease, INSERT_UNTOLD, params![untold]).await?;
    }
    let within = Within::look(&mut rest, lease, appends).await?;
    if !deciding {
        rest.simple("COMMIT");
    }

    let slot = route.partition.to_string();
    let fence = params![partition, signed(route.epoch.get()), signed(route.checkpoint.get()), slot];
    let commit = Commit { lease, fence, attempts: &route.attempts, rest, deciding };
    let answers = match commit.send().await? {
        Sent::Written(answers) => answers,
        Sent::Fenced => {
            lease.batch_execute("ROLLBACK").await?;
            return Ok(RouteOutcome::Fenced);
        }
        Sent::Repeated => return Err(Error::Broken("attempts that are there already were not let be".to_owned())),
    };
    let revision = match disabled.and_then(|step| answers[step].first()) {
        Some(row) => Some(Revision(unsigned(row.try_get(0)?)?)),
        None => None,
    };
    if !deciding {
        return Ok(RouteOutcome::Committed { appended: Vec::new(), revision });
    }
    let changed = revision.map(|revision| (route.partition, revision));
    let decided = within.decide(lease, names, &locks, &answers, changed).await?;
    let mut last = Flight::default();
    within::write(&mut last, lease, &decided).await?;
    last.simple("COMMIT");
    last.send(lease).await.map_err(of_commit)?;
    drop(last);
    Ok(RouteOutcome::Committed { appended: within::appended(decided), revision })
}

/// What became of the flights that need no decision.
enum Sent {
    /// All is written, and committed unless something is still to be decided.
    Written(Vec<Vec<Row>>),
    /// Another owner has the partition.
    Fenced,
    /// Attempts were there already: the commit came before.
    Repeated,
}

/// A commit up to where something is decided, or to its end.
struct Commit<'a> {
    lease: &'a Lease,
    fence: Vec<Param<'a>>,
    attempts: &'a [AttemptRow],
    rest: Flight<'a>,
    deciding: bool,
}

impl<'a> Commit<'a> {
    async fn send(mut self) -> Result<Sent> {
        let mut first = Flight::default();
        first.simple("BEGIN");
        first.add(self.lease, FENCE, std::mem::take(&mut self.fence)).await?;
        if self.attempts.len() >= COPY_ROWS_MIN {
            match self.copied(&first).await? {
                // A copy knows no way around rows that are there already.
                Sent::Repeated => self.lease.batch_execute("ROLLBACK").await?,
                sent => return Ok(sent),
            }
        }
        if !self.attempts.is_empty() {
            first.add(self.lease, INSERT_ATTEMPTS, columns(self.attempts)).await?;
        }
        let (first, rest) = join(first.send(self.lease), self.rest.send(self.lease)).await;
        match first {
            Err(failure) if is_fenced(&failure) => Ok(Sent::Fenced),
            Err(failure) => Err(self.failed(failure)),
            Ok(_) => rest.map(Sent::Written).map_err(|failure| self.failed(failure)),
        }
    }

    async fn copied(&self, first: &Flight<'a>) -> Result<Sent> {
        let copy = self.lease.prepare_cached(COPY_ATTEMPTS).await?;
        // A trip of its own: a copy that the server refuses to begin leaves the connection in no state to be used.
        match first.send(self.lease).await {
            Err(failure) if is_fenced(&failure) => return Ok(Sent::Fenced),
            other => other?,
        };
        let mut sink = pin!(self.lease.copy_in(&copy).await?);
        for chunk in copy::encode(self.attempts)? {
            sink.as_mut().feed(chunk).await?;
        }
        let (copied, rest) = join(sink.finish(), self.rest.send(self.lease)).await;
        match copied {
            Err(failure) if failure.code() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(Sent::Repeated),
            Err(failure) => Err(self.failed(failure)),
            Ok(_) => rest.map(Sent::Written).map_err(|failure| self.failed(failure)),
        }
    }

    fn failed(&self, failure: Failure) -> Error {
        if self.deciding { failure.into() } else { of_commit(failure) }
    }
}

fn is_fenced(failure: &Failure) -> bool {
    failure.code() == Some(&SqlState::DIVISION_BY_ZERO)
}

/// Attempts as one array for each column.
fn columns(attempts: &[AttemptRow]) -> Vec<Param<'_>> {
    let numbers = |of: fn(&AttemptRow) -> i64| attempts.iter().map(of).collect::<Vec<i64>>();
    let counts = |of: fn(&AttemptRow) -> i32| attempts.iter().map(of).collect::<Vec<i32>>();
    let answers: Vec<Option<&[u8]>> =
        attempts.iter().map(|row| (!row.answer.is_empty()).then_some(&row.answer[..])).collect();
    params![
        numbers(|row| row.endpoint.get()),
        numbers(|row| row.at.as_micros()),
        numbers(|row| row.lane.0),
        numbers(|row| signed(row.sequence.get())),
        counts(|row| count(row.attempt)),
        counts(|row| row.duration_us.cast_signed()),
        counts(|row| result_code(row.result)),
        answers,
    ]
}

/// Lanes, retries and circuits. What stands in both lists of a commit stays: better twice than never.
async fn write_lanes<'a>(flight: &mut Flight<'a>, lease: &Lease, partition: i32, route: &'a RouteCommit) -> Result<()> {
    if !route.caught_up.is_empty() {
        flight.add(lease, DELETE_LANES, params![partition, numbers(&route.caught_up)]).await?;
    }
    if !route.lanes.is_empty() {
        let rows = last_of(&route.lanes, |row| row.lane);
        let lanes: Vec<i64> = rows.iter().map(|row| row.lane.0).collect();
        let tenants: Vec<i64> = rows.iter().map(|row| row.tenant.get()).collect();
        let settled: Vec<i64> = rows.iter().map(|row| signed(row.settled.get())).collect();
        flight.add(lease, PUT_LANES, params![partition, lanes, tenants, settled]).await?;
    }
    if !route.settled.is_empty() {
        let (lanes, sequences): (Vec<i64>, Vec<i64>) =
            route.settled.iter().map(|(lane, sequence)| (lane.0, signed(sequence.get()))).unzip();
        flight.add(lease, DELETE_RETRIES, params![partition, lanes, sequences]).await?;
    }
    if !route.retries.is_empty() {
        let rows = last_of(&route.retries, |row| (row.lane, row.sequence));
        let lanes: Vec<i64> = rows.iter().map(|row| row.lane.0).collect();
        let sequences: Vec<i64> = rows.iter().map(|row| signed(row.sequence.get())).collect();
        let attempts: Vec<i32> = rows.iter().map(|row| count(row.attempts)).collect();
        let next_at: Vec<i64> = rows.iter().map(|row| row.next_at.as_micros()).collect();
        let keys: Vec<Option<i64>> = rows.iter().map(|row| row.key.map(u64::cast_signed)).collect();
        let previous: Vec<Option<i64>> =
            rows.iter().map(|row| row.previous.map(|previous| signed(previous.get()))).collect();
        let params = params![partition, lanes, sequences, attempts, next_at, keys, previous];
        flight.add(lease, PUT_RETRIES, params).await?;
    }
    if !route.closed.is_empty() {
        flight.add(lease, DELETE_CIRCUITS, params![partition, numbers(&route.closed)]).await?;
    }
    if !route.circuits.is_empty() {
        let rows = last_of(&route.circuits, |row| row.lane);
        let lanes: Vec<i64> = rows.iter().map(|row| row.lane.0).collect();
        let states: Vec<&str> = rows.iter().map(|row| row.state.as_str()).collect();
        let since: Vec<i64> = rows.iter().map(|row| row.since.as_micros()).collect();
        let until: Vec<i64> = rows.iter().map(|row| row.until.as_micros()).collect();
        let probes: Vec<i32> = rows.iter().map(|row| count(row.probes)).collect();
        let last: Vec<i32> = rows.iter().map(|row| result_code(row.last)).collect();
        flight.add(lease, PUT_CIRCUITS, params![partition, lanes, states, since, until, probes, last]).await?;
    }
    Ok(())
}

/// Dead letters before redrives, which is the order in which all lock them.
async fn write_dead<'a>(flight: &mut Flight<'a>, lease: &Lease, partition: i32, route: &'a RouteCommit) -> Result<()> {
    if !route.dead.is_empty() {
        let rows = last_of(&route.dead, |row| (row.tenant, row.sequence, row.endpoint));
        let tenants: Vec<i64> = rows.iter().map(|row| row.tenant.get()).collect();
        let sequences: Vec<i64> = rows.iter().map(|row| signed(row.sequence.get())).collect();
        let endpoints: Vec<i64> = rows.iter().map(|row| row.endpoint.get()).collect();
        let attempts: Vec<i32> = rows.iter().map(|row| count(row.attempts)).collect();
        let last: Vec<Option<i32>> = rows.iter().map(|row| row.last.map(result_code)).collect();
        let reasons: Vec<&str> = rows.iter().map(|row| row.reason.as_str()).collect();
        let died_at: Vec<i64> = rows.iter().map(|row| row.died_at.as_micros()).collect();
        flight.add(lease, PUT_DEAD, params![tenants, sequences, endpoints, attempts, last, reasons, died_at]).await?;
    }
    if !route.redriven.is_empty() {
        let (endpoints, sequences): (Vec<i64>, Vec<i64>) =
            route.redriven.iter().map(|(endpoint, sequence)| (endpoint.get(), signed(sequence.get()))).unzip();
        flight.add(lease, DELETE_REDRIVES, params![partition, endpoints, sequences]).await?;
    }
    Ok(())
}

async fn write_replays(flight: &mut Flight<'_>, lease: &Lease, partition: i32, route: &RouteCommit) -> Result<()> {
    let moved: Vec<_> = route.replays.iter().filter(|replay| encoding::moved(replay)).collect();
    if moved.is_empty() {
        return Ok(());
    }
    let nos: Vec<i64> = moved.iter().map(|replay| replay.replay.get()).collect();
    let delivered: Vec<i64> = moved.iter().map(|replay| signed(replay.delivered)).collect();
    let dead: Vec<i64> = moved.iter().map(|replay| signed(replay.dead)).collect();
    let by = encoding::fingerprint(route);
    flight.add(lease, COUNT_REPLAYS, params![partition, nos, delivered, dead, by]).await?;
    let done: Vec<i64> = moved.iter().filter(|replay| replay.done).map(|replay| replay.replay.get()).collect();
    if !done.is_empty() {
        flight.add(lease, END_REPLAYS, params![partition, done]).await?;
    }
    Ok(())
}

/// Takes away what lanes left behind, and marks endpoints that were deleted as forgotten by their router.
pub(super) async fn forget(flight: &mut Flight<'_>, lease: &Lease, partition: i32, lanes: Vec<i64>) -> Result<()> {
    if lanes.is_empty() {
        return Ok(());
    }
    for sql in [DELETE_LANES, FORGET_RETRIES, DELETE_CIRCUITS] {
        flight.add(lease, sql, params![partition, lanes.clone()]).await?;
    }
    let endpoints: Vec<i64> = lanes.into_iter().filter(|lane| *lane > 0).collect();
    if !endpoints.is_empty() {
        flight.add(lease, FORGET_REDRIVES, params![partition, endpoints.clone()]).await?;
        flight.add(lease, FORGET_ENDPOINTS, params![partition, endpoints]).await?;
    }
    Ok(())
}

/// Those that are not active any more were changed meanwhile, and stay as they are.
async fn disable(flight: &mut Flight<'_>, lease: &Lease, partition: i32, route: &RouteCommit) -> Result<Option<usize>> {
    if route.disabled.is_empty() {
        return Ok(None);
    }
    let (nos, reasons): (Vec<i64>, Vec<&'static str>) =
        route.disabled.iter().map(|(endpoint, reason)| (endpoint.get(), reason.as_str())).unzip();
    flight.add(lease, DISABLE, params![partition, nos, reasons]).await.map(Some)
}

fn numbers(lanes: &[LaneNo]) -> Vec<i64> {
    lanes.iter().map(|lane| lane.0).collect()
}
