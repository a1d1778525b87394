//! Where tenants live.

use std::collections::{BTreeMap, HashMap};

use tidings_event::{PartitionId, Sequence, TenantId, TenantNo, Timestamp};
use tokio_postgres::Row;

use super::pool::Lease;
use crate::row::{corrupt, unsigned};
use crate::{Error, Result, TenantRow};

pub(super) const BY_NAMES: &str = "\
    SELECT t.no, t.name, t.partition, t.sequence, t.floor, t.created_at \
    FROM unnest($1::text[]) wanted (name) JOIN tidings.tenants t ON t.name = wanted.name COLLATE \"C\"";
pub(super) const LIST: &str = "\
    SELECT t.no, t.name, t.partition, t.sequence, t.floor, t.created_at \
    FROM tidings.tenants t WHERE t.name > $1 ORDER BY t.name LIMIT $2";
pub(super) const PLACE: &str = "\
    INSERT INTO tidings.tenants (name, partition, created_at) \
    SELECT wanted.name, wanted.partition, $3 FROM unnest($1::text[], $2::integer[]) wanted (name, partition) \
    ON CONFLICT (name) DO NOTHING";
pub(super) const PROBE: &str = "UPDATE tidings.meta SET probed_at = $1";

pub(super) async fn probe_write(lease: Lease) -> Result<()> {
    lease.query(PROBE, &[&now()]).await.map(drop)
}

pub(super) async fn by_name(lease: Lease, name: &TenantId) -> Result<Option<TenantRow>> {
    let rows = lease.query(BY_NAMES, &[&[name.as_str()].as_slice()]).await?;
    rows.first().map(row).transpose()
}

pub(super) async fn by_names(lease: Lease, names: &[&TenantId]) -> Result<Vec<TenantRow>> {
    let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
    lease.query(BY_NAMES, &[&names]).await?.iter().map(row).collect()
}

/// Looks, and writes only what is missing. Two statements, each atomic: that a tenant was placed stays true.
pub(super) async fn place(lease: Lease, tenants: &[(TenantId, PartitionId)]) -> Result<Vec<TenantRow>> {
    // In order of name, so that two of these never wait for each other in a circle; the first place of a name counts.
    let mut places: BTreeMap<&str, i32> = BTreeMap::new();
    for (name, partition) in tenants {
        let partition = i32::try_from(partition.get()).map_err(|_| corrupt("partition"))?;
        places.entry(name.as_str()).or_insert(partition);
    }
    let names: Vec<&str> = places.keys().copied().collect();
    let look = lease.prepare_cached(BY_NAMES).await?;
    let mut known = by_their_names(&lease.rows(&look, &[&names]).await?)?;
    if known.len() < names.len() {
        let missing: (Vec<&str>, Vec<i32>) = places.iter().filter(|(name, _)| !known.contains_key(**name)).unzip();
        let insert = lease.prepare_cached(PLACE).await?;
        lease.execute(&insert, &[&missing.0, &missing.1, &now()]).await?;
        known = by_their_names(&lease.rows(&look, &[&names]).await?)?;
    }
    lease.done();
    let rows = tenants.iter().map(|(name, _)| known.get(name.as_str()).cloned()).collect::<Option<Vec<_>>>();
    rows.ok_or_else(|| Error::Broken("a tenant that was placed is not there".to_owned()))
}

fn by_their_names(rows: &[Row]) -> Result<HashMap<String, TenantRow>> {
    rows.iter().map(|found| row(found).map(|tenant| (tenant.id.to_string(), tenant))).collect()
}

pub(super) async fn list(lease: Lease, after: Option<&TenantId>, limit: usize) -> Result<Vec<TenantRow>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = lease.query(LIST, &[&after.map_or("", TenantId::as_str), &limit]).await?;
    rows.iter().map(row).collect()
}

/// From a row's first six columns, which every statement about tenants begins with.
pub(super) fn row(row: &Row) -> Result<TenantRow> {
    let partition: i32 = row.try_get(2)?;
    Ok(TenantRow {
        no: TenantNo(row.try_get(0)?),
        id: TenantId::trusted(row.try_get::<_, &str>(1)?),
        partition: PartitionId(u32::try_from(partition).map_err(|_| corrupt("partition"))?),
        head: Sequence(unsigned(row.try_get(3)?)?),
        floor: Sequence(unsigned(row.try_get(4)?)?),
        created_at: Timestamp::from_micros(row.try_get(5)?),
        is_moving: false,
    })
}

fn now() -> i64 {
    Timestamp::new(jiff::Timestamp::now()).as_micros()
}
