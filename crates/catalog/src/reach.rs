//! Whether a filter's path can lead anywhere in documents of a schema.
//!
//! The schema is read as its producers promise to write: an object that declares members has no others, unless
//! `additionalProperties` or `unevaluatedProperties` lets them in. *Impossible* is never said of a place where a
//! document of the schema has something: whatever is not understood is taken for more than it says.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::schema::bounded;

/// Ways through alternatives, and places, that are looked at before the answer is *unknown*.
const STEPS_MAX: usize = 20_000;
/// References and alternatives within one another.
const DEPTH_MAX: usize = 128;

/// One step of a path below `data`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// The member of this name.
    Name(String),
    /// The element at this index; from the end where it is negative.
    Index(i64),
    /// Any member or element.
    Any,
}

/// Whether a path can select something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// As far as can be seen.
    Possible,
    /// It cannot, for this reason.
    Impossible(String),
    /// That cannot be told: a reference leads out of the schema, or it is too intricate.
    Unknown,
}

/// Whether a path can select something in documents of a schema; with `compared_with`, something that equals that value.
#[must_use]
pub fn reach(schema: &Value, path: &[Segment], compared_with: Option<&Value>) -> Reach {
    look(schema, path, compared_with.map_or(Leaf::Anything, Leaf::Equal))
}

/// Whether a path can select something of the JSON type that a value has.
#[must_use]
pub fn reach_type(schema: &Value, path: &[Segment], like: &Value) -> Reach {
    look(schema, path, Leaf::Like(like))
}

fn look(schema: &Value, path: &[Segment], leaf: Leaf<'_>) -> Reach {
    let draft_7 = schema.get("$schema").and_then(Value::as_str).is_some_and(|draft| draft.contains("draft-07"));
    let mut walk = Walk { root: schema, draft_7, leaf, steps: 0 };
    match walk.reach(&[schema], path, &mut String::new()) {
        Ok(Ok(())) => Reach::Possible,
        Ok(Err(why)) => Reach::Impossible(bounded(why)),
        Err(Unsure) => Reach::Unknown,
    }
}

/// What must stand at the end of the path.
#[derive(Clone, Copy)]
enum Leaf<'a> {
    Anything,
    Equal(&'a Value),
    Like(&'a Value),
}

/// The schema is not understood well enough to say anything.
struct Unsure;

/// Whether something can be there, or why not; nothing where that cannot be told.
type Found = Result<Result<(), String>, Unsure>;

struct Walk<'a> {
    root: &'a Value,
    draft_7: bool,
    leaf: Leaf<'a>,
    steps: usize,
}

