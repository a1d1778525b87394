//! Versions that a consumer is pinned to: events of a type come to it in the version that it understands.

use std::collections::BTreeMap;
use std::sync::Arc;

use metrics::counter;
use serde::{Deserialize, Serialize};
use tidings_catalog::convert::ConvertError;
use tidings_catalog::judge::Catalog;
use tidings_event::{Data, Event, EventType, Recorded, Version};

use crate::catalog::{Broke, Pool, Work};
use crate::{FeedEvent, metrics as names};

/// Types that one consumer may be pinned to versions of.
pub const PINS_MAX: usize = 100;

/// Types, each with the version in which its events are wanted. Cheap to clone.
///
/// An event of such a type in another version is converted before it is handed out: its `version` is the pinned one
/// then, its `data` is converted, and its metadata say `converted_from`. What selects events looks at the original, and
/// so do digests and proofs. Where no chain of conversions leads to the version, or what comes out would not be valid
/// in it, the event is handed out as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Pins(Arc<BTreeMap<EventType, Version>>);

/// Which entry of a list of pins is wrong, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinError {
    /// The entry, from 0; none where the list as a whole is wrong.
    pub index: Option<usize>,
    /// What is wrong, for a person.
    pub message: String,
}

impl std::fmt::Display for PinError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl Pins {
    /// Reads entries like `sales.lead.status_changed@2`. Each type stands there once; at most [`PINS_MAX`].
    pub fn parse(entries: &[String]) -> Result<Self, PinError> {
        if entries.len() > PINS_MAX {
            return Err(PinError { index: None, message: format!("must have at most {PINS_MAX} entries") });
        }
        let mut pins = BTreeMap::new();
        for (index, entry) in entries.iter().enumerate() {
            let wrong = |message: &str| PinError { index: Some(index), message: message.to_owned() };
            let pin = entry.split_once('@').and_then(|(name, version)| {
                let number: u32 = version.parse().ok()?;
                let plain = number > 0 && number.to_string() == version;
                Some((EventType::parse(name).ok()?, Version::parse(version).ok().filter(|_| plain)?))
            });
            let (name, version) =
                pin.ok_or_else(|| wrong("must be a type and its version, like sales.lead.status_changed@2"))?;
            if pins.insert(name, version).is_some() {
                return Err(wrong("names a type that another entry names too"));
            }
        }
        Ok(Self(Arc::new(pins)))
    }

    /// The entries, by type, as [`Pins::parse`] reads them.
    #[must_use]
    pub fn entries(&self) -> Vec<String> {
        self.0.iter().map(|(name, version)| format!("{name}@{version}")).collect()
    }

    /// Whether nothing is pinned.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The event as who is pinned like this gets it. Done aside of others where it may take long.
    pub(crate) async fn convert(&self, pool: &Pool, catalog: &Catalog, event: &Arc<FeedEvent>) -> Arc<FeedEvent> {
        let Event { event_type, version, .. } = &event.recorded.event;
        let wanted = self.0.get(event_type).filter(|wanted| *wanted != version);
        if !wanted.is_some_and(|wanted| catalog.is_costly(event_type, wanted)) {
            return self.apply(catalog, event);
        }
        let (pins, catalog, given) = (self.clone(), catalog.clone(), Arc::clone(event));
        pool.run(Work::Costly, move || pins.apply(&catalog, &given)).await.unwrap_or_else(|Broke| Arc::clone(event))
    }

    /// The event as who is pinned like this gets it.
    fn apply(&self, catalog: &Catalog, event: &Arc<FeedEvent>) -> Arc<FeedEvent> {
        let recorded = &event.recorded;
        let Some(wanted) = self.0.get(&recorded.event.event_type).filter(|wanted| **wanted != recorded.event.version)
        else {
            return Arc::clone(event);
        };
        let Event { event_type, version, data, .. } = &recorded.event;
        match catalog.convert(event_type, version, wanted, data.as_bytes()) {
            Ok(Some(converted)) => {
                counter!(names::CATALOG_CONVERTED, "outcome" => "converted").increment(1);
                let from = version.clone();
                let event = Event { version: wanted.clone(), data: Data::trusted(converted), ..recorded.event.clone() };
                Arc::new(FeedEvent::converted(Recorded { event, ..recorded.clone() }, from))
            }
            Ok(None) => Arc::clone(event),
            Err(error) => {
                // A chain that is not there is a state of the catalog, anything else a fault of a conversion.
                let outcome = match &error {
                    ConvertError::Unknown { .. } | ConvertError::NoChain { .. } => "no_chain",
                    _ => "failed",
                };
                counter!(names::CATALOG_CONVERTED, "outcome" => outcome).increment(1);
                tracing::debug!(tenant = %recorded.event.tenant, sequence = %recorded.sequence, %error,
                    "an event is handed out as it is: it cannot be converted");
                Arc::clone(event)
            }
        }
    }
}

impl TryFrom<Vec<String>> for Pins {
    type Error = PinError;
    fn try_from(entries: Vec<String>) -> Result<Self, PinError> {
        Self::parse(&entries)
    }
}

impl From<Pins> for Vec<String> {
    fn from(pins: Pins) -> Self {
        pins.entries()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(entries: &[&str]) -> Result<Pins, PinError> {
        Pins::parse(&entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn pins_are_read_and_written_by_type() {
        let pins = parse(&["sales.lead.won@10", "chat.message.sent@2"]).unwrap();
        assert_eq!(pins.entries(), ["chat.message.sent@2", "sales.lead.won@10"]);
        assert!(parse(&[]).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_pin_is_refused_with_its_place() {
        let rows: [(&[&str], Option<usize>); 7] = [
            (&["sales.lead.won"], Some(0)),
            (&["sales.lead.won@2", "sales.lead.won@3"], Some(1)),
            (&["sales.lead.won@0"], Some(0)),
            (&["sales.lead.won@02"], Some(0)),
            (&["sales.lead.won@two"], Some(0)),
            (&["sales.*@2"], Some(0)),
            (&["sales.lead.won@2"; PINS_MAX + 1], None),
        ];
        for (entries, index) in rows {
            assert_eq!(parse(entries).map_err(|error| error.index), Err(index), "{entries:?}");
        }
    }
}
