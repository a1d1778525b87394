//! Whether two envelopes say the same.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
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

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
}

/// Whether a stored envelope has the content of an event: tenant, type, source, entity and the bytes of `data`. The
/// rest may differ between two attempts at one event, the timestamp above all.
pub(crate) fn is_same(stored: &str, event: &Event) -> bool {
    let Ok(stored) = serde_json::from_str::<Content<'_>>(stored) else { return false };
    let entity = match (&stored.entity, &event.entity) {
        (None, None) => true,
        (Some(stored), Some(entity)) => stored.kind == entity.kind.as_str() && stored.id == entity.id.as_str(),
        _ => false,
    };
    entity
        && stored.tenant == event.tenant.as_str()
        && stored.event_type == event.event_type.as_str()
        && stored.source.kind == event.source.kind.as_str()
        && stored.source.id == event.source.id.as_str()
        && stored.data.get().as_bytes() == event.data.as_bytes()
}

/// The envelope as the outbox stores it.
#[cfg(any(feature = "rusqlite", feature = "tokio-postgres", feature = "sqlx"))]
pub(crate) fn render(event: &Event) -> String {
    String::from_utf8(event.to_json()).expect("JSON is UTF-8")
}