impl<'a> Walk<'a> {
    /// Looks at a place of which all of some schemas hold.
    fn reach(&mut self, all: &[&'a Value], path: &[Segment], at: &mut String) -> Found {
        self.spend(1)?;
        let mut first = None;
        for way in self.ways(all)? {
            match self.through(&way, path, at)? {
                Ok(()) => return Ok(Ok(())),
                Err(why) => {
                    first.get_or_insert(why);
                }
            }
        }
        Ok(Err(first.unwrap_or_else(|| format!("{} is never there", place(at)))))
    }

    fn through(&mut self, way: &Way<'a>, path: &[Segment], at: &mut String) -> Found {
        let Some((segment, rest)) = path.split_first() else { return Ok(self.at_leaf(way, at)) };
        let length = at.len();
        let found = match segment {
            Segment::Name(name) => {
                at.push_str(&format!(".{name}"));
                match way.may_be("object").then(|| way.member(name)) {
                    Some(Some(schemas)) => self.reach(&schemas, rest, at),
                    Some(None) => Ok(Err(format!("{} is not declared", place(at)))),
                    None => Ok(Err(format!("{} is never an object", place(&at[..length])))),
                }
            }
            Segment::Index(index) => {
                at.push_str(&format!("[{index}]"));
                self.elements(way, Some(*index), rest, at, length)
            }
            Segment::Any => {
                at.push_str("[*]");
                self.any(way, rest, at, length)
            }
        };
        at.truncate(length);
        found
    }

    fn any(&mut self, way: &Way<'a>, rest: &[Segment], at: &mut String, length: usize) -> Found {
        let mut why = format!("{} never has anything below it", place(&at[..length]));
        if way.may_be("object") {
            if way.is_open() {
                return Ok(Ok(()));
            }
            for name in way.names() {
                let Some(schemas) = way.member(name) else { continue };
                match self.reach(&schemas, rest, at)? {
                    Ok(()) => return Ok(Ok(())),
                    Err(reason) => why = reason,
                }
            }
        }
        if way.may_be("array") {
            match self.elements(way, None, rest, at, length)? {
                Ok(()) => return Ok(Ok(())),
                Err(reason) => why = reason,
            }
        }
        Ok(Err(why))
    }

    /// Looks at one element of an array, or at any.
    fn elements(
        &mut self,
        way: &Way<'a>,
        index: Option<i64>,
        rest: &[Segment],
        at: &mut String,
        length: usize,
    ) -> Found {
        if !way.may_be("array") {
            return Ok(Err(format!("{} is never an array", place(&at[..length]))));
        }
        let longest =
            way.keyword("prefixItems").chain(way.keyword("items")).filter_map(Value::as_array).map(Vec::len).max();
        // Beyond the places that are named by themselves all elements are alike.
        let places: Vec<usize> = match index.map(usize::try_from) {
            Some(Ok(index)) => vec![index],
            _ => (0..=longest.unwrap_or(0)).collect(),
        };
        let mut why = format!("{} never has an element", place(&at[..length]));
        for index in places {
            if way.keyword("maxItems").filter_map(Value::as_u64).any(|most| most <= index as u64) {
                continue;
            }
            let schemas = way.element(index);
            match self.reach(&schemas, rest, at)? {
                Ok(()) => return Ok(Ok(())),
                Err(reason) => why = reason,
            }
        }
        Ok(Err(why))
    }

    fn at_leaf(&self, way: &Way<'a>, at: &str) -> Result<(), String> {
        let wrong = match self.leaf {
            Leaf::Anything => None,
            Leaf::Like(value) | Leaf::Equal(value) if !way.may_be(type_of(value)) => {
                Some(format!("{} is never {}", place(at), with_article(type_of(value))))
            }
            Leaf::Equal(value) if !way.may_equal(value) => Some(format!("{} is never {value}", place(at))),
            Leaf::Like(_) | Leaf::Equal(_) => None,
        };
        match wrong {
            Some(why) => Err(why),
            None if TYPES.iter().any(|name| way.may_be(name)) => Ok(()),
            None => Err(format!("{} is never there", place(at))),
        }
    }

    /// All ways in which all of some schemas can hold: each takes one alternative wherever there are several.
    fn ways(&mut self, all: &[&'a Value]) -> Result<Vec<Way<'a>>, Unsure> {
        let mut ways = vec![Way::default()];
        for schema in all {
            ways = self.and(ways, schema, 0)?;
        }
        Ok(ways)
    }

    fn and(&mut self, ways: Vec<Way<'a>>, schema: &'a Value, depth: usize) -> Result<Vec<Way<'a>>, Unsure> {
        self.spend(ways.len().max(1))?;
        if depth > DEPTH_MAX {
            return Err(Unsure);
        }
        let members = match schema {
            Value::Bool(true) => return Ok(ways),
            Value::Object(members) => members,
            _ => return Ok(Vec::new()),
        };
        let mut ways = ways;
        if members.contains_key("$dynamicRef") || members.contains_key("$recursiveRef") {
            return Err(Unsure);
        }
        if let Some(reference) = members.get("$ref") {
            let target = reference.as_str().and_then(|text| self.resolve(text)).ok_or(Unsure)?;
            ways = self.and(ways, target, depth + 1)?;
            if self.draft_7 {
                return Ok(ways);
            }
        }
        for way in &mut ways {
            way.schemas.push(members);
        }
        for part in members.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            ways = self.and(ways, part, depth + 1)?;
        }
        for word in ["anyOf", "oneOf"] {
            if let Some(parts) = members.get(word).and_then(Value::as_array) {
                ways = self.or(&ways, parts, depth)?;
            }
        }
        if let Some(condition) = members.get("if") {
            let mut held = self.and(ways.clone(), condition, depth + 1)?;
            if let Some(then) = members.get("then") {
                held = self.and(held, then, depth + 1)?;
            }
            let mut broken = ways;
            if let Some(otherwise) = members.get("else") {
                broken = self.and(broken, otherwise, depth + 1)?;
            }
            held.extend(broken);
            ways = held;
        }
        for part in members.get("dependentSchemas").and_then(Value::as_object).into_iter().flatten() {
            let mut with = self.and(ways.clone(), part.1, depth + 1)?;
            with.extend(ways);
            ways = with;
        }
        self.spend(ways.len())?;
        Ok(ways)
    }

    fn or(&mut self, ways: &[Way<'a>], parts: &'a [Value], depth: usize) -> Result<Vec<Way<'a>>, Unsure> {
        let mut all = Vec::new();
        for part in parts {
            all.extend(self.and(ways.to_vec(), part, depth + 1)?);
            self.spend(all.len())?;
        }
        Ok(all)
    }

    /// Where a reference leads within the schema.
    fn resolve(&self, reference: &str) -> Option<&'a Value> {
        let fragment = reference.strip_prefix('#')?;
        if fragment.is_empty() {
            return Some(self.root);
        }
        if fragment.starts_with('/') {
            // A pointer that is percent-encoded is rare enough not to be followed.
            return if fragment.contains('%') { None } else { self.root.pointer(fragment) };
        }
        let named = |schema: &&Value| schema.get("$anchor").and_then(Value::as_str) == Some(fragment);
        ["$defs", "definitions"].iter().find_map(|word| self.root.get(*word)?.as_object()?.values().find(named))
    }

