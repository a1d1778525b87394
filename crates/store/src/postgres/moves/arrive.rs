//! A tenant comes into this database from another one.

use tidings_event::{PartitionId, Sequence, TenantNo};
use tokio_postgres::error::SqlState;

use super::super::PostgresStore;
use super::super::append::LOCK;
use super::super::failure::of_commit;
use super::super::flight::{Flight, params};
use super::super::pool::Lease;
use super::super::read::number;
use super::super::routers::now;
use super::leave::LeftBehind;
use super::stand::{Passage, Standing};
use super::state::Packed;
use super::{ENDPOINTS, FENCE, IS_READY, LOCK_ROUTER, REPLAYS, TENANT, VERIFY};
use crate::row::{corrupt, signed, unsigned};
use crate::{Error, Result};

/// A proof that nobody added to for so many microseconds is made anew: the database that the tenant leaves may have lost
/// since what it had acknowledged.
const PROOF_LASTS_US: i64 = 600_000_000;

/// What this database knows of a tenant that lives elsewhere. One that lives here is left alone.
pub(in crate::postgres) const EXPECT: &str = "\
    INSERT INTO tidings.tenants AS t (no, name, partition, created_at) OVERRIDING SYSTEM VALUE \
    VALUES ($1, $2, $3, $4) ON CONFLICT (no) DO UPDATE SET partition = excluded.partition, moves = t.moves + 1 \
    WHERE t.partition <> excluded.partition AND t.partition <> ALL ($5)";
/// Nothing where a tenant has come and not everything is tidied yet.
pub(in crate::postgres) const PREPARE: &str = concat!(
    "INSERT INTO tidings.arrivals AS a (tenant_no, token, from_partition, to_partition, touched_at) \
     VALUES ($1, $2, $3, $4, ",
    now!(),
    ") ON CONFLICT (tenant_no) DO UPDATE SET \
     token = CASE WHEN (a.from_partition, a.to_partition) = ($3, $4) THEN a.token ELSE excluded.token END, \
     verified = CASE WHEN (a.from_partition, a.to_partition) = ($3, $4) AND a.touched_at + $5 > excluded.touched_at \
       THEN a.verified ELSE 0 END, \
     from_partition = $3, to_partition = $4, touched_at = excluded.touched_at \
     WHERE NOT a.arrived RETURNING token, verified"
);
pub(in crate::postgres) const VERIFIED: &str = concat!(
    "UPDATE tidings.arrivals SET verified = $4, touched_at = ",
    now!(),
    " WHERE tenant_no = $1 AND token = $2 AND verified = $3 AND NOT arrived RETURNING 1"
);
/// Its lock is held until the tenant has arrived, so that only one brings it, and nobody turns it away meanwhile.
pub(in crate::postgres) const GATE: &str =
    "SELECT token, arrived, verified FROM tidings.arrivals WHERE tenant_no = $1 FOR UPDATE";
pub(in crate::postgres) const TURN_AWAY: &str =
    "DELETE FROM tidings.arrivals WHERE tenant_no = $1 AND token = $2 AND NOT arrived";
pub(in crate::postgres) const STANDS: &str = "SELECT token, arrived FROM tidings.arrivals WHERE tenant_no = $1";
/// Along a tenant's sequences no moment falls, so the partition's next one is not before the tenant's last.
pub(in crate::postgres) const RECEIVE: &str = "\
    UPDATE tidings.partitions SET revision = revision + 1, moves = moves + 1, recorded_at = greatest(recorded_at, \
      (SELECT recorded_at FROM tidings.events WHERE tenant_no = $1 ORDER BY sequence DESC LIMIT 1)) WHERE id = $2";
pub(in crate::postgres) const SETTLE_DOWN: &str = "\
    UPDATE tidings.tenants SET partition = $2, sequence = $3, floor = $4, moves = moves + 1 WHERE no = $1";
pub(in crate::postgres) const ARRIVE: &str =
    "UPDATE tidings.arrivals SET arrived = true WHERE tenant_no = $1 AND token = $2 AND NOT arrived";
/// Divides by zero unless the last event is the tenant's head, all endpoints are of the partition's revision, and the move
/// is noted.
pub(in crate::postgres) const ARRIVED: &str = "\
    SELECT 1 / (CASE WHEN coalesce((SELECT sequence FROM tidings.events WHERE tenant_no = $1 \
        ORDER BY sequence DESC LIMIT 1), 0) = $3 \
      AND (SELECT count(*) FROM (SELECT partition, revision FROM tidings.endpoints WHERE tenant_no = $1 ORDER BY id) e \
        WHERE e.partition = $2 AND e.revision = (SELECT revision FROM tidings.partitions WHERE id = $2)) = $4 \
      AND EXISTS (SELECT 1 FROM tidings.arrivals WHERE tenant_no = $1 AND token = $5 AND arrived) \
      THEN 1 ELSE 0 END)";
