//! What a schema declares, as rows of a table: one a member, members of members below it.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::Value as View;
use serde_json::{Map, Value};

use super::view::{Shown, view};
use crate::definition::{Classification, Pointer};
use crate::pointer::WILDCARD;

/// Rows of one schema.
const ROWS_MAX: usize = 2_000;
/// Levels of members.
const DEPTH_MAX: usize = 16;
/// Schemas that are looked at for one table, so that what branches and refers in circles ends.
const SCHEMAS_MAX: usize = 10_000;
/// Values of an enum that are shown; the rest is counted.
const VALUES_MAX: usize = 40;

/// One row.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// Levels above it.
    pub(super) depth: usize,
    /// The member's name; what stands for names or elements where there is none.
    pub(super) name: String,
    /// Where it stands in `data`.
    pub(super) path: String,
    /// The types it may have, `null` left out.
    pub(super) types: String,
    pub(super) format: String,
    pub(super) required: bool,
    pub(super) nullable: bool,
    /// In which of several alternatives it is declared.
    pub(super) variant: String,
    /// Bounds, each in words.
    pub(super) constraints: Vec<String>,
    pub(super) pattern: String,
    /// The allowed values as JSON.
    pub(super) values: Vec<String>,
    /// How many more there are.
    pub(super) values_more: usize,
    pub(super) description: String,
    pub(super) default: String,
    pub(super) deprecated: bool,
    pub(super) class: &'static str,
    pub(super) action: &'static str,
    /// Whether the class is declared for what holds the member.
    pub(super) class_inherited: bool,
    /// Whether its schema is one that contains it.
    pub(super) recursive: bool,
}

impl Shown for Row {
    fn shown(&self) -> View {
        view! {
            depth => self.depth, name => self.name, path => self.path, types => self.types, format => self.format,
            required => self.required, nullable => self.nullable, variant => self.variant,
            constraints => self.constraints, pattern => self.pattern, values => self.values, values_more => self.values_more,
            description => self.description, default => self.default, deprecated => self.deprecated,
            class => self.class, action => self.action, class_inherited => self.class_inherited,
            recursive => self.recursive,
        }
    }
}

/// The rows of a schema: required members first, then by name.
pub(super) fn rows(schema: &Value, classification: &BTreeMap<Pointer, Classification>) -> Vec<Row> {
    let mut walk = Walk { root: schema, classification, rows: Vec::new(), schemas: 0, above: Vec::new() };
    walk.members(schema, &Pointer::of::<String>([]), 0, "");
    walk.rows
}

struct Walk<'a> {
    root: &'a Value,
    classification: &'a BTreeMap<Pointer, Classification>,
    rows: Vec<Row>,
    schemas: usize,
    /// The references that led here.
    above: Vec<String>,
}

/// A member as its holder declares it.
struct Place<'s> {
    name: String,
    segment: &'s str,
    required: bool,
}

impl<'a> Walk<'a> {
    /// Adds rows for what stands inside of a schema's values.
    fn members(&mut self, schema: &'a Value, at: &Pointer, depth: usize, variant: &str) {
        self.schemas += 1;
        if depth > DEPTH_MAX || self.schemas > SCHEMAS_MAX {
            return;
        }
        let referred = self.enter(schema);
        if let Some(object) = referred.as_ref().map_or(Some(schema), |(target, _)| *target).and_then(Value::as_object) {
            self.declared(object, at, depth, variant);
            self.elements(object, at, depth, variant);
            for part in array(object, "allOf") {
                self.members(part, at, depth, variant);
            }
            for keyword in ["oneOf", "anyOf"] {
                let parts = array(object, keyword);
                for (i, part) in parts.iter().enumerate() {
                    let title = part.get("title").and_then(Value::as_str);
                    let name = title.map_or_else(|| format!("variant {} of {}", i + 1, parts.len()), str::to_owned);
                    self.members(part, at, depth, &name);
                }
            }
            for (keyword, name) in
                [("then", "where the condition holds"), ("else", "where the condition does not hold")]
            {
                if let Some(part) = object.get(keyword) {
                    self.members(part, at, depth, name);
                }
            }
        }
        if let Some((_, true)) = referred {
            self.above.pop();
        }
    }

