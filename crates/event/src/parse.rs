//! Reading events from native JSON, strictly: every rule that is broken is found, named and located.

use bytes::Bytes;

use crate::envelope::{Context, Data, Entity, Event, Metadata, Source};
use crate::json::{self, Fault, Kind, Scanner, Wrong};
use crate::limits::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX, DATA_BYTES_MAX, DEPTH_MAX};
use crate::violation::{At, Rejection, Report, Violation, code, of_fault};
use crate::{ErrorCode, EventId, EventType, Mint, TenantId, Text, Timestamp, Version};

mod member;

use member::data_too_large;
pub(crate) use member::{Content, Member, Slot};

/// Events that were sent together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The events, in order; at least one.
    pub events: Vec<Event>,
    /// Whether every event brought its own id.
    pub ids_given: bool,
}

/// Reads one event. What it leaves out is taken from `mint`.
pub fn parse_event(json: &[u8], mint: &mut dyn Mint) -> Result<Event, Rejection> {
    parse_one(json, mint, Names::OfProducers)
}

/// Reads one event from Tidings' own outbox, where the reserved tenants and types may be named.
pub fn parse_own_event(json: &[u8], mint: &mut dyn Mint) -> Result<Event, Rejection> {
    parse_one(json, mint, Names::All)
}

/// Reads one event, or an array of events. Judged as a whole: one bad event and all are refused.
pub fn parse_batch(json: &[u8], mint: &mut dyn Mint) -> Result<Batch, Rejection> {
    let mut reading = Reading::new(mint, Names::OfProducers);
    read_document(json, &mut reading, Shape::OneOrMany, read_native)
}

fn parse_one(json: &[u8], mint: &mut dyn Mint, names: Names) -> Result<Event, Rejection> {
    let mut reading = Reading::new(mint, names);
    let batch = read_document(json, &mut reading, Shape::One, read_native)?;
    Ok(batch.events.into_iter().next().expect("a document that was taken holds an event"))
}

/// Whether the tenants and types that are kept for Tidings may be named.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    OfProducers,
    All,
}

/// What a document may be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    One,
    Many,
    OneOrMany,
}

/// What is shared while a document is read.
pub(crate) struct Reading<'m> {
    pub(crate) report: Report,
    pub(crate) names: Names,
    mint: &'m mut dyn Mint,
    ids_given: bool,
}

impl<'m> Reading<'m> {
    pub(crate) fn new(mint: &'m mut dyn Mint, names: Names) -> Self {
        Self { report: Report::default(), mint, names, ids_given: true }
    }
}

/// Reads the members of one event; the scanner stands behind its opening brace.
pub(crate) type ReadEvent<'m> = fn(&mut Scanner<'_>, At<'_>, &mut Reading<'m>) -> Result<Option<Event>, Fault>;

/// Reads a whole document of the given shape, one event at a time.
pub(crate) fn read_document<'m>(
    body: &[u8],
    reading: &mut Reading<'m>,
    shape: Shape,
    read: ReadEvent<'m>,
) -> Result<Batch, Rejection> {
    if body.len() > BATCH_BYTES_MAX {
        return Err(body_too_large(body.len()));
    }
    let mut events = Vec::new();
    match read_events(body, reading, shape, read, &mut events) {
        Ok(count) if count > BATCH_EVENTS_MAX => Err(batch_too_large()),
        Ok(_) if reading.report.is_empty() => Ok(Batch { events, ids_given: reading.ids_given }),
        Ok(_) => Err(std::mem::take(&mut reading.report).reject()),
        Err(fault) => Err(std::mem::take(&mut reading.report).stop(&fault, body, At::Root)),
    }
}