pub(in crate::postgres) const TIDIED: &str =
    "DELETE FROM tidings.arrivals WHERE tenant_no = $1 AND token = $2 AND arrived";
pub(in crate::postgres) const ENDPOINT_HERE: &str =
    "SELECT no FROM tidings.endpoints WHERE tenant_no = $1 AND id >= $2 AND id <= $2 ORDER BY id LIMIT 1";
pub(in crate::postgres) const NEWEST_ATTEMPTS: &str = "\
    SELECT a::text FROM tidings.attempts a WHERE a.endpoint = $1 \
    ORDER BY a.at DESC, a.lane DESC, a.sequence DESC, a.attempt DESC LIMIT $2";
pub(in crate::postgres) const TAKE_ATTEMPTS: &str = "\
    INSERT INTO tidings.attempts (endpoint, at, lane, sequence, attempt, duration_us, result, answer) \
    SELECT $2, (r.one).at, coalesce(m.becomes, (r.one).lane), (r.one).sequence, (r.one).attempt, (r.one).duration_us, \
    (r.one).result, (r.one).answer \
    FROM (SELECT raw::tidings.attempts AS one FROM unnest($1::text[]) raw OFFSET 0) r \
    LEFT JOIN unnest($3::bigint[], $4::bigint[]) m (was, becomes) ON m.was = (r.one).lane ON CONFLICT DO NOTHING";

/// Attempts of each endpoint that go along: the newest.
const ATTEMPTS_MAX: i64 = 1_000;

/// What became of an arrival.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The tenant lives here, and did not before.
    Now,
    /// It had arrived.
    Before,
    /// It never will by this move.
    Never,
    /// Not yet: the partition's router has not come past what a tenant left there.
    NotReady,
    /// What is here is not what is there; nothing was done.
    Unequal(String),
}

impl PostgresStore {
    /// Makes ready for a tenant that lives in another database: its token, and up to where its events were proved to be
    /// the same. Nothing where it has come and not everything is tidied.
    pub(crate) async fn expect(
        &self,
        stands: &Standing,
        to: PartitionId,
        is_home: bool,
    ) -> Result<Option<(String, Sequence)>> {
        let (no, from, into) = (stands.row.no.get(), number(stands.row.partition)?, number(to)?);
        let lease = self.connections.writer().await?;
        if !is_home {
            // Home knows every tenant, and where it lives.
            let own = self.partitions.iter().map(|own| number(*own)).collect::<Result<Vec<i32>>>()?;
            let expect = lease.prepare_cached(EXPECT).await?;
            let created_at = stands.row.created_at.as_micros();
            lease.execute(&expect, &[&no, &stands.row.id.as_str(), &from, &created_at, &own]).await?;
        }
        let token = ulid::Ulid::generate().to_string();
        let rows = lease.query(PREPARE, &[&no, &token, &from, &into, &PROOF_LASTS_US]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some((row.try_get(0)?, Sequence(unsigned(row.try_get(1)?)?))))
    }

    /// Takes note that events were proved to be the same up to a sequence; false where somebody else did, or the tenant is
    /// not awaited any more.
    pub(crate) async fn note_verified(
        &self,
        tenant: TenantNo,
        token: &str,
        before: Sequence,
        now: Sequence,
    ) -> Result<bool> {
        let (before, now) = (signed(before.get()), signed(now.get()));
        let lease = self.connections.writer().await?;
        Ok(!lease.query(VERIFIED, &[&tenant.get(), &token, &before, &now]).await?.is_empty())
    }

    /// Has a tenant arrive that is held in `source`: in one transaction its delivery state is brought over and proved to
    /// be the same, and the tenant lives here.
    pub(crate) async fn arrive(&self, source: &Self, stands: &Standing, passage: &Passage) -> Result<Arrival> {
        let packed = source.packed(stands.row.no, passage).await?;
        let lease = self.connections.writer().await?;
        let outcome = arrive(&lease, packed, stands, passage).await;
        match outcome {
            Ok(arrival) if arrival != Arrival::Now => {
                lease.batch_execute("ROLLBACK").await?;
                lease.done();
                Ok(arrival)
            }
            outcome => lease.finish(outcome).await,
        }
    }

    /// Sees to it that a tenant does not arrive by this move; whether it has arrived already.
    pub(crate) async fn turn_away(&self, tenant: TenantNo, token: &str) -> Result<bool> {
        let lease = self.connections.writer().await?;
        let mut flight = Flight::default();
        // Two statements, each of which sees what was committed before it.
        flight.add(&lease, TURN_AWAY, params![tenant.get(), token]).await?;
        let stands = flight.add(&lease, STANDS, params![tenant.get()]).await?;
        let answers = flight.send(&lease).await?;
        drop(flight);
        lease.done();
        let Some(row) = answers[stands].first() else { return Ok(false) };
        Ok(row.try_get::<_, &str>(0)? == token && row.try_get(1)?)
    }

