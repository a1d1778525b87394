//! What differs between two trees, place by place: a definition before and after, say.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::pointer::escape;

/// One place at which two trees differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Where, an RFC 6901 pointer. An element of a list whose elements have names is called by its name; a list in which
    /// order means nothing is told of as a whole, with what came and what went.
    pub path: String,
    /// What was there; none where something came.
    pub before: Option<Value>,
    /// What is there now; none where something went.
    pub after: Option<Value>,
}

/// Members whose lists have no order.
const UNORDERED: &[&str] = &["required", "enum", "type", "values", "of", "initial", "moves"];

/// Compares two trees. Nothing where they are equal.
#[must_use]
pub fn diff(before: &Value, after: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", before, after, false, &mut found);
    found
}

fn compare(path: &str, before: &Value, after: &Value, unordered: bool, found: &mut Vec<Difference>) {
    match (before, after) {
        _ if before == after => {}
        (Value::Object(old), Value::Object(new)) => members(path, old, new, unordered, found),
        (Value::Array(old), Value::Array(new)) => match (named(old), named(new)) {
            (Some(old), Some(new)) => members(path, &old, &new, false, found),
            _ if unordered && old.iter().chain(new).all(is_scalar) => sets(path, old, new, found),
            _ => items(path, old, new, found),
        },
        _ => found.push(Difference { path: path.to_owned(), before: Some(before.clone()), after: Some(after.clone()) }),
    }
}

fn members(
    path: &str,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    unordered: bool,
    found: &mut Vec<Difference>,
) {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for name in names {
        let here = format!("{path}/{}", escape(name));
        match (old.get(name), new.get(name)) {
            // What holds the moves of states holds lists without order itself.
            (Some(a), Some(b)) => compare(&here, a, b, unordered || UNORDERED.contains(&name.as_str()), found),
            (before, after) => found.push(Difference { path: here, before: before.cloned(), after: after.cloned() }),
        }
    }
}

fn items(path: &str, old: &[Value], new: &[Value], found: &mut Vec<Difference>) {
    for index in 0..old.len().max(new.len()) {
        let here = format!("{path}/{index}");
        match (old.get(index), new.get(index)) {
            (Some(a), Some(b)) => compare(&here, a, b, false, found),
            (before, after) => found.push(Difference { path: here, before: before.cloned(), after: after.cloned() }),
        }
    }
}

fn sets(path: &str, old: &[Value], new: &[Value], found: &mut Vec<Difference>) {
    let add = |before: Option<&Value>, after: Option<&Value>| Difference {
        path: path.to_owned(),
        before: before.cloned(),
        after: after.cloned(),
    };
    found.extend(old.iter().filter(|value| !new.contains(value)).map(|gone| add(Some(gone), None)));
    found.extend(new.iter().filter(|value| !old.contains(value)).map(|come| add(None, Some(come))));
}

fn is_scalar(value: &Value) -> bool {
    !value.is_object() && !value.is_array()
}

/// The elements of a list by their names, if each has one of its own.
fn named(items: &[Value]) -> Option<Map<String, Value>> {
    let mut all = Map::new();
    for item in items {
        let name = item.get("name")?.as_str()?.to_owned();
        if all.insert(name, item.clone()).is_some() {
            return None;
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn trees_differ_place_by_place() {
        let before = json!({
            "owner": "a", "schema": {"required": ["x", "y"], "properties": {"x": {"type": "string"}, "y": {}}},
            "rules": [{"name": "r", "check": "1"}, {"name": "s", "check": "2"}], "steps": [{"a": 1}, {"b": 2}],
        });
        let after = json!({
            "schema": {"required": ["z", "x"], "properties": {"x": {"type": "integer"}, "z": {}}},
            "rules": [{"name": "s", "check": "3"}], "steps": [{"a": 1}], "new": 1,
        });
        let shown: Vec<String> = diff(&before, &after)
            .into_iter()
            .map(|d| {
                let show = |value: Option<Value>| value.map_or("-".to_owned(), |value| value.to_string());
                format!("{} {} {}", d.path, show(d.before), show(d.after))
            })
            .collect();
        assert_eq!(
            shown,
            [
                "/new - 1",
                "/owner \"a\" -",
                "/rules/r {\"check\":\"1\",\"name\":\"r\"} -",
                "/rules/s/check \"2\" \"3\"",
                "/schema/properties/x/type \"string\" \"integer\"",
                "/schema/properties/y {} -",
                "/schema/properties/z - {}",
                "/schema/required \"y\" -",
                "/schema/required - \"z\"",
                "/steps/1 {\"b\":2} -",
            ]
        );
        assert_eq!(diff(&before, &before), []);
    }
}