    /// Follows a reference. None: there is none. No target: it leads nowhere, or back to where it came from. The flag
    /// says whether `above` grew.
    fn enter(&mut self, schema: &'a Value) -> Option<(Option<&'a Value>, bool)> {
        let reference = schema.get("$ref").and_then(Value::as_str)?;
        if self.above.iter().any(|above| above == reference) {
            return Some((None, false));
        }
        let target = self.target(reference);
        if target.is_some() {
            self.above.push(reference.to_owned());
        }
        Some((target, target.is_some()))
    }

    fn target(&self, reference: &str) -> Option<&'a Value> {
        Pointer::parse(reference.strip_prefix('#')?).ok()?.get(self.root)
    }

    fn declared(&mut self, object: &'a Map<String, Value>, at: &Pointer, depth: usize, variant: &str) {
        let required: BTreeSet<&str> = array(object, "required").iter().filter_map(Value::as_str).collect();
        let Some(properties) = object.get("properties").and_then(Value::as_object) else {
            return self.named(object, at, depth, variant);
        };
        let (first, then): (Vec<_>, Vec<_>) = properties.iter().partition(|(name, _)| required.contains(name.as_str()));
        for (name, schema) in first.into_iter().chain(then) {
            let place = Place { name: name.clone(), segment: name, required: required.contains(name.as_str()) };
            self.row(&place, schema, at, depth, variant);
        }
        self.named(object, at, depth, variant);
    }

    /// Members whose names the schema does not tell one by one.
    fn named(&mut self, object: &'a Map<String, Value>, at: &Pointer, depth: usize, variant: &str) {
        for (pattern, schema) in object.get("patternProperties").and_then(Value::as_object).into_iter().flatten() {
            let place = Place { name: format!("names like {pattern}"), segment: WILDCARD, required: false };
            self.row(&place, schema, at, depth, variant);
        }
        if let Some(schema) = object.get("additionalProperties").filter(|schema| schema.is_object()) {
            let place = Place { name: "any name".to_owned(), segment: WILDCARD, required: false };
            self.row(&place, schema, at, depth, variant);
        }
    }

    /// Members of an array's elements. Elements that are no objects are told in the array's own row.
    fn elements(&mut self, object: &'a Map<String, Value>, at: &Pointer, depth: usize, variant: &str) {
        let inside = at.join(WILDCARD);
        for part in array(object, "prefixItems") {
            self.members(part, &inside, depth, variant);
        }
        match object.get("items") {
            Some(Value::Array(parts)) => parts.iter().for_each(|part| self.members(part, &inside, depth, variant)),
            Some(part) => self.members(part, &inside, depth, variant),
            None => {}
        }
    }

    fn row(&mut self, place: &Place<'_>, schema: &'a Value, holder: &Pointer, depth: usize, variant: &str) {
        if self.rows.len() >= ROWS_MAX {
            return;
        }
        let at = holder.join(place.segment);
        let reference = schema.get("$ref").and_then(Value::as_str);
        let recursive = reference.is_some_and(|reference| self.above.iter().any(|above| above == reference));
        let target = reference.and_then(|reference| self.target(reference));
        let described = Described { schema, target: target.unwrap_or(schema) };
        let (values, values_more) = described.values();
        let (class, class_inherited) = self.class(&at);
        self.rows.push(Row {
            depth,
            name: place.name.clone(),
            path: at.to_string(),
            types: described.types(self),
            format: described.text("format"),
            required: place.required,
            nullable: described.type_names().contains(&"null"),
            variant: variant.to_owned(),
            constraints: described.constraints(),
            pattern: described.text("pattern"),
            values,
            values_more,
            description: described.text("description"),
            default: described.get("default").map(Value::to_string).unwrap_or_default(),
            deprecated: described.get("deprecated") == Some(&Value::Bool(true)),
            class: class.map_or("", |class| class.class.as_str()),
            action: class.map_or("", |class| class.action.as_str()),
            class_inherited,
            recursive,
        });
        self.members(schema, &at, depth + 1, "");
    }

    fn class(&self, at: &Pointer) -> (Option<Classification>, bool) {
        let here = |pointer: &&Pointer| pointer.segments().len() == at.segments().len();
        let covering = self.classification.keys().filter(|pointer| pointer.covers(at));
        let found = covering.max_by_key(|pointer| (pointer.segments().len(), !pointer.has_wildcard()));
        (found.and_then(|pointer| self.classification.get(pointer).copied()), found.is_some_and(|p| !here(&p)))
    }
}

