//! Random schemas, and schemas that are nearly the same.

use serde_json::{Map, Value, json};

use tidings_catalog::compat::{View, seen};

use crate::Dice;

const NAMES: [&str; 5] = ["a", "b", "c", "ab", "x1"];
const PATTERNS: [&str; 12] =
    ["^a", "b$", "^[ab]+$", "^a{1,3}$", "[0-9]", "^$", "a|b", "^(ab)*$", "^\\d{2}$", "\\w", "^x", "^[^b]*$"];
const FORMATS: [&str; 5] = ["date", "uuid", "ipv4", "email", "unheard-of"];

/// A narrow and a wide schema, most of the time close relatives.
pub(crate) fn pair(dice: &mut Dice) -> (Value, Value) {
    let draft7 = dice.one_in(4);
    let mut maker = Maker { dice, draft7 };
    let first = maker.document();
    let second = if maker.dice.one_in(12) { maker.document() } else { maker.relative(&first) };
    if maker.dice.one_in(2) { (first, second) } else { (second, first) }
}

/// A record of records that consists of nothing else.
pub(crate) fn nested(dice: &mut Dice) -> Value {
    let mut maker = Maker { dice, draft7: false };
    loop {
        let mut schema = maker.nested(2);
        maker.define(&mut schema);
        if seen(&schema, View::AsIs).is_ok() {
            return schema;
        }
    }
}

struct Maker<'d> {
    dice: &'d mut Dice,
    draft7: bool,
}

