//! Every bound of the HTTP surface, in one place, with their relations asserted at compile time.

use std::time::Duration;

use tidings_catalog::limits::{CHANGE_BYTES_MAX, DEFINITION_BYTES_MAX, SCHEMA_DEPTH_MAX};
use tidings_engine::endpoints::TIMEOUT_MS_MAX;
use tidings_event::limits::{BATCH_BYTES_MAX, DATA_BYTES_MAX, ENVELOPE_BYTES_MAX, TEXT_CHARS_MAX};

/// Bytes of a request body that carries events.
pub const EVENTS_BODY_BYTES_MAX: usize = BATCH_BYTES_MAX;
/// Bytes of any other request body: one event and a little beside it (an intent's probe).
pub const SMALL_BODY_BYTES_MAX: usize = 512 * 1024;
/// Bytes of a request body that holds settings: of an endpoint, a replay, a selection of dead letters.
pub const SETTINGS_BODY_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a request body that holds a change of the catalog.
pub const CATALOG_BODY_BYTES_MAX: usize = CHANGE_BYTES_MAX;
/// Objects and arrays that may stand within each other in a body that holds a change of the catalog: a schema has up to
/// two levels for each of its own.
pub const CATALOG_BODY_DEPTH_MAX: usize = 192;
/// Bytes of all request bodies that are held at once. A request that would exceed it is answered `overloaded`.
pub const BODIES_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Bytes of a body that is too large which are still read and thrown away, so that the caller, who writes before it
/// reads, gets to see the answer.
pub const REFUSED_BODY_BYTES_DRAINED_MAX: usize = 4 * EVENTS_BODY_BYTES_MAX;

/// How long a request body may take to arrive.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a body that is refused anyway is read.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a request's head may take to arrive; also how long a connection may stay without a request.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an operation may work on a request, the arrival of its body included. A feed reader's `wait` comes on top.
pub const OPERATION_TIMEOUT: Duration = Duration::from_secs(45);
/// How long a request to an endpoint that a caller waits for (a test, a challenge) may take on top of that.
pub const EXCHANGE_TIMEOUT: Duration = Duration::from_millis(TIMEOUT_MS_MAX as u64);
/// How long a check of definitions against past events may take on top of that.
pub const LOG_CHECK_TIMEOUT: Duration = Duration::from_mins(5);
/// How long a peer may leave what it is sent unread before its connection is closed.
pub const WRITE_STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// How long requests under way may take after the shutdown began.
pub const DRAIN_ON_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a request's head (request line and headers).
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Headers of a request.
pub const HEADERS_MAX: usize = 64;
/// Bytes of a query's `filter` and `types` together.
pub const SELECTION_BYTES_MAX: usize = 16 * 1024;
/// Entries of a query's `types`.
pub const TYPES_MAX: usize = 100;
/// Characters of a request id that is taken over from the caller.
pub const REQUEST_ID_CHARS_MAX: usize = 128;

/// Open connections.
pub const CONNECTIONS_MAX: usize = 20_000;
/// Requests of one HTTP/2 connection that may be under way at once.
pub const CONNECTION_REQUESTS_MAX: u32 = 256;
/// Bytes of one HTTP/2 request that may have arrived and not been read.
pub const REQUEST_UNREAD_BYTES_MAX: u32 = 128 * 1024;
/// Bytes of all requests of one HTTP/2 connection that may have arrived and not been read.
pub const CONNECTION_UNREAD_BYTES_MAX: u32 = 256 * 1024;
/// Requests that are worked on at once; feed readers that wait are counted apart.
pub const REQUESTS_MAX: usize = 2_048;
/// Feed readers that wait or stream at once.
pub const STREAMS_MAX: usize = 16_384;
/// Feed readers of one tenant that wait or stream at once.
pub const TENANT_STREAMS_MAX: usize = 4_096;
/// Looks through past events (counts of replays, back-tests) that are under way at once.
pub const SCANS_MAX: usize = 16;
/// Looks through past events of one tenant that are under way at once.
pub const TENANT_SCANS_MAX: usize = 2;

