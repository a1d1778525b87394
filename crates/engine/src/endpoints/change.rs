//! A change of one endpoint: one transaction with the events that tell of it.

use std::sync::Arc;

use parking_lot::Mutex;
use tidings_event::{EndpointId, Sequence, TenantId, Timestamp};
use tidings_store::{DecideEndpoint, EndpointPlan, EndpointRow, EndpointView, SelectionRow};

use super::error::EndpointError;
use super::{Endpoints, Result};
use crate::append::now;
use crate::feed::Feeds;
use crate::places::Place;
use crate::system::{self, Fact};
use crate::tail::head;

/// Facts that one change may tell.
const FACTS_MAX: usize = 2;

/// What a change comes to.
pub(super) enum Change {
    /// Everything stays as it is.
    Same(Box<EndpointRow>),
    /// This row.
    Put {
        row: Box<EndpointRow>,
        /// Where its lane begins, if not at the checkpoint.
        lane: Option<Sequence>,
        /// What is told, at most [`FACTS_MAX`].
        facts: Vec<Fact>,
    },
}

impl Endpoints {
    pub(super) fn feeds(&self) -> &Feeds {
        &self.engine.shared.feeds
    }

    /// The tenant's place; a tenant that has none has no endpoints either.
    pub(super) async fn place(&self, tenant: &TenantId) -> Result<Place> {
        self.feeds().places.find(tenant).await?.ok_or(EndpointError::NotFound)
    }

    /// One endpoint as it is stored.
    pub(super) async fn row(&self, tenant: &TenantId, id: &EndpointId) -> Result<(Place, EndpointRow)> {
        let place = self.place(tenant).await?;
        let row = self.feeds().store.endpoint(place.no, id).await?.ok_or(EndpointError::NotFound)?;
        Ok((place, row))
    }

    /// Decides on an endpoint under the lock of its partition's head, and writes what was decided together with the
    /// events that tell of it. Returns the row as it is then.
    pub(super) async fn change(
        &self,
        tenant: &TenantId,
        place: Place,
        id: &EndpointId,
        decide: impl FnOnce(EndpointView, Timestamp) -> Result<Change> + Send + 'static,
    ) -> Result<EndpointRow> {
        self.check_open()?;
        let feeds = self.feeds();
        let (reserved, appends) = system::reserve(&feeds.places, tenant, FACTS_MAX).await?;
        let outcome: Arc<Mutex<Option<Result<EndpointRow>>>> = Arc::default();
        let decide: DecideEndpoint = Box::new({
            let outcome = outcome.clone();
            move |view| {
                let now = now();
                match decide(view, now) {
                    Ok(Change::Put { row, lane, facts }) => {
                        reserved.tell(&facts, now);
                        EndpointPlan::Put { row, lane }
                    }
                    Ok(Change::Same(row)) => {
                        *outcome.lock() = Some(Ok(*row));
                        EndpointPlan::Nothing
                    }
                    Err(error) => {
                        *outcome.lock() = Some(Err(error));
                        EndpointPlan::Nothing
                    }
                }
            }
        });
        let changed = match feeds.store.change_endpoint(place.partition, place.no, id, decide, appends).await {
            Ok(changed) => changed,
            Err(error) => {
                // It may have happened all the same, so the tail looks for it.
                feeds.tail.look(place.partition);
                return Err(error.into());
            }
        };
        feeds.tail.publish_all(changed.appended);
        if let Some(row) = changed.row {
            feeds.tail.note(row.partition, row.revision);
            return Ok(row);
        }
        let outcome = outcome.lock().take();
        outcome.unwrap_or_else(|| Err(EndpointError::unreadable("a change was decided by nobody".to_owned())))
    }

    pub(super) fn check_open(&self) -> Result<()> {
        self.engine.check_open().map_err(|_| EndpointError::ShuttingDown)
    }

    /// Tells the router of changes that were made without a row that says at which revision.
    pub(super) async fn note(&self, place: Place) {
        // A hint: where it fails, the router finds out by itself.
        if let Ok(head) = head(&*self.feeds().store, place.partition).await {
            self.feeds().tail.note(place.partition, head.revision);
        }
    }
}

/// Selections of one endpoint by which events are still judged, at most.
pub(super) const SELECTIONS_MAX: usize = 16;

