//! What deliveries must remember of a tenant, on its way into another database.
//!
//! Numbers of endpoints and replays say in which database they were made, so they get new ones; what names them by number
//! is written anew. In the database that the tenant leaves all of it is kept under the number of the partition that it
//! moves to, so both databases can be asked the same question in the same words: [`SUMMARY`].

use tidings_event::TenantNo;
use tokio_postgres::Row;

use super::super::PostgresStore;
use super::super::pool::Lease;
use super::super::read::number;
use super::stand::Passage;
use crate::row::corrupt;
use crate::{Error, Result};

/// Rows that are brought over at once.
const AT_ONCE: i64 = 5_000;

const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
pub(in crate::postgres) const ENDPOINTS_OF: &str =
    "SELECT e.no, e::text FROM tidings.endpoints e WHERE e.tenant_no = $1 ORDER BY e.id";
pub(in crate::postgres) const REPLAYS_OF: &str =
    concat!("SELECT r.no, r::text FROM tidings.replays r WHERE r.endpoint = ", endpoints!());
pub(in crate::postgres) const LANES_OF: &str =
    concat!("SELECT l::text FROM tidings.lanes l WHERE l.partition = $2 AND l.lane = ", lanes!());
pub(in crate::postgres) const CIRCUITS_OF: &str =
    concat!("SELECT c::text FROM tidings.circuits c WHERE c.partition = $2 AND c.lane = ", lanes!());
pub(in crate::postgres) const RETRIES_OF: &str = concat!(
    "SELECT r::text, r.lane, r.sequence FROM tidings.retries r WHERE r.partition = $2 \
     AND (r.lane, r.sequence) > ($3, $4) AND r.lane = ",
    lanes!(),
    " ORDER BY r.lane, r.sequence LIMIT $5"
);
pub(in crate::postgres) const REDRIVES_OF: &str = concat!(
    "SELECT r::text, r.endpoint, r.sequence FROM tidings.redrives r WHERE r.partition = $2 \
     AND (r.endpoint, r.sequence) > ($3, $4) AND r.endpoint = ",
    endpoints!(),
    " ORDER BY r.endpoint, r.sequence LIMIT $5"
);
/// Of the second parameter nothing depends: all of these take the same.
pub(in crate::postgres) const DEAD_OF: &str = "\
    SELECT d::text, d.sequence, d.endpoint FROM tidings.dead_letters d \
    WHERE d.tenant_no = $1 AND $2::integer >= 0 AND (d.sequence, d.endpoint) > ($3, $4) \
    AND (SELECT no FROM tidings.endpoints WHERE no = d.endpoint) IS NOT NULL \
    ORDER BY d.sequence, d.endpoint LIMIT $5";

/// Numbers of which each is given out once.
pub(in crate::postgres) const ENDPOINT_NUMBERS: &str = "\
    SELECT nextval(pg_get_serial_sequence('tidings.endpoints', 'no')) FROM generate_series(1, $1::integer)";
pub(in crate::postgres) const REPLAY_NUMBERS: &str = "\
    SELECT nextval(pg_get_serial_sequence('tidings.replays', 'no')) FROM generate_series(1, $1::integer)";

/// Rows as text, made rows again, each with the number that takes the place of the one it has.
macro_rules! renumbered {
    ($table:literal, $by:literal) => {
        concat!(
            " FROM (SELECT raw::tidings.",
            $table,
            " AS one FROM unnest($1::text[]) raw OFFSET 0) r \
              JOIN unnest($2::bigint[], $3::bigint[]) m (was, becomes) ON m.was = (r.one).",
            $by
        )
    };
}

