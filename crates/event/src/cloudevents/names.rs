//! How sources, entities and versions become the names that CloudEvents uses, and back.
//!
//! Each of the three mappings is one to one between what an event can hold and what a CloudEvent can say, within the
//! length of a text. A name in our own form is taken apart. Any other is foreign: it is kept whole, under a type that
//! marks it as such. What an event itself holds under that type is written in our own form whenever it would not
//! come back as foreign. So the reading of each form asks how its content would be written; the content gets
//! shorter with each such question, which is what ends them.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::{Entity, EventType, Source, SourceKind, Text, TextError, Version};

/// What is encoded in one segment of a URI's path: all that RFC 3986 does not call a `pchar`.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// The entity type under which a foreign subject is kept.
const FOREIGN_SUBJECT: &str = "subject";
/// What stands before an event's type and version in a `dataschema`.
const SCHEMA_PREFIX: &str = "tag:tidings.dev,2026:schema/";

/// Why a name is not taken.
pub(super) enum Unfit {
    /// It does not have the syntax that CloudEvents asks for.
    Syntax,
    /// It cannot be kept as a text.
    Text(TextError),
}

/// Writes a source as a URI reference.
pub(super) fn source_to_uri(source: &Source) -> Cow<'_, str> {
    if source.kind == SourceKind::External
        && let Some(foreign) = external_as_uri(source.id.as_str())
    {
        return Cow::Borrowed(foreign);
    }
    Cow::Owned(format!("/{}/{}", source.kind, utf8_percent_encode(source.id.as_str(), SEGMENT)))
}

/// Reads a source from any URI reference.
pub(super) fn source_of_uri(uri: &str) -> Result<Source, Unfit> {
    if let Some(own) = own_source(uri) {
        return Ok(own);
    }
    if !is_uri_reference(uri) {
        return Err(Unfit::Syntax);
    }
    let id = if is_bare(without_dots(uri)) { Text::parse(format!("./{uri}")) } else { Text::parse(uri) };
    Ok(Source { kind: SourceKind::External, id: id.map_err(Unfit::Text)? })
}

/// Takes `/{type}/{id}` apart, if that is how the source would be written.
fn own_source(uri: &str) -> Option<Source> {
    let (kind, id) = uri.strip_prefix('/')?.split_once('/')?;
    let kind = SourceKind::parse(kind)?;
    let id = decode_segment(id)?;
    let foreign = kind == SourceKind::External && external_as_uri(id.as_str()).is_some();
    (!foreign).then_some(Source { kind, id })
}

/// The foreign source that an external source's id stands for, if it does.
///
/// A foreign source without `/` and `:`, like `stripe`, is kept as `./stripe`, which means the same to a resolver of
/// references. The id `stripe` is so left to an event's own source of type `external`.
fn external_as_uri(id: &str) -> Option<&str> {
    let tail = without_dots(id);
    if is_bare(tail) {
        return id.strip_prefix("./");
    }
    (is_uri_reference(id) && own_source(id).is_none()).then_some(id)
}

fn without_dots(mut uri: &str) -> &str {
    while let Some(rest) = uri.strip_prefix("./") {
        uri = rest;
    }
    uri
}

fn is_bare(uri: &str) -> bool {
    !uri.is_empty() && !uri.contains(['/', ':']) && is_uri_reference(uri)
}

/// Writes an entity as a subject.
pub(super) fn entity_to_subject(entity: &Entity) -> Cow<'_, str> {
    let (kind, id) = (entity.kind.as_str(), entity.id.as_str());
    if kind == FOREIGN_SUBJECT && own_subject(id).is_none() {
        return Cow::Borrowed(id);
    }
    Cow::Owned(format!("{}/{}", encode_part(kind), encode_part(id)))
}

/// Reads an entity from any subject.
pub(super) fn entity_of_subject(subject: &str) -> Result<Entity, Unfit> {
    if let Some(own) = own_subject(subject) {
        return Ok(own);
    }
    let id = Text::parse(subject).map_err(Unfit::Text)?;
    Ok(Entity { kind: Text::trusted(FOREIGN_SUBJECT), id })
}

/// Takes `{type}/{id}` apart, if that is how the entity would be written.
fn own_subject(subject: &str) -> Option<Entity> {
    let (kind, id) = subject.split_once('/')?;
    let (kind, id) = (decode_part(kind)?, decode_part(id)?);
    let foreign = kind.as_str() == FOREIGN_SUBJECT && own_subject(id.as_str()).is_none();
    (!foreign).then_some(Entity { kind, id })
}

