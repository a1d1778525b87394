//! Whether two envelopes say the same.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
#[cfg(any(feature = "rusqlite", feature = "tokio-postgres", feature = "sqlx"))]
use tidings_event::Event;

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    tenant: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    source: Named<'a>,
    #[serde(borrow, default)]
    entity: Option<Named<'a>>,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl PartialEq for Content<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.tenant == other.tenant
            && self.event_type == other.event_type
            && self.source == other.source
            && self.entity == other.entity
            && self.data.get() == other.data.get()
    }
}

#[derive(Deserialize, PartialEq)]
struct Named<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
}

/// Whether two envelopes, as JSON text, have the same content: tenant, type, source, entity and the bytes of `data`.
/// The rest may differ between two attempts at one event, the timestamp above all.
#[must_use]
pub fn same_content(one: &str, other: &str) -> bool {
    match (serde_json::from_str::<Content<'_>>(one), serde_json::from_str::<Content<'_>>(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// The envelope as the outbox stores it.
#[cfg(any(feature = "rusqlite", feature = "tokio-postgres", feature = "sqlx"))]
pub(crate) fn render(event: &Event) -> String {
    String::from_utf8(event.to_json()).expect("JSON is UTF-8")
}
