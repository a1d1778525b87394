//! Reads sets and policies.

use std::collections::HashSet;

use serde_json::Value;
use tidings_event::{EventType, TenantId};

use super::reader::{At, Reader};
use super::tree::Shape;
use crate::entry::{Mode, Policy, Set};
use crate::limits::SET_VALUES_MAX;

/// Characters of a set's description and of its values.
const TEXT_CHARS_MAX: usize = 255;

pub(super) fn set(at: &At<'_>, reader: &mut Reader) -> Option<Set> {
    let object = reader.object(at, &["name", "description", "values"])?;
    let name = object.need("name", reader).and_then(|at| reader.snake(&at));
    let description = object.get("description").and_then(|at| reader.text(&at, 4 * TEXT_CHARS_MAX));
    let values = object.need("values", reader).map(|at| values(&at, reader));
    Some(Set { name: name?, description: description.unwrap_or_default().to_owned(), values: values? })
}

fn values(at: &At<'_>, reader: &mut Reader) -> Vec<Value> {
    let mut seen = HashSet::new();
    let mut values = Vec::new();
    for at in reader.items(at, SET_VALUES_MAX) {
        let value = match &at.node.shape {
            Shape::Text(text) if text.chars().count() > TEXT_CHARS_MAX => {
                reader.wrong("text_too_long", &at, format!("a value has at most {TEXT_CHARS_MAX} characters"));
                continue;
            }
            Shape::Text(_) | Shape::Number(_) => at.node.value(),
            Shape::Bool(_) => {
                reader.wrong("member_wrong_type", &at, "values are strings or numbers: quote it");
                continue;
            }
            _ => {
                let message = format!("values are strings or numbers, and this is {}", at.node.kind());
                reader.wrong("member_wrong_type", &at, message);
                continue;
            }
        };
        if seen.insert(value.to_string()) {
            values.push(value);
        } else {
            reader.wrong("name_taken", &at, format!("the value {value} stands here for the second time"));
        }
    }
    values
}

pub(super) fn policy(at: &At<'_>, reader: &mut Reader) -> Option<Policy> {
    let object = reader.object(at, &["name", "tenant", "types", "known", "unknown"])?;
    let modes: Vec<&str> = Mode::ALL.iter().map(|mode| mode.as_str()).collect();
    let name = object.need("name", reader).and_then(|at| reader.snake(&at));
    let tenant = object.get("tenant").and_then(|at| reader.parsed(&at, str::parse::<TenantId>));
    let types = object.get("types").and_then(|at| reader.parsed(&at, pattern));
    let known = object.get("known").and_then(|at| reader.word(&at, &modes, Mode::parse));
    let unknown = object.get("unknown").and_then(|at| reader.word(&at, &modes, Mode::parse));
    if object.get("known").is_none() && object.get("unknown").is_none() {
        let message = "must say what becomes of known types, of unknown ones, or of both";
        reader.wrong("member_missing", object.at(), message);
    }
    Some(Policy { name: name?, tenant: tenant.map(|tenant| tenant.to_string()), types, known, unknown })
}

/// A type, or segments of types and `.*`.
fn pattern(text: &str) -> Result<String, &'static str> {
    const SHAPE: &str = "must be a type like sales.lead.created, or a prefix like sales.*";
    // A prefix of one segment is made a type by a second one.
    let fits = match text.strip_suffix(".*") {
        Some(prefix) => EventType::parse(format!("{prefix}.x")).is_ok() || EventType::parse(prefix).is_ok(),
        None => EventType::parse(text).is_ok(),
    };
    if fits { Ok(text.to_owned()) } else { Err(SHAPE) }
}
