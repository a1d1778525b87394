//! Events as bytes, in the format that was asked for.

use axum::response::Response;
use http::StatusCode;
use tidings_engine::FeedEvent;
use tidings_event::{Recorded, cloudevents};

use crate::json;
use crate::negotiate::Format;

/// Bytes that an event takes in an answer, roughly: where a buffer begins.
const EVENT_BYTES_GUESSED: usize = 512;

/// Writes one event.
pub(crate) fn event(recorded: &Recorded, format: Format, out: &mut Vec<u8>) {
    match format {
        Format::Native => recorded.write_json(out),
        Format::CloudEvents => cloudevents::write_structured(recorded, out),
    }
}

/// Writes one event of a feed; its native form is rendered once for all readers.
pub(crate) fn feed_event(shared: &FeedEvent, format: Format, out: &mut Vec<u8>) {
    match format {
        Format::Native => out.extend_from_slice(shared.native()),
        Format::CloudEvents => shared.write_cloudevent(out),
    }
}

/// Writes an array, each element by `write`.
pub(crate) fn array<T>(items: &[T], out: &mut Vec<u8>, mut write: impl FnMut(&T, &mut Vec<u8>)) {
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(b']');
}

/// A page of a list of events.
pub(crate) fn event_list(events: &[Recorded], format: Format, cursor: Option<&str>) -> Response {
    let mut out = Vec::with_capacity(64 + events.len() * EVENT_BYTES_GUESSED);
    out.extend_from_slice(b"{\"data\":");
    array(events, &mut out, |recorded, out| event(recorded, format, out));
    out.extend_from_slice(b",\"cursor\":");
    match cursor {
        Some(cursor) => json::write_string(cursor, &mut out),
        None => out.extend_from_slice(b"null"),
    }
    out.push(b'}');
    json::bytes(StatusCode::OK, out)
}

/// How many bytes a page of these events takes: exactly where they are rendered already, roughly otherwise.
pub(crate) fn size_bytes(events: &[std::sync::Arc<FeedEvent>], format: Format) -> usize {
    match format {
        Format::Native => events.iter().map(|event| event.native().len() + 1).sum(),
        Format::CloudEvents => events.len() * EVENT_BYTES_GUESSED,
    }
}
