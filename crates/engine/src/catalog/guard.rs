//! State rules, as an append asks them under the lock.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use metrics::counter;
use tidings_catalog::entry::Mode;
use tidings_catalog::judge::StateRule;
use tidings_core::append::{Guard, Guarded};
use tidings_event::log::Newest;
use tidings_event::{Event, EventType};

use super::judge::not_judged;
use crate::metrics as names;

/// A state rule, and what becomes of events that break it.
#[derive(Debug)]
pub(crate) struct StateGuard {
    rule: Arc<StateRule>,
    mode: Mode,
}

impl StateGuard {
    /// By the mode that the rule itself says.
    pub(crate) fn of(rule: Arc<StateRule>) -> Arc<dyn Guard> {
        Arc::new(Self { mode: rule.mode(), rule })
    }

    /// Refuses nothing, but marks.
    pub(crate) fn lenient(rule: Arc<StateRule>) -> Arc<dyn Guard> {
        Arc::new(Self { mode: Mode::Observe, rule })
    }
}

impl Guard for StateGuard {
    fn types(&self) -> &Arc<[EventType]> {
        self.rule.types()
    }

    fn judge(&self, newest: &Newest, event: &Event) -> Guarded {
        if matches!(newest, Newest::Unknown) {
            counter!(names::CATALOG_STATES_UNKNOWN).increment(1);
        }
        // Whoever panics here takes the whole commit along, and with it events that have nothing to do with this one.
        let judged = std::panic::catch_unwind(AssertUnwindSafe(|| self.rule.judge(newest, event)));
        let violations = judged.unwrap_or_else(|_| vec![not_judged(event)]);
        match self.mode {
            _ if violations.is_empty() => Guarded::Pass,
            Mode::Off => Guarded::Pass,
            Mode::Observe => Guarded::Mark(violations),
            Mode::Quarantine | Mode::Strict => Guarded::Refuse(violations),
        }
    }
}