/// How many events there were, counted to one above the bound.
fn read_events<'m>(
    body: &[u8],
    reading: &mut Reading<'m>,
    shape: Shape,
    read: ReadEvent<'m>,
    events: &mut Vec<Event>,
) -> Result<usize, Fault> {
    let mut scanner = Scanner::new(body)?;
    let mut count = 1;
    if shape == Shape::Many || (shape == Shape::OneOrMany && scanner.peek()? == Kind::Array) {
        if scanner.peek()? != Kind::Array {
            let kind = scanner.value(DEPTH_MAX)?.kind();
            reading.report.add(At::Root, code::MEMBER_WRONG_TYPE, format!("must be an array of events, not {kind}"));
            return scanner.finish().map(|()| 1);
        }
        scanner.open();
        let mut first = true;
        count = 0;
        while scanner.element(&mut first)? {
            if count == BATCH_EVENTS_MAX {
                return Ok(count + 1);
            }
            events.extend(read_one(&mut scanner, At::Index(&At::Root, count), reading, read)?);
            count += 1;
        }
        if count == 0 {
            reading.report.add(At::Root, code::BATCH_EMPTY, "must hold at least one event");
        }
    } else {
        events.extend(read_one(&mut scanner, At::Root, reading, read)?);
    }
    scanner.finish()?;
    Ok(count)
}

fn read_one<'m>(
    scanner: &mut Scanner<'_>,
    at: At<'_>,
    reading: &mut Reading<'m>,
    read: ReadEvent<'m>,
) -> Result<Option<Event>, Fault> {
    let kind = scanner.peek()?;
    if kind != Kind::Object {
        scanner.value(DEPTH_MAX)?;
        scanner.take_duplicates();
        reading.report.add(at, code::EVENT_NOT_OBJECT, format!("must be an object, not {kind}"));
        return Ok(None);
    }
    scanner.open();
    read(scanner, at, reading)
}

#[cold]
pub(crate) fn body_too_large(bytes: usize) -> Rejection {
    Rejection {
        code: ErrorCode::BodyTooLarge,
        detail: format!("the body has {bytes} bytes, and may have {BATCH_BYTES_MAX}"),
        violations: Vec::new(),
    }
}

#[cold]
fn batch_too_large() -> Rejection {
    Rejection {
        code: ErrorCode::BatchTooLarge,
        detail: format!("the batch holds more than {BATCH_EVENTS_MAX} events"),
        violations: Vec::new(),
    }
}

/// The members of an event while it is read, from whichever wire format.
#[derive(Default)]
pub(crate) struct Draft {
    pub(crate) id: Slot<EventId>,
    pub(crate) event_type: Slot<EventType>,
    pub(crate) version: Slot<Version>,
    pub(crate) timestamp: Slot<Timestamp>,
    pub(crate) tenant: Slot<TenantId>,
    pub(crate) project: Slot<Text>,
    pub(crate) source: Slot<Source>,
    pub(crate) entity: Slot<Entity>,
    pub(crate) actor: Slot<Text>,
    pub(crate) data: Slot<Data>,
    pub(crate) metadata: Slot<DraftMetadata>,
}

#[derive(Default)]
pub(crate) struct DraftMetadata {
    pub(crate) correlation_id: Slot<Text>,
    pub(crate) causation_id: Slot<Text>,
    pub(crate) context: Slot<Context>,
    pub(crate) traceparent: Slot<Text>,
}

impl Draft {
    /// Fills what was left out. `None` when a required member is missing or any member was refused.
    pub(crate) fn finish(self, at: At<'_>, reading: &mut Reading<'_>) -> Option<Event> {
        let report = &mut reading.report;
        let event_type = self.event_type.required(at, "type", report);
        let tenant = self.tenant.required(at, "tenant", report);
        let source = self.source.required(at, "source", report);
        let data = self.data.required(at, "data", report);
        let (event_type, tenant, source, data) = (event_type?, tenant?, source?, data?);
        if !report.is_empty() {
            return None;
        }
        let id = self.id.given().unwrap_or_else(|| {
            reading.ids_given = false;
            reading.mint.id()
        });
        let metadata = self.metadata.given().unwrap_or_default();
        let version = self.version.given().unwrap_or_else(|| reading.mint.version(&event_type));
        Some(Event {
            event_type,
            version,
            timestamp: self.timestamp.given().unwrap_or_else(|| reading.mint.now()),
            tenant,
            project: self.project.given(),
            source,
            entity: self.entity.given(),
            actor: self.actor.given(),
            data,
            metadata: Metadata {
                correlation_id: metadata.correlation_id.given().unwrap_or_else(|| Text::of_id(&id)),
                causation_id: metadata.causation_id.given(),
                context: metadata.context.given(),
                traceparent: metadata.traceparent.given(),
            },
            id,
        })
    }
}

