//! What a schema is made of: its draft, its bounds, its references, patterns and formats.

use std::collections::{HashMap, HashSet};

use jsonschema::Draft;
use serde_json::{Map, Value};

use super::cost::Patterns;
use super::pattern::Costs;
use super::{error_at, options};
use crate::limits::{SCHEMA_DEPTH_MAX, SCHEMA_NODES_MAX};
use crate::pointer::escape;
use crate::report::{Finding, Severity};

/// Where a keyword holds schemas.
enum Holds {
    /// It is a schema.
    One,
    /// It is an array of schemas.
    Many,
    /// It is an object whose members are schemas.
    Named,
    /// It is a schema or an array of them.
    OneOrMany,
    /// It is an object whose members are schemas or arrays of names.
    NamedOrNames,
}

fn holds(keyword: &str) -> Option<Holds> {
    Some(match keyword {
        "not"
        | "if"
        | "then"
        | "else"
        | "additionalItems"
        | "contains"
        | "additionalProperties"
        | "unevaluatedItems"
        | "unevaluatedProperties"
        | "propertyNames"
        | "contentSchema" => Holds::One,
        "allOf" | "anyOf" | "oneOf" | "prefixItems" => Holds::Many,
        "properties" | "patternProperties" | "dependentSchemas" | "$defs" | "definitions" => Holds::Named,
        "items" => Holds::OneOrMany,
        "dependencies" => Holds::NamedOrNames,
        _ => return None,
    })
}

/// Calls `visit` with every schema within a schema, itself the first, and its path. Only as deep as `depth_max`.
pub(super) fn walk<'s>(schema: &'s Value, path: &str, depth_max: usize, visit: &mut dyn FnMut(&'s Value, &str)) {
    visit(schema, path);
    let Value::Object(members) = schema else { return };
    if depth_max == 0 {
        return;
    }
    for (keyword, value) in members {
        let Some(holds) = holds(keyword) else { continue };
        let at = format!("{path}/{}", escape(keyword));
        let many = |items: &'s [Value], visit: &mut dyn FnMut(&'s Value, &str)| {
            for (index, item) in items.iter().enumerate() {
                walk(item, &format!("{at}/{index}"), depth_max - 1, visit);
            }
        };
        match (holds, value) {
            (Holds::One | Holds::OneOrMany, Value::Object(_) | Value::Bool(_)) => {
                walk(value, &at, depth_max - 1, visit);
            }
            (Holds::Many | Holds::OneOrMany, Value::Array(items)) => many(items, visit),
            (Holds::Named | Holds::NamedOrNames, Value::Object(named)) => {
                for (name, value) in named.iter().filter(|(_, value)| !value.is_array()) {
                    walk(value, &format!("{at}/{}", escape(name)), depth_max - 1, visit);
                }
            }
            _ => {}
        }
    }
}

/// Finds the draft that a schema is written in.
pub(super) fn draft(schema: &Value) -> Result<Draft, Vec<Finding>> {
    let Value::Object(members) = schema else {
        return Err(vec![error_at(
            "/schema".to_owned(),
            "schema_not_object",
            "must be an object that describes `data`".to_owned(),
        )]);
    };
    match members.get("$schema") {
        None => Ok(Draft::Draft202012),
        Some(uri) => known_draft(uri).ok_or_else(|| {
            let message = "must be https://json-schema.org/draft/2020-12/schema or \
                           http://json-schema.org/draft-07/schema#";
            vec![error_at("/schema/$schema".to_owned(), "schema_draft_unknown", message.to_owned())]
        }),
    }
}

fn known_draft(uri: &Value) -> Option<Draft> {
    let uri = uri.as_str()?.trim_end_matches('#');
    let name = uri.strip_prefix("https://").or_else(|| uri.strip_prefix("http://"))?;
    match name {
        "json-schema.org/draft/2020-12/schema" => Some(Draft::Draft202012),
        "json-schema.org/draft-07/schema" => Some(Draft::Draft7),
        _ => None,
    }
}

/// Refuses what is nested too deeply or holds too many values, before anything else walks over it.
pub(super) fn check_bounds(schema: &Value) -> Result<(), Vec<Finding>> {
    let mut values = 0;
    // On the heap: whoever reads a source bounds its depth, but this must not rely on it.
    let mut left = vec![(schema, 1)];
    while let Some((value, depth)) = left.pop() {
        values += 1;
        if depth > SCHEMA_DEPTH_MAX {
            let message = format!("is nested more than {SCHEMA_DEPTH_MAX} levels deep");
            return Err(vec![error_at("/schema".to_owned(), "schema_too_deep", message)]);
        }
        if values > SCHEMA_NODES_MAX * 4 {
            return Err(vec![too_large()]);
        }
        match value {
            Value::Object(members) => left.extend(members.values().map(|value| (value, depth + 1))),
            Value::Array(items) => left.extend(items.iter().map(|value| (value, depth + 1))),
            _ => {}
        }
    }
    let mut schemas = 0;
    walk(schema, "", SCHEMA_DEPTH_MAX, &mut |_, _| schemas += 1);
    if schemas > SCHEMA_NODES_MAX { Err(vec![too_large()]) } else { Ok(()) }
}

fn too_large() -> Finding {
    error_at("/schema".to_owned(), "schema_too_large", format!("holds more than {SCHEMA_NODES_MAX} schemas"))
}

