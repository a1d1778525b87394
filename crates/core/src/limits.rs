//! Every bound on what a decision takes in, in one place.

use std::time::Duration;

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
/// Events a second that a quota can name.
pub const EVENTS_PER_S_MAX: u64 = 10_000_000;
/// Events at once that a quota can name.
pub const EVENTS_BURST_MAX: u64 = 1_000_000_000;
/// Bytes a second that a quota can name.
pub const BYTES_PER_S_MAX: u64 = 1 << 40;
/// Bytes at once that a quota can name.
pub const BYTES_BURST_MAX: u64 = 1 << 43;
/// The longest time after which an intent counts as stale: 30 days.
pub const STALE_AFTER_S_MAX: u32 = 30 * 24 * 60 * 60;

const _: () = assert!(EVENTS_PER_S_MAX <= EVENTS_BURST_MAX && BYTES_PER_S_MAX <= BYTES_BURST_MAX);
const _: () = assert!(PATH_BYTES_MAX <= PATTERN_BYTES_MAX && REGEX_BYTES_MAX <= PATTERN_BYTES_MAX);
const _: () = assert!(tidings_event::limits::DEPTH_MAX <= JSON_DEPTH_MAX);
const _: () = assert!((tidings_event::limits::DATA_BYTES_MAX as i64) < EXPONENT_MAX);

/// Attempts that one partition's router has under way at once.
pub const IN_FLIGHT_MAX: usize = 2_048;
/// Attempts that one lane has under way at once.
pub const LANE_IN_FLIGHT_MAX: u16 = 64;
/// Attempts that a lane begins with.
pub const LANE_IN_FLIGHT_FIRST: u16 = 4;
/// Events that a lane holds in memory.
pub const WINDOW_EVENTS: usize = 256;
/// Events of a lane that are sent and not yet covered by a durable commit.
pub const UNDURABLE_MAX: usize = 2_048;
/// Retries of a lane.
pub const RETRIES_MAX: usize = 10_000;
/// Attempts of a partition's router that wait to be committed.
pub const UNCOMMITTED_MAX: usize = 65_536;
/// Events that one commit gives up because their endpoint failed for too long.
pub const EXPIRED_MAX: usize = 1_000;
/// Reads of the log that one router has under way at once.
pub const READS_MAX: usize = 8;
/// How often a router's changes are committed.
pub const TICK: Duration = Duration::from_millis(25);
/// How often a router's checkpoint is committed when nothing else changed.
pub const CHECKPOINT_EVERY: Duration = Duration::from_millis(500);
/// How long an event that is under way keeps the checkpoint back.
pub const HOLD: Duration = Duration::from_millis(100);
/// Failures in a row that open a circuit.
pub const OPEN_AFTER: u32 = 5;
/// How long a circuit is open without a break until its endpoint is disabled: 5 days.
pub const DISABLE_AFTER: Duration = Duration::from_secs(5 * 24 * 60 * 60);
/// Answers that take longer make an endpoint slow.
pub const SLOW_AFTER: Duration = Duration::from_secs(1);
/// The wait before the first probe of an open circuit.
pub const PROBE_MIN: Duration = Duration::from_secs(1);
/// The longest wait between two probes.
pub const PROBE_MAX: Duration = Duration::from_secs(60);
/// The wait after a payload or a piece of the log could not be read.
pub const PAUSE: Duration = Duration::from_millis(500);
/// Attempts that a schedule can allow.
pub const SCHEDULE_ATTEMPTS_MAX: usize = 20;
/// Seconds between two attempts: 7 days.
pub const SCHEDULE_DELAY_S_MAX: u32 = 7 * 24 * 60 * 60;
/// Seconds from the first attempt to the last: 30 days.
pub const SCHEDULE_SPAN_S_MAX: u64 = 30 * 24 * 60 * 60;
/// Sequences that a notice about dead letters names.
pub const NOTICE_SEQUENCES_MAX: usize = 20;

const _: () = assert!(WINDOW_EVENTS + LANE_IN_FLIGHT_MAX as usize <= UNDURABLE_MAX / 2);
const _: () = assert!(LANE_IN_FLIGHT_MAX as usize <= IN_FLIGHT_MAX / 4 && LANE_IN_FLIGHT_FIRST <= LANE_IN_FLIGHT_MAX);
const _: () = assert!(WINDOW_EVENTS <= RETRIES_MAX && IN_FLIGHT_MAX < UNCOMMITTED_MAX / 2);
const _: () = assert!(LANE_IN_FLIGHT_MAX as usize <= WINDOW_EVENTS && WINDOW_EVENTS <= EXPIRED_MAX);
