//! What a schema says of a place in its documents.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::definition::Pointer;
use crate::pointer::{WILDCARD, array_index};
use crate::reach::{Reach, Segment, reach, reach_type};
use crate::schema::percent_decode;

/// References and `allOf` within each other that are followed.
const DEPTH_MAX: usize = 64;

/// Why nothing (nothing of these types, where some are given) can ever stand at a place; none if something can, or if
/// that cannot be told.
pub(super) fn impossible(schema: &Value, pointer: &Pointer, types: &[Value]) -> Option<String> {
    let mut why = None;
    for path in ways(pointer) {
        let found: Vec<Reach> = match types {
            [] => vec![reach(schema, &path, None)],
            types => types.iter().map(|like| reach_type(schema, &path, like)).collect(),
        };
        for found in found {
            match found {
                Reach::Impossible(reason) => {
                    why.get_or_insert(reason);
                }
                Reach::Possible | Reach::Unknown => return None,
            }
        }
    }
    why
}

/// The paths that a pointer may mean: a segment that is a number is an element of a list, or a member.
fn ways(pointer: &Pointer) -> Vec<Vec<Segment>> {
    let segment = |segment: &String, index: bool| match segment.as_str() {
        WILDCARD => Segment::Any,
        text => match array_index(text).and_then(|at| i64::try_from(at).ok()).filter(|_| index) {
            Some(at) => Segment::Index(at),
            None => Segment::Name(text.to_owned()),
        },
    };
    let way = |index| pointer.segments().iter().map(|text| segment(text, index)).collect::<Vec<_>>();
    let numbered = pointer.segments().iter().any(|text| array_index(text).is_some());
    if numbered { vec![way(true), way(false)] } else { vec![way(false)] }
}

/// The strings that can stand at a place, where the schema lists them.
pub(super) fn values(schema: &Value, pointer: &Pointer) -> Option<BTreeSet<String>> {
    let parts = parts_at(schema, pointer.segments())?;
    let mut found: Option<BTreeSet<String>> = None;
    for part in parts {
        let listed: Vec<&Value> = match (part.get("enum"), part.get("const")) {
            (Some(Value::Array(values)), _) => values.iter().collect(),
            (_, Some(value)) => vec![value],
            _ => continue,
        };
        let texts: BTreeSet<String> = listed.into_iter().filter_map(Value::as_str).map(str::to_owned).collect();
        found = Some(match found {
            Some(known) => known.intersection(&texts).cloned().collect(),
            None => texts,
        });
    }
    found
}

/// The first part of a pointer that a document may lack although the schema declares it; none where everything on the
/// way is required, or where that cannot be told.
pub(super) fn may_lack(schema: &Value, pointer: &Pointer) -> Option<Pointer> {
    let segments = pointer.segments();
    for (index, segment) in segments.iter().enumerate() {
        if segment == WILDCARD || array_index(segment).is_some() {
            continue;
        }
        let parts = parts_at(schema, segments.get(..index)?)?;
        let required = |part: &&Value| {
            let names = part.get("required").and_then(Value::as_array);
            names.is_some_and(|names| names.iter().any(|name| name == segment))
        };
        let declared = |part: &&Value| part.get("properties").and_then(|members| members.get(segment)).is_some();
        if !parts.iter().any(required) && parts.iter().any(declared) {
            return segments.get(..=index).map(Pointer::of);
        }
    }
    None
}

/// The schemas that all hold of a place: through members, elements, references and `allOf`. None where the way leads
/// through something that does not say.
fn parts_at<'s>(schema: &'s Value, segments: &[String]) -> Option<Vec<&'s Value>> {
    let mut parts = Vec::new();
    spread(schema, schema, 0, &mut parts);
    for segment in segments {
        let mut next = Vec::new();
        for part in parts {
            let below = match segment.as_str() {
                WILDCARD => part.get("items").or_else(|| part.get("additionalProperties")),
                name => part.get("properties").and_then(|members| members.get(name)),
            };
            if let Some(below) = below {
                spread(schema, below, 0, &mut next);
            }
        }
        if next.is_empty() {
            return None;
        }
        parts = next;
    }
    Some(parts)
}

fn spread<'s>(root: &'s Value, schema: &'s Value, depth: usize, parts: &mut Vec<&'s Value>) {
    if depth > DEPTH_MAX || parts.len() > DEPTH_MAX {
        return;
    }
    parts.push(schema);
    if let Some(pointer) = schema.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix('#'))
        && let Some(target) = root.pointer(&percent_decode(pointer))
    {
        spread(root, target, depth + 1, parts);
    }
    for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        spread(root, part, depth + 1, parts);
    }
}
