//! The databases of one log, as its home knows them, and what each of them keeps for the others.

use std::collections::BTreeSet;

use tidings_event::{PartitionId, Position, Revision, TenantId, TenantNo};
use tokio_postgres::Row;

use super::flight::{Flight, params};
use super::pool::Lease;
use super::{PostgresStore, tenants};
use crate::row::{corrupt, unsigned};
use crate::{Error, Head, Result, TenantRow};

pub(super) const NAMES: &str = "SELECT name FROM tidings.shards ORDER BY name";
/// Held while a shard is registered. The number is the eight bytes of "shards o".
const REGISTER_LOCK: i64 = i64::from_be_bytes(*b"shards o");
pub(super) const LOCK: &str = "SELECT pg_advisory_xact_lock($1)";
pub(super) const LIST: &str = "\
    SELECT s.no, s.name, s.joined, coalesce(p.partition, -1) FROM tidings.shards s \
    LEFT JOIN tidings.shard_partitions p ON p.shard = s.no ORDER BY s.no, p.partition";
pub(super) const OWN: &str = "SELECT id FROM tidings.partitions WHERE id = ANY ($1) ORDER BY id";
pub(super) const REGISTER: &str = "\
    INSERT INTO tidings.shards (no, name) VALUES ((SELECT coalesce(max(no), 0) + 1 FROM tidings.shards), $1) \
    RETURNING no";
pub(super) const ADD_PARTITIONS: &str = "\
    INSERT INTO tidings.shard_partitions (partition, shard) SELECT partition, $2 FROM unnest($1::integer[]) partition";
pub(super) const JOINED: &str = "UPDATE tidings.shards SET joined = true WHERE no = $1";
pub(super) const ADOPT: &str = "\
    INSERT INTO tidings.tenants (no, name, partition, created_at) OVERRIDING SYSTEM VALUE \
    SELECT r.no, r.name, r.partition, r.created_at \
    FROM unnest($1::bigint[], $2::text[], $3::integer[], $4::bigint[]) r (no, name, partition, created_at) \
    ON CONFLICT DO NOTHING";
pub(super) const PARTITION_OF: &str = "SELECT partition FROM tidings.tenants WHERE no = $1";
pub(super) const HEADS: &str = "SELECT id, position, revision, moves FROM tidings.partitions ORDER BY id";
pub(super) const UNTOLD: &str = "SELECT no, event FROM tidings.untold WHERE no > $1 ORDER BY no LIMIT $2";
pub(super) const TOLD: &str = "DELETE FROM tidings.untold WHERE no = ANY ($1)";
pub(super) const INSERT_UNTOLD: &str = "INSERT INTO tidings.untold (event) SELECT * FROM unnest($1::text[])";

/// A shard as home knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Registered {
    pub(crate) no: u16,
    pub(crate) name: String,
    /// Its database was made.
    pub(crate) joined: bool,
    pub(crate) partitions: BTreeSet<u32>,
}

