//! Writes definitions, sets and policies in their canonical form.

use serde_json::{Map, Value, json};

use super::yaml::emit;
use crate::definition::Compatibility;
use crate::definition::{Classification, Conversion, Definition, Lifecycle, Ordering, Stage, Step, Transitions};
use crate::entry::{Policy, Set};

/// A value whose members keep their order.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Out {
    Value(Value),
    List(Vec<Out>),
    Map(Vec<(String, Out)>),
}

impl Out {
    fn text(text: impl Into<String>) -> Self {
        Self::Value(Value::String(text.into()))
    }

    fn into_value(self) -> Value {
        match self {
            Self::Value(value) => value,
            Self::List(items) => Value::Array(items.into_iter().map(Self::into_value).collect()),
            Self::Map(members) => Value::Object(
                members.into_iter().map(|(name, value)| (name, value.into_value())).collect::<Map<_, _>>(),
            ),
        }
    }
}

/// The members of an object, in order, without those that say nothing.
#[derive(Default)]
struct Members(Vec<(String, Out)>);

impl Members {
    fn add(&mut self, name: &str, value: Out) {
        self.0.push((name.to_owned(), value));
    }

    fn text(&mut self, name: &str, text: &(impl ToString + ?Sized)) {
        self.add(name, Out::text(text.to_string()));
    }

    fn list(&mut self, name: &str, items: Vec<Out>) {
        if !items.is_empty() {
            self.add(name, Out::List(items));
        }
    }

    fn done(self) -> Out {
        Out::Map(self.0)
    }
}

/// Writes a definition as YAML that reads back as the same definition. What is as it would be by default is left out.
#[must_use]
pub fn write(definition: &Definition) -> String {
    emit(&definition_out(definition))
}

/// Writes a set as YAML.
#[must_use]
pub fn write_set(set: &Set) -> String {
    emit(&set_out(set))
}

/// Writes a policy as YAML.
#[must_use]
pub fn write_policy(policy: &Policy) -> String {
    emit(&policy_out(policy))
}

/// A definition as JSON, with the members that its source would have.
#[must_use]
pub fn to_value(definition: &Definition) -> Value {
    definition_out(definition).into_value()
}

/// A set as JSON.
#[must_use]
pub fn set_value(set: &Set) -> Value {
    set_out(set).into_value()
}

/// A policy as JSON.
#[must_use]
pub fn policy_value(policy: &Policy) -> Value {
    policy_out(policy).into_value()
}

fn definition_out(definition: &Definition) -> Out {
    let mut members = Members::default();
    members.text("name", &definition.name);
    members.text("version", &definition.version);
    members.text("owner", &definition.owner);
    if !definition.description.is_empty() {
        members.text("description", &definition.description);
    }
    members.add("lifecycle", lifecycle(&definition.lifecycle));
    if definition.ordering != Ordering::Entity {
        members.text("ordering", &definition.ordering);
    }
    if let Some(retention) = definition.retention {
        members.text("retention", &retention);
    }
    if let Some(entity) = &definition.entity {
        let mut rule = Members::default();
        rule.text("type", &entity.kind);
        if let Some(id) = &entity.id {
            rule.text("id", &id);
        }
        members.add("entity", rule.done());
    }
    if let Some(subject) = &definition.subject {
        members.text("subject", &subject);
    }
    if !definition.classification.is_empty() {
        let fields = definition.classification.iter();
        members
            .add("classification", Out::Map(fields.map(|(at, class)| (at.to_string(), classified(*class))).collect()));
    }
    if definition.compatibility != Compatibility::Published {
        members.text("compatibility", &definition.compatibility);
    }
    if let Some(reason) = &definition.name_exception {
        members.text("name_exception", &reason);
    }
    members.add("schema", schema(&definition.schema));
    members.list(
        "examples",
        definition
            .examples
            .iter()
            .map(|example| {
                let mut members = Members::default();
                members.text("name", &example.name);
                members.add("data", Out::Value(example.data.clone()));
                members.done()
            })
            .collect(),
    );
    members.list(
        "rules",
        definition
            .rules
            .iter()
            .map(|rule| {
                let mut members = Members::default();
                members.text("name", &rule.name);
                members.text("check", &rule.check);
                members.text("message", &rule.message);
                members.done()
            })
            .collect(),
    );
    members
        .list("transitions", definition.transitions.iter().map(|machine| transitions(machine, definition)).collect());
    if let Some(upcast) = &definition.upcast {
        members.add("upcast", conversion("from", upcast));
    }
    if let Some(downcast) = &definition.downcast {
        members.add("downcast", conversion("to", downcast));
    }
    members.done()
}

fn lifecycle(lifecycle: &Lifecycle) -> Out {
    if lifecycle.stage != Stage::Deprecated || (lifecycle.sunset.is_none() && lifecycle.successor.is_none()) {
        return Out::text(lifecycle.stage.as_str());
    }
    let mut members = Members::default();
    members.text("stage", &lifecycle.stage);
    if let Some(sunset) = lifecycle.sunset {
        members.text("sunset", &sunset);
    }
    if let Some((name, version)) = &lifecycle.successor {
        members.text("successor", &format!("{name}@{version}"));
    }
    members.done()
}