/// The revision is set behind the lock of the partition's head.
pub(in crate::postgres) const TAKE_ENDPOINTS: &str = concat!(
    "INSERT INTO tidings.endpoints (no, id, tenant_no, partition, revision, status, status_reason, url, selections, \
     settings, secrets, forgotten, created_at, updated_at) OVERRIDING SYSTEM VALUE \
     SELECT m.becomes, (r.one).id, (r.one).tenant_no, (r.one).partition, (r.one).revision, (r.one).status, \
     (r.one).status_reason, (r.one).url, (r.one).selections, (r.one).settings, (r.one).secrets, (r.one).forgotten, \
     (r.one).created_at, (r.one).updated_at",
    renumbered!("endpoints", "no")
);
/// Parameters 4 and 5 are the endpoints' numbers.
pub(in crate::postgres) const TAKE_REPLAYS: &str = concat!(
    "INSERT INTO tidings.replays (no, id, endpoint, tenant_no, partition, revision, state, after_sequence, \
     upto_sequence, types, filter, rate_per_s, delivered, dead, counted_by, created_at, ended_at) \
     OVERRIDING SYSTEM VALUE SELECT m.becomes, (r.one).id, e.becomes, (r.one).tenant_no, (r.one).partition, \
     (r.one).revision, (r.one).state, (r.one).after_sequence, (r.one).upto_sequence, (r.one).types, (r.one).filter, \
     (r.one).rate_per_s, (r.one).delivered, (r.one).dead, (r.one).counted_by, (r.one).created_at, (r.one).ended_at",
    renumbered!("replays", "no"),
    " JOIN unnest($4::bigint[], $5::bigint[]) e (was, becomes) ON e.was = (r.one).endpoint"
);
pub(in crate::postgres) const TAKE_LANES: &str = concat!(
    "INSERT INTO tidings.lanes (partition, lane, tenant_no, settled) \
     SELECT (r.one).partition, m.becomes, (r.one).tenant_no, (r.one).settled",
    renumbered!("lanes", "lane")
);
pub(in crate::postgres) const TAKE_CIRCUITS: &str = concat!(
    "INSERT INTO tidings.circuits (partition, lane, state, since, until, probes, last) \
     SELECT (r.one).partition, m.becomes, (r.one).state, (r.one).since, (r.one).until, (r.one).probes, (r.one).last",
    renumbered!("circuits", "lane")
);
pub(in crate::postgres) const TAKE_RETRIES: &str = concat!(
    "INSERT INTO tidings.retries (partition, lane, sequence, attempts, next_at, key, previous) \
     SELECT (r.one).partition, m.becomes, (r.one).sequence, (r.one).attempts, (r.one).next_at, (r.one).key, \
     (r.one).previous",
    renumbered!("retries", "lane")
);
pub(in crate::postgres) const TAKE_REDRIVES: &str = concat!(
    "INSERT INTO tidings.redrives (partition, endpoint, sequence) \
     SELECT (r.one).partition, m.becomes, (r.one).sequence",
    renumbered!("redrives", "endpoint")
);
pub(in crate::postgres) const TAKE_DEAD: &str = concat!(
    "INSERT INTO tidings.dead_letters (tenant_no, sequence, endpoint, attempts, last, reason, died_at) \
     SELECT (r.one).tenant_no, (r.one).sequence, m.becomes, (r.one).attempts, (r.one).last, (r.one).reason, \
     (r.one).died_at",
    renumbered!("dead_letters", "endpoint")
);

/// A lane by what it is called outside: the endpoint's id, and the replay's.
macro_rules! called {
    ($lane:literal) => {
        concat!(
            "CASE WHEN ",
            $lane,
            " > 0 THEN (SELECT id FROM tidings.endpoints WHERE no = ",
            $lane,
            ") ELSE (SELECT (SELECT id FROM tidings.endpoints WHERE no = r.endpoint) || '/' || r.id \
              FROM tidings.replays r WHERE r.no = -",
            $lane,
            ") END"
        )
    };
}

/// Rows, counted and digested in an order that does not depend on numbers.
macro_rules! summed {
    ($what:literal, $rows:expr) => {
        concat!(
            "SELECT '",
            $what,
            "', count(*), coalesce(sha256(convert_to(string_agg(s.said, E'\\n' ORDER BY s.said), 'UTF8')), ''::bytea) \
              FROM (SELECT ",
            $rows,
            ") s"
        )
    };
}

