//! Endpoints: who wants which events, and where they are delivered to.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tidings_event::{EndpointId, EndpointNo, PartitionId, Position, Revision, Sequence, TenantId, TenantNo, Timestamp};
use tokio_postgres::Row;

use super::failure::of_commit;
use super::flight::{Flight, params};
use super::pool::{Connections, Lease};
use super::read::number;
use super::shards::INSERT_UNTOLD;
use super::within::{self, Locks, Within};
use crate::names::Names;
use crate::row::{corrupt, signed, unsigned};
use crate::{
    Append, DecideEndpoint, Elsewhere, EndpointChanged, EndpointPlan, EndpointRow, EndpointStatus, EndpointView, Error,
    Result, encoding,
};

/// The columns of an endpoint in the order in which [`row`] takes them.
macro_rules! columns {
    () => {
        "e.no, e.id, (SELECT name FROM tidings.tenants WHERE no = e.tenant_no), e.tenant_no, e.partition, e.revision, \
         e.status, e.status_reason, e.url, e.selections, e.settings, e.secrets, e.created_at, e.updated_at"
    };
}
pub(super) use columns;

/// Deleted ones too, and where the lane stands.
pub(super) const BY_ID: &str = concat!(
    "SELECT ",
    columns!(),
    ", (SELECT settled FROM tidings.lanes WHERE partition = e.partition AND lane = e.no) \
      FROM tidings.endpoints e WHERE e.tenant_no = $1 AND e.id >= $2 AND e.id <= $2 ORDER BY e.id LIMIT 1"
);
pub(super) const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM tidings.endpoints e WHERE e.tenant_no = $1 AND e.id > $2 AND e.status <> 'deleted' \
      ORDER BY e.id LIMIT $3"
);
/// What a tenant left behind that lives in another database by now is told there.
pub(super) const ALL: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM tidings.endpoints e WHERE e.no > $1 AND e.status <> 'deleted' AND NOT EXISTS ( \
        SELECT 1 FROM tidings.departures d WHERE d.tenant_no = e.tenant_no AND d.arrived) ORDER BY e.no LIMIT $2"
);
pub(super) const BOUNDS: &str = "\
    SELECT t.sequence, t.floor, (SELECT checkpoint FROM tidings.leases WHERE role = 'router' AND slot = t.partition::text), \
      (SELECT count(*) FROM (SELECT status FROM tidings.endpoints WHERE tenant_no = $1 ORDER BY id) e \
       WHERE e.status <> 'deleted') \
    FROM tidings.tenants t WHERE t.no = $1 AND t.partition = $2";
pub(super) const INSERT: &str = "\
    WITH stored AS ( \
        INSERT INTO tidings.endpoints (id, tenant_no, partition, revision, status, status_reason, url, selections, \
        settings, secrets, created_at, updated_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING no), \
    lane AS ( \
        INSERT INTO tidings.lanes (partition, lane, tenant_no, settled) \
        SELECT $3, no, $2, $13 FROM stored WHERE $13::bigint IS NOT NULL) \
    SELECT no FROM stored";
pub(super) const UPDATE: &str = "\
    UPDATE tidings.endpoints SET revision = $2, status = $3, status_reason = $4, url = $5, selections = $6, \
    settings = $7, secrets = $8, created_at = $9, updated_at = $10 WHERE no = $1 RETURNING no";
pub(super) const PUT_LANES: &str = "\
    INSERT INTO tidings.lanes (partition, lane, tenant_no, settled) \
    SELECT $1, r.lane, r.tenant_no, r.settled \
    FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) r (lane, tenant_no, settled) \
    ON CONFLICT (partition, lane) DO UPDATE SET tenant_no = excluded.tenant_no, settled = excluded.settled";
pub(super) const CANCEL_REPLAYS: &str = "\
    UPDATE tidings.replays SET state = 'cancelled', ended_at = $2, revision = $3 \
    WHERE endpoint = $1 AND state = 'running'";
pub(super) const SET_REVISION: &str = "UPDATE tidings.partitions SET revision = $2 WHERE id = $1";