/// Checks references, patterns, and what stands where it has no meaning. Returns what is no mistake, and what the
/// patterns cost.
pub(super) fn check(schema: &Value, draft: Draft) -> Result<(Vec<Finding>, Patterns), Vec<Finding>> {
    let mut ids = HashSet::new();
    walk(schema, "", SCHEMA_DEPTH_MAX, &mut |value, _| {
        if let Some(id) = value.get("$id").and_then(Value::as_str) {
            ids.insert(id.trim_end_matches('#'));
        }
    });
    let mut found = Found {
        root: schema,
        draft,
        ids,
        errors: Vec::new(),
        remarks: Vec::new(),
        costs: Costs::new(draft),
        patterns: HashMap::new(),
    };
    walk(schema, "/schema", SCHEMA_DEPTH_MAX, &mut |value, path| {
        if let Value::Object(members) = value {
            found.look(members, path);
        }
    });
    if !found.errors.is_empty() {
        return Err(found.errors);
    }
    let slowest = found.patterns.into_values().flatten().max().unwrap_or_default();
    Ok((found.remarks, Patterns(slowest)))
}

struct Found<'s> {
    root: &'s Value,
    draft: Draft,
    /// Every `$id` in the schema.
    ids: HashSet<&'s str>,
    errors: Vec<Finding>,
    remarks: Vec<Finding>,
    costs: Costs,
    /// What every pattern costs; none of those that are not taken.
    patterns: HashMap<String, Option<u64>>,
}

impl Found<'_> {
    fn look(&mut self, members: &Map<String, Value>, path: &str) {
        let error = |code, keyword: &str, message: &str| {
            error_at(format!("{path}/{}", escape(keyword)), code, message.to_owned())
        };
        if members.contains_key("$vocabulary") {
            self.errors.push(error("schema_vocabulary", "$vocabulary", "vocabularies of one's own are not known here"));
        }
        if path != "/schema"
            && let Some(uri) = members.get("$schema")
            && known_draft(uri) != Some(self.draft)
        {
            self.errors.push(error("schema_draft_unknown", "$schema", "must be the draft of the whole schema"));
        }
        for keyword in ["$ref", "$dynamicRef"] {
            if let Some(Value::String(to)) = members.get(keyword) {
                self.reference(to, &format!("{path}/{keyword}"));
            }
        }
        if let Some(Value::String(pattern)) = members.get("pattern") {
            self.pattern(pattern, format!("{path}/pattern"));
        }
        if let Some(Value::Object(patterns)) = members.get("patternProperties") {
            for pattern in patterns.keys() {
                self.pattern(pattern, format!("{path}/patternProperties/{}", escape(pattern)));
            }
        }
        if let Some(Value::String(format)) = members.get("format")
            && !options::<crate::document::Borrowed>(self.draft).is_known_format(self.draft, format)
        {
            self.remark(
                format!("{path}/format"),
                "schema_format_unknown",
                format!("the format '{format}' is not known, so it is not checked"),
            );
        }
        if let Some(Value::Object(properties)) = members.get("properties") {
            for required in members.get("required").and_then(Value::as_array).into_iter().flatten() {
                if let Some(name) = required.as_str()
                    && properties.get(name) == Some(&Value::Bool(false))
                {
                    self.errors.push(error_at(
                        format!("{path}/required"),
                        "schema_contradicts",
                        format!("'{name}' is required and forbidden, so nothing is valid"),
                    ));
                }
            }
        }
    }

    fn remark(&mut self, path: String, code: &'static str, message: String) {
        self.remarks.push(Finding { severity: Severity::Warning, ..error_at(path, code, message) });
    }

    fn reference(&mut self, to: &str, path: &str) {
        let (base, fragment) = to.split_once('#').unwrap_or((to, ""));
        if base.is_empty() {
            // A plain name is an anchor, which the compiler looks for; a pointer is followed here, so that the finding
            // stands where the mistake is. Schemas with an `$id` have pointers of their own.
            let pointer = fragment.is_empty() || fragment.starts_with('/');
            let decoded = percent_decode(fragment);
            if pointer && self.ids.is_empty() && self.root.pointer(&decoded).is_none() {
                self.errors.push(error_at(
                    path.to_owned(),
                    "schema_ref_unresolved",
                    format!("there is nothing at '{to}'"),
                ));
            }
            return;
        }
        let known = self.ids.iter().any(|id| *id == base || id.rsplit('/').next() == Some(base));
        if !known {
            self.errors.push(error_at(
                path.to_owned(),
                "schema_ref_remote",
                "must lead to a place in this schema, like '#/$defs/money': nothing is fetched".to_owned(),
            ));
        }
    }

    fn pattern(&mut self, pattern: &str, path: String) {
        let cost = *self.patterns.entry(pattern.to_owned()).or_insert_with(|| self.costs.of(pattern));
        if cost.is_none() {
            self.errors.push(error_at(
                path,
                "schema_pattern",
                "is not a regular expression that runs in linear time: look-around and back-references are not known, \
                 and what counts characters of large classes is too large: `maxLength` counts as well"
                    .to_owned(),
            ));
        }
    }
}

/// A fragment of a reference with its percent escapes resolved.
pub(crate) fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes().iter();
    while let Some(&byte) = rest.next() {
        let pair: Option<[u8; 2]> = (byte == b'%').then(|| rest.as_slice().first_chunk().copied()).flatten();
        let decoded = pair.and_then(|pair| u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok());
        match decoded {
            Some(decoded) => {
                bytes.push(decoded);
                rest.nth(1);
            }
            None => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