/// A member's schema, and the one that it refers to.
struct Described<'a> {
    schema: &'a Value,
    target: &'a Value,
}

impl<'a> Described<'a> {
    fn get(&self, keyword: &str) -> Option<&'a Value> {
        self.schema.get(keyword).or_else(|| self.target.get(keyword))
    }

    fn text(&self, keyword: &str) -> String {
        self.get(keyword).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    fn type_names(&self) -> Vec<&'a str> {
        type_names(self.get("type"))
    }

    fn types(&self, walk: &Walk<'_>) -> String {
        let mut words: Vec<String> = Vec::new();
        for name in self.type_names().into_iter().filter(|name| *name != "null") {
            words.push(if name == "array" { self.elements(walk) } else { name.to_owned() });
        }
        if !words.is_empty() {
            return words.join(" or ");
        }
        let guess = match self.get("const").or_else(|| self.get("enum").and_then(|values| values.get(0))) {
            Some(Value::String(_)) => "string",
            Some(Value::Number(_)) => "number",
            Some(Value::Bool(_)) => "boolean",
            _ if self.get("properties").is_some() => "object",
            _ if self.get("oneOf").or_else(|| self.get("anyOf")).is_some() => "one of several",
            _ => "any",
        };
        guess.to_owned()
    }

    /// What an array holds.
    fn elements(&self, walk: &Walk<'_>) -> String {
        let Some(items) = self.get("items").filter(|items| items.is_object()) else { return "array".to_owned() };
        let reference = items.get("$ref").and_then(Value::as_str);
        let target = reference.and_then(|reference| walk.target(reference)).unwrap_or(items);
        let names = type_names(items.get("type").or_else(|| target.get("type")));
        if names.is_empty() { "array".to_owned() } else { format!("array of {}", names.join(" or ")) }
    }

    fn values(&self) -> (Vec<String>, usize) {
        let items = self.get("items").filter(|_| self.type_names().contains(&"array"));
        let of = |keyword: &str| self.get(keyword).or_else(|| items.and_then(|items| items.get(keyword)));
        if let Some(value) = of("const") {
            return (vec![shown(value)], 0);
        }
        let all = of("enum").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let named: Vec<String> = all.iter().filter(|value| !value.is_null()).map(shown).collect();
        let more = named.len().saturating_sub(VALUES_MAX);
        (named.into_iter().take(VALUES_MAX).collect(), more)
    }

    fn constraints(&self) -> Vec<String> {
        let number = |keyword: &str| self.get(keyword).filter(|value| value.is_number()).map(Value::to_string);
        let mut words = Vec::new();
        let mut range = |low: &str, high: &str, unit: &str| match (number(low), number(high)) {
            (Some(low), Some(high)) if low == high => words.push(format!("{low}{unit}")),
            (Some(low), Some(high)) => words.push(format!("{low} to {high}{unit}")),
            (Some(low), None) => words.push(format!("at least {low}{unit}")),
            (None, Some(high)) => words.push(format!("at most {high}{unit}")),
            (None, None) => {}
        };
        range("minimum", "maximum", "");
        range("minLength", "maxLength", " characters");
        range("minItems", "maxItems", " elements");
        range("minProperties", "maxProperties", " members");
        let mut single = |keyword: &str, word: &str| {
            if let Some(value) = self.get(keyword).filter(|value| value.is_number()) {
                words.push(format!("{word} {}", shown(value)));
            }
        };
        single("exclusiveMinimum", "more than");
        single("exclusiveMaximum", "less than");
        single("multipleOf", "a multiple of");
        if self.get("uniqueItems") == Some(&Value::Bool(true)) {
            words.push("no element twice".to_owned());
        }
        if self.get("additionalProperties") == Some(&Value::Bool(false)) {
            words.push("no other members".to_owned());
        }
        words
    }
}

