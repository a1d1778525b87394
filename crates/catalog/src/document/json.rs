//! How the validator of schemas looks at a [`Document`].

use std::borrow::Cow;

use jsonschema::JsonType;
use jsonschema::json::{Array, Json, JsonNumber, Node, NodeIdentity, Object, cmp};
use serde_json::Value;

use super::{Document, Members, Number, unique, work};

/// The representation of JSON that is a [`Document`].
pub(crate) struct Borrowed;

impl Json for Borrowed {
    type Node<'a> = &'a Document<'a>;
    type PreparedKey = String;
    type StringBuffer = ();

    // A name is compared by its length first, so walking over the members once is seldom better.
    const KEYS_PER_LOOKUP: usize = 1;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>(_buffer: &mut (), string: &str, f: impl FnOnce(Self::Node<'_>) -> T) -> T {
        f(&Document::Text(Cow::Borrowed(string)))
    }
}

impl<'a> Node<'a, Borrowed> for &'a Document<'a> {
    type Object = &'a Members<'a>;
    type Array = &'a [Document<'a>];
    type Number = Number;

    fn as_object(&self) -> Option<&'a Members<'a>> {
        match self {
            Document::Map(members) if work::open() => Some(members),
            _ => None,
        }
    }

    fn as_array(&self) -> Option<&'a [Document<'a>]> {
        match self {
            Document::List(items) if work::open() => Some(items),
            _ => None,
        }
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        match self {
            Document::Text(text) if work::text(text.len()) => Some(Cow::Borrowed(text)),
            _ => None,
        }
    }

    fn as_number(&self) -> Option<Number> {
        work::look();
        match self {
            Document::Number(number) => Some(*number),
            _ => None,
        }
    }

    fn as_boolean(&self) -> Option<bool> {
        work::look();
        match self {
            Document::Bool(bool) => Some(*bool),
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        work::look();
        matches!(self, Document::Null)
    }

    fn is_number(&self) -> bool {
        work::look();
        matches!(self, Document::Number(_))
    }

    fn json_type(&self) -> JsonType {
        work::look();
        match self {
            Document::Null => JsonType::Null,
            Document::Bool(_) => JsonType::Boolean,
            Document::Number(_) => JsonType::Number,
            Document::Text(_) => JsonType::String,
            Document::List(_) => JsonType::Array,
            Document::Map(_) => JsonType::Object,
        }
    }

    fn string_length(&self) -> Option<u64> {
        match self {
            Document::Text(text) if !work::characters(text.len()) => None,
            Document::Text(text) if text.is_ascii() => Some(text.len() as u64),
            Document::Text(text) => Some(text.chars().count() as u64),
            _ => None,
        }
    }

    fn equals_value(&self, expected: &Value) -> bool {
        work::look();
        match (self, expected) {
            (Document::Text(text), Value::String(expected)) => text == expected,
            (Document::Text(_), _) | (_, Value::String(_)) => false,
            (Document::Bool(bool), expected) => expected == bool,
            (Document::Null, expected) => expected.is_null(),
            (Document::Number(number), Value::Number(expected)) => cmp::equal_numbers(number, expected),
            (Document::List(items), Value::Array(expected)) => {
                items.len() == expected.len()
                    && work::below(items.len())
                    && items.iter().zip(expected).all(|(item, expected)| item.equals_value(expected))
            }
            (Document::Map(members), Value::Object(expected)) => {
                // Names are never there twice.
                members.len() == expected.len()
                    && work::below(members.len())
                    && expected.iter().all(|(name, expected)| {
                        members.get(name).is_some_and(|member| (&member).equals_value(expected))
                    })
            }
            _ => false,
        }
    }

    // Asked for by errors alone, to tell what they are about. Their paths tell that here, and a copy of the value with
    // every error would be much more than all else.
    fn to_value(&self) -> Cow<'a, Value> {
        Cow::Owned(Value::Null)
    }

    fn identity(&self) -> Option<NodeIdentity> {
        Some(NodeIdentity::new(std::ptr::from_ref::<Document<'_>>(self) as usize))
    }
}

impl<'a> Object<'a, Borrowed> for &'a Members<'a> {
    type Node = &'a Document<'a>;
    type MemberName = &'a str;
    type MembersIter = MembersIter<'a>;

    fn len(&self) -> usize {
        Members::len(self)
    }

    fn get(&self, key: &String) -> Option<&'a Document<'a>> {
        work::look();
        Members::get(self, key).filter(|_| work::below(1))
    }

    fn members(&self) -> MembersIter<'a> {
        let seen: &'a [(Cow<'a, str>, Document<'a>)] = if work::below(self.len()) { &self.0 } else { &[] };
        MembersIter(seen.iter())
    }
}

/// Walks over an object's members.
pub(crate) struct MembersIter<'a>(std::slice::Iter<'a, (Cow<'a, str>, Document<'a>)>);

impl<'a> Iterator for MembersIter<'a> {
    type Item = (&'a str, &'a Document<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = self.0.next()?;
        work::name(name.len()).then_some((&**name, value))
    }
}

impl<'a> Array<'a, Borrowed> for &'a [Document<'a>] {
    type Node = &'a Document<'a>;
    type ElementsIter = std::slice::Iter<'a, Document<'a>>;

    fn len(&self) -> usize {
        <[Document<'a>]>::len(self)
    }

    fn elements(&self) -> std::slice::Iter<'a, Document<'a>> {
        let seen: &'a [Document<'a>] = if work::below(<[Document<'a>]>::len(self)) { self } else { &[] };
        seen.iter()
    }

    fn is_unique(&self) -> bool {
        self.len() < 2 || !work::below(self.iter().map(Document::count).sum()) || unique::all(self)
    }
}

impl JsonNumber for Number {
    fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Int(int) => u64::try_from(*int).ok(),
            Self::Unsigned(unsigned) => Some(*unsigned),
            Self::Float(_) => None,
        }
    }

    fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(int) => Some(*int),
            Self::Unsigned(_) | Self::Float(_) => None,
        }
    }

    fn as_f64(&self) -> Option<f64> {
        Some(self.as_float())
    }

    fn as_str(&self) -> Cow<'_, str> {
        Cow::Owned(match self {
            Self::Int(int) => int.to_string(),
            Self::Unsigned(unsigned) => unsigned.to_string(),
            Self::Float(float) => float.to_string(),
        })
    }

    fn to_number(&self) -> Cow<'_, serde_json::Number> {
        Cow::Owned(self.to_json().unwrap_or_else(|| 0.into()))
    }

    fn is_integer(&self) -> bool {
        match self {
            Self::Int(_) | Self::Unsigned(_) => true,
            Self::Float(float) => float.fract() == 0.0,
        }
    }

    fn is_written_as_integer(&self) -> bool {
        !matches!(self, Self::Float(_))
    }
}
