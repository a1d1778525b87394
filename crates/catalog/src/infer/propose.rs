//! The schema of what was seen.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::node::{Node, Objects};
use super::personal;
use crate::definition::{Action, Class, Classification, Pointer};
use crate::limits::CLASSIFIED_MAX;
use crate::pointer::WILDCARD;

/// Names from which on an object may be a map, if no name is usual and all members are alike.
const MAP_NAMES_MIN: usize = 20;
/// Names from which on an object is a map if they all look like ids.
const MAP_IDS_MIN: usize = 3;
/// Values that a description names.
const VALUES_TOLD_MAX: usize = 8;

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Detail {
    /// That it is an object.
    Object,
    /// The members of `data`, and not what stands inside of them.
    Members,
    /// Everything but descriptions and values.
    Bare,
    /// Everything but examples.
    Described,
    /// Everything.
    Full,
}

impl Detail {
    /// All of them, the most first.
    pub(super) const ALL: [Self; 5] = [Self::Full, Self::Described, Self::Bare, Self::Members, Self::Object];
}

/// The schema of `data`, and what of it looks personal.
pub(super) fn schema(data: &Node, detail: Detail, classification: &mut BTreeMap<Pointer, Classification>) -> Value {
    let mut schema = Map::from_iter([("type".to_owned(), Value::from("object"))]);
    if let Some(objects) = data.objects.as_ref().filter(|_| detail > Detail::Object) {
        let mut writer = Writer { detail, classification };
        writer.object(objects, &Pointer::of::<String>([]), false, &mut schema);
    }
    Value::Object(schema)
}

struct Writer<'a> {
    detail: Detail,
    classification: &'a mut BTreeMap<Pointer, Classification>,
}

impl Writer<'_> {
    /// Writes what is known of a place. `told` says that what holds it is classified already.
    fn place(&mut self, node: &Node, at: &Pointer, told: bool) -> Value {
        let name = at.segments().last().map_or("", String::as_str);
        let format = node.strings.as_ref().and_then(|strings| strings.format());
        let class = personal::guess(name, at.parent().as_ref(), format).filter(|_| !told);
        let classified = told || class.is_some();
        if let Some(class) = class.filter(|_| self.classification.len() < CLASSIFIED_MAX) {
            self.classification.insert(at.clone(), Classification { class, action: action(class) });
        }
        let mut schema = Map::new();
        let kinds = node.kinds();
        if !kinds.is_empty() {
            let all: Vec<&str> = kinds.iter().copied().chain((node.nulls > 0).then_some("null")).collect();
            let types = if let [only] = all[..] { Value::from(only) } else { Value::from(all) };
            schema.insert("type".to_owned(), types);
            self.inside(node, at, classified, &mut schema);
        }
        if self.detail >= Detail::Described {
            self.describe(node, &kinds, classified, &mut schema);
        }
        Value::Object(schema)
    }

    fn inside(&mut self, node: &Node, at: &Pointer, classified: bool, schema: &mut Map<String, Value>) {
        if let Some(format) = node.strings.as_ref().and_then(|strings| strings.format()) {
            schema.insert("format".to_owned(), Value::from(format));
        }
        if self.detail == Detail::Members {
            return;
        }
        if let Some(objects) = &node.objects {
            self.object(objects, at, classified, schema);
        }
        if let Some(elements) = node.arrays.as_ref().map(|arrays| &arrays.elements).filter(|e| e.seen > 0 || e.opaque) {
            schema.insert("items".to_owned(), self.place(elements, &at.join(WILDCARD), classified));
        }
    }

    fn object(&mut self, objects: &Objects, at: &Pointer, classified: bool, schema: &mut Map<String, Value>) {
        if let Some(any) = as_map(objects) {
            let members = self.place(&any, &at.join(WILDCARD), classified);
            schema.insert("additionalProperties".to_owned(), members);
            return;
        }
        let required = objects.members.iter().filter(|(_, node)| node.seen == objects.seen && objects.seen > 0);
        let required: Vec<&str> = required.map(|(name, _)| name.as_str()).collect();
        if !required.is_empty() {
            schema.insert("required".to_owned(), Value::from(required));
        }
        let mut properties = Map::new();
        for (name, node) in &objects.members {
            // A member that is called `*` cannot be pointed to, so it cannot be classified.
            let told = classified || name == WILDCARD;
            properties.insert(name.clone(), self.place(node, &at.join(name), told));
        }
        if !properties.is_empty() {
            schema.insert("properties".to_owned(), Value::Object(properties));
        }
    }

    /// Says what the schema cannot, and proposes the values of a small set.
    fn describe(&self, node: &Node, kinds: &[&str], classified: bool, schema: &mut Map<String, Value>) {
        let mut text = String::from("Say what this is.");
        if node.opaque {
            text.push_str(" More was seen here than can be told.");
        } else if kinds.is_empty() {
            text.push_str(if node.nulls > 0 { " Only null was seen." } else { " Nothing was seen." });
        }
        if let Some(strings) = node.strings.as_ref().filter(|_| kinds == ["string"] && !classified) {
            let few = strings.seen_values();
            if let Some(values) = strings.values() {
                let null = (node.nulls > 0).then_some(Value::Null);
                let values: Vec<Value> = values.into_iter().map(Value::from).chain(null).collect();
                schema.insert("enum".to_owned(), Value::from(values));
            } else if !few.is_empty() {
                let more = if few.len() > VALUES_TOLD_MAX { " and others" } else { "" };
                let few = few.iter().take(VALUES_TOLD_MAX).copied().collect::<Vec<_>>().join(", ");
                text.push_str(&format!(" Seen so far: {few}{more}; too few to say that there are no others."));
            }
        }
        if schema.get("additionalProperties").is_some_and(Value::is_object) {
            text.push_str(" The names of its members vary.");
        }
        schema.insert("description".to_owned(), Value::from(text));
    }
}

