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

mod asks;
mod document;
mod filter;
mod intern;
mod path;
mod regexp;
mod types;

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tidings_event::{EventType, FilterHash, Recorded};

use crate::json::{self, Node};
use crate::limits::{FILTERS_MAX, PATTERN_BYTES_MAX, TYPES_MAX};
use intern::Interner;

pub use asks::{Ask, Step, Wanted};
pub(crate) use document::Document;
pub(crate) use filter::Filter;
pub(crate) use path::{Path, Steps};
pub(crate) use regexp::{Required, TypeRegex};
pub(crate) use types::TypeTest;

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

/// A compiled pattern.
#[derive(Debug)]
pub struct Pattern {
    types: TypeTest,
    filters: Box<[Arc<Filter>]>,
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
        Ok(Self { types: types::read(&members)?, filters: read_filters(&members)? })
    }

    /// Reads the shorthand: an exact type, `sales.*` for all types below `sales`, or `*` for all types.
    pub fn of_type(shorthand: &str) -> Result<Self, FilterError> {
        types::shorthand(shorthand).map(|types| Self { types, filters: Box::default() })
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
                TypeTest::Exact(_) | TypeTest::Regex(_) => false,
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
    types: Box<[TypeTest]>,
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
        Self { types: Box::default(), pattern: None, hash: FilterHash([0; 8]) }
    }

    /// Events of any of these types, in shorthand, that match the pattern. No types means all types, no pattern any
    /// event. Errors about types have the path `/types/<index>`; those about the pattern a path into it.
    pub fn new(types: &[String], filter: Option<&[u8]>) -> Result<Self, FilterError> {
        if types.len() > TYPES_MAX {
            return Err(FilterError::new("/types", format!("at most {TYPES_MAX} types can be named")));
        }
        let mut tests = Vec::with_capacity(types.len());
        for (index, shorthand) in types.iter().enumerate() {
            let test = types::shorthand(shorthand)
                .map_err(|error| FilterError::new(format!("/types/{index}"), error.message))?;
            tests.push(test);
        }
        if tests.iter().any(|test| matches!(test, TypeTest::All)) {
            tests.clear();
        }
        tests.sort_by_cached_key(TypeTest::canonical);
        tests.dedup_by_key(|test| test.canonical());
        let pattern = filter.map(Pattern::parse).transpose()?.filter(|pattern| !pattern.is_all());
        let hash = hash(&tests, pattern.as_ref());
        Ok(Self { types: tests.into(), pattern, hash })
    }

    /// As [`Selection::new`], and one for all who hold a selection that is written the same. For selections that are
    /// kept: those of a hundred thousand subscriptions mostly repeat each other.
    pub fn shared(types: &[String], filter: Option<&[u8]>) -> Result<Arc<Self>, FilterError> {
        static KNOWN: Interner<Selection> = Interner::new();
        let mut text = Vec::new();
        // Each part with its length before it, so that no two selections are written alike.
        for part in types.iter().map(String::as_bytes).chain(filter) {
            text.extend_from_slice(&(part.len() as u64).to_be_bytes());
            text.extend_from_slice(part);
        }
        text.push(u8::from(filter.is_some()));
        KNOWN.get(&text, || Self::new(types, filter))
    }

    /// Whether an event is wanted.
    #[must_use]
    pub fn matches(&self, event: &Recorded) -> bool {
        (self.types.is_empty() || self.types.iter().any(|test| test.accepts(&event.event.event_type)))
            && self.pattern.as_ref().is_none_or(|pattern| pattern.matches(event))
    }

    /// The types of which any has to accept; empty for all.
    pub(crate) fn types(&self) -> &[TypeTest] {
        &self.types
    }

    /// What the pattern wants of the type.
    pub(crate) fn pattern_type(&self) -> &TypeTest {
        self.pattern.as_ref().map_or(&TypeTest::All, |pattern| &pattern.types)
    }

    /// What has to hold beside the type, all of it.
    pub(crate) fn filters(&self) -> &[Arc<Filter>] {
        self.pattern.as_ref().map_or(&[], |pattern| &pattern.filters)
    }

    /// What is asked of an event beside its type; all of it must hold.
    #[must_use]
    pub fn asks(&self) -> Vec<Ask> {
        self.filters().iter().map(|filter| Ask::of(filter)).collect()
    }

    /// Whether the type is wanted. (A subscription gets Tidings' own events only where it names them; that is seen to
    /// where subscriptions are matched.)
    #[must_use]
    pub fn accepts(&self, event_type: &EventType) -> bool {
        (self.types.is_empty() || self.types.iter().any(|test| test.accepts(event_type)))
            && self.pattern_type().accepts(event_type)
    }

    /// Whether any of its types begins with that of Tidings' own events.
    pub(crate) fn names_system(&self) -> bool {
        self.types.iter().any(TypeTest::names_system) || self.pattern_type().names_system()
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

fn read_filters(members: &Members<'_>) -> Result<Box<[Arc<Filter>]>, FilterError> {
    let Some(filters) = members.get("filters") else { return Ok(Box::default()) };
    let Node::List(filters) = filters else { return Err(FilterError::new("/filters", "must be an array")) };
    if filters.len() > FILTERS_MAX {
        return Err(FilterError::new("/filters", format!("a pattern has at most {FILTERS_MAX} filters")));
    }
    let read = |(index, node)| Filter::read(node, &format!("/filters/{index}")).map(Arc::new);
    filters.iter().enumerate().map(read).collect()
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
