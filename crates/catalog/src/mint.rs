//! What an event gets that leaves members out.

use tidings_event::{EventId, EventType, Mint, Timestamp, Version};

use crate::judge::Catalog;

/// Ids and moments as they are given, and of each type the version that it has now: the first where the catalog does
/// not know it.
#[derive(Debug)]
pub struct CurrentMint<'c, M> {
    /// What gives ids and moments.
    pub given: M,
    /// What knows the versions.
    pub catalog: &'c Catalog,
}

impl<M: Mint> Mint for CurrentMint<'_, M> {
    fn id(&mut self) -> EventId {
        self.given.id()
    }

    fn now(&mut self) -> Timestamp {
        self.given.now()
    }

    fn version(&mut self, event_type: &EventType) -> Version {
        self.catalog.current(event_type).cloned().unwrap_or_else(Version::first)
    }
}
