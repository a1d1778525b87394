//! What an event gets that leaves members out: an id, the present moment, and the version that its type has now.

use tidings_catalog::judge::Catalog;
use tidings_event::{EventId, EventType, Mint, SystemMint, Timestamp, Version};

/// The system's clock and ids, and the versions of the catalog.
pub(crate) struct CatalogMint<'a> {
    pub(crate) system: &'a mut SystemMint,
    pub(crate) catalog: &'a Catalog,
}

impl Mint for CatalogMint<'_> {
    fn id(&mut self) -> EventId {
        self.system.id()
    }

    fn now(&mut self) -> Timestamp {
        self.system.now()
    }

    fn version(&mut self, event_type: &EventType) -> Version {
        self.catalog.current(event_type).cloned().unwrap_or_else(Version::first)
    }
}
