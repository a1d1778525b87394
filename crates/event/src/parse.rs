//! Reading events from native JSON, strictly: every rule that is broken is found, named and located.

use std::borrow::Cow;

use bytes::Bytes;

use crate::envelope::{Context, ContextKind, Data, Entity, Event, Metadata, Source, SourceKind};
use crate::ids::TextError;
use crate::json::{self, Fault, Kind, Scanner, Value, Wrong};
use crate::limits::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX, DATA_BYTES_MAX, DEPTH_MAX};
use crate::violation::{At, Rejection, Report, Violation, code, of_fault};
use crate::{ErrorCode, EventId, EventType, Mint, TenantId, Text, Timestamp, Version};

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
    parse_one(json, mint, Tenants::OfProducers)
}

/// Reads one event from Tidings' own outbox, where the reserved tenants may be named.
pub fn parse_own_event(json: &[u8], mint: &mut dyn Mint) -> Result<Event, Rejection> {
    parse_one(json, mint, Tenants::All)
}

/// Reads one event, or an array of events. Judged as a whole: one bad event and all are refused.
pub fn parse_batch(json: &[u8], mint: &mut dyn Mint) -> Result<Batch, Rejection> {
    let mut reading = Reading::new(mint, Tenants::OfProducers);
    read_document(json, &mut reading, Shape::OneOrMany, read_native)
}

fn parse_one(json: &[u8], mint: &mut dyn Mint, tenants: Tenants) -> Result<Event, Rejection> {
    let mut reading = Reading::new(mint, tenants);
    let batch = read_document(json, &mut reading, Shape::One, read_native)?;
    Ok(batch.events.into_iter().next().expect("a document that was taken holds an event"))
}

/// Which tenants may be named.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tenants {
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
    pub(crate) tenants: Tenants,
    mint: &'m mut dyn Mint,
    ids_given: bool,
}

