//! The catalog at work: what this node knows of it, how events are judged by it, how it is changed, and what becomes
//! of events that break its rules.
//!
//! What the catalog means is decided in `tidings-catalog`. Here it is kept up to date, asked before events are queued,
//! and changed together with the events that tell of the change.

mod against_log;
mod aside;
mod author;
mod blinded;
mod change;
mod checks;
mod door;
mod emitter;
mod error;
mod guard;
mod holder;
mod judge;
mod keep;
mod lineage;
mod observed;
mod pool;
mod read;
mod types;

use std::sync::Arc;

use metrics::counter;
use tidings_catalog::judge::Catalog;
use tidings_event::log::Receipt;
use tidings_event::{Event, Violation};

use crate::{AppendError, Engine, metrics as names};

pub use against_log::{
    Blinded, LOG_CHECK_DEFAULT, LOG_CHECK_MAX, LOG_SAMPLES_MAX, LogCheck, LogChecked, LogReport, LogSample,
};
pub use author::Author;
pub use blinded::BLINDED_MAX;
pub use change::REASON_CHARS_MAX;
pub(crate) use door::{Door, Outcome};
pub use emitter::Emitter;
pub use error::CatalogError;
pub use holder::CatalogHealth;
pub(crate) use holder::Holder;
pub use lineage::{Lineages, SUBSCRIBERS_MAX};
pub use observed::OBSERVED_MAX;
pub(crate) use observed::Observed;
pub(crate) use pool::{Broke, Pool, Work};
pub use types::{
    Aside, AsideSearch, Discarded, EntryPage, History, HistoryPage, HistorySearch, MarkSearch, Marked, PAGE_BYTES_MAX,
    PAGE_MAX, Proposal, Pushed, QUARANTINE_MAX, REDRIVEN_MAX, Redriven, RedrivenAll, Trial,
};

/// Answers of operations on the catalog.
pub type Result<T, E = CatalogError> = std::result::Result<T, E>;

/// The catalog, as people and services work with it. Cheap to clone.
#[derive(Clone)]
pub struct Catalogs {
    pub(crate) engine: Engine,
}

/// What the stages share of the catalog.
pub(crate) struct Parts {
    pub(crate) door: Arc<Door>,
    pub(crate) holder: Arc<Holder>,
    pub(crate) observed: Arc<Observed>,
}

impl Engine {
    /// Judges events by the catalog and appends them in the order given; see [`Appender::append`](crate::Appender::append).
    /// A request is judged as a whole: where one of its events is refused or put aside, nothing of it is written. (Where
    /// that depends on an entity's last event it is known per tenant only: then nothing of that event's tenant is.) An
    /// event that the log holds already is answered with its sequence, even where it would be refused now.
    pub async fn emit(&self, emitter: &Emitter, events: Vec<Event>) -> Result<Vec<Receipt>, AppendError> {
        self.shared.catalog.door.emit(emitter, events).await
    }

    /// The catalog as this node knows it: at most about a second old, and never older than a change made here.
    #[must_use]
    pub fn catalog(&self) -> Catalog {
        self.shared.catalog.holder.catalog()
    }

    /// The catalog, as people and services work with it.
    #[must_use]
    pub fn catalogs(&self) -> Catalogs {
        Catalogs { engine: self.clone() }
    }
}

/// Today, in UTC.
pub(crate) fn today() -> jiff::civil::Date {
    jiff::tz::Offset::UTC.to_datetime(crate::append::now().as_jiff()).date()
}

/// Counts a broken rule.
pub(crate) fn count_violation(violation: &Violation) {
    counter!(names::CATALOG_VIOLATIONS, "code" => violation.code).increment(1);
}
