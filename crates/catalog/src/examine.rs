//! What can be said about a definition before a single event of it comes: whether its schema, examples, rules, state
//! machines and conversions are right, each by itself and all of them together.

mod conversions;
mod members;
mod places;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use tidings_event::{EventType, Version};

use crate::definition::{Definition, Pointer, Transitions};
use crate::entry::Set;
use crate::limits::STATES_MAX;
use crate::reach::Reach;
use crate::report::{Finding, Severity, Subject};
use crate::schema::{Schema, bounded};

/// Violations that are told of one document.
const VIOLATIONS_TOLD: usize = 5;

/// Examines a definition. `sets` are the reference sets that there are; `others` finds other versions of its type, and
/// other types. Paths lead into the definition's source.
///
/// Where the schema does not compile, that alone is told: everything else rests on it.
#[must_use]
pub fn examine(
    definition: &Definition,
    sets: &BTreeMap<String, Set>,
    others: &dyn Fn(&EventType, &Version) -> Option<Arc<Definition>>,
) -> Vec<Finding> {
    let schema = match Schema::compile(&definition.schema) {
        Ok(schema) => schema,
        Err(findings) => return findings,
    };
    let mut findings = schema.remarks().to_vec();
    root(definition, &mut findings);
    members::examine(&definition.schema, &mut findings);
    for (index, example) in definition.examples.iter().enumerate() {
        for violation in schema.violations(&example.data, VIOLATIONS_TOLD) {
            let path = format!("/examples/{index}{}", violation.path);
            let message = format!("{}: {}", violation.path, violation.message);
            findings.push(Finding::error(Subject::Example, "example_invalid", path, bounded(message)));
        }
    }
    pointers(definition, &mut findings);
    rules::examine(definition, &schema, sets, &mut findings);
    machines(definition, &mut findings);
    conversions::examine(definition, &schema, others, &mut findings);
    findings
}

/// `data` is always an object; a schema that lets none through lets nothing through.
fn root(definition: &Definition, findings: &mut Vec<Finding>) {
    if let Reach::Impossible(_) = crate::reach::reach_type(&definition.schema, &[], &json!({})) {
        let message = "data is always an object, and this schema lets none through".to_owned();
        findings.push(Finding::error(Subject::Schema, "schema_not_object", "/schema/type".to_owned(), message));
    }
}

/// Places that the definition speaks of, and that its documents cannot have.
fn pointers(definition: &Definition, findings: &mut Vec<Finding>) {
    let text_or_number = [json!(""), json!(0)];
    let mut check = |pointer: &Pointer, path: String, subject: Subject, types: &[Value]| {
        if let Some(why) = places::impossible(&definition.schema, pointer, types) {
            let message = format!("{pointer} leads nowhere: {why}");
            findings.push(Finding::error(subject, "place_unknown", path, bounded(message)));
        }
    };
    if let Some(id) = definition.entity.as_ref().and_then(|entity| entity.id.as_ref()) {
        check(id, "/entity/id".to_owned(), Subject::Governance, &text_or_number);
    }
    if let Some(subject) = &definition.subject {
        check(subject, "/subject".to_owned(), Subject::Governance, &text_or_number);
    }
    for pointer in definition.classification.keys() {
        let path = format!("/classification/{}", crate::pointer::escape(&pointer.to_string()));
        check(pointer, path, Subject::Governance, &[]);
    }
    for (index, machine) in definition.transitions.iter().enumerate() {
        check(&machine.field, format!("/transitions/{index}/field"), Subject::Rule, &text_or_number[..1]);
    }
}

fn machines(definition: &Definition, findings: &mut Vec<Finding>) {
    for (index, machine) in definition.transitions.iter().enumerate() {
        let path = format!("/transitions/{index}");
        states(definition, machine, &path, findings);
        let types = |machine: &Transitions| machine.of.iter().cloned().collect::<BTreeSet<EventType>>();
        if definition.transitions.first().is_some_and(|first| types(first) != types(machine)) {
            let message = "looks at other types than the first machine: where the entity's newest event is of a type \
                           that only one of them looks at, the other one does not know the state, and lets it pass";
            findings.push(Finding::new(
                Severity::Warning,
                Subject::Rule,
                "machines_differ",
                format!("{path}/of"),
                message.to_owned(),
            ));
        }
    }
}

/// Whether a machine's states are values that the field can have, and whether all can come about.
fn states(definition: &Definition, machine: &Transitions, path: &str, findings: &mut Vec<Finding>) {
    let named = named_states(machine);
    let possible = places::values(&definition.schema, &machine.field);
    if let Some(possible) = &possible {
        // A machine that looks at other types too names states that their events lead to.
        let alone = machine.of.iter().all(|name| *name == definition.name);
        for (state, at) in &named {
            if alone && !possible.contains(*state) {
                let message = format!("{} can never be \"{state}\"", machine.field);
                findings.push(Finding::error(Subject::Rule, "state_unknown", format!("{path}{at}"), bounded(message)));
            }
        }
        let left: Vec<&str> = possible.iter().map(String::as_str).filter(|state| !named.contains_key(state)).collect();
        if !left.is_empty() && left.len() <= STATES_MAX {
            let message = format!("says nothing of {}: no entity can become that", left.join(", "));
            findings.push(Finding::new(
                Severity::Warning,
                Subject::Rule,
                "state_left_out",
                format!("{path}/moves"),
                bounded(message),
            ));
        }
    }
    if machine.initial.is_empty() {
        return;
    }
    let mut reached: BTreeSet<&str> = machine.initial.iter().map(String::as_str).collect();
    let mut left: Vec<&str> = reached.iter().copied().collect();
    while let Some(state) = left.pop() {
        for next in machine.moves.get(state).into_iter().flatten() {
            if reached.insert(next) {
                left.push(next);
            }
        }
    }
    for (state, at) in named.iter().filter(|(state, _)| !reached.contains(*state)) {
        let message = format!("no entity can ever be \"{state}\": no moves lead there from where it may begin");
        findings.push(Finding::new(
            Severity::Warning,
            Subject::Rule,
            "state_unreachable",
            format!("{path}{at}"),
            bounded(message),
        ));
    }
}

/// Every state that a machine names, and where it does so first.
fn named_states(machine: &Transitions) -> BTreeMap<&str, String> {
    let mut named = BTreeMap::new();
    for (index, state) in machine.initial.iter().enumerate() {
        named.entry(state.as_str()).or_insert_with(|| format!("/initial/{index}"));
    }
    for (from, to) in &machine.moves {
        let at = format!("/moves/{}", crate::pointer::escape(from));
        named.entry(from.as_str()).or_insert_with(|| at.clone());
        for (index, state) in to.iter().enumerate() {
            named.entry(state.as_str()).or_insert_with(|| format!("{at}/{index}"));
        }
    }
    named
}
