//! Reads a schema into formulas.
//!
//! What is not understood becomes an opaque atom, of which nothing can be proved but that it implies itself, and is
//! noted as a [`Gap`].

use std::collections::HashMap;
use std::rc::Rc;

use jsonschema::Draft;
use serde_json::{Map, Value};

use super::document::{Document, join};
use super::exact::{self, Bound, Exact};
use super::formula::{Arena, Atom, Constant, Declared, Formula, Id, Kind, Kinds};

/// Something in a schema that is not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gap {
    /// The pointer to it.
    pub(super) path: String,
    /// What it is.
    pub(super) reason: String,
}

/// Schemas nested deeper than this are not read.
const DEPTH_MAX: usize = 128;

/// What a keyword says with its number, and with the flag that draft 4 puts beside it.
type OfNumber = fn(Exact, bool) -> Atom;

/// Reads one document.
pub(super) struct Reader<'a> {
    pub(super) arena: &'a mut Arena,
    pub(super) document: &'a Document,
    pub(super) gaps: Vec<Gap>,
    /// Tells the documents of one arena apart.
    number: usize,
    slots: HashMap<String, u32>,
    unread: Vec<(String, u32)>,
    read: HashMap<String, Id>,
    depth: usize,
}

/// One schema object on the way.
#[derive(Clone, Copy)]
pub(super) struct Schema<'s> {
    pub(super) members: &'s Map<String, Value>,
    pub(super) at: &'s str,
}

impl<'s> Schema<'s> {
    pub(super) fn path(&self, keyword: &str) -> String {
        join(self.at, keyword)
    }

    pub(super) fn get(&self, keyword: &str) -> Option<&'s Value> {
        self.members.get(keyword)
    }
}

/// A document as formulas.
pub(super) struct Read {
    pub(super) root: Id,
    /// The schemas at the places that were asked for.
    pub(super) places: Vec<Id>,
    /// What of it was not understood.
    pub(super) gaps: Vec<Gap>,
}

/// Reads a document whole.
pub(super) fn read(arena: &mut Arena, document: &Document, places: &[String]) -> Read {
    let number = arena.next_document();
    let mut reader = Reader {
        arena,
        number,
        document,
        gaps: Vec::new(),
        slots: HashMap::new(),
        unread: Vec::new(),
        read: HashMap::new(),
        depth: 0,
    };
    let root = reader.schema("");
    reader.read_deferred();
    let places = places.iter().map(|at| reader.schema(at)).collect();
    reader.read_deferred();
    Read { root, places, gaps: reader.gaps }
}

