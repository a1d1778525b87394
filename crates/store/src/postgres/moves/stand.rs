//! Where a tenant stands, as one database has it.

use tidings_event::{PartitionId, Sequence, TenantId, TenantNo};
use tokio_postgres::Row;

use super::super::PostgresStore;
use super::super::read::number;
use super::super::routers::now;
use super::super::tenants;
use crate::row::{corrupt, unsigned};
use crate::{Result, TenantRow};

/// One statement, so that all of it is of one moment.
pub(in crate::postgres) const STANDING: &str = "\
    SELECT t.no, t.name, t.partition, t.sequence, t.floor, t.created_at, \
      d.token, d.from_partition, d.to_partition, d.arrived, \
      a.token, a.from_partition, a.to_partition, a.arrived, a.verified \
    FROM tidings.tenants t \
    LEFT JOIN LATERAL (SELECT * FROM tidings.departures WHERE tenant_no = t.no ORDER BY tenant_no LIMIT 1) d ON true \
    LEFT JOIN LATERAL (SELECT * FROM tidings.arrivals WHERE tenant_no = t.no ORDER BY tenant_no LIMIT 1) a ON true \
    WHERE t.no = $1";
pub(in crate::postgres) const LIVES_IN: &str = "SELECT 1 FROM tidings.tenants WHERE no = $1 AND partition = ANY ($2)";
pub(in crate::postgres) const ENDPOINT_LEFT: &str =
    "SELECT 1 FROM tidings.endpoints WHERE no = $1 AND partition + 0 <> ALL ($2)";
/// Those that nobody has worked on for a while, each for whoever asks first.
pub(in crate::postgres) const STALLED: &str = concat!(
    "UPDATE tidings.departures d SET touched_at = ",
    now!(),
    " WHERE d.touched_at + $1 < ",
    now!(),
    " RETURNING d.tenant_no, (SELECT name FROM tidings.tenants WHERE no = d.tenant_no), d.to_partition"
);

/// A move between two databases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Passage {
    /// What no other move has.
    pub(crate) token: String,
    pub(crate) from: PartitionId,
    pub(crate) to: PartitionId,
    /// The tenant lives in the other database; what is left is to tell so and to tidy.
    pub(crate) arrived: bool,
}

/// What a database says of a tenant.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) row: TenantRow,
    /// It leaves, or has left and not everything is tidied.
    pub(crate) leaving: Option<Passage>,
    /// It comes, or has come and not everything is tidied.
    pub(crate) arriving: Option<Passage>,
    /// Up to which sequence its events here were proved to be those that it has where it comes from.
    pub(crate) verified: Sequence,
}

fn passage(row: &Row, first: usize) -> Result<Option<Passage>> {
    let Some(token) = row.try_get(first)? else { return Ok(None) };
    let partition = |index: usize| -> Result<PartitionId> {
        Ok(PartitionId(u32::try_from(row.try_get::<_, i32>(index)?).map_err(|_| corrupt("partition"))?))
    };
    Ok(Some(Passage {
        token,
        from: partition(first + 1)?,
        to: partition(first + 2)?,
        arrived: row.try_get(first + 3)?,
    }))
}

impl PostgresStore {
    /// What this database says of a tenant; nothing where it never heard of it.
    pub(crate) async fn standing(&self, tenant: TenantNo) -> Result<Option<Standing>> {
        let rows = self.connections.reader().await?.query(STANDING, &[&tenant.get()]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(Standing {
            row: tenants::row(row)?,
            leaving: passage(row, 6)?,
            arriving: passage(row, 10)?,
            verified: Sequence(unsigned(row.try_get::<_, Option<i64>>(14)?.unwrap_or(0))?),
        }))
    }

    /// Whether a partition is one of this database.
    pub(crate) fn has(&self, partition: PartitionId) -> bool {
        self.partitions.binary_search(&partition).is_ok()
    }

    /// Whether a tenant lives in one of this database's partitions. Asked after a read it says that what was read is the
    /// tenant's present state, and not what it left behind.
    pub(crate) async fn lives(&self, tenant: TenantNo) -> Result<bool> {
        self.with_own(LIVES_IN, tenant.get()).await
    }

    /// Whether an endpoint's tenant is held, or has left and not everything is tidied: it has another number where the
    /// tenant lives.
    pub(crate) async fn endpoint_left(&self, endpoint: i64) -> Result<bool> {
        self.with_own(ENDPOINT_LEFT, endpoint).await
    }

    async fn with_own(&self, sql: &str, no: i64) -> Result<bool> {
        let own = self.partitions.iter().map(|partition| number(*partition)).collect::<Result<Vec<i32>>>()?;
        Ok(!self.connections.reader().await?.query(sql, &[&no, &own]).await?.is_empty())
    }

    /// Tenants whose leaving nobody has worked on for so many microseconds, each told to one asker.
    pub(crate) async fn stalled(&self, after_us: i64) -> Result<Vec<(TenantNo, TenantId, PartitionId)>> {
        let rows = self.connections.writer().await?.query(STALLED, &[&after_us]).await?;
        let one = |row: &Row| -> Result<(TenantNo, TenantId, PartitionId)> {
            let to = u32::try_from(row.try_get::<_, i32>(2)?).map_err(|_| corrupt("partition"))?;
            Ok((TenantNo(row.try_get(0)?), TenantId::trusted(row.try_get::<_, &str>(1)?), PartitionId(to)))
        };
        rows.iter().map(one).collect()
    }
}
