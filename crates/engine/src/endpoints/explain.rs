//! Why an event did or did not reach an endpoint.

use tidings_core::index::{self, Explained};
use tidings_core::pattern::Selection;
use tidings_event::delivery::{CircuitState, DeadRow, RetryRow};
use tidings_event::{EndpointId, EventId, LaneNo, Recorded, Sequence, TenantId};
use tidings_store::{AttemptQuery, DeliveryState, EndpointRow, EndpointStatus};

use super::answers::{Attempt, EXPLAINED_ATTEMPTS, Explanation, FailedFilter, Outcome};
use super::error::EndpointError;
use super::stats::selection_at;
use super::types::Kept;
use super::{Endpoints, Result};
use crate::append::now;

impl Endpoints {
    /// Why an event did or did not reach an endpoint. What is said of a delivery is as new as the router's last
    /// commit, a fraction of a second.
    pub async fn explain(&self, tenant: &TenantId, id: &EndpointId, event: &EventId) -> Result<Explanation> {
        let (place, row) = self.row(tenant, id).await?;
        let store = &self.feeds().store;
        let recorded = store.event(place.no, event).await?.ok_or(EndpointError::EventNotFound)?;
        let sequence = recorded.sequence;
        // How things stand is read before what became of the event: what settles in between is then seen as settled.
        let state = store.delivery(row.no).await?.ok_or(EndpointError::NotFound)?;
        let retry = store.retry(LaneNo::from(row.no), sequence).await?;
        let dead = store.dead(row.no, sequence).await?;
        let query = AttemptQuery { sequence: Some(sequence), limit: EXPLAINED_ATTEMPTS, ..AttemptQuery::default() };
        let attempts = self.shown(place, store.attempts(row.no, &query).await?).await?;
        let since = Kept::of(&row).map_err(EndpointError::unreadable)?.since;
        Case { row, recorded, state, retry, dead, attempts, since }.explain()
    }
}

/// All that is known.
struct Case {
    row: EndpointRow,
    recorded: Recorded,
    state: DeliveryState,
    retry: Option<RetryRow>,
    dead: Option<DeadRow>,
    attempts: Vec<Attempt>,
    /// What the endpoint wanted first begins after this one.
    since: Sequence,
}

/// What can be said, before it is put together.
struct Said {
    outcome: Outcome,
    reason: String,
    filter: Option<FailedFilter>,
    behind_by: Option<u64>,
}

impl Said {
    fn new(outcome: Outcome, reason: impl Into<String>) -> Self {
        Self { outcome, reason: reason.into(), filter: None, behind_by: None }
    }
}

impl Case {
    fn explain(self) -> Result<Explanation> {
        let Said { outcome, reason, filter, behind_by } = self.say()?;
        let circuit = self.state.circuit;
        let next_attempt_at = match outcome {
            Outcome::Retrying => self.retry.map(|retry| match circuit {
                Some(circuit) => retry.next_at.max(circuit.until),
                None => retry.next_at,
            }),
            Outcome::Pending => circuit.map(|circuit| circuit.until),
            _ => None,
        };
        Ok(Explanation {
            outcome,
            reason,
            sequence: self.recorded.sequence,
            filter,
            attempts: self.attempts,
            next_attempt_at,
            circuit: circuit.map_or(CircuitState::Closed, |circuit| circuit.state),
            behind_by,
        })
    }

    fn say(&self) -> Result<Said> {
        // A replay or a redrive may bring what the endpoint's own lane never would.
        if let Some(dead) = &self.dead {
            return Ok(self.dead(dead));
        }
        if let Some(retry) = &self.retry {
            return Ok(self.retrying(retry));
        }
        if let Some(delivered) = self.delivered() {
            return Ok(delivered);
        }
        if let Some(unwanted) = self.unwanted()? {
            return Ok(unwanted);
        }
        Ok(self.pending().unwrap_or_else(|| {
            Said::new(
                Outcome::Settled,
                "The endpoint's lane is past this event; its attempts are no longer kept, or a commit is under way.",
            )
        }))
    }

