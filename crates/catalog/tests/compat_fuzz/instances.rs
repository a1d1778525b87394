//! Random documents: some aimed at a schema, some at nothing.

use serde_json::{Map, Value, json};

use crate::Dice;

const STRINGS: [&str; 24] = [
    "s",
    "t",
    "",
    "a",
    "b",
    "aa",
    "ab",
    "ba",
    "bb",
    "abab",
    "aaaa",
    "0",
    "12",
    "a1",
    "x",
    "x1",
    "xy",
    "é",
    "€b",
    " ",
    "2024-02-29",
    "192.0.2.1",
    "a@example.com",
    "01234567-89ab-cdef-0123-456789abcdef",
];
const NAMES: [&str; 10] = ["tag", "a", "b", "c", "ab", "x1", "x", "zz", "12", ""];

/// A document that may be one of the narrow schema.
pub(crate) fn document(dice: &mut Dice, narrow: &Value, wide: &Value, attempt: u32) -> Value {
    let mut document = match attempt % 8 {
        0 => random(dice, 3),
        7 => directed(dice, wide, wide, 6),
        _ => directed(dice, narrow, narrow, 6),
    };
    if dice.one_in(4) {
        disturb(dice, &mut document);
    }
    document
}

pub(crate) fn random(dice: &mut Dice, depth: usize) -> Value {
    match dice.below(if depth == 0 { 5 } else { 8 }) {
        0 => Value::Null,
        1 => Value::Bool(dice.one_in(2)),
        2 | 3 => number(dice),
        4 => json!(*dice.pick(&STRINGS)),
        5 => Value::Array((0..dice.below(4)).map(|_| random(dice, depth - 1)).collect()),
        _ => (0..dice.below(4))
            .map(|_| ((*dice.pick(&NAMES)).to_owned(), random(dice, depth - 1)))
            .collect::<Map<_, _>>()
            .into(),
    }
}

fn number(dice: &mut Dice) -> Value {
    let numbers = [
        json!(-2),
        json!(-1),
        json!(-1.0),
        json!(-0.5),
        json!(0),
        json!(0.0),
        json!(0.1),
        json!(0.3),
        json!(0.5),
        json!(1),
        json!(1.0),
        json!(1.5),
        json!(2),
        json!(2.5),
        json!(3),
        json!(4),
        json!(5),
        json!(6),
        json!(12),
        json!(100_000_000_000_000_001i64),
        json!(99_999_999_999_999_999i64),
        json!(1e17),
        json!(1e300),
        json!(-1e300),
        json!(2.000001),
        json!(1.5e32),
        json!(9_007_199_254_740_992u64),
        json!(9_007_199_254_740_993u64),
    ];
    dice.pick(&numbers).clone()
}

fn disturb(dice: &mut Dice, document: &mut Value) {
    match document {
        Value::Object(members) if !dice.one_in(4) => {
            let names: Vec<String> = members.keys().cloned().collect();
            if names.is_empty() || dice.one_in(2) {
                members.insert((*dice.pick(&NAMES)).to_owned(), random(dice, 1));
            } else {
                let name = dice.pick(&names).clone();
                if dice.one_in(2) {
                    members.remove(&name);
                } else if let Some(value) = members.get_mut(&name) {
                    disturb(dice, value);
                }
            }
        }
        Value::Array(items) if !dice.one_in(4) => {
            if items.is_empty() || dice.one_in(2) {
                items.push(random(dice, 1));
            } else {
                let index = dice.below(items.len());
                disturb(dice, &mut items[index]);
            }
        }
        other => *other = random(dice, 1),
    }
}

/// A document that follows what a schema says, keyword by keyword, without knowing how keywords go together.
fn directed(dice: &mut Dice, root: &Value, schema: &Value, depth: usize) -> Value {
    let Value::Object(members) = schema else { return random(dice, 1) };
    if depth == 0 {
        return random(dice, 0);
    }
    if let Some(target) =
        members.get("$ref").and_then(Value::as_str).and_then(|reference| root.pointer(&reference[1..]))
    {
        return directed(dice, root, target, depth - 1);
    }
    if let Some(value) = members.get("const") {
        return value.clone();
    }
    if let Some(values) = members.get("enum").and_then(Value::as_array).filter(|values| !values.is_empty()) {
        return dice.pick(values).clone();
    }
    let mut parts = Vec::new();
    for keyword in ["allOf", "anyOf", "oneOf"] {
        if let Some(branches) = members.get(keyword).and_then(Value::as_array).filter(|branches| !branches.is_empty()) {
            parts.push(dice.pick(branches));
        }
    }
    parts.extend(
        ["if", "then", "else"].iter().filter_map(|keyword| members.get(*keyword)).filter(|part| part.is_object()),
    );
    let speaks = members.keys().any(|name| {
        !matches!(
            name.as_str(),
            "allOf" | "anyOf" | "oneOf" | "$defs" | "definitions" | "$schema" | "not" | "if" | "then" | "else"
        )
    });
    if parts.is_empty() || (speaks && dice.one_in(2)) {
        return own(dice, root, members, depth);
    }
    let part = *dice.pick(&parts);
    let mut document = directed(dice, root, part, depth - 1);
    // Objects of several parts are put together.
    for other in parts {
        if let (Value::Object(into), Value::Object(more)) = (&mut document, directed(dice, root, other, depth - 1)) {
            for (name, value) in more {
                into.entry(name).or_insert(value);
            }
        }
    }
    if let (true, Value::Object(into), Value::Object(more)) = (speaks, &mut document, own(dice, root, members, depth)) {
        for (name, value) in more {
            into.entry(name).or_insert(value);
        }
    }
    document
}

