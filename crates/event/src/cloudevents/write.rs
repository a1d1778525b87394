//! Writing CloudEvents.

use std::fmt::Write as _;

use super::{DATA_TYPE, HEADER_PREFIX, SPECVERSION, names};
use crate::render::{member, name_of, write_string};
use crate::{Event, Recorded, Version};

/// Appends a recorded event in structured mode, with `sequence` and `recordedtime`. The sequence has twenty digits,
/// so that comparing it as text compares the numbers, as the extension of that name asks.
pub fn write_structured(recorded: &Recorded, out: &mut Vec<u8>) {
    write(&recorded.event, Some(recorded), None, out);
}

/// Appends a recorded event in structured mode whose version and data were converted from another version: the
/// attribute `convertedfrom` says which.
pub fn write_converted(recorded: &Recorded, from: &Version, out: &mut Vec<u8>) {
    write(&recorded.event, Some(recorded), Some(from), out);
}

/// Appends an event in structured mode, as a producer sends it.
pub fn write_event(event: &Event, out: &mut Vec<u8>) {
    write(event, None, None, out);
}

/// The headers of a recorded event in binary mode, `content-type` included; its body is the event's data.
#[must_use]
pub fn binary_headers(recorded: &Recorded) -> Vec<(String, String)> {
    headers(&recorded.event, Some(recorded), None)
}

/// The headers of a recorded event in binary mode whose version and data were converted from another version.
#[must_use]
pub fn binary_headers_converted(recorded: &Recorded, from: &Version) -> Vec<(String, String)> {
    headers(&recorded.event, Some(recorded), Some(from))
}

/// The headers of an event in binary mode, as a producer sends it.
#[must_use]
pub fn binary_event_headers(event: &Event) -> Vec<(String, String)> {
    headers(event, None, None)
}

fn write(event: &Event, recorded: Option<&Recorded>, converted_from: Option<&Version>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"specversion\":");
    write_string(out, SPECVERSION);
    attributes(event, recorded, converted_from, |name, value| member(out, name, value));
    member(out, "datacontenttype", DATA_TYPE);
    name_of(out, "data");
    out.extend_from_slice(event.data.as_bytes());
    out.push(b'}');
}

fn headers(event: &Event, recorded: Option<&Recorded>, converted_from: Option<&Version>) -> Vec<(String, String)> {
    let mut headers = vec![
        ("content-type".to_owned(), DATA_TYPE.to_owned()),
        (format!("{HEADER_PREFIX}specversion"), SPECVERSION.to_owned()),
    ];
    attributes(event, recorded, converted_from, |name, value| {
        headers.push((format!("{HEADER_PREFIX}{name}"), encode_header(value)));
    });
    headers
}

/// Hands out the attributes, but for those that are the same in every event.
fn attributes(
    event: &Event,
    recorded: Option<&Recorded>,
    converted_from: Option<&Version>,
    mut each: impl FnMut(&str, &str),
) {
    each("id", event.id.as_str());
    each("source", &names::source_to_uri(&event.source));
    each("type", event.event_type.as_str());
    if let Some(entity) = &event.entity {
        each("subject", &names::entity_to_subject(entity));
    }
    each("time", &event.timestamp.to_string());
    each("dataschema", &names::version_to_schema(&event.event_type, &event.version));
    each("tenant", event.tenant.as_str());
    if let Some(project) = &event.project {
        each("project", project.as_str());
    }
    if let Some(actor) = &event.actor {
        each("actor", actor.as_str());
    }
    each("correlationid", event.metadata.correlation_id.as_str());
    if let Some(causation) = &event.metadata.causation_id {
        each("causationid", causation.as_str());
    }
    if let Some(context) = &event.metadata.context {
        each("contexttype", context.kind.as_str());
        each("contextid", context.id.as_str());
    }
    if let Some(traceparent) = &event.metadata.traceparent {
        each("traceparent", traceparent.as_str());
    }
    if let Some(version) = converted_from {
        each("convertedfrom", version.as_str());
    }
    if let Some(recorded) = recorded {
        each("sequence", &format!("{:020}", recorded.sequence.get()));
        each("recordedtime", &recorded.recorded_at.to_string());
    }
}

/// Percent-encodes a header's value as the HTTP binding asks: space, double quote, percent, and all that is not
/// visible ASCII.
fn encode_header(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for b in value.bytes() {
        if b.is_ascii_graphic() && !matches!(b, b'"' | b'%') {
            out.push(char::from(b));
        } else {
            let _ = write!(out, "%{b:02X}");
        }
    }
    out
}