/// A subject is no URI: only what would tear it apart is encoded.
fn encode_part(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '/']) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace('%', "%25").replace('/', "%2F"))
}

fn decode_part(part: &str) -> Option<Text> {
    let text = part.replace("%2F", "/").replace("%25", "%");
    (encode_part(&text) == part).then(|| Text::parse(text).ok())?
}

/// Writes a version as a schema's URI.
pub(super) fn version_to_schema<'v>(event_type: &EventType, version: &'v Version) -> Cow<'v, str> {
    let version = version.as_str();
    if is_foreign_schema(event_type, version) {
        return Cow::Borrowed(version);
    }
    Cow::Owned(format!("{SCHEMA_PREFIX}{event_type}/{}", utf8_percent_encode(version, SEGMENT)))
}

/// Reads a version from any schema's URI.
pub(super) fn version_of_schema(event_type: &EventType, uri: &str) -> Result<Version, Unfit> {
    if let Some(own) = own_schema(event_type, uri) {
        return Ok(own);
    }
    if !is_uri(uri) {
        return Err(Unfit::Syntax);
    }
    Version::parse(uri).map_err(Unfit::Text)
}

fn own_schema(event_type: &EventType, uri: &str) -> Option<Version> {
    let version = uri.strip_prefix(SCHEMA_PREFIX)?.strip_prefix(event_type.as_str())?.strip_prefix('/')?;
    let version = decode_segment(version)?;
    (!is_foreign_schema(event_type, version.as_str())).then(|| Version::trusted(version.as_str()))
}

fn is_foreign_schema(event_type: &EventType, version: &str) -> bool {
    is_uri(version) && own_schema(event_type, version).is_none()
}

/// Decodes a segment if it is encoded as we would encode it.
fn decode_segment(segment: &str) -> Option<Text> {
    let text = percent_decode_str(segment).decode_utf8().ok()?;
    let ours = utf8_percent_encode(&text, SEGMENT).flat_map(str::bytes).eq(segment.bytes());
    ours.then(|| Text::parse(text).ok())?
}

/// Whether a text is a URI: a reference with a scheme.
pub(super) fn is_uri(text: &str) -> bool {
    scheme_and_rest(text).is_some_and(|(scheme, _)| scheme.is_some()) && is_uri_reference(text)
}

/// Whether a text is a URI reference by RFC 3986.
pub(super) fn is_uri_reference(text: &str) -> bool {
    let Some((_, rest)) = scheme_and_rest(text) else { return false };
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (hierarchy, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = match hierarchy.strip_prefix("//") {
        Some(rest) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            if !is_authority(authority) {
                return false;
            }
            path
        }
        None => hierarchy,
    };
    is_made_of(path, b":@/") && is_made_of(query, b":@/?") && is_made_of(fragment, b":@/?")
}

/// Splits off the scheme. `None` when a colon stands where only a scheme could end, after something that is none.
fn scheme_and_rest(text: &str) -> Option<(Option<&str>, &str)> {
    let first = text.find([':', '/', '?', '#']);
    match first {
        Some(at) if text.as_bytes()[at] == b':' => {
            let scheme = &text[..at];
            let good = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
            good.then_some((Some(scheme), &text[at + 1..]))
        }
        _ => Some((None, text)),
    }
}

fn is_authority(authority: &str) -> bool {
    let (user, host_and_port) = authority.split_once('@').unwrap_or(("", authority));
    let (host_fits, port) = match host_and_port.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) => (address.parse::<std::net::Ipv6Addr>().is_ok(), port),
            None => return false,
        },
        None => {
            let (host, port) = host_and_port.split_at(host_and_port.find(':').unwrap_or(host_and_port.len()));
            (is_made_of(host, b""), port)
        }
    };
    let port_fits =
        port.is_empty() || port.strip_prefix(':').is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    is_made_of(user, b":") && host_fits && port_fits
}

/// Whether a text holds only unreserved characters, sub-delimiters, percent-encoded bytes and some more.
fn is_made_of(text: &str, more: &[u8]) -> bool {
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        let fits = match b {
            b'%' => {
                let mut digit = || bytes.next().is_some_and(|b| b.is_ascii_hexdigit());
                digit() && digit()
            }
            b'-' | b'.' | b'_' | b'~' => true,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => true,
            b => b.is_ascii_alphanumeric() || more.contains(&b),
        };
        if !fits {
            return false;
        }
    }
    true
}
