//! What producers know: which events must be in the log, and which must never be.

use std::collections::BTreeMap;

use tidings_event::{Event, EventId, EventType, Mint, Timestamp, Version, parse_event};

/// The types that producers emit.
pub const TYPES: [&str; 3] = ["shop.order.placed", "shop.order.paid", "shop.parcel.sent"];

/// What is known of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It may be in the log or not.
    Open,
    /// It must come into the log.
    Must,
    /// It must never be in the log.
    Never,
}

/// An event as its producer knows it.
#[derive(Debug, Clone)]
pub struct Known {
    pub tenant: String,
    /// Who emits it; what one producer does has an order.
    pub producer: String,
    pub number: u64,
    /// When it was begun, by the ledger's count.
    pub begun: u64,
    /// From when on it stands, by the ledger's count, if that is known: no event that its producer begins later may
    /// come before it.
    pub stood: Option<u64>,
    pub fate: Fate,
    /// The sequence that its producer was told.
    pub sequence: Option<u64>,
}

/// All events of a simulation, by id.
#[derive(Default)]
pub struct Ledger {
    pub known: BTreeMap<String, Known>,
    last: u64,
    /// Counts what happens to events.
    count: u64,
}

/// Producers name everything themselves.
struct NothingLeftOut;

impl Mint for NothingLeftOut {
    fn id(&mut self) -> EventId {
        EventId::trusted("unnamed")
    }

    fn now(&mut self) -> Timestamp {
        Timestamp::from_micros(0)
    }

    fn version(&mut self, _event_type: &EventType) -> Version {
        Version::first()
    }
}

impl Ledger {
    /// A new event of a tenant, as JSON, with its id.
    pub fn make(&mut self, producer: &str, tenant: &str, kind: &str, entity: u64) -> (String, Vec<u8>) {
        self.last += 1;
        self.count += 1;
        let number = self.last;
        let id = format!("e{number:05}");
        let json = json(&id, tenant, kind, entity, number);
        let known = Known {
            tenant: tenant.to_owned(),
            producer: producer.to_owned(),
            number,
            begun: self.count,
            stood: None,
            fate: Fate::Open,
            sequence: None,
        };
        self.known.insert(id.clone(), known);
        (id, json)
    }

    /// Sets what becomes of an event.
    pub fn set(&mut self, id: &str, fate: Fate) {
        if let Some(known) = self.known.get_mut(id) {
            known.fate = fate;
        }
    }

    /// What its producer begins from now on comes after an event.
    pub fn stands(&mut self, id: &str) {
        self.count += 1;
        if let Some(known) = self.known.get_mut(id) {
            known.stood = Some(self.count);
        }
    }

    /// An event was acknowledged.
    pub fn acknowledged(&mut self, id: &str, sequence: u64) {
        if let Some(known) = self.known.get_mut(id) {
            known.fate = Fate::Must;
            known.sequence = Some(sequence);
        }
    }

    /// An event that was acknowledged, if there is one.
    pub fn some_acknowledged(&self, dice: u64) -> Option<(&String, &Known)> {
        let told = || self.known.iter().filter(|(_, known)| known.sequence.is_some());
        let at = dice.checked_rem(told().count() as u64)?;
        told().nth(usize::try_from(at).ok()?)
    }
}

/// An event's envelope.
pub fn json(id: &str, tenant: &str, kind: &str, entity: u64, number: u64) -> Vec<u8> {
    format!(
        r#"{{"id":"{id}","type":"{kind}","tenant":"{tenant}","timestamp":"2026-03-15T10:00:00Z","source":{{"type":"service","id":"shop"}},"entity":{{"type":"order","id":"o{entity}"}},"data":{{"n":{number}}}}}"#
    )
    .into_bytes()
}

/// Reads an envelope.
pub fn event(json: &[u8]) -> Event {
    parse_event(json, &mut NothingLeftOut).expect("the ledger writes envelopes that are right")
}
