//! What the database says of log and deliveries, held against what the receivers have.
//!
//! The invariant of delivery: what matched at or below an endpoint's lane row, or the checkpoint where it has none, was
//! accepted by its receiver, or waits in the retries, or is a dead letter. It holds at every moment: the books are read
//! in one snapshot, and what a receiver accepted before that it still has afterwards.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use anyhow::Context as _;
use tokio_postgres::{Client, IsolationLevel, Transaction};

use crate::audit;
use crate::history::History;
use crate::owners::owners;
use crate::receiver::Receiver;

const ENDPOINTS: &str = "select id, no, partition, tenant_no from tidings.endpoints";
const LANES: &str = "select lane, settled from tidings.lanes where lane > 0";
const WAITING: &str = "\
    select lane, sequence from tidings.retries where lane > 0 \
    union all select endpoint, sequence from tidings.redrives \
    union all select endpoint, sequence from tidings.dead_letters";
const SETTLED: &str = "\
    select coalesce((select sequence from tidings.events where tenant_no = $1 and position <= $2 \
    order by sequence desc limit 1), 0)";
const EVENTS: &str = "\
    select sequence, type from tidings.events where tenant_no = $1 and sequence > $2 and sequence <= $3 order by sequence";
const LOG: &str = "\
    select partition, position, tenant_no, sequence from tidings.events where partition = $1 and position > $2 \
    order by position";

/// What was looked at before, so that each look reads only what is new.
#[derive(Default)]
pub(crate) struct Books {
    /// By endpoint's id: everything at or below is with its receiver.
    floors: HashMap<String, i64>,
    /// By partition: the last position that was seen.
    positions: HashMap<i32, i64>,
    /// By tenant: the last sequence that was seen.
    sequences: HashMap<i64, i64>,
    /// The last entry of the audit that was told.
    stale: i64,
    /// How often the books were looked at.
    pub(crate) looks: u64,
}

/// What an endpoint's books claim to be settled, and is not yet known to be with its receiver.
struct Claimed {
    receiver: usize,
    lane: i64,
    events: Vec<(i64, String)>,
}

impl Books {
    /// Looks at everything that is new, once. An error when the database is away.
    pub(crate) async fn look(
        &mut self,
        client: &mut Client,
        receivers: &[Arc<Receiver>],
        history: &History,
    ) -> anyhow::Result<()> {
        let transaction =
            client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true).start().await?;
        self.look_at_log(&transaction, history).await?;
        let waiting: HashSet<(i64, i64)> = pairs(&transaction, WAITING).await?.into_iter().collect();
        let claimed = self.claimed(&transaction, receivers).await?;
        let stale = audit::stale(&transaction, self.stale).await?;
        transaction.commit().await?;
        for (no, text) in stale {
            self.stale = no;
            history.broken(format!("somebody wrote what was not theirs: {text}"));
        }
        for claim in claimed {
            self.judge(&claim, &receivers[claim.receiver], &waiting, history);
        }
        self.looks += 1;
        Ok(())
    }

    async fn look_at_log(&mut self, transaction: &Transaction<'_>, history: &History) -> anyhow::Result<()> {
        let partitions = transaction.query("select id from tidings.partitions order by id", &[]).await?;
        for partition in partitions {
            let partition: i32 = partition.try_get(0)?;
            let last = self.positions.entry(partition).or_default();
            for row in transaction.query(LOG, &[&partition, &*last]).await? {
                let (position, tenant, sequence): (i64, i64, i64) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
                let of_tenant = self.sequences.entry(tenant).or_default();
                if position != *last + 1 || sequence != *of_tenant + 1 {
                    let text = format!(
                        "partition {partition}: position {position} after {last}, sequence {sequence} after {of_tenant} of tenant {tenant}"
                    );
                    history.broken(text);
                }
                (*last, *of_tenant) = (position, sequence);
            }
        }
        Ok(())
    }

    async fn claimed(
        &self,
        transaction: &Transaction<'_>,
        receivers: &[Arc<Receiver>],
    ) -> anyhow::Result<Vec<Claimed>> {
        let checkpoints: HashMap<i32, i64> =
            owners(transaction).await?.into_iter().map(|owner| (owner.partition, owner.checkpoint)).collect();
        let lanes: HashMap<i64, i64> = pairs(transaction, LANES).await?.into_iter().collect();
        let mut claimed = Vec::new();
        for row in transaction.query(ENDPOINTS, &[]).await? {
            let (id, lane, partition, tenant): (String, i64, i32, i64) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
            let Some(receiver) = receivers.iter().position(|receiver| receiver.id() == id) else { continue };
            let settled = match lanes.get(&lane) {
                Some(settled) => *settled,
                None => {
                    let checkpoint = checkpoints.get(&partition).context("a partition without a router's row")?;
                    transaction.query_one(SETTLED, &[&tenant, checkpoint]).await?.try_get(0)?
                }
            };
            let floor = self.floors.get(&id).copied().unwrap_or(0);
            let events = transaction.query(EVENTS, &[&tenant, &floor, &settled]).await?;
            let events =
                events.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<anyhow::Result<_>>()?;
            claimed.push(Claimed { receiver, lane, events });
        }
        Ok(claimed)
    }

    fn judge(&mut self, claim: &Claimed, receiver: &Receiver, waiting: &HashSet<(i64, i64)>, history: &History) {
        let now = history.now();
        let mut record = receiver.record();
        let floor = self.floors.entry(receiver.id().to_owned()).or_default();
        let (mut missing, mut unbroken) = (Vec::new(), true);
        for (sequence, event_type) in &claim.events {
            let there = !receiver.plan.wants.must(event_type) || record.has(sequence.cast_unsigned());
            unbroken &= there;
            if unbroken {
                *floor = *sequence;
            }
            match (there, waiting.contains(&(claim.lane, *sequence))) {
                (true, false) => record.settled(sequence.cast_unsigned(), now),
                (false, false) => missing.push(*sequence),
                (_, true) => {}
            }
        }
        drop(record);
        if let Some(last) = missing.last() {
            history.broken(format!("{}: settled without having been delivered: {missing:?}", receiver.name));
            // Told once.
            *floor = *last;
        }
    }
}

async fn pairs(transaction: &Transaction<'_>, sql: &str) -> anyhow::Result<Vec<(i64, i64)>> {
    let rows = transaction.query(sql, &[]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}