fn own(dice: &mut Dice, root: &Value, members: &Map<String, Value>, depth: usize) -> Value {
    let kind = match members.get("type") {
        Some(Value::String(kind)) => kind.clone(),
        Some(Value::Array(kinds)) if !kinds.is_empty() => dice.pick(kinds).as_str().unwrap_or("null").to_owned(),
        _ => {
            let has = |names: &[&str]| names.iter().any(|name| members.contains_key(*name));
            if has(&[
                "properties",
                "required",
                "additionalProperties",
                "patternProperties",
                "minProperties",
                "dependentSchemas",
            ]) {
                "object".to_owned()
            } else if has(&["items", "prefixItems", "contains", "minItems"]) {
                "array".to_owned()
            } else if has(&["pattern", "minLength", "format"]) {
                "string".to_owned()
            } else {
                return random(dice, 2);
            }
        }
    };
    match kind.as_str() {
        "object" => object(dice, root, members, depth),
        "array" => array(dice, root, members, depth),
        "string" => json!(*dice.pick(&STRINGS)),
        "number" | "integer" => number(dice),
        "boolean" => Value::Bool(dice.one_in(2)),
        _ => Value::Null,
    }
}

fn object(dice: &mut Dice, root: &Value, members: &Map<String, Value>, depth: usize) -> Value {
    let mut made = Map::new();
    let required: Vec<&str> =
        members.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = members.get("properties").and_then(Value::as_object);
    for (name, schema) in properties.into_iter().flatten() {
        if required.contains(&name.as_str()) || dice.one_in(2) {
            made.insert(name.clone(), directed(dice, root, schema, depth - 1));
        }
    }
    for name in required {
        if !made.contains_key(name) {
            let other = members.get("additionalProperties").filter(|schema| schema.is_object());
            let value = following(dice, root, other, depth - 1);
            made.insert(name.to_owned(), value);
        }
    }
    for keyword in ["additionalProperties", "unevaluatedProperties"] {
        if let Some(schema) = members.get(keyword).filter(|schema| schema.is_object() && dice.one_in(2)) {
            made.entry((*dice.pick(&NAMES)).to_owned()).or_insert_with(|| directed(dice, root, schema, depth - 1));
        }
    }
    for (_, schema) in members.get("patternProperties").and_then(Value::as_object).into_iter().flatten() {
        made.entry((*dice.pick(&NAMES)).to_owned()).or_insert_with(|| directed(dice, root, schema, depth - 1));
    }
    if dice.one_in(5) {
        made.entry((*dice.pick(&NAMES)).to_owned()).or_insert_with(|| random(dice, 1));
    }
    made.into()
}

fn array(dice: &mut Dice, root: &Value, members: &Map<String, Value>, depth: usize) -> Value {
    let mut made = Vec::new();
    let tuple = members.get("prefixItems").or_else(|| members.get("items").filter(|items| items.is_array()));
    for schema in tuple.and_then(Value::as_array).into_iter().flatten() {
        made.push(directed(dice, root, schema, depth - 1));
    }
    if let Some(schema) = members.get("contains") {
        made.push(directed(dice, root, schema, depth - 1));
    }
    let rest = if tuple.is_some() {
        members.get("items").or_else(|| members.get("additionalItems"))
    } else {
        members.get("items")
    };
    for _ in 0..dice.below(4) {
        made.push(following(dice, root, rest, depth - 1));
    }
    if dice.one_in(3) {
        made.truncate(dice.below(made.len() + 1));
    }
    made.into()
}

fn following(dice: &mut Dice, root: &Value, schema: Option<&Value>, depth: usize) -> Value {
    match schema {
        Some(schema) => directed(dice, root, schema, depth),
        None => random(dice, 1),
    }
}