/// What all members together are, where their names are no part of the language.
fn as_map(objects: &Objects) -> Option<Node> {
    // What was left out may be of another kind than what is told.
    if objects.left_out {
        return None;
    }
    if let Some(any) = &objects.any {
        return Some((**any).clone());
    }
    let members = &objects.members;
    let ids = members.len() >= MAP_IDS_MIN && members.keys().all(|name| personal::is_id(name));
    let named_by_people = members.keys().any(|name| personal::is_address(name));
    let mut kinds = members.values().map(Node::kinds);
    let first = kinds.next();
    let alike = kinds.all(|kinds| first.as_ref() == Some(&kinds));
    let unusual = members.values().all(|node| node.seen * 2 < objects.seen);
    if !(named_by_people || ids || members.len() >= MAP_NAMES_MIN && alike && unusual) {
        return None;
    }
    let mut any = Node::default();
    members.values().for_each(|node| any.merge(node.clone()));
    Some(any)
}

fn action(class: Class) -> Action {
    match class {
        Class::Public | Class::Internal => Action::Keep,
        Class::Pii | Class::Phi => Action::Redact,
        Class::Secret => Action::Drop,
    }
}

/// The member of `data` that names the person, where there is one that always does and something is personal.
pub(super) fn subject(schema: &Value, classification: &BTreeMap<Pointer, Classification>) -> Option<Pointer> {
    let personal = classification.values().any(|is| matches!(is.class, Class::Pii | Class::Phi));
    let names = ["person_id", "patient_id", "customer_id", "contact_id", "user_id", "member_id", "employee_id"];
    let required = schema.get("required").and_then(Value::as_array).filter(|_| personal)?;
    let is_text = |name: &str| schema["properties"][name]["type"] == json!("string");
    let name = names.into_iter().find(|name| required.iter().any(|known| known == name) && is_text(name))?;
    Some(Pointer::of([name]))
}
