//! Putting events aside that break rules.

use metrics::counter;
use tidings_event::{ErrorCode, Event, Violation, hash_content, violation_code as code};
use tidings_store::Aside;

use super::count_violation;
use super::door::{Door, Outcome, Violations, count_refused, refused, set};
use super::emitter::Emitter;
use super::types::QUARANTINE_MAX;
use crate::append::now;
use crate::{AppendError, metrics as names};

impl Door {
    /// Keeps events of one request aside, all or none, and says so.
    pub(super) async fn put_aside(
        &self,
        emitter: &Emitter,
        events: Vec<(usize, Event, Vec<Violation>)>,
    ) -> Result<AppendError, AppendError> {
        let sender = emitter.name();
        let rows: Vec<Aside> = events.iter().map(|(_, event, reasons)| row(&sender, event, reasons)).collect();
        let kept = self.store.put_aside(&rows, QUARANTINE_MAX).await?;
        let violations = events.into_iter().map(|(index, _, violations)| (index, violations));
        if kept {
            let violations: Violations = violations.collect();
            violations.iter().for_each(|(_, violations)| count_quarantined(violations));
            return Ok(AppendError::Quarantined { violations });
        }
        let violations: Violations = violations.map(|(index, violations)| (index, full(violations))).collect();
        violations.iter().for_each(|(_, violations)| count_refused(violations));
        Ok(AppendError::Rejected { violations })
    }

    /// Keeps events aside, each for itself. All at once, unless there is no room for all.
    pub(super) async fn put_each_aside(
        &self,
        emitter: &Emitter,
        mut events: Vec<(usize, Event, Vec<Violation>)>,
        outcomes: &mut [Option<Outcome>],
    ) -> Result<(), AppendError> {
        if events.is_empty() {
            return Ok(());
        }
        let sender = emitter.name();
        events.sort_by(|(_, one, _), (_, other, _)| one.tenant.cmp(&other.tenant));
        let rows: Vec<Aside> = events.iter().map(|(_, event, reasons)| row(&sender, event, reasons)).collect();
        let mut kept = Vec::with_capacity(rows.len());
        if self.store.put_aside(&rows, QUARANTINE_MAX).await? {
            kept.resize(rows.len(), true);
        } else {
            for rows in rows.chunk_by(|one, other| one.tenant == other.tenant) {
                let count = self.put_aside_what_fits(rows).await?;
                kept.extend((0..rows.len()).map(|place| place < count));
            }
        }
        for ((index, _, violations), kept) in events.into_iter().zip(kept) {
            if kept {
                count_quarantined(&violations);
                set(outcomes, index, Outcome::Aside);
            } else {
                let violations = full(violations);
                count_refused(&violations);
                set(outcomes, index, refused(ErrorCode::EventRejected, violations));
            }
        }
        Ok(())
    }

    /// Keeps as many of one tenant's events aside as there is room for, the first of them, in few steps. Returns how
    /// many.
    async fn put_aside_what_fits(&self, rows: &[Aside]) -> Result<usize, AppendError> {
        let (mut left, mut size) = (rows, rows.len());
        while !left.is_empty() {
            let (piece, rest) = left.split_at(size.clamp(1, left.len()));
            if self.store.put_aside(piece, QUARANTINE_MAX).await? {
                left = rest;
            } else if piece.len() == 1 {
                break;
            }
            size = piece.len() / 2;
        }
        Ok(rows.len() - left.len())
    }
}

fn row(sender: &str, event: &Event, reasons: &[Violation]) -> Aside {
    Aside {
        no: 0,
        tenant: event.tenant.clone(),
        event_id: event.id.clone(),
        content: hash_content(event),
        event_type: event.event_type.clone(),
        version: event.version.clone(),
        event: String::from_utf8_lossy(&event.to_json()).into_owned(),
        reasons: serde_json::to_string(reasons).expect("strings can always be written"),
        sender: sender.to_owned(),
        at: now(),
    }
}

fn full(mut violations: Vec<Violation>) -> Vec<Violation> {
    violations.push(Violation {
        path: String::new(),
        code: code::QUARANTINE_FULL,
        message: format!(
            "would have been kept aside, but the tenant's quarantine is full with {QUARANTINE_MAX} events"
        ),
    });
    violations
}

fn count_quarantined(violations: &[Violation]) {
    counter!(names::CATALOG_JUDGED, "outcome" => "quarantined").increment(1);
    violations.iter().for_each(count_violation);
}
