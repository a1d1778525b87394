//! `unevaluatedProperties` and `unevaluatedItems`: what of a document the schemas beside them speak of.
//!
//! A member counts as evaluated if some schema that applies to the object, and that the object fulfils, declares it. So
//! for each declared name it is known under which conditions it counts, and the keyword becomes a formula over those.

use std::rc::Rc;

use jsonschema::Draft;
use serde_json::Value;

use super::document::join;
use super::formula::{Arena, Atom, Declared, Id};
use super::read::{Reader, Schema, keys};

/// Under these conditions, all of them.
type Conditions = Vec<Id>;

/// What is evaluated, and when.
#[derive(Default)]
struct Evaluated {
    names: Vec<(Rc<str>, Conditions)>,
    patterns: Vec<(Rc<str>, Conditions)>,
    all_members: Vec<Conditions>,
    /// Elements before this index are, whatever holds.
    items: u64,
    all_items: bool,
    /// Elements may count as evaluated in ways that are not followed.
    vague_items: bool,
    /// There is something that is not followed at all.
    vague: bool,
}

impl Reader<'_> {
    /// Adds what the two keywords say.
    pub(super) fn unevaluated(&mut self, schema: Schema<'_>, parts: &mut Vec<Id>) {
        if self.document.draft != Draft::Draft202012 {
            return;
        }
        let keywords = ["unevaluatedProperties", "unevaluatedItems"].map(|keyword| schema.get(keyword).is_some());
        if keywords == [false, false] {
            return;
        }
        let mut evaluated = Evaluated::default();
        self.collect(schema.at, true, &Vec::new(), &mut Vec::new(), &mut evaluated);
        if keywords[0] {
            let path = schema.path("unevaluatedProperties");
            let id = self.schema(&path);
            let formula = self.members_formula(&evaluated, id);
            parts.push(formula.unwrap_or_else(|| self.gap(&path, "unevaluatedProperties depends on too much here")));
        }
        if keywords[1] {
            let path = schema.path("unevaluatedItems");
            let id = self.schema(&path);
            if evaluated.vague || evaluated.vague_items {
                parts.push(self.gap(&path, "unevaluatedItems depends on too much here"));
            } else if !evaluated.all_items {
                parts.push(self.arena.atom(Atom::ItemsFrom(evaluated.items, id)));
            }
        }
    }

    /// Every member that is not evaluated is like that. `None` where that is not followed.
    fn members_formula(&mut self, evaluated: &Evaluated, id: Id) -> Option<Id> {
        if evaluated.all_members.iter().any(Vec::is_empty) {
            return Some(Arena::TRUE);
        }
        if evaluated.vague || evaluated.patterns.iter().any(|(_, conditions)| !conditions.is_empty()) {
            return None;
        }
        let declared = Declared {
            names: evaluated.names.iter().map(|(name, _)| name.clone()).collect(),
            patterns: evaluated.patterns.iter().map(|(pattern, _)| pattern.clone()).collect(),
        };
        // A name that a pattern matches is evaluated whatever its own conditions; to tell is not worth it.
        if !declared.patterns.is_empty() && evaluated.names.iter().any(|(_, conditions)| !conditions.is_empty()) {
            return None;
        }
        let mut all = vec![self.others(declared.clone(), id)];
        for name in &declared.names {
            let ways: Vec<_> = evaluated.names.iter().filter(|(other, _)| other == name).collect();
            if ways.iter().any(|(_, conditions)| conditions.is_empty()) {
                continue;
            }
            let mut either = vec![self.arena.atom(Atom::Member(name.clone(), id))];
            either.extend(ways.into_iter().map(|(_, conditions)| self.arena.and(conditions.clone())));
            all.push(self.arena.or(either));
        }
        let mut either = vec![self.arena.and(all)];
        either.extend(evaluated.all_members.iter().map(|conditions| self.arena.and(conditions.clone())));
        Some(self.arena.or(either))
    }

    /// Collects what the schema at a pointer evaluates where it holds.
    fn collect(&mut self, at: &str, own: bool, when: &Conditions, seen: &mut Vec<String>, into: &mut Evaluated) {
        if seen.iter().any(|pointer| pointer == at) {
            into.vague = true;
            return;
        }
        let document = self.document;
        let Some(Value::Object(members)) = document.at(at) else { return };
        let schema = Schema { members, at };
        seen.push(at.to_owned());
        for name in keys(schema.get("properties")) {
            into.names.push((name.as_str().into(), when.clone()));
        }
        for pattern in keys(schema.get("patternProperties")) {
            into.patterns.push((pattern.as_str().into(), when.clone()));
        }
        let all =
            schema.get("additionalProperties").is_some() || (!own && schema.get("unevaluatedProperties").is_some());
        if all {
            into.all_members.push(when.clone());
        }
        collect_items(schema, own, when, into);
        self.collect_below(schema, when, seen, into);
        seen.pop();
    }

    fn collect_below(&mut self, schema: Schema<'_>, when: &Conditions, seen: &mut Vec<String>, into: &mut Evaluated) {
        if let Some(Value::String(reference)) = schema.get("$ref") {
            match self.document.resolve(reference, schema.at) {
                Some(pointer) => self.collect(&pointer, false, when, seen, into),
                None => into.vague = true,
            }
        }
        into.vague |= schema.get("$dynamicRef").is_some();
        for (index, _) in branches(schema, "allOf") {
            self.collect(&format!("{}/{index}", schema.path("allOf")), false, when, seen, into);
        }
        for keyword in ["anyOf", "oneOf"] {
            for (index, _) in branches(schema, keyword) {
                let path = format!("{}/{index}", schema.path(keyword));
                let holds = self.deferred(path.clone());
                self.collect(&path, false, &and(when, holds), seen, into);
            }
        }
        if schema.get("if").is_some() {
            let path = schema.path("if");
            let holds = self.deferred(path.clone());
            let fails = self.arena.not(holds);
            self.collect(&path, false, &and(when, holds), seen, into);
            self.collect(&schema.path("then"), false, &and(when, holds), seen, into);
            self.collect(&schema.path("else"), false, &and(when, fails), seen, into);
        }
        for keyword in ["dependentSchemas", "dependencies"] {
            for trigger in keys(schema.get(keyword)) {
                let holds = self.has(trigger);
                self.collect(&join(&schema.path(keyword), trigger), false, &and(when, holds), seen, into);
            }
        }
    }
}

fn collect_items(schema: Schema<'_>, own: bool, when: &Conditions, into: &mut Evaluated) {
    let prefix = schema.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len) as u64;
    let all = schema.get("items").is_some() || (!own && schema.get("unevaluatedItems").is_some());
    let contains = schema.get("contains").is_some();
    if when.is_empty() {
        into.items = into.items.max(prefix);
        into.all_items |= all;
        into.vague_items |= contains;
    } else {
        into.vague_items |= prefix > 0 || all || contains;
    }
}

fn branches<'s>(schema: Schema<'s>, keyword: &str) -> impl Iterator<Item = (usize, &'s Value)> {
    schema.get(keyword).and_then(Value::as_array).into_iter().flatten().enumerate()
}

fn and(when: &Conditions, holds: Id) -> Conditions {
    when.iter().copied().chain([holds]).collect()
}
