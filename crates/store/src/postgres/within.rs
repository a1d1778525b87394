//! Appends that go into the transaction of something else: few rows each, as arrays, in flights that others share.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tidings_event::log::AppendView;
use tidings_event::{PartitionId, Position, Revision, Sequence, Timestamp};
use tokio_postgres::Row;

use super::append::{
    ADVANCE_PARTITION, ADVANCE_TENANTS, Columns, EXISTING, INSERT, INSERT_MARKS, LOCK, NEWEST, TENANT_HEADS, entities,
    marks, newest_of, view,
};
use super::flight::{Flight, params};
use super::pool::Lease;
use super::read::{decode, number};
use crate::names::Names;
use crate::plan::{Before, Heads, check_places, follow};
use crate::row::signed;
use crate::{Append, Appended, Error, Result};

/// The heads that a transaction locks, in ascending order.
pub(super) struct Locks {
    partitions: Vec<(PartitionId, usize)>,
}

impl Locks {
    /// Adds the locks to a flight. Each is a statement of its own, so that what follows them sees all that was
    /// committed before they were granted.
    pub(super) async fn add(flight: &mut Flight<'_>, lease: &Lease, partitions: Vec<PartitionId>) -> Result<Self> {
        let mut locks = Vec::with_capacity(partitions.len());
        for partition in partitions {
            locks.push((partition, flight.add(lease, LOCK, params![number(partition)?]).await?));
        }
        Ok(Self { partitions: locks })
    }

    /// A partition's head: its position, when that was recorded, its revision.
    pub(super) fn head<'r>(&self, answers: &'r [Vec<Row>], partition: PartitionId) -> Result<&'r Row> {
        let step = self.partitions.iter().find(|(locked, _)| *locked == partition).map(|(_, step)| *step);
        step.and_then(|step| answers.get(step)?.first())
            .ok_or_else(|| Error::Broken(format!("there is no partition {partition}")))
    }
}

/// An append, and where the answers to what it must know will be.
struct Look {
    append: Append,
    heads: usize,
    existing: usize,
    newest: Option<usize>,
}

/// Appends on their way through a transaction.
pub(super) struct Within {
    appends: Vec<Look>,
}

impl Within {
    /// Adds what must be known to a flight that has locked the heads, and prepares what [`write`] will send.
    pub(super) async fn look(flight: &mut Flight<'_>, lease: &Lease, appends: Vec<Append>) -> Result<Self> {
        if !appends.is_empty() {
            for sql in [INSERT, INSERT_MARKS, ADVANCE_PARTITION, ADVANCE_TENANTS] {
                lease.prepare_cached(sql).await?;
            }
        }
        let mut looks = Vec::with_capacity(appends.len());
        for append in appends {
            let tenants: Vec<i64> = append.keys.tenants.iter().map(|no| no.get()).collect();
            let (nos, ids): (Vec<i64>, Vec<String>) =
                append.keys.ids.iter().map(|(no, id)| (no.get(), id.as_str().to_owned())).unzip();
            let heads = flight.add(lease, TENANT_HEADS, params![tenants, number(append.partition)?]).await?;
            let existing = flight.add(lease, EXISTING, params![nos, ids]).await?;
            let newest = match &append.keys.entities[..] {
                [] => None,
                asked => Some(flight.add(lease, NEWEST, entities(asked)).await?),
            };
            looks.push(Look { append, heads, existing, newest });
        }
        Ok(Self { appends: looks })
    }

    /// Lets each append decide on what the flight found and on what those before it write. `revision` is that of a
    /// partition whose subscriptions the transaction changes.
    pub(super) async fn decide(
        self,
        lease: &Lease,
        names: &Names,
        locks: &Locks,
        answers: &[Vec<Row>],
        revision: Option<(PartitionId, Revision)>,
    ) -> Result<Vec<Decided>> {
        let mut decided: Vec<Decided> = Vec::with_capacity(self.appends.len());
        for Look { append, heads, existing, newest } in self.appends {
            let Append { partition, keys, decide } = append;
            let head = locks.head(answers, partition)?;
            let existing = decode(lease, names, &answers[existing]).await?;
            let (mut view, mut at) = view(partition, head, &answers[heads], existing)?;
            if let Some(newest) = newest {
                view.newest = newest_of(lease, names, &keys.entities, &answers[newest]).await?;
            }
            check_places(&keys, &view)?;
            decided.iter().for_each(|earlier| follow(&mut view, &keys, &earlier.appended.plan));
            if let Some((changed, revision)) = revision
                && changed == partition
            {
                at = revision;
            }
            let before = Before::of(&view);
            let plan = catch_unwind(AssertUnwindSafe(|| decide(view)))
                .map_err(|_| Error::Broken("the decision panicked; nothing was written".to_owned()))?;
            let heads = before.advance(&plan)?;
            decided.push(Decided { appended: Appended { partition, plan, revision: at }, heads });
        }
        Ok(decided)
    }
}

/// What appends to partitions of another database come to, as events that are told there later: native JSON. They
/// are decided as if their tenants' logs were empty; the ids keep them from being told twice.
pub(super) fn elsewhere(appends: Vec<Append>) -> Result<Vec<String>> {
    let mut events = Vec::new();
    for Append { partition, keys, decide } in appends {
        let view = AppendView {
            partition,
            position: Position(0),
            recorded_at: Timestamp::from_micros(0),
            sequences: keys.tenants.iter().map(|no| (*no, Sequence(0))).collect(),
            existing: HashMap::new(),
            newest: HashMap::new(),
        };
        let plan = catch_unwind(AssertUnwindSafe(|| decide(view)))
            .map_err(|_| Error::Broken("the decision panicked; nothing was written".to_owned()))?;
        for row in plan.rows {
            events.push(String::from_utf8(row.event.to_json()).map_err(|_| crate::row::corrupt("event"))?);
        }
    }
    Ok(events)
}

/// An append that is decided and not yet written.
pub(super) struct Decided {
    pub(super) appended: Appended,
    heads: Heads,
}

/// Adds what was decided to the flight that commits.
pub(super) async fn write<'a>(flight: &mut Flight<'a>, lease: &Lease, decided: &'a [Decided]) -> Result<()> {
    for Decided { appended, heads } in decided {
        if appended.plan.rows.is_empty() {
            continue;
        }
        let partition = number(appended.partition)?;
        let (nos, sequences): (Vec<i64>, Vec<i64>) =
            heads.sequences.iter().map(|(no, sequence)| (no.get(), signed(sequence.get()))).unzip();
        let position = signed(heads.position.get());
        flight.add(lease, INSERT, Columns::of(&appended.plan.rows)?.into_params(partition)).await?;
        if !appended.plan.marks.is_empty() {
            flight.add(lease, INSERT_MARKS, marks(&appended.plan)?).await?;
        }
        flight.add(lease, ADVANCE_PARTITION, params![partition, position, heads.recorded_at.as_micros()]).await?;
        flight.add(lease, ADVANCE_TENANTS, params![nos, sequences]).await?;
    }
    Ok(())
}

/// What was appended, once the transaction has committed.
pub(super) fn appended(decided: Vec<Decided>) -> Vec<Appended> {
    decided.into_iter().map(|decided| decided.appended).collect()
}
