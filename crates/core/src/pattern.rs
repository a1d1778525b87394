//! Whether an event is one of those that somebody wants.
//!
//! A pattern names a type (exactly, by prefix or by regular expression) and filters, all of which must hold. A filter
//! holds if any node that its JSONPath selects in the event satisfies it. The document that paths speak of is the
//! native envelope: `$.type`, `$.entity.id`, `$.data.amount`, `$.sequence`.
//!
//! - Missing is not null: a path that selects nothing satisfies nothing but `exists: false`.
//! - Nothing is coerced: every comparison across types is false, `not_equals` too.
//! - Numbers compare exactly as decimals, strings by code point, arrays and objects deep.
//! - `contains` is a substring of a string or an element of an array; `in` takes an array of values.
//! - Regular expressions match the whole type, run in linear time and are bounded in size.

mod document;
mod filter;
mod path;
mod regexp;

use sha2::{Digest as _, Sha256};
use tidings_event::{EventType, FilterHash, Recorded};

use crate::json::{self, Node};
use crate::limits::{FILTERS_MAX, PATTERN_BYTES_MAX, TYPE_VALUE_CHARS_MAX, TYPES_MAX};
use document::Document;
use filter::Filter;

/// Why a pattern cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct FilterError {
    /// Where in the pattern, as a JSON pointer (RFC 6901): `/filters/0/field`; empty for the pattern itself.
    pub path: String,
    /// What is wrong, as a sentence.
    pub message: String,
}

impl FilterError {
    fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

/// What is wanted of an event's type.
#[derive(Debug)]
enum TypeTest {
    All,
    Exact(EventType),
    Prefix(String),
    Regex(regex::Regex, String),
}

impl TypeTest {
    fn accepts(&self, event_type: &EventType) -> bool {
        match self {
            Self::All => true,
            Self::Exact(wanted) => wanted == event_type,
            Self::Prefix(prefix) => event_type.as_str().starts_with(prefix),
            Self::Regex(regex, _) => regex.is_match(event_type.as_str()),
        }
    }

    fn hint(&self) -> Option<TypeHint> {
        match self {
            Self::Exact(event_type) => Some(TypeHint::Exact(event_type.clone())),
            Self::Prefix(prefix) => Some(TypeHint::Prefix(prefix.clone())),
            Self::All | Self::Regex(..) => None,
        }
    }

    fn write_canonical(&self, out: &mut Vec<u8>) {
        let (kind, value) = match self {
            Self::All => ("all", ""),
            Self::Exact(event_type) => ("exact", event_type.as_str()),
            Self::Prefix(prefix) => ("prefix", prefix.as_str()),
            Self::Regex(_, source) => ("regex", source.as_str()),
        };
        Node::text(kind).write_canonical(out);
        Node::text(value).write_canonical(out);
    }
}

/// A compiled pattern.
#[derive(Debug)]
pub struct Pattern {
    types: TypeTest,
    filters: Vec<Filter>,
}

impl Pattern {
    /// Reads a pattern: `{"type": "exact|prefix|regex", "value": "…", "filters": [{"field", "operator", "value"}]}`.
    /// All of it may be left out; an empty pattern matches every event.
    pub fn parse(json: &[u8]) -> Result<Self, FilterError> {
        if json.len() > PATTERN_BYTES_MAX {
            return Err(FilterError::new("", format!("a pattern has at most {PATTERN_BYTES_MAX} bytes")));
        }
        let node = json::parse(json).map_err(|error| FilterError::new("", format!("not JSON: {error}")))?;
        let members = members(&node, "", &["type", "value", "filters"])?;
        Ok(Self { types: read_type(&members)?, filters: read_filters(&members)? })
    }

    /// Reads the shorthand: an exact type, `sales.*` for all types below `sales`, or `*` for all types.
    pub fn of_type(shorthand: &str) -> Result<Self, FilterError> {
        shorthand_type(shorthand).map(|types| Self { types, filters: Vec::new() })
    }

    /// Whether an event is wanted.
    #[must_use]
    pub fn matches(&self, event: &Recorded) -> bool {
        if !self.types.accepts(&event.event.event_type) {
            return false;
        }
        if self.filters.is_empty() {
            return true;
        }
        let document = Document::new(event);
        self.filters.iter().all(|filter| filter.holds(&document))
    }

