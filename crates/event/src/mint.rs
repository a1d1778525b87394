//! Where defaults come from: new ids and the present moment.

use crate::{EventId, EventType, Timestamp, Version};

/// Gives what an event leaves out. Tests and simulations bring their own.
pub trait Mint {
    /// A new id that no other event has.
    fn id(&mut self) -> EventId;
    /// The present moment.
    fn now(&mut self) -> Timestamp;
    /// The version of an event that names none: the catalog's current one, the first where there is no catalog.
    fn version(&mut self, _event_type: &EventType) -> Version {
        Version::first()
    }
}

impl<M: Mint + ?Sized> Mint for &mut M {
    fn id(&mut self) -> EventId {
        (**self).id()
    }

    fn now(&mut self) -> Timestamp {
        (**self).now()
    }

    fn version(&mut self, event_type: &EventType) -> Version {
        (**self).version(event_type)
    }
}

/// The system's clock, and ULIDs that rise within one process even inside a millisecond.
#[derive(Default)]
pub struct SystemMint {
    ulids: ulid::Generator,
}

impl Mint for SystemMint {
    fn id(&mut self) -> EventId {
        // The generator fails only when 2^80 ids were made in one millisecond; a fresh one is then as good.
        let ulid = self.ulids.generate().unwrap_or_else(|_| ulid::Ulid::generate());
        EventId::trusted(ulid.to_string())
    }

    fn now(&mut self) -> Timestamp {
        Timestamp::new(jiff::Timestamp::now())
    }
}
