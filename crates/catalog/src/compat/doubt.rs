//! Proofs that rest on what nobody can have meant.
//!
//! A pattern that is not anchored and matches every string, alternatives that together let everything in, a schema that
//! no document fulfils: the letter of such a schema makes inclusions true that its author would be surprised by. They
//! are proved and still not answered as *compatible*, but as *unknown* with what looks like the mistake.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::document::join;
use super::read::Gap;
use super::{Proof, is_within};

/// What is doubtful about a proof that every document of the narrow schema is one of the wide schema.
pub(super) fn doubt(narrow: &Value, wide: &Value, proof: &Proof) -> Option<Gap> {
    if narrow == wide {
        return None;
    }
    if let Some(hidden) = &proof.hidden {
        return Some(hidden.clone());
    }
    if proof.narrow_is_empty && *narrow != Value::Bool(false) {
        return Some(gap("", "no document fulfils the narrower schema, so that it says nothing about any"));
    }
    if proof.wide_is_everything && !branches(wide).is_empty() && !go_together(narrow, wide) {
        return Some(gap("", "the alternatives of the wider schema let every document in, which is hardly meant"));
    }
    let (narrow, wide) = (Said::of(narrow), Said::of(wide));
    let changed = wide.conditions.iter().find(|(condition, _)| !narrow.conditions.contains_key(*condition));
    if let Some((_, at)) = changed.filter(|_| !narrow.conditions.is_empty()) {
        return Some(gap(
            at,
            "the condition was changed, and what it leads to may be meant otherwise than it is written",
        ));
    }
    let mut new = wide.patterns.iter().filter(|(pattern, _)| !narrow.patterns.contains_key(*pattern));
    new.find(|(pattern, _)| matches_everything(pattern)).map(|(pattern, at)| {
        let pattern: String = pattern.chars().take(80).collect();
        gap(at, &format!("the pattern {pattern} is not anchored and matches every string, which is hardly meant"))
    })
}

fn gap(path: &str, reason: &str) -> Gap {
    Gap { path: path.to_owned(), reason: reason.to_owned() }
}

/// The alternatives of a schema, each as the schema would be with this one alone.
fn branches(schema: &Value) -> Vec<Value> {
    let alternatives =
        |keyword: &str| schema.get(keyword).and_then(Value::as_array).map(|all| (keyword.to_owned(), all));
    let Some((keyword, all)) = alternatives("anyOf").or_else(|| alternatives("oneOf")) else { return Vec::new() };
    let with = |one: &Value| {
        let mut alone = schema.clone();
        alone[&keyword] = json!([one]);
        alone
    };
    all.iter().map(with).collect()
}

/// Whether each alternative of the one is within one of the other, so that the proof does not rest on their sum.
fn go_together(narrow: &Value, wide: &Value) -> bool {
    let wide = branches(wide);
    let narrow = branches(narrow);
    !narrow.is_empty() && narrow.iter().all(|narrow| wide.iter().any(|wide| is_within(narrow, wide)))
}

fn matches_everything(pattern: &str) -> bool {
    is_within(&json!({ "type": "string" }), &json!({ "pattern": pattern }))
}

/// What a schema says, with a place where it does.
#[derive(Default)]
struct Said {
    patterns: BTreeMap<String, String>,
    conditions: BTreeMap<String, String>,
}

impl Said {
    fn of(schema: &Value) -> Self {
        let mut said = Self::default();
        let mut todo = vec![(schema, String::new())];
        while let Some((value, at)) = todo.pop() {
            match value {
                Value::Array(items) => {
                    todo.extend(items.iter().enumerate().map(|(index, item)| (item, format!("{at}/{index}"))));
                }
                Value::Object(members) => {
                    if let Some(Value::String(pattern)) = members.get("pattern") {
                        said.patterns.insert(pattern.clone(), join(&at, "pattern"));
                    }
                    if let Some(condition) = members.get("if") {
                        said.conditions.insert(condition.to_string(), join(&at, "if"));
                    }
                    let is_data = |name: &str| matches!(name, "const" | "enum" | "default" | "examples");
                    let deeper = members.iter().filter(|(name, _)| !is_data(name));
                    todo.extend(deeper.map(|(name, member)| (member, join(&at, name))));
                }
                _ => {}
            }
        }
        said
    }
}
