//! One member of an event, judged by the rule that it must follow.

use std::borrow::Cow;

use bytes::Bytes;

use super::{DraftMetadata, Names};
use crate::envelope::{Context, ContextKind, Data, Entity, Source, SourceKind};
use crate::ids::TextError;
use crate::json::{Kind, Value};
use crate::limits::DATA_BYTES_MAX;
use crate::violation::{At, Report, code};
use crate::{EventId, EventType, TenantId, Text, Timestamp};

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

    pub(crate) fn event_type(&mut self, names: Names) -> Option<EventType> {
        let event_type = self.word(EventType::parse, code::TYPE_MALFORMED)?;
        if event_type.is_reserved() && names == Names::OfProducers {
            self.report.add(self.at, code::TYPE_RESERVED, "types that begin with 'tidings.' are kept for Tidings");
            return None;
        }
        Some(event_type)
    }

    pub(crate) fn tenant(&mut self, names: Names) -> Option<TenantId> {
        let text = self.string()?;
        // Both a control character and a slash make a name malformed; the rule that was broken is told apart here.
        let control = text.chars().any(char::is_control);
        let malformed = if control { code::STRING_CONTROL_CHARACTER } else { code::TENANT_MALFORMED };
        let tenant = TenantId::parse(text).map_err(|e| self.report.add_text(self.at, e, malformed)).ok()?;
        if tenant.is_reserved() && names == Names::OfProducers {
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

    pub(super) fn source(&mut self) -> Option<Source> {
        self.typed_id(|member| member.source_kind()).map(|(kind, id)| Source { kind, id })
    }

    /// An object of a `type`, read by the given function, and an `id`; nothing else.
    fn typed_id<K>(&mut self, read_kind: impl Fn(&mut Member<'_, '_, '_>) -> Option<K>) -> Option<(K, Text)> {
        let (mut kind, mut id) = (Slot::Absent, Slot::Absent);
        self.object(|name, member| {
            match name {
                "type" => member.fill(&mut kind, &read_kind),
                "id" => member.fill(&mut id, Member::text),
                _ => return false,
            };
            true
        })?;
        let kind = kind.required(self.at, "type", self.report);
        let id = id.required(self.at, "id", self.report);
        Some((kind?, id?))
    }

    fn source_kind(&mut self) -> Option<SourceKind> {
        self.one_of(SourceKind::parse, code::SOURCE_TYPE_UNKNOWN, SourceKind::ALL, |kind| kind.as_str())
    }

    pub(crate) fn context_kind(&mut self) -> Option<ContextKind> {
        self.one_of(ContextKind::parse, code::CONTEXT_TYPE_UNKNOWN, ContextKind::ALL, |kind| kind.as_str())
    }

    pub(super) fn entity(&mut self) -> Option<Entity> {
        self.typed_id(|member| member.text()).map(|(kind, id)| Entity { kind, id })
    }

    fn context(&mut self) -> Option<Context> {
        self.typed_id(|member| member.context_kind()).map(|(kind, id)| Context { kind, id })
    }

    pub(super) fn metadata(&mut self) -> Option<DraftMetadata> {
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

    pub(super) fn unknown(&mut self) {
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

pub(super) fn data_too_large(bytes: usize) -> String {
    format!("has {bytes} bytes, and may have {DATA_BYTES_MAX}")
}