    fn spend(&mut self, steps: usize) -> Result<(), Unsure> {
        self.steps += steps;
        if self.steps > STEPS_MAX { Err(Unsure) } else { Ok(()) }
    }
}

/// Schemas that all hold of one place.
#[derive(Debug, Clone, Default)]
struct Way<'a> {
    schemas: Vec<&'a Map<String, Value>>,
}

impl<'a> Way<'a> {
    fn keyword(&self, word: &'static str) -> impl Iterator<Item = &'a Value> {
        self.schemas.iter().filter_map(move |schema| schema.get(word))
    }

    /// Whether something of this type can be here.
    fn may_be(&self, name: &str) -> bool {
        let named = |wanted: &Value| {
            wanted.as_str().is_some_and(|wanted| wanted == name || (wanted == "integer" && name == "number"))
        };
        let by_type = self.keyword("type").all(|types| match types {
            Value::Array(types) => types.iter().any(named),
            one => named(one),
        });
        let by_value = |values: &[Value]| values.iter().any(|value| type_of(value) == name);
        by_type
            && self.keyword("enum").filter_map(Value::as_array).all(|values| by_value(values))
            && self.keyword("const").all(|value| type_of(value) == name)
    }

    fn may_equal(&self, value: &Value) -> bool {
        let is = |other: &Value| same(value, other);
        self.keyword("enum").filter_map(Value::as_array).all(|values| values.iter().any(is))
            && self.keyword("const").all(is)
    }

    /// The names of members that are declared.
    fn names(&self) -> BTreeSet<&'a str> {
        self.keyword("properties").filter_map(Value::as_object).flat_map(Map::keys).map(String::as_str).collect()
    }

    /// Whether members may be here that no schema names.
    fn is_open(&self) -> bool {
        let lets_in = |schema: &&Map<String, Value>| {
            let words = ["additionalProperties", "unevaluatedProperties"];
            let rest = words.iter().filter_map(|word| schema.get(*word)).any(|rest| *rest != Value::Bool(false));
            rest || schema
                .get("patternProperties")
                .and_then(Value::as_object)
                .is_some_and(|patterns| !patterns.is_empty())
        };
        self.schemas.iter().any(lets_in) || (self.names().is_empty() && !self.forbids_all())
    }

    fn forbids_all(&self) -> bool {
        self.keyword("additionalProperties").any(|rest| *rest == Value::Bool(false))
    }

    /// The schemas of a member; nothing where there is no such member.
    fn member(&self, name: &str) -> Option<Vec<&'a Value>> {
        let declared = |schema: &&'a Map<String, Value>| schema.get("properties")?.as_object()?.get(name);
        let found: Vec<&'a Value> = self.schemas.iter().filter_map(declared).collect();
        let mut all = found.clone();
        for schema in self.schemas.iter().filter(|schema| declared(schema).is_none()) {
            // Which names a pattern takes is not looked at: it may take this one.
            if schema.get("patternProperties").and_then(Value::as_object).is_some_and(|patterns| !patterns.is_empty()) {
                continue;
            }
            all.extend(schema.get("additionalProperties"));
        }
        (!found.is_empty() || self.is_open()).then_some(all)
    }

    /// The schemas of an element.
    fn element(&self, index: usize) -> Vec<&'a Value> {
        let mut all = Vec::new();
        for schema in &self.schemas {
            let named = schema.get("prefixItems").or_else(|| schema.get("items")).and_then(Value::as_array);
            match named.and_then(|places| places.get(index)) {
                Some(place) => all.push(place),
                None if schema.get("items").is_some_and(Value::is_array) => all.extend(schema.get("additionalItems")),
                None => all.extend(schema.get("items")),
            }
        }
        all
    }
}

/// All types of JSON.
const TYPES: [&str; 6] = ["null", "boolean", "number", "string", "array", "object"];

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Whether two values are equal to a filter: numbers by value.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => one == other,
    }
}

fn with_article(name: &str) -> String {
    match name {
        "null" => name.to_owned(),
        "array" | "object" => format!("an {name}"),
        _ => format!("a {name}"),
    }
}

/// A place for people: `data.customer.email`.
fn place(at: &str) -> String {
    format!("data{at}")
}

#[cfg(test)]
mod tests;