impl Maker<'_> {
    fn document(&mut self) -> Value {
        loop {
            let mut schema = match self.dice.below(6) {
                0 | 1 => self.record(2),
                2 => self.schema(3),
                3 => self.nested(2),
                _ => self.focused(),
            };
            if !schema.is_object() {
                schema = json!({ "allOf": [schema] });
            }
            self.define(&mut schema);
            if self.draft7 {
                schema["$schema"] = "http://json-schema.org/draft-07/schema#".into();
            }
            // What refers to itself without end means nothing.
            if seen(&schema, View::AsIs).is_ok() {
                return schema;
            }
        }
    }

    /// Adds what a schema refers to. Definitions that nothing refers to would take in most of the changes.
    fn define(&mut self, schema: &mut Value) {
        let defs = if self.draft7 { "definitions" } else { "$defs" };
        if schema.get(defs).is_none() && schema.to_string().contains("$ref") {
            schema[defs] = json!({ "p": self.record(1), "q": self.schema(2) });
        }
    }

    /// A schema that says several things of one kind of document, so that keywords meet that must be weighed together.
    fn focused(&mut self) -> Value {
        let kind = *self.dice.pick(&["string", "number", "array", "array", "object"]);
        let part = |maker: &mut Self| {
            let mut members = Map::new();
            for _ in 0..=maker.dice.below(3) {
                maker.keyword_of(kind, &mut members, 1);
            }
            Value::Object(members)
        };
        let mut schema = part(self);
        if self.dice.one_in(3) {
            let other = part(self);
            let keyword = *self.dice.pick(&["allOf", "allOf", "anyOf", "oneOf"]);
            schema = json!({ keyword: [schema, other] });
        }
        schema["type"] = kind.into();
        schema
    }

    /// A schema of the usual kind: members, some required, and perhaps no others.
    fn record(&mut self, depth: usize) -> Value {
        let names: Vec<&str> = NAMES.iter().copied().filter(|_| self.dice.one_in(2)).collect();
        let properties: Map<_, _> = names.iter().map(|name| ((*name).to_owned(), self.schema(depth))).collect();
        let required: Vec<&str> = names.into_iter().filter(|_| self.dice.one_in(2)).collect();
        let mut record = json!({ "type": "object", "properties": properties, "required": required });
        if self.dice.one_in(3) {
            record["additionalProperties"] = self.dice.one_in(6).into();
        }
        self.demand(&mut record);
        if self.dice.one_in(4) {
            // Told apart by a tag.
            let tags = ["s", "t", "u"].iter().take(self.dice.below(3) + 1);
            let branches: Vec<Value> = tags
                .map(|tag| {
                    let mut branch = json!({ "properties": { "tag": { "const": tag }, "a": self.schema(1) } });
                    branch["required"] = json!(["tag"]);
                    branch
                })
                .collect();
            record[*self.dice.pick(&["oneOf", "anyOf"])] = branches.into();
        }
        record
    }

    /// Demands members of a record that it may not declare.
    fn demand(&mut self, record: &mut Value) {
        let name = *self.dice.pick(&NAMES);
        match self.dice.below(16) {
            0 | 1 => {
                if let Some(required) = record["required"].as_array_mut()
                    && !required.contains(&json!(name))
                {
                    required.push(name.into());
                }
            }
            2 => record["minProperties"] = self.dice.below(4).into(),
            3 => record["allOf"] = json!([{ "required": [name] }]),
            4 => record["allOf"] = json!([{ "required": [name] }, { "properties": { "c": self.schema(1) } }]),
            5 if !self.draft7 => record["dependentRequired"] = json!({ "a": [name] }),
            6 => record["anyOf"] = json!([{ "required": [name] }, { "required": ["a"] }]),
            7 => record["propertyNames"] = json!({ "pattern": "^[abc]" }),
            _ => {}
        }
    }

    /// A record of records, of which each may demand what it does not declare.
    fn nested(&mut self, depth: usize) -> Value {
        let mut record = json!({ "type": "object", "properties": {}, "required": [] });
        for name in ["a", "b", "c"] {
            if self.dice.one_in(2) {
                let inner = if depth > 0 { self.nested(depth - 1) } else { json!({ "type": "object" }) };
                record["properties"][name] = inner;
            }
        }
        self.demand(&mut record);
        if self.dice.one_in(4) {
            let part = json!({ "properties": { "a": if depth > 0 { self.nested(depth - 1) } else { json!({}) } } });
            match record["allOf"].as_array_mut() {
                Some(parts) => parts.push(part),
                None => record["allOf"] = json!([part]),
            }
        }
        record
    }

    /// The same schema after a few small changes.
    fn relative(&mut self, schema: &Value) -> Value {
        let mut changed = schema.clone();
        for _ in 0..=self.dice.below(3) {
            let mut places = Vec::new();
            schemas_within(&changed, "", &mut places);
            let place = self.dice.pick(&places).clone();
            let mut node = changed.pointer(&place).unwrap().clone();
            self.change(&mut node);
            if place.is_empty() && !node.is_object() {
                continue;
            }
            *changed.pointer_mut(&place).unwrap() = node;
        }
        self.define(&mut changed);
        if seen(&changed, View::AsIs).is_err() { schema.clone() } else { changed }
    }

    fn change(&mut self, node: &mut Value) {
        let choice = self.dice.below(10);
        let Value::Object(members) = node else {
            *node = self.schema(1);
            return;
        };
        let names: Vec<String> = members
            .keys()
            .filter(|name| !matches!(name.as_str(), "$defs" | "definitions" | "$schema"))
            .cloned()
            .collect();
        match choice {
            0 | 1 if !names.is_empty() => drop(members.remove(self.dice.pick(&names))),
            2 | 3 => self.keyword(members, 1),
            4 | 8 | 9 if !names.is_empty() => {
                let name = self.dice.pick(&names).clone();
                if let Some(value) = members.get_mut(&name) {
                    self.nudge(value);
                }
            }
            5 if !members.contains_key("$schema") && !members.contains_key("$defs") => {
                let (own, other) = (node.clone(), self.schema(1));
                let keyword = *self.dice.pick(&["anyOf", "allOf", "oneOf"]);
                *node = json!({ keyword: [own, other] });
            }
            6 => {
                let name = *self.dice.pick(&NAMES);
                let schema = self.schema(1);
                let properties = members.entry("properties").or_insert_with(|| json!({}));
                if let Value::Object(properties) = properties {
                    properties.insert(name.to_owned(), schema);
                }
            }
            _ => self.keyword(members, 1),
        }
    }

    fn nudge(&mut self, value: &mut Value) {
        match value {
            Value::Number(number) => {
                let up = self.dice.one_in(2);
                let whole = number.as_i64();
                *value = match whole {
                    Some(whole) if up => json!(whole + 1),
                    Some(whole) => json!((whole - 1).max(1)),
                    None => json!(number.as_f64().unwrap() * 2.0),
                };
            }
            Value::Array(items) if items.len() > 1 => {
                let index = self.dice.below(items.len());
                items.remove(index);
            }
            Value::Bool(flag) => *flag = !*flag,
            _ => {}
        }
    }

    fn schema(&mut self, depth: usize) -> Value {
        if self.dice.one_in(12) {
            return Value::Bool(!self.dice.one_in(4));
        }
        if self.dice.one_in(10) {
            let defs = if self.draft7 { "definitions" } else { "$defs" };
            let name = *self.dice.pick(&["p", "q"]);
            return json!({ "$ref": format!("#/{defs}/{name}") });
        }
        let mut members = Map::new();
        if !self.dice.one_in(3) {
            let kind =
                *self.dice.pick(&["string", "number", "integer", "array", "object", "object", "boolean", "null"]);
            members.insert("type".to_owned(), kind.into());
            for _ in 0..=self.dice.below(2) {
                self.keyword_of(kind, &mut members, depth);
            }
        }
        for _ in 0..self.dice.below(2) {
            self.keyword(&mut members, depth);
        }
        Value::Object(members)
    }

    fn keyword(&mut self, members: &mut Map<String, Value>, depth: usize) {
        match self.dice.below(9) {
            0 => {
                let kinds = ["string", "number", "integer", "array", "object", "boolean", "null"];
                let (first, second) = (*self.dice.pick(&kinds), *self.dice.pick(&kinds));
                let kind = if first == second { json!(first) } else { json!([first, second]) };
                drop(members.insert("type".to_owned(), kind));
            }
            1 => {
                let mut values: Vec<Value> = Vec::new();
                for _ in 0..=self.dice.below(3) {
                    let value = crate::instances::random(self.dice, 1);
                    if !values.contains(&value) {
                        values.push(value);
                    }
                }
                drop(members.insert("enum".to_owned(), values.into()));
            }
            2 => drop(members.insert("const".to_owned(), crate::instances::random(self.dice, 1))),
            3 if depth > 0 => self.combination(members, depth),
            4 => self.keyword_of("string", members, depth),
            5 => self.keyword_of("number", members, depth),
            6 => self.keyword_of("array", members, depth),
            _ => self.keyword_of("object", members, depth),
        }
    }

    fn combination(&mut self, members: &mut Map<String, Value>, depth: usize) {
        match self.dice.below(6) {
            0 => drop(members.insert("not".to_owned(), self.schema(depth - 1))),
            1 => {
                members.insert("if".to_owned(), self.schema(depth - 1));
                for keyword in ["then", "else"] {
                    if !self.dice.one_in(4) {
                        members.insert(keyword.to_owned(), self.schema(depth - 1));
                    }
                }
            }
            choice => {
                let keyword = ["allOf", "anyOf", "oneOf", "oneOf"][choice - 2];
                let branches: Vec<_> = (0..=self.dice.below(3)).map(|_| self.schema(depth - 1)).collect();
                members.insert(keyword.to_owned(), branches.into());
            }
        }
    }

    fn keyword_of(&mut self, kind: &str, members: &mut Map<String, Value>, depth: usize) {
        let count = self.dice.below(4);
        let below = depth.saturating_sub(1);
        let (name, value): (&str, Value) = match kind {
            "string" => match self.dice.below(5) {
                0 => ("minLength", count.into()),
                1 => ("maxLength", count.into()),
                2 => ("format", (*self.dice.pick(&FORMATS)).into()),
                _ => ("pattern", (*self.dice.pick(&PATTERNS)).into()),
            },
            "number" | "integer" => {
                let numbers = [json!(-1), json!(0), json!(0.5), json!(1), json!(2), json!(2.5), json!(4), json!(1e17)];
                match self.dice.below(5) {
                    0 => ("minimum", self.dice.pick(&numbers).clone()),
                    1 => ("maximum", self.dice.pick(&numbers).clone()),
                    2 => ("exclusiveMinimum", self.dice.pick(&numbers).clone()),
                    3 => ("exclusiveMaximum", self.dice.pick(&numbers).clone()),
                    _ => (
                        "multipleOf",
                        self.dice
                            .pick(&[
                                json!(1),
                                json!(2),
                                json!(0.1),
                                json!(0.5),
                                json!(3),
                                json!(6),
                                json!(4),
                                json!(12),
                                json!(0.000_01),
                                json!(0.000_003),
                                json!(0.000_000_3),
                                json!(9_007_199_254_740_993u64),
                            ])
                            .clone(),
                    ),
                }
            }
            "array" => return self.array_keyword(members, below),
            "object" => return self.object_keyword(members, below),
            _ => return,
        };
        members.insert(name.to_owned(), value);
    }

    fn array_keyword(&mut self, members: &mut Map<String, Value>, depth: usize) {
        let count = self.dice.below(4);
        let tuple: Vec<Value> = (0..=self.dice.below(2)).map(|_| self.schema(depth)).collect();
        let (name, value): (&str, Value) = match self.dice.below(8) {
            0 => ("minItems", count.into()),
            1 => ("maxItems", count.into()),
            2 => ("uniqueItems", true.into()),
            3 => ("contains", self.schema(depth)),
            4 if !self.draft7 => (*self.dice.pick(&["minContains", "maxContains"]), count.into()),
            5 => (if self.draft7 { "items" } else { "prefixItems" }, tuple.into()),
            6 => (if self.draft7 { "additionalItems" } else { "unevaluatedItems" }, self.schema(depth)),
            _ => ("items", self.schema(depth)),
        };
        members.insert(name.to_owned(), value);
    }

    fn object_keyword(&mut self, members: &mut Map<String, Value>, depth: usize) {
        let name = *self.dice.pick(&NAMES);
        let other = *self.dice.pick(&NAMES);
        let pattern = *self.dice.pick(&PATTERNS);
        let (keyword, value): (&str, Value) = match self.dice.below(13) {
            0 => ("required", if name == other { json!([name]) } else { json!([name, other]) }),
            1 => ("additionalProperties", if self.dice.one_in(2) { false.into() } else { self.schema(depth) }),
            2 => ("patternProperties", json!({ pattern: self.schema(depth) })),
            3 => ("propertyNames", self.schema(0)),
            4 => ("minProperties", self.dice.below(3).into()),
            5 => ("maxProperties", self.dice.below(4).into()),
            6 if self.draft7 => ("dependencies", json!({ name: [other] })),
            6 => ("dependentRequired", json!({ name: [other] })),
            7 => (if self.draft7 { "dependencies" } else { "dependentSchemas" }, json!({ name: self.schema(depth) })),
            8 if !self.draft7 => {
                ("unevaluatedProperties", if self.dice.one_in(2) { false.into() } else { self.schema(depth) })
            }
            _ => {
                let mut properties = Map::new();
                for _ in 0..=self.dice.below(3) {
                    properties.insert((*self.dice.pick(&NAMES)).to_owned(), self.schema(depth));
                }
                ("properties", properties.into())
            }
        };
        members.insert(keyword.to_owned(), value);
    }
}

/// Pointers to the schemas of a schema.
fn schemas_within(schema: &Value, at: &str, into: &mut Vec<String>) {
    if !schema.is_object() && !schema.is_boolean() {
        return;
    }
    into.push(at.to_owned());
    for (keyword, value) in schema.as_object().into_iter().flatten() {
        let path = format!("{at}/{keyword}");
        match (keyword.as_str(), value) {
            ("enum" | "const" | "required" | "type" | "uniqueItems", _) => {}
            ("properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas", Value::Object(map)) => {
                for (name, inner) in map {
                    schemas_within(inner, &format!("{path}/{}", name.replace('~', "~0").replace('/', "~1")), into);
                }
            }
            ("dependentRequired" | "dependencies", _) => {}
            (_, Value::Array(items)) => {
                for (index, inner) in items.iter().enumerate() {
                    schemas_within(inner, &format!("{path}/{index}"), into);
                }
            }
            (_, inner) => schemas_within(inner, &path, into),
        }
    }
}