impl<'m> Reading<'m> {
    pub(crate) fn new(mint: &'m mut dyn Mint, tenants: Tenants) -> Self {
        Self { report: Report::default(), mint, tenants, ids_given: true }
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

/// A member while its event is read.
#[derive(Default)]
pub(crate) enum Slot<T> {
    /// Not met so far.
    #[default]
    Absent,
    /// Met as `null`, which is the same as leaving it out.
    Null,
    /// Met, and wrong.
    Refused,
    /// Met, and right.
    Given(T),
}

impl<T> Slot<T> {
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// The value, or nothing where it is missing, which is a violation, or wrong, which was one.
    pub(crate) fn required(self, at: At<'_>, name: &str, report: &mut Report) -> Option<T> {
        match self {
            Self::Given(value) => Some(value),
            Self::Refused => None,
            Self::Absent | Self::Null => {
                report.add(At::Key(&at, name), code::MEMBER_MISSING, "is required");
                None
            }
        }
    }

    /// The value, or nothing.
    pub(crate) fn given(self) -> Option<T> {
        match self {
            Self::Given(value) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn from_read(read: Option<T>) -> Self {
        read.map_or(Self::Refused, Self::Given)
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
        Some(Event {
            event_type,
            version: self.version.given().unwrap_or_else(Version::first),
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
            "type" => member.fill(&mut draft.event_type, Member::event_type),
            "version" => member.fill(&mut draft.version, |m| m.word(Version::parse, code::STRING_CONTROL_CHARACTER)),
            "timestamp" => member.fill(&mut draft.timestamp, Member::timestamp),
            "tenant" => {
                let tenants = reading.tenants;
                member.fill(&mut draft.tenant, |m| m.tenant(tenants))
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

/// What a member holds.
#[derive(Clone, Copy)]
pub(crate) enum Content<'a> {
    /// A JSON value.
    Json(Value<'a>),
    /// A string that came without JSON around it.
    Plain(&'a str),
}

impl Content<'_> {
    fn kind(&self) -> Kind {
        match self {
            Self::Json(value) => value.kind(),
            Self::Plain(_) => Kind::String,
        }
    }
}

/// One member of an event: where it stands, what it holds, and where to complain.
pub(crate) struct Member<'a, 'p, 'r> {
    pub(crate) at: At<'p>,
    pub(crate) content: Content<'a>,
    pub(crate) report: &'r mut Report,
}

impl<'a> Member<'a, '_, '_> {
    /// Fills a slot; `false` when it was filled before.
    pub(crate) fn fill<T>(&mut self, slot: &mut Slot<T>, read: impl FnOnce(&mut Self) -> Option<T>) -> bool {
        let fresh = slot.is_absent();
        *slot = if self.content.kind() == Kind::Null { Slot::Null } else { Slot::from_read(read(self)) };
        fresh
    }

    /// The member as a string.
    pub(crate) fn string(&mut self) -> Option<Cow<'a, str>> {
        let text = match self.content {
            Content::Plain(text) => return Some(Cow::Borrowed(text)),
            Content::Json(value) => value.as_string(),
        };
        let Some(text) = text else {
            self.wrong_type(code::MEMBER_WRONG_TYPE, "a string");
            return None;
        };
        let decoded = text.decode();
        if decoded.is_err() {
            self.report.add(self.at, code::STRING_LONE_SURROGATE, "must not hold half of a surrogate pair");
        }
        decoded.ok()
    }

    /// The member as a checked text; `malformed` is the code where its characters are wrong.
    pub(crate) fn word<T>(
        &mut self,
        parse: impl FnOnce(Cow<'a, str>) -> Result<T, TextError>,
        malformed: &'static str,
    ) -> Option<T> {
        let text = self.string()?;
        parse(text).map_err(|e| self.report.add_text(self.at, e, malformed)).ok()
    }

    pub(crate) fn text(&mut self) -> Option<Text> {
        self.word(Text::parse, code::STRING_CONTROL_CHARACTER)
    }

    pub(crate) fn event_id(&mut self) -> Option<EventId> {
        self.word(EventId::parse, code::ID_MALFORMED)
    }

    pub(crate) fn event_type(&mut self) -> Option<EventType> {
        self.word(EventType::parse, code::TYPE_MALFORMED)
    }

    pub(crate) fn tenant(&mut self, tenants: Tenants) -> Option<TenantId> {
        let text = self.string()?;
        // Both a control character and a slash make a name malformed; the rule that was broken is told apart here.
        let control = text.chars().any(char::is_control);
        let malformed = if control { code::STRING_CONTROL_CHARACTER } else { code::TENANT_MALFORMED };
        let tenant = TenantId::parse(text).map_err(|e| self.report.add_text(self.at, e, malformed)).ok()?;
        if tenant.is_reserved() && tenants == Tenants::OfProducers {
            self.report.add(self.at, code::TENANT_RESERVED, "names that begin with '$' are kept for Tidings");
            return None;
        }
        Some(tenant)
    }

    pub(crate) fn timestamp(&mut self) -> Option<Timestamp> {
        let text = self.string()?;
        match Timestamp::parse(&text) {
            Ok(moment) => Some(moment),
            Err(e) => {
                self.report.add(self.at, code::TIMESTAMP_MALFORMED, e.to_string());
                None
            }
        }
    }

    pub(crate) fn traceparent(&mut self) -> Option<Text> {
        let text = self.text()?;
        if !is_traceparent(text.as_str()) {
            let shape = "must be a W3C traceparent like 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
            self.report.add(self.at, code::TRACEPARENT_MALFORMED, shape);
            return None;
        }
        Some(text)
    }

    /// One word of a list.
    fn one_of<T>(
        &mut self,
        parse: fn(&str) -> Option<T>,
        unknown: &'static str,
        known: &[T],
        name: fn(&T) -> &str,
    ) -> Option<T> {
        let word = self.string()?;
        let kind = parse(&word);
        if kind.is_none() {
            let known: Vec<&str> = known.iter().map(name).collect();
            self.report.add(self.at, unknown, format!("must be one of {}", known.join(", ")));
        }
        kind
    }

    pub(crate) fn data(&mut self) -> Option<Data> {
        let Some(value) = self.object_value() else {
            self.wrong_type(code::DATA_NOT_OBJECT, "an object");
            return None;
        };
        let text = value.text();
        if text.len() > DATA_BYTES_MAX {
            self.report.add(self.at, code::DATA_TOO_LARGE, data_too_large(text.len()));
            return None;
        }
        // A copy of its own: a slice of the body would keep the whole body alive as long as the event.
        Some(Data::trusted(Bytes::copy_from_slice(text.as_bytes())))
    }

    fn source(&mut self) -> Option<Source> {
        let (mut kind, mut id) = (Slot::Absent, Slot::Absent);
        self.object(|name, member| {
            match name {
                "type" => member.fill(&mut kind, Member::source_kind),
                "id" => member.fill(&mut id, Member::text),
                _ => return false,
            };
            true
        })?;
        let kind = kind.required(self.at, "type", self.report);
        let id = id.required(self.at, "id", self.report);
        Some(Source { kind: kind?, id: id? })
    }

    fn source_kind(&mut self) -> Option<SourceKind> {
        self.one_of(SourceKind::parse, code::SOURCE_TYPE_UNKNOWN, SourceKind::ALL, |kind| kind.as_str())
    }

    pub(crate) fn context_kind(&mut self) -> Option<ContextKind> {
        self.one_of(ContextKind::parse, code::CONTEXT_TYPE_UNKNOWN, ContextKind::ALL, |kind| kind.as_str())
    }

    fn entity(&mut self) -> Option<Entity> {
        let (mut kind, mut id) = (Slot::Absent, Slot::Absent);
        self.object(|name, member| {
            match name {
                "type" => member.fill(&mut kind, Member::text),
                "id" => member.fill(&mut id, Member::text),
                _ => return false,
            };
            true
        })?;
        let kind = kind.required(self.at, "type", self.report);
        let id = id.required(self.at, "id", self.report);
        Some(Entity { kind: kind?, id: id? })
    }

    fn context(&mut self) -> Option<Context> {
        let (mut kind, mut id) = (Slot::Absent, Slot::Absent);
        self.object(|name, member| {
            match name {
                "type" => member.fill(&mut kind, Member::context_kind),
                "id" => member.fill(&mut id, Member::text),
                _ => return false,
            };
            true
        })?;
        let kind = kind.required(self.at, "type", self.report);
        let id = id.required(self.at, "id", self.report);
        Some(Context { kind: kind?, id: id? })
    }

    fn metadata(&mut self) -> Option<DraftMetadata> {
        let mut draft = DraftMetadata::default();
        self.object(|name, member| {
            match name {
                "correlation_id" => member.fill(&mut draft.correlation_id, Member::text),
                "causation_id" => member.fill(&mut draft.causation_id, Member::text),
                "context" => member.fill(&mut draft.context, Member::context),
                "traceparent" => member.fill(&mut draft.traceparent, Member::traceparent),
                _ => return false,
            };
            true
        })?;
        Some(draft)
    }

    /// Hands out the members of an object; `each` says whether it knows the member.
    fn object(&mut self, mut each: impl FnMut(&str, &mut Member<'a, '_, '_>) -> bool) -> Option<()> {
        let Some(value) = self.object_value() else {
            self.wrong_type(code::MEMBER_WRONG_TYPE, "an object");
            return None;
        };
        for (key, value) in value.members() {
            let name = key.to_lossy();
            let at = At::Key(&self.at, &name);
            let mut member = Member { at, content: Content::Json(value), report: &mut *self.report };
            if !each(&name, &mut member) {
                member.unknown();
            }
        }
        Some(())
    }

    fn object_value(&self) -> Option<Value<'a>> {
        match self.content {
            Content::Json(value) if value.kind() == Kind::Object => Some(value),
            _ => None,
        }
    }

    fn wrong_type(&mut self, code: &'static str, wanted: &str) {
        self.report.add(self.at, code, format!("must be {wanted}, not {}", self.content.kind()));
    }

    fn unknown(&mut self) {
        self.report.add(
            self.at,
            code::MEMBER_UNKNOWN,
            "there is no such member; what is the event's own goes into data",
        );
    }
}

/// Whether a text has the shape of W3C Trace Context, of version 00 or of a later one that begins alike.
pub(crate) fn is_traceparent(text: &str) -> bool {
    let hex = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let (Some(known), rest) = (text.get(..55), text.get(55..).unwrap_or_default()) else { return false };
    let mut parts = known.split('-');
    let (Some(version), Some(trace), Some(parent), Some(flags), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let sized = version.len() == 2 && trace.len() == 32 && parent.len() == 16 && flags.len() == 2;
    let nonzero = |part: &str| part.bytes().any(|b| b != b'0');
    let ends = rest.is_empty() || (version != "00" && rest.starts_with('-'));
    sized
        && ends
        && [version, trace, parent, flags].into_iter().all(hex)
        && version != "ff"
        && nonzero(trace)
        && nonzero(parent)
}

fn data_too_large(bytes: usize) -> String {
    format!("has {bytes} bytes, and may have {DATA_BYTES_MAX}")
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
