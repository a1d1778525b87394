//! One row of the log as the databases give it, and how it becomes an event again.

use bytes::Bytes;
use tidings_event::{
    Context, ContextKind, Data, Digest, Entity, Event, EventId, EventType, Metadata, PartitionId, Position, Recorded,
    Salt, Sequence, Source, SourceKind, TenantId, TenantNo, Text, Timestamp, Version,
};

use crate::{Error, ReadLimit, Result};

/// The columns of a row, borrowed from the driver.
pub(crate) struct Raw<'a> {
    pub(crate) partition: PartitionId,
    pub(crate) position: Position,
    pub(crate) tenant_no: TenantNo,
    pub(crate) sequence: Sequence,
    pub(crate) event_id: &'a str,
    pub(crate) event_type: &'a str,
    pub(crate) version: &'a str,
    pub(crate) timestamp: i64,
    pub(crate) recorded_at: i64,
    pub(crate) project: Option<&'a str>,
    pub(crate) source_kind: &'a str,
    pub(crate) source_id: &'a str,
    pub(crate) entity: Option<(&'a str, &'a str)>,
    pub(crate) actor: Option<&'a str>,
    pub(crate) correlation_id: Option<&'a str>,
    pub(crate) causation_id: Option<&'a str>,
    pub(crate) context: Option<(&'a str, &'a str)>,
    pub(crate) traceparent: Option<&'a str>,
    pub(crate) salt: Option<&'a [u8]>,
    pub(crate) digest: &'a [u8],
    pub(crate) data: Option<&'a [u8]>,
}

/// Turns rows into events. Neighbours in the log mostly share their type, source and the like, so the last value of
/// each such column is kept and shared rather than copied again.
#[derive(Default)]
pub(crate) struct Decoder {
    event_type: Option<EventType>,
    version: Option<Version>,
    project: Option<Text>,
    source_id: Option<Text>,
    entity_kind: Option<Text>,
    entity_id: Option<Text>,
    actor: Option<Text>,
    correlation_id: Option<Text>,
    context_id: Option<Text>,
}

impl Decoder {
    pub(crate) fn recorded(&mut self, raw: &Raw<'_>, tenant: TenantId) -> Result<Recorded> {
        // Nothing in this version erases; a row without its payload was written by one that does.
        let (Some(data), Some(salt)) = (raw.data, raw.salt) else {
            return Err(Error::Unusable(format!(
                "the payload of position {} was erased by a newer version",
                raw.position
            )));
        };
        let id = EventId::trusted(raw.event_id);
        let correlation_id = match raw.correlation_id {
            Some(given) => shared(&mut self.correlation_id, given, |text| Text::trusted(text)),
            None => Text::trusted(id.shared()),
        };
        let event = Event {
            id,
            event_type: shared(&mut self.event_type, raw.event_type, |text| EventType::trusted(text)),
            version: shared(&mut self.version, raw.version, |text| Version::trusted(text)),
            timestamp: Timestamp::from_micros(raw.timestamp),
            tenant,
            project: raw.project.map(|text| shared(&mut self.project, text, |text| Text::trusted(text))),
            source: Source {
                kind: SourceKind::parse(raw.source_kind).ok_or_else(|| corrupt("source_kind"))?,
                id: shared(&mut self.source_id, raw.source_id, |text| Text::trusted(text)),
            },
            entity: raw.entity.map(|(kind, id)| Entity {
                kind: shared(&mut self.entity_kind, kind, |text| Text::trusted(text)),
                id: shared(&mut self.entity_id, id, |text| Text::trusted(text)),
            }),
            actor: raw.actor.map(|text| shared(&mut self.actor, text, |text| Text::trusted(text))),
            data: Data::trusted(Bytes::copy_from_slice(data)),
            metadata: Metadata {
                correlation_id,
                causation_id: raw.causation_id.map(Text::trusted),
                context: match raw.context {
                    None => None,
                    Some((kind, id)) => Some(Context {
                        kind: ContextKind::parse(kind).ok_or_else(|| corrupt("context_kind"))?,
                        id: shared(&mut self.context_id, id, |text| Text::trusted(text)),
                    }),
                },
                traceparent: raw.traceparent.map(Text::trusted),
            },
        };
        Ok(Recorded {
            event,
            tenant_no: raw.tenant_no,
            partition: raw.partition,
            position: raw.position,
            sequence: raw.sequence,
            recorded_at: Timestamp::from_micros(raw.recorded_at),
            salt: Salt(salt.try_into().map_err(|_| corrupt("salt"))?),
            digest: Digest(raw.digest.try_into().map_err(|_| corrupt("digest"))?),
        })
    }
}

/// The value of the row before where it is the same, else a new one.
fn shared<T: AsRef<str> + Clone>(last: &mut Option<T>, text: &str, make: impl FnOnce(&str) -> T) -> T {
    match last {
        Some(last) if last.as_ref() == text => last.clone(),
        _ => last.insert(make(text)).clone(),
    }
}

pub(crate) fn corrupt(column: &str) -> Error {
    Error::Unusable(format!("the log holds a value that no version wrote: {column}"))
}

/// What the column `correlation_id` holds: nothing where the event carries its own id.
pub(crate) fn correlation_column(event: &Event) -> Option<&str> {
    let correlation = event.metadata.correlation_id.as_str();
    (correlation != event.id.as_str()).then_some(correlation)
}

/// A moment or number as both databases hold it: signed, so what is beyond is moved to the end.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number of the log as it was stored.
pub(crate) fn unsigned(number: i64) -> Result<u64> {
    u64::try_from(number).map_err(|_| corrupt("a negative number"))
}

/// Counts down a read's limit.
pub(crate) struct Budget {
    events: usize,
    bytes: usize,
    taken: bool,
}

impl Budget {
    pub(crate) fn new(limit: ReadLimit) -> Self {
        Self { events: limit.events.max(1), bytes: limit.bytes, taken: false }
    }

    /// Whether a row with so many bytes of data is still within the limit; the first always is.
    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        if self.events == 0 || (self.taken && bytes > self.bytes) {
            return false;
        }
        self.taken = true;
        self.events -= 1;
        self.bytes = self.bytes.saturating_sub(bytes);
        true
    }
}
