//! The canonical form of a recorded event, and its digest.
//!
//! The form is binary and not JSON, because no canonical JSON keeps numbers beyond 2^53 as they were sent. It is
//! written down in `docs/event.md`; a test fixes its vectors. Changing it needs a new version byte.

use sha2::{Digest as _, Sha256};

use crate::{Data, Digest, Event, Salt, Sequence, Text, Timestamp};

/// Stands before what is hashed for a payload.
const DATA_PREFIX: &[u8] = b"tidings/data/1\0";
/// Stands before what is hashed for what an event says.
const CONTENT_PREFIX: &[u8] = b"tidings/content/1\0";
/// Stands before what is hashed for an event.
const EVENT_PREFIX: &[u8] = b"tidings/event/1\0";

/// The salted hash of a payload. Once payload and salt are erased, it says nothing about what they were.
#[must_use]
pub fn hash_data(salt: &Salt, data: &Data) -> [u8; 32] {
    Sha256::new().chain_update(DATA_PREFIX).chain_update(salt.0).chain_update(data.as_bytes()).finalize().into()
}

/// The hash of what an event says, by which two are told apart without holding both: of events with one id it is equal
/// where [`Event::same_content`] is true.
#[must_use]
pub fn hash_content(event: &Event) -> [u8; 32] {
    let mut said = Vec::with_capacity(256);
    string(&mut said, event.event_type.as_str());
    string(&mut said, event.source.kind.as_str());
    string(&mut said, event.source.id.as_str());
    pair(&mut said, event.entity.as_ref().map(|entity| (entity.kind.as_str(), &entity.id)));
    Sha256::new().chain_update(CONTENT_PREFIX).chain_update(said).chain_update(event.data.as_bytes()).finalize().into()
}

/// The digest of an event at its place in the tenant's log: SHA-256 over its canonical form.
#[must_use]
pub fn digest(event: &Event, sequence: Sequence, recorded_at: Timestamp, data_hash: &[u8; 32]) -> Digest {
    Digest(Sha256::digest(canonical_form(event, sequence, recorded_at, data_hash)).into())
}

/// The bytes over which [`digest`] is taken.
#[must_use]
pub fn canonical_form(event: &Event, sequence: Sequence, recorded_at: Timestamp, data_hash: &[u8; 32]) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    out.extend_from_slice(EVENT_PREFIX);
    out.extend_from_slice(&sequence.get().to_be_bytes());
    out.extend_from_slice(&recorded_at.as_micros().to_be_bytes());
    string(&mut out, event.id.as_str());
    string(&mut out, event.event_type.as_str());
    string(&mut out, event.version.as_str());
    out.extend_from_slice(&event.timestamp.as_micros().to_be_bytes());
    string(&mut out, event.tenant.as_str());
    optional(&mut out, event.project.as_ref());
    string(&mut out, event.source.kind.as_str());
    string(&mut out, event.source.id.as_str());
    let entity = event.entity.as_ref();
    pair(&mut out, entity.map(|entity| (entity.kind.as_str(), &entity.id)));
    optional(&mut out, event.actor.as_ref());
    string(&mut out, event.metadata.correlation_id.as_str());
    optional(&mut out, event.metadata.causation_id.as_ref());
    let context = event.metadata.context.as_ref();
    pair(&mut out, context.map(|context| (context.kind.as_str(), &context.id)));
    optional(&mut out, event.metadata.traceparent.as_ref());
    out.extend_from_slice(data_hash);
    out
}

/// A string: its length in bytes, then its bytes as UTF-8.
fn string(out: &mut Vec<u8>, text: &str) {
    // Texts of the envelope have at most 1,020 bytes.
    out.extend_from_slice(&(text.len() as u32).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// What may be left out: one byte that says whether it is there, then the string.
fn optional(out: &mut Vec<u8>, text: Option<&Text>) {
    out.push(u8::from(text.is_some()));
    if let Some(text) = text {
        string(out, text.as_str());
    }
}

fn pair(out: &mut Vec<u8>, pair: Option<(&str, &Text)>) {
    out.push(u8::from(pair.is_some()));
    if let Some((kind, id)) = pair {
        string(out, kind);
        string(out, id.as_str());
    }
}
