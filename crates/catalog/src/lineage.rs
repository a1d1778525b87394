//! Who publishes a type and who subscribes to it: what was seen, to be held against what is declared.

use serde::{Deserialize, Serialize};
use tidings_event::{EventType, Timestamp, Version};

/// The lineage of one type, of its versions together. Also the shape of the answer over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// The type.
    pub event_type: EventType,
    /// Who was seen to emit it, by version and source.
    pub observed: Vec<Publisher>,
    /// The endpoints whose types select it, by tenant and endpoint.
    pub subscribers: Vec<Subscriber>,
}

/// Somebody who was seen to emit a type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publisher {
    /// The version that the events carried.
    pub version: Version,
    /// The id of the events' source; declared is the definition's owner.
    pub source: String,
    /// How many events, about: what was not yet written when a node was killed is missing.
    pub events: u64,
    /// When the log took the first of them.
    pub first_at: Timestamp,
    /// When the log took the newest of them.
    pub last_at: Timestamp,
}

impl Publisher {
    /// Whether the source is the owner or a part of it: its id is the owner's, or begins with it and `.` or `/`.
    #[must_use]
    pub fn is_of(&self, owner: &str) -> bool {
        self.source.strip_prefix(owner).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '/']))
    }
}

/// An endpoint that gets a type's events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscriber {
    /// Whose endpoint it is.
    pub tenant: String,
    /// The endpoint's id.
    pub endpoint: String,
    /// The host of the endpoint's URL. The whole URL may hold what opens something.
    pub url_host: String,
    /// What the endpoint says of itself; empty where it says nothing.
    #[serde(default)]
    pub description: String,
    /// The types and patterns that the endpoint selects by, like `sales.*`.
    pub types: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publisher(source: &str) -> Publisher {
        let at = Timestamp::from_micros(0);
        Publisher { version: Version::first(), source: source.to_owned(), events: 1, first_at: at, last_at: at }
    }

    #[test]
    fn a_source_is_of_its_owner_where_it_is_the_owner_or_stands_below_it() {
        for (source, is) in [("sales", true), ("sales.eu", true), ("sales/worker", true), ("salesforce", false)] {
            assert_eq!(publisher(source).is_of("sales"), is, "{source}");
        }
    }

    #[test]
    fn a_lineage_is_the_same_after_a_trip_over_the_wire() {
        let lineage = Lineage {
            event_type: EventType::parse("sales.lead.created").unwrap(),
            observed: vec![publisher("sales")],
            subscribers: vec![Subscriber {
                tenant: "acme".to_owned(),
                endpoint: "ep_1".to_owned(),
                url_host: "hooks.example".to_owned(),
                description: String::new(),
                types: vec!["sales.*".to_owned()],
            }],
        };
        let text = serde_json::to_string(&lineage).unwrap();
        assert_eq!(serde_json::from_str::<Lineage>(&text).unwrap(), lineage);
    }
}
