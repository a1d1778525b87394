//! Reading CloudEvents: structured, binary, batched.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

use super::names::{self, Unfit};
use super::{DATA_TYPE, HEADER_PREFIX, SPECVERSION};
use crate::envelope::{Context, ContextKind};
use crate::json::{Fault, Scanner, Wrong};
use crate::limits::{BATCH_BYTES_MAX, DEPTH_MAX};
use crate::parse::{
    Batch, Content, Draft, DraftMetadata, Member, Names, Reading, Shape, Slot, body_too_large, read_document,
    report_duplicates,
};
use crate::violation::{At, Rejection, Report, code};
use crate::{Data, Entity, Event, Mint, Source, Text};

/// Reads one event in structured mode: a JSON object.
pub fn parse_structured(json: &[u8], mint: &mut dyn Mint) -> Result<Event, Rejection> {
    let mut reading = Reading::new(mint, Names::OfProducers);
    let batch = read_document(json, &mut reading, Shape::One, read_attributes)?;
    Ok(batch.events.into_iter().next().expect("a document that was taken holds an event"))
}

/// Reads a batch: a JSON array. Judged as a whole: one bad event and all are refused.
pub fn parse_batch(json: &[u8], mint: &mut dyn Mint) -> Result<Batch, Rejection> {
    read_document(json, &mut Reading::new(mint, Names::OfProducers), Shape::Many, read_attributes)
}

/// Reads one event in binary mode: attributes from the headers `ce-…` and `content-type` (other headers are passed
/// over; names in any case), data from the body. Paths of violations are those of structured mode.
pub fn parse_binary<'a>(
    headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    body: &[u8],
    mint: &mut dyn Mint,
) -> Result<Event, Rejection> {
    if body.len() > BATCH_BYTES_MAX {
        return Err(body_too_large(body.len()));
    }
    let mut reading = Reading::new(mint, Names::OfProducers);
    let mut attributes = Attributes::default();
    for (header, value) in headers {
        let header = header.to_ascii_lowercase();
        let name = match header.strip_prefix(HEADER_PREFIX) {
            // In binary mode these have other places.
            Some("data" | "data_base64" | "datacontenttype") => {
                reading.report.add(At::Key(&At::Root, &header), code::ATTRIBUTE_UNKNOWN, NO_SUCH_HEADER);
                continue;
            }
            Some(name) => name,
            None if header == "content-type" => "datacontenttype",
            None => continue,
        };
        let at = At::Key(&At::Root, name);
        match decode_header(value) {
            Some(text) => {
                attributes.take(name, &mut Member { at, content: Content::Plain(&text), report: &mut reading.report });
            }
            None => reading.report.add(at, code::HEADER_NOT_UTF8, "must be UTF-8 once it is percent-decoded"),
        }
    }
    let at = At::Key(&At::Root, "data");
    // An empty body is the same as no data, which the end of reading complains of.
    if !body.iter().all(u8::is_ascii_whitespace) {
        match read_body(body, at, &mut reading.report) {
            Ok(data) => attributes.draft.data = Slot::from_read(data),
            Err(fault) => return Err(reading.report.stop(&fault, body, at)),
        }
    }
    match attributes.finish(At::Root, &mut reading) {
        Some(event) => Ok(event),
        None => Err(reading.report.reject()),
    }
}

const NO_SUCH_HEADER: &str = "in binary mode data is the body, and its type stands in content-type";

fn read_body(body: &[u8], at: At<'_>, report: &mut Report) -> Result<Option<Data>, Fault> {
    let mut scanner = Scanner::new(body)?;
    let value = scanner.value(DEPTH_MAX - 1)?;
    scanner.finish()?;
    report_duplicates(&mut scanner, at, report);
    Ok(Member { at, content: Content::Json(value), report }.data())
}

