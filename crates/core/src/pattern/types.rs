//! What a pattern wants of an event's type.

use std::sync::Arc;

use tidings_event::EventType;

use super::regexp::{self, TypeRegex};
use super::{FilterError, Members, TypeHint};
use crate::json::Node;
use crate::limits::TYPE_VALUE_CHARS_MAX;

/// What is wanted of an event's type.
#[derive(Debug, Clone)]
pub(crate) enum TypeTest {
    All,
    Exact(EventType),
    Prefix(Arc<str>),
    Regex(Arc<TypeRegex>),
}

impl TypeTest {
    pub(crate) fn accepts(&self, event_type: &EventType) -> bool {
        match self {
            Self::All => true,
            Self::Exact(wanted) => wanted == event_type,
            Self::Prefix(prefix) => event_type.as_str().starts_with(&**prefix),
            Self::Regex(regex) => regex.accepts(event_type.as_str()),
        }
    }

    /// Whether the events of Tidings itself are named: an expression that happens to match them does not name them.
    pub(crate) fn names_system(&self) -> bool {
        match self {
            Self::Exact(event_type) => event_type.is_reserved(),
            Self::Prefix(prefix) => prefix.starts_with(EventType::RESERVED_PREFIX),
            Self::All | Self::Regex(_) => false,
        }
    }

    pub(super) fn hint(&self) -> Option<TypeHint> {
        match self {
            Self::Exact(event_type) => Some(TypeHint::Exact(event_type.clone())),
            Self::Prefix(prefix) => Some(TypeHint::Prefix(prefix.to_string())),
            Self::All | Self::Regex(_) => None,
        }
    }

    /// One form for each test, the same for tests that are the same.
    pub(crate) fn canonical(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_canonical(&mut out);
        out
    }

    pub(super) fn write_canonical(&self, out: &mut Vec<u8>) {
        let (kind, value) = match self {
            Self::All => ("all", ""),
            Self::Exact(event_type) => ("exact", event_type.as_str()),
            Self::Prefix(prefix) => ("prefix", &**prefix),
            Self::Regex(regex) => ("regex", regex.source()),
        };
        Node::text(kind).write_canonical(out);
        Node::text(value).write_canonical(out);
    }
}

pub(super) fn shorthand(shorthand: &str) -> Result<TypeTest, FilterError> {
    const SHAPE: &str = "must be a type like 'sales.lead.created', all below a segment like 'sales.*', or '*'";
    if shorthand == "*" {
        return Ok(TypeTest::All);
    }
    if let Some(parent) = shorthand.strip_suffix(".*") {
        // What stands before the star is a type's beginning exactly when one segment more makes it a type.
        return EventType::parse(format!("{parent}.x"))
            .map(|_| TypeTest::Prefix(format!("{parent}.").into()))
            .map_err(|_| FilterError::new("", SHAPE));
    }
    EventType::parse(shorthand).map(TypeTest::Exact).map_err(|_| FilterError::new("", SHAPE))
}

pub(super) fn read(members: &Members<'_>) -> Result<TypeTest, FilterError> {
    let (kind, value) = match (members.text("type")?, members.text("value")?) {
        (None, None) => return Ok(TypeTest::All),
        (Some(kind), Some(value)) => (kind, value),
        (Some(_), None) => return Err(FilterError::new("", "'value' is missing beside 'type'")),
        (None, Some(_)) => return Err(FilterError::new("", "'type' is missing beside 'value'")),
    };
    if kind != "regex" && value.chars().count() > TYPE_VALUE_CHARS_MAX {
        return Err(FilterError::new("/value", format!("must have at most {TYPE_VALUE_CHARS_MAX} characters")));
    }
    match kind {
        "exact" => EventType::parse(value)
            .map(TypeTest::Exact)
            .map_err(|error| FilterError::new("/value", format!("not an event type: {error}"))),
        "prefix" => Ok(TypeTest::Prefix(value.into())),
        "regex" => regexp::of_type(value).map(TypeTest::Regex).map_err(|message| FilterError::new("/value", message)),
        _ => Err(FilterError::new("/type", "must be 'exact', 'prefix' or 'regex'")),
    }
}
