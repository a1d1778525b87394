//! Every bound on what a decision takes in, in one place.

/// Bytes of a pattern's JSON text.
pub const PATTERN_BYTES_MAX: usize = 16 * 1024;
/// Filters of one pattern.
pub const FILTERS_MAX: usize = 16;
/// Shorthand types of one selection; as many as one SQL statement takes.
pub const TYPES_MAX: usize = 100;
/// Characters of a pattern's type value.
pub const TYPE_VALUE_CHARS_MAX: usize = 255;
/// Bytes of a regular expression's source.
pub const REGEX_BYTES_MAX: usize = 1_024;
/// Bytes that a compiled regular expression may take; a large counted repetition reaches it first.
pub const REGEX_COMPILED_BYTES_MAX: usize = 128 * 1024;
/// Nesting of groups in a regular expression.
pub const REGEX_DEPTH_MAX: u32 = 32;
/// Bytes of a JSONPath.
pub const PATH_BYTES_MAX: usize = 1_024;
/// Nesting of filter selectors and parentheses in a JSONPath.
pub const PATH_DEPTH_MAX: usize = 8;
/// Descendant segments (`..`) of a JSONPath, those inside its filters included.
pub const PATH_DESCENTS_MAX: usize = 2;
/// Filter selectors (`?`) of a JSONPath, nested ones included.
pub const PATH_FILTERS_MAX: usize = 4;
/// Steps that the evaluation of one JSONPath on one event may take: a node visited or selected, a member compared
/// by name, a character handed to a regular expression. An evaluation that runs out selects nothing, so the filter
/// does not hold. No path without a filter or `..` comes near it on the largest event.
pub const PATH_STEPS_MAX: u32 = 2_000_000;
/// Nesting of JSON that is read here. An event is bounded to less.
pub const JSON_DEPTH_MAX: usize = 128;
/// The largest power of ten in a pattern's number, either way. Numbers of events have no such bound, and comparing
/// against a bounded one stays exact.
pub const EXPONENT_MAX: i64 = 1_000_000_000_000;
/// Events of one trace; later ones are left out and the trace says so.
pub const TRACE_EVENTS_MAX: usize = 1_000;
/// Columns of a row probe's key.
pub const PROBE_KEY_COLUMNS_MAX: usize = 16;
/// Bytes of a probe's JSON text.
pub const PROBE_BYTES_MAX: usize = 16 * 1024;
/// Characters of a probe's URL.
pub const PROBE_URL_CHARS_MAX: usize = 2_048;
/// The longest time after which an intent counts as stale: 30 days.
pub const STALE_AFTER_S_MAX: u32 = 30 * 24 * 60 * 60;

const _: () = assert!(PATH_BYTES_MAX <= PATTERN_BYTES_MAX && REGEX_BYTES_MAX <= PATTERN_BYTES_MAX);
const _: () = assert!(tidings_event::limits::DEPTH_MAX <= JSON_DEPTH_MAX);
const _: () = assert!((tidings_event::limits::DATA_BYTES_MAX as i64) < EXPONENT_MAX);
