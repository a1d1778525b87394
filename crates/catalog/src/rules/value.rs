//! What an expression calculates with.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::ops::Deref;
use std::rc::Rc;

use super::{Failure, Steps};
use crate::document::{Document, EXACT_BELOW, Number};
use crate::entry::Set;

/// A value. Lists and objects of the event's data are looked at where they are.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Text<'a>),
    /// A list or an object of the data.
    Data(&'a Document<'a>),
    /// A list that was made.
    List(Rc<Vec<Value<'a>>>),
    /// A map that was made; its keys are texts.
    Map(Rc<Vec<(Text<'a>, Value<'a>)>>),
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
    /// Microseconds.
    Duration(i64),
}

/// A text: where it stands in the data, the envelope or the expression, or made and shared, so that a value is copied
/// in the same time whatever it holds.
#[derive(Debug, Clone)]
pub(super) enum Text<'a> {
    There(&'a str),
    Made(Rc<str>),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::There(text) => text,
            Self::Made(text) => text,
        }
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self::There(text)
    }
}

impl<'a> Text<'a> {
    /// What lies between two bytes; nothing if they part a character.
    pub(super) fn part(&self, from: usize, to: usize) -> Self {
        match self {
            Self::There(text) => Self::There(text.get(from..to).unwrap_or_default()),
            Self::Made(text) => Self::Made(text.get(from..to).unwrap_or_default().into()),
        }
    }
}

impl<'a> Value<'a> {
    pub(super) fn of(document: &'a Document<'a>) -> Self {
        match document {
            Document::Null => Self::Null,
            Document::Bool(bool) => Self::Bool(*bool),
            Document::Number(number) => Self::Number(*number),
            Document::Text(text) => Self::Text(Text::There(text)),
            Document::List(_) | Document::Map(_) => Self::Data(document),
        }
    }

    pub(super) fn int(int: i64) -> Self {
        Self::Number(Number::Int(int))
    }

    pub(super) fn size(size: usize) -> Self {
        Self::int(i64::try_from(size).unwrap_or(i64::MAX))
    }

    pub(super) fn list(items: Vec<Value<'a>>) -> Self {
        Self::List(Rc::new(items))
    }

    pub(super) fn text(text: String) -> Self {
        Self::Text(Text::Made(text.into()))
    }

    pub(super) fn is_object(&self) -> bool {
        matches!(self, Self::Data(Document::Map(_)) | Self::Map(_))
    }

    /// What it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::Data(Document::List(_)) | Self::List(_) => "a list",
            Self::Data(_) | Self::Map(_) => "an object",
            Self::Timestamp(_) => "a timestamp",
            Self::Duration(_) => "a duration",
        }
    }

    /// The value as JSON; none where there is no way to write it. The steps are spent before anything is copied: the same
    /// list may stand in a value many times, and stands in its JSON as often.
    pub(super) fn to_json(&self, steps: &Steps) -> Result<Option<serde_json::Value>, Failure> {
        steps.spend(JSON_STEPS)?;
        Ok(Some(match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(bool) => (*bool).into(),
            Self::Number(Number::Float(float)) if !float.is_finite() => return Ok(None),
            Self::Number(number) => Document::Number(*number).to_value(),
            Self::Text(text) => {
                steps.spend_bytes(text.len())?;
                (**text).into()
            }
            Self::Data(document) => {
                spend_copy(document, steps)?;
                document.to_value()
            }
            Self::List(items) => {
                let mut list = Vec::new();
                for item in items.iter() {
                    let Some(item) = item.to_json(steps)? else { return Ok(None) };
                    list.push(item);
                }
                serde_json::Value::Array(list)
            }
            Self::Map(members) => {
                let mut object = serde_json::Map::new();
                for (name, value) in members.iter() {
                    steps.spend_bytes(name.len())?;
                    let Some(value) = value.to_json(steps)? else { return Ok(None) };
                    object.insert(name.to_string(), value);
                }
                serde_json::Value::Object(object)
            }
            Self::Timestamp(micros) => tidings_event::Timestamp::from_micros(*micros).to_string().into(),
            Self::Duration(_) => return Ok(None),
        }))
    }
}

/// Steps that a value takes to become JSON, and to be dropped.
const JSON_STEPS: usize = 8;

/// Takes the steps for copying a part of the data.
fn spend_copy(document: &Document<'_>, steps: &Steps) -> Result<(), Failure> {
    steps.spend(JSON_STEPS)?;
    match document {
        Document::Text(text) => steps.spend_bytes(text.len()),
        Document::List(items) => items.iter().try_for_each(|item| spend_copy(item, steps)),
        Document::Map(members) => members.iter().try_for_each(|(name, value)| {
            steps.spend_bytes(name.len())?;
            spend_copy(value, steps)
        }),
        _ => Ok(()),
    }
}