pub(super) fn row(row: &Row) -> Result<EndpointRow> {
    let partition: i32 = row.try_get(4)?;
    Ok(EndpointRow {
        no: EndpointNo(row.try_get(0)?),
        id: EndpointId::trusted(row.try_get::<_, &str>(1)?),
        tenant: TenantId::trusted(row.try_get::<_, &str>(2)?),
        tenant_no: TenantNo(row.try_get(3)?),
        partition: PartitionId(u32::try_from(partition).map_err(|_| corrupt("partition"))?),
        revision: Revision(unsigned(row.try_get(5)?)?),
        status: EndpointStatus::parse(row.try_get(6)?).ok_or_else(|| corrupt("status"))?,
        status_reason: row.try_get(7)?,
        url: row.try_get(8)?,
        selections: encoding::selections_of(row.try_get(9)?)?,
        settings: row.try_get(10)?,
        secrets: row.try_get(11)?,
        created_at: Timestamp::from_micros(row.try_get(12)?),
        updated_at: Timestamp::from_micros(row.try_get(13)?),
    })
}

fn unless_deleted(found: Option<&Row>) -> Result<Option<EndpointRow>> {
    let found = found.map(row).transpose()?;
    Ok(found.filter(|row| row.status != EndpointStatus::Deleted))
}

pub(super) async fn by_id(lease: Lease, tenant: TenantNo, id: &EndpointId) -> Result<Option<EndpointRow>> {
    unless_deleted(lease.query(BY_ID, &[&tenant.get(), &id.as_str()]).await?.first())
}

pub(super) async fn list(
    lease: Lease,
    tenant: TenantNo,
    after: Option<&EndpointId>,
    limit: usize,
) -> Result<Vec<EndpointRow>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let after = after.map_or("", EndpointId::as_str);
    lease.query(LIST, &[&tenant.get(), &after, &limit]).await?.iter().map(row).collect()
}

pub(super) async fn all(lease: Lease, after: EndpointNo, limit: usize) -> Result<Vec<EndpointRow>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    lease.query(ALL, &[&after.get(), &limit]).await?.iter().map(row).collect()
}

/// What a change names.
pub(super) struct Change {
    pub(super) partition: PartitionId,
    pub(super) tenant: TenantNo,
    pub(super) id: EndpointId,
    /// Appends to partitions of another database.
    pub(super) elsewhere: Vec<Append>,
}

/// One change, in a task of its own: a caller that goes away does not leave the heads locked.
pub(super) async fn change(
    connections: Arc<Connections>,
    names: Arc<Names>,
    change: Change,
    decide: DecideEndpoint,
    appends: Vec<Append>,
) -> Result<EndpointChanged> {
    let task = tokio::spawn(async move {
        let lease = connections.writer().await?;
        let outcome = Box::pin(change.run(&lease, &names, decide, appends)).await;
        lease.finish(outcome).await
    });
    task.await.unwrap_or_else(|_| Err(Error::Broken("a change of an endpoint did not finish".to_owned())))
}

