//! Places in `data`: reading, writing and following pointers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::definition::Pointer;

/// What stands for every element or member.
pub const WILDCARD: &str = "*";

/// Why a text is not a pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PointerError {
    /// It does not begin with a slash.
    #[error("must begin with '/', like '/customer/email'")]
    NoSlash,
    /// A `~` is followed by neither `0` nor `1`.
    #[error("'~' must be written as '~0', and '/' within a name as '~1'")]
    Escape,
}

impl Pointer {
    /// Reads an RFC 6901 pointer. The empty text is the whole document. A segment that is `*` stands for every element
    /// or member; so a member whose name is `*` alone cannot be named.
    pub fn parse(text: &str) -> Result<Self, PointerError> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let rest = text.strip_prefix('/').ok_or(PointerError::NoSlash)?;
        rest.split('/').map(unescape).collect::<Result<_, _>>().map(Self)
    }

    /// The pointer of these segments, unescaped.
    pub fn of<S: Into<String>>(segments: impl IntoIterator<Item = S>) -> Self {
        Self(segments.into_iter().map(Into::into).collect())
    }

    /// Its segments, unescaped; `*` where it stands for all.
    #[must_use]
    pub fn segments(&self) -> &[String] {
        &self.0
    }

    /// Whether it is the whole document.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether some segment stands for every element or member.
    #[must_use]
    pub fn has_wildcard(&self) -> bool {
        self.0.iter().any(|segment| segment == WILDCARD)
    }

    /// The pointer to what holds this one; none for the whole document.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (_, parent) = self.0.split_last()?;
        Some(Self(parent.to_vec()))
    }

    /// The pointer to a member or element of what this one points to.
    #[must_use]
    pub fn join(&self, segment: impl Into<String>) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment.into());
        Self(segments)
    }

    /// Whether this pointer names the place of the other or one above it; `*` covers every segment.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.0.len() <= other.0.len()
            && self.0.iter().zip(&other.0).all(|(mine, theirs)| mine == WILDCARD || mine == theirs)
    }

    /// What it points to in a document, in its order; none where it is missing, several only through `*`.
    #[must_use]
    pub fn select<'v>(&self, document: &'v Value) -> Vec<&'v Value> {
        let mut found = vec![document];
        for segment in &self.0 {
            found = found.into_iter().flat_map(|value| children(value, segment)).collect();
        }
        found
    }

    /// What it points to in a document when it has no `*`.
    #[must_use]
    pub fn get<'v>(&self, document: &'v Value) -> Option<&'v Value> {
        self.0.iter().try_fold(document, |value, segment| child(value, segment))
    }
}

fn children<'v>(value: &'v Value, segment: &str) -> Vec<&'v Value> {
    if segment != WILDCARD {
        return child(value, segment).into_iter().collect();
    }
    match value {
        Value::Object(members) => members.values().collect(),
        Value::Array(items) => items.iter().collect(),
        _ => Vec::new(),
    }
}

fn child<'v>(value: &'v Value, segment: &str) -> Option<&'v Value> {
    match value {
        Value::Object(members) => members.get(segment),
        Value::Array(items) => items.get(array_index(segment)?),
        _ => None,
    }
}

/// A segment as the number of an element: digits without a leading zero.
#[must_use]
pub fn array_index(segment: &str) -> Option<usize> {
    let plain = segment.bytes().all(|b| b.is_ascii_digit()) && (segment == "0" || !segment.starts_with('0'));
    if plain { segment.parse().ok() } else { None }
}

/// A name as one segment of a pointer's text.
#[must_use]
pub fn escape(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}

fn unescape(segment: &str) -> Result<String, PointerError> {
    let mut text = String::with_capacity(segment.len());
    let mut rest = segment.chars();
    while let Some(c) = rest.next() {
        text.push(match c {
            '~' => match rest.next() {
                Some('0') => '~',
                Some('1') => '/',
                _ => return Err(PointerError::Escape),
            },
            other => other,
        });
    }
    Ok(text)
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|segment| write!(f, "/{}", escape(segment)))
    }
}

impl FromStr for Pointer {
    type Err = PointerError;
    fn from_str(text: &str) -> Result<Self, PointerError> {
        Self::parse(text)
    }
}

impl Serialize for Pointer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pointer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_that_are_no_pointers_are_refused_with_the_reason() {
        assert_eq!(Pointer::parse("a/b"), Err(PointerError::NoSlash));
        assert_eq!(Pointer::parse("/a~"), Err(PointerError::Escape));
        assert_eq!(Pointer::parse("/a~2b"), Err(PointerError::Escape));
    }

    #[test]
    fn a_pointer_selects_through_members_elements_and_wildcards() {
        let document = json!({"a": [{"b": 1}, {"b": 2}, {}], "m/n": {"~": 3}, "": 4});
        let select = |text: &str| Pointer::parse(text).expect("a pointer").select(&document).len();
        let rows =
            [("", 1), ("/a/*/b", 2), ("/a/0/b", 1), ("/a/00/b", 0), ("/m~1n/~0", 1), ("/", 1), ("/*", 3), ("/a/b", 0)];
        for (text, count) in rows {
            assert_eq!(select(text), count, "{text}");
        }
    }

    #[test]
    fn a_pointer_covers_what_is_at_and_below_it() {
        let covers =
            |a: &str, b: &str| Pointer::parse(a).expect("a pointer").covers(&Pointer::parse(b).expect("a pointer"));
        assert!(covers("/a", "/a/b"));
        assert!(covers("/a/*", "/a/b"));
        assert!(!covers("/a/b", "/a"));
        assert!(!covers("/a/b", "/a/*"));
    }

    proptest! {
        #[test]
        fn every_pointer_survives_being_written_and_read(segments in prop::collection::vec("[a-z~/*0-9é]{0,5}", 0..6)) {
            let pointer = Pointer::of(segments);
            prop_assert_eq!(Pointer::parse(&pointer.to_string()), Ok(pointer));
        }
    }
}
