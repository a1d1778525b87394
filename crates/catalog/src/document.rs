//! An event's data as it is judged: a tree that borrows its texts from the event's bytes.
//!
//! Every event that comes in is read into one of these, so it is made for that alone: no name or text is copied unless
//! it holds escapes, a container is one allocation, and members are found without hashing. Both the schema's validator
//! and the rules work on it.

mod json;
mod unique;
mod work;

use std::borrow::Cow;

use serde_json::Value;
use tidings_event::json::{Fault, Kind, Scanner, Wrong};
use tidings_event::limits::DEPTH_MAX;

pub(crate) use json::Borrowed;
pub(crate) use work::{Allowance, within};

/// A JSON value.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Document<'a> {
    /// `null`
    #[default]
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    Text(Cow<'a, str>),
    /// An array.
    List(Vec<Document<'a>>),
    /// An object.
    Map(Members<'a>),
}

/// A number as it is calculated with: whole numbers exactly as long as they fit into 64 bits, all others as the nearest
/// double.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    /// A whole number.
    Int(i64),
    /// A whole number beyond the largest of [`Number::Int`].
    Unsigned(u64),
    /// Any other; finite.
    Float(f64),
}

/// The members of an object. More than [`LINEAR_MAX`] are sorted by name, so that each is found fast.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Members<'a>(Vec<(Cow<'a, str>, Document<'a>)>);

/// Up to so many members are looked through one by one.
const LINEAR_MAX: usize = 48;

/// Why bytes cannot be judged.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// They are not JSON, or too deep. Cannot be of what was parsed as an event before.
    Fault(Fault),
    /// A number lies outside what a double can hold; its path.
    Number(String),
}

impl<'a> Members<'a> {
    fn new(mut members: Vec<(Cow<'a, str>, Document<'a>)>) -> Self {
        if members.len() > LINEAR_MAX {
            members.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        }
        Self(members)
    }

    /// The member of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Document<'a>> {
        if self.0.len() <= LINEAR_MAX {
            return self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value);
        }
        let at = self.0.binary_search_by(|(known, _)| (**known).cmp(name)).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// All of them; in no order that means anything.
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, (Cow<'a, str>, Document<'a>)> {
        self.0.iter()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl<'a> Document<'a> {
    /// Reads a JSON text.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Unreadable> {
        let mut reader = Reader { scanner: Scanner::new(bytes).map_err(Unreadable::Fault)?, too_large: None };
        let document = reader.value(DEPTH_MAX).map_err(Unreadable::Fault)?;
        reader.scanner.finish().map_err(Unreadable::Fault)?;
        match reader.too_large {
            Some(offset) => Err(Unreadable::Number(tidings_event::json::path_at(bytes, offset))),
            None => Ok(document),
        }
    }

    /// The same value as serde_json has it.
    pub(crate) fn of(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(bool) => Self::Bool(*bool),
            Value::Number(number) => Self::Number(Number::of(number)),
            Value::String(text) => Self::Text(Cow::Borrowed(text)),
            Value::Array(items) => Self::List(items.iter().map(Document::of).collect()),
            Value::Object(members) => Self::Map(Members::new(
                members.iter().map(|(name, value)| (Cow::Borrowed(name.as_str()), Document::of(value))).collect(),
            )),
        }
    }

    /// The same value for serde_json.
    pub(crate) fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(bool) => Value::Bool(*bool),
            Self::Number(number) => number.to_json().map_or(Value::Null, Value::Number),
            Self::Text(text) => Value::String(text.to_string()),
            Self::List(items) => Value::Array(items.iter().map(Document::to_value).collect()),
            Self::Map(members) => {
                Value::Object(members.iter().map(|(name, value)| (name.to_string(), value.to_value())).collect())
            }
        }
    }

    /// How many values it is made of, itself among them.
    fn count(&self) -> usize {
        match self {
            Self::List(items) => items.iter().map(Document::count).sum::<usize>() + 1,
            Self::Map(members) => members.iter().map(|(_, value)| value.count()).sum::<usize>() + 1,
            _ => 1,
        }
    }

    /// What a way of unescaped segments leads to.
    pub(crate) fn get(&self, segments: &[String]) -> Option<&Document<'a>> {
        segments.iter().try_fold(self, |value, segment| match value {
            Self::Map(members) => members.get(segment),
            Self::List(items) => items.get(crate::pointer::array_index(segment)?),
            _ => None,
        })
    }
}

impl Number {
    fn of(number: &serde_json::Number) -> Self {
        if let Some(int) = number.as_i64() {
            Self::Int(int)
        } else if let Some(unsigned) = number.as_u64() {
            Self::Unsigned(unsigned)
        } else {
            Self::Float(number.as_f64().unwrap_or(f64::MAX))
        }
    }

    /// Reads a number by JSON's grammar; none where it lies beyond all doubles.
    fn parse(text: &str) -> Option<Self> {
        let whole = !text.bytes().any(|b| matches!(b, b'.' | b'e' | b'E'));
        if whole {
            // "-0" is a whole number, and nothing here tells it from 0.
            if let Ok(int) = text.parse() {
                return Some(Self::Int(int));
            }
            if let Ok(unsigned) = text.parse() {
                return Some(Self::Unsigned(unsigned));
            }
        }
        let float: f64 = text.parse().ok()?;
        float.is_finite().then_some(Self::Float(float))
    }

    /// The same number for serde_json; none only of what is not finite.
    fn to_json(self) -> Option<serde_json::Number> {
        match self {
            Self::Int(int) => Some(int.into()),
            Self::Unsigned(unsigned) => Some(unsigned.into()),
            Self::Float(float) => serde_json::Number::from_f64(float),
        }
    }