    /// The end of an arrival.
    pub(crate) async fn note_tidied(&self, tenant: TenantNo, token: &str) -> Result<()> {
        self.connections.writer().await?.query(TIDIED, &[&tenant.get(), &token]).await.map(drop)
    }

    /// Brings the newest attempts of an endpoint over that a tenant left behind; those that are here stay.
    pub(crate) async fn take_attempts(&self, source: &Self, tenant: TenantNo, endpoint: &LeftBehind) -> Result<()> {
        let rows = source.connections.reader().await?.query(NEWEST_ATTEMPTS, &[&endpoint.no, &ATTEMPTS_MAX]).await?;
        if rows.is_empty() {
            return Ok(());
        }
        let rows: Vec<String> = rows.iter().map(|row| Ok(row.try_get(0)?)).collect::<Result<_>>()?;
        let lease = self.connections.writer().await?;
        let here = lease.prepare_cached(ENDPOINT_HERE).await?;
        let found = lease.rows(&here, &[&tenant.get(), &endpoint.id]).await?;
        // One that was deleted here meanwhile needs none.
        let Some(becomes) = found.first() else {
            lease.done();
            return Ok(());
        };
        let becomes: i64 = becomes.try_get(0)?;
        let replays = lease.prepare_cached(super::leave::REPLAYS_OF).await?;
        let own = lease.rows(&replays, &[&becomes]).await?;
        let (mut was, mut is) = (vec![endpoint.no], vec![becomes]);
        for row in &own {
            let (no, id): (i64, &str) = (row.try_get(0)?, row.try_get(1)?);
            if let Some((before, _)) = endpoint.replays.iter().find(|(_, known)| known == id) {
                was.push(-before);
                is.push(-no);
            }
        }
        let take = lease.prepare_cached(TAKE_ATTEMPTS).await?;
        lease.execute(&take, &[&rows, &becomes, &was, &is]).await?;
        lease.done();
        Ok(())
    }
}

async fn arrive(lease: &Lease, packed: Packed, stands: &Standing, passage: &Passage) -> Result<Arrival> {
    let (no, head) = (stands.row.no.get(), signed(stands.row.head.get()));
    let (from, into) = (number(passage.from)?, number(passage.to)?);
    let mut flight = Flight::default();
    flight.simple("BEGIN");
    let gate = flight.add(lease, GATE, params![no]).await?;
    let answers = flight.send(lease).await?;
    let Some(row) = answers[gate].first().filter(|row| row.get::<_, &str>(0) == passage.token) else {
        return Ok(Arrival::Never);
    };
    if row.try_get(1)? {
        return Ok(Arrival::Before);
    }
    if row.try_get::<_, i64>(2)? != head {
        return Ok(Arrival::Unequal("not all of its events were compared".to_owned()));
    }
    // The rows of a tenant that nobody here knows yet need no lock; what others wait for is locked after this.
    let endpoints = match packed.unpack(lease).await? {
        Ok(count) => count,
        Err(differs) => return Ok(Arrival::Unequal(differs)),
    };
    let mut flight = Flight::default();
    flight.add(lease, LOCK_ROUTER, params![into.to_string()]).await?;
    flight.add(lease, LOCK, params![into]).await?;
    let found = flight.add(lease, TENANT, params![no]).await?;
    let ready = flight.add(lease, IS_READY, params![into, into.to_string()]).await?;
    let answers = flight.send(lease).await?;
    if answers[found].is_empty() {
        return Err(Error::Broken("a tenant that was awaited has no row".to_owned()));
    }
    if !answers[ready].first().ok_or_else(|| corrupt("partitions"))?.try_get::<_, bool>(0)? {
        return Ok(Arrival::NotReady);
    }
    let mut flight = Flight::default();
    flight.add(lease, REPLAYS, params![no, into]).await?;
    flight.add(lease, ENDPOINTS, params![no, into]).await?;
    flight.add(lease, FENCE, params![vec![into.to_string()]]).await?;
    flight.add(lease, RECEIVE, params![no, into]).await?;
    flight.add(lease, SETTLE_DOWN, params![no, into, head, signed(stands.row.floor.get())]).await?;
    flight.add(lease, ARRIVE, params![no, passage.token.as_str()]).await?;
    flight.add(lease, ARRIVED, params![no, into, head, endpoints, passage.token.as_str()]).await?;
    flight.add(lease, VERIFY, params![no, from, into, head]).await?;
    flight.simple("COMMIT");
    let sent = flight.send(lease).await;
    drop(flight);
    match sent {
        Ok(_) => Ok(Arrival::Now),
        Err(failure) if failure.code() == Some(&SqlState::DIVISION_BY_ZERO) => {
            Ok(Arrival::Unequal("it would not be whole there".to_owned()))
        }
        Err(failure) => Err(of_commit(failure)),
    }
}
