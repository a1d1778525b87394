//! Members that a schema demands without describing them.

use serde_json::{Map, Value};

use crate::limits::SCHEMA_DEPTH_MAX;
use crate::pointer::escape;
use crate::report::{Finding, Severity, Subject};
use crate::schema::bounded;

/// What besides its `properties` says which members an object has; beside these, a name may be described elsewhere.
const ELSEWHERE: [&str; 9] = [
    "$ref",
    "$dynamicRef",
    "allOf",
    "anyOf",
    "oneOf",
    "if",
    "patternProperties",
    "additionalProperties",
    "unevaluatedProperties",
];

/// Warns of names that are `required` and not among the `properties`: mostly a name was mistyped, or the description
/// of a member was forgotten, so that producers may write anything there.
pub(super) fn examine(schema: &Value, findings: &mut Vec<Finding>) {
    look(schema, "/schema", SCHEMA_DEPTH_MAX, findings);
}

/// Looks at a schema that describes a part of the document by itself, and at those below it.
fn look(schema: &Value, path: &str, depth_max: usize, findings: &mut Vec<Finding>) {
    let Value::Object(members) = schema else { return };
    if depth_max == 0 {
        return;
    }
    if !ELSEWHERE.iter().any(|keyword| members.contains_key(*keyword)) {
        undescribed(members, path, findings);
    }
    for (keyword, value) in members {
        let at = format!("{path}/{}", escape(keyword));
        match (keyword.as_str(), value) {
            ("properties" | "$defs" | "definitions", Value::Object(named)) => {
                for (name, inner) in named {
                    look(inner, &format!("{at}/{}", escape(name)), depth_max - 1, findings);
                }
            }
            ("items" | "prefixItems", Value::Array(items)) => {
                for (index, inner) in items.iter().enumerate() {
                    look(inner, &format!("{at}/{index}"), depth_max - 1, findings);
                }
            }
            ("items" | "additionalProperties", inner) => look(inner, &at, depth_max - 1, findings),
            _ => {}
        }
    }
}

fn undescribed(members: &Map<String, Value>, path: &str, findings: &mut Vec<Finding>) {
    let Some(Value::Object(properties)) = members.get("properties") else { return };
    let required = members.get("required").and_then(Value::as_array).into_iter().flatten();
    for (index, name) in required.enumerate() {
        let Some(name) = name.as_str().filter(|name| !properties.contains_key(*name)) else { continue };
        let message = format!("'{name}' is required, but `properties` does not describe it: anything may stand there");
        let at = format!("{path}/required/{index}");
        findings.push(Finding::new(Severity::Warning, Subject::Schema, "required_undescribed", at, bounded(message)));
    }
}
