//! One version of a type, ready to judge events.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use tidings_event::limits::VIOLATIONS_MAX;
use tidings_event::{Event, Violation, violation_code as code};

use crate::definition::{Definition, EntityRule};
use crate::document::{Document, Unreadable};
use crate::entry::{Mode, Set};
use crate::report::Finding;
use crate::schema::{self, Schema, bounded};
use crate::transitions::{Machines, StateRule};

/// A definition with all that is worked out of it. What it shares with the one after a change of a set is shared.
#[derive(Debug, Clone)]
pub(super) struct Compiled {
    pub definition: Arc<Definition>,
    schema: Arc<Schema>,
    /// By mode: observe, quarantine, strict.
    states: Option<[Arc<StateRule>; 3]>,
}

/// A reference set, ready to be looked into.
#[derive(Debug)]
pub(super) struct LoadedSet {
    pub set: Arc<Set>,
}

impl LoadedSet {
    pub(super) fn new(set: Set) -> Self {
        Self { set: Arc::new(set) }
    }
}

impl Compiled {
    pub(super) fn new(definition: Definition, _sets: &BTreeMap<String, Arc<LoadedSet>>) -> Result<Self, Vec<Finding>> {
        let schema = Schema::compile(&definition.schema)?;
        let states = Machines::of(&definition).map(|machines| {
            [Mode::Observe, Mode::Quarantine, Mode::Strict]
                .map(|mode| Arc::new(StateRule::new(mode, Arc::clone(&machines))))
        });
        Ok(Self { definition: Arc::new(definition), schema: Arc::new(schema), states })
    }

    /// The names of the sets that its rules look into.
    pub(super) fn set_names(&self) -> impl Iterator<Item = &str> {
        std::iter::empty()
    }

    /// The same with the sets as they are now.
    pub(super) fn linked(&self, _sets: &BTreeMap<String, Arc<LoadedSet>>) -> Self {
        self.clone()
    }

    /// The rule about states, if there is one, for events that are judged by this mode.
    pub(super) fn state_rule(&self, mode: Mode) -> Option<Arc<StateRule>> {
        let [observe, quarantine, strict] = self.states.as_ref()?;
        match mode {
            Mode::Off => None,
            Mode::Observe => Some(Arc::clone(observe)),
            Mode::Quarantine => Some(Arc::clone(quarantine)),
            Mode::Strict => Some(Arc::clone(strict)),
        }
    }

    /// The rules that an event breaks, at most [`VIOLATIONS_MAX`]. Business rules are judged only where the schema
    /// holds: they may rely on it.
    pub(super) fn violations(&self, event: &Event, today: Date) -> Vec<Violation> {
        let mut violations = Vec::new();
        self.judge_lifecycle(today, &mut violations);
        let document = match Document::parse(event.data.as_bytes()) {
            Ok(document) => document,
            Err(unreadable) => {
                violations.push(of_unreadable(&unreadable));
                return violations;
            }
        };
        if let Some(rule) = &self.definition.entity {
            judge_entity(rule, event, &document, &mut violations);
        }
        if !self.schema.accepts(&document) {
            let left = VIOLATIONS_MAX - violations.len();
            violations.extend(self.schema.explain(&document, left));
        }
        violations
    }

    fn judge_lifecycle(&self, today: Date, violations: &mut Vec<Violation>) {
        let lifecycle = &self.definition.lifecycle;
        let Some(sunset) = lifecycle.sunset.filter(|sunset| *sunset <= today) else { return };
        let instead = lifecycle
            .successor
            .as_ref()
            .map_or_else(String::new, |(name, version)| format!("; use {name} in version {version}"));
        violations.push(Violation {
            path: "/version".to_owned(),
            code: code::TYPE_SUNSET,
            message: bounded(format!("this version is not taken any more since {sunset}{instead}")),
        });
    }
}

/// What bytes that cannot be judged are told.
#[cold]
pub(crate) fn of_unreadable(unreadable: &Unreadable) -> Violation {
    match unreadable {
        Unreadable::Number(path) => schema::out_of_range(path),
        Unreadable::Fault(fault) => {
            Violation { path: "/data".to_owned(), code: code::JSON_SYNTAX, message: fault.to_string() }
        }
    }
}

fn judge_entity(rule: &EntityRule, event: &Event, data: &Document<'_>, violations: &mut Vec<Violation>) {
    let mut add = |path: String, code: &'static str, message: String| {
        violations.push(Violation { path, code, message: bounded(message) });
    };
    let Some(entity) = &event.entity else {
        add("/entity".to_owned(), code::ENTITY_MISSING, format!("must name the {} it happened to", rule.kind));
        return;
    };
    if entity.kind.as_str() != rule.kind {
        add("/entity/type".to_owned(), code::ENTITY_MISMATCH, format!("must be \"{}\"", rule.kind));
    }
    let Some((pointer, value)) = rule.id.as_ref().and_then(|at| Some((at, data.get(at.segments())?))) else { return };
    let same = match value {
        Document::Text(text) => *text == entity.id.as_str(),
        Document::Number(number) => number.is_written(entity.id.as_str()),
        _ => false,
    };
    if !same {
        let message = "must be the id of the entity that the event names".to_owned();
        add(format!("/data{pointer}"), code::ENTITY_MISMATCH, message);
    }
}