/// Entries of a list or page when the caller names no limit.
pub const PAGE_LIMIT_DEFAULT: usize = 100;
/// Entries of a list or page at most.
pub const PAGE_LIMIT_MAX: usize = 1_000;
/// Bytes of `data` in one page; a page holds at least one event all the same.
pub const PAGE_BYTES_MAX: usize = 1024 * 1024;
/// Seconds that a feed request may wait for an event.
pub const WAIT_SECONDS_MAX: u64 = 60;

/// Time between two heartbeats of a stream without events.
pub const HEARTBEAT: Duration = Duration::from_secs(15);
/// What a stream tells its reader to wait before it connects again, in milliseconds.
pub const STREAM_RETRY_MS: u32 = 2_000;
/// Events that a stream takes from the log at once.
pub const STREAM_BATCH_EVENTS_MAX: usize = 256;
/// Bytes of `data` that a stream takes from the log at once.
pub const STREAM_BATCH_BYTES_MAX: usize = 256 * 1024;

/// Compiled selections that are kept for the next request with the same words.
pub const SELECTIONS_CACHED_MAX: u64 = 1_000;
/// Seconds after which an overloaded or unavailable server asks to be tried again.
pub const RETRY_AFTER_SECONDS: u32 = 1;
/// Tenants whose quotas one answer shows in its headers.
pub const RATE_LIMITED_TENANTS_SHOWN_MAX: usize = 10;
/// Bytes of each of the two headers that show them; the longest of names has room.
pub const RATE_LIMIT_FIELD_BYTES_MAX: usize = 2_048;
const _: () = assert!(TEXT_CHARS_MAX * 4 * 4 / 3 + 128 <= RATE_LIMIT_FIELD_BYTES_MAX);

/// Characters of a key's description.
pub const KEY_DESCRIPTION_CHARS_MAX: usize = 255;
/// Tenants that a key names.
pub const KEY_TENANTS_MAX: usize = 1_000;
/// Type prefixes that a key names.
pub const KEY_TYPE_PREFIXES_MAX: usize = 100;

const _: () = assert!(DEFINITION_BYTES_MAX <= CATALOG_BODY_BYTES_MAX && CATALOG_BODY_BYTES_MAX <= BODIES_BYTES_MAX);
const _: () = assert!(2 * SCHEMA_DEPTH_MAX < CATALOG_BODY_DEPTH_MAX);
const _: () = assert!(EVENTS_BODY_BYTES_MAX <= BODIES_BYTES_MAX);
const _: () = assert!(REQUEST_UNREAD_BYTES_MAX <= CONNECTION_UNREAD_BYTES_MAX);
const _: () = assert!(DATA_BYTES_MAX + ENVELOPE_BYTES_MAX <= SMALL_BODY_BYTES_MAX);
const _: () = assert!(DATA_BYTES_MAX <= STREAM_BATCH_BYTES_MAX && STREAM_BATCH_BYTES_MAX <= PAGE_BYTES_MAX);
const _: () = assert!(SELECTION_BYTES_MAX < SETTINGS_BODY_BYTES_MAX && SETTINGS_BODY_BYTES_MAX <= SMALL_BODY_BYTES_MAX);
const _: () = assert!(PAGE_LIMIT_DEFAULT <= PAGE_LIMIT_MAX);
const _: () = assert!(TENANT_SCANS_MAX <= SCANS_MAX && SCANS_MAX <= REQUESTS_MAX);
const _: () = assert!(TENANT_STREAMS_MAX <= STREAMS_MAX && STREAMS_MAX + REQUESTS_MAX <= CONNECTIONS_MAX);
const _: () = assert!(BODY_TIMEOUT.as_secs() + DRAIN_TIMEOUT.as_secs() < OPERATION_TIMEOUT.as_secs());
const _: () = assert!(SELECTION_BYTES_MAX * 3 < HEAD_BYTES_MAX);