/// A header's value: out of its quotes, if it has any, then percent-decoded once.
fn decode_header(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?.trim_matches([' ', '\t']);
    let text = match text.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')) {
        Some(inner) => {
            let mut plain = String::with_capacity(inner.len());
            let mut chars = inner.chars();
            while let Some(c) = chars.next() {
                plain.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
            }
            Cow::Owned(plain)
        }
        None => Cow::Borrowed(text),
    };
    percent_decode_str(&text).decode_utf8().ok().map(Cow::into_owned)
}

fn read_attributes(scanner: &mut Scanner<'_>, at: At<'_>, reading: &mut Reading<'_>) -> Result<Option<Event>, Fault> {
    let mut attributes = Attributes::default();
    let mut first = true;
    while let Some(key) = scanner.member(&mut first)? {
        let name = key.to_lossy();
        let value = scanner.value(DEPTH_MAX - 1)?;
        let at = At::Key(&at, &name);
        attributes.take(&name, &mut Member { at, content: Content::Json(value), report: &mut reading.report });
        report_duplicates(scanner, at, &mut reading.report);
    }
    Ok(attributes.finish(at, reading))
}

/// A CloudEvent while it is read.
#[derive(Default)]
struct Attributes {
    draft: Draft,
    metadata: DraftMetadata,
    specversion: Slot<()>,
    datacontenttype: Slot<()>,
    /// Understood only once the type is known.
    dataschema: Slot<String>,
    data_base64: Slot<Data>,
    context_kind: Slot<ContextKind>,
    context_id: Slot<Text>,
}

impl Attributes {
    /// Takes one attribute, or complains.
    fn take(&mut self, name: &str, member: &mut Member<'_, '_, '_>) {
        let draft = &mut self.draft;
        let metadata = &mut self.metadata;
        let fresh = match name {
            "specversion" => member.fill(&mut self.specversion, read_specversion),
            "id" => member.fill(&mut draft.id, Member::event_id),
            "source" => member.fill(&mut draft.source, read_source),
            "type" => member.fill(&mut draft.event_type, |m| m.event_type(Names::OfProducers)),
            "subject" => member.fill(&mut draft.entity, read_subject),
            "time" => member.fill(&mut draft.timestamp, Member::timestamp),
            "dataschema" => member.fill(&mut self.dataschema, |m| m.string().map(Cow::into_owned)),
            "datacontenttype" => member.fill(&mut self.datacontenttype, read_content_type),
            "data" => member.fill(&mut draft.data, Member::data),
            "data_base64" => member.fill(&mut self.data_base64, read_base64),
            "tenant" => member.fill(&mut draft.tenant, |m| m.tenant(Names::OfProducers)),
            "project" => member.fill(&mut draft.project, Member::text),
            "actor" => member.fill(&mut draft.actor, Member::text),
            "correlationid" => member.fill(&mut metadata.correlation_id, Member::text),
            "causationid" => member.fill(&mut metadata.causation_id, Member::text),
            "contexttype" => member.fill(&mut self.context_kind, Member::context_kind),
            "contextid" => member.fill(&mut self.context_id, Member::text),
            "traceparent" => member.fill(&mut metadata.traceparent, Member::traceparent),
            "sequence" | "recordedtime" => {
                member.report.add(member.at, code::MEMBER_ASSIGNED, "is assigned by the log and must not be sent");
                true
            }
            _ => {
                let message = "has no place in an event; what is the event's own goes into data";
                member.report.add(member.at, code::ATTRIBUTE_UNKNOWN, message);
                true
            }
        };
        if !fresh {
            member.report.add(member.at, code::KEY_DUPLICATE, Wrong::Duplicate.to_string());
        }
    }