    fn is_all(&self) -> bool {
        self.filters.is_empty()
            && match &self.types {
                TypeTest::All => true,
                TypeTest::Prefix(prefix) => prefix.is_empty(),
                TypeTest::Exact(_) | TypeTest::Regex(..) => false,
            }
    }

    fn write_canonical(&self, out: &mut Vec<u8>) {
        self.types.write_canonical(out);
        // The order of filters means nothing, and one given twice is one.
        let mut filters: Vec<Vec<u8>> = self
            .filters
            .iter()
            .map(|filter| {
                let mut out = Vec::new();
                filter.write_canonical(&mut out);
                out
            })
            .collect();
        filters.sort();
        filters.dedup();
        filters.iter().for_each(|filter| out.extend_from_slice(filter));
    }
}

/// What an index over types can be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypeHint {
    /// Exactly this type.
    Exact(EventType),
    /// All types that begin with this text, like `sales.`.
    Prefix(String),
}

impl TypeHint {
    /// The narrower of two hints, where one lies in the other.
    fn meet(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Exact(a), Self::Exact(b)) => (a == b).then(|| self.clone()),
            (Self::Exact(a), Self::Prefix(b)) => a.as_str().starts_with(b).then(|| self.clone()),
            (Self::Prefix(_), Self::Exact(_)) => other.meet(self),
            (Self::Prefix(a), Self::Prefix(b)) if a.starts_with(b) => Some(self.clone()),
            (Self::Prefix(a), Self::Prefix(b)) => b.starts_with(a).then(|| other.clone()),
        }
    }
}

/// Which events a reader wants: any of some types, and a pattern beside.
#[derive(Debug)]
pub struct Selection {
    /// Empty for all types. Sorted, each once.
    types: Vec<TypeTest>,
    pattern: Option<Pattern>,
    hash: FilterHash,
}

impl Default for Selection {
    fn default() -> Self {
        Self::all()
    }
}

impl Selection {
    /// Every event.
    #[must_use]
    pub fn all() -> Self {
        Self { types: Vec::new(), pattern: None, hash: FilterHash([0; 8]) }
    }

    /// Events of any of these types, in shorthand, that match the pattern. No types means all types, no pattern any
    /// event. Errors about types have the path `/types/<index>`; those about the pattern a path into it.
    pub fn new(types: &[String], filter: Option<&[u8]>) -> Result<Self, FilterError> {
        if types.len() > TYPES_MAX {
            return Err(FilterError::new("/types", format!("at most {TYPES_MAX} types can be named")));
        }
        let mut tests = Vec::with_capacity(types.len());
        for (index, shorthand) in types.iter().enumerate() {
            let test = shorthand_type(shorthand)
                .map_err(|error| FilterError::new(format!("/types/{index}"), error.message))?;
            tests.push(test);
        }
        if tests.iter().any(|test| matches!(test, TypeTest::All)) {
            tests.clear();
        }
        tests.sort_by_cached_key(canonical_type);
        tests.dedup_by_key(|test| canonical_type(test));
        let pattern = filter.map(Pattern::parse).transpose()?.filter(|pattern| !pattern.is_all());
        let hash = hash(&tests, pattern.as_ref());
        Ok(Self { types: tests, pattern, hash })
    }

    /// Whether an event is wanted.
    #[must_use]
    pub fn matches(&self, event: &Recorded) -> bool {
        (self.types.is_empty() || self.types.iter().any(|test| test.accepts(&event.event.event_type)))
            && self.pattern.as_ref().is_none_or(|pattern| pattern.matches(event))
    }

    /// A hash of what is wanted, the same however it was written; zero for all events.
    #[must_use]
    pub fn hash(&self) -> FilterHash {
        self.hash
    }

    /// Types outside of which nothing is wanted; empty when an index over types cannot help. Not all that they
    /// cover is wanted.
    #[must_use]
    pub fn type_hints(&self) -> Vec<TypeHint> {
        let types: Vec<TypeHint> = self.types.iter().filter_map(TypeTest::hint).collect();
        let Some(narrow) = self.pattern.as_ref().and_then(|pattern| pattern.types.hint()) else { return types };
        let both: Vec<TypeHint> = types.iter().filter_map(|hint| hint.meet(&narrow)).collect();
        if both.is_empty() { vec![narrow] } else { both }
    }