impl Change {
    async fn run(
        mut self,
        lease: &Lease,
        names: &Names,
        decide: DecideEndpoint,
        appends: Vec<Append>,
    ) -> Result<EndpointChanged> {
        let partition = number(self.partition)?;
        let elsewhere = std::mem::take(&mut self.elsewhere);
        if !elsewhere.is_empty() {
            lease.prepare_cached(INSERT_UNTOLD).await?;
        }
        for sql in [INSERT, UPDATE, PUT_LANES, CANCEL_REPLAYS, SET_REVISION] {
            lease.prepare_cached(sql).await?;
        }
        let mut flight = Flight::default();
        flight.simple("BEGIN");
        let heads = encoding::heads_locked(Some(self.partition), &appends);
        let locks = Locks::add(&mut flight, lease, heads).await?;
        // The checkpoint before the lane's row: a router may commit between the two, and a lane that has no row yet must
        // not be taken for one that stands at a checkpoint which came together with its row.
        let bounds = flight.add(lease, BOUNDS, params![self.tenant.get(), partition]).await?;
        let own = flight.add(lease, BY_ID, params![self.tenant.get(), self.id.as_str()]).await?;
        let within = Within::look(&mut flight, lease, appends).await?;
        let answers = flight.send(lease).await?;

        let head = locks.head(&answers, self.partition)?;
        let view = self.view(head, answers[own].first(), answers[bounds].first())?;
        let revision = Revision(unsigned(head.try_get(2)?)?).next();
        let before = view.row.as_ref().map_or(EndpointNo(0), |row| row.no);
        let plan = catch_unwind(AssertUnwindSafe(|| decide(view)))
            .map_err(|_| Error::Broken("the decision panicked; nothing was written".to_owned()))?;
        let EndpointPlan::Put { mut row, lane } = plan else {
            lease.batch_execute("ROLLBACK").await?;
            return Ok(EndpointChanged { row: None, appended: Vec::new() });
        };
        if row.no != before || row.id != self.id {
            return Err(Error::Broken("an endpoint was to be written in the place of another".to_owned()));
        }
        row.tenant_no = self.tenant;
        row.partition = self.partition;
        row.revision = revision;
        let changed = Some((self.partition, revision));
        let decided = within.decide(lease, names, &locks, &answers, changed).await?;

        let mut flight = Flight::default();
        let put = put(&mut flight, lease, &row, lane).await?;
        flight.add(lease, SET_REVISION, params![partition, signed(revision.get())]).await?;
        within::write(&mut flight, lease, &decided).await?;
        let untold = within::elsewhere(elsewhere)?;
        if !untold.is_empty() {
            flight.add(lease, INSERT_UNTOLD, params![untold]).await?;
        }
        flight.simple("COMMIT");
        let answers = flight.send(lease).await.map_err(of_commit)?;
        let stored = answers[put].first().ok_or_else(|| corrupt("endpoints"))?;
        row.no = EndpointNo(stored.try_get(0)?);
        drop(flight);
        Ok(EndpointChanged { row: Some(*row), appended: within::appended(decided) })
    }

    fn view(&self, head: &Row, own: Option<&Row>, bounds: Option<&Row>) -> Result<EndpointView> {
        let bounds = bounds.ok_or_else(|| Error::Moved(Elsewhere(vec![self.tenant])))?;
        let row = unless_deleted(own)?;
        let settled: Option<i64> = match own {
            Some(own) if row.is_some() => own.try_get(14)?,
            _ => None,
        };
        Ok(EndpointView {
            row,
            count: unsigned(bounds.try_get(3)?)?,
            head: Sequence(unsigned(bounds.try_get(0)?)?),
            floor: Sequence(unsigned(bounds.try_get(1)?)?),
            position: Position(unsigned(head.try_get(0)?)?),
            checkpoint: Position(unsigned(bounds.try_get(2)?)?),
            settled: settled.map(unsigned).transpose()?.map(Sequence),
        })
    }
}

/// Adds the row's statements; the first of them tells its number.
async fn put(flight: &mut Flight<'_>, lease: &Lease, row: &EndpointRow, lane: Option<Sequence>) -> Result<usize> {
    let (partition, tenant, no) = (number(row.partition)?, row.tenant_no.get(), row.no.get());
    let (revision, status) = (signed(row.revision.get()), row.status.as_str());
    let selections = encoding::selections(&row.selections)?;
    let settled = lane.map(|sequence| signed(sequence.get()));
    let (created_at, updated_at) = (row.created_at.as_micros(), row.updated_at.as_micros());
    let (reason, url) = (row.status_reason.clone(), row.url.clone());
    let (settings, secrets) = (row.settings.clone(), row.secrets.clone());
    if row.no == EndpointNo(0) {
        let params = params![
            row.id.as_str().to_owned(),
            tenant,
            partition,
            revision,
            status,
            reason,
            url,
            selections,
            settings,
            secrets,
            created_at,
            updated_at,
            settled,
        ];
        return flight.add(lease, INSERT, params).await;
    }
    let params = params![no, revision, status, reason, url, selections, settings, secrets, created_at, updated_at];
    let put = flight.add(lease, UPDATE, params).await?;
    if row.status == EndpointStatus::Deleted {
        flight.add(lease, CANCEL_REPLAYS, params![no, updated_at, revision]).await?;
    }
    if let Some(settled) = settled {
        flight.add(lease, PUT_LANES, params![partition, vec![no], vec![tenant], vec![settled]]).await?;
    }
    Ok(put)
}