impl Reader<'_> {
    fn read_deferred(&mut self) {
        while let Some((pointer, slot)) = self.unread.pop() {
            let id = self.schema(&pointer);
            self.arena.fill(slot, id);
        }
    }

    /// The schema at a pointer.
    pub(super) fn schema(&mut self, at: &str) -> Id {
        if let Some(id) = self.read.get(at) {
            return *id;
        }
        let document = self.document;
        self.depth += 1;
        let id = match document.at(at) {
            _ if self.depth > DEPTH_MAX => self.gap(at, "the schema is nested too deeply"),
            Some(Value::Bool(true)) => Arena::TRUE,
            Some(Value::Bool(false)) => Arena::FALSE,
            Some(Value::Object(members)) => self.object(Schema { members, at }),
            _ => self.gap(at, "what stands there is not a schema"),
        };
        self.depth -= 1;
        self.read.insert(at.to_owned(), id);
        id
    }

    /// An atom for something that is not understood. It says the same as another one only where the whole schema that
    /// holds it is the same: keywords depend on those beside them. What a reference beside it means is known only
    /// within the document.
    pub(super) fn gap(&mut self, path: &str, reason: &str) -> Id {
        self.gaps.push(Gap { path: path.to_owned(), reason: reason.to_owned() });
        let holder = path.rsplit_once('/').map_or("", |(holder, _)| holder);
        let text = match self.document.at(holder) {
            Some(value) if !mentions_references(value) => {
                format!("{:?} {path} in {}", self.document.draft, exact::canonical(value))
            }
            _ => format!("{path} of document {}", self.number),
        };
        self.arena.atom(Atom::Opaque(text.into()))
    }

    fn object(&mut self, schema: Schema<'_>) -> Id {
        let reference = schema.get("$ref").and_then(Value::as_str).map(|text| self.reference(text, schema));
        if let (Some(reference), true) = (reference, self.document.lone_references()) {
            return reference;
        }
        let mut parts: Vec<Id> = reference.into_iter().collect();
        for keyword in ["$dynamicRef", "$recursiveRef"] {
            if schema.get(keyword).is_some() {
                parts.push(self.gap(&schema.path(keyword), "dynamic references are not understood"));
            }
        }
        self.any_kind(schema, &mut parts);
        self.numbers(schema, &mut parts);
        self.texts(schema, &mut parts);
        self.arrays(schema, &mut parts);
        self.objects(schema, &mut parts);
        self.combinations(schema, &mut parts);
        self.unevaluated(schema, &mut parts);
        self.arena.and(parts)
    }

    fn reference(&mut self, reference: &str, schema: Schema<'_>) -> Id {
        let Some(pointer) = self.document.resolve(reference, schema.at) else {
            return self.gap(&schema.path("$ref"), &format!("the reference {reference} leads out of the document"));
        };
        self.deferred(pointer)
    }

    /// The schema at a pointer, read later: it may be one that is being read.
    pub(super) fn deferred(&mut self, pointer: String) -> Id {
        let slot = match self.slots.get(&pointer) {
            Some(slot) => *slot,
            None => {
                let slot = self.arena.slot();
                self.slots.insert(pointer.clone(), slot);
                self.unread.push((pointer, slot));
                slot
            }
        };
        self.arena.add(Formula::Ref(slot))
    }

    fn any_kind(&mut self, schema: Schema<'_>, parts: &mut Vec<Id>) {
        if let Some(value) = schema.get("type") {
            let words: Vec<&str> = match value {
                Value::String(word) => vec![word],
                Value::Array(words) => words.iter().filter_map(Value::as_str).collect(),
                _ => Vec::new(),
            };
            parts.push(self.kinds(schema, &words));
        }
        if let Some(Value::Array(values)) = schema.get("enum") {
            let values = values.iter().cloned().map(Constant::new).collect();
            parts.push(self.arena.atom(Atom::Values(values)));
        }
        if let Some(value) = schema.get("const").filter(|_| self.document.draft > Draft::Draft4) {
            parts.push(self.arena.atom(Atom::Values([Constant::new(value.clone())].into())));
        }
    }

    fn kinds(&mut self, schema: Schema<'_>, words: &[&str]) -> Id {
        let mut kinds = Kinds::NONE;
        for word in words {
            kinds = match *word {
                "null" => kinds.with(Kind::Null),
                "boolean" => kinds.with(Kind::Boolean),
                "number" | "integer" => kinds.with(Kind::Number),
                "string" => kinds.with(Kind::Text),
                "array" => kinds.with(Kind::Array),
                "object" => kinds.with(Kind::Object),
                _ => return self.gap(&schema.path("type"), &format!("the type {word} is not understood")),
            };
        }
        let mut parts = vec![self.arena.kinds(kinds)];
        if words.contains(&"integer") && !words.contains(&"number") {
            parts.push(self.arena.atom(Atom::Multiple(exact::whole(1))));
            if self.document.draft == Draft::Draft4 {
                parts.push(self.arena.atom(Atom::Opaque("an integer of draft 4, which 1.0 is not".into())));
            }
        }
        self.arena.and(parts)
    }

    fn numbers(&mut self, schema: Schema<'_>, parts: &mut Vec<Id>) {
        let flag = |keyword| schema.get(keyword) == Some(&Value::Bool(true)) && self.document.draft == Draft::Draft4;
        let flags = (flag("exclusiveMinimum"), flag("exclusiveMaximum"));
        let numbers: [(&str, OfNumber, bool); 5] = [
            ("minimum", |at, open| Atom::From(Bound { at, open }), flags.0),
            ("maximum", |at, open| Atom::UpTo(Bound { at, open }), flags.1),
            ("exclusiveMinimum", |at, _| Atom::From(Bound { at, open: true }), false),
            ("exclusiveMaximum", |at, _| Atom::UpTo(Bound { at, open: true }), false),
            ("multipleOf", |of, _| Atom::Multiple(of), false),
        ];
        for (keyword, atom, open) in numbers {
            if let Some(Value::Number(number)) = schema.get(keyword) {
                parts.push(match exact::of(number) {
                    Some(exact) if keyword == "multipleOf" && !exact::is_divisor(&exact) => {
                        self.gap(&schema.path(keyword), "validators do not calculate multiples of this exactly")
                    }
                    Some(exact) => self.arena.atom(atom(exact, open)),
                    None => self.gap(&schema.path(keyword), "the number is too large to be compared"),
                });
            }
        }
    }

    fn texts(&mut self, schema: Schema<'_>, parts: &mut Vec<Id>) {
        self.counts(schema, "minLength", Atom::LengthMin, parts);
        self.counts(schema, "maxLength", Atom::LengthMax, parts);
        if let Some(Value::String(pattern)) = schema.get("pattern") {
            parts.push(self.arena.atom(Atom::Pattern(pattern.as_str().into())));
        }
        if let Some(Value::String(format)) = schema.get("format")
            && jsonschema::options().is_known_format(self.document.draft, format)
        {
            // What a draft 4 or 6 calls a host name is not what later drafts call one.
            let name = match self.document.draft {
                Draft::Draft4 | Draft::Draft6 if format == "hostname" => {
                    return parts.push(self.gap(&schema.path("format"), "an older draft's hostname is not understood"));
                }
                _ => format.as_str().into(),
            };
            parts.push(self.arena.atom(Atom::Format(name)));
        }
        // Only the middle drafts have them asserted; elsewhere they are annotations.
        if matches!(self.document.draft, Draft::Draft6 | Draft::Draft7) {
            for keyword in ["contentEncoding", "contentMediaType"] {
                if let Some(value) = schema.get(keyword) {
                    self.gaps.push(Gap {
                        path: schema.path(keyword),
                        reason: format!("{keyword} can only be compared with itself"),
                    });
                    let atom = Atom::Opaque(format!("{keyword} {value}").into());
                    let text = self.arena.kinds(Kinds::NONE.with(Kind::Text));
                    let other = self.arena.not(text);
                    let content = self.arena.atom(atom);
                    parts.push(self.arena.or(vec![other, content]));
                }
            }
        }
    }

    fn counts(&mut self, schema: Schema<'_>, keyword: &str, atom: fn(u64) -> Atom, parts: &mut Vec<Id>) {
        if let Some(value) = schema.get(keyword) {
            parts.push(match count(value) {
                Some(count) => self.arena.atom(atom(count)),
                None => self.gap(&schema.path(keyword), "the count is not understood"),
            });
        }
    }

    fn arrays(&mut self, schema: Schema<'_>, parts: &mut Vec<Id>) {
        self.counts(schema, "minItems", Atom::ItemsMin, parts);
        self.counts(schema, "maxItems", Atom::ItemsMax, parts);
        if schema.get("uniqueItems") == Some(&Value::Bool(true)) {
            parts.push(self.arena.atom(Atom::Unique));
        }
        let latest = self.document.draft == Draft::Draft202012;
        let (tuple, rest) = if latest { ("prefixItems", "items") } else { ("items", "additionalItems") };
        match schema.get(tuple) {
            Some(Value::Array(items)) => {
                for index in 0..items.len() {
                    let id = self.schema(&format!("{}/{index}", schema.path(tuple)));
                    parts.push(self.arena.atom(Atom::Item(index as u64, id)));
                }
                self.items_from(schema, rest, items.len() as u64, parts);
            }
            Some(_) if !latest => self.items_from(schema, tuple, 0, parts),
            _ if latest => self.items_from(schema, rest, 0, parts),
            _ => {}
        }
        if schema.get("contains").is_some() && self.document.draft > Draft::Draft4 {
            self.contains(schema, parts);
        }
    }

    fn items_from(&mut self, schema: Schema<'_>, keyword: &str, from: u64, parts: &mut Vec<Id>) {
        if schema.get(keyword).is_some() {
            let id = self.schema(&schema.path(keyword));
            parts.push(self.arena.atom(Atom::ItemsFrom(from, id)));
        }
    }

    fn contains(&mut self, schema: Schema<'_>, parts: &mut Vec<Id>) {
        let id = self.schema(&schema.path("contains"));
        let latest = self.document.draft == Draft::Draft202012;
        let bound = |keyword| schema.get(keyword).filter(|_| latest);
        let least = bound("minContains").map_or(Some(1), count);
        let most = bound("maxContains").map(count);
        match (least, most) {
            (None, _) | (_, Some(None)) => parts.push(self.gap(schema.at, "the count is not understood")),
            (Some(least), most) => {
                parts.push(self.arena.atom(Atom::ContainsMin(id, least)));
                if let Some(Some(most)) = most {
                    parts.push(self.arena.atom(Atom::ContainsMax(id, most)));
                }
            }
        }
    }

    fn objects(&mut self, schema: Schema<'_>, parts: &mut Vec<Id>) {
        self.counts(schema, "minProperties", Atom::MembersMin, parts);
        self.counts(schema, "maxProperties", Atom::MembersMax, parts);
        if let Some(Value::Array(names)) = schema.get("required") {
            for name in names.iter().filter_map(Value::as_str) {
                parts.push(self.arena.atom(Atom::Has(name.into())));
            }
        }
        let mut declared = Declared { names: Vec::new(), patterns: Vec::new() };
        for name in keys(schema.get("properties")) {
            let id = self.schema(&join(&schema.path("properties"), name));
            let name: Rc<str> = name.as_str().into();
            parts.push(self.arena.atom(Atom::Member(name.clone(), id)));
            declared.names.push(name);
        }
        for pattern in keys(schema.get("patternProperties")) {
            let id = self.schema(&join(&schema.path("patternProperties"), pattern));
            let pattern: Rc<str> = pattern.as_str().into();
            parts.push(self.arena.atom(Atom::Matching(pattern.clone(), id)));
            declared.patterns.push(pattern);
        }
        if schema.get("additionalProperties").is_some() {
            let id = self.schema(&schema.path("additionalProperties"));
            parts.push(self.others(declared, id));
        }
        if schema.get("propertyNames").is_some() && self.document.draft > Draft::Draft4 {
            let id = self.schema(&schema.path("propertyNames"));
            parts.push(self.arena.atom(Atom::Names(id)));
        }
        self.dependencies(schema, parts);
    }

    /// All members but the declared ones are like that.
    pub(super) fn others(&mut self, mut declared: Declared, id: Id) -> Id {
        if id == Arena::TRUE {
            return id;
        }
        for list in [&mut declared.names, &mut declared.patterns] {
            list.sort();
            list.dedup();
        }
        self.arena.atom(Atom::Others(declared.into(), id))
    }

    /// What is demanded where a member is there: further members, or a schema.
    fn dependencies(&mut self, schema: Schema<'_>, parts: &mut Vec<Id>) {
        for keyword in ["dependencies", "dependentRequired", "dependentSchemas"] {
            let known = keyword == "dependencies" || self.document.draft == Draft::Draft202012;
            let Some(Value::Object(triggers)) = schema.get(keyword).filter(|_| known) else { continue };
            for (trigger, consequence) in triggers {
                let consequence = if let Value::Array(names) = consequence {
                    let names = names.iter().filter_map(Value::as_str).map(|name| Atom::Has(name.into()));
                    let names = names.map(|atom| self.arena.atom(atom)).collect();
                    self.arena.and(names)
                } else {
                    self.schema(&join(&schema.path(keyword), trigger))
                };
                let absent = self.lacks(trigger);
                parts.push(self.arena.or(vec![absent, consequence]));
            }
        }
    }

    /// The document is not an object that has the member.
    fn lacks(&mut self, name: &str) -> Id {
        let has = self.has(name);
        self.arena.not(has)
    }

    /// The document is an object that has the member.
    pub(super) fn has(&mut self, name: &str) -> Id {
        let object = self.arena.kinds(Kinds::NONE.with(Kind::Object));
        let has = self.arena.atom(Atom::Has(name.into()));
        self.arena.and(vec![object, has])
    }

    fn combinations(&mut self, schema: Schema<'_>, parts: &mut Vec<Id>) {
        for (keyword, combine) in
            [("allOf", Arena::and as fn(&mut Arena, Vec<Id>) -> Id), ("anyOf", Arena::or), ("oneOf", Arena::one)]
        {
            if let Some(Value::Array(branches)) = schema.get(keyword) {
                let path = schema.path(keyword);
                let ids = (0..branches.len()).map(|index| self.schema(&format!("{path}/{index}"))).collect();
                parts.push(combine(self.arena, ids));
            }
        }
        if schema.get("not").is_some() {
            let id = self.schema(&schema.path("not"));
            parts.push(self.arena.not(id));
        }
        if schema.get("if").is_some() && self.document.draft >= Draft::Draft7 {
            let condition = self.schema(&schema.path("if"));
            let opposite = self.arena.not(condition);
            for (keyword, unless) in [("then", opposite), ("else", condition)] {
                if schema.get(keyword).is_some() {
                    let id = self.schema(&schema.path(keyword));
                    parts.push(self.arena.or(vec![unless, id]));
                }
            }
        }
    }
}

/// The names of an object's members.
pub(super) fn keys(value: Option<&Value>) -> impl Iterator<Item = &String> {
    value.and_then(Value::as_object).into_iter().flat_map(Map::keys)
}

/// A count, which may be written as `5.0`.
fn count(value: &Value) -> Option<u64> {
    let Value::Number(number) = value else { return None };
    let exact = exact::of(number).filter(Exact::is_integer)?;
    u64::try_from(exact.to_integer()).ok()
}

fn mentions_references(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(mentions_references),
        Value::Object(members) => {
            members.iter().any(|(name, value)| name.contains("Ref") || name == "$ref" || mentions_references(value))
        }
        _ => false,
    }
}