/// What deliveries remember of a tenant in a partition, without the numbers and revisions that are each database's own.
pub(in crate::postgres) const SUMMARY: &str = concat!(
    summed!(
        "endpoints",
        "ROW(id, partition, status, status_reason, url, selections, settings, secrets, forgotten, created_at, \
         updated_at)::text AS said FROM tidings.endpoints x WHERE tenant_no = $1 AND partition + 0 = $2"
    ),
    " UNION ALL ",
    summed!(
        "replays",
        concat!(
            "ROW(",
            called!("(-x.no)"),
            ", tenant_no, partition, state, after_sequence, upto_sequence, types, filter, rate_per_s, delivered, dead, \
             counted_by, created_at, ended_at)::text AS said FROM tidings.replays x WHERE x.endpoint = ",
            endpoints!(),
            " AND partition + 0 = $2"
        )
    ),
    " UNION ALL ",
    summed!(
        "lanes",
        concat!(
            "ROW(",
            called!("x.lane"),
            ", tenant_no, settled)::text AS said FROM tidings.lanes x WHERE x.partition = $2 AND x.lane = ",
            lanes!()
        )
    ),
    " UNION ALL ",
    summed!(
        "circuits",
        concat!(
            "ROW(",
            called!("x.lane"),
            ", state, since, until, probes, last)::text AS said FROM tidings.circuits x WHERE x.partition = $2 AND x.lane = ",
            lanes!()
        )
    ),
    " UNION ALL ",
    summed!(
        "retries",
        concat!(
            "ROW(",
            called!("x.lane"),
            ", sequence, attempts, next_at, key, previous)::text AS said FROM tidings.retries x \
             WHERE x.partition = $2 AND x.lane = ",
            lanes!()
        )
    ),
    " UNION ALL ",
    summed!(
        "redrives",
        concat!(
            "ROW(",
            called!("x.endpoint"),
            ", sequence)::text AS said FROM tidings.redrives x WHERE x.partition = $2 AND x.endpoint = ",
            endpoints!()
        )
    ),
    " UNION ALL ",
    summed!(
        "dead letters",
        concat!(
            "ROW(",
            called!("x.endpoint"),
            ", sequence, attempts, last, reason, died_at)::text AS said FROM tidings.dead_letters x \
             WHERE x.tenant_no = $1 AND (SELECT no FROM tidings.endpoints WHERE no = x.endpoint) IS NOT NULL"
        )
    )
);

/// Rows of one kind: how many, and what they come to.
type Summed = (String, i64, Vec<u8>);

fn summed(rows: &[Row]) -> Result<Vec<Summed>> {
    let mut all = rows
        .iter()
        .map(|row| Ok((row.try_get::<_, &str>(0)?.to_owned(), row.try_get(1)?, row.try_get(2)?)))
        .collect::<Result<Vec<Summed>>>()?;
    all.sort();
    Ok(all)
}

/// What takes the place of what.
#[derive(Debug, Default)]
struct Numbers {
    was: Vec<i64>,
    becomes: Vec<i64>,
}

impl Numbers {
    async fn given(lease: &Lease, sql: &str, was: Vec<i64>) -> Result<Self> {
        let count = i32::try_from(was.len()).map_err(|_| corrupt("endpoints"))?;
        let statement = lease.prepare_cached(sql).await?;
        let rows = lease.rows(&statement, &[&count]).await?;
        let becomes = rows.iter().map(|row| Ok(row.try_get(0)?)).collect::<Result<_>>()?;
        Ok(Self { was, becomes })
    }

    /// Those of lanes: of endpoints, and below zero of replays.
    fn of_lanes(endpoints: &Self, replays: &Self) -> Self {
        let both = |of: fn(&Self) -> &Vec<i64>| {
            of(endpoints).iter().copied().chain(of(replays).iter().map(|no| -no)).collect::<Vec<i64>>()
        };
        Self { was: both(|numbers| &numbers.was), becomes: both(|numbers| &numbers.becomes) }
    }
}

/// What is kept of a tenant that is held, as it is at one moment.
pub(super) struct Packed {
    lease: Lease,
    tenant: TenantNo,
    partition: i32,
}

impl PostgresStore {
    /// What is kept here of a tenant that is held.
    pub(super) async fn packed(&self, tenant: TenantNo, passage: &Passage) -> Result<Packed> {
        let lease = self.connections.reader().await?;
        lease.batch_execute(SNAPSHOT).await?;
        Ok(Packed { lease, tenant, partition: number(passage.to)? })
    }
}