/// Whole numbers as they are, everything else as a double; exact for every pair.
pub(super) fn compare(a: Number, b: Number) -> Option<Ordering> {
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        (Some(a), None) => compare_mixed(a, b.as_float()),
        (None, Some(b)) => compare_mixed(b, a.as_float()).map(Ordering::reverse),
        (None, None) => a.as_float().partial_cmp(&b.as_float()),
    }
}

pub(super) fn whole(number: Number) -> Option<i128> {
    match number {
        Number::Int(int) => Some(i128::from(int)),
        Number::Unsigned(unsigned) => Some(i128::from(unsigned)),
        Number::Float(_) => None,
    }
}

/// The whole number that a number is, however it is written: to JSON Schema 4.0 is an integer, so it is one here.
pub(super) fn integral(number: Number) -> Option<i128> {
    match number {
        Number::Float(float) if float.fract() == 0.0 && float.abs() < EXACT_BELOW => Some(float as i128),
        other => whole(other),
    }
}

/// A whole number of at most 64 bits against a double.
fn compare_mixed(whole: i128, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    // Beyond 2^65 the double decides alone; below, its whole part is exact as an i128.
    if float.abs() >= 36_893_488_147_419_103_232.0 {
        return Some(if float > 0.0 { Ordering::Less } else { Ordering::Greater });
    }
    let floor = float.floor();
    Some(whole.cmp(&(floor as i128)).then(if float > floor { Ordering::Less } else { Ordering::Equal }))
}

/// The values of a reference set, found by hash.
#[derive(Debug)]
pub(crate) struct SetValues {
    texts: HashSet<Box<str>>,
    numbers: HashSet<NumberKey>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum NumberKey {
    Whole(i128),
    Bits(u64),
}

impl NumberKey {
    fn of(number: Number) -> Self {
        match whole(number) {
            Some(whole) => Self::Whole(whole),
            None => {
                let float = number.as_float();
                let fits = float.fract() == 0.0 && float.abs() < 36_893_488_147_419_103_232.0;
                if fits { Self::Whole(float as i128) } else { Self::Bits(float.to_bits()) }
            }
        }
    }
}

impl SetValues {
    pub(crate) fn new(set: &Set) -> Self {
        let (mut texts, mut numbers) = (HashSet::new(), HashSet::new());
        for value in &set.values {
            match Document::of(value) {
                Document::Text(text) => {
                    texts.insert(text.into());
                }
                Document::Number(number) => {
                    numbers.insert(NumberKey::of(number));
                }
                _ => {}
            }
        }
        Self { texts, numbers }
    }

    pub(super) fn len(&self) -> usize {
        self.texts.len() + self.numbers.len()
    }

    pub(super) fn contains(&self, value: &Value<'_>, steps: &Steps) -> Result<bool, Failure> {
        Ok(match value {
            Value::Text(text) => {
                // It is hashed, eight bytes a step.
                steps.spend(2 + text.len() / 8)?;
                self.texts.contains(&**text)
            }
            Value::Number(number) => {
                steps.spend(2)?;
                self.numbers.contains(&NumberKey::of(*number))
            }
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_exactly_whatever_they_are() {
        use Number::{Float, Int, Unsigned};
        let rows = [
            (Int(1), Float(1.0), Ordering::Equal),
            (Int(1), Float(1.5), Ordering::Less),
            (Int(-1), Float(-1.5), Ordering::Greater),
            (Int(9_007_199_254_740_993), Float(9_007_199_254_740_992.0), Ordering::Greater),
            (Unsigned(u64::MAX), Float(18_446_744_073_709_551_616.0), Ordering::Less),
            (Unsigned(u64::MAX), Int(-1), Ordering::Greater),
            (Int(i64::MAX), Float(1e300), Ordering::Less),
            (Int(i64::MIN), Float(-1e300), Ordering::Greater),
        ];
        for (a, b, expected) in rows {
            assert_eq!(compare(a, b), Some(expected), "{a:?} {b:?}");
            assert_eq!(compare(b, a), Some(expected.reverse()), "{b:?} {a:?}");
        }
    }

    #[test]
    fn a_set_holds_texts_and_numbers_by_what_they_mean() {
        let set = Set {
            name: "s".to_owned(),
            description: String::new(),
            values: vec!["EUR".into(), 1.into(), 2.0.into(), 2.5.into()],
        };
        let values = SetValues::new(&set);
        assert_eq!(values.len(), 4);
        let rows = [
            (Value::Text("EUR".into()), true),
            (Value::Text("eur".into()), false),
            (Value::Text("1".into()), false),
            (Value::Number(Number::Float(1.0)), true),
            (Value::int(2), true),
            (Value::Number(Number::Float(2.5)), true),
            (Value::Null, false),
        ];
        for (value, expected) in rows {
            assert_eq!(values.contains(&value, &Steps::for_one_event()), Ok(expected), "{value:?}");
        }
    }
}
