//! Writing events as native JSON, by hand: the order of members is fixed and `data` is copied as it is.

use crate::envelope::{Event, Metadata, Recorded, Source};
use crate::{Data, EventType, Mint, TenantId, Text, Timestamp, Version};

impl Event {
    /// An event with a new id, of this moment and of the version that `mint` knows. The rest is set on its fields.
    pub fn new(event_type: EventType, tenant: TenantId, source: Source, data: Data, mint: &mut dyn Mint) -> Self {
        let id = mint.id();
        Self {
            version: mint.version(&event_type),
            event_type,
            timestamp: mint.now(),
            tenant,
            project: None,
            source,
            entity: None,
            actor: None,
            data,
            metadata: Metadata {
                correlation_id: Text::of_id(&id),
                causation_id: None,
                context: None,
                traceparent: None,
            },
            id,
        }
    }

    /// Whether another event says the same: type, source, entity and the bytes of `data`. Sent again under one id,
    /// such an event is a duplicate; any other is a conflict.
    #[must_use]
    pub fn same_content(&self, other: &Self) -> bool {
        self.event_type == other.event_type
            && self.source == other.source
            && self.entity == other.entity
            && self.data == other.data
    }

    /// The native JSON, as a producer would send it.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.size_hint());
        self.write_json(&mut out);
        out
    }

    /// Appends the native JSON.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        self.write_members(None, out);
        out.push(b'}');
    }

    /// About as many bytes as the JSON will take, so that the buffer need not grow.
    fn size_hint(&self) -> usize {
        self.data.as_bytes().len() + 768
    }

    /// Writes everything up to the closing brace.
    fn write_members(&self, converted_from: Option<&Version>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":");
        write_string(out, self.id.as_str());
        member(out, "type", self.event_type.as_str());
        member(out, "version", self.version.as_str());
        moment(out, "timestamp", self.timestamp);
        member(out, "tenant", self.tenant.as_str());
        optional(out, "project", self.project.as_ref());
        pair(out, "source", self.source.kind.as_str(), &self.source.id);
        if let Some(entity) = &self.entity {
            pair(out, "entity", entity.kind.as_str(), &entity.id);
        }
        optional(out, "actor", self.actor.as_ref());
        out.extend_from_slice(b",\"data\":");
        out.extend_from_slice(self.data.as_bytes());
        out.extend_from_slice(b",\"metadata\":{\"correlation_id\":");
        write_string(out, self.metadata.correlation_id.as_str());
        optional(out, "causation_id", self.metadata.causation_id.as_ref());
        if let Some(context) = &self.metadata.context {
            pair(out, "context", context.kind.as_str(), &context.id);
        }
        optional(out, "traceparent", self.metadata.traceparent.as_ref());
        if let Some(version) = converted_from {
            member(out, "converted_from", version.as_str());
        }
        out.push(b'}');
    }
}

impl Recorded {
    /// The native JSON, with what the log assigned.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.event.size_hint());
        self.write_json(&mut out);
        out
    }

    /// Appends the native JSON, with what the log assigned.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        self.write(None, out);
    }

    /// The native JSON of an event whose `version` and `data` were converted from another version: its metadata say
    /// `converted_from`.
    #[must_use]
    pub fn to_json_converted(&self, from: &Version) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.event.size_hint());
        self.write(Some(from), &mut out);
        out
    }

    fn write(&self, converted_from: Option<&Version>, out: &mut Vec<u8>) {
        self.event.write_members(converted_from, out);
        out.extend_from_slice(b",\"sequence\":");
        write_number(out, self.sequence.get());
        moment(out, "recorded_at", self.recorded_at);
        out.push(b'}');
    }
}

/// A member that is not the first: names are known not to need escapes.
pub(crate) fn member(out: &mut Vec<u8>, name: &str, text: &str) {
    name_of(out, name);
    write_string(out, text);
}

pub(crate) fn moment(out: &mut Vec<u8>, name: &str, moment: Timestamp) {
    name_of(out, name);
    out.push(b'"');
    moment.write(out);
    out.push(b'"');
}

pub(crate) fn optional(out: &mut Vec<u8>, name: &str, text: Option<&Text>) {
    if let Some(text) = text {
        member(out, name, text.as_str());
    }
}

fn pair(out: &mut Vec<u8>, name: &str, kind: &str, id: &Text) {
    name_of(out, name);
    out.extend_from_slice(b"{\"type\":");
    write_string(out, kind);
    member(out, "id", id.as_str());
    out.push(b'}');
}

pub(crate) fn name_of(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Writes a JSON string. Only what the grammar demands is escaped.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0..0x20)) {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            b @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', b]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]);
            }
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Writes a number in decimal digits.
pub(crate) fn write_number(out: &mut Vec<u8>, mut number: u64) {
    // 2^64 has twenty digits.
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}