/// Puts what is wanted from now on behind what was wanted before. Of what nothing is judged by any more as much is
/// kept as there is room for: it explains why an event of the past was not sent.
pub(super) fn select(
    row: &mut EndpointRow,
    view: &EndpointView,
    types: Vec<String>,
    filter: Option<String>,
) -> Result<()> {
    if let Some(last) = row.selections.last_mut()
        && last.after >= view.head
    {
        // No event was judged by it.
        last.types = types;
        last.filter = filter;
        return Ok(());
    }
    row.selections.push(SelectionRow { after: view.head, position: view.position, types, filter });
    let passed = passed(&row.selections, view);
    if row.selections.len() - passed > SELECTIONS_MAX {
        return Err(EndpointError::Busy(
            "types and filter were changed too often while deliveries are behind; try again once they have caught up"
                .to_owned(),
        ));
    }
    let excess = row.selections.len().saturating_sub(SELECTIONS_MAX);
    row.selections.drain(..excess);
    Ok(())
}

/// How many of the oldest selections no event is judged by any more: those whose last event the lane is past, or,
/// where it has no place of its own, the router.
fn passed(selections: &[SelectionRow], view: &EndpointView) -> usize {
    let is_past = |next: &SelectionRow| match view.settled {
        Some(settled) => settled >= next.after,
        None => view.checkpoint >= next.position,
    };
    selections.iter().skip(1).take_while(|next| is_past(next)).count()
}

#[cfg(test)]
mod tests {
    use tidings_event::{EndpointNo, PartitionId, Position, Revision, TenantNo};
    use tidings_store::EndpointStatus;

    use super::*;

    fn row() -> EndpointRow {
        let first = SelectionRow { after: Sequence(0), position: Position(0), types: vec![], filter: None };
        EndpointRow {
            no: EndpointNo(1),
            id: EndpointId::parse("ep_00000000000000000000000000").unwrap(),
            tenant: TenantId::parse("acme").unwrap(),
            tenant_no: TenantNo(1),
            partition: PartitionId(0),
            revision: Revision(1),
            status: EndpointStatus::Active,
            status_reason: None,
            url: String::new(),
            selections: vec![first],
            settings: String::new(),
            secrets: Vec::new(),
            created_at: Timestamp::from_micros(0),
            updated_at: Timestamp::from_micros(0),
        }
    }

    /// A tenant that shares its partition with as many events of others.
    fn view(head: u64, checkpoint: u64, settled: Option<u64>) -> EndpointView {
        EndpointView {
            row: None,
            count: 1,
            head: Sequence(head),
            floor: Sequence(0),
            position: Position(2 * head),
            checkpoint: Position(checkpoint),
            settled: settled.map(Sequence),
        }
    }

    fn change(row: &mut EndpointRow, view: &EndpointView, name: u64) -> Result<()> {
        select(row, view, vec![format!("a.b{name}")], None)
    }

    #[test]
    fn a_selection_that_judged_no_event_is_replaced() {
        let mut row = row();
        change(&mut row, &view(0, 0, None), 1).unwrap();
        change(&mut row, &view(3, 0, None), 2).unwrap();
        change(&mut row, &view(3, 0, None), 3).unwrap();
        let selections: Vec<(u64, &str)> =
            row.selections.iter().map(|one| (one.after.get(), one.types[0].as_str())).collect();
        assert_eq!(selections, [(0, "a.b1"), (3, "a.b3")]);
    }

    #[test]
    fn selections_by_which_events_are_judged_are_never_given_up() {
        let mut row = row();
        for head in 1..16 {
            change(&mut row, &view(head, 0, None), head).unwrap();
        }
        assert_eq!(row.selections.len(), 16);
        let refused = change(&mut row.clone(), &view(16, 1, None), 16);
        assert!(matches!(refused, Err(EndpointError::Busy(_))), "{refused:?}");
        // The router is past position 2, so past everything that the first selection was for.
        change(&mut row.clone(), &view(16, 2, None), 16).unwrap();
        // A lane that stands behind the checkpoint holds its selections.
        assert!(change(&mut row.clone(), &view(16, 32, Some(0)), 16).is_err());
        change(&mut row, &view(16, 32, Some(1)), 16).unwrap();
        assert_eq!((row.selections.len(), row.selections[0].after), (16, Sequence(1)));
    }

    #[test]
    fn with_a_router_that_keeps_up_there_is_no_end_of_changes_and_no_growth() {
        let mut row = row();
        for head in 1..100 {
            change(&mut row, &view(head, 2 * head, None), head).unwrap();
        }
        assert_eq!(row.selections.len(), 16);
        assert_eq!(row.selections.last().unwrap().after, Sequence(99));
    }
}
