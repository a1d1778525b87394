//! Every bound on what travels, in one place, with their relations asserted at compile time.

/// Bytes of one event's `data`, as sent.
pub const DATA_BYTES_MAX: usize = 256 * 1024;
/// Events in one batch.
pub const BATCH_EVENTS_MAX: usize = 1_000;
/// Bytes of one request body that carries events.
pub const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Nesting of objects and arrays in one event, the envelope included.
pub const DEPTH_MAX: usize = 64;
/// Characters of any string of the envelope.
pub const TEXT_CHARS_MAX: usize = 255;
/// Segments of an event type: at least.
pub const TYPE_SEGMENTS_MIN: usize = 2;
/// Segments of an event type: at most.
pub const TYPE_SEGMENTS_MAX: usize = 5;
/// Violations listed in one answer; further ones are left out.
pub const VIOLATIONS_MAX: usize = 20;
/// Bytes that an envelope can take beside its `data`: thirteen strings of 255 four-byte characters, each
/// escaped at worst to six bytes a byte, and the members' names.
pub const ENVELOPE_BYTES_MAX: usize = 96 * 1024;

const _: () = assert!(DATA_BYTES_MAX + ENVELOPE_BYTES_MAX <= BATCH_BYTES_MAX);
const _: () = assert!(TYPE_SEGMENTS_MIN <= TYPE_SEGMENTS_MAX);
const _: () = assert!(13 * TEXT_CHARS_MAX * 4 * 6 + 1024 <= ENVELOPE_BYTES_MAX);
