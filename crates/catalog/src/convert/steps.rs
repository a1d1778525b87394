//! The steps of a conversion, done on a document.

use serde_json::{Map, Value};
use tidings_event::limits::DATA_BYTES_MAX;

use crate::definition::Step;
use crate::pointer::{WILDCARD, array_index};

/// How many bytes the steps of one conversion may still put in. Without a bound a step that sets a large value at every
/// element of a long list would fill the memory.
pub(super) struct Room(usize);

impl Room {
    pub(super) fn new() -> Self {
        Self(DATA_BYTES_MAX * 8)
    }

    fn take(&mut self, bytes: usize) -> Result<(), String> {
        self.0 = self.0.checked_sub(bytes).ok_or("it makes the data too large")?;
        Ok(())
    }
}

/// Does one step; `computed` is the value of its expression, if it has one.
pub(super) fn apply(step: &Step, computed: Option<Value>, data: &mut Value, room: &mut Room) -> Result<(), String> {
    match step {
        Step::Move { from, to } => match take(data, from.segments()) {
            Some(value) => put(data, to.segments(), value),
            None => Ok(()),
        },
        Step::Copy { from, to } => match from.get(data).cloned() {
            Some(value) => {
                room.take(size(&value))?;
                put(data, to.segments(), value)
            }
            None => Ok(()),
        },
        Step::Set { at, value } => {
            let size = size(value);
            each(data, at.segments(), true, &mut |place| {
                room.take(size)?;
                place.put(value.clone())
            })
        }
        Step::Default { at, value } => {
            let size = size(value);
            each(data, at.segments(), true, &mut |place| {
                if place.get().is_some() {
                    return Ok(());
                }
                room.take(size)?;
                place.put(value.clone())
            })
        }
        Step::Remove { at } => each(data, at.segments(), false, &mut |place| {
            place.take();
            Ok(())
        }),
        Step::Map { at, values, otherwise } => each(data, at.segments(), false, &mut |place| {
            let Some(Value::String(text)) = place.get() else { return Ok(()) };
            let Some(value) = values.get(text).or(otherwise.as_ref()) else { return Ok(()) };
            room.take(size(value))?;
            place.put(value.clone())
        }),
        Step::Compute { at, .. } => {
            let value = computed.unwrap_or(Value::Null);
            let size = size(&value);
            each(data, at.segments(), true, &mut |place| {
                room.take(size)?;
                place.put(value.clone())
            })
        }
    }
}

/// A member or element that is there, or could be.
struct Place<'v, 's> {
    holder: &'v mut Value,
    segment: &'s str,
}

impl Place<'_, '_> {
    fn get(&self) -> Option<&Value> {
        match &*self.holder {
            Value::Object(members) => members.get(self.segment),
            Value::Array(items) => items.get(array_index(self.segment)?),
            _ => None,
        }
    }

    fn put(&mut self, value: Value) -> Result<(), String> {
        match self.holder {
            Value::Object(members) => {
                members.insert(self.segment.to_owned(), value);
                Ok(())
            }
            Value::Array(items) => match array_index(self.segment) {
                Some(index) if index < items.len() => {
                    items[index] = value;
                    Ok(())
                }
                Some(index) if index == items.len() => {
                    items.push(value);
                    Ok(())
                }
                _ => Err(format!("a list has no place '{}'", self.segment)),
            },
            _ => Err(format!("'{}' cannot be put into what is neither an object nor a list", self.segment)),
        }
    }

    fn take(&mut self) -> Option<Value> {
        match self.holder {
            Value::Object(members) => members.remove(self.segment),
            Value::Array(items) => {
                let index = array_index(self.segment)?;
                (index < items.len()).then(|| items.remove(index))
            }
            _ => None,
        }
    }
}

/// Calls `change` for every place that the segments lead to, the last one first, so that removing one does not move
/// the next. With `make`, objects on the way are made where nothing is.
fn each(
    data: &mut Value,
    segments: &[String],
    make: bool,
    change: &mut dyn FnMut(&mut Place<'_, '_>) -> Result<(), String>,
) -> Result<(), String> {
    let Some((segment, rest)) = segments.split_first() else { return Err("names no place".to_owned()) };
    for name in names(data, segment) {
        let mut place = Place { holder: &mut *data, segment: &name };
        if rest.is_empty() {
            change(&mut place)?;
            continue;
        }
        if make && segment != WILDCARD && place.get().is_none() {
            // Behind a wildcard nothing is made: there may be nothing to make it in.
            if rest.iter().any(|segment| segment == WILDCARD) {
                continue;
            }
            place.put(Value::Object(Map::new()))?;
        }
        if let Some(next) = child(data, &name) {
            each(next, rest, make, change)?;
        }
    }
    Ok(())
}

/// The names that a segment stands for in a value.
fn names(value: &Value, segment: &str) -> Vec<String> {
    match value {
        _ if segment != WILDCARD => vec![segment.to_owned()],
        Value::Object(members) => members.keys().cloned().collect(),
        Value::Array(items) => (0..items.len()).rev().map(|index| index.to_string()).collect(),
        _ => Vec::new(),
    }
}

fn child<'v>(value: &'v mut Value, segment: &str) -> Option<&'v mut Value> {
    match value {
        Value::Object(members) => members.get_mut(segment),
        Value::Array(items) => items.get_mut(array_index(segment)?),
        _ => None,
    }
}

fn take(data: &mut Value, segments: &[String]) -> Option<Value> {
    let (last, way) = segments.split_last()?;
    let holder = way.iter().try_fold(data, |value, segment| child(value, segment))?;
    Place { holder, segment: last }.take()
}

fn put(data: &mut Value, segments: &[String], value: Value) -> Result<(), String> {
    let mut value = Some(value);
    each(data, segments, true, &mut |place| match value.take() {
        Some(value) => place.put(value),
        None => Ok(()),
    })
}

/// About how many bytes a value takes as text.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 4,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(|item| size(item) + 1).sum::<usize>() + 2,
        Value::Object(members) => members.iter().map(|(name, value)| name.len() + size(value) + 4).sum::<usize>() + 2,
    }
}
