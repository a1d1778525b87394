//! Documents that show a break: found by the prover or by trying, taken only if the real validator says so.

use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use serde_json::{Map, Value, json};

/// So many changed documents are tried where the prover's own examples show nothing.
const TRIED_MAX: usize = 3_000;
/// What is not declared is taken out of a document in so many rounds at most.
const LEVELS_MAX: usize = 8;
/// A document is made simpler in so many steps at most.
const SHRUNK_MAX: usize = 400;

/// What decides.
pub(super) struct Judges {
    /// All must accept.
    pub(super) narrow: Vec<Validator>,
    /// Of each one must refuse.
    pub(super) wide: Vec<Vec<Validator>>,
    /// What is left of a document by these, without what they do not declare, must not break in the same way.
    pub(super) excusing: Vec<Validator>,
}

impl Judges {
    /// Whether a document is one of the narrow schema and none of the wide one, without an excuse.
    pub(super) fn breaks(&self, document: &Value) -> bool {
        self.is_narrow(document) && self.wide.iter().all(|wide| refuse(wide, document)) && !self.is_excused(document)
    }

    fn is_narrow(&self, document: &Value) -> bool {
        !refuse(&self.narrow, document)
    }

    fn is_excused(&self, document: &Value) -> bool {
        let (Some(excusing), Some(wide)) = (self.excusing.first(), self.wide.first()) else { return false };
        let left = without_undeclared(excusing, document.clone());
        !refuse(&self.excusing, &left) && refuse(wide, &left)
    }

    /// A document that breaks, from examples that may.
    pub(super) fn find(&self, examples: Vec<Value>, of_narrow: Vec<Value>) -> Option<Value> {
        let found = examples.iter().find(|example| self.breaks(example)).cloned();
        let found = found.or_else(|| self.try_around(examples.into_iter().chain(of_narrow).collect()))?;
        Some(self.shrink(found))
    }

    /// Looks at documents, and at what they become by small changes.
    fn try_around(&self, seeds: Vec<Value>) -> Option<Value> {
        let seeds = seeds.into_iter().chain(few_of_each_kind());
        let mut tried = 0;
        let mut next: Vec<Value> = Vec::new();
        for seed in seeds {
            if self.breaks(&seed) {
                return Some(seed);
            }
            for changed in changes(&seed) {
                tried += 1;
                if self.breaks(&changed) {
                    return Some(changed);
                }
                if tried >= TRIED_MAX {
                    return None;
                }
                if next.len() < 50 && self.is_narrow(&changed) {
                    next.push(changed);
                }
            }
        }
        next.iter().flat_map(changes).take(TRIED_MAX).find(|changed| self.breaks(changed))
    }

    /// Takes away what a document does not need in order to break.
    fn shrink(&self, mut document: Value) -> Value {
        let mut steps = 0;
        while let Some(simpler) = simplifications(&document).into_iter().find(|simpler| {
            steps += 1;
            steps <= SHRUNK_MAX && self.breaks(simpler)
        }) {
            document = simpler;
        }
        document
    }
}

fn refuse(validators: &[Validator], document: &Value) -> bool {
    validators.iter().any(|validator| !validator.is_valid(document))
}

/// Takes away the members that a schema refuses because it does not declare them.
fn without_undeclared(validator: &Validator, mut document: Value) -> Value {
    for _ in 0..LEVELS_MAX {
        let undeclared: Vec<(String, Vec<String>)> = validator
            .iter_errors(&document)
            .filter_map(|error| match error.kind() {
                ValidationErrorKind::AdditionalProperties { unexpected }
                | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
                    Some((error.instance_path().as_str().to_owned(), unexpected.clone()))
                }
                _ => None,
            })
            .collect();
        if undeclared.is_empty() {
            break;
        }
        for (at, names) in undeclared {
            if let Some(Value::Object(members)) = document.pointer_mut(&at) {
                members.retain(|name, _| !names.contains(name));
            }
        }
    }
    document
}

fn few_of_each_kind() -> Vec<Value> {
    vec![json!({}), json!(""), json!("a"), json!(0), json!(1.5), json!(-1), json!([]), json!(true), Value::Null]
}

/// Documents that differ from this one in one place.
fn changes(document: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    match document {
        Value::Object(members) => {
            for (name, value) in members {
                all.push(without(members, name));
                all.extend(changes(value).into_iter().take(40).map(|changed| with(members, name, changed)));
            }
            for extra in ["x", "extra"] {
                all.extend(few_of_each_kind().into_iter().map(|value| with(members, extra, value)));
            }
        }
        Value::Array(items) => {
            for index in 0..items.len().min(8) {
                let mut fewer = items.clone();
                let item = fewer.remove(index);
                all.push(Value::Array(fewer));
                all.extend(changes(&item).into_iter().take(20).map(|changed| {
                    let mut other = items.clone();
                    other[index] = changed;
                    Value::Array(other)
                }));
            }
            let more = items.first().cloned().into_iter().chain(few_of_each_kind());
            all.extend(more.map(|extra| Value::Array(items.iter().cloned().chain([extra]).collect())));
        }
        Value::Number(number) => {
            if let Some(double) = number.as_f64() {
                all.extend([1.0, -1.0, 0.5, -0.5, 0.001].map(|by| Value::from(double + by)));
            }
            if let Some(whole) = number.as_i64() {
                all.extend([1, -1, 2, 10, 100].map(|by| Value::from(whole.saturating_add(by))));
            }
        }
        Value::String(text) => {
            all.extend(["a", "A", "0", " ", "é"].map(|more| json!(format!("{text}{more}"))));
            let mut shorter = text.clone();
            if shorter.pop().is_some() {
                all.push(json!(shorter));
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
    all.extend(few_of_each_kind());
    all
}

/// Documents that are simpler than this one in one place.
fn simplifications(document: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    match document {
        Value::Object(members) => {
            all.extend(members.keys().map(|name| without(members, name)));
            for (name, value) in members {
                all.extend(simplifications(value).into_iter().map(|simpler| with(members, name, simpler)));
            }
        }
        Value::Array(items) => {
            for index in 0..items.len().min(20) {
                let mut fewer = items.clone();
                fewer.remove(index);
                all.push(Value::Array(fewer));
            }
            for (index, item) in items.iter().enumerate().take(20) {
                all.extend(simplifications(item).into_iter().map(|simpler| {
                    let mut other = items.clone();
                    other[index] = simpler;
                    Value::Array(other)
                }));
            }
        }
        Value::String(text) if text.chars().count() > 40 => {
            all.push(json!(text.chars().take(text.chars().count() / 2).collect::<String>()));
        }
        _ => {}
    }
    all
}

fn without(members: &Map<String, Value>, name: &str) -> Value {
    Value::Object(members.iter().filter(|(own, _)| *own != name).map(|(n, v)| (n.clone(), v.clone())).collect())
}

fn with(members: &Map<String, Value>, name: &str, value: Value) -> Value {
    let mut members = members.clone();
    members.insert(name.to_owned(), value);
    Value::Object(members)
}
