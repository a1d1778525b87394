//! A schema with all that it says of one value laid side by side: its own keywords, those of what it refers to, and
//! those of every part of its `allOf`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::Notes;

/// The kinds of JSON that a schema can name; whole numbers apart from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Null,
    Boolean,
    Integer,
    Number,
    String,
    Array,
    Object,
}

impl Kind {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "null" => Self::Null,
            "boolean" => Self::Boolean,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "string" => Self::String,
            "array" => Self::Array,
            "object" => Self::Object,
            _ => return None,
        })
    }

    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Boolean,
            Value::Number(number) if number.is_f64() => Self::Number,
            Value::Number(_) => Self::Integer,
            Value::String(_) => Self::String,
            Value::Array(_) => Self::Array,
            Value::Object(_) => Self::Object,
        }
    }
}

/// All that is said of one value. Places are pointers into the whole schema.
#[derive(Debug, Clone, Default)]
pub(super) struct Flat {
    /// The kinds that are allowed; all of them where nothing says.
    pub(super) kinds: Option<BTreeSet<Kind>>,
    /// Each member with every place that says something of it.
    pub(super) members: BTreeMap<String, Vec<String>>,
    pub(super) required: BTreeSet<String>,
    /// Places of schemas for members that are not declared.
    pub(super) rest: Vec<String>,
    /// Whether members are matched by patterns, or judged across several schemas.
    pub(super) rest_is_mixed: bool,
    pub(super) items: Vec<String>,
    pub(super) prefix: Vec<Vec<String>>,
    /// No further elements may follow those of `prefix`.
    pub(super) no_more_items: bool,
    pub(super) items_min: u64,
    pub(super) items_max: u64,
    /// The values that are allowed, if they are counted out.
    pub(super) values: Option<Vec<Value>>,
    /// Each `oneOf` and `anyOf` as the places of its branches.
    pub(super) choices: Vec<Vec<String>>,
    pub(super) minimum: Option<f64>,
    pub(super) maximum: Option<f64>,
    pub(super) notes: Notes,
    /// How many schemas say something of objects.
    objects: usize,
    visited: BTreeSet<String>,
}

/// A schema in which places are looked up.
#[derive(Clone, Copy)]
pub(super) struct Tree<'s> {
    pub(super) root: &'s Value,
}

impl<'s> Tree<'s> {
    pub(super) fn at(self, place: &str) -> Option<&'s Value> {
        self.root.pointer(place)
    }

    /// The place that a reference means, if it is in this schema.
    pub(super) fn resolve(self, reference: &str) -> Option<String> {
        let fragment = reference.strip_prefix('#')?;
        let fragment = percent_decoded(fragment)?;
        if fragment.is_empty() || fragment.starts_with('/') {
            return self.root.pointer(&fragment).map(|_| fragment);
        }
        anchored(self.root, &fragment, String::new())
    }

    /// What is said at a place.
    pub(super) fn flat(self, place: &str) -> Flat {
        let mut flat = Flat { items_max: u64::MAX, ..Flat::default() };
        self.add(place, &mut flat);
        flat.rest_is_mixed |= flat.objects > 1;
        flat
    }

    /// Adds what is said at a place.
    pub(super) fn add(self, place: &str, flat: &mut Flat) {
        if !flat.visited.insert(place.to_owned()) {
            return;
        }
        let Some(Value::Object(schema)) = self.at(place) else { return };
        self.add_scalars(schema, flat);
        self.add_object(schema, place, flat);
        self.add_array(schema, place, flat);
        flat.notes.fill(schema);
        for word in ["oneOf", "anyOf"] {
            if let Some(branches) = schema.get(word).and_then(Value::as_array) {
                flat.choices.push((0..branches.len()).map(|index| format!("{place}/{word}/{index}")).collect());
            }
        }
        if let Some(target) = schema.get("$ref").and_then(Value::as_str).and_then(|target| self.resolve(target)) {
            self.add(&target, flat);
        }
        let parts = schema.get("allOf").and_then(Value::as_array).map_or(0, Vec::len);
        for index in 0..parts {
            self.add(&format!("{place}/allOf/{index}"), flat);
        }
    }

    fn add_scalars(self, schema: &Map<String, Value>, flat: &mut Flat) {
        let words: Option<Vec<&str>> = match schema.get("type") {
            Some(Value::String(word)) => Some(vec![word]),
            Some(Value::Array(words)) => Some(words.iter().filter_map(Value::as_str).collect()),
            _ => None,
        };
        if let Some(words) = words {
            let kinds: BTreeSet<Kind> = words.into_iter().filter_map(Kind::parse).collect();
            flat.kinds = Some(match flat.kinds.take() {
                None => kinds,
                Some(before) => common(&before, &kinds),
            });
        }
        let values = match (schema.get("const"), schema.get("enum")) {
            (Some(value), _) => Some(vec![value.clone()]),
            (None, Some(Value::Array(values))) => Some(values.clone()),
            _ => None,
        };
        if let Some(values) = values {
            flat.values = Some(match flat.values.take() {
                None => values,
                Some(before) => before.into_iter().filter(|value| values.contains(value)).collect(),
            });
        }
        for (word, bound) in [("minimum", &mut flat.minimum), ("maximum", &mut flat.maximum)] {
            *bound = schema.get(word).and_then(Value::as_f64).or(*bound);
        }
    }

    fn add_object(self, schema: &Map<String, Value>, place: &str, flat: &mut Flat) {
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            for name in properties.keys() {
                let at = format!("{place}/properties/{}", escaped(name));
                flat.members.entry(name.clone()).or_default().push(at);
            }
        }
        if let Some(required) = schema.get("required").and_then(Value::as_array) {
            flat.required.extend(required.iter().filter_map(Value::as_str).map(str::to_owned));
        }
        for word in ["additionalProperties", "unevaluatedProperties"] {
            if schema.get(word).is_some_and(Value::is_object) {
                flat.rest.push(format!("{place}/{word}"));
            }
        }
        flat.rest_is_mixed |= schema.contains_key("patternProperties");
        let words = ["properties", "additionalProperties", "unevaluatedProperties", "patternProperties"];
        flat.objects += usize::from(words.iter().any(|word| schema.contains_key(*word)));
    }

    fn add_array(self, schema: &Map<String, Value>, place: &str, flat: &mut Flat) {
        let (prefix, word) = match (schema.get("prefixItems"), schema.get("items")) {
            (Some(Value::Array(prefix)), _) => (prefix.len(), "prefixItems"),
            (_, Some(Value::Array(prefix))) => (prefix.len(), "items"),
            _ => (0, ""),
        };
        if prefix > 0 {
            flat.prefix.push((0..prefix).map(|index| format!("{place}/{word}/{index}")).collect());
        }
        if schema.get("items").is_some_and(Value::is_object) {
            flat.items.push(format!("{place}/items"));
        }
        flat.no_more_items |= prefix > 0
            && ["items", "additionalItems"].iter().any(|word| schema.get(*word) == Some(&Value::Bool(false)));
        let count = |word: &str| schema.get(word).and_then(Value::as_u64);
        flat.items_min = flat.items_min.max(count("minItems").unwrap_or(0));
        flat.items_max = flat.items_max.min(count("maxItems").unwrap_or(u64::MAX));
    }

    /// The place whose type stands for this one: that of a reference, or of the one part of an `allOf`, beside which
    /// nothing but notes stands.
    pub(super) fn stands_for(self, place: &str) -> Option<String> {
        let schema = self.at(place)?.as_object()?;
        let says =
            |word: &str| !matches!(word, "title" | "description" | "deprecated" | "default" | "examples" | "$comment");
        let mut words = schema.keys().filter(|word| says(word));
        let (word, None) = (words.next()?, words.next()) else { return None };
        match (word.as_str(), &schema[word]) {
            ("$ref", Value::String(target)) => self.resolve(target),
            ("allOf", Value::Array(parts)) if parts.len() == 1 => Some(format!("{place}/allOf/0")),
            _ => None,
        }
    }
}