fn read_native(scanner: &mut Scanner<'_>, at: At<'_>, reading: &mut Reading<'_>) -> Result<Option<Event>, Fault> {
    let mut draft = Draft::default();
    let mut first = true;
    while let Some(key) = scanner.member(&mut first)? {
        let name = key.to_lossy();
        let value = scanner.value(DEPTH_MAX - 1)?;
        let at = At::Key(&at, &name);
        let mut member = Member { at, content: Content::Json(value), report: &mut reading.report };
        let fresh = match &*name {
            "id" => member.fill(&mut draft.id, Member::event_id),
            "type" => {
                let names = reading.names;
                member.fill(&mut draft.event_type, |m| m.event_type(names))
            }
            "version" => member.fill(&mut draft.version, |m| m.word(Version::parse, code::STRING_CONTROL_CHARACTER)),
            "timestamp" => member.fill(&mut draft.timestamp, Member::timestamp),
            "tenant" => {
                let names = reading.names;
                member.fill(&mut draft.tenant, |m| m.tenant(names))
            }
            "project" => member.fill(&mut draft.project, Member::text),
            "source" => member.fill(&mut draft.source, Member::source),
            "entity" => member.fill(&mut draft.entity, Member::entity),
            "actor" => member.fill(&mut draft.actor, Member::text),
            "data" => {
                // A null is no object, and data cannot be left out.
                let fresh = draft.data.is_absent();
                draft.data = Slot::from_read(member.data());
                fresh
            }
            "metadata" => member.fill(&mut draft.metadata, Member::metadata),
            "sequence" | "recorded_at" => {
                member.report.add(at, code::MEMBER_ASSIGNED, "is assigned by the log and must not be sent");
                true
            }
            _ => {
                member.unknown();
                true
            }
        };
        if !fresh {
            reading.report.add(at, code::KEY_DUPLICATE, Wrong::Duplicate.to_string());
        }
        report_duplicates(scanner, at, &mut reading.report);
    }
    Ok(draft.finish(at, reading))
}

/// Takes over the duplicate keys that the scanner met inside a member.
pub(crate) fn report_duplicates(scanner: &mut Scanner<'_>, at: At<'_>, report: &mut Report) {
    for duplicate in scanner.take_duplicates() {
        let path = at.path() + &duplicate.path;
        report.push(Violation { path, code: code::KEY_DUPLICATE, message: Wrong::Duplicate.to_string() });
    }
}

impl Data {
    /// Checks a JSON object and takes its bytes as they are, without the white space around it. Paths of violations
    /// begin inside the object.
    pub fn parse(bytes: impl Into<Bytes>) -> Result<Self, Violation> {
        let bytes = bytes.into();
        let violation = |code, message| Violation { path: String::new(), code, message };
        // The envelope around it takes one level.
        let value = json::check(&bytes, DEPTH_MAX - 1).map_err(|fault| of_fault(&fault, &bytes))?;
        if value.kind() != Kind::Object {
            return Err(violation(code::DATA_NOT_OBJECT, format!("must be an object, not {}", value.kind())));
        }
        let text = value.text();
        if text.len() > DATA_BYTES_MAX {
            return Err(violation(code::DATA_TOO_LARGE, data_too_large(text.len())));
        }
        Ok(Self::trusted(bytes.slice_ref(text.as_bytes())))
    }
}