    /// Whether every event is wanted.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.types.is_empty() && self.pattern.is_none()
    }
}

fn canonical_type(test: &TypeTest) -> Vec<u8> {
    let mut out = Vec::new();
    test.write_canonical(&mut out);
    out
}

fn hash(types: &[TypeTest], pattern: Option<&Pattern>) -> FilterHash {
    if types.is_empty() && pattern.is_none() {
        return FilterHash([0; 8]);
    }
    let mut meaning = b"tidings selection 1".to_vec();
    meaning.extend_from_slice(&(types.len() as u64).to_be_bytes());
    types.iter().for_each(|test| test.write_canonical(&mut meaning));
    if let Some(pattern) = pattern {
        meaning.push(b'p');
        pattern.write_canonical(&mut meaning);
    }
    let digest: [u8; 32] = Sha256::digest(&meaning).into();
    let mut hash = [0; 8];
    hash.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    FilterHash(hash)
}

fn shorthand_type(shorthand: &str) -> Result<TypeTest, FilterError> {
    const SHAPE: &str = "must be a type like 'sales.lead.created', all below a segment like 'sales.*', or '*'";
    if shorthand == "*" {
        return Ok(TypeTest::All);
    }
    if let Some(parent) = shorthand.strip_suffix(".*") {
        // What stands before the star is a type's beginning exactly when one segment more makes it a type.
        return EventType::parse(format!("{parent}.x"))
            .map(|_| TypeTest::Prefix(format!("{parent}.")))
            .map_err(|_| FilterError::new("", SHAPE));
    }
    EventType::parse(shorthand).map(TypeTest::Exact).map_err(|_| FilterError::new("", SHAPE))
}

fn read_type(members: &Members<'_>) -> Result<TypeTest, FilterError> {
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
        "prefix" => Ok(TypeTest::Prefix(value.to_owned())),
        "regex" => regexp::compile(value, true)
            .map(|regex| TypeTest::Regex(regex, value.to_owned()))
            .map_err(|message| FilterError::new("/value", message)),
        _ => Err(FilterError::new("/type", "must be 'exact', 'prefix' or 'regex'")),
    }
}

fn read_filters(members: &Members<'_>) -> Result<Vec<Filter>, FilterError> {
    let Some(filters) = members.get("filters") else { return Ok(Vec::new()) };
    let Node::List(filters) = filters else { return Err(FilterError::new("/filters", "must be an array")) };
    if filters.len() > FILTERS_MAX {
        return Err(FilterError::new("/filters", format!("a pattern has at most {FILTERS_MAX} filters")));
    }
    filters.iter().enumerate().map(|(index, node)| Filter::read(node, &format!("/filters/{index}"))).collect()
}

/// The members of an object whose names are all known and given once.
struct Members<'n> {
    node: &'n Node<'n>,
    at: String,
}

fn members<'n>(node: &'n Node<'n>, at: &str, known: &[&str]) -> Result<Members<'n>, FilterError> {
    let Node::Map(members) = node else { return Err(FilterError::new(at, "must be an object")) };
    for (index, (name, _)) in members.iter().enumerate() {
        if !known.contains(&&**name) {
            return Err(FilterError::new(within(at, name), "is not known here"));
        }
        if members.iter().take(index).any(|(earlier, _)| earlier == name) {
            return Err(FilterError::new(within(at, name), "is given twice"));
        }
    }
    Ok(Members { node, at: at.to_owned() })
}

impl<'n> Members<'n> {
    fn get(&self, name: &str) -> Option<&'n Node<'n>> {
        self.node.member(name)
    }

    fn text(&self, name: &str) -> Result<Option<&'n str>, FilterError> {
        match self.get(name) {
            None => Ok(None),
            Some(Node::Text(text)) => Ok(Some(text)),
            Some(_) => Err(FilterError::new(within(&self.at, name), "must be a string")),
        }
    }
}

/// The JSON pointer of a member.
fn within(at: &str, name: &str) -> String {
    format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"))
}
