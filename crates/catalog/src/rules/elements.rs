//! Going over lists and objects without copying them.

use std::rc::Rc;
use std::slice;

use super::Failure;
use super::value::{Text, Value};
use crate::document::Document;

/// The elements of a list, or the keys of an object, one after the other.
pub(super) enum Elements<'a> {
    Items(slice::Iter<'a, Document<'a>>),
    Names(slice::Iter<'a, (std::borrow::Cow<'a, str>, Document<'a>)>),
    /// What was made, and how much of it was gone over.
    Made(Rc<Vec<Value<'a>>>, usize),
    Keys(Rc<Vec<(Text<'a>, Value<'a>)>>, usize),
}

/// The elements of a list, or the keys of an object.
pub(super) fn elements<'a>(of: &Value<'a>) -> Result<Elements<'a>, Failure> {
    match of {
        Value::Data(Document::List(items)) => Ok(Elements::Items(items.iter())),
        Value::Data(Document::Map(members)) => Ok(Elements::Names(members.iter())),
        Value::List(items) => Ok(Elements::Made(Rc::clone(items), 0)),
        Value::Map(members) => Ok(Elements::Keys(Rc::clone(members), 0)),
        other => Err(Failure::Type(format!("{} has no elements", other.kind()))),
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        match self {
            Self::Items(items) => items.next().map(Value::of),
            Self::Names(members) => members.next().map(|(name, _)| Value::Text(Text::There(name))),
            Self::Made(items, at) => {
                *at += 1;
                items.get(*at - 1).cloned()
            }
            Self::Keys(members, at) => {
                *at += 1;
                members.get(*at - 1).map(|(name, _)| Value::Text(name.clone()))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match self {
            Self::Items(items) => items.len(),
            Self::Names(members) => members.len(),
            Self::Made(items, at) => items.len().saturating_sub(*at),
            Self::Keys(members, at) => members.len().saturating_sub(*at),
        };
        (left, Some(left))
    }
}

impl ExactSizeIterator for Elements<'_> {}