    /// Whether a text is this number; only whole ones have a text that is certain. 5.0 is 5, as to JSON Schema.
    pub(crate) fn is_written(self, text: &str) -> bool {
        match self {
            Self::Int(int) => text.parse() == Ok(int) && text == int.to_string(),
            Self::Unsigned(unsigned) => text == unsigned.to_string(),
            Self::Float(float) if float.fract() == 0.0 && float.abs() < EXACT_BELOW => {
                Self::Int(float as i64).is_written(text)
            }
            Self::Float(_) => false,
        }
    }

    /// The nearest double.
    pub(crate) fn as_float(self) -> f64 {
        match self {
            Self::Int(int) => int as f64,
            Self::Unsigned(unsigned) => unsigned as f64,
            Self::Float(float) => float,
        }
    }
}

struct Reader<'a> {
    scanner: Scanner<'a>,
    /// Where a number stands that no double can hold.
    too_large: Option<usize>,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth_left: usize) -> Result<Document<'a>, Fault> {
        let kind = self.scanner.peek()?;
        match kind {
            Kind::Object | Kind::Array if depth_left == 0 => {
                Err(Fault { wrong: Wrong::Depth, offset: self.scanner.offset() })
            }
            Kind::Object => {
                self.scanner.open();
                let (mut first, mut members) = (true, Vec::new());
                while let Some(name) = self.scanner.member(&mut first)? {
                    if members.capacity() == 0 {
                        members.reserve_exact(MEMBERS_EXPECTED);
                    }
                    let value = self.value(depth_left - 1)?;
                    members.push((name.to_lossy(), value));
                }
                Ok(Document::Map(Members::new(members)))
            }
            Kind::Array => {
                self.scanner.open();
                let (mut first, mut items) = (true, Vec::new());
                while self.scanner.element(&mut first)? {
                    items.push(self.value(depth_left - 1)?);
                }
                Ok(Document::List(items))
            }
            _ => {
                let start = self.scanner.offset();
                let value = self.scanner.value(depth_left)?;
                Ok(match kind {
                    Kind::String => Document::Text(value.as_string().map(|text| text.to_lossy()).unwrap_or_default()),
                    Kind::Number => Document::Number(Number::parse(value.text()).unwrap_or_else(|| {
                        self.too_large.get_or_insert(start);
                        Number::Int(0)
                    })),
                    Kind::Bool => Document::Bool(value.text() == "true"),
                    Kind::Null | Kind::Object | Kind::Array => Document::Null,
                })
            }
        }
    }
}

/// From 2^53 on a double may stand for another whole number than was written.
pub(crate) const EXACT_BELOW: f64 = 9_007_199_254_740_992.0;

/// Room that an object is given at once.
const MEMBERS_EXPECTED: usize = 12;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::testing::any_json;

    #[test]
    fn a_number_that_no_double_can_hold_is_named_by_its_path() {
        for (text, path) in [(r#"{"a":[1,1e999]}"#, "/a/1"), (r#"{"a":{"b":-1e400}}"#, "/a/b")] {
            match Document::parse(text.as_bytes()) {
                Err(Unreadable::Number(at)) => assert_eq!(at, path),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn whole_numbers_are_exact_as_long_as_they_fit_into_64_bits() {
        let rows = [
            ("9223372036854775807", Number::Int(i64::MAX)),
            ("18446744073709551615", Number::Unsigned(u64::MAX)),
            ("18446744073709551616", Number::Float(18_446_744_073_709_551_616.0)),
            ("-0", Number::Int(0)),
            ("1.0", Number::Float(1.0)),
            ("1e3", Number::Float(1000.0)),
        ];
        for (text, number) in rows {
            assert_eq!(Number::parse(text), Some(number), "{text}");
        }
    }

    #[test]
    fn a_whole_number_is_its_digits_however_it_is_written() {
        let rows = [
            ("5", "5", true),
            ("5.0", "5", true),
            ("5e0", "5", true),
            ("-0.0", "0", true),
            ("5.0", "5.0", false),
            ("5.5", "5", false),
            ("5", "05", false),
            ("9007199254740993.0", "9007199254740992", false),
            ("1e300", "1", false),
        ];
        for (number, text, expected) in rows {
            assert_eq!(Number::parse(number).expect("a number").is_written(text), expected, "{number} {text}");
        }
    }

    #[test]
    fn what_is_no_json_or_too_deep_is_refused_and_never_panics() {
        let deep = "[".repeat(100_000);
        for text in ["", "{", "[1,]", "{\"a\"}", "nul", "\"\\x\"", "1 2", &deep] {
            assert!(matches!(Document::parse(text.as_bytes()), Err(Unreadable::Fault(_))), "{text:.20}");
        }
    }

    #[test]
    fn members_are_found_among_few_and_among_many() {
        for count in [0, 1, LINEAR_MAX, LINEAR_MAX + 1, 300] {
            let value = Value::Object((0..count).map(|i| (format!("m{i}"), json!(i))).collect());
            let Document::Map(members) = Document::of(&value) else { panic!("an object") };
            for i in 0..count {
                assert_eq!(
                    members.get(&format!("m{i}")),
                    Some(&Document::Number(Number::parse(&i.to_string()).expect("a number")))
                );
            }
            assert_eq!(members.get("missing"), None);
        }
    }

    proptest! {
        #[test]
        fn a_document_says_the_same_as_serde_json(value in any_json()) {
            let text = value.to_string();
            let document = Document::parse(text.as_bytes()).expect("it is JSON");
            prop_assert_eq!(&document.to_value(), &value);
            prop_assert_eq!(&Document::of(&value).to_value(), &value);
        }
    }
}