/// A value for people: a string without its quotes.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn type_names(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn array<'v>(object: &'v Map<String, Value>, keyword: &str) -> &'v [Value] {
    object.get(keyword).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::{Action, Class};
    use serde_json::json;

    fn table(schema: &Value) -> Vec<(String, String)> {
        rows(schema, &BTreeMap::new()).into_iter().map(|row| (row.path, row.types)).collect()
    }

    #[test]
    fn members_stand_below_what_holds_them_and_required_ones_first() {
        let schema = json!({"type": "object", "required": ["z"], "properties": {
            "a": {"type": "array", "items": {"type": "object", "properties": {"b": {"type": ["string", "null"]}}}},
            "z": {"$ref": "#/$defs/money"}},
            "$defs": {"money": {"type": "object", "properties": {"amount": {"type": "integer"}}}}});
        let found = table(&schema);
        let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["/z", "/z/amount", "/a", "/a/*/b"]);
        assert_eq!(found[2].1, "array of object");
        assert!(rows(&schema, &BTreeMap::new())[3].nullable);
    }

    #[test]
    fn what_refers_to_itself_ends() {
        let schema = json!({"$ref": "#/$defs/node", "$defs": {"node": {"type": "object",
            "properties": {"left": {"$ref": "#/$defs/node"}, "right": {"$ref": "#/$defs/node"}}}}});
        let rows = rows(&schema, &BTreeMap::new());
        assert_eq!(rows.len(), 2);
        assert!(rows.iter().all(|row| row.recursive));
    }

    #[test]
    fn what_branches_without_end_is_cut() {
        let mut defs = Map::new();
        for i in 0..40 {
            let next = json!({"$ref": format!("#/$defs/d{}", i + 1)});
            defs.insert(format!("d{i}"), json!({"type": "object", "properties": {"a": next, "b": next, "c": next}}));
        }
        let schema = json!({"$ref": "#/$defs/d0", "$defs": defs});
        assert!(rows(&schema, &BTreeMap::new()).len() <= ROWS_MAX);
    }

    #[test]
    fn a_class_holds_for_what_stands_below_and_a_nearer_one_wins() {
        let class = |class, action| Classification { class, action };
        let classification = BTreeMap::from([
            (Pointer::parse("/p").unwrap(), class(Class::Pii, Action::Redact)),
            (Pointer::parse("/p/*").unwrap(), class(Class::Phi, Action::Drop)),
            (Pointer::parse("/p/city").unwrap(), class(Class::Public, Action::Keep)),
        ]);
        let schema = json!({"properties": {"p": {"properties": {"city": {}, "street": {"properties": {"no": {}}}}}}});
        let found: Vec<_> =
            rows(&schema, &classification).into_iter().map(|row| (row.path, row.class, row.class_inherited)).collect();
        let expected = [
            ("/p", "pii", false),
            ("/p/city", "public", false),
            ("/p/street", "phi", false),
            ("/p/street/no", "phi", true),
        ];
        assert_eq!(found, expected.map(|(path, class, inherited)| (path.to_owned(), class, inherited)));
    }
}