    fn finish(mut self, at: At<'_>, reading: &mut Reading<'_>) -> Option<Event> {
        let report = &mut reading.report;
        self.specversion.required(at, "specversion", report);
        if matches!(self.draft.id, Slot::Absent | Slot::Null) {
            report.add(At::Key(&at, "id"), code::MEMBER_MISSING, "is required");
        }
        match (&self.draft.data, self.data_base64) {
            (_, Slot::Absent | Slot::Null) => {}
            (Slot::Absent | Slot::Null, encoded) => self.draft.data = encoded,
            _ => report.add(At::Key(&at, "data_base64"), code::DATA_TWICE, "must not stand beside data"),
        }
        if let (Slot::Given(event_type), Slot::Given(uri)) = (&self.draft.event_type, &self.dataschema) {
            let at = At::Key(&at, "dataschema");
            self.draft.version = Slot::from_read(match names::version_of_schema(event_type, uri) {
                Ok(version) => Some(version),
                Err(Unfit::Syntax) => {
                    report.add(at, code::DATASCHEMA_MALFORMED, "must be an absolute URI");
                    None
                }
                Err(Unfit::Text(e)) => {
                    report.add_text(at, e, code::DATASCHEMA_MALFORMED);
                    None
                }
            });
        }
        if !matches!((&self.context_kind, &self.context_id), (Slot::Absent | Slot::Null, Slot::Absent | Slot::Null)) {
            let kind = self.context_kind.required(at, "contexttype", report);
            let id = self.context_id.required(at, "contextid", report);
            self.metadata.context = Slot::from_read(kind.zip(id).map(|(kind, id)| Context { kind, id }));
        }
        self.draft.metadata = Slot::Given(self.metadata);
        self.draft.finish(at, reading)
    }
}

fn read_specversion(member: &mut Member<'_, '_, '_>) -> Option<()> {
    let version = member.string()?;
    if version != SPECVERSION {
        member.report.add(member.at, code::SPECVERSION_UNSUPPORTED, format!("must be '{SPECVERSION}'"));
        return None;
    }
    Some(())
}

fn read_content_type(member: &mut Member<'_, '_, '_>) -> Option<()> {
    let text = member.string()?;
    let mut parts = text.split(';').map(str::trim);
    let json = parts.next().is_some_and(|media| media.eq_ignore_ascii_case(DATA_TYPE));
    let utf8 = parts.all(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        name.eq_ignore_ascii_case("charset") && value.trim_matches('"').eq_ignore_ascii_case("utf-8")
    });
    if !(json && utf8) {
        member.report.add(member.at, code::DATACONTENTTYPE_UNSUPPORTED, format!("must be {DATA_TYPE}, in UTF-8"));
        return None;
    }
    Some(())
}

fn read_source(member: &mut Member<'_, '_, '_>) -> Option<Source> {
    let uri = member.string()?;
    if uri.is_empty() {
        member.report.add(member.at, code::STRING_EMPTY, "must not be empty");
        return None;
    }
    match names::source_of_uri(&uri) {
        Ok(source) => Some(source),
        Err(Unfit::Syntax) => {
            let message = "must be a URI reference, like /service/sales or https://example.com/sales";
            member.report.add(member.at, code::SOURCE_MALFORMED, message);
            None
        }
        Err(Unfit::Text(e)) => {
            member.report.add_text(member.at, e, code::SOURCE_MALFORMED);
            None
        }
    }
}

fn read_subject(member: &mut Member<'_, '_, '_>) -> Option<Entity> {
    let subject = member.string()?;
    match names::entity_of_subject(&subject) {
        Ok(entity) => Some(entity),
        Err(Unfit::Syntax) => None,
        Err(Unfit::Text(e)) => {
            member.report.add_text(member.at, e, code::STRING_CONTROL_CHARACTER);
            None
        }
    }
}

fn read_base64(member: &mut Member<'_, '_, '_>) -> Option<Data> {
    let text = member.string()?;
    let Ok(bytes) = STANDARD.decode(text.as_bytes()) else {
        member.report.add(member.at, code::DATA_BASE64_MALFORMED, "must be base64 with its padding");
        return None;
    };
    match Data::parse(bytes) {
        Ok(data) => Some(data),
        Err(inner) => {
            let message = match inner.path.as_str() {
                "" => format!("once decoded: {}", inner.message),
                path => format!("once decoded: {path}: {}", inner.message),
            };
            member.report.add(member.at, inner.code, message);
            None
        }
    }
}