impl Packed {
    async fn read(&self, sql: &str) -> Result<Vec<Row>> {
        let statement = self.lease.prepare_cached(sql).await?;
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&self.tenant.get(), &self.partition];
        self.lease.rows(&statement, &params[..statement.takes()]).await
    }

    /// Rows with their numbers.
    async fn numbered(&self, sql: &str) -> Result<(Vec<i64>, Vec<String>)> {
        let rows = self.read(sql).await?;
        let nos = rows.iter().map(|row| Ok(row.try_get(0)?)).collect::<Result<_>>()?;
        let texts = rows.iter().map(|row| Ok(row.try_get(1)?)).collect::<Result<_>>()?;
        Ok((nos, texts))
    }

    /// Writes all of it on another database's connection, in the transaction that is open there, and proves that it is the
    /// same there. Tells how many endpoints there are, or what differs.
    pub(super) async fn unpack(self, into: &Lease) -> Result<std::result::Result<i64, String>> {
        let (no, rows) = self.numbered(ENDPOINTS_OF).await?;
        let count = i64::try_from(no.len()).map_err(|_| corrupt("endpoints"))?;
        let endpoints = Numbers::given(into, ENDPOINT_NUMBERS, no).await?;
        take(into, TAKE_ENDPOINTS, rows, &endpoints).await?;
        let (no, rows) = self.numbered(REPLAYS_OF).await?;
        let replays = Numbers::given(into, REPLAY_NUMBERS, no).await?;
        let statement = into.prepare_cached(TAKE_REPLAYS).await?;
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&rows, &replays.was, &replays.becomes, &endpoints.was, &endpoints.becomes];
        into.execute(&statement, &params).await?;
        let lanes = Numbers::of_lanes(&endpoints, &replays);
        for (read, write) in [(LANES_OF, TAKE_LANES), (CIRCUITS_OF, TAKE_CIRCUITS)] {
            let rows = self.read(read).await?.iter().map(|row| Ok(row.try_get(0)?)).collect::<Result<_>>()?;
            take(into, write, rows, &lanes).await?;
        }
        self.pages(into, RETRIES_OF, TAKE_RETRIES, &lanes).await?;
        self.pages(into, REDRIVES_OF, TAKE_REDRIVES, &endpoints).await?;
        self.pages(into, DEAD_OF, TAKE_DEAD, &endpoints).await?;
        let own = summed(&self.read(SUMMARY).await?)?;
        let statement = into.prepare_cached(SUMMARY).await?;
        let there = summed(&into.rows(&statement, &[&self.tenant.get(), &self.partition]).await?)?;
        self.lease.batch_execute("COMMIT").await?;
        self.lease.done();
        let differs = own.iter().zip(&there).find(|(own, there)| own != there);
        if own.len() != there.len() {
            return Err(Error::Broken("two databases do not tell the same kinds of rows".to_owned()));
        }
        Ok(match differs {
            Some(((what, own, _), (_, there, _))) => Err(format!("{own} {what} here, {there} there")),
            None => Ok(count),
        })
    }

    /// Brings rows over that may be many, page by page.
    async fn pages(&self, into: &Lease, read: &str, write: &str, numbers: &Numbers) -> Result<()> {
        let statement = self.lease.prepare_cached(read).await?;
        let mut beyond = (i64::MIN, i64::MIN);
        loop {
            let rows = self
                .lease
                .rows(&statement, &[&self.tenant.get(), &self.partition, &beyond.0, &beyond.1, &AT_ONCE])
                .await?;
            let Some(last) = rows.last() else { return Ok(()) };
            beyond = (last.try_get(1)?, last.try_get(2)?);
            take(into, write, rows.iter().map(|row| Ok(row.try_get(0)?)).collect::<Result<_>>()?, numbers).await?;
        }
    }
}

async fn take(into: &Lease, sql: &str, rows: Vec<String>, numbers: &Numbers) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let statement = into.prepare_cached(sql).await?;
    into.execute(&statement, &[&rows, &numbers.was, &numbers.becomes]).await?;
    Ok(())
}