pub(super) async fn names(lease: Lease) -> Result<Vec<String>> {
    lease.query(NAMES, &[]).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

fn registered(rows: &[Row]) -> Result<Vec<Registered>> {
    let mut found: Vec<Registered> = Vec::new();
    for row in rows {
        let no = u16::try_from(row.try_get::<_, i32>(0)?).map_err(|_| corrupt("shards"))?;
        if found.last().is_none_or(|last| last.no != no) {
            let (name, joined) = (row.try_get(1)?, row.try_get(2)?);
            found.push(Registered { no, name, joined, partitions: BTreeSet::new() });
        }
        if let (Some(last), Ok(partition)) = (found.last_mut(), u32::try_from(row.try_get::<_, i32>(3)?)) {
            last.partitions.insert(partition);
        }
    }
    Ok(found)
}

impl PostgresStore {
    /// The partitions that it holds, rising.
    pub(crate) fn partitions(&self) -> &[PartitionId] {
        &self.partitions
    }

    /// Makes the shards of the configuration known to home, or proves that they are those that it knows. Partitions may
    /// be added to a shard, never taken away; neither is, where they must be `existing`. Returns them by their numbers.
    pub(crate) async fn register(&self, wanted: &[(String, BTreeSet<u32>)], existing: bool) -> Result<Vec<Registered>> {
        let lease = self.connections.writer().await?;
        let mut flight = Flight::default();
        flight.simple("BEGIN");
        flight.add(&lease, LOCK, params![REGISTER_LOCK]).await?;
        let known = flight.add(&lease, LIST, params![]).await?;
        let answers = flight.send(&lease).await?;
        let mut known = registered(&answers[known])?;
        if let Some(unnamed) = known.iter().find(|shard| wanted.iter().all(|(name, _)| *name != shard.name)) {
            return Err(Error::Unusable(format!(
                "the log has a shard '{}' that the configuration does not name",
                unnamed.name
            )));
        }
        for (name, partitions) in wanted {
            let known_already =
                known.iter().any(|shard| shard.name == *name && partitions.is_subset(&shard.partitions));
            if existing && !known_already {
                return Err(Error::Behind(format!(
                    "the log does not know all of shard '{name}' yet; a server with this configuration adds it"
                )));
            }
            let (no, added) = match known.iter_mut().find(|shard| shard.name == *name) {
                Some(shard) => {
                    if let Some(lost) = shard.partitions.iter().find(|partition| !partitions.contains(partition)) {
                        return Err(Error::Unusable(format!(
                            "shard '{name}' holds partition {lost}, which is missing from its range"
                        )));
                    }
                    let added: Vec<i32> = numbers(partitions.difference(&shard.partitions))?;
                    shard.partitions.clone_from(partitions);
                    (i32::from(shard.no), added)
                }
                None => {
                    let register = lease.prepare_cached(REGISTER).await?;
                    let rows = lease.rows(&register, &[name]).await?;
                    let no: i32 = rows.first().ok_or_else(|| corrupt("shards"))?.try_get(0)?;
                    let number = u16::try_from(no).map_err(|_| corrupt("shards"))?;
                    known.push(Registered {
                        no: number,
                        name: name.clone(),
                        joined: false,
                        partitions: partitions.clone(),
                    });
                    (no, numbers(partitions.iter())?)
                }
            };
            if added.is_empty() {
                continue;
            }
            let own = lease.prepare_cached(OWN).await?;
            if let Some(taken) = lease.rows(&own, &[&added]).await?.first() {
                let taken: i32 = taken.try_get(0)?;
                return Err(Error::Unusable(format!("partition {taken} of shard '{name}' is one of home's")));
            }
            let add = lease.prepare_cached(ADD_PARTITIONS).await?;
            lease.execute(&add, &[&added, &no]).await.map_err(|error| match error.code() {
                Some(code) if *code == tokio_postgres::error::SqlState::UNIQUE_VIOLATION => {
                    Error::Unusable(format!("a partition of shard '{name}' is one of another shard's"))
                }
                _ => error.into(),
            })?;
        }
        lease.batch_execute("COMMIT").await?;
        lease.done();
        Ok(known)
    }

    /// Takes note that a shard's database was made.
    pub(crate) async fn note_joined(&self, no: u16) -> Result<()> {
        self.connections.writer().await?.query(JOINED, &[&i32::from(no)]).await.map(drop)
    }

    /// Records where tenants live, in any of the log's databases.
    pub(crate) async fn place_anywhere(&self, tenants: &[(TenantId, PartitionId)]) -> Result<Vec<TenantRow>> {
        let rows = tenants::place(self.connections.writer().await?, tenants).await?;
        rows.iter().for_each(|row| self.names.put(row.no, &row.id));
        Ok(rows)
    }

    /// Takes tenants in that home has placed here, unless it has them; the rows as they are here, in order.
    pub(crate) async fn adopt(&self, rows: &[TenantRow]) -> Result<Vec<TenantRow>> {
        let lease = self.connections.writer().await?;
        let mut sorted: Vec<&TenantRow> = rows.iter().collect();
        // In order of name, so that two of these never wait for each other in a circle.
        sorted.sort_by(|a, b| a.id.as_str().cmp(b.id.as_str()));
        let nos: Vec<i64> = sorted.iter().map(|row| row.no.get()).collect();
        let names: Vec<&str> = sorted.iter().map(|row| row.id.as_str()).collect();
        let partitions = numbers(sorted.iter().map(|row| &row.partition.0))?;
        let created: Vec<i64> = sorted.iter().map(|row| row.created_at.as_micros()).collect();
        let adopt = lease.prepare_cached(ADOPT).await?;
        lease.execute(&adopt, &[&nos, &names, &partitions, &created]).await?;
        lease.done();
        let ids: Vec<&TenantId> = rows.iter().map(|row| &row.id).collect();
        let found = self.tenants_named(&ids).await?;
        let own = |row: &TenantRow| found.iter().find(|own| own.no == row.no && own.id == row.id).cloned();
        let missing = || Error::Broken("a tenant that was placed is not there, or is another's".to_owned());
        rows.iter().map(|row| own(row).ok_or_else(missing)).collect()
    }

    /// Tenants of these names, as far as they are known here.
    pub(crate) async fn tenants_named(&self, names: &[&TenantId]) -> Result<Vec<TenantRow>> {
        let rows = tenants::by_names(self.connections.reader().await?, names).await?;
        rows.iter().for_each(|row| self.names.put(row.no, &row.id));
        Ok(rows)
    }

    /// Where a tenant lives by its number.
    pub(crate) async fn partition_of(&self, no: TenantNo) -> Result<Option<PartitionId>> {
        let rows = self.connections.reader().await?.query(PARTITION_OF, &[&no.get()]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let partition = u32::try_from(row.try_get::<_, i32>(0)?).map_err(|_| corrupt("partition"))?;
        Ok(Some(PartitionId(partition)))
    }

    /// The heads of its partitions, each with its partition.
    pub(crate) async fn own_heads(&self) -> Result<Vec<(PartitionId, Head)>> {
        let head = |row: &Row| -> Result<(PartitionId, Head)> {
            let id = u32::try_from(row.try_get::<_, i32>(0)?).map_err(|_| corrupt("partition"))?;
            let position = Position(unsigned(row.try_get(1)?)?);
            let (revision, moves) = (Revision(unsigned(row.try_get(2)?)?), unsigned(row.try_get(3)?)?);
            Ok((PartitionId(id), Head { position, revision, moves }))
        };
        self.connections.reader().await?.query(HEADS, &[]).await?.iter().map(head).collect()
    }

    pub(crate) async fn own_untold(&self, after: i64, limit: usize) -> Result<Vec<(i64, String)>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.connections.reader().await?.query(UNTOLD, &[&after, &limit]).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    pub(crate) async fn own_told(&self, nos: &[i64]) -> Result<()> {
        self.connections.writer().await?.query(TOLD, &[&nos]).await.map(drop)
    }
}

/// Numbers as PostgreSQL takes them.
fn numbers<'a>(numbers: impl Iterator<Item = &'a u32>) -> Result<Vec<i32>> {
    numbers.map(|number| i32::try_from(*number).map_err(|_| corrupt("partition"))).collect()
}
