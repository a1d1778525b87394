//! CloudEvents 1.0: a second face of the same event.
//!
//! | CloudEvents | event |
//! | --- | --- |
//! | `id`, `type`, `time`, `data` | `id`, `type`, `timestamp`, `data` |
//! | `source` | `source`, as `/{type}/{id}` |
//! | `subject` | `entity`, as `{type}/{id}` |
//! | `dataschema` | `version`, as `tag:tidings.dev,2026:schema/{event type}/{version}` |
//! | `datacontenttype` | always `application/json` |
//! | `tenant`, `project`, `actor` | the same |
//! | `correlationid`, `causationid`, `traceparent` | the same, in `metadata` |
//! | `contexttype`, `contextid` | `metadata.context` |
//! | `sequence`, `recordedtime` | `sequence`, `recorded_at`; only written, as the log assigns them |
//! | `convertedfrom` | `metadata.converted_from`; only written, where a consumer is pinned to a version |
//!
//! Every event comes back from its CloudEvent as it was. Sources, subjects and schemas of other makers, which do not
//! have these forms, are kept whole and come back as they were: a foreign `source` becomes a source of type
//! `external`, a foreign `subject` an entity of type `subject`, a foreign `dataschema` the version. An attribute
//! that has no place in an event is refused, as nothing is dropped silently.

mod names;
mod read;
mod write;

pub use read::{parse_batch, parse_binary, parse_structured};
pub use write::{
    binary_event_headers, binary_headers, binary_headers_converted, write_converted, write_event, write_structured,
};

/// Media type of one event in structured mode.
pub const CONTENT_TYPE: &str = "application/cloudevents+json";
/// Media type of several events.
pub const CONTENT_TYPE_BATCH: &str = "application/cloudevents-batch+json";
/// Prefix of the headers that carry attributes in binary mode.
pub const HEADER_PREFIX: &str = "ce-";

/// The version of the specification.
const SPECVERSION: &str = "1.0";
/// The only type of data.
const DATA_TYPE: &str = "application/json";
