//! JSON as a tree that keeps numbers as they were written.
//!
//! `serde_json::Value` cannot serve here: it rounds numbers to 64 bits and refuses those beyond the range of a
//! double, and a comparison has to be exact.

mod decimal;
mod parse;
mod write;

use std::borrow::Cow;
use std::cmp::Ordering;

pub(crate) use decimal::Decimal;
pub(crate) use parse::{parse, parse_lossy};

/// A JSON value. Texts and numbers are borrowed from the source where they can be.
#[derive(Debug, Clone)]
pub(crate) enum Node<'a> {
    Null,
    Bool(bool),
    /// The number as it was written, checked for syntax.
    Number(Cow<'a, str>),
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    /// Members in the order of the source. Names do not repeat in an event; where they do, the first counts.
    Map(Vec<(Cow<'a, str>, Node<'a>)>),
}

impl<'a> Node<'a> {
    /// Whether both are of one JSON type; `true` and `false` are.
    pub(crate) fn is_of_type(&self, other: &Node<'_>) -> bool {
        matches!(
            (self, other),
            (Node::Null, Node::Null)
                | (Node::Bool(_), Node::Bool(_))
                | (Node::Number(_), Node::Number(_))
                | (Node::Text(_), Node::Text(_))
                | (Node::List(_), Node::List(_))
                | (Node::Map(_), Node::Map(_))
        )
    }

    pub(crate) fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    pub(crate) fn number(number: impl std::fmt::Display) -> Self {
        Self::Number(Cow::Owned(number.to_string()))
    }

    pub(crate) fn member(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Map(members) => members.iter().find(|(key, _)| key == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// How many members or elements lie directly below.
    pub(crate) fn breadth(&self) -> usize {
        match self {
            Self::List(elements) => elements.len(),
            Self::Map(members) => members.len(),
            _ => 0,
        }
    }

    /// What lies directly below, in order.
    pub(crate) fn children(&self) -> impl Iterator<Item = &Self> {
        let (elements, members): (&[Self], &[(Cow<'a, str>, Self)]) = match self {
            Self::List(elements) => (elements, &[]),
            Self::Map(members) => (&[], members),
            _ => (&[], &[]),
        };
        elements.iter().chain(members.iter().map(|(_, value)| value))
    }

    /// Equality of JSON values: numbers by value, texts by code point, lists in order, maps whatever their order.
    /// Values of different types are different.
    pub(crate) fn same(&self, other: &Node<'_>) -> bool {
        match (self, other) {
            (Self::Null, Node::Null) => true,
            (Self::Bool(a), Node::Bool(b)) => a == b,
            (Self::Text(a), Node::Text(b)) => a == b,
            (Self::Number(a), Node::Number(b)) => a == b || Decimal::parse(a).cmp(&Decimal::parse(b)).is_eq(),
            (Self::List(a), Node::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b)),
            (Self::Map(a), Node::Map(b)) => same_members(a, b),
            _ => false,
        }
    }

    /// The order of two numbers or two texts; nothing else has one.
    pub(crate) fn order(&self, other: &Node<'_>) -> Option<Ordering> {
        match (self, other) {
            (Self::Number(a), Node::Number(b)) => Some(Decimal::parse(a).cmp(&Decimal::parse(b))),
            // Bytes of UTF-8 order as the code points they stand for.
            (Self::Text(a), Node::Text(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
            _ => None,
        }
    }

    /// The same value, owned.
    pub(crate) fn into_owned(self) -> Node<'static> {
        match self {
            Self::Null => Node::Null,
            Self::Bool(value) => Node::Bool(value),
            Self::Number(number) => Node::Number(Cow::Owned(number.into_owned())),
            Self::Text(text) => Node::Text(Cow::Owned(text.into_owned())),
            Self::List(elements) => Node::List(elements.into_iter().map(Node::into_owned).collect()),
            Self::Map(members) => Node::Map(
                members.into_iter().map(|(name, value)| (Cow::Owned(name.into_owned()), value.into_owned())).collect(),
            ),
        }
    }

    /// Writes a form that is the same for all values that are [`Node::same`].
    pub(crate) fn write_canonical(&self, out: &mut Vec<u8>) {
        fn framed(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
            out.push(tag);
            out.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
            out.extend_from_slice(bytes);
        }
        match self {
            Self::Null => out.push(b'z'),
            Self::Bool(value) => out.extend_from_slice(if *value { b"bt" } else { b"bf" }),
            Self::Number(number) => framed(b'n', Decimal::parse(number).canonical().as_bytes(), out),
            Self::Text(text) => framed(b's', text.as_bytes(), out),
            Self::List(elements) => {
                framed(b'l', &(elements.len() as u64).to_be_bytes(), out);
                elements.iter().for_each(|element| element.write_canonical(out));
            }
            Self::Map(members) => {
                framed(b'm', &(members.len() as u64).to_be_bytes(), out);
                for (name, value) in sorted(members) {
                    framed(b's', name.as_bytes(), out);
                    value.write_canonical(out);
                }
            }
        }
    }
}

type Members<'a> = [(Cow<'a, str>, Node<'a>)];

fn sorted<'m, 'a>(members: &'m Members<'a>) -> Vec<(&'m str, &'m Node<'a>)> {
    let mut sorted: Vec<_> = members.iter().map(|(name, value)| (&**name, value)).collect();
    sorted.sort_by_key(|(name, _)| *name);
    sorted
}

fn same_members(a: &Members<'_>, b: &Members<'_>) -> bool {
    a.len() == b.len()
        && sorted(a).iter().zip(sorted(b)).all(|((a_name, a), (b_name, b))| *a_name == b_name && a.same(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(json: &str) -> Node<'_> {
        parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn values_are_equal_by_meaning_and_never_across_types() {
        let same = [
            ("1", "1.0"),
            ("-0", "0"),
            ("1e2", "100"),
            (r#""\u0041""#, r#""A""#),
            (r#"{"a":1,"b":[2]}"#, r#"{"b":[2.0],"a":1}"#),
        ];
        let different = [
            ("1", r#""1""#),
            ("0", "false"),
            ("null", "false"),
            ("[]", "{}"),
            ("[1,2]", "[2,1]"),
            (r#"{"a":1}"#, r#"{"a":1,"b":2}"#),
            (r#"{"a":1,"c":2}"#, r#"{"a":1,"b":2}"#),
            ("9007199254740993", "9007199254740992"),
        ];
        let canonical = |json: &str| {
            let mut out = Vec::new();
            node(json).write_canonical(&mut out);
            out
        };
        for (a, b) in same {
            assert!(node(a).same(&node(b)), "{a} {b}");
            assert_eq!(canonical(a), canonical(b), "{a} {b}");
        }
        for (a, b) in different {
            assert!(!node(a).same(&node(b)), "{a} {b}");
            assert_ne!(canonical(a), canonical(b), "{a} {b}");
        }
    }

    #[test]
    fn texts_order_by_code_point_where_utf_16_would_not() {
        assert_eq!(node("\"\u{ff5e}\"").order(&node("\"\u{10000}\"")), Some(Ordering::Less));
        assert_eq!(node("1").order(&node("\"1\"")), None);
        assert_eq!(node("true").order(&node("false")), None);
    }
}