impl Flat {
    /// The kinds that a value can have, as far as the schema or its form tells; none where nothing does.
    pub(super) fn kinds_told(&self) -> BTreeSet<Kind> {
        if let Some(values) = &self.values {
            return values.iter().map(Kind::of).collect();
        }
        if let Some(kinds) = &self.kinds {
            return kinds.clone();
        }
        let mut kinds = BTreeSet::new();
        if self.objects > 0 {
            kinds.insert(Kind::Object);
        }
        if !self.items.is_empty() || !self.prefix.is_empty() {
            kinds.insert(Kind::Array);
        }
        kinds
    }

    /// The one string that a value can be, where there is but one.
    pub(super) fn constant(&self) -> Option<&str> {
        match self.values.as_deref() {
            Some([Value::String(only)]) => Some(only),
            _ => None,
        }
    }
}

impl Notes {
    /// Takes over what a schema says for people, where nothing was said yet.
    pub(super) fn fill(&mut self, schema: &Map<String, Value>) {
        for (word, text) in [("title", &mut self.title), ("description", &mut self.description)] {
            if let (true, Some(said)) = (text.is_empty(), schema.get(word).and_then(Value::as_str)) {
                said.clone_into(text);
            }
        }
        self.deprecated |= schema.get("deprecated") == Some(&Value::Bool(true));
        if self.format.is_none() {
            self.format = schema.get("format").and_then(Value::as_str).map(str::to_owned);
        }
        if self.default.is_none() {
            self.default = schema.get("default").cloned();
        }
        if let (true, Some(Value::Array(examples))) = (self.examples.is_empty(), schema.get("examples")) {
            self.examples.clone_from(examples);
        }
    }
}

/// What both allow; a whole number is a number.
fn common(a: &BTreeSet<Kind>, b: &BTreeSet<Kind>) -> BTreeSet<Kind> {
    let allows = |kinds: &BTreeSet<Kind>, kind: Kind| {
        kinds.contains(&kind) || (kind == Kind::Integer && kinds.contains(&Kind::Number))
    };
    a.union(b).copied().filter(|kind| allows(a, *kind) && allows(b, *kind)).collect()
}

/// The place of the schema that calls itself by an anchor.
fn anchored(schema: &Value, anchor: &str, place: String) -> Option<String> {
    match schema {
        Value::Object(members) => {
            let is = |word: &str, text: &str| members.get(word).and_then(Value::as_str) == Some(text);
            if is("$anchor", anchor) || is("$id", &format!("#{anchor}")) {
                return Some(place);
            }
            members.iter().find_map(|(name, inner)| anchored(inner, anchor, format!("{place}/{}", escaped(name))))
        }
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(index, inner)| anchored(inner, anchor, format!("{place}/{index}")))
        }
        _ => None,
    }
}

/// A name as a segment of a pointer.
pub(in super::super) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}
