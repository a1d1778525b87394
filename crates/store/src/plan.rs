//! What an append's transaction proves about a plan before it writes: the log stays gapless whatever decided.

use std::collections::HashMap;

use tidings_event::log::{AppendKeys, AppendPlan, AppendView, Existing, Newest};
use tidings_event::{PartitionId, Position, Sequence, TenantNo, Timestamp};

use crate::{Elsewhere, Error, Result};

/// The heads as the transaction read them under its lock.
#[derive(Debug)]
pub(crate) struct Before {
    partition: PartitionId,
    position: Position,
    recorded_at: Timestamp,
    sequences: HashMap<TenantNo, Sequence>,
}

/// The heads as they stand once a plan's rows are written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Heads {
    /// The partition's last position.
    pub(crate) position: Position,
    /// When the row at that position was recorded.
    pub(crate) recorded_at: Timestamp,
    /// The last sequence of each tenant that got rows.
    pub(crate) sequences: Vec<(TenantNo, Sequence)>,
}

/// Proves that all tenants of an append live where it goes.
pub(crate) fn check_places(keys: &AppendKeys, view: &AppendView) -> Result<()> {
    if view.sequences.len() >= keys.tenants.len() {
        return Ok(());
    }
    let missing = keys.tenants.iter().filter(|no| !view.sequences.contains_key(no)).copied().collect();
    Err(Error::Moved(Elsewhere(missing)))
}

impl Before {
    pub(crate) fn of(view: &AppendView) -> Self {
        Self {
            partition: view.partition,
            position: view.position,
            recorded_at: view.recorded_at,
            sequences: view.sequences.clone(),
        }
    }

    /// The heads after the plan, if its rows follow the heads before without a gap; otherwise nothing may be written.
    pub(crate) fn advance(self, plan: &AppendPlan) -> Result<Heads> {
        let Self { partition, mut position, mut recorded_at, mut sequences } = self;
        let mut touched: Vec<TenantNo> = Vec::new();
        for row in &plan.rows {
            let sequence = sequences
                .get_mut(&row.tenant_no)
                .ok_or_else(|| wrong(position, "names a tenant whose head was not asked for or lies elsewhere"))?;
            if row.partition != partition || row.position != position.next() {
                return Err(wrong(position, "does not follow in its partition"));
            }
            if row.sequence != sequence.next() {
                return Err(wrong(position, "does not follow in its tenant"));
            }
            if row.recorded_at < recorded_at {
                return Err(wrong(position, "was recorded before the row it follows"));
            }
            if touched.last() != Some(&row.tenant_no) {
                touched.push(row.tenant_no);
            }
            position = row.position;
            recorded_at = row.recorded_at;
            *sequence = row.sequence;
        }
        let rising = plan.marks.windows(2).all(|pair| pair[0].row < pair[1].row);
        if !rising || plan.marks.last().is_some_and(|mark| mark.row >= plan.rows.len()) {
            return Err(Error::Broken("the plan marks a row twice, or one that it does not write".to_owned()));
        }
        touched.sort_unstable();
        touched.dedup();
        let sequences = touched.into_iter().filter_map(|no| sequences.get(&no).map(|head| (no, *head))).collect();
        Ok(Heads { position, recorded_at, sequences })
    }
}

/// Brings a view up to what an append before it in the same transaction will have written.
pub(crate) fn follow(view: &mut AppendView, keys: &AppendKeys, earlier: &AppendPlan) {
    for row in earlier.rows.iter().filter(|row| row.partition == view.partition) {
        view.position = row.position;
        view.recorded_at = row.recorded_at;
        if let Some(head) = view.sequences.get_mut(&row.tenant_no) {
            *head = row.sequence;
        }
        let key = (row.tenant_no, row.event.id.clone());
        if keys.ids.contains(&key) {
            view.existing.insert(key, Existing { sequence: row.sequence, event: row.event.clone() });
        }
        for key in &keys.entities {
            let asked = key.tenant == row.tenant_no && row.event.entity.as_ref() == Some(&key.entity);
            if asked && key.types.contains(&row.event.event_type) {
                view.newest.insert(key.clone(), Newest::Event(Box::new(row.event.clone())));
            }
        }
    }
}

fn wrong(position: Position, what: &str) -> Error {
    Error::Broken(format!("the plan's row after position {position} {what}"))
}