fn classified(classification: Classification) -> Out {
    if classification.action == classification.class.default_action() {
        return Out::text(classification.class.as_str());
    }
    let mut members = Members::default();
    members.text("class", &classification.class);
    members.text("action", &classification.action);
    members.done()
}

fn texts(items: &[String]) -> Out {
    Out::Value(json!(items))
}

fn transitions(machine: &Transitions, definition: &Definition) -> Out {
    let mut members = Members::default();
    members.text("field", &machine.field);
    if machine.of != [definition.name.clone()] {
        members.add("of", Out::List(machine.of.iter().map(|name| Out::text(name.as_str())).collect()));
    }
    if !machine.initial.is_empty() {
        members.add("initial", texts(&machine.initial));
    }
    let moves = machine.moves.iter().map(|(from, to)| (from.clone(), texts(to)));
    members.add("moves", Out::Map(moves.collect()));
    members.done()
}

fn conversion(other: &str, conversion: &Conversion) -> Out {
    let mut members = Members::default();
    members.text(other, &conversion.other);
    members.add("steps", Out::List(conversion.steps.iter().map(step).collect()));
    members.list(
        "tests",
        conversion
            .tests
            .iter()
            .map(|test| {
                let mut members = Members::default();
                members.add("from", Out::Value(test.from.clone()));
                members.add("to", Out::Value(test.to.clone()));
                members.done()
            })
            .collect(),
    );
    members.done()
}

fn step(step: &Step) -> Out {
    let mut members = Members::default();
    let name = match step {
        Step::Move { from, to } | Step::Copy { from, to } => {
            members.text("from", &from);
            members.text("to", &to);
            if matches!(step, Step::Move { .. }) { "move" } else { "copy" }
        }
        Step::Set { at, value } | Step::Default { at, value } => {
            members.text("at", &at);
            members.add("value", Out::Value(value.clone()));
            if matches!(step, Step::Set { .. }) { "set" } else { "default" }
        }
        Step::Remove { at } => {
            members.text("at", &at);
            "remove"
        }
        Step::Map { at, values, otherwise } => {
            members.text("at", &at);
            let values = values.iter().map(|(from, to)| (from.clone(), Out::Value(to.clone())));
            members.add("values", Out::Map(values.collect()));
            if let Some(otherwise) = otherwise {
                members.add("otherwise", Out::Value(otherwise.clone()));
            }
            "map"
        }
        Step::Compute { at, expression } => {
            members.text("at", &at);
            members.text("value", &expression);
            "compute"
        }
    };
    Out::Map(vec![(name.to_owned(), members.done())])
}

/// The keywords of a schema in the order in which they read best; all others follow by name.
const KEYWORDS: &[&str] = &[
    "$schema",
    "$id",
    "$anchor",
    "$ref",
    "title",
    "description",
    "type",
    "const",
    "enum",
    "format",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "exclusiveMinimum",
    "maximum",
    "exclusiveMaximum",
    "multipleOf",
    "required",
    "properties",
    "patternProperties",
    "additionalProperties",
    "items",
];

/// Keywords that hold schemas under names.
const NAMED: &[&str] = &["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];

/// Keywords that hold values.
const VALUES: &[&str] = &["const", "enum", "default", "examples", "required", "dependentRequired", "type"];

fn schema(value: &Value) -> Out {
    match value {
        Value::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            let rank = |name: &str| KEYWORDS.iter().position(|keyword| *keyword == name).unwrap_or(KEYWORDS.len());
            names.sort_by_key(|name| (rank(name), *name));
            Out::Map(names.into_iter().map(|name| (name.clone(), keyword(name, &members[name]))).collect())
        }
        Value::Array(items) => Out::List(items.iter().map(schema).collect()),
        other => Out::Value(other.clone()),
    }
}

fn keyword(name: &str, value: &Value) -> Out {
    match value {
        _ if VALUES.contains(&name) => Out::Value(value.clone()),
        Value::Object(members) if NAMED.contains(&name) => {
            Out::Map(members.iter().map(|(name, value)| (name.clone(), schema(value))).collect())
        }
        _ => schema(value),
    }
}

fn set_out(set: &Set) -> Out {
    let mut members = Members::default();
    members.text("name", &set.name);
    if !set.description.is_empty() {
        members.text("description", &set.description);
    }
    members.add("values", Out::List(set.values.iter().cloned().map(Out::Value).collect()));
    members.done()
}

fn policy_out(policy: &Policy) -> Out {
    let mut members = Members::default();
    members.text("name", &policy.name);
    for (name, value) in [("tenant", &policy.tenant), ("types", &policy.types)] {
        if let Some(value) = value {
            members.text(name, &value);
        }
    }
    for (name, value) in [("known", policy.known), ("unknown", policy.unknown)] {
        if let Some(value) = value {
            members.text(name, &value);
        }
    }
    members.done()
}