    /// Why the endpoint does not want the event, if it does not.
    fn unwanted(&self) -> Result<Option<Said>> {
        let sequence = self.recorded.sequence;
        if sequence <= self.since {
            let reason =
                format!("The endpoint gets events after sequence {}; this one has sequence {sequence}.", self.since);
            return Ok(Some(Said::new(Outcome::NotSubscribedYet, reason)));
        }
        let Some(wanted) = selection_at(&self.row, sequence) else {
            let reason = "The types and the filter that the endpoint had then are no longer kept.";
            return Ok(Some(Said::new(Outcome::Settled, reason)));
        };
        let selection = Selection::new(&wanted.types, wanted.filter.as_deref().map(str::as_bytes))
            .map_err(|error| EndpointError::unreadable(format!("what is wanted cannot be read: {error}")))?;
        let event_type = &self.recorded.event.event_type;
        Ok(match index::explain(&selection, &self.recorded) {
            Explained::Wanted => None,
            Explained::TypeNotWanted => {
                let reason = format!("The endpoint does not want events of type {event_type}.");
                Some(Said::new(Outcome::Filtered, reason))
            }
            Explained::SystemNotNamed => {
                let reason =
                    format!("{event_type} is an event of Tidings itself, which go only to endpoints that name them.");
                Some(Said::new(Outcome::Filtered, reason))
            }
            Explained::FilterFailed { index, field, operator, found } => {
                let what = if found.is_empty() { "nothing".to_owned() } else { found.join(", ") };
                let reason = format!("Filter {index} does not hold: {field} {operator} …, and the path finds {what}.");
                let filter = FailedFilter { index, field, operator: operator.to_owned(), found };
                Some(Said { filter: Some(filter), ..Said::new(Outcome::Filtered, reason) })
            }
        })
    }

    fn dead(&self, dead: &DeadRow) -> Said {
        let reason = format!(
            "It was given up at {} after {} ({}); it can be redriven.",
            dead.died_at,
            attempts(dead.attempts),
            dead.reason.as_str()
        );
        Said::new(Outcome::DeadLettered, reason)
    }

    fn retrying(&self, retry: &RetryRow) -> Said {
        let standing = self.standing();
        let reason = match (&standing, retry.attempts) {
            (Some(standing), made) => format!("It waits for its next attempt after {}; {standing}.", attempts(made)),
            (None, 0) => "It waits behind an event of the same entity that failed, or was redriven.".to_owned(),
            (None, made) => format!("It failed {}; the next one is due at {}.", attempts(made), retry.next_at),
        };
        Said::new(Outcome::Retrying, reason)
    }

    fn delivered(&self) -> Option<Said> {
        let attempt = self.attempts.iter().find(|one| one.status.is_some_and(|status| (200..300).contains(&status)))?;
        let by = if attempt.replay { "a replay's " } else { "" };
        let status = attempt.status.unwrap_or_default();
        let reason = format!("The endpoint took it at {} with {by}attempt {} ({status}).", attempt.at, attempt.attempt);
        Some(Said::new(Outcome::Delivered, reason))
    }

    /// What the event waits for, if the lane is not past it.
    fn pending(&self) -> Option<Said> {
        let sequence = self.recorded.sequence;
        let behind_by = match self.state.settled {
            Some(settled) if sequence > settled => sequence.get() - settled.get() - 1,
            None if self.recorded.position > self.state.checkpoint => {
                let before = self.recorded.position.get() - self.state.checkpoint.get() - 1;
                before.min(sequence.get() - 1)
            }
            _ => return None,
        };
        let waits = match behind_by {
            0 => "It is the next one to be looked at".to_owned(),
            1 => "1 event lies before it".to_owned(),
            many => format!("{many} events lie before it"),
        };
        let reason = match self.standing() {
            Some(standing) => format!("{waits}; {standing}."),
            None => format!("{waits}; the lane is at work."),
        };
        Some(Said { behind_by: Some(behind_by), ..Said::new(Outcome::Pending, reason) })
    }

    /// Why the lane stands still, if it does.
    fn standing(&self) -> Option<String> {
        match self.row.status {
            EndpointStatus::Paused => return Some("the endpoint is paused".to_owned()),
            EndpointStatus::Disabled => {
                let reason = self.row.status_reason.as_deref().unwrap_or("unknown");
                return Some(format!("the endpoint is disabled ({reason})"));
            }
            EndpointStatus::Active | EndpointStatus::Deleted => {}
        }
        let circuit =
            self.state.circuit.filter(|circuit| circuit.until > now() || circuit.state == CircuitState::Open)?;
        match circuit.state {
            CircuitState::Closed => None,
            CircuitState::Open => Some(format!(
                "the endpoint fails altogether since {}, and is tried again at {}",
                circuit.since, circuit.until
            )),
            CircuitState::Throttled => Some(format!("the endpoint asked for a pause until {}", circuit.until)),
        }
    }
}

fn attempts(count: u32) -> String {
    match count {
        0 => "no attempt".to_owned(),
        1 => "1 attempt".to_owned(),
        many => format!("{many} attempts"),
    }
}
